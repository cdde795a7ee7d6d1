/* The engine behind vlm.h: a prompt becomes token ids and positions, pictures become rows (or are
 * found in the feature cache), what the KV cache already holds is skipped, the rest runs through
 * the language model in chunks, and tokens are chosen one at a time.
 *
 * The KV cache belongs to the last call. A new prompt keeps the beginning it shares with it, which
 * for an agent is everything before the newest screenshot. */
#include "model/engine.h"

#include "base/clock.h"
#include "base/mem.h"
#include "model/kv.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void seq_init(struct seq *s, const struct vlm *m, int n_ctx)
{
    lm_cache_init(&s->cache, &m->lm, m->b, n_ctx);
    s->keys = mem_alloc(sizeof(*s->keys) * (size_t)n_ctx);
    s->n_keys = 0;
}

void seq_done(struct seq *s, const struct vlm *m)
{
    lm_cache_done(&s->cache, m->b);
    free(s->keys);
    *s = (struct seq){0};
}

void vlm_close(struct vlm *m)
{
    if (!m)
        return;
    if (m->b) {
        adapter_close_all(m);
        seq_done(&m->seq, m);
        vit_done(&m->vit, m->b);
        lm_done(&m->lm, m->b);
        m->b->buffer_done(m->b, m->logits);
        m->b->close(m->b);
    }
    for (int i = 0; i < ENGINE_FEATURES; i++)
        free(m->features[i].rows);
    draft_done(&m->told);
    bpe_close(m->bpe);
    lora_file_close(m->merged);
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

/* A Hugging Face cache has the model's name in a folder above. */
static enum vlm_no_think guess_no_think(const char *dir)
{
    AUTO_FREE char *path = realpath(dir, NULL);

    if (!path || !strcasestr(path, "mimo-vl"))
        return VLM_NO_THINK_NONE;
    return strstr(strcasestr(path, "mimo-vl"), "2508") ? VLM_NO_THINK_SUFFIX : VLM_NO_THINK_PREFILL;
}

static int open_parts(struct vlm *m, const char *dir, const struct vlm_options *o, struct err *err)
{
    int r, n_ctx = o->n_ctx;

    if ((r = source_open(dir, o->mmproj, &m->src, err)) < 0 ||
        (r = source_config(m->src, &m->config, err)) < 0 ||
        (r = source_tokenizer(m->src, &m->bpe, err)) < 0)
        return r;
    m->config.no_think = o->no_think ? o->no_think : guess_no_think(dir);
    const struct vlm_config *c = &m->config;
    if (n_ctx < 0 || n_ctx > c->n_ctx)
        return err_set(err, -EINVAL, "%d tokens of context asked for; the model has %d.", n_ctx,
                       c->n_ctx);
    if (n_ctx == 0)
        n_ctx = MIN(c->n_ctx, 16384);
    int vit_head = c->vit.depth ? c->vit.d_model / c->vit.n_heads : 0;
    if (c->d_head > BACKEND_MAX_D_HEAD || vit_head > BACKEND_MAX_D_HEAD)
        return err_set(err, -EINVAL, "Attention heads of %d and %d (vision); at most %d fit.",
                       c->d_head, vit_head, BACKEND_MAX_D_HEAD);
    if ((r = adapter_merged(m, o, err)) < 0 ||
        (r = backend_open(o->backend, o->precision, o->n_threads, &m->b, err)) < 0)
        return r;
    struct load l = {.src = m->src, .b = m->b, .lora = m->merged, .merge = true,
                     .n_steps = c->n_layers + c->vit.depth,
                     .on_progress = o->on_progress, .user = o->user};
    const char *weights = o->weights ? o->weights : source_packed(m->src);
    if (!weights) /* what was small in the file should not become large in memory unasked */
        weights = !o->precision && source_is_quantised(m->src) ? "int8" : "as is";
    bool is_int4 = strcmp(weights, "int4") == 0,
         is_packed = is_int4 || strcmp(weights, "int8") == 0;
    if (!is_packed && strcmp(weights, "as is") != 0)
        return err_set(err, -EINVAL, "Unknown weights \"%s\"; expected as is, int8 or int4.",
                       weights);
    bool kv_int8 = o->kv && strcmp(o->kv, "int8") == 0;
    if (o->kv && !kv_int8 && strcmp(o->kv, "as is") != 0)
        return err_set(err, -EINVAL,
                       "Unknown way to keep keys and values \"%s\"; expected as is or int8.",
                       o->kv);
    if (kv_int8 && !m->b->kv_alloc_int8)
        return err_set(err, -ENOTSUP,
                       "Keys and values are kept as int8 by the backend avx512bf16 only, and this "
                       "is %s.",
                       m->b->name);
    m->b->pack_as = is_packed ? WEIGHT_INT8 : WEIGHT_F32;
    if (c->vit.depth && (r = vit_load(&m->vit, c, &l, err)) < 0)
        return r;
    m->b->pack_as = is_int4 ? WEIGHT_INT4 : m->b->pack_as;
    size_t vision_bytes = l.bytes;
    if ((r = lm_load(&m->lm, c, n_ctx, &l, err)) < 0)
        return r;
    m->lm.kv_int8 = kv_int8;
    m->b->pack_as = WEIGHT_F32; /* adapters stay as they are */
    if ((r = adapter_open_all(m, o, err)) < 0)
        return r;
    m->n_params = l.n_params;
    m->weight_bytes = l.bytes;
    m->token_bytes = l.bytes - vision_bytes;
    seq_init(&m->seq, m, n_ctx);
    size_t n_logits = (size_t)c->n_vocab * (1 + DRAFT_MAX);
    m->logits = m->b->buffer(m->b, sizeof(float) * n_logits, false);
    return m->b->sync(m->b, err);
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
                             .view_w = c->view_w, .view_h = c->view_h, .looks = c->looks,
                             .vit_depth = c->vit.depth, .vit_d_model = c->vit.d_model,
                             .n_threads = m->b->n_threads, .weight_bytes = m->weight_bytes,
                             .token_bytes = m->token_bytes};
    for (int i = 0; i < m->seq.cache.n_layers; i++)
        ret->kv_bytes += m->seq.cache.layers[i].n_bytes;
    snprintf(ret->name, sizeof(ret->name), "%s", m->name);
    snprintf(ret->backend, sizeof(ret->backend), "%s", m->b->name);
}

