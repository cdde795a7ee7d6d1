/* Every operation of every backend this CPU runs, with one thread and with three, against the
 * double-precision reference: shapes on and off the edges of tiles, panels and blocks. */
#include "base/mem.h"
#include "model/backend.h"
#include "model/cpu/q8.h"
#include "model/quant.h"
#include "tests/ops/ref.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *name, *precision;
    int n_threads;
} backends[] = {
#ifdef OPS_CUDA /* linked with tests/cuda_host */
    {"cuda", "bf16", 1},
    {"cuda", "f32", 1},
#else
    {"generic", NULL, 1}, {"generic", NULL, 3}, {"avx2", NULL, 1},       {"avx2", NULL, 3},
    {"avx512", NULL, 1},  {"avx512", NULL, 3},  {"avx512bf16", NULL, 1}, {"avx512bf16", NULL, 3},
#endif
};
static bool is_bf16; /* does the backend that is tested round the sides of its products to bf16? */

static uint32_t seed = 1;

static float noise(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / (float)(1 << 23) - 1.0f;
}

static float *noise_new(size_t n)
{
    float *p = mem_aligned(sizeof(float) * n);

    for (size_t i = 0; i < n; i++)
        p[i] = noise();
    return p;
}

/* It keeps activations as they are where the CPU's backends round them to int8. */
static bool is_cuda(const struct backend *b)
{
    return strcmp(b->name, "cuda") == 0;
}

static float to_bf16(float f)
{
    uint32_t u;

    memcpy(&u, &f, 4);
    return bf16_to_f32((uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16));
}

static void compare(const char *what, const struct backend *b, const float *got, size_t ld_got,
                    const double *want, int n, int d, double tolerance)
{
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < d; j++) {
            double g = (double)got[(size_t)i * ld_got + (size_t)j];
            double w = want[(size_t)i * (size_t)d + (size_t)j];
            if (!(fabs(g - w) <= tolerance * (1 + fabs(w))))
                fail_msg("%s on %s, %d threads: row %d column %d is %.9g, expected %.9g", what,
                         b->name, b->n_threads, i, j, g, w);
        }
    }
}

static void for_each_backend(void (*fn)(struct backend *b))
{
    for (size_t i = 0; i < N_ELEMENTS(backends); i++) {
        struct backend *b;
        struct err err = {0};
        const char *name = backends[i].name, *precision = backends[i].precision;
        if (backend_open(name, precision, backends[i].n_threads, &b, &err) < 0) {
            print_message("skipped: %s\n", err.text);
            continue;
        }
        is_bf16 = precision ? strcmp(precision, "bf16") == 0 : strcmp(name, "avx512bf16") == 0;
        fn(b);
        assert_int_equal(b->sync(b, NULL), 0);
        b->close(b);
    }
}

static void one_linear(struct backend *b, int n, int n_out, int n_in, enum tensor_dtype kind,
                       bool bias, bool add)
{
    size_t ld_x = (size_t)n_in + 3, ld_out = (size_t)n_out + 5;
    size_t nw = (size_t)n_out * (size_t)n_in;
    AUTO_FREE float *x = noise_new((size_t)n * ld_x);
    AUTO_FREE float *w = noise_new(nw);
    AUTO_FREE float *bb = noise_new((size_t)n_out);
    AUTO_FREE float *out = noise_new((size_t)n * ld_out);
    AUTO_FREE double *want = mem_alloc(sizeof(double) * (size_t)n * (size_t)n_out);
    AUTO_FREE uint16_t *w16 = mem_alloc(2 * nw);
    float guard = out[n_out];

    for (size_t i = 0; i < nw; i++) {
        uint32_t u;
        memcpy(&u, &w[i], 4);
        w16[i] = (uint16_t)(u >> 16);
        if (kind == TENSOR_BF16)
            w[i] = bf16_to_f32(w16[i]);
        if (kind == TENSOR_F16) {
            w16[i] = (uint16_t)((u >> 16 & 0x8000) | (u & 0x3bff));
            w[i] = f16_to_f32(w16[i]);
        }
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n_out; j++)
            want[(size_t)i * (size_t)n_out + (size_t)j] =
                (double)out[(size_t)i * ld_out + (size_t)j];
    AUTO_FREE float *seen_x = mem_alloc(sizeof(float) * (size_t)n * ld_x);
    AUTO_FREE float *seen_w = mem_alloc(sizeof(float) * nw);
    for (size_t i = 0; i < (size_t)n * ld_x; i++)
        seen_x[i] = is_bf16 ? to_bf16(x[i]) : x[i];
    for (size_t i = 0; i < nw; i++)
        seen_w[i] = is_bf16 ? to_bf16(w[i]) : w[i];
    ref_linear(seen_x, ld_x, n, seen_w, n_out, n_in, bias ? bb : NULL, add, want);

    struct weight packed;
    int half = n_out / 2;
    size_t size = kind == TENSOR_F32 ? 4 : 2;
    const char *data = kind == TENSOR_F32 ? (const char *)w : (const char *)w16;
    struct weight_part parts[] = {
        {data, kind, half}, {data + size * (size_t)half * (size_t)n_in, kind, n_out - half}};
    b->weight_pack(b, parts, 2, n_in, bias ? bb : NULL, &packed);
    b->linear(b, &packed, x, ld_x, n, out, ld_out, add);
    compare("linear", b, out, ld_out, want, n, n_out, 2e-6 * sqrt(n_in));
    assert_true(memcmp(&guard, &out[n_out], sizeof(guard)) == 0);
    b->weight_done(b, &packed);
}

