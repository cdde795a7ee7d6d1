/* The engine behind vlm.h: a prompt becomes token ids and positions, pictures become rows (or are
 * found in the feature cache), what the KV cache already holds is skipped, the rest runs through
 * the language model in chunks, and tokens are chosen one at a time.
 *
 * The KV cache belongs to the last call. A new prompt keeps the beginning it shares with it, which
 * for an agent is everything before the newest screenshot. */
#include "model/vlm.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/bpe.h"
#include "model/chat.h"
#include "model/config.h"
#include "model/kv.h"
#include "model/lm.h"
#include "model/mrope.h"
#include "model/sample.h"
#include "model/vit.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define N_FEATURES 8 /* pictures whose features are kept */

/* Features of one picture, [n_tokens, d]. */
struct feature {
    uint64_t hash;
    int t, h, w;
    float *rows;
    uint64_t used; /* clock of uses, for throwing out the oldest */
};

struct vlm {
    struct vlm_config config;
    struct source *src;
    struct bpe *bpe;
    struct backend *b;
    struct vit vit;
    struct lm lm;
    char name[128];
    int64_t n_params;
    size_t weight_bytes;

    uint64_t *keys; /* [n_ctx]: what the KV cache holds */
    int n_keys;
    struct feature features[N_FEATURES];
    uint64_t n_uses;

    float *logits; /* [n_vocab] */
    atomic_bool cancel;
};

void vlm_close(struct vlm *m)
{
    if (!m)
        return;
    if (m->b) {
        vit_done(&m->vit, m->b);
        lm_done(&m->lm, m->b);
        m->b->close(m->b);
    }
    for (int i = 0; i < N_FEATURES; i++)
        free(m->features[i].rows);
    free(m->keys);
    free(m->logits);
    bpe_close(m->bpe);
    source_close(m->src);
    free(m);
}

static void set_name(struct vlm *m, const char *dir)
{
    size_t n = strlen(dir);

    while (n > 1 && dir[n - 1] == '/')
        n--;
    size_t from = n;
    while (from > 0 && dir[from - 1] != '/')
        from--;
    snprintf(m->name, sizeof(m->name), "%.*s", (int)MIN(n - from, sizeof(m->name) - 1), dir + from);
}

static int open_parts(struct vlm *m, const char *dir, const struct vlm_options *o, struct err *err)
{
    int r, n_ctx = o->n_ctx;

    if ((r = source_open(dir, &m->src, err)) < 0 ||
        (r = source_config(m->src, &m->config, err)) < 0 ||
        (r = source_tokenizer(m->src, &m->bpe, err)) < 0)
        return r;
    const struct vlm_config *c = &m->config;
    if (n_ctx < 0 || n_ctx > c->n_ctx)
        return err_set(err, -EINVAL, "%d tokens of context asked for; the model has %d.", n_ctx,
                       c->n_ctx);
    if (n_ctx == 0)
        n_ctx = MIN(c->n_ctx, 16384);
    if (c->d_head > BACKEND_MAX_D_HEAD || c->vit.d_model / c->vit.n_heads > BACKEND_MAX_D_HEAD)
        return err_set(err, -EINVAL, "Attention heads of %d and %d (vision); at most %d fit.",
                       c->d_head, c->vit.d_model / c->vit.n_heads, BACKEND_MAX_D_HEAD);
    if ((r = backend_cpu_open(o->backend, o->n_threads, &m->b, err)) < 0)
        return r;
    struct load l = {.src = m->src, .b = m->b, .n_steps = c->n_layers + c->vit.depth,
                     .on_progress = o->on_progress, .user = o->user};
    if ((r = vit_load(&m->vit, c, &l, err)) < 0 ||
        (r = lm_load(&m->lm, c, n_ctx, &l, err)) < 0)
        return r;
    m->n_params = l.n_params;
    m->weight_bytes = l.bytes;
    m->keys = mem_alloc(sizeof(*m->keys) * (size_t)n_ctx);
    m->logits = mem_alloc(sizeof(float) * (size_t)c->n_vocab);
    return 0;
}

int vlm_open(const char *dir, const struct vlm_options *o, struct vlm **ret, struct err *err)
{
    struct vlm_options none = {0};
    struct vlm *m = mem_zalloc(sizeof(*m));
    int r = open_parts(m, dir, o ? o : &none, err);

    if (r < 0) {
        vlm_close(m);
        return r;
    }
    set_name(m, dir);
    *ret = m;
    return 0;
}

const struct image_spec *vlm_image_spec(const struct vlm *m)
{
    return &m->config.image;
}

