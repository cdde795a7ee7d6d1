/* Ownership of the nouns: done, dup, and the names of their kinds. See flow.h. */
#include "base/flow.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

void frame_done(struct frame *f)
{
    free(f->rgb);
    *f = (struct frame){0};
}

int frame_alloc(struct frame *f, int w, int h)
{
    if (w < 1 || h < 1 || w > 32767 || h > 32767)
        return -EINVAL;
    *f = (struct frame){.w = w, .h = h, .screen = {0, 0, w, h}};
    f->rgb = mem_alloc((size_t)w * (size_t)h * 3);
    return 0;
}

void frame_dup(struct frame *dst, const struct frame *src)
{
    *dst = *src;
    if (src->rgb) {
        size_t n = (size_t)src->w * (size_t)src->h * 3;
        dst->rgb = mem_alloc(n);
        memcpy(dst->rgb, src->rgb, n);
    }
}

bool rect_has(struct rect r, struct screen_pt p)
{
    return p.x >= r.x && p.y >= r.y && (int64_t)p.x < (int64_t)r.x + r.w &&
           (int64_t)p.y < (int64_t)r.y + r.h;
}

int frame_cut(const struct frame *src, struct rect part, struct frame *ret)
{
    struct frame f = {0};
    int x = part.x - src->screen.x, y = part.y - src->screen.y;

    if (src->w != src->screen.w || src->h != src->screen.h)
        return -ENOTSUP;
    if (x < 0 || y < 0 || part.w > src->w - x || part.h > src->h - y)
        return -ERANGE;
    int rc = frame_alloc(&f, part.w, part.h);
    if (rc < 0)
        return rc;
    for (int row = 0; row < part.h; row++)
        memcpy(f.rgb + (size_t)row * (size_t)part.w * 3,
               src->rgb + ((size_t)(y + row) * (size_t)src->w + (size_t)x) * 3, (size_t)part.w * 3);
    f.screen = part;
    f.taken_us = src->taken_us;
    *ret = f;
    return 0;
}

void patches_done(struct patches *p)
{
    free(p->rows);
    *p = (struct patches){0};
}

void action_done(struct action *a)
{
    free(a->text);
    free(a->why);
    for (int i = 0; i < a->n_keys; i++)
        free(a->keys[i]);
    *a = (struct action){0};
}

void action_dup(struct action *dst, const struct action *src)
{
    *dst = *src;
    dst->text = mem_strdup(src->text);
    dst->why = mem_strdup(src->why);
    for (int i = 0; i < src->n_keys; i++)
        dst->keys[i] = mem_strdup(src->keys[i]);
}

static const char *const action_names[N_ACTION_KINDS] = {
    [ACTION_CLICK] = "click",
    [ACTION_DOUBLE_CLICK] = "double_click",
    [ACTION_RIGHT_CLICK] = "right_click",
    [ACTION_MIDDLE_CLICK] = "middle_click",
    [ACTION_LONGPRESS] = "longpress",
    [ACTION_HOVER] = "hover",
    [ACTION_DRAG] = "drag",
    [ACTION_SCROLL] = "scroll",
    [ACTION_INPUT] = "input",
    [ACTION_PRESS] = "press",
    [ACTION_SELECT] = "select",
    [ACTION_OPEN] = "open",
    [ACTION_APPSWITCH] = "appswitch",
    [ACTION_WAIT] = "wait",
    [ACTION_FINISHED] = "finished",
    [ACTION_CALL_USER] = "call_user",
};

const char *action_kind_name(enum action_kind k)
{
    return (unsigned)k < N_ACTION_KINDS ? action_names[k] : "unknown";
}

const char *direction_name(enum direction d)
{
    static const char *const names[] = {"none", "up", "down", "left", "right"};
    return (unsigned)d < N_ELEMENTS(names) ? names[d] : "unknown";
}

const char *verdict_kind_name(enum verdict_kind k)
{
    static const char *const names[] = {"allow", "confirm", "deny"};
    return (unsigned)k < N_ELEMENTS(names) ? names[k] : "unknown";
}

const char *effect_kind_name(enum effect_kind k)
{
    static const char *const names[] = {"confirmed", "no_effect", "unverifiable", "refused"};
    return (unsigned)k < N_ELEMENTS(names) ? names[k] : "unknown";
}
