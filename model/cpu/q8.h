/* The inner loops on quantised weights (model/quant.h). Rows of activations are rounded to int8
 * first, 256 values at a time with a scale of their own, so a product is a sum of bytes: exact in
 * int32 on every machine, then scaled in f32. q8_vec.h holds the loops once; q8_generic.c,
 * q8_avx2.c, q8_avxvnni.c and q8_avx512.c compile it for their machine. */
#ifndef DESKHAND_MODEL_CPU_Q8_H
#define DESKHAND_MODEL_CPU_Q8_H

#include "model/quant.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define Q8_TILE_ROWS 12

/* What belongs to 256 values of a row beside the values. */
struct q8_scale {
    float scale;
    int32_t sum; /* of the rounded values */
};

struct q8_kernels {
    /* n values of src to q [n up to a multiple of 256, filled with 0] and s [n / 256]. */
    void (*quantize)(int n, const float *src, int8_t *q, struct q8_scale *s);
    /* Sums of 32 values each, [n / 32]. */
    void (*group_sums)(int n, const int8_t *q, int32_t *ret);
    /* c [m, 32] = (add ? c : 0) + bias [32] + x W^T for n inputs, beginning at a block; bias may be
     * NULL; m <= 12. q [m, ld], s [m, ld_s]. */
    void (*tile8)(int m, bool add, const float *bias, int n, const uint8_t *w, const int8_t *q,
                  size_t ld, const struct q8_scale *s, size_t ld_s, float *c, size_t ldc);
    /* One row on int4: c [32] = ...; group: its sums */
    void (*row4)(bool add, const float *bias, int n, const uint8_t *w, const int8_t *q,
                 const struct q8_scale *s, const int32_t *group, float *c);
    /* int4 groups of n inputs become int8 blocks. The values of a block get one scale, so they are
     * rounded once more, to 1/127 of the block's largest. */
    void (*widen4)(int n, const uint8_t *w4, uint8_t *w8);
    /* As in kernels.h, on bytes. */
    float (*burn)(int n);
    int burn_ops;
};

extern const struct q8_kernels q8_generic;
#ifdef __x86_64__
extern const struct q8_kernels q8_avx2, q8_avxvnni, q8_avx512;
#endif

#endif
