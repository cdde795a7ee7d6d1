/* Typed text, in separate processes as in life: a small Xlib client under many keyboard states,
 * then programs that nobody here wrote (zenity: GTK 3, wish: Tk, xterm). What they read must equal
 * what was typed. With DESKHAND_TYPING_TABLE=1 it also types the same with `xdotool type` and
 * prints the table of docs/typing.md. Programs that are not installed are skipped. */
#include "actions/hand.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "tests/x11/xvfb.h"

#include <X11/XKBlib.h>
#include <X11/Xlib.h>
#include <X11/Xutil.h>
#include <X11/extensions/XTest.h>
#include <X11/keysym.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xkbcommon/xkbcommon.h>

#include <cmocka.h>

/* 201 characters: all of printable ASCII, then five scripts, signs and emoji. */
#define ASCII                                                                                      \
    " !\"#$%&'()*+,-./"                                                                            \
    "0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
#define WORLD                                                                                      \
    "äöüßÄÖÜ éèçàêïÉ «€» Съешь же ещё этих мягких булок, ЭЮЯ. Ξεσκεπάζω την ψυχή. 漢字かな交じり 한글 "   \
    "שלום 😀🚀 end aaBBaa"
static char all_text[] = ASCII WORLD;

static struct xvfb server;
static Display *dpy;

static void sleep_until(int64_t us)
{
    int64_t left = us - clock_now_us();
    if (left > 0)
        usleep((useconds_t)left);
}

static void type_with_hand(struct hand *h, char *text)
{
    struct err err = {0};
    struct action a = {.kind = ACTION_INPUT, .text = text};
    int64_t next = 0;
    int rc = hand_begin(h, &a, &err);
    while (!rc && (rc = hand_tick(h, clock_now_us(), &next, &err)) == 1) {
        sleep_until(next);
        rc = 0;
    }
    if (rc)
        fail_msg("%s", err.text);
}

/* Without a shell: the text is an argument. Returns the exit status. */
static int run(const char *const argv[])
{
    pid_t pid = fork();
    if (!pid) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 2);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void type_with_xdotool(char *text)
{
    const char *argv[] = {"xdotool", "type", "--delay", "12", "--", text, NULL};
    run(argv);
}

/* Edit distance in code points: how many characters are wrong, missing or too many. */
static int n_wrong(const char *want, const char *got)
{
    static int row[2][1024];
    uint32_t a[1000], b[1000];
    int n = 0, m = 0;
    for (size_t i = 0, len = strlen(want); i < len && n < 1000;)
        i += (size_t)utf8_next(want + i, len - i, &a[n++]);
    for (size_t i = 0, len = strlen(got); i < len && m < 1000;)
        i += (size_t)utf8_next(got + i, len - i, &b[m++]);
    for (int j = 0; j <= m; j++)
        row[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *up = row[(i - 1) & 1], *now = row[i & 1];
        now[0] = i;
        for (int j = 1; j <= m; j++)
            now[j] = MIN(MIN(up[j] + 1, now[j - 1] + 1), up[j - 1] + (a[i - 1] != b[j - 1]));
    }
    return row[n & 1][m];
}

/* the client */

static void client_main(int out)
{
    Display *d = XOpenDisplay(NULL);
    Window w = XCreateSimpleWindow(d, DefaultRootWindow(d), 0, 0, 200, 100, 0, 0, 0);
    XSelectInput(d, w, KeyPressMask | FocusChangeMask | ExposureMask);
    XMapWindow(d, w);
    for (;;) {
        XEvent e;
        XNextEvent(d, &e);
        char buf[32] = "";
        int n = 0;
        if (e.type == Expose)
            XSetInputFocus(d, w, RevertToParent, CurrentTime);
        else if (e.type == FocusIn)
            n = snprintf(buf, sizeof(buf), "\x02");
        else if (e.type == MappingNotify)
            XRefreshKeyboardMapping(&e.xmapping);
        else if (e.type == KeyPress) {
            KeySym sym = NoSymbol;
            char latin[16];
            XLookupString(&e.xkey, latin, sizeof(latin), &sym, NULL);
            if (sym == XK_F12)
                n = snprintf(buf, sizeof(buf), "\x03");
            else if (sym < XK_Shift_L || sym > XK_Hyper_R)
                n = xkb_keysym_to_utf8((xkb_keysym_t)sym, buf, sizeof(buf)) - 1;
        }
        if (n > 0 && write(out, buf, (size_t)n) != n)
            _exit(0);
    }
}

