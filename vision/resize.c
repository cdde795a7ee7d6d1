/* smart_resize and Pillow's bicubic, equal to the last bit.
 *
 * Pillow computes the filter's weights in double, normalises them, rounds them to 22 fractional
 * bits and then works in integers: a horizontal pass, rounding to 8 bits, a vertical pass; a pass
 * whose size does not change is left out, and since Pillow 13 the vertical pass comes first where
 * the height shrinks by more than twice the pixels that the width does. Integer sums are the same
 * in any order, so the loops here are free to be fast: the vertical pass adds whole rows, and the
 * horizontal pass takes 16 rows at once, turned so that the 16 lie side by side, and then also adds
 * plain vectors.
 * The file must not be compiled with contracted multiply-adds (see meson.build): the weights would
 * differ in their last bit. */
#include "vision/resize.h"
#include "vision/cpu.h"
#include "vision/share.h"
#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define PRECISION_BITS (32 - 8 - 2)
#define MAX_ASPECT 200.0
#define LANES 16 /* rows that the horizontal pass takes together */

int resize_size(int w, int h, const struct image_spec *spec, int *ret_w, int *ret_h,
                struct err *err)
{
    if (w < 1 || h < 1)
        return err_set(err, -EINVAL, "the picture is %d x %d pixels, it must be at least 1 x 1", w,
                       h);
    if (spec->patch_size < 1 || spec->merge_size < 1 || spec->patch_size > 1024 ||
        spec->merge_size > 64)
        return err_set(err, -EINVAL,
                       "patch_size %d and merge_size %d are not usable, expected 1..1024 and 1..64",
                       spec->patch_size, spec->merge_size);
    if (spec->max_pixels < 1 || spec->min_pixels < 0 || spec->min_pixels > spec->max_pixels)
        return err_set(err, -EINVAL,
                       "min_pixels %lld and max_pixels %lld must be 0 <= min <= max, max > 0",
                       (long long)spec->min_pixels, (long long)spec->max_pixels);
    double aspect = (double)MAX(w, h) / (double)MIN(w, h);
    if (aspect > MAX_ASPECT)
        return err_set(err, -ERANGE,
                       "the picture is %d x %d pixels, a side may be at most %.0f times the other",
                       w, h, MAX_ASPECT);

    double factor = spec->patch_size * spec->merge_size;
    double area = (double)w * (double)h;
    /* rint is half-to-even in the default rounding mode, as Python's round() */
    double wb = rint(w / factor) * factor;
    double hb = rint(h / factor) * factor;
    if (hb * wb > (double)spec->max_pixels) {
        /* this order of divisions matters: 3840 x 2160 sits on 48.00000000000001 blocks */
        double beta = sqrt(area / (double)spec->max_pixels);
        hb = fmax(factor, floor(h / beta / factor) * factor);
        wb = fmax(factor, floor(w / beta / factor) * factor);
    } else if (hb * wb < (double)spec->min_pixels) {
        double beta = sqrt((double)spec->min_pixels / area);
        hb = ceil(h * beta / factor) * factor;
        wb = ceil(w * beta / factor) * factor;
    }
    if (wb < 1 || hb < 1 || wb > 32767 || hb > 32767)
        return err_set(err, -ERANGE,
                       "the picture of %d x %d pixels would become %.0f x %.0f, expected sides of "
                       "1 to 32767",
                       w, h, wb, hb);
    *ret_w = (int)wb;
    *ret_h = (int)hb;
    return 0;
}

/* One axis: out pixel i is the sum over n[i] source pixels from first[i] with weights
 * k[i * ksize ...]. */
struct weights {
    int ksize;
    int *first, *n;
    int32_t *k;
};

static void weights_done(struct weights *t)
{
    free(t->first);
    free(t->n);
    free(t->k);
}

