/* Linear layers in bf16: the register tile is 12 rows x 32 columns, 24 accumulators fed by two
 * loads of the packed weight and 12 broadcasts, so the multipliers and not the loads are the limit.
 * See bf16.h. */
#include "model/cpu/across.h"
#include "model/cpu/bf16.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 24")

INLINE __m512bh pair_of(const uint16_t *p)
{
    int32_t v;

    memcpy(&v, p, sizeof(v));
    return (__m512bh)_mm512_set1_epi32(v);
}

INLINE __m512bh load(const uint16_t *p)
{
    return (__m512bh)_mm512_loadu_si512(p);
}

static void pack_row(int n, int n_pad, const float *src, uint16_t *dst)
{
    int i = 0;

    for (; i + 32 <= n; i += 32)
        _mm512_storeu_si512(dst + i, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(src + i + 16),
                                                                  _mm512_loadu_ps(src + i)));
    for (; i < n_pad; i += 16) {
        __m512 x = _mm512_maskz_loadu_ps(across_first(n - i), src + i);
        _mm256_mask_storeu_epi16(dst + i, across_first(n_pad - i), (__m256i)_mm512_cvtneps_pbh(x));
    }
}

/* m is a constant after inlining. */
INLINE void tile_fixed(const int m, bool add, const float *bias, int k2, const uint16_t *a,
                       size_t lda, const uint16_t *b, float *c, size_t ldc)
{
    __m512 acc[12][2];
    __m512 b0 = bias ? _mm512_loadu_ps(bias) : _mm512_setzero_ps();
    __m512 b1 = bias ? _mm512_loadu_ps(bias + 16) : _mm512_setzero_ps();

    UNROLL for (int i = 0; i < m; i++)
    {
        acc[i][0] = add ? _mm512_add_ps(b0, _mm512_loadu_ps(c + i * ldc)) : b0;
        acc[i][1] = add ? _mm512_add_ps(b1, _mm512_loadu_ps(c + i * ldc + 16)) : b1;
    }
    for (int j = 0; j < k2; j++) {
        __m512bh w0 = load(b), w1 = load(b + 32);
        UNROLL for (int i = 0; i < m; i++)
        {
            __m512bh x = pair_of(a + i * lda);
            acc[i][0] = _mm512_dpbf16_ps(acc[i][0], x, w0);
            acc[i][1] = _mm512_dpbf16_ps(acc[i][1], x, w1);
        }
        a += 2;
        b += 64;
    }
    UNROLL for (int i = 0; i < m; i++)
    {
        _mm512_storeu_ps(c + i * ldc, acc[i][0]);
        _mm512_storeu_ps(c + i * ldc + 16, acc[i][1]);
    }
}

/* One row, two panels at a time, so that additions wait less for the ones before. The sums have the
 * same order as in a tile: a token's numbers do not depend on how many others come with it. */
INLINE void row_fixed(const int n, bool add, const float *bias, int k2, const uint16_t *a,
                      const uint16_t *b, float *c)
{
    __m512 acc[4];
    size_t panel = (size_t)k2 * 64;

    UNROLL for (int u = 0; u < 2 * n; u++)
    {
        acc[u] = bias ? _mm512_loadu_ps(bias + 16 * u) : _mm512_setzero_ps();
        if (add)
            acc[u] = _mm512_add_ps(acc[u], _mm512_loadu_ps(c + 16 * u));
    }
    for (int j = 0; j < k2; j++, a += 2, b += 64) {
        __m512bh x = pair_of(a);
        UNROLL for (int u = 0; u < n; u++)
        {
            const uint16_t *w = b + u * panel;
            _mm_prefetch((const char *)(w + 2048), _MM_HINT_T0);
            _mm_prefetch((const char *)(w + 2048 + 32), _MM_HINT_T0);
            acc[2 * u] = _mm512_dpbf16_ps(acc[2 * u], x, load(w));
            acc[2 * u + 1] = _mm512_dpbf16_ps(acc[2 * u + 1], x, load(w + 32));
        }
    }
    UNROLL for (int u = 0; u < 2 * n; u++) _mm512_storeu_ps(c + 16 * u, acc[u]);
}

static void row(int n_panels, bool add, const float *bias, int k2, const uint16_t *a,
                const uint16_t *b, float *c)
{
    for (; n_panels >= 2;
         n_panels -= 2, b += (size_t)k2 * 128, c += 64, bias = bias ? bias + 64 : NULL)
        row_fixed(2, add, bias, k2, a, b, c);
    for (; n_panels > 0; n_panels--, b += (size_t)k2 * 64, c += 32, bias = bias ? bias + 32 : NULL)
        row_fixed(1, add, bias, k2, a, b, c);
}

static void tile(int m, bool add, const float *bias, int k2, const uint16_t *a, size_t lda,
                 const uint16_t *b, float *c, size_t ldc)
{
    switch (m) {
#define CASE(i)                                                                                    \
    case i:                                                                                        \
        tile_fixed(i, add, bias, k2, a, lda, b, c, ldc);                                           \
        break;
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
        CASE(7)
        CASE(8)
        CASE(9)
        CASE(10)
        CASE(11)
        CASE(12)
#undef CASE
    }
}

/* 24 independent chains in registers: what a core can do at most. */
static float burn(int n)
{
    __m512 acc[24];
    __m512bh x = (__m512bh)_mm512_set1_epi32(0x3f003f00), y = x;

    UNROLL for (int i = 0; i < 24; i++) acc[i] = _mm512_set1_ps((float)i);
    for (int j = 0; j < n; j++)
        UNROLL for (int i = 0; i < 24; i++) acc[i] = _mm512_dpbf16_ps(acc[i], x, y);
    for (int i = 1; i < 24; i++)
        acc[0] = _mm512_add_ps(acc[0], acc[i]);
    return _mm512_reduce_add_ps(acc[0]);
}

/* bf16_attn.c */
void bf16_put_values(int n_rows, int d, const float *v, size_t ld, uint16_t *to);
void bf16_attend(const struct attend *a, const struct attend_tile *t);

const struct bf16_kernels kernels_bf16 = {pack_row, tile,        row,  bf16_put_values,
                                          bf16_attend, burn, 24 * 64};