static void linear(struct backend *b)
{
    static const int shapes[][3] = {{1, 1, 1},     {1, 33, 7},    {1, 576, 192}, {2, 32, 256},
                                    {12, 64, 257}, {13, 31, 300}, {96, 96, 64},  {97, 40, 520},
                                    {200, 704, 33}};
    for (size_t i = 0; i < N_ELEMENTS(shapes); i++)
        for (int kind = TENSOR_F32; kind <= TENSOR_F16; kind++)
            for (int flags = 0; flags < 4; flags++)
                one_linear(b, shapes[i][0], shapes[i][1], shapes[i][2], (enum tensor_dtype)kind,
                           flags & 1, flags & 2);
}

/* x as the backend rounds it: 256 values share a scale. */
static void round_x(const float *x, int n, float *ret)
{
    for (int at = 0; at < n; at += QUANT_BLOCK) {
        float most = 0;
        int end = MIN(n, at + QUANT_BLOCK);
        for (int i = at; i < end; i++)
            most = fmaxf(most, fabsf(x[i]));
        for (int i = at; i < end; i++)
            ret[i] = most > 0 ? rintf(x[i] * (127.0f / most)) * (most / 127.0f) : 0;
    }
}

/* int4 weights of a block as they are widened to int8 for many rows. */
static void round_w4(const uint8_t *panel, int n_rows, int n_in, float *w)
{
    for (int o = 0; o < n_rows; o++) {
        for (int at = 0; at < n_in; at += QUANT_BLOCK) {
            float most = 0;
            int end = MIN(n_in, at + QUANT_BLOCK);
            for (int g = at / QUANT_GROUP; g * QUANT_GROUP < end; g++)
                most = fmaxf(most, fabsf(bf16_to_f32(((const uint16_t *)(panel + (size_t)g *
                                                     QUANT_INT4_GROUP_BYTES))[o])));
            float scale = most * (8.0f / 127.0f);
            for (int i = at; i < end && most > 0; i++)
                w[(size_t)o * (size_t)n_in + (size_t)i] =
                    rintf(w[(size_t)o * (size_t)n_in + (size_t)i] / scale) * scale;
        }
    }
}

