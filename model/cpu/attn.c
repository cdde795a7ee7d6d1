/* Attention in tiles that never build the whole score matrix (Dao et al. 2022, "FlashAttention",
 * algorithm 1, with the running maximum and sum of Milakov and Gimelshein 2018).
 *
 * Keys are stored in panels of 32 positions, [d_head][32], so scores of 32 keys are one tile of the
 * same kernel that multiplies weights, and values are rows padded to 32 columns, so the weighted
 * sum is one too. Which keys a query sees is a range of positions, never a mask. */
#include "model/cpu/cpu.h"

#include <math.h>
#include <string.h>

#define Q_ROWS 48
#define K_COLS 256

void cpu_kv_alloc(struct backend *b, int n_head, int d_head, int n_cap, struct kv_store *ret)
{
    struct kv_store kv = {
        .n_head = n_head, .d_head = d_head, .n_cap = ROUND_UP(n_cap, PANEL)};
    size_t rows = (size_t)n_head * (size_t)kv.n_cap * sizeof(float);
    size_t n_k = rows * (size_t)d_head, n_v = rows * (size_t)ROUND_UP(d_head, PANEL);

    kv.k = mem_aligned(n_k);
    kv.v = mem_aligned(n_v);
    kv.n_bytes = n_k + n_v;
    *ret = kv;
}

void cpu_kv_done(struct backend *b, struct kv_store *kv)
{
    free(kv->k);
    free(kv->v);
    free(kv->scales);
    free(kv->k_scale);
    free(kv->v_scale);
    memset(kv, 0, sizeof(*kv));
}

struct put {
    struct kv_store *kv;
    const float *k, *v;
    size_t ld;
    int n, pos, rows_per_task;
};

static void put_task(void *ctx, int task)
{
    const struct put *p = ctx;
    struct kv_store *kv = p->kv;
    int d = kv->d_head, d_pad = ROUND_UP(d, PANEL);
    int begin = task * p->rows_per_task, end = MIN(p->n, begin + p->rows_per_task);

    for (int h = 0; h < kv->n_head; h++) {
        for (int i = begin; i < end; i++) {
            int pos = p->pos + i;
            const float *k = p->k + (size_t)i * p->ld + (size_t)h * (size_t)d;
            const float *v = p->v + (size_t)i * p->ld + (size_t)h * (size_t)d;
            float *to = (float *)kv->k +
                        ((size_t)h * (size_t)kv->n_cap + (size_t)(pos - pos % PANEL)) * (size_t)d +
                        pos % PANEL;
            for (int j = 0; j < d; j++)
                to[(size_t)j * PANEL] = k[j];
            memcpy((float *)kv->v + ((size_t)h * (size_t)kv->n_cap + (size_t)pos) * (size_t)d_pad,
                   v, sizeof(float) * (size_t)d);
        }
    }
}

void cpu_kv_put(struct backend *b, struct kv_store *kv, const float *k, const float *v, size_t ld,
                int n, int pos)
{
    struct put p = {kv, k, v, ld, n, pos, 128};

    pool_run(((struct cpu *)b)->pool, ROUND_UP(n, 128) / 128, put_task, &p);
}

struct job {
    const struct kernels *k;
    const struct attend *a;
    const struct attend_tile *tiles;
    int n_tiles;
};

/* How many of the keys k0..k0+n-1 query row i of the tile sees. */
static int n_visible(const struct attend *a, const struct attend_tile *t, int i, int k0, int n)
{
    int end = a->causal ? a->base + t->q_begin + i + 1 : t->k_end;

    return CLAMP(end - k0, 0, n);
}

