/* The command line, the exit codes and the printing. An option is one row; a command's row says
 * which it takes, and usage and parser both read those rows. */
#include "client/cli.h"

#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

enum option_kind { OPTION_FLAG, OPTION_COUNT, OPTION_SECONDS, OPTION_TEXT, OPTION_APPROVE };

static const struct option_row {
    const char *name, *value, *help;
    enum option_kind kind;
    size_t at; /* of the field in struct cli */
} option_rows[] = {
    {"json", NULL, "one JSON object a line", OPTION_FLAG, offsetof(struct cli, json)},
    {"dry-run", NULL, "say what would be done, send no input", OPTION_FLAG,
     offsetof(struct cli, dry_run)},
    {"no-think", NULL, "let the model answer without reasoning", OPTION_FLAG,
     offsetof(struct cli, no_think)},
    {"cursor", NULL, "draw the mouse pointer too", OPTION_FLAG, offsetof(struct cli, cursor)},
    {"no-start", NULL, "fail when no daemon runs", OPTION_FLAG, offsetof(struct cli, no_start)},
    {"max-steps", "N", "end the task after N steps", OPTION_COUNT, offsetof(struct cli, max_steps)},
    {"max-seconds", "N", "end the task after N seconds", OPTION_SECONDS,
     offsetof(struct cli, max_seconds)},
    {"view", "WHAT", "show the model the screen, the window, or what it was trained on (auto)",
     OPTION_TEXT, offsetof(struct cli, view)},
    {"window", "NAME", "the window that is meant: a part of its class or title", OPTION_TEXT,
     offsetof(struct cli, window)},
    {"zoom", NULL, "look a second time at the part around the first answer", OPTION_FLAG,
     offsetof(struct cli, zoom)},
    {"agent", NULL, "ask with the GUI-agent prompt instead of the grounding prompt", OPTION_FLAG,
     offsetof(struct cli, agent)},
    {"type", "NAME", "of the matrices: f32, bf16, f16, q8_0, q5_1, q5_0, q4_1, q4_0, int8, int4",
     OPTION_TEXT, offsetof(struct cli, type)},
    {"vision-type", "NAME", "of the vision tower's; without it they stay as they are", OPTION_TEXT,
     offsetof(struct cli, vision_type)},
    {"mmproj", "FILE", "the vision tower of a GGUF model, if not the *mmproj*.gguf beside it",
     OPTION_TEXT, offsetof(struct cli, mmproj)},
    {"swift", "DIR", "write train.jsonl and images/ there, as ms-swift reads them", OPTION_TEXT,
     offsetof(struct cli, swift)},
    {"new-token", NULL, "draw a new token: other programs and browsers must log in again",
     OPTION_FLAG, offsetof(struct cli, new_token)},
    {"verbose", NULL, "a line for each row", OPTION_FLAG, offsetof(struct cli, verbose)},
    {"limit", "N", "how many", OPTION_COUNT, offsetof(struct cli, limit)},
    {"approve", "ask|deny", "to confirm: ask on the terminal, or deny (default without one)",
     OPTION_APPROVE, offsetof(struct cli, approve)},
    {"model", "PATH", "for a daemon started here: the checkpoint", OPTION_TEXT,
     offsetof(struct cli, model)},
    {"lora", "DIR", "a LoRA adapter: for a daemon started here, or to merge", OPTION_TEXT,
     offsetof(struct cli, lora)},
    {"adapter", "NAME", "one of the daemon's LoRA adapters (deskhandd --adapter)", OPTION_TEXT,
     offsetof(struct cli, adapter)},
    {"display", "NAME", "for a daemon started here: the X display", OPTION_TEXT,
     offsetof(struct cli, display)},
    {"policy", "FILE", "for a daemon started here: the rules", OPTION_TEXT,
     offsetof(struct cli, policy)},
    {"threads", "N", "for a daemon started here: CPU threads", OPTION_COUNT,
     offsetof(struct cli, threads)},
    {"looks", "N", "for a daemon started here: looks at a screen before most of them count",
     OPTION_COUNT, offsetof(struct cli, looks)},
    {"weights", "NAME", "int8 or int4; without it they stay as they are in the file", OPTION_TEXT,
     offsetof(struct cli, weights)},
    {"precision", "NAME", "of products: f32 or bf16", OPTION_TEXT, offsetof(struct cli, precision)},
    {"kv", "NAME", "how keys and values are kept: int8, else in the precision", OPTION_TEXT,
     offsetof(struct cli, kv)},
    {"backend", "NAME", "generic, avx2, avx512, avx512bf16 or cuda", OPTION_TEXT,
     offsetof(struct cli, backend)},
    {"prompt", "N", "a text of N tokens instead of a screen", OPTION_COUNT,
     offsetof(struct cli, prompt)},
    {"reply", "N", "tokens to write, 64 without it", OPTION_COUNT, offsetof(struct cli, reply)},
    {"together", "N", "time up to N answers at once instead, and one after another", OPTION_COUNT,
     offsetof(struct cli, together)},
    {"runs", "N", "numbers are medians of so many", OPTION_COUNT, offsetof(struct cli, runs)},
    {"vs-llama", "DIR", "beside llama.cpp: the folder of its llama-bench and llama-mtmd-cli",
     OPTION_TEXT, offsetof(struct cli, vs_llama)},
    {"vs-ik", "DIR", "and beside ik_llama.cpp: the folder of its programs", OPTION_TEXT,
     offsetof(struct cli, vs_ik)},
    {"shapes", "DIR", "for --vs-llama: the files that tools/bench/shapes.py makes", OPTION_TEXT,
     offsetof(struct cli, shapes)},
    {"rows", "NAME", "for --vs-llama: only rows that begin so (\"decode\")", OPTION_TEXT,
     offsetof(struct cli, rows)},
};

