/* The player. A plan is an array of events with the pause before each; hand_tick() plays the next
 * one when it is due and says when to come again. Nothing sleeps, so whoever drives the loop can
 * stop between any two events.
 *
 * What is held is written down before the press goes out and struck off after the release, so the
 * list is never too short: releasing a key that is up does no harm, forgetting one does. Before
 * each key the keyboard's state is asked for (one round trip, which also paces us to the server):
 * if somebody switched the group or toggled Caps or Num Lock, it is put right for the rest of the
 * text and their choice is kept for the end; if a person holds a modifier the plan breaks off.
 *
 * XTEST only, through libxdo for the pointer: events made with XSendEvent are ignored by many
 * toolkits. libxdo's waits and its typing are not used (docs/typing.md says why). */
#include "actions/hand_priv.h"

#include "base/clock.h"
#include "base/mem.h"

#include <X11/Xatom.h>
#include <X11/extensions/XTest.h>
#include <errno.h>
#include <string.h>

int hand_open(const struct hand_options *o, struct hand **ret, struct err *err)
{
    struct hand *h = mem_zalloc(sizeof(*h));
    h->o = *o;
    h->o.display = mem_strdup(o->display);
    h->o.key_delay_us = o->key_delay_us > 0 ? MIN(o->key_delay_us, 1000000) : 4000;
    h->o.press_us = o->press_us > 0 ? MIN(o->press_us, 1000000) : 30000;
    h->want_group = h->saved_group = h->our_group = -1;
    h->panic_fd = -1;
    int rc = h->o.dry ? 0 : hand_x_open(h, err);
    if (rc) {
        hand_close(h);
        return rc;
    }
    *ret = h;
    return 0;
}

void hand_close(struct hand *h)
{
    if (!h)
        return;
    hand_stop(h);
    hand_map_restore(h);
    hand_x_close(h);
    hand_map_done(h->map);
    str_done(&h->log);
    free(h->ev);
    free(h->want);
    free((char *)h->o.display);
    free(h);
}

bool hand_is_dead(const struct hand *h)
{
    return h->dead;
}

bool hand_is_busy(const struct hand *h)
{
    return h->busy;
}

int64_t hand_first_event_us(const struct hand *h)
{
    return h->first_us;
}

const char *hand_log(const struct hand *h)
{
    return str_cstr(&h->log);
}

void hand_add(struct hand *h, enum event_kind kind, int a, int b, int64_t wait_us)
{
    if (h->n_ev == h->cap_ev) {
        h->cap_ev = h->cap_ev ? 2 * h->cap_ev : 64;
        h->ev = mem_realloc(h->ev, h->cap_ev * sizeof(*h->ev));
    }
    h->ev[h->n_ev++] = (struct event){kind, a, b, wait_us};
}

static void forget_plan(struct hand *h)
{
    h->n_ev = h->at = h->n_want = h->want_at = 0;
    h->busy = h->is_chord = false;
    h->want_group = -1;
}

int hand_begin(struct hand *h, const struct action *a, struct err *err)
{
    if (h->dead)
        return hand_x_dead(h, err);
    if (h->busy)
        return err_set(err, -EBUSY, "the previous action is still being carried out");
    forget_plan(h);
    int rc = hand_plan(h, a, err);
    if (!rc && !h->o.dry)
        rc = hand_x_busy(h, err);
    if (!rc && h->dead)
        rc = hand_x_dead(h, err);
    if (rc) {
        forget_plan(h);
        return rc;
    }
    h->busy = true;
    h->due_us = 0;
    h->first_us = 0;
    return 0;
}

static void strike_key(struct hand *h, int keycode)
{
    for (int i = 0; i < h->n_held_key; i++)
        if (h->held_key[i] == keycode) {
            memmove(&h->held_key[i], &h->held_key[i + 1],
                    (size_t)(h->n_held_key - i - 1) * sizeof(h->held_key[0]));
            h->n_held_key--;
            return;
        }
}

