/* Attention in bytes (AVX512_VNNI), where every query of a span sees every key of it: the tower's
 * frames. In the manner of SageAttention, and like bf16_attn.c a lane is a query:
 *
 *     S^T [keys, queries]  = K [keys, d] Q^T        8 keys x 16 QV queries in registers
 *     O^T [d, queries]    += V^T [d, keys] P^T      8 rows of V^T x 16 QV queries in registers
 *
 * A query has a scale, each Q8_KEYS keys of a head have one, a column of V has one. The mean key is
 * taken off first, which changes no softmax, and the mean value, which is added again at the end;
 * what is left is smaller and rounds better. Keys are the unsigned side, 128 more than they are:
 * that adds 128 times the query's sum to all its scores.
 *
 * Weights are bytes, 255 for the largest of a block of Q8_KEYS keys, so a block far below the
 * largest score keeps its resolution; a block's sums are scaled when they are added to the
 * others. */
#include "model/cpu/q8_attn.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 24")
#define LANES ATTEND_LANES
#define STEP 8 /* keys, or rows of V^T, in registers */
#define HIDDEN (-(1 << 30)) /* score of a key outside the span */
#define D_ROWS (BACKEND_MAX_D_HEAD + STEP)

/* GCC 12 copies the sums around the intrinsic, which halves the speed. */
#define DOT(acc, u, s) __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(u), "v"(s))

struct state {
    const uint8_t *k; /* of the head: [n_cap, d4] */
    const int8_t *v;  /* [n_cap / Q8_KEYS, d_rows, Q8_KEYS] */
    const float *k_scale; /* [n_cap / Q8_KEYS] */
    int d4, d_rows, begin, end;
    float sum[LANES];
    float q_scale[LANES];  /* softmax scale and log2(e) multiplied in */
    int32_t q_sum[LANES];  /* times 128 */
    int8_t q[BACKEND_MAX_D_HEAD * LANES] __attribute__((aligned(64))); /* [d4 / 4, 16 QV, 4] */
    int32_t s[Q8_KEYS * LANES] __attribute__((aligned(64)));           /* [keys, 16 QV] */
    uint8_t p[Q8_KEYS * LANES] __attribute__((aligned(64)));           /* [keys / 4, 16 QV, 4] */
    float o[D_ROWS * LANES] __attribute__((aligned(64)));              /* [d_rows, 16 QV] */
};

INLINE __m512i four_of(const void *p)
{
    int32_t v;

    memcpy(&v, p, sizeof(v));
    return _mm512_set1_epi32(v);
}

/* 2^x to 2e-3, less than what a byte keeps. */
INLINE __m512 exp2_of(__m512 x)
{
    __m512 r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512 p = _mm512_fmadd_ps(r, _mm512_set1_ps(0.33718944f), _mm512_set1_ps(0.65763633f));

    return _mm512_scalef_ps(_mm512_fmadd_ps(p, r, _mm512_set1_ps(1.00172474f)), x);
}

/* Scores of STEP keys from k on, to s; the largest so far of each query. */
INLINE void score(const int QV, const struct state *st, int key, bool edge, const uint8_t *k,
                  int32_t *s, __m512i *top)
{
    __m512i acc[STEP][3];
    const int8_t *q = st->q;
    int d4 = st->d4;

    UNROLL for (int i = 0; i < STEP; i++) UNROLL for (int l = 0; l < QV; l++)
        acc[i][l] = _mm512_setzero_si512();
    for (int j = 0; j < d4; j += 4, q += QV * 64) {
        __m512i w[3];
        UNROLL for (int l = 0; l < QV; l++) w[l] = _mm512_load_si512(q + l * 64);
        UNROLL for (int i = 0; i < STEP; i++)
        {
            __m512i x = four_of(k + i * d4 + j);
            UNROLL for (int l = 0; l < QV; l++) DOT(acc[i][l], x, w[l]);
        }
    }
    if (edge)
        for (int i = 0; i < STEP; i++)
            if (key + i < st->begin || key + i >= st->end)
                UNROLL for (int l = 0; l < QV; l++) acc[i][l] = _mm512_set1_epi32(HIDDEN);
    UNROLL for (int l = 0; l < QV; l++)
    {
        UNROLL for (int i = 0; i < STEP; i++)
        {
            top[l] = _mm512_max_epi32(top[l], acc[i][l]);
            _mm512_store_si512(s + (i * QV + l) * 16, acc[i][l]);
        }
    }
}

