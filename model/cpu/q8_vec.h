/* The loops of q8.h over GCC vectors of VL 32-bit lanes. Included once by each q8_*.c, which
 * defines VL, MR (rows of the register tile), NV (its vectors), KERNELS and DOT_HEADER, a file with
 *
 *     DOT8(acc, w, x)    acc[l] += sum over t of (w[l][t] - 128 + DOT8_OFFSET) * (int8_t)x[l][t]
 *     DOT4(acc, w, x)    acc[l] += sum over t of w[l][t] * (int8_t)x[l][t], w at most 15
 *
 * Weights are the unsigned side: what their offset of 128 (or 8) adds is the row's sum times the
 * offset, one number for all outputs. */
#include "model/cpu/q8.h"

#include <math.h>
#include <string.h>

typedef int32_t vi __attribute__((vector_size(VL * 4)));
typedef int32_t vi_any __attribute__((vector_size(VL * 4), aligned(1), may_alias));
typedef uint32_t vu __attribute__((vector_size(VL * 4)));
typedef float vf __attribute__((vector_size(VL * 4)));
typedef float vf_any __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef uint16_t vh_any __attribute__((vector_size(VL * 2), aligned(2), may_alias));
typedef int8_t vb_any __attribute__((vector_size(VL), aligned(1), may_alias));
typedef uint8_t vub __attribute__((vector_size(VL)));
typedef uint8_t vub_any __attribute__((vector_size(VL), aligned(1), may_alias));

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 24")
#define P QUANT_PANEL

#include DOT_HEADER

INLINE vi load_i(const void *p)
{
    return *(const vi_any *)p;
}

INLINE vf load_f(const float *p)
{
    return *(const vf_any *)p;
}

INLINE void store_f(float *p, vf v)
{
    *(vf_any *)p = v;
}

/* Four values of a row in every lane. */
INLINE vi four_of(const int8_t *p)
{
    int32_t v;

    memcpy(&v, p, 4);
    return (vi){0} + v;
}

INLINE vf to_f(vi v)
{
    return __builtin_convertvector(v, vf);
}

INLINE vi larger(vi a, vi b)
{
    vi m = a > b;
    return (a & m) | (b & ~m);
}