static void one_quantised(struct backend *b, int n, int n_out, int n_in, enum weight_kind kind,
                          bool bias, bool add)
{
    size_t ld_x = (size_t)n_in + 3, ld_out = (size_t)n_out + 5;
    size_t nw = (size_t)n_out * (size_t)n_in;
    enum quant_format f = kind == WEIGHT_INT4 ? QUANT_INT4 : QUANT_INT8;
    AUTO_FREE float *x = noise_new((size_t)n * ld_x);
    AUTO_FREE float *w = noise_new(nw);
    AUTO_FREE float *bb = noise_new((size_t)n_out);
    AUTO_FREE float *out = noise_new((size_t)n * ld_out);
    AUTO_FREE double *want = mem_alloc(sizeof(double) * (size_t)n * (size_t)n_out);
    AUTO_FREE float *seen_x = mem_alloc(sizeof(float) * (size_t)n * ld_x);
    AUTO_FREE float *seen_w = mem_alloc(sizeof(float) * nw);
    AUTO_FREE uint8_t *panel = mem_aligned(quant_panel_bytes(f, n_in));
    float guard = out[n_out];

    for (int o = 0; o < n_out; o += QUANT_PANEL) {
        int rows = MIN(QUANT_PANEL, n_out - o);
        float *to = seen_w + (size_t)o * (size_t)n_in;
        quant_panel_pack(f, w + (size_t)o * (size_t)n_in, rows, n_in, panel);
        quant_panel_unpack(f, panel, rows, n_in, to);
        if (f == QUANT_INT4 && n > BACKEND_FEW_ROWS && !is_cuda(b))
            round_w4(panel, rows, n_in, to);
    }
    /* the format itself: half a step, of 2/127 or 2/8, and int4's scale may cut one value in 16 */
    for (size_t i = 0; i < nw; i++)
        if (!(fabsf(seen_w[i] - w[i]) <= (f == QUANT_INT8 ? 0.5f / 127 : 0.27f)))
            fail_msg("weight %zu is %g after packing, was %g", i, (double)seen_w[i], (double)w[i]);
    for (size_t i = 0; i < nw && is_cuda(b) && is_bf16 && n > BACKEND_FEW_ROWS; i++)
        seen_w[i] = to_bf16(seen_w[i]);
    for (int i = 0; i < n; i++) {
        const float *row = x + (size_t)i * ld_x;
        float *seen = seen_x + (size_t)i * ld_x;
        for (int j = 0; j < n_in && is_cuda(b); j++)
            seen[j] = is_bf16 ? to_bf16(row[j]) : row[j];
        if (!is_cuda(b))
            round_x(row, n_in, seen);
        for (int j = 0; j < n_out; j++)
            want[(size_t)i * (size_t)n_out + (size_t)j] =
                (double)out[(size_t)i * ld_out + (size_t)j];
    }
    ref_linear(seen_x, ld_x, n, seen_w, n_out, n_in, bias ? bb : NULL, add, want);

    struct weight packed;
    struct weight_part part = {w, TENSOR_F32, n_out};
    b->pack_as = kind;
    b->weight_pack(b, &part, 1, n_in, bias ? bb : NULL, &packed);
    b->pack_as = WEIGHT_F32;
    b->linear(b, &packed, x, ld_x, n, out, ld_out, add);
    compare(kind == WEIGHT_INT4 ? "linear int4" : "linear int8", b, out, ld_out, want, n, n_out,
            4e-6 * sqrt(n_in));
    assert_true(memcmp(&guard, &out[n_out], sizeof(guard)) == 0);
    /* A row alone has the same numbers. */
    if (!add && n <= BACKEND_FEW_ROWS) {
        AUTO_FREE float *one = mem_alloc(sizeof(float) * (size_t)n_out);
        b->linear(b, &packed, x + (size_t)(n - 1) * ld_x, ld_x, 1, one, ld_out, false);
        assert_memory_equal(one, out + (size_t)(n - 1) * ld_out, sizeof(float) * (size_t)n_out);
    }
    b->weight_done(b, &packed);
}

static void quantised(struct backend *b)
{
    static const int shapes[][3] = {{1, 1, 1},     {1, 33, 7},    {1, 576, 192}, {2, 32, 256},
                                    {8, 64, 257},  {13, 31, 300}, {96, 96, 64},  {97, 40, 520},
                                    {200, 704, 33}, {10, 33, 2300}, {3, 64, 2816}};
    for (size_t i = 0; i < N_ELEMENTS(shapes); i++)
        for (int flags = 0; flags < 4; flags++) {
            one_quantised(b, shapes[i][0], shapes[i][1], shapes[i][2], WEIGHT_INT8, flags & 1,
                          flags & 2);
            one_quantised(b, shapes[i][0], shapes[i][1], shapes[i][2], WEIGHT_INT4, flags & 1,
                          flags & 2);
        }
}