void vlm_info(const struct vlm *m, struct vlm_info *ret)
{
    const struct vlm_config *c = &m->config;

    *ret = (struct vlm_info){.n_params = m->n_params, .n_layers = c->n_layers,
                             .d_model = c->d_model, .n_vocab = c->n_vocab, .n_ctx = m->lm.n_ctx,
                             .vit_depth = c->vit.depth, .vit_d_model = c->vit.d_model,
                             .n_threads = m->b->n_threads, .weight_bytes = m->weight_bytes};
    snprintf(ret->name, sizeof(ret->name), "%s", m->name);
    snprintf(ret->backend, sizeof(ret->backend), "%s", m->b->name);
}

void vlm_cancel(struct vlm *m)
{
    atomic_store(&m->cancel, true);
}

/* Everything one call knows about its prompt. */
struct prompt {
    int n;
    int32_t *ids;   /* [n] */
    int32_t *pos;   /* [3, n] */
    uint64_t *keys; /* [n] */
    int delta;      /* position of the next token minus its index */
    int n_images;
    struct chat_image *images; /* begin, patches */
    bool *counted;             /* [n_images]: in the reply's numbers already */
};

static void prompt_done(struct prompt *p)
{
    free(p->ids);
    free(p->pos);
    free(p->keys);
    free(p->images);
    free(p->counted);
}

static int check_patches(const struct vlm *m, const struct patches *p, struct err *err)
{
    const struct image_spec *s = &m->config.image;

    if (!p || !p->rows)
        return err_set(err, -EINVAL, "A picture part has no picture.");
    if (p->patch_size != s->patch_size || p->merge_size != s->merge_size)
        return err_set(err, -EINVAL,
                       "The picture is cut into patches of %d merged by %d; the model wants %d and "
                       "%d.",
                       p->patch_size, p->merge_size, s->patch_size, s->merge_size);
    if (p->grid_t < 1 || p->grid_h < 1 || p->grid_w < 1 || p->grid_h % s->merge_size ||
        p->grid_w % s->merge_size ||
        (int64_t)p->grid_t * p->grid_h * p->grid_w > (int64_t)m->lm.n_ctx * s->merge_size *
                                                          s->merge_size)
        return err_set(err, -EINVAL,
                       "The picture's grid is %d x %d x %d patches; sides must be multiples of %d "
                       "and its tokens fit a context of %d.",
                       p->grid_t, p->grid_h, p->grid_w, s->merge_size, m->lm.n_ctx);
    if (p->n_temporal != 1 && p->n_temporal != s->temporal_patch_size)
        return err_set(err, -EINVAL, "The picture has %d slices in time; expected 1 or %d.",
                       p->n_temporal, s->temporal_patch_size);
    return 0;
}

static int prompt_build(const struct vlm *m, const struct vlm_request *r, struct prompt *ret,
                        struct err *err)
{
    struct prompt p = {0};
    int e;

    for (int i = 0; i < r->n_messages; i++)
        for (int j = 0; j < r->messages[i].n_parts; j++)
            if (r->messages[i].parts[j].kind == VLM_IMAGE &&
                (e = check_patches(m, r->messages[i].parts[j].image, err)) < 0)
                return e;
    if ((e = chat_build(m->bpe, &m->config, r, &p.ids, &p.n, &p.images, &p.n_images, err)) < 0)
        return e;
    if (p.n < 1 || p.n >= m->lm.n_ctx) {
        e = err_set(err, -E2BIG, "The prompt has %d tokens; the context holds %d.", p.n,
                    m->lm.n_ctx);
        prompt_done(&p);
        return e;
    }
    p.pos = mem_alloc(sizeof(int32_t) * 3 * (size_t)p.n);
    p.keys = mem_alloc(sizeof(uint64_t) * (size_t)p.n);
    for (int i = 0; i < p.n; i++)
        p.keys[i] = kv_key_text(p.ids[i]);
    AUTO_FREE struct mrope_image *grids =
        mem_zalloc(sizeof(*grids) * (size_t)MAX(1, p.n_images));
    for (int i = 0; i < p.n_images; i++) {
        const struct patches *q = p.images[i].patches;
        grids[i] = (struct mrope_image){p.images[i].begin, q->grid_t, q->grid_h / q->merge_size,
                                        q->grid_w / q->merge_size, (int)q->second_per_grid,
                                        q->n_temporal > 1};
        for (int j = 0; j < patches_n_tokens(q); j++)
            p.keys[p.images[i].begin + j] =
                kv_key_visual(q->hash, q->grid_t, q->grid_h, q->grid_w, j);
    }
    p.delta = mrope_positions(p.n, grids, p.n_images, m->config.vit.tokens_per_second, p.pos);
    p.counted = mem_zalloc(sizeof(bool) * (size_t)MAX(1, p.n_images));
    *ret = p;
    return 0;
}

