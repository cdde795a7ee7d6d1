/* Where the logits come from is not known here: from a pass of one token, from a row of a pass that
 * checked a guess, from a batch. One row, one draw of random numbers, one token.
 *
 * A thought over its budget is closed by tokens that the model did not choose: they pass through
 * the grammar like any other, and the model goes on behind them as if it had said them. */
#include "model/decode.h"

#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <string.h>

int decoder_init(struct decoder *d, const struct bpe *bpe, const struct vlm_config *c,
                 const struct vlm_request *r, struct err *err)
{
    *d = (struct decoder){.bpe = bpe,
                          .config = c,
                          .r = r,
                          .writer = {.stop = r->stop, .on_text = r->on_text, .user = r->user},
                          .reply = {.stop = VLM_STOP_LENGTH}};
    if (r->grammar && r->grammar->state_size > GRAMMAR_MAX_STATE)
        return err_set(err, -EINVAL, "The grammar's state has %zu bytes; at most %d fit.",
                       r->grammar->state_size, GRAMMAR_MAX_STATE);
    sampler_init(&d->sampler, c->n_vocab, r->temperature, r->top_p, r->seed);
    if (r->grammar)
        r->grammar->start(r->grammar->data, d->state);
    if (r->think == VLM_THINK_OFF && c->no_think == VLM_NO_THINK_PREFILL)
        think_feed(&d->think, THINK_EMPTY, strlen(THINK_EMPTY));
    if (r->prefill)
        think_feed(&d->think, r->prefill, strlen(r->prefill));
    return 0;
}

void decoder_done(struct decoder *d)
{
    sampler_done(&d->sampler);
    writer_done(&d->writer);
    free(d->reply.tokens);
    d->reply.tokens = NULL;
}

/* May the token come next? The state behind it is then in d->next. */
static bool is_allowed(void *user, int32_t id)
{
    struct decoder *d = user;
    const struct grammar *g = d->r->grammar;
    size_t n;

    if (config_is_eos(d->config, id))
        return g->may_end(g->data, d->state);
    const char *s = bpe_token(d->bpe, id, &n);
    if (!s || n == 0 || bpe_is_special(d->bpe, id))
        return false;
    memcpy(d->next, d->state, g->state_size);
    for (size_t i = 0; i < n; i++)
        if (!g->step(g->data, d->next, (uint8_t)s[i]))
            return false;
    return true;
}

/* The tokens that close the thought, unless the grammar has no place for them. */
static int force_closing(struct decoder *d, struct err *err)
{
    const char *s = think_closing(&d->think);
    const struct grammar *g = d->r->grammar;
    int32_t *ids;
    int n, r;

    d->closed = true;
    if (g) {
        memcpy(d->next, d->state, g->state_size);
        for (const char *p = s; *p; p++)
            if (!g->step(g->data, d->next, (uint8_t)*p))
                return 0;
    }
    if ((r = bpe_encode(d->bpe, s, strlen(s), false, &ids, &n, err)) < 0)
        return r;
    if (n <= DECODE_MAX_FORCED) {
        memcpy(d->forced, ids, sizeof(*ids) * (size_t)n);
        d->n_forced = n;
    }
    free(ids);
    d->reply.think_cut = d->n_forced > 0;
    return 0;
}

int decoder_choose(struct decoder *d, float *logits, int32_t *ret_id, struct err *err)
{
    const struct vlm_request *r = d->r;
    int r2;

    if (d->n_forced == 0 && r->max_think_tokens > 0 && !d->closed &&
        d->think.place == THINK_INSIDE && d->n_think >= r->max_think_tokens &&
        writer_is_whole(&d->writer) && (r2 = force_closing(d, err)) < 0)
        return r2;
    if (d->n_forced > 0) {
        *ret_id = d->forced[0];
        return 0;
    }
    for (int i = bpe_n_tokens(d->bpe); i < d->config->n_vocab; i++)
        logits[i] = -INFINITY;
    int32_t id = sampler_next(&d->sampler, logits, r->grammar ? is_allowed : NULL, d);
    if (id < 0 && !(r->grammar && r->grammar->may_end(r->grammar->data, d->state)))
        return err_set(err, -EPROTO, "No token may follow: %s.",
                       r->grammar ? "the grammar allows none of the vocabulary"
                                  : "the model gave no finite number");
    *ret_id = id < 0 || config_is_eos(d->config, id) ? -1 : id;
    return 0;
}

static void keep_token(struct decoder *d, int32_t id, const float *logits)
{
    struct vlm_reply *y = &d->reply;

    if (y->n_generated > d->cap_tokens) {
        d->cap_tokens = MAX(64, 2 * d->cap_tokens);
        y->tokens = mem_realloc(y->tokens, sizeof(*y->tokens) * (size_t)d->cap_tokens);
    }
    float p = sample_logprob(logits, bpe_n_tokens(d->bpe), id);
    y->tokens[y->n_generated - 1] = (struct vlm_token){id, p};
    y->logprob += (double)p;
}

bool decoder_accept(struct decoder *d, int32_t id, const float *logits)
{
    const struct vlm_request *r = d->r;
    struct vlm_reply *y = &d->reply;
    size_t n;

    if (id < 0) {
        y->stop = VLM_STOP_EOS;
        return false;
    }
    y->n_generated++;
    if (r->logprobs)
        keep_token(d, id, logits);
    if (d->n_forced > 0)
        memmove(d->forced, d->forced + 1, sizeof(*d->forced) * (size_t)--d->n_forced);
    if (r->grammar && is_allowed(d, id))
        memcpy(d->state, d->next, r->grammar->state_size);
    const char *bytes = bpe_token(d->bpe, id, &n);
    if (!bpe_is_special(d->bpe, id)) {
        think_feed(&d->think, bytes, n);
        d->n_think += d->think.place == THINK_INSIDE;
        if (writer_add(&d->writer, bytes, n, false)) {
            y->stop = VLM_STOP_STRING;
            return false;
        }
    }
    return y->n_generated < (r->max_tokens > 0 ? r->max_tokens : 512);
}

void decoder_take(struct decoder *d, struct vlm_reply *ret)
{
    if (d->reply.stop != VLM_STOP_STRING)
        writer_add(&d->writer, NULL, 0, true);
    ret->stop = d->reply.stop;
    ret->n_generated = d->reply.n_generated;
    ret->n_drafted = d->reply.n_drafted;
    ret->n_accepted = d->reply.n_accepted;
    ret->n_think = d->n_think;
    ret->think_cut = d->reply.think_cut;
    ret->tokens = d->reply.tokens;
    ret->logprob = d->reply.logprob;
    d->reply.tokens = NULL;
    ret->n_text = d->writer.text.n;
    ret->text = str_take(&d->writer.text);
}
