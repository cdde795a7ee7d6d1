/* The inner loops that differ between instruction sets. vec.h holds them once, written over a
 * vector of VL floats; generic.c, avx2.c and avx512.c compile it for their machine. */
#ifndef DESKHAND_MODEL_CPU_KERNELS_H
#define DESKHAND_MODEL_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PANEL 32    /* columns of a packed weight that lie side by side */
#define TILE_ROWS 12 /* rows that tile() takes at most */
#define K_BLOCK 256 /* depth of a block of a panel: 32 KiB, stays in the first cache */

struct kernels {
    const char *name;
    /* c [m, 32] = (add ? c : 0) + a [m, k] b [k, 32]; m <= TILE_ROWS */
    void (*tile)(int m, bool add, int k, const float *a, size_t lda, const float *b, size_t ldb,
                 float *c, size_t ldc);
    /* y [n, 32] += x [k] panels [n, k, 32]; every sum in the order of tile() */
    void (*row_f32)(int n, int k, const float *x, const float *panels, float *y);
    void (*row_bf16)(int n, int k, const float *x, const uint16_t *panels, float *y);
    void (*unpack_bf16)(size_t n, const uint16_t *src, float *dst); /* n: multiple of 32 */
    float (*row_max)(int n, const float *x);                        /* n: multiple of 32 */
    /* x = exp(x * scale - max), returns the sum; n: multiple of 32 */
    float (*row_exp)(int n, float *x, float scale, float max);
    void (*row_scale)(int n, float *x, float f); /* n: multiple of 32 */
    void (*rms_norm)(int n, const float *x, const float *w, float eps, float *out);
    void (*silu_mul)(int n, const float *gate, const float *up, float *out);
    void (*gelu)(int n, float *x);
    void (*rope)(int n_half, float *x, const float *cosine, const float *sine);
    /* For measuring: n rounds of burn_flops operations each; the sum of x. */
    float (*burn)(int n);
    float (*read_all)(size_t n, const float *x);
    int burn_flops;
};

extern const struct kernels kernels_generic;
#ifdef __x86_64__
extern const struct kernels kernels_avx2, kernels_avx512;
#endif

#endif
