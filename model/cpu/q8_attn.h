/* Attention in bytes: q8_attn.c and q8_attn_put.c have the inner loops (AVX512_VNNI), q8_kv.c
 * spreads the work. */
#ifndef DESKHAND_MODEL_CPU_Q8_ATTN_H
#define DESKHAND_MODEL_CPU_Q8_ATTN_H

#include "model/cpu/cpu.h"

#define Q8_KEYS 128 /* keys that share a scale, and positions of V that lie side by side */

/* kv_store.scales; one allocation. k: 128 + bytes, [n_head, n_cap, d_head up to a multiple of 4];
 * v: [n_head, n_cap / Q8_KEYS, d_head up to a multiple of 8, Q8_KEYS]. */
struct q8_kv_scales {
    float *k;                /* [n_head, n_cap / Q8_KEYS] */
    float *k_mean;           /* [n_head, d_head] */
    float *v_mean, *v_scale; /* [n_head, d_head] */
};

/* Of n columns, over some rows. */
struct q8_columns {
    float *sum, *least, *most;
};

struct q8_attn_kernels {
    void (*columns)(int n_rows, int n, const float *x, size_t ld, const struct q8_columns *ret);
    /* At most Q8_KEYS rows of d to their places; keys return their scale. */
    float (*put_keys)(int n_rows, int d, const float *x, size_t ld, const float *mean, uint8_t *to);
    void (*put_values)(int n_rows, int d, const float *x, size_t ld, const float *mean,
                       const float *scale, int8_t *to);
    /* One head of one tile of queries against the keys k_begin..k_end-1. */
    void (*attend)(const struct attend *a, const struct attend_tile *t);
};

extern const struct q8_attn_kernels q8_attn_avx512;

#endif
