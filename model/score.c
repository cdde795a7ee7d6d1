/* How likely a given answer is: the prompt is prefilled as for a reply, then the answer's own
 * tokens run through the model some at a time, and each is looked up in the row of logits before
 * it. */
#include "model/engine.h"

#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define ROWS (1 + DRAFT_MAX) /* of m->logits */

static float logprob(const float *logits, int n, int32_t id)
{
    double top = -INFINITY, sum = 0;

    for (int i = 0; i < n; i++)
        top = fmax(top, (double)logits[i]);
    for (int i = 0; i < n; i++)
        sum += exp((double)logits[i] - top);
    return (float)((double)logits[id] - top - log(sum));
}

/* Keeps the first n tokens of a prompt. */
static void cut(struct prompt *p, int n)
{
    for (int axis = 0; axis < 3; axis++)
        memmove(p->pos + axis * n, p->pos + axis * p->n, sizeof(*p->pos) * (size_t)n);
    p->n = n;
}

/* The tokens full->ids[from..] and the end of the turn, of which there are n in all. */
static int run_answer(struct vlm *m, const struct prompt *full, int from, int n,
                      struct vlm_token *ret, struct err *err)
{
    struct seq *s = &m->seq;
    size_t n_vocab = (size_t)m->config.n_vocab, d = (size_t)m->lm.d;
    int r = 0;

    ret[0].logprob = logprob(m->logits, m->config.n_vocab, ret[0].id);
    for (int at = 0; at < n - 1 && r == 0; at += ROWS) {
        int rows = MIN(ROWS, n - 1 - at);
        struct lm_run run = {&s->cache, rows, from + at, rows};
        for (int i = 0; i < rows; i++)
            lm_embed(&m->lm, ret[at + i].id, m->lm.x + (size_t)i * d);
        r = lm_forward(&m->lm, m->b, &run, 1, full->pos + from + at, full->n, &m->cancel, err);
        if (r < 0)
            break;
        lm_logits(&m->lm, m->b, 0, rows, m->logits);
        for (int i = 0; i < rows; i++)
            ret[at + i + 1].logprob =
                logprob(m->logits + (size_t)i * n_vocab, m->config.n_vocab, ret[at + i + 1].id);
    }
    return r;
}

int vlm_score(struct vlm *m, const struct vlm_request *request, const char *answer,
              struct vlm_token **ret, int *ret_n, struct err *err)
{
    struct vlm_request r = *request;
    struct vlm_reply stats = {0};
    struct prompt head, full;
    int e, from = 0, end = bpe_find_special(m->bpe, "<|im_end|>");

    r.prefill = NULL;
    atomic_store(&m->cancel, false);
    if (end < 0)
        return err_set(err, -EINVAL, "the tokenizer has no token <|im_end|>");
    if ((e = adapter_use(m, r.lora, r.lora_scale, err)) < 0 ||
        (e = prompt_build(m, &r, &head, err)) < 0)
        return e;
    r.prefill = answer;
    if ((e = prompt_build(m, &r, &full, err)) < 0) {
        prompt_done(&head);
        return e;
    }
    while (from < head.n && from < full.n && head.ids[from] == full.ids[from])
        from++;
    cut(&head, from);
    m->flag = &m->cancel;
    engine_reuse(&m->seq, &head, &stats);
    while ((e = engine_prefill(m, &m->seq, &head, m->logits, &stats, err)) == 0)
        ;
    if (e > 0) {
        int n = full.n - from + 1;
        struct vlm_token *t = mem_zalloc(sizeof(*t) * (size_t)n);
        for (int i = 0; i < n; i++)
            t[i].id = i < n - 1 ? full.ids[from + i] : end;
        e = run_answer(m, &full, from, n, t, err);
        if (e == 0) {
            *ret = t;
            *ret_n = n;
        } else {
            free(t);
        }
    }
    prompt_done(&head);
    prompt_done(&full);
    return e;
}