/* The modifiers that our held keys account for. */
static void count_mods(struct hand *h)
{
    h->held_mods = 0;
    for (int i = 0; h->map && i < h->n_held_key; i++)
        h->held_mods |= hand_map_mods_of(h->map, h->held_key[i]);
}

static int send_key(struct hand *h, int keycode, int down, struct err *err)
{
    if (down) {
        CHECK(h->n_held_key < HAND_MAX_HELD);
        h->held_key[h->n_held_key++] = keycode;
        count_mods(h);
    }
    if (h->o.dry)
        str_printf(&h->log, "key %d %s\n", keycode, down ? "down" : "up");
    else {
        XTestFakeKeyEvent(h->dpy, (unsigned)keycode, down, CurrentTime);
        XSync(h->dpy, False);
        if (h->dead)
            return hand_x_dead(h, err);
    }
    if (!down) {
        strike_key(h, keycode);
        count_mods(h);
    }
    return 0;
}

static int send_button(struct hand *h, int button, int down, struct err *err)
{
    if (down)
        h->held_button |= 1u << button;
    if (h->o.dry)
        str_printf(&h->log, "button %d %s\n", button, down ? "down" : "up");
    else {
        int rc = down ? xdo_mouse_down(h->xdo, CURRENTWINDOW, button)
                      : xdo_mouse_up(h->xdo, CURRENTWINDOW, button);
        XSync(h->dpy, False);
        if (h->dead)
            return hand_x_dead(h, err);
        if (rc)
            return err_set(err, -EIO, "libxdo could not send button %d (code %d)", button, rc);
    }
    if (!down)
        h->held_button &= ~(1u << button);
    return 0;
}

/* Moves and looks where the pointer is; once more if it is elsewhere. */
static int send_move(struct hand *h, int x, int y, struct err *err)
{
    int rx = 0, ry = 0, screen;
    h->at_px = (struct screen_pt){x, y};
    if (h->o.dry) {
        str_printf(&h->log, "move %d %d\n", x, y);
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        xdo_move_mouse(h->xdo, x, y, DefaultScreen(h->dpy));
        int rc = h->dead ? -1 : xdo_get_mouse_location(h->xdo, &rx, &ry, &screen);
        if (h->dead)
            return hand_x_dead(h, err);
        if (!rc && rx == x && ry == y)
            return 0;
    }
    return err_set(err, -EIO, "the pointer stays at %d,%d instead of %d,%d", rx, ry, x, y);
}

static void lock_group(struct hand *h, int group)
{
    XkbStateRec s;
    memset(&s, 0, sizeof(s));
    if (XkbGetState(h->dpy, XkbUseCoreKbd, &s) != Success)
        return;
    if (h->our_group >= 0 && s.locked_group != h->our_group)
        h->saved_group = s.locked_group;
    if (s.group != group) {
        XkbLockGroup(h->dpy, XkbUseCoreKbd, (unsigned)(group - s.base_group - s.latched_group) & 3);
        XkbGetState(h->dpy, XkbUseCoreKbd, &s); /* the server may have wrapped it */
    }
    h->our_group = s.locked_group;
}

static void hold_locks(struct hand *h)
{
    XkbStateRec s;
    memset(&s, 0, sizeof(s));
    if (XkbGetState(h->dpy, XkbUseCoreKbd, &s) != Success)
        return;
    unsigned changed = (s.locked_mods ^ h->want_locks) & HAND_LOCKS;
    if (!changed)
        return;
    h->toggled ^= changed;
    XkbLockModifiers(h->dpy, XkbUseCoreKbd, changed, h->want_locks);
    XSync(h->dpy, False);
}

/* The keyboard before a key goes down: nobody else's modifiers, our group, our locks. */
static int check_keyboard(struct hand *h, struct err *err)
{
    if (h->o.dry)
        return 0;
    int rc = hand_x_busy(h, err);
    if (rc)
        return rc;
    if (h->want_group >= 0)
        lock_group(h, h->want_group);
    if (h->holds_locks)
        hold_locks(h);
    return h->dead ? hand_x_dead(h, err) : 0;
}

