/* Attention in bf16, flash style like attn.c, but turned around: a lane is a query, so that the
 * running maximum, the exponentials and the sums of 16 queries are plain vector operations.
 *
 *     S^T [keys, queries]  = K [keys, d] Q^T        8 keys x 16 QV queries in registers
 *     O^T [d, queries]    += V^T [d, keys] P^T      8 rows of V^T x 16 QV queries in registers
 *
 * K lies in rows, V transposed in blocks of KV_BLOCK positions, both bf16. Scores leave the
 * registers as bf16 weights already: the maximum that they are taken against may be stale by GROWTH
 * (powers of two), which f32 sums do not mind, so a new one is rare; then what is not summed up yet
 * is, and the sums are scaled. Few queries: the heads that share keys are lanes too. */
#include "model/cpu/across.h"
#include "model/cpu/bf16.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 24")
#define LANES ATTEND_LANES
#define STEP 8        /* keys, or rows of V^T, in registers */
#define GROWTH 8.0f   /* of a weight before the maximum is renewed: 2^8 */
#define HIDDEN -1e30f /* score of a key that a query does not see */

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

/* 2^x to 7e-5, a quarter of what bf16 keeps. */
INLINE __m512 exp2_of(__m512 x)
{
    __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_sub_ps(x, n);
    __m512 p = _mm512_fmadd_ps(r, _mm512_set1_ps(0.05517167f), _mm512_set1_ps(0.24261115f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.69326099f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.99992807f));
    return _mm512_scalef_ps(p, n);
}

/* Two rows of weights, at least 0, become lanes of pairs; rounded to nearest. */
INLINE __m512i pairs_of(__m512 even, __m512 odd)
{
    __m512i half = _mm512_set1_epi32(0x8000);
    __m512i e = _mm512_srli_epi32(_mm512_add_epi32(_mm512_castps_si512(even), half), 16);
    __m512i o = _mm512_add_epi32(_mm512_castps_si512(odd), half);

    return _mm512_mask_blend_epi16(0xaaaaaaaa, e, o);
}

struct state {
    const uint16_t *k, *v; /* of the head: [.., d], [.. / KV_BLOCK, d_rows, KV_BLOCK] */
    int d, d_rows;         /* d_rows: d up to a multiple of STEP */
    int k_begin;
    float top[LANES], sum[LANES];                                       /* running */
    int32_t end[LANES];                                                 /* of the keys it sees */
    uint16_t q[BACKEND_MAX_D_HEAD * LANES];                             /* [d / 2, 16 QV, 2] */
    uint16_t p[(KV_BLOCK + STEP) * LANES];                              /* [keys / 2, 16 QV, 2] */
    float o[(BACKEND_MAX_D_HEAD + STEP) * LANES] __attribute__((aligned(64))); /* [d, 16 QV] */
    /* Of a store in int8, instead of k and v; the block at hand is widened to wide_k and wide_v. */
    const int8_t *k8, *v8;
    const float *k_scale, *v_scale; /* [n_cap] */
    uint16_t wide_k[KV_BLOCK * BACKEND_MAX_D_HEAD];
    uint16_t wide_v[(BACKEND_MAX_D_HEAD + STEP) * KV_BLOCK];
};

/* n bytes times a scale each; at most 16. */
INLINE void widen(__mmask16 some, const int8_t *src, __m512 scale, uint16_t *dst)
{
    __m512 x = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(some, src)));

    _mm256_mask_storeu_epi16(dst, some, (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(x, scale)));
}

/* What is behind n_keys is widened too and never used. */
static void widen_block(struct state *s, int k0, int n_keys)
{
    for (int i = 0; i < n_keys; i++) {
        const int8_t *k = s->k8 + (size_t)(k0 + i) * (size_t)s->d;
        __m512 scale = _mm512_set1_ps(s->k_scale[k0 + i]);
        for (int j = 0; j < s->d; j += 16)
            widen(s->d - j < 16 ? (__mmask16)((1 << (s->d - j)) - 1) : 0xffff, k + j, scale,
                  s->wide_k + i * s->d + j);
    }
    const int8_t *v = s->v8 + (size_t)k0 * (size_t)s->d_rows;
    for (int i = 0; i < n_keys; i += 16) {
        __m512 scale = _mm512_loadu_ps(s->v_scale + k0 + i);
        for (int j = 0; j < s->d; j++)
            widen(0xffff, v + j * KV_BLOCK + i, scale, s->wide_v + j * KV_BLOCK + i);
    }
}