void vlm_cancel(struct vlm *m)
{
    atomic_store(&m->cancel, true);
}

/* Features of a picture: from the cache, or encoded now and kept. */
static int features_of(struct vlm *m, const struct patches *p, bool *counted,
                       struct vlm_reply *stats, const float **ret, struct err *err)
{
    struct feature *oldest = &m->features[0];
    uint64_t hash = p->hash ^ adapter_vision_salt(m);
    float *rows;

    for (int i = 0; i < ENGINE_FEATURES; i++) {
        struct feature *f = &m->features[i];
        if (f->rows && f->hash == hash && f->t == p->grid_t && f->h == p->grid_h &&
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
    int r = vit_encode(&m->vit, m->b, p, m->flag, &rows, err);
    stats->vision_us += clock_now_us() - start;
    if (r < 0)
        return r;
    stats->n_visual += *counted ? 0 : patches_n_tokens(p);
    *counted = true;
    free(oldest->rows);
    *oldest = (struct feature){hash, p->grid_t, p->grid_h, p->grid_w, rows, ++m->n_uses};
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

void engine_reuse(struct seq *s, const struct prompt *p, struct vlm_reply *stats)
{
    s->n_keys = MIN(kv_common(s->keys, s->n_keys, p->keys, p->n), p->n - 1);
    stats->n_prompt = p->n;
    stats->n_reused = s->n_keys;
}

int engine_prefill(struct vlm *m, struct seq *s, const struct prompt *p, float *logits,
                   struct vlm_reply *stats, struct err *err)
{
    int at = s->n_keys, n = MIN(LM_CHUNK, p->n - at), r;
    int64_t start = clock_now_us(), vision = stats->vision_us;
    struct lm_run run = {&s->cache, n, at, 1};

    if ((r = embed(m, p, at, at + n, stats, err)) < 0 ||
        (r = lm_forward(&m->lm, m->b, &run, 1, p->pos + at, p->n, m->flag, err)) < 0)
        return r;
    memcpy(s->keys + at, p->keys + at, sizeof(*p->keys) * (size_t)n);
    s->n_keys += n;
    if (s->n_keys == p->n && (r = lm_logits(&m->lm, m->b, n - 1, 1, logits, err)) < 0)
        return r;
    stats->prefill_us += clock_now_us() - start - (stats->vision_us - vision);
    return s->n_keys == p->n;
}

int engine_prefill_all(struct vlm *m, const struct prompt *p, struct vlm_reply *stats,
                       struct err *err)
{
    int r;

    m->flag = &m->cancel;
    engine_reuse(&m->seq, p, stats);
    while ((r = engine_prefill(m, &m->seq, p, m->logits, stats, err)) == 0)
        ;
    return MIN(r, 0);
}

int vlm_generate(struct vlm *m, const struct vlm_request *r, struct vlm_reply *ret, struct err *err)
{
    struct vlm_reply reply = {0};
    struct speech speech = {.seq = &m->seq}, *one = &speech;
    struct prompt p;
    int e;

    atomic_store(&m->cancel, false);
    if ((e = adapter_use(m, r->lora, r->lora_scale, err)) < 0 ||
        (e = prompt_build(m, r, &p, err)) < 0)
        return e;
    if ((e = decoder_init(&speech.decoder, m->bpe, &m->config, r, err)) < 0) {
        prompt_done(&p);
        speech_done(&speech);
        return e;
    }
    e = engine_prefill_all(m, &p, &reply, err);
    if (e == 0) {
        int64_t start = clock_now_us();
        speech_begin(m, &speech, &p);
        while ((e = speech_take(m, &speech, m->logits, DRAFT_MAX, &m->cancel, err)) == 1 &&
               (e = speech_step(m, &one, 1, &m->cancel, err)) == 0)
            ;
        speech_end(m, &speech);
        reply.decode_us = clock_now_us() - start;
    }
    /* Cancelled is an answer, not a failure: what was said so far is in it. */
    if (e == -ECANCELED) {
        speech.decoder.reply.stop = VLM_STOP_CANCELLED;
        e = 0;
    }
    if (e == 0) {
        decoder_take(&speech.decoder, &reply);
        *ret = reply;
    }
    speech_done(&speech);
    prompt_done(&p);
    return e;
}

void vlm_reply_done(struct vlm_reply *r)
{
    free(r->text);
    free(r->tokens);
    r->text = NULL;
    r->tokens = NULL;
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
    if ((e = adapter_use(m, r->lora, r->lora_scale, err)) < 0 ||
        (e = prompt_build(m, r, &p, err)) < 0)
        return e;
    if ((e = engine_prefill_all(m, &p, &stats, err)) == 0) {
        *ret = mem_alloc(sizeof(float) * (size_t)m->config.n_vocab);
        memcpy(*ret, m->logits, sizeof(float) * (size_t)m->config.n_vocab);
    }
    prompt_done(&p);
    return e;
}

int vlm_encode_image(struct vlm *m, const struct patches *p, float **ret, struct err *err)
{
    int r = prompt_check_patches(m, p, p && p->n_temporal > 1, err);

    if (r == 0)
        r = adapter_use(m, NULL, 0, err);
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
