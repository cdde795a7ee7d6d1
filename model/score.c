/* How likely a given answer is: the prompt is prefilled as for a reply, then the answer's own
 * tokens run through the model some at a time, and each is looked up in the row of logits before
 * it. A plain text is scored the same way, window by window, the first half in place of the prompt.
 */
#include "model/engine.h"

#include "base/mem.h"
#include "model/kv.h"

#include <errno.h>
#include <string.h>

#define ROWS (1 + DRAFT_MAX) /* of m->logits */

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

    ret[0].logprob = sample_logprob(m->logits, m->config.n_vocab, ret[0].id);
    for (int at = 0; at < n - 1 && r == 0; at += ROWS) {
        int rows = MIN(ROWS, n - 1 - at);
        struct lm_run run = {&s->cache, rows, from + at, rows};
        for (int i = 0; i < rows; i++)
            lm_embed(&m->lm, ret[at + i].id, m->lm.x + (size_t)i * d);
        r = lm_forward(&m->lm, m->b, &run, 1, full->pos + from + at, full->n, &m->cancel, err);
        if (r < 0)
            break;
        if ((r = lm_logits(&m->lm, m->b, 0, rows, m->logits, err)) < 0)
            break;
        for (int i = 0; i < rows; i++)
            ret[at + i + 1].logprob = sample_logprob(m->logits + (size_t)i * n_vocab,
                                                     m->config.n_vocab, ret[at + i + 1].id);
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
    if ((e = engine_prefill_all(m, &head, &stats, err)) == 0) {
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

/* n tokens of a text as a prompt of their own. */
static struct prompt text_prompt(const int32_t *ids, int n)
{
    struct prompt p = {.n = n, .ids = mem_alloc(sizeof(*p.ids) * (size_t)n),
                       .pos = mem_alloc(sizeof(*p.pos) * 3 * (size_t)n),
                       .keys = mem_alloc(sizeof(*p.keys) * (size_t)n)};

    memcpy(p.ids, ids, sizeof(*ids) * (size_t)n);
    for (int i = 0; i < 3 * n; i++)
        p.pos[i] = i % n;
    for (int i = 0; i < n; i++)
        p.keys[i] = kv_key_text(ids[i]);
    return p;
}

int vlm_score_text(struct vlm *m, const char *text, size_t n_text, int n_window, int n_max,
                   struct vlm_token **ret, int *ret_n, struct err *err)
{
    int n_ids, r, n_ctx = m->seq.cache.n_ctx;
    struct vlm_reply stats = {0};
    AUTO_FREE int32_t *ids = NULL;

    if (n_window < 4 || n_window > n_ctx)
        return err_set(err, -EINVAL, "windows of %d tokens, expected from 4 to the context's %d",
                       n_window, n_ctx);
    atomic_store(&m->cancel, false);
    if ((r = adapter_use(m, NULL, 0, err)) < 0 ||
        (r = bpe_encode(m->bpe, text, n_text, false, &ids, &n_ids, err)) < 0)
        return r;
    int n = n_ids / n_window, read = n_window / 2 + 1, scored = n_window - read;
    if (!n)
        return err_set(err, -EINVAL, "the text has %d tokens, expected at least one window of %d",
                       n_ids, n_window);
    if (n_max > 0)
        n = MIN(n, n_max);
    AUTO_FREE struct vlm_token *t = mem_zalloc(sizeof(*t) * (size_t)n * (size_t)scored);
    for (int k = 0; k < n; k++) {
        const int32_t *at = ids + (size_t)k * (size_t)n_window;
        struct vlm_token *out = t + (size_t)k * (size_t)scored;
        for (int i = 0; i < scored; i++)
            out[i].id = at[read + i];
        struct prompt head = text_prompt(at, read), window = text_prompt(at, n_window);
        m->seq.n_keys = 0; /* each window is read anew */
        if ((r = engine_prefill_all(m, &head, &stats, err)) == 0)
            r = run_answer(m, &window, read, scored, out, err);
        prompt_done(&head);
        prompt_done(&window);
        if (r < 0)
            return r;
    }
    *ret = t;
    *ret_n = n * scored;
    t = NULL;
    return 0;
}