/* One head of one tile of queries against all the keys it sees. */
static void attend_task(void *ctx, int task)
{
    const struct job *job = ctx;
    const struct attend *a = job->a;
    const struct kernels *kern = job->k;
    const struct kv_store *kv = a->kv;
    int h = task / job->n_tiles, hk = h / (a->n_head / kv->n_head);
    /* Late tiles see the most keys: first. */
    const struct attend_tile *t = &job->tiles[job->n_tiles - 1 - task % job->n_tiles];
    size_t d = (size_t)kv->d_head, d_pad = ROUND_UP(d, (size_t)PANEL);
    const float *q = a->q + (size_t)t->q_begin * a->ld_q + (size_t)h * d;
    const float *k = (const float *)kv->k + (size_t)hk * (size_t)kv->n_cap * d;
    const float *v = (const float *)kv->v + (size_t)hk * (size_t)kv->n_cap * d_pad;
    float s[Q_ROWS * K_COLS] __attribute__((aligned(64)));
    float o[Q_ROWS * BACKEND_MAX_D_HEAD] __attribute__((aligned(64)));
    float row_top[Q_ROWS], row_sum[Q_ROWS];
    int k_end = a->causal ? a->base + t->q_begin + t->n_q : t->k_end;

    memset(o, 0, sizeof(float) * (size_t)t->n_q * d_pad);
    for (int i = 0; i < t->n_q; i++) {
        row_top[i] = -INFINITY;
        row_sum[i] = 0;
    }
    for (int k0 = t->k_begin / PANEL * PANEL; k0 < k_end; k0 += K_COLS) {
        int n_real = MIN(K_COLS, k_end - k0), n = ROUND_UP(n_real, PANEL);
        int skip = MAX(0, t->k_begin - k0);
        for (int i = 0; i < t->n_q; i += TILE_ROWS) {
            int rows = MIN(TILE_ROWS, t->n_q - i);
            for (int j = 0; j < n; j += PANEL)
                kern->tile(rows, false, kv->d_head, q + (size_t)i * a->ld_q, a->ld_q,
                           k + (size_t)(k0 + j) * d, PANEL, s + i * K_COLS + j, K_COLS);
        }
        for (int i = 0; i < t->n_q; i++) {
            float *row = s + i * K_COLS;
            int seen = n_visible(a, t, i, k0, n_real);
            if (seen <= skip) {
                memset(row, 0, sizeof(float) * (size_t)n);
                continue;
            }
            for (int j = 0; j < skip; j++)
                row[j] = -INFINITY;
            for (int j = seen; j < n; j++)
                row[j] = -INFINITY;
            float top = MAX(row_top[i], kern->row_max(n, row) * a->scale);
            float shrink = expf(row_top[i] - top);
            float sum = kern->row_exp(n, row, a->scale, top);
            row_sum[i] = row_sum[i] * shrink + sum;
            if (shrink != 1.0f)
                kern->row_scale((int)d_pad, o + (size_t)i * d_pad, shrink);
            row_top[i] = top;
        }
        for (int i = 0; i < t->n_q; i += TILE_ROWS)
            for (size_t j = 0; j < d_pad; j += PANEL)
                kern->tile(MIN(TILE_ROWS, t->n_q - i), true, n_real - skip, s + i * K_COLS + skip,
                           K_COLS, v + (size_t)(k0 + skip) * d_pad + j, d_pad,
                           o + (size_t)i * d_pad + j, d_pad);
    }
    for (int i = 0; i < t->n_q; i++) {
        float *to = a->out + (size_t)(t->q_begin + i) * a->ld_out + (size_t)h * d;
        float f = 1.0f / row_sum[i];
        for (size_t j = 0; j < d; j++)
            to[j] = o[(size_t)i * d_pad + j] * f;
    }
}

void cpu_attend(struct backend *b, const struct attend *a)
{
    struct cpu *c = (struct cpu *)b;
    int n = 0, cap = 0;

    for (int i = 0; i < a->n_spans; i++)
        cap += (a->spans[i].end - a->spans[i].begin + Q_ROWS - 1) / Q_ROWS;
    cpu_tiles(c, cap);
    for (int i = 0; i < a->n_spans; i++) {
        const struct span *s = &a->spans[i];
        for (int q = s->begin; q < s->end; q += Q_ROWS)
            c->tiles[n++] = (struct attend_tile){.q_begin = q, .n_q = MIN(Q_ROWS, s->end - q),
                                                 .k_begin = a->causal ? 0 : s->begin,
                                                 .k_end = s->end};
    }
    struct job job = {c->k, a, c->tiles, n};
    pool_run(c->pool, a->n_head * n, attend_task, &job);
}