/* Four scores of 16 queries each become bytes, 255 2^(s f - top f). The float of a whole number
 * under 2^23, with 2^23 added, has that number in its low bits; every second weight is made 256
 * times as large, so that its byte is where it belongs. */
INLINE __m512i weights(const int QV, const int32_t *s, __m512 f, __m512 c, __m512 c8)
{
    const __mmask64 second = 0x2222222222222222ull;
    const __m512 low = _mm512_set1_ps(8388608.0f), high = _mm512_set1_ps(8388608.0f + 128.0f);
    __m512i w[4];

    UNROLL for (int i = 0; i < 4; i++)
    {
        __m512 x = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(s + i * QV * 16)), f,
                                   i % 2 ? c8 : c);
        w[i] = _mm512_castps_si512(_mm512_add_ps(exp2_of(x), i % 2 ? high : low));
    }
    w[0] = _mm512_mask_blend_epi8(second, w[0], w[1]);
    w[2] = _mm512_mask_blend_epi8(second, w[2], w[3]);
    return _mm512_mask_blend_epi16(0xaaaaaaaa, w[0], _mm512_slli_epi32(w[2], 16));
}

/* Which of the four keys from `key` on are in the span, a byte each. */
INLINE uint32_t in_span(const struct state *st, int key)
{
    uint32_t m = 0;

    for (int i = 0; i < 4; i++)
        if (key + i >= st->begin && key + i < st->end)
            m |= 0xffu << (8 * i);
    return m;
}

/* o = o * keep + b * (V^T P^T) for the keys from..to-1 of a block, multiples of four. */
INLINE void add_values(const int QV, struct state *st, const int8_t *block, int from, int to,
                       const __m512 *keep, const __m512 *b)
{
    for (int row = 0; row < st->d_rows; row += STEP) {
        const int8_t *v = block + (size_t)row * Q8_KEYS + from;
        const uint8_t *p = st->p + (size_t)from * (size_t)QV * 16;
        float *o = st->o + row * QV * 16;
        __m512i acc[STEP][3];
        UNROLL for (int i = 0; i < STEP; i++) UNROLL for (int l = 0; l < QV; l++)
            acc[i][l] = _mm512_setzero_si512();
        for (int j = from; j < to; j += 4, v += 4, p += QV * 64) {
            __m512i w[3];
            UNROLL for (int l = 0; l < QV; l++) w[l] = _mm512_load_si512(p + l * 64);
            UNROLL for (int i = 0; i < STEP; i++)
            {
                __m512i x = four_of(v + i * Q8_KEYS);
                UNROLL for (int l = 0; l < QV; l++) DOT(acc[i][l], w[l], x);
            }
        }
        UNROLL for (int i = 0; i < STEP; i++) UNROLL for (int l = 0; l < QV; l++)
        {
            float *to_o = o + (i * QV + l) * 16;
            __m512 old = _mm512_mul_ps(_mm512_load_ps(to_o), keep[l]);
            _mm512_store_ps(to_o, _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[i][l]), b[l], old));
        }
    }
}

