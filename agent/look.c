/* What a look shows: the picture moved, larger, or a part of it. What lies beyond an edge looks
 * like the edge. */
#include "agent/look.h"

#include "agent/zoom.h"
#include "base/mem.h"
#include "vision/resize.h"

#include <string.h>

/* How far the picture's corner moves, and its size in percent. In order of what they add: stopping
 * early leaves out the last ones. */
static const struct {
    int dx, dy, percent;
    bool closer;
} looks[LOOK_MAX] = {
    {0, 0, 100},
    {0, 0, 115},
    {14, 14, 100, .closer = true},
    {7, 7, 100},
    {7, 0, 100, .closer = true},
    {-4, 5, 100},
    {0, 7, 100, .closer = true},
};

/* What a small model was trained on most: the least of a large picture's part. */
#define PART_W 448
#define PART_H 336
#define PART_OVERLAP 48
/* Of the screen; enlarged it is as large. */
#define CLOSE_W 308
#define CLOSE_H 231
#define CLOSE_PERCENT 145

/* The same size, from another corner; what lies beyond an edge looks like the edge. */
static int move(const struct frame *f, int dx, int dy, struct frame *ret)
{
    int rc = frame_alloc(ret, f->w, f->h);
    if (rc < 0)
        return rc;
    ret->taken_us = f->taken_us;
    size_t stride = (size_t)f->w * 3;
    for (int y = 0; y < f->h; y++) {
        const uint8_t *from = f->rgb + (size_t)CLAMP(y + dy, 0, f->h - 1) * stride;
        uint8_t *to = ret->rgb + (size_t)y * stride;
        for (int x = 0; x < f->w; x++)
            memcpy(to + (size_t)x * 3, from + (size_t)CLAMP(x + dx, 0, f->w - 1) * 3, 3);
    }
    ret->screen = (struct rect){f->screen.x + dx, f->screen.y + dy, f->screen.w, f->screen.h};
    return 0;
}

static int enlarge(const struct frame *f, int percent, struct frame *ret, struct err *err)
{
    return resize_bicubic(f, (int)((int64_t)f->w * percent / 100),
                          (int)((int64_t)f->h * percent / 100), ret, err);
}

bool look_is_closer(int i)
{
    return looks[i].closer;
}

int look_whole(const struct frame *f, int i, struct frame *ret, struct err *err)
{
    if (looks[i].percent != 100)
        return enlarge(f, looks[i].percent, ret, err);
    int rc = move(f, looks[i].dx, looks[i].dy, ret);
    return rc < 0 ? err_set(err, rc, "a picture of %d x %d cannot be made", f->w, f->h) : 0;
}

/* What is around a point, enlarged. */
static int look_around(const struct frame *f, struct screen_pt at, int w, int h, int percent,
                       struct frame *ret, struct err *err)
{
    AUTO(frame_done) struct frame part = {0};
    int rc = zoom_around(f, at, w, h, &part, err);
    return rc < 0 ? rc : enlarge(&part, percent, ret, err);
}

int look_closer(const struct frame *f, struct screen_pt at, struct frame *ret, struct err *err)
{
    return look_around(f, at, CLOSE_W, CLOSE_H, CLOSE_PERCENT, ret, err);
}

/* The parts of a picture: one, or two that overlap, in each direction. */
struct parts {
    int w, h, columns, rows, percent;
};

static struct parts parts_of(const struct frame *f)
{
    bool is_small = f->w <= PART_W && f->h <= PART_H;
    int least_w = is_small ? CLOSE_W : PART_W, least_h = is_small ? CLOSE_H : PART_H;
    struct parts p = {.percent = is_small ? CLOSE_PERCENT : 100};
    p.w = MIN(f->w, MAX(least_w, (f->w + PART_OVERLAP) / 2));
    p.h = MIN(f->h, MAX(least_h, (f->h + PART_OVERLAP) / 2));
    p.columns = 1 + (p.w < f->w);
    p.rows = 1 + (p.h < f->h);
    return p;
}

int look_n_parts(const struct frame *f)
{
    struct parts p = parts_of(f);
    return p.columns * p.rows;
}

int look_at_part(const struct frame *f, int i, struct frame *ret, struct err *err)
{
    struct parts p = parts_of(f);
    int right = i % p.columns, low = i / p.columns;
    struct screen_pt corner = {f->screen.x + right * (f->w - 1), f->screen.y + low * (f->h - 1)};
    return look_around(f, corner, p.w, p.h, p.percent, ret, err);
}

int look_near(const struct frame *f, struct screen_pt at, int i, struct frame *ret,
               struct err *err)
{
    struct parts p = parts_of(f);
    if (i == 0)
        return look_closer(f, (struct screen_pt){at.x + 7, at.y + 7}, ret, err);
    return look_around(f, at, p.w, p.h, p.percent, ret, err);
}