#ifndef OWN_LANES
INLINE int32_t most_of(vi v)
{
    int32_t lane[VL];

    memcpy(lane, &v, sizeof(lane));
    for (int n = VL / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            lane[i] = lane[i] > lane[i + n] ? lane[i] : lane[i + n];
    return lane[0];
}

INLINE int32_t sum_of(vi v)
{
    int32_t lane[VL];

    memcpy(lane, &v, sizeof(lane));
    for (int n = VL / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            lane[i] += lane[i + n];
    return lane[0];
}
#endif

#define AT_ONCE (4 * VL)

/* One block; n: a multiple of AT_ONCE. */
INLINE void quantize_block(int n, const float *x, int8_t *q, struct q8_scale *s)
{
    vi top[4] = {{0}, {0}, {0}, {0}}; /* positive floats are ordered like their bits */
    vi sum[4] = {{0}, {0}, {0}, {0}};
    float most;

    for (int i = 0; i < n; i += AT_ONCE)
        UNROLL for (int u = 0; u < 4; u++)
            top[u] = larger(top[u], (vi)load_f(x + i + u * VL) & 0x7fffffff);
    int32_t bits = most_of(larger(larger(top[0], top[1]), larger(top[2], top[3])));
    memcpy(&most, &bits, sizeof(most));
    float f = most > 0 ? 127.0f / most : 0;
    for (int i = 0; i < n; i += AT_ONCE)
        UNROLL for (int u = 0; u < 4; u++)
        {
            /* adding 1.5 * 2^23 rounds to nearest even */
            vi v = (vi)(load_f(x + i + u * VL) * f + 12582912.0f) - 0x4b400000;
            sum[u] += v;
            *(vb_any *)(q + i + u * VL) = __builtin_convertvector(v, vb_any);
        }
    *s = (struct q8_scale){most / 127.0f, sum_of((sum[0] + sum[1]) + (sum[2] + sum[3]))};
}

static void quantize(int n, const float *src, int8_t *q, struct q8_scale *s)
{
    int at = 0;

    for (; n - at >= QUANT_BLOCK; at += QUANT_BLOCK)
        quantize_block(QUANT_BLOCK, src + at, q + at, s++);
    if (at == n)
        return;
    int rest = n - at;
    float padded[QUANT_BLOCK];
    if (rest % AT_ONCE == 0) {
        quantize_block(rest, src + at, q + at, s);
    } else {
        memcpy(padded, src + at, sizeof(float) * (size_t)rest);
        memset(padded + rest, 0, sizeof(float) * (size_t)(QUANT_BLOCK - rest));
        quantize_block((rest + AT_ONCE - 1) / AT_ONCE * AT_ONCE, padded, q + at, s);
    }
    for (at += (rest + AT_ONCE - 1) / AT_ONCE * AT_ONCE; at % QUANT_BLOCK; at += AT_ONCE)
        memset(q + at, 0, AT_ONCE);
}

static void group_sums(int n, const int8_t *q, int32_t *ret)
{
    for (int at = 0; at < n; at += QUANT_GROUP) {
        int32_t sum = 0;
        for (int i = 0; i < QUANT_GROUP; i++)
            sum += q[at + i];
        *ret++ = sum;
    }
}

/* One block for m rows and NV vectors of outputs: c = (more ? c : 0) + start + x W^T. In a function
 * of its own so that nothing else wants its registers. m is a constant after inlining. */
INLINE void block_fixed(const int m, bool more, const float *start, int n4, const uint8_t *w,
                        const float *scale, const int8_t *a, size_t ld, const struct q8_scale *s,
                        size_t ld_s, float *c, size_t ldc)
{
    vi acc[MR][NV];
    vf ws[NV], first[NV];

    UNROLL for (int i = 0; i < m; i++) UNROLL for (int v = 0; v < NV; v++)
        acc[i][v] = (vi){0} - DOT8_OFFSET * s[(size_t)i * ld_s].sum;
    for (int j = 0; j < n4; j++, a += 4, w += P * 4) {
        vi b[NV];
        UNROLL for (int v = 0; v < NV; v++) b[v] = load_i(w + v * VL * 4);
        UNROLL for (int i = 0; i < m; i++)
        {
            vi x = four_of(a + i * ld);
            UNROLL for (int v = 0; v < NV; v++) DOT8(acc[i][v], b[v], x);
        }
    }
    UNROLL for (int v = 0; v < NV; v++)
    {
        ws[v] = load_f(scale + v * VL);
        first[v] = start ? load_f(start + v * VL) : (vf){0};
    }
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int v = 0; v < NV; v++)
    {
        float *to = c + (size_t)i * ldc + v * VL;
        vf y = to_f(acc[i][v]) * (ws[v] * s[(size_t)i * ld_s].scale) + first[v];
        store_f(to, more ? y + load_f(to) : y);
    }
}

#define BLOCK(m)                                                                                   \
    static __attribute__((noinline)) void block_##m(                                               \
        bool more, const float *start, int n4, const uint8_t *w, const float *scale,               \
        const int8_t *a, size_t ld, const struct q8_scale *s, size_t ld_s, float *c, size_t ldc)   \
    {                                                                                              \
        block_fixed(m, more, start, n4, w, scale, a, ld, s, ld_s, c, ldc);                         \
    }
BLOCK(1)
BLOCK(2)
BLOCK(3)
BLOCK(4)
#if MR > 4
BLOCK(5)
BLOCK(6)
BLOCK(7)
BLOCK(8)
BLOCK(9)
BLOCK(10)
BLOCK(11)
BLOCK(12)
#endif
static void (*const blocks[])(bool more, const float *start, int n4, const uint8_t *w,
                              const float *scale, const int8_t *a, size_t ld,
                              const struct q8_scale *s, size_t ld_s, float *c, size_t ldc) = {
    NULL,    block_1, block_2, block_3, block_4,
#if MR > 4
    block_5, block_6, block_7, block_8, block_9, block_10, block_11, block_12,
#endif
};

static void tile8(int m, bool add, const float *bias, int n, const uint8_t *w, const int8_t *q,
                  size_t ld, const struct q8_scale *s, size_t ld_s, float *c, size_t ldc)
{
    for (; m > 0; m -= MR, q += MR * ld, s += MR * ld_s, c += MR * ldc) {
        int rows = m < MR ? m : MR;
        const uint8_t *block = w;
        for (int at = 0; at < n; at += QUANT_BLOCK, block += QUANT_INT8_BLOCK_BYTES) {
            int n4 = ((n - at < QUANT_BLOCK ? n - at : QUANT_BLOCK) + 3) / 4;
            for (int col = 0; col < P; col += NV * VL)
                blocks[rows](add || at > 0, bias && at == 0 ? bias + col : NULL, n4,
                             block + P * 4 + col * 4, (const float *)block + col, q + at, ld,
                             s + at / QUANT_BLOCK, ld_s, c + col, ldc);
        }
    }
}

INLINE vf load_bf16(const uint16_t *p)
{
    return (vf)(__builtin_convertvector(*(const vh_any *)p, vu) << 16);
}

