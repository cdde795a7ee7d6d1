/* deskhand bench: how fast the engine is here. The only command that opens a model itself, because
 * a number measured through a busy daemon would mean nothing. */
#include "client/cli.h"

#include "bench/bench.h"

#include <unistd.h>

int cmd_bench(const struct cli *c)
{
    struct bench_options o = {.n_threads = (int)c->threads, .json = c->json};
    struct err err = {0};
    const char *dir = c->model;
    if (!dir)
        dir = access(DESKHAND_MODEL_DIR, F_OK) == 0 ? DESKHAND_MODEL_DIR : DESKHAND_SOURCE_MODEL;
    if (bench_run(dir, &o, stdout, &err) < 0)
        return cli_fail(c, CLI_UNREACHABLE, "%s", err.text);
    return CLI_OK;
}