struct client {
    pid_t pid;
    int fd;
};

static void read_until(int fd, char end, struct str *got)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char c;
    while (poll(&p, 1, 5000) > 0 && read(fd, &c, 1) == 1 && c != end)
        if (c != 2)
            str_putc(got, c);
}

static struct client client_start(void)
{
    int fd[2];
    struct client c = {0};
    assert_int_equal(pipe(fd), 0);
    c.pid = fork();
    if (!c.pid) {
        close(fd[0]);
        client_main(fd[1]);
    }
    close(fd[1]);
    c.fd = fd[0];
    struct str nothing = {0};
    read_until(c.fd, 2, &nothing);
    str_done(&nothing);
    return c;
}

static void client_take(const struct client *c, struct str *got)
{
    KeyCode f12 = XKeysymToKeycode(dpy, XK_F12);
    XTestFakeKeyEvent(dpy, f12, True, CurrentTime);
    XTestFakeKeyEvent(dpy, f12, False, CurrentTime);
    XFlush(dpy);
    read_until(c->fd, 3, got);
}

static void client_stop(struct client *c)
{
    kill(c->pid, SIGKILL);
    waitpid(c->pid, NULL, 0);
    close(c->fd);
}

/* keyboard states */

static const struct state {
    const char *name;
    const char *layout, *variant;
    int group, latched_group;
    bool caps, num, latched_shift;
} states[] = {
    {"us", "us"},
    {"de", "de"},
    {"fr", "fr"},
    {"ru", "ru"},
    {"us + Caps Lock", "us", .caps = true},
    {"de + Caps Lock", "de", .caps = true},
    {"fr + Caps Lock", "fr", .caps = true},
    {"ru + Caps Lock", "ru", .caps = true},
    {"de + Num Lock", "de", .num = true},
    {"fr + Caps + Num Lock", "fr", .caps = true, .num = true},
    {"us,ru in group 2", "us,ru", .group = 1},
    {"de,ru,gr in group 3", "de,ru,gr", .group = 2},
    {"us,ru group 2 latched", "us,ru", .latched_group = 1},
    {"us intl. dead keys", "us", "intl"},
    {"us + latched Shift", "us", .latched_shift = true},
};

static void apply(const struct state *s)
{
    const char *argv[] = {"setxkbmap", "-layout", s->layout,
                          "-variant",  s->variant ? s->variant : "", NULL};
    assert_int_equal(run(argv), 0);
    XkbLockGroup(dpy, XkbUseCoreKbd, (unsigned)s->group);
    XkbLockModifiers(dpy, XkbUseCoreKbd, LockMask | Mod2Mask,
                     (s->caps ? LockMask : 0) | (s->num ? Mod2Mask : 0));
    XkbLatchModifiers(dpy, XkbUseCoreKbd, 0xff, s->latched_shift ? ShiftMask : 0);
    if (s->latched_group)
        XkbLatchGroup(dpy, XkbUseCoreKbd, (unsigned)s->latched_group);
    XSync(dpy, False);
    usleep(50000);
}

static bool is_table(void)
{
    return getenv("DESKHAND_TYPING_TABLE") != NULL;
}

