/* The vision tower of Qwen2.5-VL at native resolution. For every block
 *
 *     x += proj(attention(rotate(qkv(norm1 x))))      in windows, in some blocks over the frame
 *     x += down(silu(gate(norm2 x)) * up(norm2 x))
 *
 * Patches are sorted into window order first, so a window is a range of rows; the merger's output
 * is sorted back. Frames never see each other. */
#include "model/vit.h"

#include "base/mem.h"
#include "model/lora.h"
#include "model/mrope.h"
#include "model/window.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define EPS 1e-6f     /* fixed by the architecture, whatever the configuration says */
#define MLP_ROWS 512 /* of the wide middle of a block, to stay in cache */

/* The embedding is a convolution whose stride is its size: a matrix. */
static int load_patch_embedding(struct vit *v, const struct vlm_config *c, struct load *l,
                                struct err *err)
{
    int p = c->vit.patch_size, t = c->vit.temporal_patch_size, d = v->d;
    int64_t shape[] = {d, 3, t, p, p};
    struct source_tensor embed;
    const char *name = "visual.patch_embed.proj.weight";
    struct load own = *l;
    struct weight video, still_image;

    if (l->adapt) {
        own.lora = lora_of(l->adapt);
        if (!lora_file_saved(own.lora, name))
            return 0;
    }
    int r = load_shaped(&own, name, shape, 5, &embed, err);
    if (r < 0)
        return r;
    size_t pp = (size_t)p * (size_t)p, still = 3 * pp, full = still * (size_t)t;
    AUTO_FREE float *row = mem_alloc(sizeof(float) * full);
    AUTO_FREE float *sum = mem_zalloc(sizeof(float) * still * (size_t)d);
    for (size_t o = 0; o < (size_t)d; o++) {
        tensor_to_f32(embed.parts[0].dtype, embed.parts[0].data, o * full, full, row);
        for (size_t ch = 0; ch < 3; ch++)
            for (size_t s = 0; s < (size_t)t; s++)
                for (size_t i = 0; i < pp; i++)
                    sum[o * still + ch * pp + i] += row[(ch * (size_t)t + s) * pp + i];
    }
    struct weight_part part = {embed.parts[0].data, embed.parts[0].dtype, d};
    l->b->weight_pack(l->b, &part, 1, (int)full, NULL, &video);
    struct weight_part image = {sum, TENSOR_F32, d};
    l->b->weight_pack(l->b, &image, 1, (int)still, NULL, &still_image);
    if (l->adapt) {
        lora_adapt_swap(l->adapt, &v->patch_video, &video);
        lora_adapt_swap(l->adapt, &v->patch_image, &still_image);
        return 0;
    }
    v->patch_video = video;
    v->patch_image = still_image;
    l->n_params += (int64_t)full * d;
    return 0;
}

static int load_block(struct vit *v, struct vit_block *k, int i, struct load *l, struct err *err)
{
    int d = v->d, m = v->n_inner, r;
    struct load_part qkv = {"visual.blocks.%d.attn.qkv", 3 * d};
    struct load_part proj = {"visual.blocks.%d.attn.proj", d};
    struct load_part gate_up[] = {{"visual.blocks.%d.mlp.gate_proj", m},
                                  {"visual.blocks.%d.mlp.up_proj", m}};
    struct load_part down = {"visual.blocks.%d.mlp.down_proj", d};

    if ((r = load_vector(l, i, "visual.blocks.%d.norm1.weight", d, &k->norm1, err)) < 0 ||
        (r = load_vector(l, i, "visual.blocks.%d.norm2.weight", d, &k->norm2, err)) < 0 ||
        (r = load_linear(l, i, &qkv, 1, d, true, &k->qkv, err)) < 0 ||
        (r = load_linear(l, i, &proj, 1, d, true, &k->proj, err)) < 0 ||
        (r = load_linear(l, i, gate_up, 2, d, true, &k->gate_up, err)) < 0 ||
        (r = load_linear(l, i, &down, 1, m, true, &k->down, err)) < 0)
        return r;
    load_step(l);
    return 0;
}

/* Loads, or tells an adapter of, all that comes from the checkpoint. */
static int walk(struct vit *v, const struct vlm_config *c, struct load *l, struct err *err)
{
    int r = load_patch_embedding(v, c, l, err);

    for (int i = 0; i < v->n_blocks && r == 0; i++)
        r = load_block(v, &v->blocks[i], i, l, err);
    return r < 0 ? r : merger_load(&v->merger, c, l, err);
}

int vit_adapt(struct vit *v, const struct vlm_config *c, struct load *l, struct err *err)
{
    return walk(v, c, l, err);
}