/* Adds the keys from..to-1 of the block at k0 to the sums of all rows; `from` is even. */
INLINE void weigh(const int QV, struct state *s, int k0, int from, int to)
{
    const uint16_t *block = s->v8 ? s->wide_v : s->v + (size_t)k0 * (size_t)s->d_rows;
    int n2 = (to - from + 1) / 2;

    for (int row = 0; row < s->d_rows; row += STEP) {
        const uint16_t *v = block + (size_t)row * KV_BLOCK + (from - k0);
        const uint16_t *p = s->p + (size_t)(from - k0) / 2 * (size_t)QV * 32;
        float *o = s->o + row * QV * 16;
        __m512 acc[STEP][3];
        UNROLL for (int i = 0; i < STEP; i++) UNROLL for (int l = 0; l < QV; l++)
            acc[i][l] = _mm512_load_ps(o + (i * QV + l) * 16);
        for (int j = 0; j < n2; j++, v += 2, p += QV * 32) {
            __m512bh w[3];
            UNROLL for (int l = 0; l < QV; l++) w[l] = load(p + l * 32);
            UNROLL for (int i = 0; i < STEP; i++)
            {
                __m512bh x = pair_of(v + i * KV_BLOCK);
                UNROLL for (int l = 0; l < QV; l++)
                    acc[i][l] = _mm512_dpbf16_ps(acc[i][l], x, w[l]);
            }
        }
        UNROLL for (int i = 0; i < STEP; i++) UNROLL for (int l = 0; l < QV; l++)
            _mm512_store_ps(o + (i * QV + l) * 16, acc[i][l]);
    }
}

/* Raises the maxima that have grown. The other lanes are multiplied by one, so that no query's
 * answer depends on which others are in its tile. */
INLINE void renew(const int QV, struct state *s, const __mmask16 *grown, const __m512 *most,
                  __m512 *top, __m512 *sum)
{
    UNROLL for (int l = 0; l < QV; l++)
    {
        __m512 next = _mm512_mask_mov_ps(top[l], grown[l], most[l]);
        __m512 f = _mm512_mask_mov_ps(_mm512_set1_ps(1), grown[l],
                                      exp2_of(_mm512_sub_ps(top[l], next)));
        top[l] = next;
        sum[l] = _mm512_mul_ps(sum[l], f);
        for (int i = 0; i < s->d_rows; i++) {
            float *o = s->o + (i * QV + l) * 16;
            _mm512_store_ps(o, _mm512_mul_ps(_mm512_load_ps(o), f));
        }
    }
}

