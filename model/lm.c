/* The decoder of Qwen2.5-VL. For every layer
 *
 *     x += o(attention(rotate(qkv(norm1 x)), cache))       grouped queries, causal
 *     x += down(silu(gate(norm2 x)) * up(norm2 x))
 *
 * and logits = head(norm x), where the head may be the embedding. */
#include "model/lm.h"

#include "base/mem.h"
#include "model/lora.h"
#include "model/mrope.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static int load_layer(struct lm *m, struct lm_layer *k, int i, struct load *l, struct err *err)
{
    int d = m->d, n_q = m->n_head * m->d_head, n_kv = m->n_kv_head * m->d_head, r;
    struct load_part qkv[] = {{"model.layers.%d.self_attn.q_proj", n_q},
                              {"model.layers.%d.self_attn.k_proj", n_kv},
                              {"model.layers.%d.self_attn.v_proj", n_kv}};
    struct load_part o = {"model.layers.%d.self_attn.o_proj", d};
    struct load_part gate_up[] = {{"model.layers.%d.mlp.gate_proj", m->n_inner},
                                  {"model.layers.%d.mlp.up_proj", m->n_inner}};
    struct load_part down = {"model.layers.%d.mlp.down_proj", d};

    if ((r = load_vector(l, i, "model.layers.%d.input_layernorm.weight", d, &k->norm1, err)) < 0 ||
        (r = load_vector(l, i, "model.layers.%d.post_attention_layernorm.weight", d, &k->norm2,
                         err)) < 0 ||
        (r = load_linear(l, i, qkv, 3, d, true, &k->qkv, err)) < 0 ||
        (r = load_linear(l, i, &o, 1, n_q, false, &k->o, err)) < 0 ||
        (r = load_linear(l, i, gate_up, 2, d, false, &k->gate_up, err)) < 0 ||
        (r = load_linear(l, i, &down, 1, m->n_inner, false, &k->down, err)) < 0)
        return r;
    load_step(l);
    return 0;
}

static void alloc_scratch(struct lm *m, struct backend *b)
{
    size_t n = LM_CHUNK, half = (size_t)m->d_head / 2;
    size_t n_q = (size_t)m->n_head * (size_t)m->d_head;
    size_t n_kv = (size_t)m->n_kv_head * (size_t)m->d_head;

    m->x = b->buffer(b, sizeof(float) * n * (size_t)m->d, true);
    m->h = b->buffer(b, sizeof(float) * n * MAX((size_t)m->d, n_q), true);
    m->qkv = b->buffer(b, sizeof(float) * n * (n_q + 2 * n_kv), true);
    m->wide = b->buffer(b, sizeof(float) * n * 2 * (size_t)m->n_inner, true);
    m->inner = b->buffer(b, sizeof(float) * n * (size_t)m->n_inner, true);
    m->cosine = b->buffer(b, sizeof(float) * n * half, false);
    m->sine = b->buffer(b, sizeof(float) * n * half, false);
}

/* Loads, or tells an adapter of, all that comes from the checkpoint. */
static int walk(struct lm *m, const struct vlm_config *c, struct load *l, struct err *err)
{
    struct load_part head = {"lm_head", c->n_vocab};
    struct load_part tied = {"model.embed_tokens", c->n_vocab};
    const char *embed = "model.embed_tokens.weight";
    int64_t shape[] = {m->n_vocab, m->d};
    struct lora_file *f = l->adapt ? lora_of(l->adapt) : l->lora;
    int r;

    if (c->tie_embeddings && f && lora_file_saved(f, embed))
        return err_set(err, -ENOTSUP,
                       "The adapter replaces %s, which is this model's head too; that is not "
                       "supported.",
                       embed);
    r = l->adapt ? lora_adapt_table(l->adapt, l, embed, shape, 2, &m->embed, err)
                 : load_shaped(l, embed, shape, 2, &m->embed, err);
    for (int i = 0; i < m->n_layers && r == 0; i++)
        r = load_layer(m, &m->layers[i], i, l, err);
    if (r == 0)
        r = load_vector(l, 0, "model.norm.weight", m->d, &m->norm, err);
    /* The head decides between close words: a byte at least. */
    if (l->b->pack_as == WEIGHT_INT4)
        l->b->pack_as = WEIGHT_INT8;
    if (r == 0)
        r = load_linear(l, 0, c->tie_embeddings ? &tied : &head, 1, m->d, false, &m->head, err);
    return r;
}

int lm_load(struct lm *m, const struct vlm_config *c, int n_ctx, struct load *l, struct err *err)
{
    *m = (struct lm){.d = c->d_model, .n_head = c->n_heads, .n_kv_head = c->n_kv_heads,
                     .d_head = c->d_head, .n_inner = c->d_ff, .n_layers = c->n_layers,
                     .n_vocab = c->n_vocab, .n_ctx = n_ctx, .eps = c->rms_eps,
                     .theta = c->rope_theta};
    memcpy(m->section, c->mrope_section, sizeof(m->section));
    m->layers = mem_zalloc(sizeof(*m->layers) * (size_t)m->n_layers);
    int r = walk(m, c, l, err);
    if (r == 0) {
        if (!c->tie_embeddings)
            l->n_params += (int64_t)m->n_vocab * m->d;
        alloc_scratch(m, l->b);
    }
    return r;
}

int lm_adapt(struct lm *m, const struct vlm_config *c, struct load *l, struct err *err)
{
    return walk(m, c, l, err);
}

