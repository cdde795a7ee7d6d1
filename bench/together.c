/* A batch reads the weights once for all that write (model/batch.c), so several answers at once
 * take less time than one after the other. The same requests are timed both ways in turns; none
 * begins as an earlier one, so nothing is found in a cache, and no token is guessed. */
#include "bench/together.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <string.h>

#define SPARE 256 /* tokens of the chat's frame, and by which a text is longer than was asked for */

struct asked {
    struct str text[TOGETHER_MAX];
    struct vlm_part parts[TOGETHER_MAX];
    struct vlm_message messages[TOGETHER_MAX];
    struct vlm_request requests[TOGETHER_MAX];
    int n;
};

static void asked_done(struct asked *a)
{
    for (int i = 0; i < a->n; i++)
        str_done(&a->text[i]);
}

/* first: the number of the first text, which no other request may have. */
static int asked_init(struct asked *a, struct vlm *m, int n, int first, int n_prompt, int n_reply,
                      struct err *err)
{
    int n_tokens, r;

    *a = (struct asked){.n = n};
    for (int i = 0; i < n; i++) {
        if ((r = bench_words(m, n_prompt, first + i, &a->text[i], &n_tokens, err)) < 0)
            return r;
        a->parts[i] = (struct vlm_part){VLM_TEXT, str_cstr(&a->text[i]), NULL};
        a->messages[i] = (struct vlm_message){"user", &a->parts[i], 1};
        a->requests[i] = (struct vlm_request){.messages = &a->messages[i],
                                              .n_messages = 1,
                                              .max_tokens = n_reply,
                                              .n_draft = -1,
                                              .grammar = &bench_endless};
    }
    return 0;
}

/* Both return the tokens written, or a negative errno. */
static int one_by_one(struct vlm *m, const struct asked *a, struct err *err)
{
    int n = 0;

    for (int i = 0; i < a->n; i++) {
        struct vlm_reply y;
        int r = vlm_generate(m, &a->requests[i], &y, err);
        if (r < 0)
            return r;
        n += y.n_generated;
        vlm_reply_done(&y);
    }
    return n;
}

static int all_at_once(struct vlm_batch *b, const struct asked *a, struct err *err)
{
    struct vlm_reply y;
    int n = 0, number, r;

    for (int i = 0; i < a->n; i++)
        if ((r = vlm_batch_add(b, &a->requests[i], err)) < 0)
            return r;
    while ((r = vlm_batch_next(b, &number, &y, err)) == 1) {
        n += y.n_generated;
        vlm_reply_done(&y);
    }
    return r < 0 ? r : n;
}

/* One round both ways, in tokens a second. */
static int round_of(struct vlm *m, struct vlm_batch *b, int n, int number,
                    const struct bench_options *o, double *ret_alone, double *ret_together,
                    struct err *err)
{
    double *const rets[] = {ret_alone, ret_together};
    int r = 0;

    for (int way = 0; way < 2 && r >= 0; way++) {
        AUTO(asked_done) struct asked a;
        if ((r = asked_init(&a, m, n, (2 * number + way) * TOGETHER_MAX, o->n_prompt,
                            o->max_tokens, err)) < 0)
            break;
        int64_t start = clock_now_us();
        r = way == 0 ? one_by_one(m, &a, err) : all_at_once(b, &a, err);
        *rets[way] = r * 1e6 / (double)MAX(1, clock_now_us() - start);
    }
    return r;
}

static int measure(struct vlm *m, const struct bench_options *o, int n_most, struct together *ret,
                   struct err *err)
{
    double alone[BENCH_RUNS_MAX], together[BENCH_RUNS_MAX];
    int n_rows = 0, number = 0, r = 0;
    struct vlm_batch *b;

    if ((r = vlm_batch_new(m, n_most, 0, &b, err)) < 0)
        return r;
    for (int n = 1; n <= n_most && r >= 0; n *= 2) {
        for (int i = -1; i < o->n_runs && r >= 0; i++) /* the first one does not count */
            r = round_of(m, b, n, number++, o, &alone[MAX(i, 0)], &together[MAX(i, 0)], err);
        ret[n_rows++] = (struct together){n, bench_median(alone, o->n_runs),
                                          bench_median(together, o->n_runs)};
    }
    vlm_batch_free(b);
    return r < 0 ? r : n_rows;
}

int together_measure(const char *model_dir, const struct bench_options *o, int n_most,
                     struct together *ret, struct vlm_info *ret_info, struct err *err)
{
    struct bench_options all = *o;
    struct vlm *m;

    all.n_prompt = o->n_prompt ? o->n_prompt : 64;
    all.max_tokens = o->max_tokens ? o->max_tokens : 64;
    all.n_runs = o->n_runs ? o->n_runs : 5;
    if (n_most < 1 || n_most > TOGETHER_MAX)
        return err_set(err, -EINVAL, "%d answers at once asked for; expected 1 to %d.", n_most,
                       TOGETHER_MAX);
    if (all.n_runs < 1 || all.n_runs > BENCH_RUNS_MAX)
        return err_set(err, -EINVAL, "%d runs asked for; expected 1 to %d.", all.n_runs,
                       BENCH_RUNS_MAX);
    if (all.n_prompt > 1 << 20 || all.max_tokens > 1 << 20)
        return err_set(err, -EINVAL, "%d tokens of prompt and %d of reply are too many.",
                       all.n_prompt, all.max_tokens);
    struct vlm_options vo = {.n_threads = o->n_threads,
                             .backend = o->backend,
                             .precision = o->precision,
                             .weights = o->weights,
                             .kv = o->kv,
                             .n_ctx = all.n_prompt + all.max_tokens + SPARE};
    int r = vlm_open(model_dir, &vo, &m, err);
    if (r < 0)
        return r;
    vlm_info(m, ret_info);
    r = measure(m, &all, n_most, ret, err);
    vlm_close(m);
    return r;
}

int together_run(const char *model_dir, const struct bench_options *o, int n_most, FILE *out,
                 struct err *err)
{
    struct together rows[TOGETHER_MAX];
    struct vlm_info info;
    int n = together_measure(model_dir, o, n_most, rows, &info, err);

    if (n < 0)
        return n;
    if (!o->json)
        fprintf(out, "backend   %s, %d threads\n", info.backend, info.n_threads);
    for (int i = 0; i < n; i++)
        fprintf(out,
                o->json ? "{\"answers\": %d, \"alone_tokens_s\": %.1f, \"together_tokens_s\": "
                          "%.1f, \"ratio\": %.3f}\n"
                        : "answers %d, one after another %.1f tokens/s, together %.1f tokens/s "
                          "(%.2f times)\n",
                rows[i].n, rows[i].alone_s, rows[i].together_s,
                rows[i].together_s / rows[i].alone_s);
    return 0;
}