static double bicubic(double x)
{
    const double a = -0.5;
    if (x < 0.0)
        x = -x;
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static int weights_make(struct weights *t, int n_in, int n_out, struct err *err)
{
    double scale = (double)n_in / n_out;
    double filterscale = scale < 1.0 ? 1.0 : scale;
    double support = 2.0 * filterscale;
    double ss = 1.0 / filterscale;
    size_t n_k;

    *t = (struct weights){.ksize = (int)ceil(support) * 2 + 1};
    if (mem_mul(&n_k, (size_t)t->ksize, (size_t)n_out) || n_k > SIZE_MAX / sizeof(int32_t))
        return err_set(err, -EOVERFLOW, "resizing %d to %d pixels needs too many weights", n_in,
                       n_out);
    t->first = mem_alloc((size_t)n_out * sizeof(int));
    t->n = mem_alloc((size_t)n_out * sizeof(int));
    t->k = mem_zalloc(n_k * sizeof(int32_t));
    AUTO_FREE double *w = mem_alloc((size_t)t->ksize * sizeof(double));
    for (int i = 0; i < n_out; i++) {
        double center = (i + 0.5) * scale, sum = 0.0;
        int lo = MAX((int)(center - support + 0.5), 0);
        int n = MIN((int)(center + support + 0.5), n_in) - lo;
        int32_t *k = t->k + (size_t)i * (size_t)t->ksize;
        for (int x = 0; x < n; x++) {
            w[x] = bicubic((x + lo - center + 0.5) * ss);
            sum += w[x];
        }
        for (int x = 0; x < n; x++) {
            double v = sum != 0.0 ? w[x] / sum : w[x];
            k[x] = (int32_t)((v < 0 ? -0.5 : 0.5) + v * (1 << PRECISION_BITS));
        }
        t->first[i] = lo;
        t->n[i] = n;
    }
    return 0;
}

static inline __attribute__((always_inline)) uint8_t round8(int32_t acc)
{
    acc >>= PRECISION_BITS;
    return (uint8_t)CLAMP(acc, 0, 255);
}

/* rows[r * stride + j], r < LANES, to out[j][r] and back. */
static void turn_in(const uint8_t *rows, size_t stride, size_t n_bytes, int n_rows, uint8_t *out)
{
    size_t j = 0;
#ifdef __SSE2__
    if (n_rows == LANES) {
        for (; j + 16 <= n_bytes; j += 16)
            cpu_transpose16(rows + j, stride, out + j * LANES, LANES);
    }
#endif
    for (; j < n_bytes; j++)
        for (int r = 0; r < LANES; r++)
            out[j * LANES + (size_t)r] = r < n_rows ? rows[(size_t)r * stride + j] : 0;
}

static void turn_out(const uint8_t *in, size_t n_bytes, int n_rows, uint8_t *rows, size_t stride)
{
    size_t j = 0;
#ifdef __SSE2__
    if (n_rows == LANES) {
        for (; j + 16 <= n_bytes; j += 16)
            cpu_transpose16(in + j * LANES, LANES, rows + j, stride);
    }
#endif
    for (; j < n_bytes; j++)
        for (int r = 0; r < n_rows; r++)
            rows[(size_t)r * stride + j] = in[j * LANES + (size_t)r];
}

/* in, out: [pixel, 3, LANES] */
static inline __attribute__((always_inline)) void across(const uint8_t *restrict in,
                                                         const struct weights *t, int n_out,
                                                         uint8_t *restrict out)
{
    for (int i = 0; i < n_out; i++) {
        const int32_t *k = t->k + (size_t)i * (size_t)t->ksize;
        const uint8_t *s = in + (size_t)t->first[i] * 3 * LANES;
        int32_t acc[3 * LANES];
        for (int r = 0; r < 3 * LANES; r++)
            acc[r] = 1 << (PRECISION_BITS - 1);
        for (int x = 0; x < t->n[i]; x++) {
            int32_t kx = k[x];
            for (int r = 0; r < 3 * LANES; r++)
                acc[r] += s[r] * kx;
            s += 3 * LANES;
        }
        for (int r = 0; r < 3 * LANES; r++)
            out[r] = round8(acc[r]);
        out += 3 * LANES;
    }
}

#define DOWN_BLOCK 64
/* One output row: the weighted sum of n rows of n_bytes. */
static inline __attribute__((always_inline)) void down(const uint8_t *restrict rows, size_t stride,
                                                       const int32_t *k, int n, size_t n_bytes,
                                                       uint8_t *restrict out)
{
    size_t j = 0;
    for (; j + DOWN_BLOCK <= n_bytes; j += DOWN_BLOCK) {
        int32_t acc[DOWN_BLOCK];
        for (int i = 0; i < DOWN_BLOCK; i++)
            acc[i] = 1 << (PRECISION_BITS - 1);
        for (int y = 0; y < n; y++) {
            const uint8_t *s = rows + (size_t)y * stride + j;
            int32_t ky = k[y];
            for (int i = 0; i < DOWN_BLOCK; i++)
                acc[i] += s[i] * ky;
        }
        for (int i = 0; i < DOWN_BLOCK; i++)
            out[j + (size_t)i] = round8(acc[i]);
    }
    for (; j < n_bytes; j++) {
        int32_t acc = 1 << (PRECISION_BITS - 1);
        for (int y = 0; y < n; y++)
            acc += rows[(size_t)y * stride + j] * k[y];
        out[j] = round8(acc);
    }
}

/* The same bodies for each level of vector instructions, picked at run time. */
struct kernels {
    void (*across)(const uint8_t *in, const struct weights *t, int n_out, uint8_t *out);
    void (*down)(const uint8_t *rows, size_t stride, const int32_t *k, int n, size_t n_bytes,
                 uint8_t *out);
};
#define KERNELS(name, target)                                                                      \
    target static void across_##name(const uint8_t *in, const struct weights *t, int n_out,        \
                                     uint8_t *out)                                                 \
    {                                                                                              \
        across(in, t, n_out, out);                                                                 \
    }                                                                                              \
    target static void down_##name(const uint8_t *rows, size_t stride, const int32_t *k, int n,    \
                                   size_t n_bytes, uint8_t *out)                                   \
    {                                                                                              \
        down(rows, stride, k, n, n_bytes, out);                                                    \
    }
