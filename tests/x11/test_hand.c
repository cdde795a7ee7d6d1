/* The hand against a real X server and a client that selects core events: what arrives, where, in
 * which order; nothing stays held; the keyboard map is as before; a dying server or hand is
 * survived. */
#include "actions/hand.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/x11/xvfb.h"

#include <X11/XKBlib.h>
#include <X11/Xlib.h>
#include <X11/Xutil.h>
#include <X11/extensions/XInput2.h>
#include <X11/extensions/XTest.h>
#include <X11/keysym.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct xvfb server;
static Display *dpy; /* the client's */
static Window win;
static struct str seen; /* what the client got, one a line */

static void sleep_until(int64_t us)
{
    int64_t left = us - clock_now_us();
    if (left > 0)
        usleep((useconds_t)left);
}

static void client_read(void)
{
    XSync(dpy, False);
    while (XPending(dpy)) {
        XEvent e;
        XNextEvent(dpy, &e);
        if (e.type == ButtonPress || e.type == ButtonRelease)
            str_printf(&seen, "%s %u at %d %d state %x\n",
                       e.type == ButtonPress ? "press" : "release", e.xbutton.button,
                       e.xbutton.x_root, e.xbutton.y_root, e.xbutton.state & 0xff);
        else if (e.type == MotionNotify)
            str_printf(&seen, "motion %d %d\n", e.xmotion.x_root, e.xmotion.y_root);
        else if (e.type == KeyPress || e.type == KeyRelease) {
            KeySym sym = NoSymbol;
            char buf[32];
            XLookupString(&e.xkey, buf, sizeof(buf), &sym, NULL);
            str_printf(&seen, "%s %s\n", e.type == KeyPress ? "down" : "up",
                       sym && sym < 0x1000000 ? XKeysymToString(sym) : "another");
        } else if (e.type == MappingNotify) {
            XRefreshKeyboardMapping(&e.xmapping);
        }
    }
}

static int setup(void **state)
{
    if (!xvfb_start(&server, 800, 600, 24, NULL))
        return -1;
    xvfb_use(&server);
    dpy = XOpenDisplay(NULL);
    if (!dpy)
        return -1;
    win = XCreateSimpleWindow(dpy, DefaultRootWindow(dpy), 100, 100, 600, 400, 0, 0, 0);
    XSelectInput(dpy, win, KeyPressMask | KeyReleaseMask | ButtonPressMask | ButtonReleaseMask |
                               PointerMotionMask | ExposureMask);
    XMapWindow(dpy, win);
    XSync(dpy, False);
    usleep(50000);
    XSetInputFocus(dpy, win, RevertToPointerRoot, CurrentTime);
    XSync(dpy, False);
    return 0;
}

static int teardown(void **state)
{
    if (dpy)
        XCloseDisplay(dpy);
    xvfb_stop(&server);
    str_done(&seen);
    return 0;
}

static struct hand *hand_new(void)
{
    struct hand_options o = {0};
    struct hand *h = NULL;
    struct err err = {0};
    if (hand_open(&o, &h, &err))
        fail_msg("%s", err.text);
    return h;
}

static int play(struct hand *h, struct err *err)
{
    int64_t next = 0;
    int rc;
    while ((rc = hand_tick(h, clock_now_us(), &next, err)) == 1)
        sleep_until(next);
    return rc;
}

static void act(struct hand *h, const struct action *a)
{
    struct err err = {0};
    if (hand_begin(h, a, &err) || play(h, &err))
        fail_msg("%s", err.text);
    client_read();
}

static void begin_at(int x, int y)
{
    /* away from the point, so that a move is seen */
    XWarpPointer(dpy, None, DefaultRootWindow(dpy), 0, 0, 0, 0, x, y);
    client_read();
    str_reset(&seen);
}

/* Nothing is down on any keyboard, no button, no modifier. */
static void assert_nothing_held(void)
{
    char keys[32], none[32] = {0};
    XQueryKeymap(dpy, keys);
    assert_memory_equal(keys, none, sizeof(keys));
    Window r, c;
    int x, y, wx, wy;
    unsigned mask;
    XQueryPointer(dpy, win, &r, &c, &x, &y, &wx, &wy, &mask);
    assert_int_equal(mask & ~(unsigned)(LockMask | Mod2Mask), 0);
}