INLINE void run(const int QV, struct state *s, int k_end, int all_see)
{
    __m512 top[3], sum[3];
    const __m512bh ones = (__m512bh)_mm512_set1_epi32(0x3f803f80);
    int d2 = s->d / 2;

    UNROLL for (int l = 0; l < QV; l++)
    {
        top[l] = _mm512_set1_ps(-1e38f);
        sum[l] = _mm512_setzero_ps();
    }
    memset(s->o, 0, sizeof(float) * (size_t)(s->d_rows * QV * 16));
    for (int k0 = s->k_begin / KV_BLOCK * KV_BLOCK; k0 < k_end; k0 += KV_BLOCK) {
        int from = k0 > s->k_begin ? k0 : s->k_begin / STEP * STEP;
        int to = k0 + KV_BLOCK < k_end ? k0 + KV_BLOCK : k_end;
        const uint16_t *keys = s->k8 ? s->wide_k : s->k + (size_t)k0 * (size_t)s->d;
        if (s->k8)
            widen_block(s, k0, ROUND_UP(to - k0, STEP));
        for (int key = from; key < to; key += STEP) {
            const uint16_t *k = keys + (size_t)(key - k0) * (size_t)s->d, *q = s->q;
            __m512 acc[STEP][3], most[3];
            UNROLL for (int i = 0; i < STEP; i++) UNROLL for (int l = 0; l < QV; l++)
                acc[i][l] = _mm512_setzero_ps();
            for (int j = 0; j < d2; j++, k += 2, q += QV * 32) {
                __m512bh w[3];
                UNROLL for (int l = 0; l < QV; l++) w[l] = load(q + l * 32);
                UNROLL for (int i = 0; i < STEP; i++)
                {
                    __m512bh x = pair_of(k + i * s->d);
                    UNROLL for (int l = 0; l < QV; l++)
                        acc[i][l] = _mm512_dpbf16_ps(acc[i][l], x, w[l]);
                }
            }
            if (key < s->k_begin || key + STEP > all_see) {
                UNROLL for (int l = 0; l < QV; l++)
                {
                    __m512i end = _mm512_loadu_si512(s->end + l * 16);
                    UNROLL for (int i = 0; i < STEP; i++)
                    {
                        __mmask16 m = _mm512_cmpgt_epi32_mask(end, _mm512_set1_epi32(key + i));
                        if (key + i < s->k_begin)
                            m = 0;
                        acc[i][l] = _mm512_mask_mov_ps(_mm512_set1_ps(HIDDEN), m, acc[i][l]);
                    }
                }
            }
            __mmask16 grown[3], any = 0;
            UNROLL for (int l = 0; l < QV; l++)
            {
                __m512 a = _mm512_max_ps(_mm512_max_ps(acc[0][l], acc[1][l]),
                                         _mm512_max_ps(acc[2][l], acc[3][l]));
                __m512 b = _mm512_max_ps(_mm512_max_ps(acc[4][l], acc[5][l]),
                                         _mm512_max_ps(acc[6][l], acc[7][l]));
                most[l] = _mm512_max_ps(a, b);
                grown[l] = _mm512_cmp_ps_mask(
                    most[l], _mm512_add_ps(top[l], _mm512_set1_ps(GROWTH)), _CMP_GT_OQ);
                any |= grown[l];
            }
            if (__builtin_expect(any != 0, 0)) {
                weigh(QV, s, k0, from, key);
                renew(QV, s, grown, most, top, sum);
                from = key;
            }
            uint16_t *p = s->p + (size_t)(key - k0) / 2 * (size_t)QV * 32;
            UNROLL for (int l = 0; l < QV; l++)
            {
                UNROLL for (int i = 0; i < STEP; i += 2)
                {
                    __m512 even = exp2_of(_mm512_sub_ps(acc[i][l], top[l]));
                    __m512 odd = exp2_of(_mm512_sub_ps(acc[i + 1][l], top[l]));
                    __m512i pair = pairs_of(even, odd);
                    /* what is rounded is what is summed: weights are one together */
                    sum[l] = _mm512_dpbf16_ps(sum[l], (__m512bh)pair, ones);
                    _mm512_storeu_si512(p + (i / 2 * QV + l) * 32, pair);
                }
            }
        }
        weigh(QV, s, k0, from, to);
    }
    UNROLL for (int l = 0; l < QV; l++)
    {
        _mm512_storeu_ps(s->top + l * 16, top[l]);
        _mm512_storeu_ps(s->sum + l * 16, sum[l]);
    }
}

/* 16 rows of d floats, NULL: zeros, times scale to lanes of pairs, ld values apart. */
static void put_queries(const float *const row[16], int d, float scale, uint16_t *to, int ld)
{
    __m512 f = _mm512_set1_ps(scale);

    for (int j = 0; j < d; j += 32) {
        int n_pairs = MIN(16, (d - j) / 2);
        __mmask16 m0 = across_first(d - j), m1 = across_first(d - j - 16);
        __m512i r[16];
        UNROLL for (int i = 0; i < 16; i++)
        {
            r[i] = _mm512_setzero_si512();
            if (row[i])
                r[i] = (__m512i)_mm512_cvtne2ps_pbh(
                    _mm512_mul_ps(_mm512_maskz_loadu_ps(m1, row[i] + j + 16), f),
                    _mm512_mul_ps(_mm512_maskz_loadu_ps(m0, row[i] + j), f));
        }
        across_16(r);
        UNROLL for (int i = 0; i < 16; i++)
            if (i < n_pairs)
                _mm512_storeu_si512(to + (size_t)(j / 2 + i) * (size_t)ld, r[i]);
    }
}

/* Lanes of sums, ld floats apart, times f become rows. */
static void take_answers(const float *o, int ld, int d, __m512 f, float *const row[16])
{
    for (int j = 0; j < d; j += 16) {
        __mmask16 m = across_first(d - j);
        __m512i r[16];
        UNROLL for (int i = 0; i < 16; i++)
            r[i] = _mm512_castps_si512(
                i < d - j ? _mm512_mul_ps(_mm512_loadu_ps(o + (size_t)(j + i) * (size_t)ld), f)
                          : _mm512_setzero_ps());
        across_16(r);
        UNROLL for (int i = 0; i < 16; i++)
            if (row[i])
                _mm512_mask_storeu_ps(row[i] + j, m, _mm512_castsi512_ps(r[i]));
    }
}