/* Halves that are not written against halves that are. */
static void gated(struct backend *b)
{
    static const int shapes[][3] = {
        {9, 64, 40}, {100, 192, 300}, {200, 576, 2100}, {500, 1024, 1100}};
    static const enum weight_kind kinds[] = {WEIGHT_F32, WEIGHT_INT8, WEIGHT_INT4};

    for (size_t i = 0; i < N_ELEMENTS(shapes); i++) {
        int n = shapes[i][0], n_out = shapes[i][1], n_in = shapes[i][2], half = n_out / 2;
        AUTO_FREE float *x = noise_new((size_t)n * (size_t)n_in);
        AUTO_FREE float *w = noise_new((size_t)n_out * (size_t)n_in);
        AUTO_FREE float *bias = noise_new((size_t)n_out);
        AUTO_FREE float *wide = noise_new((size_t)n * (size_t)n_out);
        AUTO_FREE float *out = noise_new((size_t)n * (size_t)half);
        AUTO_FREE double *want = mem_alloc(sizeof(double) * (size_t)n * (size_t)half);
        for (size_t k = 0; k < N_ELEMENTS(kinds); k++) {
            struct weight_part part = {w, TENSOR_F32, n_out};
            struct weight packed;
            b->pack_as = kinds[k];
            b->weight_pack(b, &part, 1, n_in, bias, &packed);
            b->pack_as = WEIGHT_F32;
            if (b->linear_gated(b, &packed, x, (size_t)n_in, n, out, (size_t)half)) {
                b->linear(b, &packed, x, (size_t)n_in, n, wide, (size_t)n_out, false);
                ref_silu_mul(wide, n, half, want);
                compare("linear_gated", b, out, (size_t)half, want, n, half, 2e-6);
            }
            b->weight_done(b, &packed);
        }
    }
}

#ifndef OPS_CUDA
/* Sums of bytes are exact, so every set of kernels gives the same sums; f32 rounds the scales. */
static void same_as_generic(const struct q8_kernels *k, const char *name)
{
    enum { N = 300, ROWS = 12, LD = 512 + 64 };
    AUTO_FREE float *x = noise_new(ROWS * N);
    AUTO_FREE float *w = noise_new(QUANT_PANEL * N);
    AUTO_FREE uint8_t *w8 = mem_aligned(quant_panel_bytes(QUANT_INT8, N));
    AUTO_FREE uint8_t *w4 = mem_aligned(quant_panel_bytes(QUANT_INT4, N));
    AUTO_FREE uint8_t *wide[2] = {mem_aligned(quant_panel_bytes(QUANT_INT8, N)),
                                  mem_aligned(quant_panel_bytes(QUANT_INT8, N))};
    static int8_t q[2][ROWS * LD];
    static float c[2][ROWS * QUANT_PANEL];
    struct q8_scale s[2][ROWS * 2];
    int32_t groups[2 * QUANT_BLOCK / QUANT_GROUP];

    quant_panel_pack(QUANT_INT8, w, QUANT_PANEL, N, w8);
    quant_panel_pack(QUANT_INT4, w, QUANT_PANEL, N, w4);
    for (int i = 0; i < 2; i++) {
        const struct q8_kernels *u = i ? k : &q8_generic;
        memset(s[i], 0, sizeof(s[i]));
        for (int r = 0; r < ROWS; r++)
            u->quantize(N, x + r * N, q[i] + r * LD, s[i] + r * 2);
        u->widen4(N, w4, wide[i]);
    }
    if (memcmp(q[0], q[1], sizeof(q[0])) != 0 || memcmp(s[0], s[1], sizeof(s[0])) != 0)
        fail_msg("%s rounds rows otherwise than generic", name);
    k->group_sums(N, q[0], groups);
    assert_memory_equal(wide[0], wide[1], quant_panel_bytes(QUANT_INT8, N));
    for (int part = 0; part < 3; part++) {
        for (int i = 0; i < 2; i++) {
            const struct q8_kernels *u = i ? k : &q8_generic;
            if (part < 2)
                u->tile8(part ? 7 : ROWS, false, x, N, w8, q[0], LD, s[0], 2, c[i], QUANT_PANEL);
            else
                u->row4(false, x, N, w4, q[0], s[0], groups, c[i]);
        }
        for (int i = 0; i < (part == 0 ? ROWS : part == 1 ? 7 : 1) * QUANT_PANEL; i++)
            if (!(fabsf(c[0][i] - c[1][i]) <= 1e-5f))
                fail_msg("%s, part %d: value %d is %g, generic has %g", name, part, i,
                         (double)c[1][i], (double)c[0][i]);
    }
    free(wide[1]);
}

static void test_bytes(void **state)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
        same_as_generic(&q8_avx2, "avx2");
    if (__builtin_cpu_supports("avx512vnni"))
        same_as_generic(&q8_avx512, "avx512");
#endif
}
#endif

