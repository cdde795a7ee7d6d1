/* From an action to events. Pointer actions are written out here with their pauses: programs that
 * poll, animate or start drags only after a threshold need the same little delays that people
 * have. Keys are planned later, when the keyboard can be looked at (hand_type.c). */
#include "actions/hand_priv.h"

#include <errno.h>
#include <math.h>

static int point_ok(struct hand *h, struct screen_pt p, struct err *err)
{
    int w = 32767, ht = 32767;
    if (!h->o.dry) {
        w = DisplayWidth(h->dpy, DefaultScreen(h->dpy));
        ht = DisplayHeight(h->dpy, DefaultScreen(h->dpy));
        Window root;
        int x, y;
        unsigned gw, gh, bw, depth;
        /* RandR changes the root window's size, Xlib's copy stays that of the start */
        if (XGetGeometry(h->dpy, h->root, &root, &x, &y, &gw, &gh, &bw, &depth)) {
            w = (int)gw;
            ht = (int)gh;
        }
    }
    if (p.x < 0 || p.y < 0 || p.x >= w || p.y >= ht)
        return err_set(err, -EINVAL, "the point %d,%d is outside the screen of %dx%d", p.x, p.y, w,
                       ht);
    return 0;
}

static void press(struct hand *h, int button, int64_t wait_us, int64_t down_us)
{
    hand_add(h, EVENT_BUTTON, button, 1, wait_us);
    hand_add(h, EVENT_BUTTON, button, 0, down_us);
}

static void drag(struct hand *h, const struct action *a)
{
    struct screen_pt s = a->start_px, e = a->end_px;
    hand_add(h, EVENT_BUTTON, 1, 1, HAND_SETTLE_MOVE_US);
    for (int i = 1; i <= HAND_DRAG_STEPS; i++) {
        int x = s.x + (int)lround((double)(e.x - s.x) * i / HAND_DRAG_STEPS);
        int y = s.y + (int)lround((double)(e.y - s.y) * i / HAND_DRAG_STEPS);
        hand_add(h, EVENT_MOVE, x, y, i == 1 ? HAND_DWELL_US : HAND_DRAG_STEP_US);
    }
    hand_add(h, EVENT_BUTTON, 1, 0, HAND_DWELL_US);
}

static int scroll(struct hand *h, const struct action *a, struct err *err)
{
    static const int wheel[] = {
        [DIRECTION_UP] = 4, [DIRECTION_DOWN] = 5, [DIRECTION_LEFT] = 6, [DIRECTION_RIGHT] = 7};
    if (a->direction < DIRECTION_UP || a->direction > DIRECTION_RIGHT)
        return err_set(err, -EINVAL, "a scroll needs a direction: up, down, left or right");
    if (!(a->distance >= 0) || a->distance > HAND_MAX_SCROLL)
        return err_set(err, -EINVAL, "a scroll of %g clicks; 0 to %d are possible",
                       (double)a->distance, HAND_MAX_SCROLL);
    int n = a->distance > 0 ? (int)fmaxf(1, roundf(a->distance)) : 3;
    for (int i = 0; i < n; i++)
        press(h, wheel[a->direction], i ? HAND_SCROLL_GAP_US : HAND_SETTLE_MOVE_US,
              h->o.key_delay_us);
    return 0;
}

/* Keys go out after what is planned before them, with a pause if that was a click. */
static int keys(struct hand *h, const struct action *a, int64_t settle_us, struct err *err)
{
    if (a->has_start)
        press(h, 1, HAND_SETTLE_MOVE_US, h->o.press_us);
    int rc = hand_want_text(h, a->text, err);
    hand_add(h, EVENT_KEYS, 0, 0, a->has_start ? settle_us : 0);
    return rc;
}

int hand_plan(struct hand *h, const struct action *a, struct err *err)
{
    int rc = 0;
    bool needs_point = a->kind <= ACTION_DRAG;
    if (a->kind >= N_ACTION_KINDS)
        return err_set(err, -EINVAL, "action kind %d does not exist", (int)a->kind);
    if (a->kind > ACTION_SELECT)
        return err_set(err, -ENOTSUP, "\"%s\" is no input action", action_kind_name(a->kind));
    if (needs_point && !a->has_start)
        return err_set(err, -EINVAL, "\"%s\" needs a point", action_kind_name(a->kind));
    if (a->kind == ACTION_DRAG && !a->has_end)
        return err_set(err, -EINVAL, "a drag needs a second point");
    if (a->has_start && a->kind != ACTION_PRESS) {
        rc = point_ok(h, a->start_px, err);
        if (!rc && a->kind == ACTION_DRAG)
            rc = point_ok(h, a->end_px, err);
        if (rc)
            return rc;
        hand_add(h, EVENT_MOVE, a->start_px.x, a->start_px.y, 0);
    }

    switch (a->kind) {
    case ACTION_CLICK:
        press(h, 1, HAND_SETTLE_MOVE_US, h->o.press_us);
        break;
    case ACTION_DOUBLE_CLICK:
        press(h, 1, HAND_SETTLE_MOVE_US, h->o.press_us);
        press(h, 1, HAND_DOUBLE_GAP_US, h->o.press_us);
        break;
    case ACTION_RIGHT_CLICK:
        press(h, 3, HAND_SETTLE_MOVE_US, h->o.press_us);
        break;
    case ACTION_MIDDLE_CLICK:
        press(h, 2, HAND_SETTLE_MOVE_US, h->o.press_us);
        break;
    case ACTION_LONGPRESS:
        press(h, 1, HAND_SETTLE_MOVE_US, HAND_LONGPRESS_US);
        break;
    case ACTION_HOVER:
        break;
    case ACTION_DRAG:
        drag(h, a);
        break;
    case ACTION_SCROLL:
        rc = scroll(h, a, err);
        break;
    case ACTION_INPUT:
        rc = keys(h, a, HAND_SETTLE_CLICK_US, err);
        break;
    case ACTION_SELECT:
        /* the list opens, typing its text moves to the option, Return takes it */
        rc = keys(h, a, 2 * HAND_SETTLE_CLICK_US, err);
        if (!rc)
            hand_want_text(h, "\n", NULL);
        break;
    case ACTION_PRESS:
        rc = hand_want_chord(h, a->keys, a->n_keys, err);
        hand_add(h, EVENT_KEYS, 0, 0, 0);
        break;
    default:
        CHECK(!"every input action is planned");
    }
    return rc;
}