static void test_states(void **unused)
{
    int n_bad = 0;
    struct client c = client_start();
    for (size_t i = 0; i < N_ELEMENTS(states); i++) {
        const struct state *s = &states[i];
        struct str got = {0}, theirs = {0};
        struct hand_options o = {0};
        struct hand *h = NULL;
        XkbStateRec before, after;
        apply(s);
        XkbGetState(dpy, XkbUseCoreKbd, &before);
        assert_int_equal(hand_open(&o, &h, NULL), 0);
        int64_t t = clock_now_us();
        type_with_hand(h, all_text);
        t = clock_now_us() - t;
        XkbGetState(dpy, XkbUseCoreKbd, &after);
        client_take(&c, &got);
        hand_close(h);
        int wrong = n_wrong(all_text, str_cstr(&got));
        if (wrong)
            print_message("%s: %d wrong\n  typed %s\n  read  %s\n", s->name, wrong, all_text,
                          str_cstr(&got));
        if (before.locked_mods != after.locked_mods || before.locked_group != after.locked_group) {
            print_message("%s: locks %x group %d became locks %x group %d\n", s->name,
                          before.locked_mods, before.locked_group, after.locked_mods,
                          after.locked_group);
            wrong++;
        }
        n_bad += wrong != 0;
        if (is_table()) {
            apply(s);
            int64_t t2 = clock_now_us();
            type_with_xdotool(all_text);
            t2 = clock_now_us() - t2;
            client_take(&c, &theirs);
            printf("| Xlib client, %s | %d | %.1f | %d | %.1f |\n", s->name, wrong, (double)t / 1e6,
                   n_wrong(all_text, str_cstr(&theirs)), (double)t2 / 1e6);
        }
        str_done(&got);
        str_done(&theirs);
    }
    client_stop(&c);
    assert_int_equal(n_bad, 0);
}

/* Another program switches the group while we type: the rest still arrives. */
static void test_group_switched_in_the_middle(void **unused)
{
    static const struct state two = {"us,ru", "us,ru"};
    static char text[] = "hello world, privet и снова latin";
    struct client c = client_start();
    struct hand_options o = {0};
    struct hand *h = NULL;
    struct str got = {0};
    struct action a = {.kind = ACTION_INPUT, .text = text};
    int64_t next = 0;
    int n = 0;
    apply(&two);
    assert_int_equal(hand_open(&o, &h, NULL), 0);
    assert_int_equal(hand_begin(h, &a, NULL), 0);
    while (hand_tick(h, clock_now_us(), &next, NULL) == 1) {
        if (++n == 12) {
            XkbLockGroup(dpy, XkbUseCoreKbd, 1);
            XSync(dpy, False);
        }
        sleep_until(next);
    }
    client_take(&c, &got);
    hand_close(h);
    client_stop(&c);
    assert_string_equal(str_cstr(&got), text);
    str_done(&got);
}

/* A person toggles Caps Lock, Num Lock and the layout under way, with their keys and by a program:
 * the text is right, and in the end the keyboard is as they left it. */