/* Features of a picture: from the cache, or encoded now and kept. */
static int features_of(struct vlm *m, const struct patches *p, bool *counted,
                       struct vlm_reply *stats, const float **ret, struct err *err)
{
    struct feature *oldest = &m->features[0];
    float *rows;

    for (int i = 0; i < N_FEATURES; i++) {
        struct feature *f = &m->features[i];
        if (f->rows && f->hash == p->hash && f->t == p->grid_t && f->h == p->grid_h &&
            f->w == p->grid_w) {
            f->used = ++m->n_uses;
            stats->n_visual_reused += *counted ? 0 : patches_n_tokens(p);
            *counted = true;
            *ret = f->rows;
            return 0;
        }
        if (f->used < oldest->used)
            oldest = f;
    }
    int64_t start = clock_now_us();
    int r = vit_encode(&m->vit, m->b, p, &m->cancel, &rows, err);
    stats->vision_us += clock_now_us() - start;
    if (r < 0)
        return r;
    stats->n_visual += *counted ? 0 : patches_n_tokens(p);
    *counted = true;
    free(oldest->rows);
    *oldest = (struct feature){p->hash, p->grid_t, p->grid_h, p->grid_w, rows, ++m->n_uses};
    *ret = rows;
    return 0;
}

/* Puts the embeddings of prompt tokens from..to-1 into the model's rows. */
static int embed(struct vlm *m, const struct prompt *p, int from, int to, struct vlm_reply *stats,
                 struct err *err)
{
    size_t d = (size_t)m->lm.d;
    int k = 0;

    for (int i = from; i < to;) {
        while (k < p->n_images &&
               i >= p->images[k].begin + patches_n_tokens(p->images[k].patches))
            k++;
        if (k == p->n_images || i < p->images[k].begin) {
            lm_embed(&m->lm, p->ids[i], m->lm.x + (size_t)(i - from) * d);
            i++;
            continue;
        }
        const float *rows;
        int begin = p->images[k].begin, end = begin + patches_n_tokens(p->images[k].patches);
        int n = MIN(end, to) - i;
        int r = features_of(m, p->images[k].patches, &p->counted[k], stats, &rows, err);
        if (r < 0)
            return r;
        memcpy(m->lm.x + (size_t)(i - from) * d, rows + (size_t)(i - begin) * d,
               sizeof(float) * d * (size_t)n);
        i += n;
    }
    return 0;
}

/* Runs what the cache does not hold; afterwards m->logits belong to the prompt's last position. */
static int prefill(struct vlm *m, const struct prompt *p, struct vlm_reply *stats, struct err *err)
{
    int reused = MIN(kv_common(m->keys, m->n_keys, p->keys, p->n), p->n - 1);

    stats->n_prompt = p->n;
    stats->n_reused = reused;
    m->n_keys = reused;
    int64_t start = clock_now_us();
    for (int at = reused; at < p->n;) {
        int n = MIN(LM_CHUNK, p->n - at), r;
        if ((r = embed(m, p, at, at + n, stats, err)) < 0 ||
            (r = lm_forward(&m->lm, m->b, n, at, p->pos + at, p->n, &m->cancel, err)) < 0)
            return r;
        memcpy(m->keys + at, p->keys + at, sizeof(*p->keys) * (size_t)n);
        at += n;
        m->n_keys = at;
        if (at == p->n)
            lm_logits(&m->lm, m->b, n - 1, m->logits);
    }
    stats->prefill_us += clock_now_us() - start - stats->vision_us;
    return 0;
}

/* Runs one generated token through the model. */
static int step(struct vlm *m, int32_t id, int delta, struct err *err)
{
    int at = m->n_keys;
    int32_t pos[3] = {at + delta, at + delta, at + delta};

    lm_embed(&m->lm, id, m->lm.x);
    int r = lm_forward(&m->lm, m->b, 1, at, pos, 1, &m->cancel, err);
    if (r < 0)
        return r;
    m->keys[m->n_keys++] = kv_key_text(id);
    lm_logits(&m->lm, m->b, 0, m->logits);
    return 0;
}

