/* deskhandd: reads the options and runs the loop. Everything else is below. */
#include "actions/hand.h"
#include "agent/vote.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/loop.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 2
#define EXIT_RUNNING 3

static const struct {
    const char *name, *arg, *help;
} rows[] = {
    {"port", "N",
     "listen on 127.0.0.1:N (default 7413, or a free one if it is taken; 0: a free one)"},
    {"display", "NAME", "the X display to look at and act on (default $DISPLAY)"},
    {"output", "NAME", "only this RandR output (default the whole screen)"},
    {"model", "DIR", "the checkpoint's folder (default the one that comes along)"},
    {"policy", "FILE",
     "what is allowed, confirmed, denied (default ~/.config/deskhand/policies.yaml)"},
    {"state-dir", "DIR", "history and pictures (default ~/.local/state/deskhand)"},
    {"threads", "N", "for the model (default all cores)"},
    {"together", "N", "requests that the model answers at once, 1 to 8 (default 4)"},
    {"looks", "N", "at a screen before the model acts, 1 to 7 (default as the checkpoint says)"},
    {"backend", "NAME", "for the model: cuda, or a set of instructions (default the CPU's best)"},
    {"precision", "P", "of the model's products: f32 or bf16 (default bf16 where the CPU has it)"},
    {"lora", "DIR", "merge this LoRA adapter (PEFT) into the model"},
    {"adapter", "[NAME=]DIR", "a LoRA adapter that requests choose by name; may be given again"},
    {"no-think-by", "WAY",
     "how the model is told not to think: suffix, prefill or none (default by name)"},
    {"weights", "W", "of the model in memory: int8 or int4 (default as they are in the file)"},
    {"kv", "W", "of keys and values: int8, half the memory (default in the precision)"},
    {"dry-run", NULL, "list input events instead of sending them"},
    {"no-browser-approval", NULL, "take approvals from programs only"},
    {"log-level", "LEVEL", "error, warn, info (default) or debug"},
    {"help", NULL, "this text"},
    {"version", NULL, "the version"},
};
#define N_ROWS ((int)N_ELEMENTS(rows))

static void print_help(void)
{
    printf("usage: deskhandd [OPTION]...\n\nThe Deskhand daemon: sees one X screen, acts on it as "
           "asked over a websocket.\n\n");
    for (int i = 0; i < N_ROWS; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", rows[i].name, rows[i].arg ? " " : "",
                 rows[i].arg ? rows[i].arg : "");
        printf("  %-22s %s\n", left, rows[i].help);
    }
}

static bool read_number(const char *name, const char *s, int min, int max, int *ret)
{
    char *end;
    errno = 0;
    long v = strtol(s, &end, 10);
    if (errno || end == s || *end || v < min || v > max) {
        fprintf(stderr, "deskhandd: --%s wants a number from %d to %d, not \"%s\"\n", name, min,
                max, s);
        return false;
    }
    *ret = (int)v;
    return true;
}

static bool read_level(const char *s)
{
    static const struct {
        const char *name;
        enum log_level level;
    } levels[] = {{"error", LOG_LEVEL_ERROR},
                  {"warn", LOG_LEVEL_WARN},
                  {"info", LOG_LEVEL_INFO},
                  {"debug", LOG_LEVEL_DEBUG}};
    for (size_t i = 0; i < N_ELEMENTS(levels); i++) {
        if (strcmp(levels[i].name, s) == 0) {
            log_set_level(levels[i].level);
            return true;
        }
    }
    fprintf(stderr, "deskhandd: --log-level wants error, warn, info or debug, not \"%s\"\n", s);
    return false;
}

/* -1 to go on, otherwise the exit code. */
static int read_options(int argc, char **argv, struct loop_options *o)
{
    struct option longs[N_ELEMENTS(rows) + 1] = {0};
    for (int i = 0; i < N_ROWS; i++)
        longs[i] = (struct option){rows[i].name, rows[i].arg ? required_argument : no_argument,
                                   NULL, 0};
    int at;
    for (int c; (c = getopt_long(argc, argv, "", longs, &at)) != -1;) {
        if (c != 0)
            return EXIT_USAGE;
        const char *name = rows[at].name;
        if (strcmp(name, "port") == 0 && !read_number(name, optarg, 0, 65535, &o->port))
            return EXIT_USAGE;
        if (strcmp(name, "threads") == 0 &&
            !read_number(name, optarg, 1, 1024, &o->agent.n_threads))
            return EXIT_USAGE;
        if (strcmp(name, "together") == 0 && !read_number(name, optarg, 1, 8, &o->agent.n_together))
            return EXIT_USAGE;
        if (strcmp(name, "looks") == 0 &&
            !read_number(name, optarg, 1, LOOK_MAX, &o->agent.n_looks))
            return EXIT_USAGE;
        if (strcmp(name, "log-level") == 0 && !read_level(optarg))
            return EXIT_USAGE;
        if (strcmp(name, "display") == 0)
            o->agent.display = optarg;
        if (strcmp(name, "output") == 0)
            o->agent.output = optarg;
        if (strcmp(name, "model") == 0)
            o->agent.model_dir = optarg;
        if (strcmp(name, "policy") == 0)
            o->agent.policy_path = optarg;
        if (strcmp(name, "state-dir") == 0)
            o->agent.state_dir = optarg;
        if (strcmp(name, "backend") == 0)
            o->agent.backend = optarg;
        if (strcmp(name, "precision") == 0)
            o->agent.precision = optarg;
        if (strcmp(name, "weights") == 0)
            o->agent.weights = optarg;
        if (strcmp(name, "kv") == 0)
            o->agent.kv = optarg;
        if (strcmp(name, "lora") == 0)
            o->agent.lora_dir = optarg;
        if (strcmp(name, "adapter") == 0) {
            if (o->agent.n_adapters == AGENT_MAX_ADAPTERS) {
                fprintf(stderr, "deskhandd: more than %d adapters\n", AGENT_MAX_ADAPTERS);
                return EXIT_USAGE;
            }
            o->agent.adapters[o->agent.n_adapters++] = optarg;
        }
        if (strcmp(name, "no-think-by") == 0)
            o->agent.no_think = optarg;
        if (strcmp(name, "dry-run") == 0)
            o->agent.dry_run = true;
        if (strcmp(name, "no-browser-approval") == 0)
            o->no_browser_approval = true;
        if (strcmp(name, "help") == 0) {
            print_help();
            return EXIT_SUCCESS;
        }
        if (strcmp(name, "version") == 0) {
            printf("deskhandd %s\n", DESKHAND_VERSION);
            return EXIT_SUCCESS;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "deskhandd: \"%s\" is not an option; see --help\n", argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

/* A crash must not leave a key down on somebody's desktop. The handler is one-shot, so raising the
 * signal again ends the process as it would have ended. */
static void on_crash(int sig)
{
    hand_panic();
    raise(sig);
}

static void watch_crashes(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    struct sigaction sa = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    for (size_t i = 0; i < N_ELEMENTS(signals); i++)
        sigaction(signals[i], &sa, NULL);
}

int main(int argc, char **argv)
{
    struct loop_options o = {.port = LOOP_PORT_USUAL};
    struct loop *l = NULL;
    struct err err = {0};
    int code = read_options(argc, argv, &o);
    if (code >= 0)
        return code;
    signal(SIGPIPE, SIG_IGN);
    watch_crashes();
    int rc = loop_open(&o, &l, &err);
    if (rc == 0)
        rc = loop_run(l, &err);
    loop_close(l);
    if (rc < 0)
        log_error("%s", err.text);
    return rc == -EBUSY ? EXIT_RUNNING : rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