static void test_clicks(void **state)
{
    struct hand *h = hand_new();
    struct action a = {.kind = ACTION_CLICK, .has_start = true, .start_px = {321, 234}};
    begin_at(10, 10);
    act(h, &a);
    assert_string_equal(str_cstr(&seen), "motion 321 234\npress 1 at 321 234 state 0\n"
                                         "release 1 at 321 234 state 0\n");
    a.kind = ACTION_DOUBLE_CLICK;
    begin_at(10, 10);
    act(h, &a);
    assert_string_equal(str_cstr(&seen),
                        "motion 321 234\npress 1 at 321 234 state 0\nrelease 1 at 321 234 state 0\n"
                        "press 1 at 321 234 state 0\nrelease 1 at 321 234 state 0\n");
    a.kind = ACTION_RIGHT_CLICK;
    begin_at(10, 10);
    act(h, &a);
    assert_string_equal(str_cstr(&seen), "motion 321 234\npress 3 at 321 234 state 0\n"
                                         "release 3 at 321 234 state 0\n");
    a.kind = ACTION_SCROLL;
    a.direction = DIRECTION_RIGHT;
    a.distance = 2;
    begin_at(10, 10);
    act(h, &a);
    assert_string_equal(str_cstr(&seen),
                        "motion 321 234\npress 7 at 321 234 state 0\nrelease 7 at 321 234 state 0\n"
                        "press 7 at 321 234 state 0\nrelease 7 at 321 234 state 0\n");
    a.start_px = (struct screen_pt){800, 10};
    assert_int_equal(hand_begin(h, &a, NULL), -EINVAL);
    assert_nothing_held();
    hand_close(h);
}

static void test_drag(void **state)
{
    struct hand *h = hand_new();
    struct action a = {.kind = ACTION_DRAG, .has_start = true, .start_px = {200, 200},
                       .has_end = true, .end_px = {320, 260}};
    begin_at(10, 10);
    act(h, &a);
    assert_string_equal(
        str_cstr(&seen),
        "motion 200 200\npress 1 at 200 200 state 0\nmotion 210 205\nmotion 220 210\n"
        "motion 230 215\nmotion 240 220\nmotion 250 225\nmotion 260 230\nmotion 270 235\n"
        "motion 280 240\nmotion 290 245\nmotion 300 250\nmotion 310 255\nmotion 320 260\n"
        "release 1 at 320 260 state 0\n");
    hand_close(h);
}

static void test_chord(void **state)
{
    struct hand *h = hand_new();
    struct action a = {.kind = ACTION_PRESS, .n_keys = 3};
    a.keys[0] = (char *)"ctrl";
    a.keys[1] = (char *)"shift";
    a.keys[2] = (char *)"Page_Down";
    begin_at(200, 200);
    act(h, &a);
    assert_string_equal(str_cstr(&seen), "down Control_L\ndown Shift_L\ndown Next\nup Next\n"
                                         "up Shift_L\nup Control_L\n");
    assert_nothing_held();
    hand_close(h);
}

/* A person's Shift is simulated with another connection. */
static void test_refuses_while_a_modifier_is_held(void **state)
{
    struct hand *h = hand_new();
    struct err err = {0};
    char text[] = "hello";
    struct action a = {.kind = ACTION_INPUT, .text = text};
    KeyCode shift = XKeysymToKeycode(dpy, XK_Shift_L);
    XTestFakeKeyEvent(dpy, shift, True, CurrentTime);
    XSync(dpy, False);
    assert_int_equal(hand_begin(h, &a, &err), -EBUSY);
    assert_non_null(strstr(err.text, "Shift"));
    XTestFakeKeyEvent(dpy, shift, False, CurrentTime);
    XSync(dpy, False);
    /* and in the middle of a text: it breaks off and lets go of its own keys only */
    begin_at(200, 200);
    assert_int_equal(hand_begin(h, &a, &err), 0);
    int64_t next;
    int rc = 1;
    for (int i = 0; i < 5; i++) {
        rc = hand_tick(h, clock_now_us(), &next, &err);
        sleep_until(next);
    }
    KeyCode ctrl = XKeysymToKeycode(dpy, XK_Control_L);
    XTestFakeKeyEvent(dpy, ctrl, True, CurrentTime);
    XSync(dpy, False);
    rc = play(h, &err);
    assert_int_equal(rc, -EBUSY);
    assert_false(hand_is_busy(h));
    char keys[32];
    XQueryKeymap(dpy, keys);
    assert_true(keys[ctrl / 8] & (1 << (ctrl % 8)));
    XTestFakeKeyEvent(dpy, ctrl, False, CurrentTime);
    client_read();
    assert_nothing_held();
    hand_close(h);
}