INLINE void run(const int QV, struct state *st)
{
    const __m512 log2_255 = _mm512_set1_ps(7.99435344f), eight = _mm512_set1_ps(8);
    const __m512i ones = _mm512_set1_epi8(1);
    __m512 top[3], sum[3];

    UNROLL for (int l = 0; l < QV; l++)
    {
        top[l] = _mm512_set1_ps(-1e38f);
        sum[l] = _mm512_setzero_ps();
    }
    memset(st->o, 0, sizeof(float) * (size_t)(st->d_rows * QV * 16));
    for (int k0 = st->begin / Q8_KEYS * Q8_KEYS; k0 < st->end; k0 += Q8_KEYS) {
        int from = k0 >= st->begin ? 0 : (st->begin - k0) / STEP * STEP;
        int to = ROUND_UP(MIN(Q8_KEYS, st->end - k0), STEP);
        bool edge = k0 + from < st->begin || k0 + to > st->end;
        __m512i most[3];
        UNROLL for (int l = 0; l < QV; l++) most[l] = _mm512_set1_epi32(HIDDEN);
        for (int key = from; key < to; key += STEP)
            score(QV, st, k0 + key, edge, st->k + (size_t)(k0 + key) * (size_t)st->d4,
                  st->s + key * QV * 16, most);

        __m512 keep[3], b[3];
        __m512 scale = _mm512_set1_ps(st->k_scale[k0 / Q8_KEYS]);
        UNROLL for (int l = 0; l < QV; l++)
        {
            __m512 f = _mm512_mul_ps(_mm512_loadu_ps(st->q_scale + l * 16), scale);
            __m512 c = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(most[l]), f, log2_255);
            __m512 c8 = _mm512_add_ps(c, eight);
            __m512i n = _mm512_setzero_si512();
            for (int key = from; key < to; key += 4) {
                __m512i w = weights(QV, st->s + (key * QV + l) * 16, f, c, c8);
                if (edge)
                    w = _mm512_and_si512(w, _mm512_set1_epi32((int)in_span(st, k0 + key)));
                _mm512_store_si512(st->p + (key * QV + l * 4) * 16, w);
                DOT(n, w, ones);
            }
            __m512 m = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(
                                         most[l], _mm512_loadu_si512(st->q_sum + l * 16))),
                                     f);
            __m512 next = _mm512_max_ps(top[l], m);
            keep[l] = exp2_of(_mm512_sub_ps(top[l], next));
            keep[l] = _mm512_mask_mov_ps(keep[l], _mm512_cmp_ps_mask(top[l], next, _CMP_EQ_OQ),
                                         _mm512_set1_ps(1));
            b[l] = exp2_of(_mm512_sub_ps(m, next));
            top[l] = next;
            sum[l] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(n), b[l], _mm512_mul_ps(sum[l], keep[l]));
        }
        add_values(QV, st, st->v + (size_t)(k0 / Q8_KEYS) * (size_t)st->d_rows * Q8_KEYS, from, to,
                   keep, b);
    }
    UNROLL for (int l = 0; l < QV; l++) _mm512_storeu_ps(st->sum + l * 16, sum[l]);
}

/* One head of a query to bytes, every fourth lane apart. */
static void put_query(struct state *st, int lane, int width, int d, const float *q, float scale)
{
    int8_t row[BACKEND_MAX_D_HEAD] = {0};
    float most = 0;
    int32_t sum = 0;

    for (int j = 0; j < d; j++)
        most = MAX(most, q[j] < 0 ? -q[j] : q[j]);
    float f = most > 0 ? 127.0f / most : 0;
    for (int j = 0; j < d; j++) {
        row[j] = (int8_t)lrintf(q[j] * f);
        sum += row[j];
    }
    st->q_scale[lane] = most / 127.0f * scale;
    st->q_sum[lane] = sum * 128;
    for (int j = 0; j < st->d4; j += 4)
        memcpy(st->q + (size_t)(j * width + lane * 4), row + j, 4);
}

void q8_attend_tile(const struct attend *a, const struct attend_tile *t);
void q8_attend_tile(const struct attend *a, const struct attend_tile *t)
{
    const struct kv_store *kv = a->kv;
    int d = kv->d_head, width = ROUND_UP(t->n_q, 16), hk = t->head / (a->n_head / kv->n_head);
    const struct q8_kv_scales *scales = kv->scales;
    struct state st; /* large: what is not set is not read */

    st.d4 = ROUND_UP(d, 4);
    st.d_rows = ROUND_UP(d, STEP);
    st.k = (const uint8_t *)kv->k + (size_t)hk * (size_t)kv->n_cap * (size_t)st.d4;
    st.v = (const int8_t *)kv->v + (size_t)hk * (size_t)kv->n_cap * (size_t)st.d_rows;
    st.k_scale = scales->k + (size_t)hk * (size_t)(kv->n_cap / Q8_KEYS);
    st.begin = t->k_begin;
    st.end = t->k_end;
    static const float none[BACKEND_MAX_D_HEAD];
    for (int l = 0; l < width; l++)
        put_query(&st, l, width, d, l < t->n_q ? a->q + (size_t)(t->q_begin + l) * a->ld_q +
                                                     (size_t)t->head * (size_t)d : none,
                  a->scale * 1.44269504f);
    switch (width) {
    case 16:
        run(1, &st);
        break;
    case 32:
        run(2, &st);
        break;
    default:
        run(3, &st);
    }
    const float *v_scale = scales->v_scale + hk * d, *v_mean = scales->v_mean + hk * d;
    for (int l = 0; l < t->n_q; l++) {
        float *to = a->out + (size_t)(t->q_begin + l) * a->ld_out + (size_t)t->head * (size_t)d;
        float f = 1.0f / st.sum[l];
        for (int j = 0; j < d; j++)
            to[j] = st.o[j * width + l] * f * v_scale[j] + v_mean[j];
    }
}