KERNELS(plain, )
#ifdef __x86_64__
KERNELS(avx2, CPU_TARGET_AVX2)
KERNELS(avx512, CPU_TARGET_AVX512)
#endif

static struct kernels pick_kernels(void)
{
#ifdef __x86_64__
    switch (vision_cpu_level()) {
    case CPU_AVX512:
        return (struct kernels){across_avx512, down_avx512};
    case CPU_AVX2:
        return (struct kernels){across_avx2, down_avx2};
    default:
        break;
    }
#endif
    return (struct kernels){across_plain, down_plain};
}

struct pass {
    struct kernels fn;
    const struct frame *src;
    const struct weights *t;
    struct frame *dst;
};

static void pass_across(void *user, int begin, int end)
{
    const struct pass *p = user;
    size_t n_in = (size_t)p->src->w * 3, n_out = (size_t)p->dst->w * 3;
    AUTO_FREE uint8_t *in = mem_aligned(n_in * LANES);
    AUTO_FREE uint8_t *out = mem_aligned(n_out * LANES);

    for (int y = begin; y < end; y += LANES) {
        int n = MIN(LANES, end - y);
        turn_in(p->src->rgb + (size_t)y * n_in, n_in, n_in, n, in);
        p->fn.across(in, p->t, p->dst->w, out);
        turn_out(out, n_out, n, p->dst->rgb + (size_t)y * n_out, n_out);
    }
}

static void pass_down(void *user, int begin, int end)
{
    const struct pass *p = user;
    const struct weights *t = p->t;
    size_t stride = (size_t)p->src->w * 3;

    for (int y = begin; y < end; y++)
        p->fn.down(p->src->rgb + (size_t)t->first[y] * stride, stride,
                   t->k + (size_t)y * (size_t)t->ksize, t->n[y], stride,
                   p->dst->rgb + (size_t)y * stride);
}

/* Pillow 13 (Resample.c, pull request 9549); older ones always began with the horizontal pass,
 * which differs by a level of grey here and there. */
static bool down_comes_first(const struct frame *src, int w, int h)
{
    return h < src->h && src->h - h > 2 * (src->w - w);
}

/* One pass that sets the width (across) or the height to n_out. */
static int one_pass(const struct frame *src, bool is_across, int n_out, struct frame *ret,
                    struct err *err)
{
    AUTO(weights_done) struct weights t = {0};
    int n_in = is_across ? src->w : src->h;
    int rc;

    if (n_in == n_out) {
        frame_dup(ret, src);
        return 0;
    }
    if ((rc = weights_make(&t, n_in, n_out, err)) < 0)
        return rc;
    CHECK(frame_alloc(ret, is_across ? n_out : src->w, is_across ? src->h : n_out) == 0);
    struct pass p = {pick_kernels(), src, &t, ret};
    long long n_bytes = 3LL * ret->w * ret->h;
    share_rows(ret->h, LANES, n_bytes, is_across ? pass_across : pass_down, &p);
    return 0;
}

int resize_bicubic(const struct frame *src, int w, int h, struct frame *ret, struct err *err)
{
    AUTO(frame_done) struct frame mid = {0};
    struct frame out = {0};
    int rc;

    if (!src->rgb || src->w < 1 || src->h < 1)
        return err_set(err, -EINVAL, "the picture to resize is empty (%d x %d pixels)", src->w,
                       src->h);
    if (w < 1 || h < 1 || w > 32767 || h > 32767)
        return err_set(err, -EINVAL, "cannot resize to %d x %d pixels, expected 1 to 32767", w, h);
    if (w == src->w || h == src->h) {
        rc = one_pass(src, h == src->h, h == src->h ? w : h, &out, err);
    } else {
        bool across_first = !down_comes_first(src, w, h);
        rc = one_pass(src, across_first, across_first ? w : h, &mid, err);
        if (rc == 0)
            rc = one_pass(&mid, !across_first, across_first ? h : w, &out, err);
    }
    if (rc < 0)
        return rc;
    out.screen = src->screen;
    out.taken_us = src->taken_us;
    *ret = out;
    return 0;
}