/* The text of a reply as it grows: bytes of tokens in, complete UTF-8 out. */
struct writer {
    const struct vlm_request *r;
    struct str raw;  /* bytes of the tokens */
    size_t n_read;   /* of raw, in text */
    struct str text; /* valid UTF-8 */
    size_t n_sent;   /* of text, given to on_text */
};

/* Is s, n < 4 bytes, the beginning of a longer code point? */
static bool is_partial(const char *s, size_t n)
{
    uint8_t c = (uint8_t)s[0];
    size_t want = c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;

    if (c < 0xc2 || c >= 0xf5 || n >= want)
        return false;
    for (size_t i = 1; i < n; i++)
        if (((uint8_t)s[i] & 0xc0) != 0x80)
            return false;
    return true;
}

static void send_text(struct writer *w, size_t end)
{
    if (w->r->on_text && end > w->n_sent)
        w->r->on_text(w->r->user, w->text.s + w->n_sent, end - w->n_sent);
    w->n_sent = MAX(w->n_sent, end);
}

/* Looks for stop strings; true when one is there, the text is then cut before it. Sends what can no
 * longer become part of one. */
static bool check_stop(struct writer *w, size_t from)
{
    size_t hold = 0, cut = SIZE_MAX;

    for (const char *const *s = w->r->stop; s && *s; s++) {
        size_t n = strlen(*s);
        if (n == 0)
            continue;
        const char *found = w->text.n ? memmem(w->text.s + from, w->text.n - from, *s, n) : NULL;
        if (found)
            cut = MIN(cut, (size_t)(found - w->text.s));
        for (size_t k = MIN(n - 1, w->text.n); k > hold; k--)
            if (memcmp(w->text.s + w->text.n - k, *s, k) == 0)
                hold = k;
    }
    if (cut != SIZE_MAX) {
        w->text.n = cut;
        w->text.s[cut] = 0;
        send_text(w, cut);
        return true;
    }
    send_text(w, w->text.n - hold);
    return false;
}

/* Returns true when a stop string appeared. With `end`, partial code points are over too. */
static bool writer_add(struct writer *w, const char *bytes, size_t n, bool end)
{
    size_t from = w->n_sent;

    if (n)
        str_add(&w->raw, bytes, n);
    while (w->n_read < w->raw.n) {
        const char *s = w->raw.s + w->n_read;
        size_t left = w->raw.n - w->n_read;
        uint32_t cp;
        char out[4];
        if (!end && is_partial(s, left))
            break;
        w->n_read += (size_t)utf8_next(s, left, &cp);
        str_add(&w->text, out, (size_t)utf8_put(out, cp));
    }
    bool stop = check_stop(w, from);
    if (end && !stop)
        send_text(w, w->text.n);
    return stop;
}

/* What sampler_next() asks about a candidate. */
struct mask {
    const struct vlm *m;
    const struct grammar *g;
    char state[GRAMMAR_MAX_STATE] __attribute__((aligned(16)));
    char next[GRAMMAR_MAX_STATE] __attribute__((aligned(16))); /* after the last allowed token */
};

static bool is_allowed(void *user, int32_t id)
{
    struct mask *k = user;
    size_t n;

    if (config_is_eos(&k->m->config, id))
        return k->g->may_end(k->g->data, k->state);
    const char *s = bpe_token(k->m->bpe, id, &n);
    if (!s || n == 0 || bpe_is_special(k->m->bpe, id))
        return false;
    memcpy(k->next, k->state, k->g->state_size);
    for (size_t i = 0; i < n; i++)
        if (!k->g->step(k->g->data, k->next, (uint8_t)s[i]))
            return false;
    return true;
}

/* Moves the grammar over the token that was chosen. */
static void mask_accept(struct mask *k, int32_t id)
{
    if (is_allowed(k, id))
        memcpy(k->state, k->next, k->g->state_size);
}

static int decode(struct vlm *m, const struct vlm_request *r, const struct prompt *p,
                  struct writer *w, struct vlm_reply *ret, struct err *err)
{
    struct sampler s;
    struct mask mask = {.m = m, .g = r->grammar};
    int max = r->max_tokens > 0 ? r->max_tokens : 512, e = 0;