void lm_done(struct lm *m, struct backend *b)
{
    for (int i = 0; i < m->n_layers && m->layers; i++) {
        struct lm_layer *k = &m->layers[i];
        b->buffer_done(b, k->norm1);
        b->buffer_done(b, k->norm2);
        b->weight_done(b, &k->qkv);
        b->weight_done(b, &k->o);
        b->weight_done(b, &k->gate_up);
        b->weight_done(b, &k->down);
    }
    b->weight_done(b, &m->head);
    free(m->layers);
    b->buffer_done(b, m->norm);
    b->buffer_done(b, m->x);
    b->buffer_done(b, m->h);
    b->buffer_done(b, m->qkv);
    b->buffer_done(b, m->wide);
    b->buffer_done(b, m->inner);
    b->buffer_done(b, m->cosine);
    b->buffer_done(b, m->sine);
}

void lm_embed(const struct lm *m, int32_t id, float *ret)
{
    tensor_to_f32(m->embed.parts[0].dtype, m->embed.parts[0].data, (size_t)id * (size_t)m->d,
                  (size_t)m->d, ret);
}

void lm_cache_init(struct lm_cache *k, const struct lm *m, struct backend *b, int n_ctx)
{
    *k = (struct lm_cache){n_ctx, m->n_layers,
                           mem_zalloc(sizeof(*k->layers) * (size_t)m->n_layers)};
    for (int i = 0; i < m->n_layers; i++)
        (m->kv_int8 ? b->kv_alloc_int8 : b->kv_alloc)(b, m->n_kv_head, m->d_head, n_ctx,
                                                      &k->layers[i]);
}

void lm_cache_done(struct lm_cache *k, struct backend *b)
{
    for (int i = 0; i < k->n_layers; i++)
        b->kv_done(b, &k->layers[i]);
    free(k->layers);
    *k = (struct lm_cache){0};
}

/* Every sequence's rows against its own keys. Of a single sequence, queries from row `from` on. */
static void attention(struct lm *m, struct backend *b, int layer, const struct lm_run *runs,
                      int n_runs, int from)
{
    size_t n_q = (size_t)m->n_head * (size_t)m->d_head;
    size_t n_kv = (size_t)m->n_kv_head * (size_t)m->d_head, ld = n_q + 2 * n_kv;
    float *q = m->qkv, *out = m->h;

    for (int s = 0; s < n_runs; s++) {
        const struct lm_run *r = &runs[s];
        struct kv_store *kv = &r->cache->layers[layer];
        struct span all = {0, r->n - from};
        b->kv_put(b, kv, q + n_q, q + n_q + n_kv, ld, r->n, r->past);
        b->attend(b, &(struct attend){
                         .q = q + (size_t)from * ld, .ld_q = ld, .out = out, .ld_out = n_q,
                         .n_head = m->n_head, .scale = 1.0f / sqrtf((float)m->d_head), .kv = kv,
                         .spans = &all, .n_spans = 1, .causal = true, .base = r->past + from});
        q += (size_t)r->n * ld;
        out += (size_t)r->n * n_q;
    }
}

int lm_forward(struct lm *m, struct backend *b, const struct lm_run *runs, int n_runs,
               const int32_t *pos, int ld_pos, const atomic_bool *cancel, struct err *err)
{
    size_t d = (size_t)m->d, n_q = (size_t)m->n_head * (size_t)m->d_head;
    size_t n_kv = (size_t)m->n_kv_head * (size_t)m->d_head, ld = n_q + 2 * n_kv;
    size_t ff = (size_t)m->n_inner, half = (size_t)m->d_head / 2;
    int n = 0;

    for (int s = 0; s < n_runs; s++) {
        CHECK(runs[s].n >= 1 && runs[s].past + runs[s].n <= runs[s].cache->n_ctx);
        n += runs[s].n;
    }
    CHECK(n >= 1 && n <= LM_CHUNK);
    mrope_angles(pos, ld_pos, n, m->d_head, m->section, m->theta, m->cosine, m->sine);
    for (int i = 0; i < m->n_layers; i++) {
        struct lm_layer *k = &m->layers[i];
        /* After the last layer's keys and values are stored only the wanted rows go on. */
        int from = i == m->n_layers - 1 && n_runs == 1 ? n - MAX(1, runs[0].n_out) : 0;
        int rows = n - from;
        float *x = m->x + (size_t)from * d;

        if (cancel && atomic_load(cancel)) {
            b->sync(b, NULL); /* the rows may be written again */
            return err_set(err, -ECANCELED, "Cancelled.");
        }
        b->rms_norm(b, m->x, k->norm1, n, m->d, m->eps, m->h);
        lora_run(b, &k->qkv, m->h, d, n, m->qkv, ld, false);
        b->rope(b, m->qkv + (size_t)from * ld, ld, rows, m->n_head, m->d_head,
                m->cosine + (size_t)from * half, m->sine + (size_t)from * half);
        b->rope(b, m->qkv + n_q, ld, n, m->n_kv_head, m->d_head, m->cosine, m->sine);
        attention(m, b, i, runs, n_runs, from);
        lora_run(b, &k->o, m->h, n_q, rows, x, d, true);
        b->rms_norm(b, x, k->norm2, rows, m->d, m->eps, m->h);
        lora_run_gated(b, &k->gate_up, m->h, d, rows, m->wide, m->inner);
        lora_run(b, &k->down, m->inner, ff, rows, x, d, true);
    }
    return b->sync(b, err);
}

int lm_logits(struct lm *m, struct backend *b, int row, int n, float *ret, struct err *err)
{
    b->rms_norm(b, m->x + (size_t)row * (size_t)m->d, m->norm, n, m->d, m->eps, m->h);
    lora_run(b, &m->head, m->h, (size_t)m->d, n, ret, (size_t)m->n_vocab, false);
    return b->sync(b, err);
}
