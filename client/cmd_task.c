/* The short commands about tasks and the daemon: stop, pause, resume, reload, shutdown, status,
 * history, show, dashboard. None starts a daemon, except dashboard, which is how one begins. */
#include "client/cli.h"
#include "client/progress.h"

#include "base/file.h"
#include "base/mem.h"

#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define REPLY_US 30000000

static int show_result(const struct cli *c, bool start, const char *method, json_t *params,
                       void (*print)(const json_t *result))
{
    struct rpc r;
    json_t *result = NULL;
    int rc = cli_call(c, start, method, params, REPLY_US, &r, &result);
    if (rc)
        return rc;
    if (c->json) {
        json_t *j = json_pack("{s:O}", "result", result);
        cli_put_json(stdout, j);
        json_decref(j);
    } else if (print) {
        print(result);
    }
    json_decref(result);
    rpc_close(&r);
    return CLI_OK;
}

int cmd_stop(const struct cli *c)
{
    return show_result(c, false, "stop", json_pack("{s:s}", "reason", "deskhand stop"), NULL);
}

int cmd_pause(const struct cli *c)
{
    return show_result(c, false, "pause", NULL, NULL);
}

int cmd_resume(const struct cli *c)
{
    return show_result(c, false, "resume", NULL, NULL);
}

int cmd_reload(const struct cli *c)
{
    return show_result(c, false, "reload", json_pack("{s:b}", "new_token", c->new_token), NULL);
}

/* Returns when the daemon is gone, so that the next command may start another one. */
int cmd_shutdown(const struct cli *c)
{
    struct daemon_place place;
    struct err err = {0};
    AUTO_FREE char *path = file_runtime_path("daemon.json");
    int fd = -1;
    if (path && daemon_place_read(path, &place, &err) == 0)
        fd = (int)syscall(SYS_pidfd_open, (pid_t)place.pid, 0);
    int rc = show_result(c, false, "shutdown", NULL, NULL);
    if (fd >= 0) {
        struct pollfd gone = {.fd = fd, .events = POLLIN};
        if (rc == CLI_OK)
            poll(&gone, 1, REPLY_US / 1000);
        close(fd);
    }
    return rc;
}

static void line(const char *label, const char *text)
{
    printf("%-9s", label);
    cli_put(stdout, text);
    putchar('\n');
}

static void print_status(const json_t *s)
{
    const json_t *model = json_object_get(s, "model"), *screen = json_object_get(s, "screen");
    line("version", cli_text(s, "version"));
    line("state", cli_text(s, "state"));
    if (cli_int(s, "task"))
        printf("%-9s%ld\n", "task", cli_int(s, "task"));
    line("model", cli_text(model, "name")[0] ? cli_text(model, "name") : cli_text(model, "dir"));
    line("display", cli_text(s, "display"));
    printf("%-9s%ldx%ld+%ld+%ld\n", "screen", cli_int(screen, "w"), cli_int(screen, "h"),
           cli_int(screen, "x"), cli_int(screen, "y"));
    line("policy", cli_text(s, "policy"));
}

int cmd_status(const struct cli *c)
{
    return show_result(c, false, "status", NULL, print_status);
}

static void print_history(const json_t *result)
{
    size_t i;
    json_t *t;
    json_array_foreach(json_object_get(result, "tasks"), i, t) {
        const json_t *started = json_object_get(t, "started");
        double v = json_number_value(started);
        time_t at = (time_t)(v > 1e11 ? v / 1e6 : v); /* microseconds or seconds */
        char when[32] = "";
        struct tm tm;
        if (json_is_number(started) && localtime_r(&at, &tm))
            strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm);
        const json_t *steps = json_object_get(t, "steps");
        long n = json_is_array(steps) ? (long)json_array_size(steps)
                                        : cli_int(t, "steps") + cli_int(t, "n_steps");
        printf("%4ld  %-16s  %-10.10s  %3ld %s  ", cli_int(t, "task"), when,
               cli_text(t, "state"), n, n == 1 ? "step " : "steps");
        cli_put(stdout, cli_text(t, "goal"));
        if (cli_text(t, "reason")[0])
            fputs(": ", stdout);
        cli_put(stdout, cli_text(t, "reason"));
        putchar('\n');
    }
}

int cmd_history(const struct cli *c)
{
    return show_result(c, false, "history",
                       c->limit ? json_pack("{s:I}", "limit", (json_int_t)c->limit) : NULL,
                       print_history);
}

/* Members of a step may stand flat or inside "action" and "effect" objects; both are read. */
static void print_task(const json_t *t)
{
    size_t i;
    json_t *s;
    printf("task %ld  ", cli_int(t, "task"));
    cli_put(stdout, cli_text(t, "state"));
    if (cli_text(t, "reason")[0])
        fputs(": ", stdout);
    cli_put(stdout, cli_text(t, "reason"));
    fputs("\ngoal ", stdout);
    cli_put(stdout, cli_text(t, "goal"));
    putchar('\n');
    json_array_foreach(json_object_get(t, "steps"), i, s) {
        const json_t *action = json_object_get(s, "action"), *effect = json_object_get(s, "effect");
        const char *describe = cli_text(s, "describe");
        if (!describe[0])
            describe = cli_text(action, "describe");
        progress_step(stdout, cli_int(s, "step"), describe, json_is_object(effect) ? effect : s);
    }
}

int cmd_show(const struct cli *c)
{
    char *end;
    long task = strtol(c->arg, &end, 10);
    if (*end || task < 1)
        return cli_fail(c, CLI_USAGE, "the task is \"%s\", expected its number", c->arg);
    return show_result(c, false, "task", json_pack("{s:I}", "task", (json_int_t)task), print_task);
}

static void print_url(const json_t *result)
{
    cli_put(stdout, cli_text(result, "url"));
    putchar('\n');
}

int cmd_dashboard(const struct cli *c)
{
    return show_result(c, true, "login_code", NULL, print_url);
}