    sampler_init(&s, m->config.n_vocab, r->temperature, r->top_p, r->seed);
    if (r->grammar)
        r->grammar->start(r->grammar->data, mask.state);
    ret->stop = VLM_STOP_LENGTH;
    while (ret->n_generated < max) {
        for (int i = bpe_n_tokens(m->bpe); i < m->config.n_vocab; i++)
            m->logits[i] = -INFINITY;
        int32_t id = sampler_next(&s, m->logits, r->grammar ? is_allowed : NULL, &mask);
        if (id < 0 && !(r->grammar && r->grammar->may_end(r->grammar->data, mask.state))) {
            e = err_set(err, -EPROTO, "No token may follow: %s.",
                        r->grammar ? "the grammar allows none of the vocabulary"
                                   : "the model gave no finite number");
            break;
        }
        if (id < 0 || config_is_eos(&m->config, id)) {
            ret->stop = VLM_STOP_EOS;
            break;
        }
        ret->n_generated++;
        size_t n;
        const char *bytes = bpe_token(m->bpe, id, &n);
        if (r->grammar)
            mask_accept(&mask, id);
        if (!bpe_is_special(m->bpe, id) && writer_add(w, bytes, n, false)) {
            ret->stop = VLM_STOP_STRING;
            break;
        }
        if (atomic_load(&m->cancel)) {
            ret->stop = VLM_STOP_CANCELLED;
            break;
        }
        if (ret->n_generated == max || m->n_keys >= m->lm.n_ctx)
            break;
        e = step(m, id, p->delta, err);
        if (e < 0)
            break;
    }
    if (e == 0 && ret->stop != VLM_STOP_STRING)
        writer_add(w, NULL, 0, true);
    sampler_done(&s);
    return e;
}

int vlm_generate(struct vlm *m, const struct vlm_request *r, struct vlm_reply *ret, struct err *err)
{
    struct vlm_reply reply = {0};
    struct writer w = {.r = r};
    struct prompt p;
    int e;

    atomic_store(&m->cancel, false);
    if (r->grammar && r->grammar->state_size > GRAMMAR_MAX_STATE)
        return err_set(err, -EINVAL, "The grammar's state has %zu bytes; at most %d fit.",
                       r->grammar->state_size, GRAMMAR_MAX_STATE);
    if ((e = prompt_build(m, r, &p, err)) < 0)
        return e;
    e = prefill(m, &p, &reply, err);
    if (e == 0) {
        int64_t start = clock_now_us();
        e = decode(m, r, &p, &w, &reply, err);
        reply.decode_us = clock_now_us() - start;
    }
    /* Cancelled is an answer, not a failure: what was said so far is in it. */
    if (e == -ECANCELED) {
        writer_add(&w, NULL, 0, true);
        reply.stop = VLM_STOP_CANCELLED;
        e = 0;
    }
    if (e == 0) {
        reply.n_text = w.text.n;
        reply.text = str_take(&w.text);
        *ret = reply;
    }
    str_done(&w.raw);
    str_done(&w.text);
    prompt_done(&p);
    return e;
}

void vlm_reply_done(struct vlm_reply *r)
{
    free(r->text);
    r->text = NULL;
    r->n_text = 0;
}

int vlm_tokenize(const struct vlm *m, const char *text, size_t n, bool parse_special,
                 int32_t **ret_ids, int *ret_n, struct err *err)
{
    return bpe_encode(m->bpe, text, n, parse_special, ret_ids, ret_n, err);
}

char *vlm_detokenize(const struct vlm *m, const int32_t *ids, int n, bool skip_special)
{
    return bpe_decode(m->bpe, ids, n, skip_special);
}

int vlm_logits(struct vlm *m, const struct vlm_request *r, float **ret, struct err *err)
{
    struct vlm_reply stats = {0};
    struct prompt p;
    int e;

    atomic_store(&m->cancel, false);
    if ((e = prompt_build(m, r, &p, err)) < 0)
        return e;
    if ((e = prefill(m, &p, &stats, err)) == 0) {
        *ret = mem_alloc(sizeof(float) * (size_t)m->config.n_vocab);
        memcpy(*ret, m->logits, sizeof(float) * (size_t)m->config.n_vocab);
    }
    prompt_done(&p);
    return e;
}

int vlm_encode_image(struct vlm *m, const struct patches *p, float **ret, struct err *err)
{
    int r = check_patches(m, p, err);

    return r < 0 ? r : vit_encode(&m->vit, m->b, p, NULL, ret, err);
}

int vlm_prompt(const struct vlm *m, const struct vlm_request *r, int32_t **ret_ids,
               int32_t **ret_pos, int *ret_n, struct err *err)
{
    struct prompt p;
    int e = prompt_build(m, r, &p, err);

    if (e < 0)
        return e;
    *ret_ids = p.ids;
    *ret_pos = p.pos;
    *ret_n = p.n;
    p.ids = p.pos = NULL;
    prompt_done(&p);
    return 0;
}