void bf16_attend(const struct attend *a, const struct attend_tile *t);
void bf16_attend(const struct attend *a, const struct attend_tile *t)
{
    const struct kv_store *kv = a->kv;
    int d = kv->d_head, n_lanes = t->n_q * t->n_heads, width = (n_lanes + 15) / 16 * 16;
    int hk = t->head / (a->n_head / kv->n_head), all_see = INT32_MAX;
    int k_end = a->causal ? a->base + t->q_begin + t->n_q : t->k_end;
    float scale = a->scale * 1.44269504f; /* powers of two instead of e */
    const float *from[LANES];
    float *to[LANES];
    struct state s; /* large: what is not set is not read */

    s.d = d;
    s.d_rows = ROUND_UP(d, STEP);
    s.k_begin = t->k_begin;
    size_t row = (size_t)hk * (size_t)kv->n_cap;
    bool is_int8 = kv->k_scale != NULL;
    s.k = is_int8 ? NULL : (const uint16_t *)kv->k + row * (size_t)d;
    s.v = is_int8 ? NULL : (const uint16_t *)kv->v + row * (size_t)s.d_rows;
    s.k8 = is_int8 ? (const int8_t *)kv->k + row * (size_t)d : NULL;
    s.v8 = is_int8 ? (const int8_t *)kv->v + row * (size_t)s.d_rows : NULL;
    s.k_scale = is_int8 ? kv->k_scale + row : NULL;
    s.v_scale = is_int8 ? kv->v_scale + row : NULL;
    for (int l = 0; l < width; l++) {
        int i = l / t->n_heads, h = t->head + l % t->n_heads;
        size_t q = (size_t)(t->q_begin + i), col = (size_t)h * (size_t)d;
        s.end[l] = l < n_lanes && a->causal ? a->base + t->q_begin + i + 1 : k_end;
        all_see = MIN(all_see, s.end[l]);
        from[l] = l < n_lanes ? a->q + q * a->ld_q + col : NULL;
        to[l] = l < n_lanes ? a->out + q * a->ld_out + col : NULL;
    }
    for (int l = 0; l < width; l += 16)
        put_queries(from + l, d, scale, s.q + 2 * l, 2 * width);
    switch (width) {
    case 16:
        run(1, &s, k_end, all_see);
        break;
    case 32:
        run(2, &s, k_end, all_see);
        break;
    default:
        run(3, &s, k_end, all_see);
    }
    for (int l = 0; l < width; l += 16) {
        __m512 f = _mm512_div_ps(_mm512_set1_ps(1), _mm512_loadu_ps(s.sum + l));
        take_answers(s.o + l, width, d, f, to + l);
    }
}

/* Two rows at a time are pairs; 32 positions of a column are a line. */
void bf16_put_values(int n_rows, int d, const float *v, size_t ld, uint16_t *to);
void bf16_put_values(int n_rows, int d, const float *v, size_t ld, uint16_t *to)
{
    for (int i = 0; i < n_rows; i += 32)
        for (int j = 0; j < d; j += 16) {
            __mmask16 m = across_first(d - j);
            __m512i r[16];
            UNROLL for (int p = 0; p < 16; p++)
            {
                __m512 zero = _mm512_setzero_ps(), even = zero, odd = zero;
                const float *from = v + (size_t)(i + 2 * p) * ld + j;
                if (i + 2 * p < n_rows)
                    even = _mm512_maskz_loadu_ps(m, from);
                if (i + 2 * p + 1 < n_rows)
                    odd = _mm512_maskz_loadu_ps(m, from + ld);
                __m256i e = (__m256i)_mm512_cvtneps_pbh(even), o = (__m256i)_mm512_cvtneps_pbh(odd);
                r[p] = _mm512_or_si512(_mm512_cvtepu16_epi32(e),
                                       _mm512_slli_epi32(_mm512_cvtepu16_epi32(o), 16));
            }
            across_16(r);
            for (int c = 0; c < MIN(16, d - j); c++)
                _mm512_storeu_si512(to + (j + c) * KV_BLOCK + i, r[c]);
        }
}