static void rows(struct backend *b)
{
    static const int widths[] = {1, 15, 16, 192, 257, 704};

    for (size_t k = 0; k < N_ELEMENTS(widths); k++) {
        int n = 37, d = widths[k];
        size_t nd = (size_t)n * (size_t)d;
        AUTO_FREE float *x = noise_new(nd * 2);
        AUTO_FREE float *w = noise_new((size_t)d);
        AUTO_FREE float *out = noise_new(nd);
        AUTO_FREE double *want = mem_alloc(sizeof(double) * nd);

        for (size_t i = 0; i < nd * 2; i++)
            x[i] *= 12;
        x[0] = 120; /* beyond the range of exp */
        x[nd - 1] = -120;
        b->rms_norm(b, x, w, n, d, 1e-6f, out);
        ref_rms_norm(x, w, n, d, 1e-6, want);
        compare("rms_norm", b, out, (size_t)d, want, n, d, 2e-6);
        b->silu_mul(b, x, n, d, out);
        ref_silu_mul(x, n, d, want);
        compare("silu_mul", b, out, (size_t)d, want, n, d, 2e-6);
        ref_gelu(x, (int)nd, want);
        b->gelu(b, x, n, d);
        compare("gelu", b, x, (size_t)d, want, n, d, 2e-6);
    }
}

static void rope(struct backend *b)
{
    static const int widths[] = {2, 12, 32, 64, 80, 128};

    for (size_t k = 0; k < N_ELEMENTS(widths); k++) {
        int n = 41, heads = 3, d = widths[k];
        size_t ld = (size_t)(heads * d) + 4;
        AUTO_FREE float *x = noise_new((size_t)n * ld);
        AUTO_FREE float *c = noise_new((size_t)(n * d));
        AUTO_FREE float *s = noise_new((size_t)(n * d));
        AUTO_FREE double *want = mem_alloc(sizeof(double) * (size_t)(n * heads * d));

        for (int i = 0; i < n; i++)
            for (int h = 0; h < heads; h++)
                ref_rope(x + (size_t)i * ld + h * d, d, c + i * (d / 2), s + i * (d / 2),
                         want + (i * heads + h) * d);
        b->rope(b, x, ld, n, heads, d, c, s);
        compare("rope", b, x, ld, want, n, heads * d, 2e-6);
    }
}

/* n_rows x n_cols values as bytes with one scale. */
static void round_together(float *x, size_t ld, int n_rows, int n_cols)
{
    float most = 0;

    for (int i = 0; i < n_rows * n_cols; i++)
        most = fmaxf(most, fabsf(x[(size_t)(i / n_cols) * ld + (size_t)(i % n_cols)]));
    for (int i = 0; i < n_rows * n_cols && most > 0; i++) {
        float *to = &x[(size_t)(i / n_cols) * ld + (size_t)(i % n_cols)];
        *to = rintf(*to * (127 / most)) * (most / 127);
    }
}

/* Queries, keys and values side by side in a row, as the layers have them. int8: each row of a head
 * of the keys and values has a scale of its own. */