static void test_stop_in_the_middle_leaves_nothing(void **state)
{
    char text[] = "A sentence with äÄ and Я";
    struct action a = {.kind = ACTION_INPUT, .text = text};
    for (int n = 1; n < 40; n += 3) {
        struct hand *h = hand_new();
        int64_t next;
        assert_int_equal(hand_begin(h, &a, NULL), 0);
        for (int i = 0; i < n; i++) {
            hand_tick(h, clock_now_us(), &next, NULL);
            sleep_until(next);
        }
        hand_stop(h);
        assert_nothing_held();
        hand_close(h);
    }
    client_read();
}

/* Every key's symbols, types and modifiers as bytes. */
static void snapshot(struct str *out)
{
    XkbDescPtr m = XkbGetMap(dpy, XkbAllClientInfoMask | XkbAllServerInfoMask, XkbUseCoreKbd);
    int width, n = 0;
    str_reset(out);
    for (int kc = m->min_key_code; kc <= m->max_key_code; kc++) {
        n = XkbKeyNumSyms(m, kc);
        str_printf(out, "%d: groups %d width %d mods %x actions %d syms", kc,
                   XkbKeyNumGroups(m, kc), XkbKeyGroupsWidth(m, kc), m->map->modmap[kc],
                   XkbKeyHasActions(m, kc));
        for (int i = 0; i < n; i++)
            str_printf(out, " %lx", XkbKeySymsPtr(m, kc)[i]);
        str_puts(out, "\n");
    }
    XkbFreeKeyboard(m, 0, True);
    KeySym *core = XGetKeyboardMapping(dpy, 8, 248, &width);
    str_add(out, (char *)core, (size_t)width * 248 * sizeof(*core));
    XFree(core);
}

static void assert_same(const struct str *a, const struct str *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->s, b->s, a->n);
}

static char strange[] = "я漢€😀";

static void test_map_is_restored(void **state)
{
    struct str before = {0}, during = {0}, after = {0};
    struct hand *h = hand_new();
    struct action a = {.kind = ACTION_INPUT, .text = strange};
    snapshot(&before);
    begin_at(200, 200);
    act(h, &a);
    snapshot(&during);
    assert_true(during.n != before.n || memcmp(during.s, before.s, before.n) != 0);
    /* the idle pause gives the keycodes back */
    int64_t next = 0;
    assert_int_equal(hand_tick(h, clock_now_us(), &next, NULL), 1);
    hand_tick(h, next, &next, NULL);
    snapshot(&after);
    assert_same(&before, &after);
    act(h, &a);
    hand_close(h); /* and so does closing */
    snapshot(&after);
    assert_same(&before, &after);
    str_done(&before);
    str_done(&during);
    str_done(&after);
}

/* A child that holds scratch keys, a group and Shift is killed; the next hand cleans up. */
static void test_crash_is_inherited(void **state)
{
    struct str before = {0}, after = {0};
    int fd[2];
    snapshot(&before);
    assert_int_equal(pipe(fd), 0);
    pid_t pid = fork();
    if (!pid) {
        struct hand_options o = {0};
        struct hand *h;
        struct action a = {.kind = ACTION_INPUT, .text = strange}, b = {.kind = ACTION_PRESS};
        int64_t next;
        if (hand_open(&o, &h, NULL) || hand_begin(h, &a, NULL) || play(h, NULL))
            _exit(1);
        b.keys[b.n_keys++] = (char *)"ctrl";
        b.keys[b.n_keys++] = (char *)"shift";
        hand_begin(h, &b, NULL);
        for (int i = 0; i < 3; i++) {
            hand_tick(h, clock_now_us(), &next, NULL);
            sleep_until(next);
        }
        if (write(fd[1], "x", 1) != 1)
            _exit(1);
        pause();
    }
    char c;
    close(fd[1]);
    assert_int_equal(read(fd[0], &c, 1), 1);
    close(fd[0]);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    usleep(50000);
    snapshot(&after);
    assert_true(after.n != before.n || memcmp(after.s, before.s, before.n) != 0);
    struct hand *h = hand_new();
    snapshot(&after);
    assert_same(&before, &after);
    assert_nothing_held();
    hand_close(h);
    str_done(&before);
    str_done(&after);
}