static void play_group(struct hand *h, int group)
{
    if (group < 0) { /* give back */
        h->want_group = -1;
        if (h->saved_group >= 0 && !h->o.dry && !h->dead) {
            XkbStateRec s;
            memset(&s, 0, sizeof(s));
            XkbGetState(h->dpy, XkbUseCoreKbd, &s);
            if (s.locked_group != h->saved_group)
                XkbLockGroup(h->dpy, XkbUseCoreKbd, (unsigned)h->saved_group);
            XSync(h->dpy, False);
        }
        h->saved_group = h->our_group = -1;
        return;
    }
    h->want_group = group;
    if (h->o.dry)
        str_printf(&h->log, "group %d\n", group);
    else {
        hand_x_mark(h); /* with the group to give back */
        lock_group(h, group);
    }
}

static void play_locks(struct hand *h, unsigned mask, bool take)
{
    if (!take) {
        unsigned give = h->saved_locks | h->toggled;
        if (give && !h->o.dry && !h->dead) {
            XkbLockModifiers(h->dpy, XkbUseCoreKbd, give,
                             h->saved_locks ^ (h->toggled & (h->saved_locks | ~h->want_locks)));
            XSync(h->dpy, False);
        }
        h->saved_locks = h->toggled = 0;
        h->holds_locks = false;
        return;
    }
    h->saved_locks = mask;
    hand_x_mark(h);
    XkbLockModifiers(h->dpy, XkbUseCoreKbd, mask, 0);
    XSync(h->dpy, False);
}

static int play(struct hand *h, const struct event *e, struct err *err)
{
    int rc = 0;
    switch (e->kind) {
    case EVENT_MOVE:
        return send_move(h, e->a, e->b, err);
    case EVENT_BUTTON:
        return send_button(h, e->a, e->b, err);
    case EVENT_KEY:
        if (e->b)
            rc = check_keyboard(h, err);
        return rc ? rc : send_key(h, e->a, e->b, err);
    case EVENT_GROUP:
        play_group(h, e->a);
        break;
    case EVENT_LOCKS:
        play_locks(h, (unsigned)e->a, e->b);
        break;
    case EVENT_KEYS:
        return hand_expand_keys(h, err);
    }
    return h->dead ? hand_x_dead(h, err) : 0;
}

static void drain(struct hand *h)
{
    XEvent e;
    /* nothing is selected, but every client gets MappingNotify */
    while (!h->o.dry && !h->dead && XPending(h->dpy) > 0) {
        XNextEvent(h->dpy, &e);
        if (e.type == MappingNotify)
            XRefreshKeyboardMapping(&e.xmapping);
    }
    while (h->panic && !h->dead && XPending(h->panic) > 0)
        XNextEvent(h->panic, &e); /* or they would pile up in the server */
}

static int tick_idle(struct hand *h, int64_t now_us, int64_t *ret_next_us)
{
    bool any = false;
    for (int i = 0; i < h->n_spare; i++)
        any = any || h->spare[i].sym;
    if (!any || h->dead)
        return 0;
    if (now_us >= h->idle_us + HAND_IDLE_US) {
        hand_map_restore(h);
        return 0;
    }
    *ret_next_us = h->idle_us + HAND_IDLE_US;
    return 1;
}

int hand_tick(struct hand *h, int64_t now_us, int64_t *ret_next_us, struct err *err)
{
    if (h->dead) {
        hand_stop(h);
        return hand_x_dead(h, err);
    }
    drain(h);
    if (!h->busy)
        return tick_idle(h, now_us, ret_next_us);
    if (h->due_us && now_us < h->due_us) {
        *ret_next_us = h->due_us;
        return 1;
    }
    /* play() may grow the plan: a copy, not a pointer into it */
    struct event e = h->ev[h->at++];
    if (!h->first_us && e.kind != EVENT_KEYS)
        h->first_us = now_us;
    int rc = play(h, &e, err);
    if (rc) {
        hand_stop(h);
        return rc;
    }
    if (h->at < h->n_ev) {
        h->due_us = now_us + h->ev[h->at].wait_us;
        *ret_next_us = h->due_us;
        return 1;
    }
    h->idle_us = now_us;
    forget_plan(h);
    return 0;
}

