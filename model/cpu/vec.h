/* The inner loops over GCC vectors of VL floats. Included once by each of generic.c, avx2.c and
 * avx512.c, which define VL (floats in a register), MR (rows of the register tile) and KERNELS (the
 * table's name); the compiler's flags for that file choose the instructions.
 *
 * The register tile is MR x 2 VL: MR * 2 accumulators, two registers of b, and a broadcast from
 * memory. With 32 registers of 16 floats that is 12 x 32, with 16 registers of 8 it is 6 x 16. */
#include "model/cpu/kernels.h"

#include <math.h>

typedef float vf __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef float vreg __attribute__((vector_size(VL * 4)));
typedef int32_t vi __attribute__((vector_size(VL * 4)));
typedef uint32_t vu __attribute__((vector_size(VL * 4)));
typedef uint16_t vh __attribute__((vector_size(VL * 2), aligned(2), may_alias));

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 24")

INLINE vreg load(const float *p)
{
    return *(const vf *)p;
}

INLINE void store(float *p, vreg v)
{
    *(vf *)p = v;
}

INLINE vreg load_bf16(const uint16_t *p)
{
    vu u = __builtin_convertvector(*(const vh *)p, vu) << 16;
    return (vreg)u;
}

INLINE float sum(vreg v)
{
    float s = 0;
    UNROLL
    for (int i = 0; i < VL; i++)
        s += v[i];
    return s;
}

INLINE vreg vmax(vreg a, vreg b)
{
    vi m = a > b;
    return (vreg)(((vi)a & m) | ((vi)b & ~m));
}

INLINE vreg vmin(vreg a, vreg b)
{
    vi m = a < b;
    return (vreg)(((vi)a & m) | ((vi)b & ~m));
}

/* exp of x <= 88 to about 1 ulp, clamped below -87.3: 2^n * e^r with |r| <= ln 2 / 2. */
INLINE vreg vexp(vreg x)
{
    x = vmax(x, (vreg){0} - 87.3f);
    vreg n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
    vreg r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    vreg p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    vi e = (__builtin_convertvector(n, vi) + 127) << 23;
    return p * (vreg)e;
}

/* One register tile; m is a constant after inlining. */
INLINE void tile_fixed(const int m, bool add, int k, const float *a, size_t lda, const float *b,
                       size_t ldb, float *c, size_t ldc)
{
    vreg acc[MR][2];

    UNROLL
    for (int i = 0; i < m; i++)
        acc[i][0] = acc[i][1] = (vreg){0};
    if (add) {
        UNROLL
        for (int i = 0; i < m; i++) {
            acc[i][0] = load(c + i * ldc);
            acc[i][1] = load(c + i * ldc + VL);
        }
    }
    for (int j = 0; j < k; j++) {
        vreg b0 = load(b), b1 = load(b + VL);
        UNROLL
        for (int i = 0; i < m; i++) {
            float s = a[i * lda + j];
            acc[i][0] += b0 * s;
            acc[i][1] += b1 * s;
        }
        b += ldb;
    }
    UNROLL
    for (int i = 0; i < m; i++) {
        store(c + i * ldc, acc[i][0]);
        store(c + i * ldc + VL, acc[i][1]);
    }
}

static void tile(int m, bool add, int k, const float *a, size_t lda, const float *b, size_t ldb,
                 float *c, size_t ldc)
{
    for (; m > 0; m -= MR, a += MR * lda, c += MR * ldc) {
        for (int j = 0; j < PANEL; j += 2 * VL) {
            switch (m < MR ? m : MR) {
#define CASE(i)                                                                                    \
    case i:                                                                                        \
        tile_fixed(i <= MR ? i : MR, add, k, a, lda, b + j, ldb, c + j, ldc);                      \
        break;
                CASE(1)
                CASE(2)
                CASE(3)
                CASE(4)
#if MR > 4
                CASE(5)
                CASE(6)
#endif
#if MR > 6
                CASE(7)
                CASE(8)
                CASE(9)
                CASE(10)
                CASE(11)
                CASE(12)
#endif
#undef CASE
            }
        }
    }
}

#define N_VEC (PANEL / VL)

/* One row, some panels at a time: eight sums that do not wait for each other, each in the order
 * that a tile adds in, so that a row's numbers do not depend on how many come with it. */
#define ROW(NAME, TYPE, LOAD)                                                                      \
    INLINE void NAME##_fixed(const int n, int k, const float *x, const TYPE *b, float *y)          \
    {                                                                                              \
        vreg acc[8];                                                                               \
        size_t ld = (size_t)k * PANEL;                                                             \
        UNROLL for (int u = 0; u < n * N_VEC; u++) acc[u] = load(y + u * VL);                      \
        for (int i = 0; i < k; i++) {                                                              \
            float s = x[i];                                                                        \
            UNROLL for (int p = 0; p < n; p++) UNROLL for (int v = 0; v < N_VEC; v++)              \
                acc[p * N_VEC + v] +=                                                              \
                    LOAD(b + (size_t)p * ld + (size_t)i * PANEL + v * VL) * s;                     \
        }                                                                                          \
        UNROLL for (int u = 0; u < n * N_VEC; u++) store(y + u * VL, acc[u]);                      \
    }                                                                                              \
    static void NAME(int n, int k, const float *x, const TYPE *b, float *y)                        \
    {                                                                                              \
        enum { ONCE = 8 / N_VEC };                                                                 \
        size_t ld = (size_t)k * PANEL;                                                             \
        for (; n >= ONCE; n -= ONCE, b += ONCE * ld, y += ONCE * PANEL)                            \
            NAME##_fixed(ONCE, k, x, b, y);                                                        \
        for (; n > 0; n--, b += ld, y += PANEL)                                                    \
            NAME##_fixed(1, k, x, b, y);                                                           \
    }
