/* Compares two frames row by row. Most rows of two screenshots are equal bytes, so memcmp decides
 * first; a row that differs goes through two plain loops (bytes, then pixels) over blocks small
 * enough for the first-level cache, written so that the compiler turns them into vectors. */
#include "vision/diff.h"
#include "base/mem.h"

#include <string.h>

#define BLOCK_PX 1024

struct span {
    uint64_t n;      /* changed pixels */
    int first, last; /* columns; last < 0: none */
};

/* mask[i] = 1 where the bytes differ by more than the tolerance */
static void mark_bytes(const uint8_t *restrict a, const uint8_t *restrict b, int n, uint8_t tol,
                       uint8_t *restrict mask)
{
    for (int i = 0; i < n; i++) {
        uint8_t d = a[i] > b[i] ? (uint8_t)(a[i] - b[i]) : (uint8_t)(b[i] - a[i]);
        mask[i] = d > tol;
    }
}

static void compare_row(const uint8_t *a, const uint8_t *b, int x0, int x1, uint8_t tol,
                        struct span *ret)
{
    uint8_t mask[BLOCK_PX * 3];

    for (int x = x0; x < x1; x += BLOCK_PX) {
        int n = MIN(BLOCK_PX, x1 - x);
        uint32_t sum = 0;
        mark_bytes(a + (size_t)x * 3, b + (size_t)x * 3, n * 3, tol, mask);
        for (int i = 0; i < n; i++)
            sum += mask[3 * i] | mask[3 * i + 1] | mask[3 * i + 2];
        if (!sum)
            continue;
        int lo = 0, hi = n * 3 - 1;
        while (!mask[lo])
            lo++;
        while (!mask[hi])
            hi--;
        if (ret->last < 0 || x + lo / 3 < ret->first)
            ret->first = x + lo / 3;
        ret->last = MAX(ret->last, x + hi / 3);
        ret->n += sum;
    }
}

static bool same_place(const struct frame *a, const struct frame *b)
{
    return a->rgb && b->rgb && a->w == b->w && a->h == b->h && a->w > 0 && a->h > 0 &&
           a->screen.x == b->screen.x && a->screen.y == b->screen.y &&
           a->screen.w == b->screen.w && a->screen.h == b->screen.h && a->screen.w > 0 &&
           a->screen.h > 0;
}

/* [start, start+len) of the screen as pixels [*ret0, *ret1) of the picture, clipped. */
static void clip_axis(int64_t start, int64_t len, int n_screen, int n_image, int *ret0, int *ret1)
{
    int64_t end = CLAMP(start + len, 0, (int64_t)n_screen);
    start = CLAMP(start, 0, (int64_t)n_screen);
    *ret0 = (int)(start * n_image / n_screen);
    *ret1 = (int)((end * n_image + n_screen - 1) / n_screen);
    if (end <= start)
        *ret1 = *ret0;
}

/* Picture pixels [p0, p1) back as screen pixels, outwards. */
static void widen_axis(int p0, int p1, int n_image, int n_screen, int *ret_start, int *ret_len)
{
    int64_t start = (int64_t)p0 * n_screen / n_image;
    int64_t end = ((int64_t)p1 * n_screen + n_image - 1) / n_image;
    *ret_start = (int)start;
    *ret_len = (int)(end - start);
}

struct diff diff_frames(const struct frame *before, const struct frame *after, int tolerance,
                        const struct rect *area)
{
    struct diff d = {0};
    int x0 = 0, x1 = before->w, y0 = 0, y1 = before->h;

    if (!same_place(before, after))
        return d;
    d.comparable = true;
    if (area) {
        clip_axis((int64_t)area->x - before->screen.x, area->w, before->screen.w, before->w, &x0,
                  &x1);
        clip_axis((int64_t)area->y - before->screen.y, area->h, before->screen.h, before->h, &y0,
                  &y1);
    }
    if (x1 <= x0 || y1 <= y0)
        return d;

    uint8_t tol = (uint8_t)CLAMP(tolerance, 0, 255);
    struct span all = {.last = -1};
    int top = -1, bottom = -1;
    size_t stride = (size_t)before->w * 3;
    for (int y = y0; y < y1; y++) {
        const uint8_t *a = before->rgb + (size_t)y * stride;
        const uint8_t *b = after->rgb + (size_t)y * stride;
        if (!memcmp(a + (size_t)x0 * 3, b + (size_t)x0 * 3, (size_t)(x1 - x0) * 3))
            continue;
        uint64_t had = all.n;
        compare_row(a, b, x0, x1, tol, &all);
        if (all.n == had)
            continue;
        if (top < 0)
            top = y;
        bottom = y;
    }
    d.n_changed = all.n;
    d.share = (float)((double)all.n / ((double)(x1 - x0) * (double)(y1 - y0)));
    if (all.n) {
        widen_axis(all.first, all.last + 1, before->w, before->screen.w, &d.box.x, &d.box.w);
        widen_axis(top, bottom + 1, before->h, before->screen.h, &d.box.y, &d.box.h);
        d.box.x += before->screen.x;
        d.box.y += before->screen.y;
    }
    return d;
}
