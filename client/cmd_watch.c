/* deskhand watch: every notification until the daemon ends or Ctrl+C. With --approve=ask it also
 * answers what is to be confirmed, whoever started the task. */
#include "client/cli.h"
#include "client/progress.h"
#include "client/question.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct watching {
    struct rpc rpc;
    struct progress progress;
    struct question question;
};

static void on_note(void *user, const char *method, const json_t *params)
{
    struct watching *w = user;
    progress_note(&w->progress, method, params);
    if (strcmp(method, "state") == 0 && strcmp(cli_text(params, "state"), "approval") != 0)
        question_drop(&w->question, &w->rpc);
    json_t *answer =
        strcmp(method, "verdict") == 0 && w->question.open ? question_params(params) : NULL;
    if (answer)
        question_ask(&w->question, &w->rpc, answer);
}

int cmd_watch(const struct cli *c)
{
    struct watching w = {
        .progress = {.out = stdout, .tty = isatty(STDOUT_FILENO), .json = c->json}};
    struct err err = {0};
    if (c->approve == CLI_APPROVE_DENY)
        return cli_fail(c, CLI_USAGE, "watch knows only --approve=ask; without it others answer");
    int rc = cli_connect(c, false, &w.rpc);
    if (rc)
        return rc;
    if (c->approve == CLI_APPROVE_ASK)
        question_open(&w.question);
    w.rpc.on_note = on_note;
    w.rpc.user = &w;
    do {
        json_t *reply = NULL;
        int id;
        rc = rpc_step(&w.rpc, -1, &reply, &id, &err);
        if (rc == -EINTR && w.rpc.ws.woken == 1)
            rc = question_answer(&w.question, &w.rpc, &err) < 0 ? err.code : 0;
        if (reply && rpc_result(reply, NULL, NULL, &err) < 0 && !c->json) {
            progress_break(&w.progress);
            fprintf(stderr, "deskhand: %s\n", err.text);
        }
    } while (rc == 0);
    progress_break(&w.progress);
    question_close(&w.question, &w.rpc);
    progress_done(&w.progress);
    rpc_close(&w.rpc);
    return cli_fail(c, CLI_UNREACHABLE, "%s", err.text);
}
