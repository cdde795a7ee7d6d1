/* The hand's connection and what can go wrong with it.
 *
 * Xlib ends the process when the server goes away; here the display is only marked dead and every
 * later call says so. Protocol errors are noted, not fatal.
 *
 * A second connection is opened for the worst day: a crash hook or signal handler may not call
 * Xlib (the thread may be inside it), so it writes finished XTEST requests to that connection's
 * socket with send(2) alone. The connection is used for nothing else, so the bytes cannot land in
 * the middle of a request.
 *
 * A property on the root window, _DESKHAND_SCRATCH, says what a hand has borrowed: its window (dead
 * when the hand is), the group and locks to give back, the keycodes bound (with the width in bits
 * 8 up). The next hand that finds it without its owner cleans up. */
#include "actions/hand_priv.h"

#include "base/mem.h"

#include <X11/Xatom.h>
#include <X11/Xproto.h>
#include <X11/extensions/XInput.h>
#include <X11/extensions/XTest.h>
#include <X11/extensions/xtestproto.h>
#include <X11/extensions/XKBproto.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static struct hand *hands[4]; /* those with a connection; the crash hook walks them */

static int (*next_error)(Display *, XErrorEvent *);
static int (*next_io_error)(Display *);

static struct hand *hand_of(Display *dpy)
{
    for (size_t i = 0; i < N_ELEMENTS(hands); i++)
        if (hands[i] && (hands[i]->dpy == dpy || hands[i]->panic == dpy))
            return hands[i];
    return NULL;
}

static int on_error(Display *dpy, XErrorEvent *e)
{
    struct hand *h = hand_of(dpy);
    if (h)
        h->x_error = e->error_code;
    else if (next_error)
        return next_error(dpy, e);
    return 0;
}

static int on_io_error(Display *dpy)
{
    struct hand *h = hand_of(dpy);
    if (h)
        h->dead = true;
    else if (next_io_error)
        return next_io_error(dpy);
    return 0;
}

static void on_io_exit(Display *dpy, void *user)
{
    struct hand *h = user;
    h->dead = true; /* and returns: the default would exit(1) */
}

int hand_x_dead(struct hand *h, struct err *err)
{
    h->dead = true;
    return err_set(err, -EPIPE, "the X server on %s closed the connection",
                   h->o.display ? h->o.display : "$DISPLAY");
}