static void one_attend(struct backend *b, bool int8, int heads, int kv_heads, int d, int n,
                       int past, const struct span *spans, int n_spans)
{
    int total = past + n;
    size_t ld = (size_t)((heads + 2 * kv_heads) * d), ld_out = (size_t)(heads * d) + 1;
    AUTO_FREE float *qkv = noise_new((size_t)total * ld);
    AUTO_FREE float *out = noise_new((size_t)n * ld_out);
    AUTO_FREE double *want = mem_alloc(sizeof(double) * (size_t)(n * heads * d));
    const float *k = qkv + heads * d, *v = k + kv_heads * d;
    struct span all = {0, n};
    struct kv_store kv;
    bool causal = n_spans == 0;

    /* Large scores, so that the running maximum has something to do; their rounding in f32 is what
     * the tolerance allows. */
    for (size_t i = 0; i < (size_t)total * ld; i++)
        qkv[i] *= 4;
    for (int j = heads * d; j < (heads + 2 * kv_heads) * d; j++)
        qkv[(size_t)(total / 2) * ld + (size_t)j] = 0; /* a row without a scale */
    (int8 ? b->kv_alloc_int8 : b->kv_alloc)(b, kv_heads, d, total + 9, &kv);
    /* In two uneven pieces, as a cache grows. Behind them lies what a wrong guess has left. */
    int first = total > 5 ? total - 5 : 0;
    b->kv_put(b, &kv, k, v, ld, MIN(9, total), total);
    b->kv_put(b, &kv, k, v, ld, first, 0);
    b->kv_put(b, &kv, k + (size_t)first * ld, v + (size_t)first * ld, ld, total - first, first);
    struct attend a = {.q = qkv + (size_t)past * ld, .ld_q = ld, .out = out, .ld_out = ld_out,
                       .n_head = heads, .scale = 0.2f, .kv = &kv, .spans = causal ? &all : spans,
                       .n_spans = causal ? 1 : n_spans, .causal = causal, .base = past};
    b->attend(b, &a);
    /* What the backend rounds is rounded here too: all but the weights of the values, which cost up
     * to about 2^-9 of the largest value, 4. */
    float scale = a.scale;
    for (int i = 0; int8 && i < total; i++)
        for (int h = 0; h < 2 * kv_heads; h++)
            round_together(qkv + (size_t)i * ld + (heads + h) * d, ld, 1, d);
    for (size_t i = 0; is_bf16 && is_cuda(b) && i < (size_t)total * ld; i++)
        if (i % ld >= (size_t)(heads * d))
            qkv[i] = to_bf16(qkv[i]);
    if (is_bf16 && !is_cuda(b)) {
        float log2e = 1.44269504f;
        for (int i = 0; i < total; i++)
            for (int j = 0; j < (heads + 2 * kv_heads) * d; j++) {
                float *x = &qkv[(size_t)i * ld + (size_t)j];
                *x = j < heads * d ? to_bf16(*x * (a.scale * log2e)) / log2e : to_bf16(*x);
            }
        scale = 1;
    }
    for (int i = 0; i < n; i++) {
        int begin = 0, end = past + i + 1;
        for (int s = 0; s < n_spans; s++)
            if (i >= spans[s].begin && i < spans[s].end) {
                begin = spans[s].begin;
                end = spans[s].end;
            }
        for (int h = 0; h < heads; h++) {
            int hk = h / (heads / kv_heads);
            ref_attend(a.q + (size_t)i * ld + h * d, k + hk * d, v + hk * d, ld, begin, end, d,
                       (double)scale, want + (i * heads + h) * d);
        }
    }
    compare(int8     ? "attend to int8"
            : causal ? "causal attend"
                     : "attend in spans",
            b, out, ld_out, want, n, heads * d, is_bf16 && !is_cuda(b) ? 3 * 0x1p-8 : 6e-5);
    b->kv_done(b, &kv);
}

static void attend_as(struct backend *b, bool int8)
{
    static const struct span windows[] = {{0, 64}, {64, 80}, {80, 84}, {84, 148}, {148, 450}};
    static const struct span whole[] = {{0, 300}};

    one_attend(b, int8, 3, 3, 64, 450, 0, windows, 5);
    one_attend(b, int8, 2, 2, 80, 300, 0, whole, 1);
    one_attend(b, int8, 4, 2, 64, 1, 0, NULL, 0);
    one_attend(b, int8, 4, 2, 64, 1, 299, NULL, 0);
    one_attend(b, int8, 4, 1, 32, 130, 0, NULL, 0);
    one_attend(b, int8, 4, 4, 16, 70, 531, NULL, 0);
    one_attend(b, int8, 2, 1, 128, 49, 33, NULL, 0);
    one_attend(b, int8, 6, 2, 12, 11, 140, NULL, 0);
    one_attend(b, int8, 28, 4, 128, 1, 200, NULL, 0);
    one_attend(b, int8, 1, 1, 256, 20, 5, NULL, 0);
    one_attend(b, int8, 2, 1, 34, 9, 250, NULL, 0);
}

static void attend(struct backend *b)
{
    attend_as(b, false);
    if (b->kv_alloc_int8)
        attend_as(b, true);
}

/* Keys and values put one by one and asked one by one give the bits of all at once, in half the
 * memory. */
