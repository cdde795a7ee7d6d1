/* Keys and values in bytes: how making them and attending to them is cut into tasks. Means and
 * largest values come from all rows, so a store is filled at once; they are added up in pieces of
 * the same rows whatever the number of threads. */
#include "model/cpu/q8_attn.h"

#include <math.h>
#include <string.h>

#define PIECE 256 /* rows */

bool q8_kv_alloc(struct backend *b, int n_head, int d_head, int n_cap, struct kv_store *ret)
{
    struct kv_store kv = {.n_head = n_head, .d_head = d_head, .n_cap = ROUND_UP(n_cap, Q8_KEYS)};
    size_t rows = (size_t)n_head * (size_t)kv.n_cap, cols = (size_t)(n_head * d_head);

    if (!((struct cpu *)b)->q8_attn)
        return false;
    struct q8_kv_scales *s = mem_alloc(sizeof(*s) + (rows / Q8_KEYS + 3 * cols) * sizeof(float));
    s->k = (float *)(s + 1);
    s->k_mean = s->k + rows / Q8_KEYS;
    s->v_mean = s->k_mean + cols;
    s->v_scale = s->v_mean + cols;
    kv.scales = s;
    kv.k = mem_aligned(rows * (size_t)ROUND_UP(d_head, 4));
    kv.v = mem_aligned(rows * (size_t)ROUND_UP(d_head, 8));
    *ret = kv;
    return true;
}

struct put {
    const struct q8_attn_kernels *kern;
    struct kv_store *kv;
    const float *k, *v;
    size_t ld;
    int n;
    float *found; /* [pieces, k and v, sum least most, cols] */
};

static struct q8_columns found_of(const struct put *p, int piece, int which)
{
    size_t cols = (size_t)(p->kv->n_head * p->kv->d_head);
    float *at = p->found + (size_t)(piece * 2 + which) * 3 * cols;

    return (struct q8_columns){at, at + cols, at + 2 * cols};
}

static void look_task(void *ctx, int task)
{
    const struct put *p = ctx;
    int cols = p->kv->n_head * p->kv->d_head, row = task * PIECE, n = MIN(PIECE, p->n - row);
    struct q8_columns k = found_of(p, task, 0), v = found_of(p, task, 1);

    p->kern->columns(n, cols, p->k + (size_t)row * p->ld, p->ld, &k);
    p->kern->columns(n, cols, p->v + (size_t)row * p->ld, p->ld, &v);
}

static void sum_up(const struct put *p, int n_pieces)
{
    const struct q8_kv_scales *s = p->kv->scales;

    for (int j = 0; j < p->kv->n_head * p->kv->d_head; j++) {
        double k = 0, v = 0;
        float least = INFINITY, most = -INFINITY;
        for (int i = 0; i < n_pieces; i++) {
            struct q8_columns of_v = found_of(p, i, 1);
            k += (double)found_of(p, i, 0).sum[j];
            v += (double)of_v.sum[j];
            least = MIN(least, of_v.least[j]);
            most = MAX(most, of_v.most[j]);
        }
        s->k_mean[j] = (float)(k / p->n);
        s->v_mean[j] = (float)(v / p->n);
        s->v_scale[j] = MAX(most - s->v_mean[j], s->v_mean[j] - least) / 127.0f;
    }
}

static void put_task(void *ctx, int block)
{
    const struct put *p = ctx;
    const struct kv_store *kv = p->kv;
    const struct q8_kv_scales *s = kv->scales;
    int d = kv->d_head, row = block * Q8_KEYS, n = MIN(Q8_KEYS, p->n - row);

    for (int h = 0; h < kv->n_head; h++) {
        size_t at = (size_t)row * p->ld + (size_t)(h * d), head = (size_t)h * (size_t)kv->n_cap;
        s->k[head / Q8_KEYS + (size_t)block] =
            p->kern->put_keys(n, d, p->k + at, p->ld, s->k_mean + h * d,
                              (uint8_t *)kv->k + (head + (size_t)row) * (size_t)ROUND_UP(d, 4));
        p->kern->put_values(n, d, p->v + at, p->ld, s->v_mean + h * d, s->v_scale + h * d,
                            (int8_t *)kv->v + (head + (size_t)row) * (size_t)ROUND_UP(d, 8));
    }
}

void q8_kv_put(struct backend *b, struct kv_store *kv, const float *k, const float *v, size_t ld,
               int n)
{
    struct cpu *c = (struct cpu *)b;
    int n_pieces = ROUND_UP(n, PIECE) / PIECE;
    struct put p = {c->q8_attn, kv, k, v, ld, n, .found = NULL};

    p.found =
        cpu_scratch(c, (size_t)n_pieces * 6 * (size_t)(kv->n_head * kv->d_head) * sizeof(float));
    pool_run(c->pool, n_pieces, look_task, &p);
    sum_up(&p, n_pieces);
    pool_run(c->pool, ROUND_UP(n, Q8_KEYS) / Q8_KEYS, put_task, &p);
}
