/* deskhand export --swift DIR: the steps of the history that did what they should, as a training
 * set in ms-swift's layout: train.jsonl and the pictures that the model saw. tools/nano/finetune.py
 * and ms-swift read it; deskhand model perplexity measures on it. */
#include "client/cli.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "bench/swift.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_US (30 * 1000000LL)
#define TASKS_MAX 1000000

struct export {
    const char *dir;
    struct str rows;
    long n_tasks, n_steps, n_left_out;
};

static int save_picture(struct rpc *r, struct export *x, long task, long step, char *name,
                        size_t size, struct err *err)
{
    char url[96];
    uint8_t *png = NULL;
    size_t n;
    snprintf(url, sizeof url, "/task/%ld/%ld-before.png", task, step);
    snprintf(name, size, "images/%ld-%ld.png", task, step);
    AUTO_FREE char *path = file_join(x->dir, name);
    int rc = rpc_get(r, url, 256u << 20, &png, &n, err);
    if (rc == 0)
        rc = file_write(path, png, n, 0600, err);
    free(png);
    return rc;
}

/* One task's good steps. A step that cannot be a row is left out with a sentence. */
static int add_task(struct rpc *r, struct export *x, long number, struct err *err)
{
    json_t *task = NULL;
    char name[64];
    int code, rc = rpc_call(r, "task", json_pack("{s:I}", "task", (json_int_t)number), REPLY_US,
                            &task, &code, err);
    if (rc < 0)
        return rc;
    size_t n = json_array_size(json_object_get(task, "steps")), before = (size_t)x->n_steps;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct err why = {0};
        const json_t *step = json_array_get(json_object_get(task, "steps"), i);
        if (!swift_is_good(task, i))
            continue;
        rc = save_picture(r, x, number, cli_int(step, "step"), name, sizeof name, &why);
        json_t *row = rc == 0 ? swift_row(task, i, name, &why) : NULL;
        AUTO_FREE char *line = row ? json_dumps(row, JSON_COMPACT) : NULL;
        json_decref(row);
        rc = 0;
        if (!line) {
            fprintf(stderr, "deskhand: task %ld: ", number);
            cli_put(stderr, why.text);
            fputs(": left out\n", stderr);
            x->n_left_out++;
            continue;
        }
        str_puts(&x->rows, line);
        str_putc(&x->rows, '\n');
        x->n_steps++;
    }
    x->n_tasks += (size_t)x->n_steps > before;
    json_decref(task);
    if (x->rows.overflow)
        rc = err_set(err, -E2BIG, "the steps need more than 64 MiB: export fewer with --limit");
    return rc;
}

/* The tasks that ended well, oldest first. */
static int add_history(struct rpc *r, struct export *x, long limit, struct err *err)
{
    json_t *result = NULL, *t;
    int code, rc = rpc_call(r, "history",
                            json_pack("{s:I}", "limit", (json_int_t)(limit ? limit : TASKS_MAX)),
                            REPLY_US, &result, &code, err);
    if (rc < 0)
        return rc;
    json_t *list = json_object_get(result, "tasks");
    for (size_t i = json_array_size(list); i-- > 0 && rc == 0;) {
        t = json_array_get(list, i);
        if (strcmp(cli_text(t, "state"), "finished") == 0)
            rc = add_task(r, x, cli_int(t, "task"), err);
    }
    json_decref(result);
    return rc;
}

int cmd_export(const struct cli *c)
{
    struct export x = {.dir = c->swift};
    struct err err = {0};
    struct rpc r;
    char *end = NULL;
    long task = c->arg ? strtol(c->arg, &end, 10) : 0;
    if (c->arg && (*end || task < 1))
        return cli_fail(c, CLI_USAGE, "the task is \"%s\", expected its number", c->arg);
    if (!c->swift || !*c->swift)
        return cli_fail(c, CLI_USAGE, "deskhand export wants --swift DIR");
    int code = cli_connect(c, false, &r);
    if (code)
        return code;
    AUTO_FREE char *images = file_join(c->swift, "images");
    AUTO_FREE char *list = file_join(c->swift, "train.jsonl");
    int rc = file_mkdirs(images, 0700, &err);
    if (rc == 0)
        rc = task ? add_task(&r, &x, task, &err) : add_history(&r, &x, c->limit, &err);
    if (rc == 0)
        rc = file_write(list, str_cstr(&x.rows), x.rows.n, 0600, &err);
    rpc_close(&r);
    str_done(&x.rows);
    if (rc < 0)
        return cli_fail(c, CLI_FAILED, "%s", err.text);
    if (c->json) {
        json_t *j = json_pack("{s:{s:I, s:I, s:I, s:s}}", "result", "tasks", (json_int_t)x.n_tasks,
                              "steps", (json_int_t)x.n_steps, "left_out", (json_int_t)x.n_left_out,
                              "file", list);
        cli_put_json(stdout, j);
        json_decref(j);
    } else {
        printf("%s: %ld step%s of %ld task%s\n", list, x.n_steps, x.n_steps == 1 ? "" : "s",
               x.n_tasks, x.n_tasks == 1 ? "" : "s");
    }
    return CLI_OK;
}