int vit_load(struct vit *v, const struct vlm_config *c, struct load *l, struct err *err)
{
    *v = (struct vit){.d = c->vit.d_model, .n_head = c->vit.n_heads, .n_inner = c->vit.d_ff,
                      .merge = c->vit.merge_size, .n_blocks = c->vit.depth};
    v->side = MAX(1, c->vit.window_size / c->vit.patch_size / c->vit.merge_size);
    v->blocks = mem_zalloc(sizeof(*v->blocks) * (size_t)v->n_blocks);
    v->is_full = mem_zalloc(sizeof(bool) * (size_t)v->n_blocks);
    for (int i = 0; i < c->vit.n_full; i++)
        if (c->vit.full[i] >= 0 && c->vit.full[i] < v->n_blocks)
            v->is_full[c->vit.full[i]] = true;
    return walk(v, c, l, err);
}

static void scratch_done(struct vit *v, struct backend *b)
{
    b->buffer_done(b, v->x);
    b->buffer_done(b, v->h);
    b->buffer_done(b, v->qkv);
    b->buffer_done(b, v->wide);
    b->buffer_done(b, v->cosine);
    b->buffer_done(b, v->sine);
    b->kv_done(b, &v->kv);
    if (v->has_bytes)
        b->kv_done(b, &v->kv_bytes);
    v->n_scratch = 0;
}

void vit_done(struct vit *v, struct backend *b)
{
    for (int i = 0; i < v->n_blocks && v->blocks; i++) {
        struct vit_block *k = &v->blocks[i];
        b->buffer_done(b, k->norm1);
        b->buffer_done(b, k->norm2);
        b->weight_done(b, &k->qkv);
        b->weight_done(b, &k->proj);
        b->weight_done(b, &k->gate_up);
        b->weight_done(b, &k->down);
    }
    b->weight_done(b, &v->patch_image);
    b->weight_done(b, &v->patch_video);
    merger_done(&v->merger, b);
    if (v->n_scratch)
        scratch_done(v, b);
    free(v->blocks);
    free(v->is_full);
}

/* Swaps groups of `unit` rows of d floats into window order. */
static void gather_groups(const int *group, int n_groups, size_t unit_bytes, const void *src,
                          void *dst)
{
    for (int i = 0; i < n_groups; i++)
        memcpy((char *)dst + (size_t)i * unit_bytes,
               (const char *)src + (size_t)group[i] * unit_bytes, unit_bytes);
}

/* The patches' pixels through the embedding, out [n, d]. */
static void embed_patches(struct vit *v, struct backend *b, const struct patches *p, int n,
                          float *out)
{
    const struct weight *w = p->n_temporal == 1 ? &v->patch_image : &v->patch_video;
    size_t bytes = sizeof(float) * (size_t)n * (size_t)w->n_in;
    float *copy = b->is_host ? NULL : b->buffer(b, bytes, true);

    if (copy)
        memcpy(copy, p->rows, bytes);
    lora_run(b, w, copy ? copy : p->rows, (size_t)w->n_in, n, out, (size_t)v->d, false);
    b->sync(b, NULL);
    b->buffer_done(b, copy);
}

/* Rows and columns of the patches in window order, then their angles, [n, d_head/2]. */
static void angles(const struct vit *v, const struct patches *p, const struct window_plan *w,
                   float *ret_cos, float *ret_sin)
{
    int per_frame = p->grid_h * p->grid_w, n = per_frame * p->grid_t;
    size_t unit = (size_t)(v->merge * v->merge);
    AUTO_FREE int *place = mem_alloc(sizeof(int) * 4 * (size_t)n);
    int *row = place, *col = place + n, *row_w = col + n, *col_w = row_w + n;

    for (int f = 0; f < p->grid_t; f++)
        window_patch_places(p->grid_h, p->grid_w, v->merge, row + (size_t)f * (size_t)per_frame,
                            col + (size_t)f * (size_t)per_frame);
    gather_groups(w->group, w->n_groups, unit * sizeof(int), row, row_w);
    gather_groups(w->group, w->n_groups, unit * sizeof(int), col, col_w);
    mrope_vision_angles(row_w, col_w, n, v->d / v->n_head, ret_cos, ret_sin);
}

/* The parts of a block before and after attention go over the rows in pieces that stay in cache. */
static void before_attention(struct vit *v, const struct vit_block *k, struct backend *b, int n,
                             bool in_bytes)
{
    size_t d = (size_t)v->d;
    int d_head = v->d / v->n_head;

    for (int i = 0; i < n; i += MLP_ROWS) {
        int rows = MIN(MLP_ROWS, n - i);
        float *qkv = v->qkv + (size_t)i * 3 * d;
        const float *cosine = v->cosine + (size_t)i * (size_t)(d_head / 2);
        const float *sine = v->sine + (size_t)i * (size_t)(d_head / 2);
        b->rms_norm(b, v->x + (size_t)i * d, k->norm1, rows, v->d, EPS, v->h);
        lora_run(b, &k->qkv, v->h, d, rows, qkv, 3 * d, false);
        /* queries, and the keys behind them */
        b->rope(b, qkv, 3 * d, rows, 2 * v->n_head, d_head, cosine, sine);
        if (!in_bytes)
            b->kv_put(b, &v->kv, qkv + d, qkv + 2 * d, 3 * d, rows, i);
    }
    if (in_bytes)
        b->kv_put(b, &v->kv_bytes, v->qkv + d, v->qkv + 2 * d, 3 * d, n, 0);
}

