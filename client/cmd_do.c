/* deskhand do: starts a task and stays until it ends. Three things can come meanwhile: a
 * notification, Ctrl+C (asks the daemon to stop and waits for it to say so; a second one leaves),
 * and an answer on the terminal to "approve?". All three end the same wait, so none blocks
 * another. */
#include "client/cli.h"

#include "base/clock.h"
#include "client/progress.h"
#include "client/question.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define STOP_US 15000000 /* between Ctrl+C and the stopped state */

struct doing {
    const struct cli *c;
    struct rpc rpc;
    struct progress progress;
    struct question question;
    long task;       /* 0 until `start` was answered */
    json_t *early;   /* notifications before that */
    json_t *verdict; /* to be answered by deny at once */
    bool over;
    int exit_code;
    char state[16], code[24];
    char *reason;
};

static int signal_pipe[2] = {-1, -1};

static void on_signal(int sig)
{
    int saved = errno;
    ssize_t ignored = write(signal_pipe[1], "x", 1);
    (void)ignored;
    errno = saved;
}

static bool is_end(const char *state)
{
    return strcmp(state, "finished") == 0 || strcmp(state, "failed") == 0 ||
           strcmp(state, "stopped") == 0 || strcmp(state, "needs_user") == 0;
}

static void on_state(struct doing *d, const json_t *params)
{
    const char *state = cli_text(params, "state");
    if (strcmp(state, "approval") != 0)
        question_drop(&d->question, &d->rpc);
    if (!is_end(state))
        return;
    snprintf(d->state, sizeof(d->state), "%s", state);
    snprintf(d->code, sizeof(d->code), "%s", cli_text(params, "code"));
    free(d->reason);
    d->reason = strdup(cli_text(params, "reason"));
    d->exit_code = cli_exit_for_code(d->code, state);
    d->over = true;
}

static void on_verdict(struct doing *d, const json_t *params)
{
    json_t *answer = question_params(params);
    if (answer && d->question.open) {
        question_ask(&d->question, &d->rpc, answer);
    } else if (answer) {
        json_decref(d->verdict);
        d->verdict = answer;
    }
}

static void on_note(void *user, const char *method, const json_t *params)
{
    struct doing *d = user;
    if (!d->task) { /* whose it is will be known with the reply to `start` */
        if (json_array_size(d->early) < 1000)
            json_array_append_new(d->early, json_pack("[s, O]", method, (json_t *)params));
        return;
    }
    bool mine = cli_int(params, "task") == d->task;
    if (!mine && strcmp(method, "notice") != 0)
        return;
    progress_note(&d->progress, method, params);
    if (strcmp(method, "state") == 0)
        on_state(d, params);
    else if (strcmp(method, "verdict") == 0)
        on_verdict(d, params);
}

static int start_task(struct doing *d)
{
    const struct cli *c = d->c;
    struct err err = {0};
    json_t *params = json_pack("{s:s}", "goal", c->arg), *result = NULL;
    if (!params)
        return cli_fail(c, CLI_USAGE, "the goal is not valid UTF-8");
    if (c->max_steps)
        json_object_set_new(params, "max_steps", json_integer(c->max_steps));
    if (c->max_seconds > 0)
        json_object_set_new(params, "max_seconds", json_real(c->max_seconds));
    if (c->dry_run)
        json_object_set_new(params, "dry_run", json_true());
    cli_add_choices(c, params);
    if (c->no_think)
        json_object_set_new(params, "think", json_false());
    int code = 0;
    if (rpc_call(&d->rpc, "start", params, 60000000, &result, &code, &err) < 0)
        return cli_fail(c, cli_exit_for_error(code), "%s", err.text);
    d->task = cli_int(result, "task");
    json_decref(result);
    if (d->task < 1)
        return cli_fail(c, CLI_UNREACHABLE, "the daemon started a task without a number");
    size_t i;
    json_t *note;
    json_array_foreach(d->early, i, note)
        on_note(d, json_string_value(json_array_get(note, 0)), json_array_get(note, 1));
    json_array_clear(d->early);
    return 0;
}

static int follow(struct doing *d)
{
    struct err err = {0};
    int64_t stop_until = -1;
    while (!d->over) {
        if (d->verdict) {
            json_t *params = d->verdict;
            d->verdict = NULL;
            rpc_send(&d->rpc, "deny", params, NULL);
        }
        json_t *reply = NULL;
        int id, rc;
        int64_t left = stop_until < 0 ? -1 : stop_until - clock_now_us();
        rc = rpc_step(&d->rpc, stop_until >= 0 && left < 0 ? 0 : left, &reply, &id, &err);
        if (rc == -EINTR && d->rpc.ws.woken == 1) {
            rc = question_answer(&d->question, &d->rpc, &err) < 0 ? err.code : 0;
        } else if (rc == -EINTR) {
            char drain[16];
            while (read(signal_pipe[0], drain, sizeof(drain)) > 0)
                ;
            if (stop_until >= 0)
                return cli_fail(d->c, CLI_STOPPED, "left before the daemon said that it stopped");
            stop_until = clock_now_us() + STOP_US;
            rc = rpc_send(&d->rpc, "stop", json_pack("{s:s}", "reason", "Ctrl+C"), &err);
        }
        if (rc == -ETIMEDOUT)
            return cli_fail(d->c, CLI_STOPPED, "the daemon did not stop within 15 s");
        if (rc < 0)
            return cli_fail(d->c, CLI_UNREACHABLE, "%s", err.text);
        if (reply && rpc_result(reply, NULL, NULL, &err) < 0 && !d->c->json) {
            progress_break(&d->progress);
            fprintf(stderr, "deskhand: %s\n", err.text);
        }
    }
    return d->exit_code;
}

int cmd_do(const struct cli *c)
{
    bool in_tty = isatty(STDIN_FILENO);
    struct doing d = {.c = c};
    d.progress = (struct progress){.out = stdout, .tty = isatty(STDOUT_FILENO), .json = c->json};
    int rc = cli_connect(c, true, &d.rpc);
    if (rc)
        return rc;
    if (c->approve == CLI_APPROVE_ASK || (c->approve == CLI_APPROVE_AUTO && in_tty))
        question_open(&d.question);
    d.early = json_array();
    d.rpc.on_note = on_note;
    d.rpc.user = &d;
    rc = start_task(&d);
    if (rc == 0 && pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) == 0) {
        struct sigaction sa = {.sa_handler = on_signal};
        sigaction(SIGINT, &sa, NULL);
        sigaction(SIGTERM, &sa, NULL);
        d.rpc.ws.wake_fd[0] = signal_pipe[0];
    }
    if (rc == 0)
        rc = follow(&d);
    if (d.over && c->json) {
        json_t *j = json_pack("{s:{s:I, s:s, s:s, s:s, s:i}}", "result", "task", (json_int_t)d.task,
                              "state", d.state, "code", d.code, "reason", d.reason, "exit", rc);
        cli_put_json(stdout, j);
        json_decref(j);
    }
    question_close(&d.question, &d.rpc);
    json_decref(d.verdict);
    json_decref(d.early);
    free(d.reason);
    progress_done(&d.progress);
    rpc_close(&d.rpc);
    return rc;
}
