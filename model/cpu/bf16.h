/* The inner loops of the bf16 precision: products of bf16 pairs with f32 sums (vdpbf16ps). bf16.c
 * and bf16_attn.c are compiled for AVX512_BF16 and reached only after cpu.c asked the CPU.
 *
 * A pair is two neighbours of the inner dimension in one 32-bit lane. The left operand of a product
 * lies in rows of pairs and is broadcast; the right one in rows of 16 (or 32, 48) lanes of
 * pairs. */
#ifndef DESKHAND_MODEL_CPU_BF16_H
#define DESKHAND_MODEL_CPU_BF16_H

#include "model/cpu/cpu.h"

#define KV_BLOCK 128 /* positions of V that lie side by side */

struct bf16_kernels {
    /* Rounds to nearest even; dst gets n values and zeros up to n_pad. */
    void (*pack_row)(int n, int n_pad, const float *src, uint16_t *dst);
    /* c [m, 32] = (add ? c : 0) + bias [32] + a [m, 2 k2] b [k2, 32, 2]; bias may be NULL; m <=
     * 12 */
    void (*tile)(int m, bool add, const float *bias, int k2, const uint16_t *a, size_t lda,
                 const uint16_t *b, float *c, size_t ldc);
    /* One row of n_panels panels: c [32 n_panels] = ... */
    void (*row)(int n_panels, bool add, const float *bias, int k2, const uint16_t *a,
                const uint16_t *b, float *c);
    /* Values of n_rows positions, from a multiple of 32 on: to [d, KV_BLOCK]; what follows up to
     * the next multiple of 32 becomes 0. */
    void (*put_values)(int n_rows, int d, const float *v, size_t ld, uint16_t *to);
    /* One tile of queries against all the keys that it sees. */
    void (*attend)(const struct attend *a, const struct attend_tile *t);
    float (*burn)(int n);
    int burn_flops;
};

extern const struct bf16_kernels kernels_bf16;

static inline uint16_t bf16_from_f32(float f)
{
    union {
        float f;
        uint32_t u;
    } v = {.f = f};
    if ((v.u & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(v.u >> 16 | 64); /* a NaN stays one */
    return (uint16_t)((v.u + 0x7fff + (v.u >> 16 & 1)) >> 16);
}

#endif