/* async-signal-safe */
static void panic_send(struct hand *h, int type, int detail)
{
    xXTestFakeInputReq r;
    memset(&r, 0, sizeof(r));
    r.reqType = (CARD8)h->xtest_opcode;
    r.xtReqType = X_XTestFakeInput;
    r.length = sizeof(r) / 4;
    r.type = (BYTE)type;
    r.detail = (BYTE)detail;
    (void)!send(h->panic_fd, &r, sizeof(r), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Waits a moment until the server has read it: it throws away what a connection that is closed
 * already still had to say. */
static void panic_sync(struct hand *h)
{
    xReq r = {.reqType = X_GetInputFocus, .length = 1};
    if (send(h->panic_fd, &r, sizeof(r), MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(r))
        return;
    for (int i = 0; i < 20; i++) {
        struct pollfd p = {.fd = h->panic_fd, .events = POLLIN};
        char packet[32]; /* of this size are events, errors and this reply */
        if (poll(&p, 1, 100) <= 0 ||
            recv(h->panic_fd, packet, sizeof(packet), MSG_DONTWAIT) <= 0 || packet[0] == X_Reply)
            return;
    }
}

void hand_panic(void)
{
    for (size_t i = 0; i < N_ELEMENTS(hands); i++) {
        struct hand *h = hands[i];
        if (!h || h->dead || h->panic_fd < 0)
            continue;
        for (int k = h->n_held_key - 1; k >= 0; k--)
            panic_send(h, KeyRelease, h->held_key[k]);
        for (int b = 1; b < 16; b++)
            if (h->held_button & (1u << b))
                panic_send(h, ButtonRelease, b);
        if (h->saved_group >= 0 || h->saved_locks) {
            xkbLatchLockStateReq r;
            memset(&r, 0, sizeof(r));
            r.reqType = (CARD8)h->xkb_opcode;
            r.xkbReqType = X_kbLatchLockState;
            r.length = sizeof(r) / 4;
            r.deviceSpec = XkbUseCoreKbd;
            r.affectModLocks = r.modLocks = (CARD8)h->saved_locks;
            r.lockGroup = h->saved_group >= 0;
            r.groupLock = (CARD8)(h->saved_group >= 0 ? h->saved_group : 0);
            (void)!send(h->panic_fd, &r, sizeof(r), MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        panic_sync(h);
    }
}

static void on_check(void *user)
{
    hand_panic();
}

/* Does a hand live behind this window? The window bears its own id as a property, as the window
 * manager's check window does, because the server gives dead clients' ids to new ones. */
static bool is_alive(struct hand *h, Window owner)
{
    Atom type;
    int format;
    unsigned long n = 0, after;
    unsigned char *data = NULL;
    h->x_error = 0;
    bool yes = XGetWindowProperty(h->dpy, owner, h->marker, 0, 1, False, XA_CARDINAL, &type,
                                  &format, &n, &after, &data) == Success &&
               !h->x_error && type == XA_CARDINAL && format == 32 && n == 1 &&
               ((Window *)(void *)data)[0] == owner;
    if (data)
        XFree(data);
    return yes;
}

void hand_x_mark(struct hand *h)
{
    long v[3 + HAND_MAX_SPARE];
    int n = 0;
    if (h->o.dry || h->dead)
        return;
    if (!h->owns_marker) {
        /* someone else's living mark is respected */
        XGrabServer(h->dpy);
        Atom type;
        int format;
        unsigned long n_items, after;
        unsigned char *data = NULL;
        bool there = XGetWindowProperty(h->dpy, h->root, h->marker, 0, 1, False, XA_CARDINAL, &type,
                                        &format, &n_items, &after, &data) == Success &&
                     type == XA_CARDINAL && format == 32 && n_items == 1;
        there = there && is_alive(h, ((Window *)(void *)data)[0]);
        if (data)
            XFree(data);
        if (!there && !h->dead) {
            v[0] = (long)h->owner;
            XChangeProperty(h->dpy, h->root, h->marker, XA_CARDINAL, 32, PropModeReplace,
                            (unsigned char *)v, 1);
            h->owns_marker = true;
        }
        XUngrabServer(h->dpy);
        if (!h->owns_marker) {
            XSync(h->dpy, False);
            return;
        }
    }
    v[n++] = (long)h->owner;
    v[n++] = h->saved_group + 1;
    v[n++] = h->saved_locks;
    for (int i = 0; i < h->n_spare; i++)
        if (h->spare[i].sym)
            v[n++] = h->spare[i].keycode | (long)h->spare[i].width << 8;
    XChangeProperty(h->dpy, h->root, h->marker, XA_CARDINAL, 32, PropModeReplace,
                    (unsigned char *)v, n);
    XSync(h->dpy, False);
}

/* Keys that a dead hand left down on the XTEST keyboard. */
static void release_xtest_keys(struct hand *h)
{
    int n = 0;
    XDeviceInfo *list = XListInputDevices(h->dpy, &n);
    for (int i = 0; list && i < n; i++) {
        if (list[i].use != IsXExtensionKeyboard || !list[i].name || !strstr(list[i].name, "XTEST"))
            continue;
        XDevice *dev = XOpenDevice(h->dpy, list[i].id);
        XDeviceState *st = dev ? XQueryDeviceState(h->dpy, dev) : NULL;
        XInputClass *c = st ? st->data : NULL;
        for (int k = 0; c && k < st->num_classes; k++) {
            if (c->class == KeyClass)
                for (int kc = 8; kc < 256; kc++)
                    if (((XKeyState *)c)->keys[kc / 8] & (1 << (kc % 8)))
                        XTestFakeKeyEvent(h->dpy, (unsigned)kc, False, CurrentTime);
            c = (XInputClass *)((char *)c + c->length);
        }
        if (st)
            XFreeDeviceState(st);
        if (dev)
            XCloseDevice(h->dpy, dev);
    }
    if (list)
        XFreeDeviceList(list);
    for (unsigned b = 1; b <= 3; b++) {
        Window r, c;
        int x, y, wx, wy;
        unsigned mask;
        if (XQueryPointer(h->dpy, h->root, &r, &c, &x, &y, &wx, &wy, &mask) &&
            (mask & (Button1Mask << (b - 1))))
            XTestFakeButtonEvent(h->dpy, b, False, CurrentTime);
    }
}

/* Cleans up after a hand that died without closing. */
static void inherit(struct hand *h)
{
    Atom type;
    int format;
    unsigned long n_items = 0, after;
    unsigned char *data = NULL;
    if (XGetWindowProperty(h->dpy, h->root, h->marker, 0, 3 + HAND_MAX_SPARE, False, XA_CARDINAL,
                           &type, &format, &n_items, &after, &data) != Success ||
        type != XA_CARDINAL || format != 32 || n_items < 1) {
        if (data)
            XFree(data);
        return;
    }
    const long *v = (const long *)data;
    if (!is_alive(h, (Window)v[0])) {
        release_xtest_keys(h);
        if (n_items >= 3) {
            if (v[1] >= 1 && v[1] <= 4)
                XkbLockGroup(h->dpy, XkbUseCoreKbd, (unsigned)(v[1] - 1));
            unsigned locks = (unsigned)v[2] & (LockMask | Mod2Mask);
            if (locks)
                XkbLockModifiers(h->dpy, XkbUseCoreKbd, locks, locks);
            if (!hand_map_load(h, NULL))
                hand_map_clear(h, v + 3, (int)n_items - 3);
        }
        XDeleteProperty(h->dpy, h->root, h->marker);
        XSync(h->dpy, False);
    }
    XFree(data);
}

int hand_x_busy(struct hand *h, struct err *err)
{
    static const struct {
        unsigned mask;
        const char *name;
    } mods[] = {{ShiftMask, "Shift"}, {ControlMask, "Control"}, {Mod1Mask, "Alt"},
                {Mod4Mask, "Super"},  {Mod5Mask, "AltGr"},      {Mod3Mask, "Mod3"},
                {LockMask, "Caps Lock"}};
    static const struct {
        unsigned mask;
        const char *name;
    } buttons[] = {{Button1Mask, "left"}, {Button2Mask, "middle"}, {Button3Mask, "right"}};
    XkbStateRec s;
    Window r, c;
    int x, y, wx, wy;
    unsigned mask = 0;
    memset(&s, 0, sizeof(s));
    if (XkbGetState(h->dpy, XkbUseCoreKbd, &s) != Success ||
        !XQueryPointer(h->dpy, h->root, &r, &c, &x, &y, &wx, &wy, &mask))
        return h->dead ? hand_x_dead(h, err)
                       : err_set(err, -EIO, "the X server did not tell what is held");
    unsigned foreign = s.base_mods & ~h->held_mods;
    for (size_t i = 0; i < N_ELEMENTS(mods); i++)
        if (foreign & mods[i].mask)
            return err_set(err, -EBUSY, "the %s key is held down; input waits until it is released",
                           mods[i].name);
    for (size_t i = 0; i < N_ELEMENTS(buttons); i++)
        if ((mask & buttons[i].mask) && !(h->held_button & (1u << (i + 1))))
            return err_set(err, -EBUSY, "the %s mouse button is held down; input waits until it is "
                                        "released", buttons[i].name);
    return 0;
}

int hand_x_open(struct hand *h, struct err *err)
{
    static bool hooked;
    size_t slot = 0;
    while (slot < N_ELEMENTS(hands) && hands[slot])
        slot++;
    if (slot == N_ELEMENTS(hands))
        return err_set(err, -EMFILE, "%zu hands are open already", N_ELEMENTS(hands));
    const char *name = XDisplayName(h->o.display);
    h->dpy = XOpenDisplay(h->o.display);
    if (!h->dpy)
        return err_set(err, -ECONNREFUSED, "cannot connect to the X display \"%.80s\"", name);
    hands[slot] = h;
    XSetIOErrorExitHandler(h->dpy, on_io_exit, h);
    int (*old)(Display *, XErrorEvent *) = XSetErrorHandler(on_error);
    int (*old_io)(Display *) = XSetIOErrorHandler(on_io_error);
    if (old != on_error)
        next_error = old;
    if (old_io != on_io_error)
        next_io_error = old_io;
    if (!hooked)
        check_on_fail(on_check, NULL);
    hooked = true;
    int event, error, major = XkbMajorVersion, minor = XkbMinorVersion;
    if (!XQueryExtension(h->dpy, XTestExtensionName, &h->xtest_opcode, &event, &error))
        return err_set(err, -ENOTSUP, "the X server on \"%.80s\" has no XTEST extension", name);
    if (!XkbQueryExtension(h->dpy, &h->xkb_opcode, &event, &error, &major, &minor))
        return err_set(err, -ENOTSUP, "the X server on \"%.80s\" has no XKEYBOARD extension", name);
    h->xdo = xdo_new_with_opened_display(h->dpy, name, 0);
    if (!h->xdo)
        return err_set(err, -ENOTSUP, "libxdo does not work on the X display \"%.80s\"", name);
    h->panic = XOpenDisplay(h->o.display);
    if (h->panic) {
        XSetIOErrorExitHandler(h->panic, on_io_exit, h);
        h->panic_fd = ConnectionNumber(h->panic);
    }
    h->root = DefaultRootWindow(h->dpy);
    h->marker = XInternAtom(h->dpy, "_DESKHAND_SCRATCH", False);
    inherit(h); /* before our window exists: it may get the id of the dead one */
    h->owner = XCreateSimpleWindow(h->dpy, h->root, -2, -2, 1, 1, 0, 0, 0); /* never mapped */
    XChangeProperty(h->dpy, h->owner, h->marker, XA_CARDINAL, 32, PropModeReplace,
                    (unsigned char *)&(long){(long)h->owner}, 1);
    hand_x_mark(h);
    return h->dead ? hand_x_dead(h, err) : 0;
}

void hand_x_close(struct hand *h)
{
    if (h->dpy && !h->dead) {
        if (h->owns_marker)
            XDeleteProperty(h->dpy, h->root, h->marker);
        if (h->owner)
            XDestroyWindow(h->dpy, h->owner);
        XSync(h->dpy, False);
    }
    if (h->xdo)
        xdo_free(h->xdo);
    if (h->panic)
        XCloseDisplay(h->panic);
    if (h->dpy)
        XCloseDisplay(h->dpy);
    for (size_t i = 0; i < N_ELEMENTS(hands); i++)
        if (hands[i] == h)
            hands[i] = NULL;
    h->dpy = h->panic = NULL;
}