/* h: what attention gave; its first rows are used again once they are read. */
static void after_attention(struct vit *v, const struct vit_block *k, struct backend *b, int n)
{
    size_t d = (size_t)v->d, m = (size_t)v->n_inner;
    float *wide = v->wide, *inner = wide + MLP_ROWS * 2 * m;

    for (int i = 0; i < n; i += MLP_ROWS) {
        int rows = MIN(MLP_ROWS, n - i);
        float *x = v->x + (size_t)i * d;
        lora_run(b, &k->proj, v->h + (size_t)i * d, d, rows, x, d, true);
        b->rms_norm(b, x, k->norm2, rows, v->d, EPS, v->h);
        lora_run_gated(b, &k->gate_up, v->h, d, rows, wide, inner);
        lora_run(b, &k->down, inner, m, rows, x, d, true);
    }
}

/* Fresh pages for every picture would cost more than its norms. */
static void scratch_for(struct vit *v, struct backend *b, int n)
{
    size_t d = (size_t)v->d, un = (size_t)n, half = d / (size_t)v->n_head / 2;

    if (n <= v->n_scratch)
        return;
    if (v->n_scratch)
        scratch_done(v, b);
    v->x = b->buffer(b, sizeof(float) * un * d, true);
    v->h = b->buffer(b, sizeof(float) * MAX(un, MLP_ROWS) * d, true);
    v->qkv = b->buffer(b, sizeof(float) * un * 3 * d, true);
    v->wide = b->buffer(b, sizeof(float) * MLP_ROWS * 3 * (size_t)v->n_inner, true);
    v->cosine = b->buffer(b, sizeof(float) * un * half, false);
    v->sine = b->buffer(b, sizeof(float) * un * half, false);
    b->kv_alloc(b, v->n_head, (int)half * 2, n, &v->kv);
    v->has_bytes = v->blocks[0].qkv.kind == WEIGHT_INT8 &&
                   b->kv_alloc_bytes(b, v->n_head, (int)half * 2, n, &v->kv_bytes);
    v->n_scratch = n;
}

int vit_encode(struct vit *v, struct backend *b, const struct patches *p,
               const atomic_bool *cancel, float **ret_rows, struct err *err)
{
    int n = p->grid_t * p->grid_h * p->grid_w, d_head = v->d / v->n_head;
    size_t d = (size_t)v->d, unit = (size_t)(v->merge * v->merge);
    struct window_plan w;
    int r = 0;

    scratch_for(v, b, n);
    float *x = v->x, *h = v->h;
    window_plan(p->grid_t, p->grid_h, p->grid_w, v->merge, v->side, &w);

    embed_patches(v, b, p, n, h);
    gather_groups(w.group, w.n_groups, unit * d * sizeof(float), h, x);
    angles(v, p, &w, v->cosine, v->sine);
    for (int i = 0; i < v->n_blocks; i++) {
        const struct vit_block *k = &v->blocks[i];
        if (cancel && atomic_load(cancel)) {
            r = err_set(err, -ECANCELED, "Cancelled while the picture was being encoded.");
            break;
        }
        bool in_bytes = v->has_bytes && v->is_full[i];
        before_attention(v, k, b, n, in_bytes);
        b->attend(b, &(struct attend){.q = v->qkv,
                                      .ld_q = 3 * d,
                                      .out = h,
                                      .ld_out = d,
                                      .n_head = v->n_head,
                                      .scale = 1.0f / sqrtf((float)d_head),
                                      .kv = in_bytes ? &v->kv_bytes : &v->kv,
                                      .spans = v->is_full[i] ? w.frames : w.windows,
                                      .n_spans = v->is_full[i] ? w.n_frames : w.n_windows});
        after_attention(v, k, b, n);
    }
    if (r == 0) {
        size_t d_out = (size_t)v->merger.out.n_out, bytes = sizeof(float) * d_out;
        float *merged = b->buffer(b, bytes * (size_t)w.n_groups, false);
        float *rows = mem_alloc(bytes * (size_t)w.n_groups);
        merger_run(&v->merger, b, x, w.n_groups, v->d, merged);
        r = b->sync(b, err);
        for (int i = 0; i < w.n_groups; i++)
            memcpy(rows + (size_t)w.group[i] * d_out, merged + (size_t)i * d_out, bytes);
        b->buffer_done(b, merged);
        if (r < 0)
            free(rows);
        else
            *ret_rows = rows;
    }
    window_plan_done(&w);
    return r;
}