static void test_locks_toggled_in_the_middle(void **unused)
{
    static const struct state plain = {"us,ru", "us,ru"}, caps = {"de", "de", .caps = true},
                              group2 = {"us,ru", "us,ru", .group = 1};
    static const struct {
        const struct state *state;
        int n_toggles;
        unsigned locks; /* in the end */
        int group;
        bool by_key; /* a real press and release of the Caps Lock key */
    } rows[] = {{&plain, 1, LockMask, 0, false},  {&plain, 1, LockMask, 0, true},
                {&plain, 2, 0, 0, false},         {&caps, 1, 0, 0, false},
                {&caps, 1, 0, 0, true},           {&caps, 2, LockMask, 0, true},
                {&plain, 3, LockMask, 1, false},  {&group2, 1, LockMask, 1, false}};
    static char text[] = "Hello World, ABC abc 123; grüße, снова Latin";
    struct client c = client_start();
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct hand_options o = {0};
        struct hand *h = NULL;
        struct str got = {0};
        struct action a = {.kind = ACTION_INPUT, .text = text};
        XkbStateRec after;
        int64_t next = 0;
        int n = 0, n_toggles = 0;
        apply(rows[i].state);
        assert_int_equal(hand_open(&o, &h, NULL), 0);
        assert_int_equal(hand_begin(h, &a, NULL), 0);
        while (hand_tick(h, clock_now_us(), &next, NULL) == 1) {
            if (++n % 9 == 0 && n_toggles < rows[i].n_toggles) {
                n_toggles++;
                if (rows[i].by_key) {
                    XTestFakeKeyEvent(dpy, 66, True, 0);
                    XTestFakeKeyEvent(dpy, 66, False, 0);
                } else {
                    XkbStateRec s;
                    XkbGetState(dpy, XkbUseCoreKbd, &s);
                    XkbLockModifiers(dpy, XkbUseCoreKbd, LockMask, ~s.locked_mods & LockMask);
                    if (n_toggles == rows[i].n_toggles)
                        XkbLockGroup(dpy, XkbUseCoreKbd, (unsigned)rows[i].group);
                }
                XSync(dpy, False);
            }
            sleep_until(next);
        }
        XkbGetState(dpy, XkbUseCoreKbd, &after);
        client_take(&c, &got);
        hand_close(h);
        assert_int_equal(n_toggles, rows[i].n_toggles);
        if (strcmp(str_cstr(&got), text) != 0)
            fail_msg("row %zu: typed %s, read %s", i, text, str_cstr(&got));
        if ((after.locked_mods & LockMask) != rows[i].locks || after.locked_group != rows[i].group)
            fail_msg("row %zu: locks %x group %d; expected %x and %d", i, after.locked_mods,
                     after.locked_group, rows[i].locks, rows[i].group);
        str_done(&got);
    }
    client_stop(&c);
}

/* While the key is down Caps is on whatever we lock: the text waits, or breaks off and says so. */
static void test_a_held_caps_lock_is_told(void **unused)
{
    static const struct state plain = {"us", "us"};
    static char text[] = "hello world";
    struct hand_options o = {0};
    struct hand *h = NULL;
    struct action a = {.kind = ACTION_INPUT, .text = text};
    struct err err = {0};
    int64_t next = 0;
    int n = 0, rc;
    apply(&plain);
    assert_int_equal(hand_open(&o, &h, NULL), 0);
    assert_int_equal(hand_begin(h, &a, NULL), 0);
    while ((rc = hand_tick(h, clock_now_us(), &next, &err)) == 1) {
        if (++n == 9) {
            XTestFakeKeyEvent(dpy, 66, True, 0);
            XSync(dpy, False);
        }
        sleep_until(next);
    }
    XTestFakeKeyEvent(dpy, 66, False, 0);
    XSync(dpy, False);
    hand_close(h);
    assert_int_equal(rc, -EBUSY);
    assert_non_null(strstr(err.text, "the Caps Lock key is held down"));
}

/* real programs */

static Window new_window(pid_t pid)
{
    for (int i = 0; i < 200; i++) {
        Window root, parent, *kids = NULL;
        unsigned n = 0;
        Window found = None;
        XQueryTree(dpy, DefaultRootWindow(dpy), &root, &parent, &kids, &n);
        for (unsigned k = 0; k < n; k++) {
            XWindowAttributes wa;
            if (XGetWindowAttributes(dpy, kids[k], &wa) && wa.map_state == IsViewable &&
                wa.width > 40)
                found = kids[k];
        }
        XFree(kids);
        if (found)
            return found;
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return None;
        usleep(50000);
    }
    return None;
}

static const struct program {
    const char *name;
    const char *argv[8];
} programs[] = {
    {"zenity (GTK 3)", {"zenity", "--entry", "--text=x"}},
    {"wish (Tk 8.6)",
     {"sh", "-c",
      "printf '%s\n' 'entry .e -width 60; pack .e; focus -force .e; "
      "fconfigure stdout -encoding utf-8; "
      "bind .e <Return> {puts [.e get]; exit}' > \"$1\"; exec wish \"$1\"",
      "sh"}},
    {"xterm",
     {"sh", "-c",
      "exec xterm -u8 -e sh -c 'IFS= read -r x; printf \"%s\\n\" \"$x\" > \"$1\"' sh \"$1\"",
      "sh"}},
};