const struct command *command_find(const char *name)
{
    for (int i = 0; i < n_commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* Is `name` one of the space-separated words? */
static bool has_word(const char *words, const char *name, size_t n)
{
    for (const char *p = words; *p;) {
        size_t len = strcspn(p, " ");
        if (len == n && strncmp(p, name, n) == 0)
            return true;
        p += len;
        p += strspn(p, " ");
    }
    return false;
}

static int set_value(const struct option_row *o, const char *v, struct cli *c, struct err *err)
{
    char *field = (char *)c + o->at, *end;
    if (o->kind == OPTION_TEXT) {
        *(const char **)field = v;
        return 0;
    }
    if (o->kind == OPTION_APPROVE) {
        if (strcmp(v, "ask") != 0 && strcmp(v, "deny") != 0)
            return err_set(err, -EINVAL, "--approve is \"%s\", expected ask or deny", v);
        *(enum cli_approve *)field = v[0] == 'a' ? CLI_APPROVE_ASK : CLI_APPROVE_DENY;
        return 0;
    }
    if (o->kind == OPTION_COUNT) {
        long n = strtol(v, &end, 10);
        if (end == v || *end || n < 1 || n > 1000000)
            return err_set(err, -EINVAL, "--%s is \"%s\", expected a number from 1 to 1000000",
                           o->name, v);
        *(long *)field = n;
        return 0;
    }
    double d = strtod(v, &end);
    if (end == v || *end || !isfinite(d) || d <= 0 || d > 1e7)
        return err_set(err, -EINVAL, "--%s is \"%s\", expected seconds above 0", o->name, v);
    *(double *)field = d;
    return 0;
}

/* One "--name", "--name=value" or "--name value"; *i moves past what was used. */
static int parse_option(const struct command *cmd, int argc, char **argv, int *i, struct cli *c,
                        struct err *err)
{
    const char *name = argv[*i] + 2;
    const char *eq = strchr(name, '=');
    size_t n = eq ? (size_t)(eq - name) : strlen(name);
    const struct option_row *o = NULL;
    for (size_t k = 0; k < N_ELEMENTS(option_rows); k++)
        if (strlen(option_rows[k].name) == n && strncmp(option_rows[k].name, name, n) == 0)
            o = &option_rows[k];
    if (!o || !has_word(cmd->options, name, n))
        return err_set(err, -EINVAL, "deskhand %s has no option \"%s\": see deskhand help %s",
                       cmd->name, argv[*i], cmd->name);
    if (o->kind == OPTION_FLAG) {
        if (eq)
            return err_set(err, -EINVAL, "--%s takes no value", o->name);
        *((bool *)c + o->at) = true;
        return 0;
    }
    if (!eq && *i + 1 >= argc)
        return err_set(err, -EINVAL, "--%s wants a value: %s", o->name, o->value);
    return set_value(o, eq ? eq + 1 : argv[++*i], c, err);
}

int cli_parse(const struct command *cmd, int argc, char **argv, struct cli *ret, struct err *err)
{
    bool only_args = false;
    *ret = (struct cli){0};
    for (int i = 0; i < argc; i++) {
        if (!only_args && strcmp(argv[i], "--") == 0) {
            only_args = true;
        } else if (!only_args && strncmp(argv[i], "--", 2) == 0) {
            int rc = parse_option(cmd, argc, argv, &i, ret, err);
            if (rc)
                return rc;
        } else if (ret->arg && cmd->arg && strchr(cmd->arg, ' ') && !ret->arg2) {
            ret->arg2 = argv[i];
        } else if (!cmd->arg || ret->arg) {
            return err_set(err, -EINVAL, "\"%s\" is one word too many for deskhand %s%s", argv[i],
                           cmd->name, cmd->arg ? ": put it in quotes" : "");
        } else {
            ret->arg = argv[i];
        }
    }
    bool wants_two = cmd->arg && strchr(cmd->arg, ' ');
    if (cmd->arg && cmd->arg[0] != '[' &&
        (!ret->arg || !ret->arg[0] || (wants_two && (!ret->arg2 || !ret->arg2[0]))))
        return err_set(err, -EINVAL, "deskhand %s wants %s", cmd->name, cmd->arg);
    return 0;
}

void cli_usage(FILE *out, const struct command *cmd)
{
    if (!cmd) {
        fprintf(out, "usage: deskhand COMMAND ...\n\n");
        for (int i = 0; i < n_commands; i++) {
            char left[64];
            if (strchr(commands[i].name, ' ')) /* told by its first word's help */
                continue;
            snprintf(left, sizeof(left), "%s %s", commands[i].name,
                     commands[i].arg ? commands[i].arg : "");
            fprintf(out, "  %-18s %s\n", left, commands[i].summary);
        }
        fprintf(
            out,
            "\ndeskhand help COMMAND lists its options. Exit codes: 0 done, 1 failed, "
            "2 usage, 3 unreachable,\n4 refused, 5 needs a person, 6 stopped, 7 budget used up.\n");
        return;
    }
    fprintf(out, "usage: deskhand %s%s%s%s\n\n%s\n", cmd->name,
            cmd->options[0] ? " [OPTION]..." : "", cmd->arg ? " " : "", cmd->arg ? cmd->arg : "",
            cmd->summary);
    for (int i = 0; i < n_commands; i++) {
        char left[64];
        size_t n = strlen(cmd->name);
        if (strncmp(commands[i].name, cmd->name, n) != 0 || commands[i].name[n] != ' ')
            continue;
        snprintf(left, sizeof(left), "%s %s", commands[i].name, commands[i].arg);
        fprintf(out, "  %-28s %s\n", left, commands[i].summary);
    }
    for (size_t k = 0; k < N_ELEMENTS(option_rows); k++) {
        const struct option_row *o = &option_rows[k];
        if (!has_word(cmd->options, o->name, strlen(o->name)))
            continue;
        char left[64];
        snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        fprintf(out, "  %-22s %s\n", left, o->help);
    }
}

enum cli_exit cli_exit_for_code(const char *code, const char *state)
{
    static const struct {
        const char *name;
        enum cli_exit exit;
    } rows[] = {
        {"finished", CLI_OK},         {"needs_user", CLI_NEEDS_USER}, {"stopped", CLI_STOPPED},
        {"budget", CLI_BUDGET},       {"refused", CLI_REFUSED},       {"no_effect", CLI_FAILED},
        {"unparsed", CLI_FAILED},     {"display", CLI_UNREACHABLE},   {"model", CLI_UNREACHABLE},
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        if (strcmp(rows[i].name, code) == 0)
            return rows[i].exit;
    /* a newer daemon's code: these three states have the names of their codes */
    for (size_t i = 0; i < 3; i++)
        if (strcmp(rows[i].name, state) == 0)
            return rows[i].exit;
    return CLI_FAILED;
}

enum cli_exit cli_exit_for_error(int rpc_code)
{
    switch (rpc_code) {
    case 0:
    case 1003:
        return CLI_UNREACHABLE;
    case 1004:
        return CLI_REFUSED;
    case -32602:
        return CLI_USAGE;
    default:
        return CLI_FAILED;
    }
}

void cli_put(FILE *out, const char *s)
{
    struct str b = {0};
    if (s)
        str_printable(&b, s, strlen(s), 65536);
    fputs(str_cstr(&b), out);
    str_done(&b);
}

void cli_put_json(FILE *out, const json_t *j)
{
    char *text = json_dumps(j, JSON_COMPACT | JSON_ENSURE_ASCII);
    fprintf(out, "%s\n", text ? text : "null");
    fflush(out);
    free(text);
}

void cli_add_choices(const struct cli *c, json_t *params)
{
    const char *terminal = getenv("WINDOWID");
    if (c->view)
        json_object_set_new(params, "view", json_string(c->view));
    if (c->window)
        json_object_set_new(params, "window", json_string(c->window));
    if (c->adapter)
        json_object_set_new(params, "adapter", json_string(c->adapter));
    if (terminal)
        json_object_set_new(params, "asker", json_integer(strtol(terminal, NULL, 0)));
}

const char *cli_text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

long cli_int(const json_t *object, const char *key)
{
    return (long)json_integer_value(json_object_get(object, key));
}

int cli_fail(const struct cli *c, enum cli_exit code, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (c->json) {
        json_t *j = json_pack("{s:{s:s%, s:i}}", "error", "text", text, strlen(text), "exit", code);
        if (j)
            cli_put_json(stdout, j);
        json_decref(j);
    }
    fputs("deskhand: ", stderr);
    cli_put(stderr, text);
    fputc('\n', stderr);
    return code;
}
