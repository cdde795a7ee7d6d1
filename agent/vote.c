/* The looks, the ballots and the count. The mean of the points that agree is nearer to the middle
 * of the target than any of them: the errors of cutting a picture into tokens cancel. */
#include "agent/vote.h"

#include "actions/action.h"
#include "agent/zoom.h"
#include "base/mem.h"
#include "vision/resize.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How far the picture's corner moves, and its size in percent. A closer look is one at CLOSE_W x
 * CLOSE_H around a point that was found; where there is none it is one that moves. In order of what
 * they add: stopping early leaves out the last ones. */
static const struct {
    int dx, dy, percent;
    bool closer;
} looks[VOTE_LOOKS_MAX] = {
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

static bool is_near(struct screen_pt a, struct screen_pt b)
{
    return abs(a.x - b.x) < VOTE_NEAR && abs(a.y - b.y) < VOTE_NEAR;
}

/* Boxes mean the same when their middles do; an action's end, where it has none, is the same. */
static bool agree(const struct ballot *a, const struct ballot *b)
{
    if (!a->said || !b->said || strcmp(a->said, b->said) != 0)
        return false;
    return is_near(a->at[0], b->at[0]) &&
           (strcmp(a->said, "there") == 0 || is_near(a->at[1], b->at[1]));
}

static int enlarge(const struct frame *f, int percent, struct frame *ret, struct err *err)
{
    return resize_bicubic(f, (int)((int64_t)f->w * percent / 100),
                          (int)((int64_t)f->h * percent / 100), ret, err);
}

/* What is around a point, enlarged. */
static int look_around(const struct frame *f, struct screen_pt at, int w, int h, int percent,
                       struct frame *ret, struct err *err)
{
    AUTO(frame_done) struct frame part = {0};
    int rc = zoom_around(f, at, w, h, &part, err);
    return rc < 0 ? rc : enlarge(&part, percent, ret, err);
}

static int look_closer(const struct frame *f, struct screen_pt at, struct frame *ret,
                       struct err *err)
{
    return look_around(f, at, CLOSE_W, CLOSE_H, CLOSE_PERCENT, ret, err);
}

/* How many ballots say the same as number i, itself too, of those from `first` on. */
static int n_like(const struct vote *v, int i, int first)
{
    int n = 0;
    for (int j = first; j < v->n; j++)
        n += agree(&v->ballots[i], &v->ballots[j]);
    return n;
}

/* The ballot whose point most have found, of those not followed yet; -1: there is none. */
static int to_follow(const struct vote *v)
{
    int ret = -1, most = 0;
    for (int i = 0; i < v->n; i++) {
        bool is_new = v->ballots[i].points && !(v->followed & 1u << i);
        int n = is_new ? n_like(v, i, 0) : 0;
        if (n > most) {
            most = n;
            ret = i;
        }
    }
    return ret;
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

static int look_at_part(const struct frame *f, int i, struct frame *ret, struct err *err)
{
    struct parts p = parts_of(f);
    int right = i % p.columns, low = i / p.columns;
    struct screen_pt corner = {f->screen.x + right * (f->w - 1), f->screen.y + low * (f->h - 1)};
    return look_around(f, corner, p.w, p.h, p.percent, ret, err);
}

/* At what was found in a part: closer, its pixels otherwise among the tokens, then as large. */
static int look_again(const struct frame *f, struct screen_pt at, int i, struct frame *ret,
                      struct err *err)
{
    struct parts p = parts_of(f);
    if (i == 0)
        return look_closer(f, (struct screen_pt){at.x + 7, at.y + 7}, ret, err);
    return look_around(f, at, p.w, p.h, p.percent, ret, err);
}

void vote_begin(struct vote *v, int n_looks, const struct frame *f)
{
    struct parts p = parts_of(f);
    v->n_looks = n_looks;
    v->n_parts = n_looks > 1 && p.columns * p.rows > 1 ? p.columns * p.rows : 0;
}

/* The looks at all of the picture have said what they have to say. */
static bool is_seen(const struct vote *v, const struct tally *t)
{
    return v->part || v->n >= v->n_looks || 2 * t->n_agree > v->n_looks;
}

/* The last part's look has found something that was not looked at often enough. */
static bool is_open(const struct vote *v)
{
    return v->part && v->ballots[v->found].points && v->n_again < VOTE_AGAIN_MAX;
}

int vote_frame(struct vote *v, const struct frame *f, struct frame *ret, struct err *err)
{
    struct tally tally;
    int i = v->n, found = -1, rc = place_check_pixels(f, err);
    if (rc < 0)
        return rc;
    vote_count(v, &tally);
    if (i && is_seen(v, &tally)) {
        if (is_open(v))
            return look_again(f, v->ballots[v->found].at[0], v->n_again++, ret, err);
        v->n_whole = v->part ? v->n_whole : i;
        v->found = i;
        v->n_again = 0;
        return look_at_part(f, v->part++, ret, err);
    }
    if (looks[i].closer)
        found = to_follow(v);
    if (found >= 0) {
        v->followed |= 1u << found | 1u << i;
        return look_closer(f, v->ballots[found].at[0], ret, err);
    }
    if (looks[i].percent != 100)
        return enlarge(f, looks[i].percent, ret, err);
    rc = move(f, looks[i].dx, looks[i].dy, ret);
    return rc < 0 ? err_set(err, rc, "a picture of %d x %d cannot be made", f->w, f->h) : 0;
}

static bool place_inside(const struct place *place, struct model_pt p, struct rect inside,
                         struct screen_pt *ret)
{
    struct err none = {0};
    return place_to_screen(place, p, ret, &none) == 0 && rect_has(inside, *ret);
}

static void read_action(const char *text, size_t n, const struct place *place, struct rect inside,
                        struct ballot *ret)
{
    AUTO(action_done) struct action a = {0};
    AUTO(str_done) struct str said = {0};
    struct err none = {0};
    if (action_parse(text, n, place->image_w, place->image_h, &a, &none) < 0 ||
        (a.has_start && !place_inside(place, a.start, inside, &ret->at[0])) ||
        (a.has_end && !place_inside(place, a.end, inside, &ret->at[1])))
        return;
    a.start = a.end = (struct model_pt){0};
    ret->gives_up = a.kind == ACTION_CALL_USER;
    ret->points = a.has_start;
    action_json(&a, true, &said);
    ret->said = str_take(&said);
}

static void read_box(const char *text, size_t n, const struct place *place, struct rect inside,
                     struct ballot *ret)
{
    struct model_pt middle;
    struct err none = {0};
    float box[4];
    int rc = action_parse_box(text, n, place->image_w, place->image_h, &middle, box, &none);
    ret->gives_up = rc == -ENOENT;
    if (ret->gives_up)
        ret->said = mem_strdup("nowhere");
    if (rc < 0)
        return;
    if (place_inside(place, middle, inside, &ret->at[0]) &&
        place_box(place, box, &ret->at[1], &ret->at[2], &none) == 0) {
        ret->said = mem_strdup("there");
        ret->points = true;
    }
}

int vote_looks(int asked, int by_checkpoint)
{
    return CLAMP(asked ? asked : by_checkpoint, 1, VOTE_LOOKS_MAX);
}

void vote_add(struct vote *v, const char *text, size_t n, bool is_box, const struct place *place,
              struct rect inside)
{
    struct ballot *b = &v->ballots[v->n++];
    *b = (struct ballot){0};
    (is_box ? read_box : read_action)(text, n, place, inside, b);
    if (v->part && !b->points && !b->gives_up) { /* what a part does not show it cannot know */
        free(b->said);
        b->said = NULL;
    }
}

/* The mean of the points of the ballots that say the same as t->look. */
static void mean_points(const struct vote *v, struct tally *t)
{
    int64_t x[3] = {0}, y[3] = {0};
    for (int i = 0; i < v->n; i++) {
        if (!agree(&v->ballots[t->look], &v->ballots[i]))
            continue;
        for (int k = 0; k < 3; k++) {
            x[k] += v->ballots[i].at[k].x;
            y[k] += v->ballots[i].at[k].y;
        }
    }
    for (int k = 0; k < 3 && t->n_agree; k++)
        t->at[k] = (struct screen_pt){(int)(x[k] / t->n_agree), (int)(y[k] / t->n_agree)};
}

/* Two or more looks, one of them at a part, have found ballot i's place. */
static bool is_in_part(const struct vote *v, int i)
{
    return v->part && v->ballots[i].points && n_like(v, i, 0) >= 2 && n_like(v, i, v->n_whole);
}

bool vote_count(const struct vote *v, struct tally *ret)
{
    int most = 0;
    bool in_part = false;
    *ret = (struct tally){.n_looks = v->n, .parts = v->part};
    for (int i = 0; i < v->n; i++)
        in_part |= is_in_part(v, i);
    for (int i = 0; i < v->n; i++) {
        int n = n_like(v, i, 0);
        bool gives_up = v->ballots[i].gives_up;
        int weight = 2 * n + (n >= 2 && !gives_up);
        if (n && weight > most && !(gives_up && in_part)) {
            most = weight;
            ret->look = i;
            ret->n_agree = n;
        }
    }
    mean_points(v, ret);
    const struct ballot *b = &v->ballots[ret->look];
    bool is_most = 2 * ret->n_agree > v->n_looks;
    bool unsure = ret->n_agree && (b->gives_up || (b->points && !is_most));
    return is_seen(v, ret) && !(unsure && (v->part < v->n_parts || is_open(v)));
}

void vote_done(struct vote *v)
{
    for (int i = 0; i < v->n; i++)
        free(v->ballots[i].said);
    *v = (struct vote){0};
}