void hand_stop(struct hand *h)
{
    if (h->busy)
        h->idle_us = clock_now_us();
    while (h->n_held_key > 0) {
        int keycode = h->held_key[h->n_held_key - 1];
        if (h->dead || send_key(h, keycode, 0, NULL))
            strike_key(h, keycode);
    }
    for (int b = 1; b < 16; b++)
        if ((h->held_button & (1u << b)) && !h->dead)
            send_button(h, b, 0, NULL);
    h->held_button = 0;
    h->held_mods = 0;
    play_locks(h, 0, false);
    play_group(h, -1);
    forget_plan(h);
}

static bool has_wm(struct hand *h)
{
    Atom type;
    int format;
    unsigned long n = 0, after;
    unsigned char *data = NULL;
    Atom check = XInternAtom(h->dpy, "_NET_SUPPORTING_WM_CHECK", False);
    bool yes = XGetWindowProperty(h->dpy, h->root, check, 0, 1, False, XA_WINDOW, &type, &format,
                                  &n, &after, &data) == Success &&
               type == XA_WINDOW && n == 1;
    if (yes) {
        /* the property outlives a window manager that crashed */
        XWindowAttributes wa;
        h->x_error = 0;
        yes = XGetWindowAttributes(h->dpy, (Window)((long *)data)[0], &wa) && !h->x_error;
    }
    if (data)
        XFree(data);
    return yes;
}

static Bool is_stamp(Display *dpy, XEvent *e, XPointer user)
{
    return e->type == PropertyNotify && e->xproperty.window == ((struct hand *)(void *)user)->owner;
}

/* The server's time, from a property change on our own window: window managers refuse to move the
 * focus for requests that carry none. */
static Time server_time(struct hand *h)
{
    XEvent e;
    Time t = CurrentTime;
    XSelectInput(h->dpy, h->owner, PropertyChangeMask);
    XChangeProperty(h->dpy, h->owner, h->marker, XA_CARDINAL, 32, PropModeAppend, NULL, 0);
    XSync(h->dpy, False);
    while (!h->dead && XCheckIfEvent(h->dpy, &e, is_stamp, (XPointer)h))
        t = e.xproperty.time;
    XSelectInput(h->dpy, h->owner, 0);
    return t;
}

int hand_activate(struct hand *h, uint32_t window, struct err *err)
{
    XWindowAttributes wa;
    if (h->o.dry) {
        str_printf(&h->log, "activate 0x%x\n", window);
        return 0;
    }
    if (h->dead)
        return hand_x_dead(h, err);
    h->x_error = 0;
    if (!XGetWindowAttributes(h->dpy, window, &wa) || h->x_error || h->dead)
        return h->dead ? hand_x_dead(h, err)
                       : err_set(err, -ENOENT, "the window 0x%x does not exist", window);
    bool wm = has_wm(h);
    h->x_error = 0;
    if (wm) {
        XEvent e;
        memset(&e, 0, sizeof(e));
        e.xclient.type = ClientMessage;
        e.xclient.window = window;
        e.xclient.message_type = XInternAtom(h->dpy, "_NET_ACTIVE_WINDOW", False);
        e.xclient.format = 32;
        e.xclient.data.l[0] = 2; /* a pager: acts for the user */
        e.xclient.data.l[1] = (long)server_time(h);
        XSendEvent(h->dpy, h->root, False, SubstructureNotifyMask | SubstructureRedirectMask, &e);
    } else {
        if (wa.map_state != IsViewable)
            return err_set(err, -EAGAIN, "the window 0x%x is hidden and no window manager runs "
                                         "that could show it", window);
        xdo_raise_window(h->xdo, window);
        xdo_focus_window(h->xdo, window);
    }
    XSync(h->dpy, False);
    if (h->dead)
        return hand_x_dead(h, err);
    if (h->x_error)
        return err_set(err, -EIO, "the window 0x%x could not be activated (X error %d)", window,
                       h->x_error);
    return 0;
}
