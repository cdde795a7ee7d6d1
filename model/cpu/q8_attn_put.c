/* Keys and values become bytes (AVX512_VNNI): see q8_attn.c for what for and q8_attn.h for where
 * to. */
#include "model/cpu/across.h"
#include "model/cpu/q8_attn.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

static void columns(int n_rows, int n, const float *x, size_t ld, const struct q8_columns *ret)
{
    for (int j = 0; j < n; j += 16) {
        __mmask16 m = across_first(n - j);
        __m512 sum = _mm512_setzero_ps();
        __m512 least = _mm512_maskz_loadu_ps(m, x + j), most = least;
        for (int i = 0; i < n_rows; i++) {
            __m512 v = _mm512_maskz_loadu_ps(m, x + (size_t)i * ld + j);
            sum = _mm512_add_ps(sum, v);
            least = _mm512_min_ps(least, v);
            most = _mm512_max_ps(most, v);
        }
        _mm512_mask_storeu_ps(ret->sum + j, m, sum);
        _mm512_mask_storeu_ps(ret->least + j, m, least);
        _mm512_mask_storeu_ps(ret->most + j, m, most);
    }
}

static float put_keys(int n_rows, int d, const float *x, size_t ld, const float *mean, uint8_t *to)
{
    __m512 most = _mm512_setzero_ps();
    size_t d4 = ROUND_UP((size_t)d, 4);

    for (int i = 0; i < n_rows; i++)
        for (int j = 0; j < d; j += 16) {
            __mmask16 m = across_first(d - j);
            __m512 v = _mm512_sub_ps(_mm512_maskz_loadu_ps(m, x + (size_t)i * ld + j),
                                     _mm512_maskz_loadu_ps(m, mean + j));
            most = _mm512_max_ps(most, _mm512_abs_ps(v));
        }
    float top = _mm512_reduce_max_ps(most);
    __m512 f = _mm512_set1_ps(top > 0 ? 127.0f / top : 0);
    for (int i = 0; i < n_rows; i++, to += d4)
        for (int j = 0; j < d; j += 16) {
            __mmask16 m = across_first(d - j);
            __m512 v = _mm512_sub_ps(_mm512_maskz_loadu_ps(m, x + (size_t)i * ld + j),
                                     _mm512_maskz_loadu_ps(m, mean + j));
            __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(v, f));
            _mm512_mask_cvtepi32_storeu_epi8(to + j, m,
                                             _mm512_add_epi32(q, _mm512_set1_epi32(128)));
        }
    return top / 127.0f;
}

/* Four rows of 16 columns at a time: a column's four bytes are neighbours. */
static void put_values(int n_rows, int d, const float *x, size_t ld, const float *mean,
                       const float *scale, int8_t *to)
{
    for (int j = 0; j < d; j += 16) {
        __mmask16 m = across_first(d - j);
        __m512 off = _mm512_maskz_loadu_ps(m, mean + j);
        __m512 f = _mm512_maskz_loadu_ps(m, scale + j);
        f = _mm512_maskz_div_ps(_mm512_cmp_ps_mask(f, _mm512_setzero_ps(), _CMP_GT_OQ),
                                _mm512_set1_ps(1), f);
        for (int i = 0; i < n_rows; i += 4) {
            __m512i four = _mm512_setzero_si512();
            for (int r = MIN(3, n_rows - 1 - i); r >= 0; r--) {
                __m512 v = _mm512_maskz_loadu_ps(m, x + (size_t)(i + r) * ld + j);
                __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_sub_ps(v, off), f));
                q = _mm512_and_si512(q, _mm512_set1_epi32(255));
                four = _mm512_or_si512(four, _mm512_slli_epi32(q, 8 * r));
            }
            int32_t column[16];
            _mm512_storeu_si512(column, four);
            for (int c = 0; c < MIN(16, d - j); c++)
                memcpy(to + (j + c) * Q8_KEYS + i, &column[c], 4);
        }
    }
}

void q8_attend_tile(const struct attend *a, const struct attend_tile *t); /* q8_attn.c */

const struct q8_attn_kernels q8_attn_avx512 = {columns, put_keys, put_values, q8_attend_tile};