static void row4(bool add, const float *bias, int n, const uint8_t *w, const int8_t *q,
                 const struct q8_scale *s, const int32_t *group, float *c)
{
    enum { N = P / VL };
    vf sum[N];

    for (int v = 0; v < N; v++) {
        sum[v] = bias ? load_f(bias + v * VL) : (vf){0};
        if (add)
            sum[v] += load_f(c + v * VL);
    }
    for (int at = 0; at < n; at += QUANT_GROUP, w += QUANT_INT4_GROUP_BYTES, q += QUANT_GROUP) {
        const struct q8_scale *sb = s + at / QUANT_BLOCK;
        vi x[8], zero = (vi){0} - 8 * group[at / QUANT_GROUP];
        UNROLL for (int j = 0; j < 8; j++) x[j] = four_of(q + 4 * j);
        __builtin_prefetch(w + 4096);
        __builtin_prefetch(w + 4096 + 64);
        __builtin_prefetch(w + 4096 + 128);
        __builtin_prefetch(w + 4096 + 192);
        __builtin_prefetch(w + 4096 + 256);
        __builtin_prefetch(w + 4096 + 320);
        __builtin_prefetch(w + 4096 + 384);
        __builtin_prefetch(w + 4096 + 448);
        __builtin_prefetch(w + 4096 + 512);
        UNROLL for (int v = 0; v < N; v++)
        {
            vi acc = zero, more = {0};
            UNROLL for (int j = 0; j < 4; j++)
            {
                vi b = load_i(w + P * 2 + (j * P + v * VL) * 4);
                vi low = b & 0x0f0f0f0f, high = (vi)((vu)b >> 4) & 0x0f0f0f0f;
                DOT4(acc, low, x[j]);
                DOT4(more, high, x[j + 4]);
            }
            sum[v] += to_f(acc + more) * (load_bf16((const uint16_t *)w + v * VL) * sb->scale);
        }
    }
    for (int v = 0; v < N; v++)
        store_f(c + v * VL, sum[v]);
}

static void widen4(int n, const uint8_t *w4, uint8_t *w8)
{
    for (int at = 0; at < n; at += QUANT_BLOCK, w8 += QUANT_INT8_BLOCK_BYTES) {
        int n_groups =
            ((n - at < QUANT_BLOCK ? n - at : QUANT_BLOCK) + QUANT_GROUP - 1) / QUANT_GROUP;
        int n4 = ((n - at < QUANT_BLOCK ? n - at : QUANT_BLOCK) + 3) / 4;
        uint8_t *value = w8 + P * 4;
        for (int col = 0; col < P; col += VL) {
            vi top = {0}; /* bits of the largest absolute scale */
            for (int g = 0; g < n_groups; g++) {
                const uint8_t *from = w4 + (size_t)g * QUANT_INT4_GROUP_BYTES;
                vi a = (vi)load_bf16((const uint16_t *)from + col) & 0x7fffffff;
                vi m = a > top;
                top = (a & m) | (top & ~m);
            }
            vf scale = (vf)top * (8.0f / 127.0f);
            vi none = top == 0;
            store_f((float *)w8 + col, scale);
            for (int g = 0; g < n_groups; g++) {
                const uint8_t *from = w4 + (size_t)g * QUANT_INT4_GROUP_BYTES;
                vf f = load_bf16((const uint16_t *)from + col) / scale;
                f = (vf)((vi)f & ~none);
                for (int j = 0; j < 8 && g * 8 + j < n4; j++) {
                    vu b = (vu)load_i(from + P * 2 + (j % 4 * P + col) * 4) >> (j < 4 ? 0 : 4);
                    vi out = {0};
                    UNROLL for (int t = 0; t < 4; t++)
                    {
                        vi x = (vi)(b >> (8 * t) & 15) - 8;
                        /* the offset of 128 and the rounding in one addition */
                        vi r = (vi)(to_f(x) * f + (12582912.0f + 128.0f)) - 0x4b400000;
                        out |= r << (8 * t);
                    }
                    *(vi_any *)(value + ((g * 8 + j) * P + col) * 4) = out;
                }
            }
        }
        w4 += (size_t)n_groups * QUANT_INT4_GROUP_BYTES;
    }
}

static float burn(int n)
{
    vi acc[MR][NV], w[NV], x[MR];

    UNROLL for (int v = 0; v < NV; v++) w[v] = (vi){0} + 0x01020304;
    UNROLL for (int i = 0; i < MR; i++)
    {
        x[i] = (vi){0} + 0x01020304;
        UNROLL for (int v = 0; v < NV; v++) acc[i][v] = (vi){0} + i;
    }
    for (int j = 0; j < n; j++) {
        /* whatever is in memory now, or the compiler multiplies once and only adds */
        __asm__ volatile("" : : "r"(w), "r"(x) : "memory");
        UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++)
            DOT8(acc[i][v], w[v], x[i]);
    }
    UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = i == 0; v < NV; v++)
        acc[0][0] += acc[i][v];
    return (float)sum_of(acc[0][0]);
}

const struct q8_kernels KERNELS = {quantize, group_sums, tile8,
                                   row4, widen4, burn, MR * NV * VL * 8};
