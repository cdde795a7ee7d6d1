/* Every operation of every backend this CPU runs, with one thread and with three, against the
 * double-precision reference: shapes on and off the edges of tiles, panels and blocks. */
#include "base/mem.h"
#include "model/backend.h"
#include "tests/ops/ref.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const names[] = {"generic", "avx2", "avx512", "avx512bf16"};
static const int n_threads[] = {1, 3};

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

/* Does the backend round the sides of its products to bf16? */
static bool is_bf16(const struct backend *b)
{
    return strcmp(b->name, "avx512bf16") == 0;
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
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        for (size_t t = 0; t < N_ELEMENTS(n_threads); t++) {
            struct backend *b;
            struct err err = {0};
            if (backend_cpu_open(names[i], NULL, n_threads[t], &b, &err) < 0) {
                print_message("skipped: %s\n", err.text);
                break;
            }
            fn(b);
            b->close(b);
        }
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
        seen_x[i] = is_bf16(b) ? to_bf16(x[i]) : x[i];
    for (size_t i = 0; i < nw; i++)
        seen_w[i] = is_bf16(b) ? to_bf16(w[i]) : w[i];
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

/* Queries, keys and values side by side in a row, as the layers have them. */
static void one_attend(struct backend *b, int heads, int kv_heads, int d, int n, int past,
                       const struct span *spans, int n_spans)
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
    b->kv_alloc(b, kv_heads, d, total, &kv);
    /* In two uneven pieces, as a cache grows. */
    int first = total > 5 ? total - 5 : 0;
    b->kv_put(b, &kv, k, v, ld, first, 0);
    b->kv_put(b, &kv, k + (size_t)first * ld, v + (size_t)first * ld, ld, total - first, first);
    struct attend a = {.q = qkv + (size_t)past * ld, .ld_q = ld, .out = out, .ld_out = ld_out,
                       .n_head = heads, .scale = 0.2f, .kv = &kv, .spans = causal ? &all : spans,
                       .n_spans = causal ? 1 : n_spans, .causal = causal, .base = past};
    b->attend(b, &a);
    /* What the backend rounds is rounded here too: all but the weights of the values, which cost up
     * to about 2^-9 of the largest value, 4. */
    float scale = a.scale;
    if (is_bf16(b)) {
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
    compare(causal ? "causal attend" : "attend in spans", b, out, ld_out, want, n, heads * d,
            is_bf16(b) ? 3 * 0x1p-8 : 6e-5);
    b->kv_done(b, &kv);
}

static void attend(struct backend *b)
{
    static const struct span windows[] = {{0, 64}, {64, 80}, {80, 84}, {84, 148}, {148, 450}};
    static const struct span whole[] = {{0, 300}};

    one_attend(b, 3, 3, 64, 450, 0, windows, 5);
    one_attend(b, 2, 2, 80, 300, 0, whole, 1);
    one_attend(b, 4, 2, 64, 1, 0, NULL, 0);
    one_attend(b, 4, 2, 64, 1, 299, NULL, 0);
    one_attend(b, 4, 1, 32, 130, 0, NULL, 0);
    one_attend(b, 4, 4, 16, 70, 531, NULL, 0);
    one_attend(b, 2, 1, 128, 49, 33, NULL, 0);
    one_attend(b, 6, 2, 12, 11, 140, NULL, 0);
    one_attend(b, 28, 4, 128, 1, 200, NULL, 0);
    one_attend(b, 1, 1, 256, 20, 5, NULL, 0);
}

static void test_linear(void **state)
{
    for_each_backend(linear);
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
        cmocka_unit_test(test_linear), cmocka_unit_test(test_rows),
        cmocka_unit_test(test_rope),   cmocka_unit_test(test_attend),
        cmocka_unit_test(test_f16),    cmocka_unit_test(test_open_refuses),
    };
    return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
