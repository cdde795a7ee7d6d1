/* Writing a reply: a pass runs its last token and guesses behind it through the model, and the rows
 * that come out say how many guesses were right. vlm_generate() has one speech, a batch several
 * whose rows share a pass.
 *
 * Guesses cost rows; a pass has as many as change no bit of what each row gives alone. */
#include "model/engine.h"

#include "base/mem.h"
#include "model/kv.h"

#include <string.h>

_Static_assert(1 + DRAFT_MAX <= BACKEND_FEW_ROWS, "a guess must change no bit");

/* Without a wish: in bf16 eight rows cost little more than one and guessing halves the time; in f32
 * it was measured to cost as much as it saves. */
static int default_draft(const struct vlm *m)
{
    return strcmp(m->b->name, "avx512bf16") == 0 ? DRAFT_MAX : 0;
}

void speech_begin(struct vlm *m, struct speech *s, const struct prompt *p)
{
    int at = 0;

    draft_add(&s->said, m->told.ids, m->told.n);
    for (int i = 0; i <= p->n_images; i++) {
        int end = i < p->n_images ? p->images[i].begin : p->n;
        draft_add(&s->said, p->ids + at, end - at);
        if (i < p->n_images)
            at = end + patches_n_tokens(p->images[i].patches);
    }
    s->n_before = s->said.n;
    s->delta = p->delta;
}

static int guess(const struct vlm *m, const struct speech *s, int max, int32_t *ret)
{
    const struct decoder *d = &s->decoder;
    int want = d->r->n_draft < 0 ? 0 : d->r->n_draft == 0 ? default_draft(m) : d->r->n_draft;
    int left = (d->r->max_tokens > 0 ? d->r->max_tokens : 512) - d->reply.n_generated - 1;
    int room = MIN(MIN(left, max), s->seq->cache.n_ctx - s->seq->n_keys - 1);

    if (room < 1 || want < 1)
        return 0;
    if (d->n_forced > 0) { /* these are no guesses */
        int n = MIN(room, d->n_forced);
        memcpy(ret, d->forced, sizeof(*ret) * (size_t)n);
        return n;
    }
    return draft_guess(&s->said, MIN(room, want), ret);
}

int speech_take(struct vlm *m, struct speech *s, float *rows, int max_guess,
                const atomic_bool *cancel, struct err *err)
{
    struct decoder *d = &s->decoder;
    int r;

    for (;;) {
        int32_t id;
        float *logits = rows + (size_t)s->at * (size_t)m->config.n_vocab;
        if ((r = decoder_choose(d, logits, &id, err)) < 0)
            return r;
        bool right = s->at + 1 < s->n && s->ids[s->at + 1] == id;
        if (!decoder_accept(d, id, logits))
            return 0;
        draft_add(&s->said, &id, 1);
        if (atomic_load(cancel)) {
            d->reply.stop = VLM_STOP_CANCELLED;
            return 0;
        }
        if (!right) {
            if (s->seq->n_keys >= s->seq->cache.n_ctx)
                return 0;
            draft_learn(&s->said, s->at, MAX(s->n - 1, 0));
            s->ids[0] = id;
            break;
        }
        s->at++;
        s->seq->n_keys++;
        d->reply.n_accepted++;
    }
    int n_guess = guess(m, s, max_guess, s->ids + 1);
    d->reply.n_drafted += n_guess;
    s->n = 1 + n_guess;
    s->at = 0;
    return 1;
}

int speech_step(struct vlm *m, struct speech *const *s, int n, const atomic_bool *cancel,
                struct err *err)
{
    struct lm_run runs[BACKEND_FEW_ROWS];
    int32_t pos[3 * BACKEND_FEW_ROWS];
    int n_rows = 0, row = 0;

    for (int i = 0; i < n; i++)
        n_rows += s[i]->n;
    CHECK(n > 0 && n_rows >= n && n_rows <= BACKEND_FEW_ROWS);
    for (int i = 0; i < n; i++) {
        struct seq *q = s[i]->seq;
        runs[i] = (struct lm_run){&q->cache, s[i]->n, q->n_keys, s[i]->n};
        for (int k = 0; k < s[i]->n; k++, row++) {
            int at = q->n_keys + k;
            lm_embed(&m->lm, s[i]->ids[k], m->lm.x + (size_t)row * (size_t)m->lm.d);
            pos[row] = pos[n_rows + row] = pos[2 * n_rows + row] = at + s[i]->delta;
            q->keys[at] = kv_key_text(s[i]->ids[k]) ^ m->salt;
        }
    }
    int r = lm_forward(&m->lm, m->b, runs, n, pos, n_rows, cancel, err);
    if (r < 0 || (r = lm_logits(&m->lm, m->b, 0, n_rows, m->logits, err)) < 0)
        return r;
    for (int i = 0; i < n; i++)
        s[i]->seq->n_keys++;
    return 0;
}

void speech_end(struct vlm *m, struct speech *s)
{
    draft_add(&m->told, s->said.ids + s->n_before, s->said.n - s->n_before);
    draft_keep(&m->told, ENGINE_TOLD);
}

void speech_done(struct speech *s)
{
    decoder_done(&s->decoder);
    draft_done(&s->said);
}