ROW(row_f32, float, load)
ROW(row_bf16, uint16_t, load_bf16)

static void unpack_bf16(size_t n, const uint16_t *src, float *dst)
{
    for (size_t i = 0; i < n; i += VL)
        store(dst + i, load_bf16(src + i));
}

static float row_max(int n, const float *x)
{
    vreg m = load(x);
    for (int i = VL; i < n; i += VL)
        m = vmax(m, load(x + i));
    float r = m[0];
    for (int i = 1; i < VL; i++)
        r = m[i] > r ? m[i] : r;
    return r;
}

static float row_exp(int n, float *x, float scale, float max)
{
    vreg s = {0};
    for (int i = 0; i < n; i += VL) {
        vreg e = vexp(load(x + i) * scale - max);
        store(x + i, e);
        s += e;
    }
    return sum(s);
}

static void row_scale(int n, float *x, float f)
{
    for (int i = 0; i < n; i += VL)
        store(x + i, load(x + i) * f);
}

static void rms_norm(int n, const float *x, const float *w, float eps, float *out)
{
    vreg acc = {0};
    int i = 0;
    for (; i + VL <= n; i += VL)
        acc += load(x + i) * load(x + i);
    float s = sum(acc);
    for (; i < n; i++)
        s += x[i] * x[i];
    float f = 1.0f / sqrtf(s / (float)n + eps);
    for (i = 0; i + VL <= n; i += VL)
        store(out + i, load(x + i) * f * load(w + i));
    for (; i < n; i++)
        out[i] = x[i] * f * w[i];
}

static void silu_mul(int n, const float *gate, const float *up, float *out)
{
    int i = 0;
    for (; i + VL <= n; i += VL) {
        vreg g = load(gate + i);
        vreg e = vexp(vmin(-g, (vreg){0} + 88.0f));
        store(out + i, g / (1.0f + e) * load(up + i));
    }
    for (; i < n; i++)
        out[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

/* erf to 2e-7 (Abramowitz and Stegun, 7.1.26). */
INLINE vreg verf(vreg x)
{
    vreg a = vmax(x, -x);
    vreg t = 1.0f / (1.0f + 0.3275911f * a);
    vreg p = t * 1.061405429f - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = (p * t + 0.254829592f) * t;
    vreg r = 1.0f - p * vexp(-a * a);
    vi negative = x < 0.0f;
    return (vreg)(((vi)r & ~negative) | ((vi)-r & negative));
}

static void gelu(int n, float *x)
{
    int i = 0;
    for (; i + VL <= n; i += VL) {
        vreg v = load(x + i);
        store(x + i, v * 0.5f * (1.0f + verf(v * 0.70710678f)));
    }
    for (; i < n; i++)
        x[i] = x[i] * 0.5f * (1.0f + erff(x[i] * 0.70710678f));
}

static void rope(int n_half, float *x, const float *cosine, const float *sine)
{
    float *y = x + n_half;
    int i = 0;
    for (; i + VL <= n_half; i += VL) {
        vreg a = load(x + i), b = load(y + i), c = load(cosine + i), s = load(sine + i);
        store(x + i, a * c - b * s);
        store(y + i, b * c + a * s);
    }
    for (; i < n_half; i++) {
        float a = x[i], b = y[i];
        x[i] = a * cosine[i] - b * sine[i];
        y[i] = b * cosine[i] + a * sine[i];
    }
}

/* 24 independent chains of multiply-add in registers: what the cores can do at most. */
static float burn(int n)
{
    enum { CHAINS = MR == 12 ? 24 : 12 };
    vreg acc[CHAINS], a = (vreg){0} + 0.999f, c = (vreg){0} + 1e-3f;

    UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = (vreg){0} + (float)i;
    for (int j = 0; j < n; j++)
        UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = acc[i] * a + c;
    for (int i = 1; i < CHAINS; i++)
        acc[0] += acc[i];
    return sum(acc[0]);
}

static float read_all(size_t n, const float *x)
{
    vreg s[4] = {0};

    for (size_t i = 0; i + 4 * VL <= n; i += 4 * VL)
        UNROLL for (int u = 0; u < 4; u++) s[u] += load(x + i + (size_t)u * VL);
    return sum((s[0] + s[1]) + (s[2] + s[3]));
}

const struct kernels KERNELS = {
    KERNELS_NAME, tile,      row_f32, row_bf16, unpack_bf16, row_max,
    row_exp,      row_scale, rms_norm, silu_mul,  gelu, rope,
    burn,         read_all,  VL * 2 * (MR == 12 ? 24 : 12),
};
