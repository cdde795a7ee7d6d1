/* The server's pixels as RGB bytes. Nearly every server today sends blue, green, red, unused in
 * that order, and for it there is a byte shuffle; everything else with honest masks goes through
 * one plain loop that shifts and scales. */
#include "vision/pixels.h"
#include "vision/cpu.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

#ifdef __x86_64__
#include <tmmintrin.h>
#endif

struct channel {
    int shift;
    uint32_t max; /* largest value, 2^n - 1 */
};

/* A mask is usable when its ones are neighbours and there are 1 to 16 of them. */
static bool split_mask(uint32_t mask, struct channel *ret)
{
    if (!mask)
        return false;
    ret->shift = __builtin_ctz(mask);
    ret->max = mask >> ret->shift;
    return (ret->max & (ret->max + 1)) == 0 && ret->max <= 0xffff;
}

int pixels_check(const struct pixel_format *f, struct err *err)
{
    struct channel c;
    bool masks = split_mask(f->red, &c) && split_mask(f->green, &c) && split_mask(f->blue, &c) &&
                 !(f->red & f->green) && !(f->red & f->blue) && !(f->green & f->blue);
    int bpp = f->bits_per_pixel;

    if ((bpp != 16 && bpp != 24 && bpp != 32) || !masks ||
        (bpp < 32 && (f->red | f->green | f->blue) >> bpp))
        return err_set(err, -ENOTSUP,
                       "the screen has depth %d with %d bits a pixel and masks %06x %06x %06x, "
                       "expected TrueColor of 16, 24 or 32 bits a pixel (start the X server with "
                       "depth 24)",
                       f->depth, bpp, f->red, f->green, f->blue);
    if (f->scanline_pad != 8 && f->scanline_pad != 16 && f->scanline_pad != 32)
        return err_set(err, -ENOTSUP, "the X server pads rows to %d bits, expected 8, 16 or 32",
                       f->scanline_pad);
    return 0;
}

size_t pixels_stride(const struct pixel_format *f, int w)
{
    size_t pad = (size_t)f->scanline_pad;
    size_t bits = (size_t)w * (size_t)f->bits_per_pixel;
    return (bits + pad - 1) / pad * (pad / 8);
}

static void bgrx_plain(const uint8_t *restrict src, int n, uint8_t *restrict dst)
{
    for (int i = 0; i < n; i++) {
        dst[3 * i] = src[4 * i + 2];
        dst[3 * i + 1] = src[4 * i + 1];
        dst[3 * i + 2] = src[4 * i];
    }
}

#ifdef __x86_64__
/* 16 pixels a turn: each 4 become 12 bytes, and four twelves are glued to three full stores. */
CPU_TARGET_SSSE3 static void bgrx_ssse3(const uint8_t *src, int n, uint8_t *dst)
{
    const __m128i order = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    int i = 0;
    for (; i + 16 <= n; i += 16, src += 64, dst += 48) {
        __m128i a = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)src), order);
        __m128i b =
            _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(src + 16)), order);
        __m128i c =
            _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(src + 32)), order);
        __m128i d =
            _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(src + 48)), order);
        _mm_storeu_si128((__m128i *)(void *)dst, _mm_or_si128(a, _mm_slli_si128(b, 12)));
        _mm_storeu_si128((__m128i *)(void *)(dst + 16),
                         _mm_or_si128(_mm_srli_si128(b, 4), _mm_slli_si128(c, 8)));
        _mm_storeu_si128((__m128i *)(void *)(dst + 32),
                         _mm_or_si128(_mm_srli_si128(c, 8), _mm_slli_si128(d, 4)));
    }
    bgrx_plain(src, n - i, dst);
}
#endif

static uint32_t load_pixel(const uint8_t *p, int n_bytes, bool msb_first)
{
    uint32_t v = 0;
    for (int i = 0; i < n_bytes; i++)
        v |= (uint32_t)p[i] << 8 * (msb_first ? n_bytes - 1 - i : i);
    return v;
}

static uint8_t take(uint32_t pixel, struct channel c)
{
    return (uint8_t)(((pixel >> c.shift & c.max) * 255u + c.max / 2) / c.max);
}

static void any_row(const struct pixel_format *f, const uint8_t *src, int n, uint8_t *dst)
{
    struct channel r, g, b;
    int n_bytes = f->bits_per_pixel / 8;

    CHECK(split_mask(f->red, &r) && split_mask(f->green, &g) && split_mask(f->blue, &b));
    for (int i = 0; i < n; i++, src += n_bytes, dst += 3) {
        uint32_t v = load_pixel(src, n_bytes, f->msb_first);
        dst[0] = take(v, r);
        dst[1] = take(v, g);
        dst[2] = take(v, b);
    }
}

void pixels_to_rgb(const struct pixel_format *f, const uint8_t *src, int w, int h, uint8_t *dst)
{
    size_t stride = pixels_stride(f, w);
    bool bgrx = f->bits_per_pixel == 32 && !f->msb_first && f->red == 0xff0000 &&
                f->green == 0xff00 && f->blue == 0xff;
    void (*fast)(const uint8_t *, int, uint8_t *) = bgrx_plain;
#ifdef __x86_64__
    if (vision_cpu_level() >= CPU_SSSE3)
        fast = bgrx_ssse3;
#endif
    for (int y = 0; y < h; y++, src += stride, dst += (size_t)w * 3) {
        if (bgrx)
            fast(src, w, dst);
        else
            any_row(f, src, w, dst);
    }
}

void pixels_blend(const uint32_t *argb, int sw, int sh, int x, int y, uint8_t *rgb, int w, int h)
{
    int x0 = MAX(0, -x), x1 = MIN(sw, w - x);
    int y0 = MAX(0, -y), y1 = MIN(sh, h - y);

    for (int j = y0; j < y1; j++) {
        const uint32_t *s = argb + (size_t)j * (size_t)sw;
        uint8_t *d = rgb + ((size_t)(y + j) * (size_t)w + (size_t)(x + x0)) * 3;
        for (int i = x0; i < x1; i++, d += 3) {
            uint32_t keep = 255 - (s[i] >> 24);
            for (int c = 0; c < 3; c++) {
                uint32_t v = (s[i] >> (16 - 8 * c) & 255) + (d[c] * keep + 127) / 255;
                d[c] = (uint8_t)MIN(v, 255u);
            }
        }
    }
}
