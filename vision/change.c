/* The news that something was drawn (XDamage on the root window, which covers all windows on it).
 *
 * The server reports each rectangle as it is drawn (raw rectangles). The cheaper levels report only
 * what is not damaged yet and want the damage taken back (subtract) after reading; what another
 * program paints between the two is then never reported, and a step would wait for a change that
 * has come. Only changes inside the watched output or window count. */
#include "vision/eye.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>

#define MAX_EVENTS 100000

static void add_damage(struct eye *e, const xcb_damage_notify_event_t *n)
{
    struct rect r = {n->area.x, n->area.y, n->area.width, n->area.height};

    if (e->watched.w > 0 && !eye_clip(&r, &e->watched))
        return;
    if (r.w <= 0 || r.h <= 0)
        return;
    e->last_change_us = clock_now_us();
    e->changed_pixels += (uint64_t)r.w * (uint64_t)r.h;
    if (e->changed.w <= 0) {
        e->changed = r;
        return;
    }
    int x1 = MAX(e->changed.x + e->changed.w, r.x + r.w);
    int y1 = MAX(e->changed.y + e->changed.h, r.y + r.h);
    e->changed.x = MIN(e->changed.x, r.x);
    e->changed.y = MIN(e->changed.y, r.y);
    e->changed.w = x1 - e->changed.x;
    e->changed.h = y1 - e->changed.y;
}

void change_drain(struct eye *e, bool read_more)
{
    /* a program that paints faster than we read must not keep us here */
    for (int n = 0; n < MAX_EVENTS; n++) {
        /* xcb reads the socket while it waits for replies: those events make the descriptor
         * readable no more and would be overlooked */
        xcb_generic_event_t *ev =
            read_more ? xcb_poll_for_event(e->c) : xcb_poll_for_queued_event(e->c);
        if (!ev)
            break;
        if (e->has_damage && (ev->response_type & 0x7f) == e->damage_event + XCB_DAMAGE_NOTIFY)
            add_damage(e, (const xcb_damage_notify_event_t *)ev);
        free(ev);
    }
}

int eye_service(struct eye *e, struct err *err)
{
    change_drain(e, true);
    return eye_is_dead(e) ? eye_fail(e, NULL, err, "waiting for changes") : 0;
}

int64_t eye_last_change_us(const struct eye *e)
{
    return e->last_change_us;
}

struct rect eye_damage(const struct eye *e)
{
    return e->changed;
}

uint64_t eye_damage_pixels(const struct eye *e)
{
    return e->changed_pixels;
}

void eye_damage_reset(struct eye *e)
{
    e->changed = (struct rect){0};
    e->changed_pixels = 0;
}

bool eye_has_damage(const struct eye *e)
{
    return e->has_damage;
}
