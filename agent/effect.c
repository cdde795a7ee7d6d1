/* Did it do anything? Judged from two pictures of the same screen, before the action and after the
 * screen came to rest, never from "the event was sent".
 *
 * A row a kind says where a change is expected. A screen that never came to rest changes by itself:
 * then only a change at the expected place counts, and anything else is unverifiable. */
#include "agent/brain.h"
#include "base/mem.h"
#include "vision/diff.h"

#include <stdio.h>
#include <string.h>

enum expect { EXPECT_NOTHING, EXPECT_NEAR_POINT, EXPECT_ANYWHERE };

static const enum expect expects[N_ACTION_KINDS] = {
    [ACTION_CLICK] = EXPECT_NEAR_POINT,   [ACTION_DOUBLE_CLICK] = EXPECT_NEAR_POINT,
    [ACTION_RIGHT_CLICK] = EXPECT_NEAR_POINT, [ACTION_MIDDLE_CLICK] = EXPECT_NEAR_POINT,
    [ACTION_LONGPRESS] = EXPECT_NEAR_POINT, [ACTION_DRAG] = EXPECT_NEAR_POINT,
    [ACTION_SCROLL] = EXPECT_NEAR_POINT,  [ACTION_INPUT] = EXPECT_ANYWHERE,
    [ACTION_PRESS] = EXPECT_ANYWHERE,     [ACTION_SELECT] = EXPECT_ANYWHERE,
    [ACTION_OPEN] = EXPECT_ANYWHERE,      [ACTION_APPSWITCH] = EXPECT_ANYWHERE,
};

#define CHANNEL_TOLERANCE 8 /* of 255: dithering and gamma steps are no change */
#define LEAST_PIXELS 6      /* a caret is 12 and more */
#define NEAR_PX 60
#define CARET_W 3 /* a change no larger than this is a caret that blinked, not a letter */
#define CARET_H 48
#define BLOCK_CARET_W 16 /* a terminal's, hollow when the window has no focus */

static bool touches(struct rect a, struct rect b)
{
    return a.w > 0 && b.w > 0 && a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h &&
           b.y < a.y + a.h;
}

bool effect_changed(const struct frame *before, const struct frame *after, struct rect area,
                    bool typing)
{
    struct diff d = diff_frames(before, after, CHANNEL_TOLERANCE, &area);
    if (!d.comparable)
        return true;
    return d.n_changed >= LEAST_PIXELS &&
           (d.box.w > (typing ? BLOCK_CARET_W : CARET_W) || d.box.h > CARET_H);
}

void effect_check(const struct step *s, bool quiet, struct effect *ret)
{
    *ret = (struct effect){.kind = EFFECT_UNVERIFIABLE};
    enum expect expect = expects[s->action.kind];
    struct diff d = diff_frames(&s->before, &s->after, CHANNEL_TOLERANCE, NULL);
    if (!d.comparable) {
        ret->kind = EFFECT_CONFIRMED;
        snprintf(ret->evidence, sizeof ret->evidence,
                 "the captured area changed its size from %dx%d to %dx%d", s->before.w,
                 s->before.h, s->after.w, s->after.h);
        return;
    }
    ret->changed = d.share;
    ret->where = d.box;
    if (expect == EXPECT_NOTHING) {
        snprintf(ret->evidence, sizeof ret->evidence, "%s leaves no certain trace on the screen",
                 action_kind_name(s->action.kind));
        return;
    }
    if (d.n_changed < LEAST_PIXELS) {
        ret->kind = EFFECT_NO_EFFECT;
        snprintf(ret->evidence, sizeof ret->evidence,
                 "the screen is the same as before (%llu pixels differ)",
                 (unsigned long long)d.n_changed);
        return;
    }
    bool types = s->action.kind == ACTION_INPUT || s->action.kind == ACTION_PRESS;
    if (types && d.box.w <= CARET_W && d.box.h <= CARET_H) {
        ret->kind = EFFECT_NO_EFFECT;
        snprintf(ret->evidence, sizeof ret->evidence,
                 "nothing but a caret changed (%dx%d at %d,%d)", d.box.w, d.box.h, d.box.x,
                 d.box.y);
        return;
    }
    if (!quiet && s->action.has_start) {
        struct rect near = {s->action.start_px.x - NEAR_PX, s->action.start_px.y - NEAR_PX,
                            2 * NEAR_PX, 2 * NEAR_PX};
        if (!touches(d.box, near)) {
            snprintf(ret->evidence, sizeof ret->evidence,
                     "the screen keeps changing by itself and nothing changed near %d,%d",
                     s->action.start_px.x, s->action.start_px.y);
            return;
        }
    } else if (!quiet) {
        snprintf(ret->evidence, sizeof ret->evidence,
                 "the screen keeps changing by itself, so a change proves nothing");
        return;
    }
    ret->kind = EFFECT_CONFIRMED;
    snprintf(ret->evidence, sizeof ret->evidence,
             "%llu pixels changed in %dx%d at %d,%d", (unsigned long long)d.n_changed, d.box.w,
             d.box.h, d.box.x, d.box.y);
}