static void one_by_one(struct backend *b)
{
    enum { HEADS = 4, KV = 2, D = 40, N = 150, PAST = 101, OUT = HEADS * D, LD = OUT + 2 * KV * D };
    static float whole[(N - PAST) * OUT], one[OUT];
    AUTO_FREE float *qkv = noise_new(N * LD);
    const float *k = qkv + OUT, *v = k + KV * D;
    struct kv_store at_once, pieces, exact;
    struct span all = {0, N - PAST}, first = {0, 1};

    if (!b->kv_alloc_int8)
        return;
    b->kv_alloc(b, KV, D, N, &exact);
    b->kv_alloc_int8(b, KV, D, N, &at_once);
    b->kv_alloc_int8(b, KV, D, N, &pieces);
    assert_int_equal(at_once.n_bytes,
                     exact.n_bytes / 2 + 2 * sizeof(float) * KV * (size_t)exact.n_cap);
    struct attend a = {.q = qkv + PAST * LD, .ld_q = LD, .out = whole, .ld_out = OUT,
                       .n_head = HEADS, .scale = 0.2f, .kv = &at_once, .spans = &all, .n_spans = 1,
                       .causal = true, .base = PAST};
    b->kv_put(b, &at_once, k, v, LD, N, 0);
    b->attend(b, &a);
    a.kv = &pieces;
    a.spans = &first;
    a.out = one;
    for (int i = 0; i < N; i++) {
        b->kv_put(b, &pieces, k + i * LD, v + i * LD, LD, 1, i);
        a.q = qkv + i * LD;
        a.base = i;
        b->attend(b, &a);
        if (i >= PAST)
            assert_memory_equal(one, whole + (i - PAST) * OUT, sizeof(one));
    }
    b->kv_done(b, &exact);
    b->kv_done(b, &at_once);
    b->kv_done(b, &pieces);
}

/* A key or value that is no number is not hidden. */
static void not_a_number(struct backend *b)
{
    enum { D = 20, N = 3 };
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    struct span all = {0, 1};

    for (size_t i = 0; i < N_ELEMENTS(odd) && b->kv_alloc_int8; i++) {
        for (int in_value = 0; in_value < 2; in_value++) {
            AUTO_FREE float *qkv = noise_new(N * 3 * D);
            float out[D];
            struct kv_store kv;
            qkv[3 * D + (1 + in_value) * D + 7] = odd[i];
            b->kv_alloc_int8(b, 1, D, N, &kv);
            b->kv_put(b, &kv, qkv + D, qkv + 2 * D, 3 * D, N, 0);
            b->attend(b, &(struct attend){.q = qkv, .ld_q = 3 * D, .out = out, .ld_out = D,
                                          .n_head = 1, .scale = 0.2f, .kv = &kv, .spans = &all,
                                          .n_spans = 1, .causal = true, .base = N - 1});
            for (int j = 0; j < D; j++)
                assert_true(isnan(out[j]));
            b->kv_done(b, &kv);
        }
    }
}

/* x [n, d], rows of ld, without the mean of its columns, which goes to mean. */
static void off_mean(float *x, size_t ld, int n, int d, float *mean)
{
    for (int j = 0; j < d; j++) {
        double sum = 0;
        for (int i = 0; i < n; i++)
            sum += (double)x[(size_t)i * ld + (size_t)j];
        mean[j] = (float)(sum / n);
        for (int i = 0; i < n; i++)
            x[(size_t)i * ld + (size_t)j] -= mean[j];
    }
}

/* Keys and values in bytes: what is rounded on purpose is rounded here too; what is left is that of
 * the weights: half of 1/255 of the largest of 128 keys each. `peak` makes the scores of one key
 * large, so that the 127 beside it round to nothing where they should be a little. */