/* Starts the program, types the text and Return, gives what it printed. False: not there. */
static bool ask_program(const struct program *p, char *text, bool xdotool, struct str *got)
{
    char path[] = "/tmp/deskhand-typing-XXXXXX";
    int tmp = mkstemp(path), fd[2];
    bool to_file = !strcmp(p->name, "xterm");
    assert_int_equal(pipe(fd), 0);
    pid_t pid = fork();
    if (!pid) {
        const char *argv[10] = {0};
        int n = 0;
        while (n < 8 && p->argv[n]) {
            argv[n] = p->argv[n];
            n++;
        }
        if (!strcmp(argv[0], "sh"))
            argv[n++] = path;
        dup2(fd[1], 1);
        dup2(open("/dev/null", O_WRONLY), 2);
        setenv("LC_ALL", "C.UTF-8", 1);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(fd[1]);
    Window w = new_window(pid);
    if (w) {
        struct hand_options o = {0};
        struct hand *h = NULL;
        usleep(500000);
        assert_int_equal(hand_open(&o, &h, NULL), 0);
        hand_activate(h, (uint32_t)w, NULL);
        usleep(200000);
        if (xdotool)
            type_with_xdotool(text);
        else
            type_with_hand(h, text);
        usleep(100000);
        struct action a = {.kind = ACTION_PRESS, .n_keys = 1};
        a.keys[0] = (char *)"Return";
        int64_t next;
        hand_begin(h, &a, NULL);
        while (hand_tick(h, clock_now_us(), &next, NULL) == 1 && hand_is_busy(h))
            sleep_until(next);
        read_until(fd[0], '\n', got);
        hand_close(h);
        for (int i = 0; i < 40 && waitpid(pid, NULL, WNOHANG) == 0; i++) {
            usleep(50000);
            if (i == 39) {
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
            }
        }
    }
    if (to_file) {
        char *s = NULL;
        size_t n;
        if (!file_read(path, 65536, &s, &n, NULL))
            str_add(got, s, n && s[n - 1] == '\n' ? n - 1 : n);
        free(s);
    }
    close(fd[0]);
    close(tmp);
    unlink(path);
    return w != None;
}

static void test_programs(void **unused)
{
    int n_bad = 0;
    static const int which[] = {3, 5, 0, 10}; /* ru, de + Caps, us, us,ru in group 2 */
    size_t n_which = is_table() ? N_ELEMENTS(which) : 2; /* programs start slowly */
    for (size_t p = 0; p < N_ELEMENTS(programs); p++)
        for (size_t i = 0; i < n_which; i++) {
            const struct state *s = &states[which[i]];
            struct str got = {0}, theirs = {0};
            apply(s);
            if (!ask_program(&programs[p], all_text, false, &got)) {
                print_message("%s does not run here, skipped\n", programs[p].name);
                str_done(&got);
                break;
            }
            int wrong = n_wrong(all_text, str_cstr(&got));
            if (wrong)
                print_message("%s, %s: %d wrong\n  typed %s\n  read  %s\n", programs[p].name,
                              s->name, wrong, all_text, str_cstr(&got));
            n_bad += wrong != 0;
            if (is_table()) {
                apply(s);
                ask_program(&programs[p], all_text, true, &theirs);
                printf("| %s, %s | %d | | %d | |\n", programs[p].name, s->name, wrong,
                       n_wrong(all_text, str_cstr(&theirs)));
            }
            str_done(&got);
            str_done(&theirs);
        }
    assert_int_equal(n_bad, 0);
}

static int setup(void **unused)
{
    if (!xvfb_start(&server, 800, 600, 24, NULL))
        return -1;
    xvfb_use(&server);
    dpy = XOpenDisplay(NULL);
    return dpy ? 0 : -1;
}

static int teardown(void **unused)
{
    if (dpy)
        XCloseDisplay(dpy);
    xvfb_stop(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_group_switched_in_the_middle),
        cmocka_unit_test(test_locks_toggled_in_the_middle),
        cmocka_unit_test(test_a_held_caps_lock_is_told),
        cmocka_unit_test(test_programs),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
