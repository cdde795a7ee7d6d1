/* deskhand bench and deskhand eval: how fast the engine is here, and how well its model points. The
 * only commands that open a model themselves, because a number measured through a busy daemon would
 * mean nothing. */
#include "client/cli.h"

#include "bench/bench.h"
#include "bench/eval.h"
#include "bench/peers.h"
#include "bench/together.h"

#include <string.h>
#include <unistd.h>

static const char *model_dir(const struct cli *c)
{
    if (c->model)
        return c->model;
    return access(DESKHAND_MODEL_DIR, F_OK) == 0 ? DESKHAND_MODEL_DIR : DESKHAND_SOURCE_MODEL;
}

int cmd_eval(const struct cli *c)
{
    struct eval_options o = {.n_threads = (int)c->threads,
                             .limit = (int)c->limit,
                             .n_looks = c->looks,
                             .agent = c->agent,
                             .json = c->json,
                             .verbose = c->verbose,
                             .whole = c->view && strcmp(c->view, "screen") == 0,
                             .precision = c->precision,
                             .weights = c->weights,
                             .lora = c->lora};
    struct err err = {0};
    if (c->view && !o.whole && strcmp(c->view, "auto") != 0)
        return cli_fail(c, CLI_USAGE, "--view is \"%s\", expected auto or screen", c->view);
    if (eval_run(model_dir(c), c->arg, &o, stdout, &err) < 0)
        return cli_fail(c, CLI_FAILED, "%s", err.text);
    return CLI_OK;
}

int cmd_bench(const struct cli *c)
{
    struct bench_options o = {.n_threads = (int)c->threads,
                              .weights = c->weights,
                              .precision = c->precision,
                              .kv = c->kv,
                              .backend = c->backend,
                              .n_prompt = (int)c->prompt,
                              .max_tokens = (int)c->reply,
                              .n_runs = (int)c->runs,
                              .json = c->json};
    struct peers_options p = {.llama = c->vs_llama,
                              .ik = c->vs_ik,
                              .shapes = c->shapes,
                              .rows = c->rows,
                              .n_threads = (int)c->threads,
                              .n_rounds = (int)c->runs,
                              .json = c->json};
    struct err err = {0};
    if (!c->vs_llama != !c->shapes || (c->vs_ik && !c->vs_llama))
        return cli_fail(c, CLI_USAGE, "--vs-llama wants --shapes, and --vs-ik both");
    if (c->vs_llama) {
        if (peers_run(&p, stdout, &err) < 0)
            return cli_fail(c, CLI_FAILED, "%s", err.text);
        return CLI_OK;
    }
    if (c->together) {
        if (together_run(model_dir(c), &o, (int)c->together, stdout, &err) < 0)
            return cli_fail(c, CLI_FAILED, "%s", err.text);
        return CLI_OK;
    }
    if (bench_run(model_dir(c), &o, stdout, &err) < 0)
        return cli_fail(c, CLI_UNREACHABLE, "%s", err.text);
    return CLI_OK;
}