static void one_attend_bytes(struct backend *b, int heads, int d, int n, const struct span *spans,
                             int n_spans, bool peak)
{
    size_t hd = (size_t)(heads * d), ld = 3 * hd + 5, ld_out = hd + 1;
    AUTO_FREE float *qkv = noise_new((size_t)n * ld);
    AUTO_FREE float *out = noise_new((size_t)n * ld_out);
    AUTO_FREE float *mean = noise_new(hd);
    AUTO_FREE double *want = mem_zalloc(sizeof(double) * (size_t)n * hd);
    float *k = qkv + hd, *v = k + hd;
    struct kv_store kv;

    if (!b->kv_alloc_bytes(b, heads, d, n, &kv))
        return;
    for (size_t i = 0; i < (size_t)n; i++)
        for (size_t j = 0; j < hd; j++) {
            k[i * ld + j] += (float)(j % 7);
            v[i * ld + j] -= (float)(j % 5);
            if (peak && i == 5)
                k[i * ld + j] *= 8;
        }
    for (size_t j = 0; j < hd; j++)
        qkv[(size_t)(n - 1) * ld + j] = 0; /* a query without a scale */
    b->kv_put(b, &kv, k, v, ld, n, 0);
    b->attend(b, &(struct attend){.q = qkv,
                                  .ld_q = ld,
                                  .out = out,
                                  .ld_out = ld_out,
                                  .n_head = heads,
                                  .scale = 0.2f,
                                  .kv = &kv,
                                  .spans = spans,
                                  .n_spans = n_spans});
    off_mean(k, ld, n, (int)hd, mean);
    off_mean(v, ld, n, (int)hd, mean);
    for (int h = 0; h < heads; h++) {
        for (int i = 0; i < n; i++)
            round_together(qkv + (size_t)i * ld + h * d, ld, 1, d);
        for (int i = 0; i < n; i += 128)
            round_together(k + (size_t)i * ld + h * d, ld, MIN(128, n - i), d);
        for (int j = 0; j < d; j++)
            round_together(v + h * d + j, ld, n, 1);
    }
    for (int s = 0; s < n_spans; s++)
        for (int i = spans[s].begin; i < spans[s].end; i++)
            for (int h = 0; h < heads; h++) {
                double *to = want + (size_t)i * hd + h * d;
                ref_attend(qkv + (size_t)i * ld + h * d, k + h * d, v + h * d, ld, spans[s].begin,
                           spans[s].end, d, 0.2, to);
                for (int j = 0; j < d; j++)
                    to[j] += (double)mean[h * d + j];
            }
    for (int i = 0; i < n; i++) { /* rows of no span are not written */
        bool in = false;
        for (int s = 0; s < n_spans; s++)
            in |= i >= spans[s].begin && i < spans[s].end;
        for (size_t j = 0; j < hd && !in; j++)
            want[(size_t)i * hd + j] = (double)out[(size_t)i * ld_out + j];
    }
    compare("attend in bytes", b, out, ld_out, want, n, (int)hd, peak ? 0.08 : 4e-3);
    b->kv_done(b, &kv);
}

static void attend_bytes(struct backend *b)
{
    static const struct span windows[] = {{0, 64},   {64, 80},   {80, 84},
                                          {84, 148}, {149, 150}, {151, 450}};
    static const struct span whole[] = {{0, 301}}, frames[] = {{0, 700}, {700, 1400}},
                             one[] = {{0, 1}};

    one_attend_bytes(b, 3, 64, 450, windows, 6, false);
    one_attend_bytes(b, 2, 80, 301, whole, 1, true);
    one_attend_bytes(b, 1, 64, 1400, frames, 2, true);
    one_attend_bytes(b, 1, 64, 1, one, 1, false);
    one_attend_bytes(b, 2, 12, 450, windows, 6, false);
    one_attend_bytes(b, 1, 17, 301, whole, 1, false);
    one_attend_bytes(b, 1, 256, 301, whole, 1, true);
}

static void test_attend_bytes(void **state)
{
    for_each_backend(attend_bytes);
}

static void test_linear(void **state)
{
    for_each_backend(linear);
}

static void test_gated(void **state)
{
    for_each_backend(gated);
}

static void test_quantised(void **state)
{
    for_each_backend(quantised);
}

static void test_rows(void **state)
{
    for_each_backend(rows);
}

static void test_rope(void **state)
{
    for_each_backend(rope);
}

static void test_attend(void **state)
{
    for_each_backend(attend);
}

static void test_one_by_one(void **state)
{
    for_each_backend(one_by_one);
    for_each_backend(not_a_number);
}

static void test_f16(void **state)
{
    assert_true(f16_to_f32(0x3c00) == 1.0f);
    assert_true(f16_to_f32(0xc000) == -2.0f);
    assert_true(f16_to_f32(0x7bff) == 65504.0f);
    assert_true(f16_to_f32(0x0001) == 0x1p-24f);
    assert_true(f16_to_f32(0x03ff) == 1023 * 0x1p-24f);
    assert_true(isinf(f16_to_f32(0x7c00)));
    assert_true(isnan(f16_to_f32(0x7e00)));
}

static void test_open_refuses(void **state)
{
    struct backend *b;
    struct err err = {0};

    assert_true(backend_cpu_open("mmx", NULL, 1, &b, &err) < 0);
    assert_non_null(strstr(err.text, "mmx"));
    assert_true(backend_cpu_open("generic", NULL, -1, &b, &err) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),       cmocka_unit_test(test_quantised),
        cmocka_unit_test(test_gated),
#ifndef OPS_CUDA
        cmocka_unit_test(test_bytes),
#endif
        cmocka_unit_test(test_rows),         cmocka_unit_test(test_rope),
        cmocka_unit_test(test_attend),       cmocka_unit_test(test_attend_bytes),
        cmocka_unit_test(test_one_by_one),   cmocka_unit_test(test_f16),
        cmocka_unit_test(test_open_refuses),
    };
    return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