static void on_segv(int sig)
{
    hand_panic();
    _exit(7);
}

/* how: a failed CHECK, or a signal handler that calls hand_panic(). */
static void crash_releases(bool by_signal)
{
    pid_t pid = fork();
    if (!pid) {
        struct hand_options o = {0};
        struct hand *h;
        struct action b = {.kind = ACTION_PRESS};
        int64_t next;
        if (hand_open(&o, &h, NULL))
            _exit(1);
        b.keys[b.n_keys++] = (char *)"ctrl";
        b.keys[b.n_keys++] = (char *)"a";
        hand_begin(h, &b, NULL);
        for (int i = 0; i < 3; i++) {
            hand_tick(h, clock_now_us(), &next, NULL);
            sleep_until(next);
        }
        if (by_signal) {
            signal(SIGSEGV, on_segv);
            raise(SIGSEGV);
        }
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        CHECK(!"the test breaks here");
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(by_signal ? WIFEXITED(status) && WEXITSTATUS(status) == 7
                          : WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    usleep(100000);
    client_read();
    assert_nothing_held();
}

static void test_check_releases(void **state)
{
    crash_releases(false);
}

static void test_segv_releases(void **state)
{
    crash_releases(true);
}

static void test_activate_without_wm(void **state)
{
    struct hand *h = hand_new();
    Window other = XCreateSimpleWindow(dpy, DefaultRootWindow(dpy), 0, 0, 50, 50, 0, 0, 0), now;
    int revert;
    XMapWindow(dpy, other);
    XSync(dpy, False);
    struct err err = {0};
    assert_int_equal(hand_activate(h, (uint32_t)other, &err), 0);
    XGetInputFocus(dpy, &now, &revert);
    assert_int_equal(now, other);
    assert_int_equal(hand_activate(h, (uint32_t)win, &err), 0);
    XGetInputFocus(dpy, &now, &revert);
    assert_int_equal(now, win);
    XDestroyWindow(dpy, other);
    XSync(dpy, False);
    assert_int_equal(hand_activate(h, (uint32_t)other, &err), -ENOENT);
    hand_close(h);
}

/* A stand-in for a window manager: what it is asked is what EWMH says, with the server's time. */
static void test_activate_with_wm(void **state)
{
    Display *wm = XOpenDisplay(NULL);
    Window root = DefaultRootWindow(wm), check = XCreateSimpleWindow(wm, root, 0, 0, 1, 1, 0, 0, 0);
    Atom prop = XInternAtom(wm, "_NET_SUPPORTING_WM_CHECK", False);
    XChangeProperty(wm, root, prop, XInternAtom(wm, "WINDOW", False), 32, PropModeReplace,
                    (unsigned char *)&check, 1);
    XSelectInput(wm, root, SubstructureRedirectMask | SubstructureNotifyMask);
    XSync(wm, True);
    struct hand *h = hand_new();
    assert_int_equal(hand_activate(h, (uint32_t)win, NULL), 0);
    XSync(wm, False);
    bool asked = false;
    while (XPending(wm)) {
        XEvent e;
        XNextEvent(wm, &e);
        if (e.type != ClientMessage)
            continue;
        assert_int_equal(e.xclient.message_type, XInternAtom(wm, "_NET_ACTIVE_WINDOW", False));
        assert_int_equal(e.xclient.window, win);
        assert_int_equal(e.xclient.data.l[0], 2);
        assert_int_not_equal(e.xclient.data.l[1], CurrentTime);
        asked = true;
    }
    assert_true(asked);
    /* the property of a window manager that is gone: back to raising and focusing */
    XDestroyWindow(wm, check);
    XCloseDisplay(wm);
    XSetInputFocus(dpy, PointerRoot, RevertToPointerRoot, CurrentTime);
    XSync(dpy, False);
    assert_int_equal(hand_activate(h, (uint32_t)win, NULL), 0);
    Window now;
    int revert;
    XGetInputFocus(dpy, &now, &revert);
    assert_int_equal(now, win);
    hand_close(h);
    XDeleteProperty(dpy, DefaultRootWindow(dpy), prop);
}

/* Toolkits of today read XInput 2 events: the same keys and buttons must come that way. */
static void test_xi2_client(void **state)
{
    Display *d = XOpenDisplay(NULL);
    Window w = XCreateSimpleWindow(d, DefaultRootWindow(d), 0, 0, 90, 90, 0, 0, 0);
    unsigned char bits[XIMaskLen(XI_LASTEVENT)] = {0};
    XIEventMask mask = {XIAllMasterDevices, sizeof(bits), bits};
    int opcode, event, error, major = 2, minor = 2;
    assert_true(XQueryExtension(d, "XInputExtension", &opcode, &event, &error));
    assert_int_equal(XIQueryVersion(d, &major, &minor), Success);
    XISetMask(bits, XI_KeyPress);
    XISetMask(bits, XI_KeyRelease);
    XISetMask(bits, XI_ButtonPress);
    XISetMask(bits, XI_ButtonRelease);
    XISelectEvents(d, w, &mask, 1);
    XMapRaised(d, w);
    XSync(d, False);
    usleep(50000);
    XSetInputFocus(d, w, RevertToPointerRoot, CurrentTime);
    XSync(d, True);

    struct hand *h = hand_new();
    static char text[] = "aЯ";
    struct action a = {.kind = ACTION_INPUT, .has_start = true, .start_px = {30, 40}, .text = text};
    act(h, &a);
    struct str got = {0};
    XSync(d, False);
    while (XPending(d)) {
        XEvent e;
        XNextEvent(d, &e);
        if (e.type == MappingNotify)
            XRefreshKeyboardMapping(&e.xmapping);
        if (e.type != GenericEvent || !XGetEventData(d, &e.xcookie))
            continue;
        const XIDeviceEvent *x = e.xcookie.data;
        bool press = x->evtype == XI_KeyPress || x->evtype == XI_ButtonPress;
        if (x->evtype == XI_KeyPress || x->evtype == XI_KeyRelease) {
            unsigned used;
            KeySym sym = NoSymbol;
            XkbLookupKeySym(d, (KeyCode)x->detail, (unsigned)x->mods.effective, &used, &sym);
            str_printf(&got, "%lx %s\n", sym, press ? "down" : "up");
        } else {
            str_printf(&got, "button %d %s at %g %g\n", x->detail, press ? "down" : "up", x->root_x,
                       x->root_y);
        }
        XFreeEventData(d, &e.xcookie);
    }
    assert_string_equal(str_cstr(&got), "button 1 down at 30 40\nbutton 1 up at 30 40\n"
                                        "61 down\n61 up\nffe1 down\n6f1 down\n6f1 up\nffe1 up\n");
    str_done(&got);
    hand_close(h);
    XCloseDisplay(d);
    XSetInputFocus(dpy, win, RevertToPointerRoot, CurrentTime);
    client_read();
}

static void test_server_death(void **state)
{
    struct hand *h = hand_new();
    struct err err = {0};
    struct action a = {.kind = ACTION_INPUT, .text = strange};
    int64_t next;
    assert_int_equal(hand_begin(h, &a, &err), 0);
    hand_tick(h, clock_now_us(), &next, &err);
    /* the client's own connection must not end the test: give it up first */
    XCloseDisplay(dpy);
    dpy = NULL;
    xvfb_kill(&server);
    assert_int_equal(play(h, &err), -EPIPE);
    assert_true(hand_is_dead(h));
    assert_int_equal(hand_begin(h, &a, &err), -EPIPE);
    assert_int_equal(hand_activate(h, 1, &err), -EPIPE);
    hand_stop(h);
    hand_close(h);
    struct hand_options o = {0};
    assert_int_equal(hand_open(&o, &h, &err), -ECONNREFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clicks),
        cmocka_unit_test(test_drag),
        cmocka_unit_test(test_chord),
        cmocka_unit_test(test_refuses_while_a_modifier_is_held),
        cmocka_unit_test(test_stop_in_the_middle_leaves_nothing),
        cmocka_unit_test(test_map_is_restored),
        cmocka_unit_test(test_crash_is_inherited),
        cmocka_unit_test(test_check_releases),
        cmocka_unit_test(test_segv_releases),
        cmocka_unit_test(test_activate_without_wm),
        cmocka_unit_test(test_activate_with_wm),
        cmocka_unit_test(test_xi2_client),
        cmocka_unit_test(test_server_death),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
