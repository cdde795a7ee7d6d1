/* deskhand watch: every notification until the daemon ends or Ctrl+C. */
#include "client/cli.h"
#include "client/progress.h"

#include <unistd.h>

static void on_note(void *user, const char *method, const json_t *params)
{
    progress_note(user, method, params);
}

int cmd_watch(const struct cli *c)
{
    struct progress p = {.out = stdout, .tty = isatty(STDOUT_FILENO), .json = c->json};
    struct rpc r;
    struct err err = {0};
    int rc = cli_connect(c, false, &r);
    if (rc)
        return rc;
    r.on_note = on_note;
    r.user = &p;
    do {
        json_t *reply = NULL;
        int id;
        rc = rpc_step(&r, -1, &reply, &id, &err);
        json_decref(reply);
    } while (rc == 0);
    progress_break(&p);
    progress_done(&p);
    rpc_close(&r);
    return cli_fail(c, CLI_UNREACHABLE, "%s", err.text);
}
