/* See driver.h. Programs end with the test, however it ends (PR_SET_PDEATHSIG). */
#include "tests/apps/driver.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xcb/xcb.h>

#include <cmocka.h>

static void copy(char *dst, size_t cap, const json_t *params, const char *key)
{
    const char *s = json_string_value(json_object_get(params, key));
    snprintf(dst, cap, "%s", s ? s : "");
}

static void on_event(void *user, const char *method, json_t *params)
{
    struct driver *d = user;
    assert_non_null(params);
    if (strcmp(method, "state") == 0) {
        copy(d->state, sizeof d->state, params, "state");
        copy(d->code, sizeof d->code, params, "code");
        copy(d->reason, sizeof d->reason, params, "reason");
    } else if (strcmp(method, "verdict") == 0) {
        copy(d->verdict, sizeof d->verdict, params, "verdict");
        copy(d->rule, sizeof d->rule, params, "rule");
        copy(d->hash, sizeof d->hash, params, "hash");
    } else if (strcmp(method, "effect") == 0) {
        copy(d->effect, sizeof d->effect, params, "effect");
        copy(d->evidence, sizeof d->evidence, params, "evidence");
        d->n_effects++;
    }
}

static void wake(void *user)
{
    struct driver *d = user;
    uint64_t one = 1;
    CHECK(write(d->wake_fd, &one, sizeof one) == sizeof one);
}

static void on_reply(void *cookie, json_t *id, json_t *result, int code, const char *text)
{
    struct driver *d = cookie;
    d->reply_code = code;
    snprintf(d->reply_text, sizeof d->reply_text, "%s", text ? text : "");
    json_decref(result);
}

bool driver_has_programs(const char *more)
{
    const char *const names[] = {"Xvfb", "openbox", "xterm", "xdotool", more};
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        char command[96];
        if (!names[i])
            continue;
        snprintf(command, sizeof command, "command -v %s >/dev/null", names[i]);
        if (system(command) != 0) {
            printf("SKIP: %s is not installed\n", names[i]);
            return false;
        }
    }
    return true;
}

/* A window that is mapped while the window manager starts may be managed by nobody. */
static bool has_wm(struct driver *d)
{
    static const char name[] = "_NET_CLIENT_LIST_STACKING";
    xcb_connection_t *c = xcb_connect(d->x.display, NULL);
    xcb_window_t root = xcb_setup_roots_iterator(xcb_get_setup(c)).data->root;
    xcb_intern_atom_reply_t *atom =
        xcb_intern_atom_reply(c, xcb_intern_atom(c, 0, sizeof name - 1, name), NULL);
    xcb_get_property_reply_t *list =
        atom ? xcb_get_property_reply(
                   c, xcb_get_property(c, 0, root, atom->atom, XCB_ATOM_ANY, 0, 0), NULL)
             : NULL;
    bool yes = list && list->type != XCB_ATOM_NONE;
    free(list);
    free(atom);
    xcb_disconnect(c);
    return yes;
}

void driver_desk(struct driver *d, int w, int h)
{
    static const char *const wm[] = {"openbox", NULL};
    *d = (struct driver){.wake_fd = -1};
    snprintf(d->dir, sizeof d->dir, "/tmp/deskhand-driver-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    assert_true(xvfb_start(&d->x, w, h, 24, NULL));
    driver_run(d, wm);
    for (int i = 0; i < 400 && !has_wm(d); i++)
        usleep(50000);
    assert_true(has_wm(d));
}

void driver_agent(struct driver *d, const char *policy, int64_t approval_us, int port)
{
    AUTO_FREE char *path = file_join(d->dir, "policies.yaml");
    AUTO_FREE char *state = file_join(d->dir, "state");
    struct err err = {0};
    assert_int_equal(file_write(path, policy, strlen(policy), 0600, &err), 0);
    d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct agent_options o = {.model_dir = DESKHAND_TEST_MODEL,
                              .display = d->x.display,
                              .policy_path = path,
                              .state_dir = state,
                              .own_port = (uint16_t)port,
                              .approval_us = approval_us,
                              .on_event = on_event,
                              .wake = wake,
                              .user = d};
    if (agent_open(&o, &d->a, &err) < 0)
        fail_msg("%s", err.text);
}

void driver_end(struct driver *d)
{
    char command[96];
    agent_close(d->a);
    d->a = NULL;
    if (d->wake_fd >= 0)
        close(d->wake_fd);
    while (d->n_pids > 0)
        driver_kill(d, d->pids[d->n_pids - 1]);
    xvfb_stop(&d->x);
    snprintf(command, sizeof command, "rm -rf %s", d->dir);
    assert_int_equal(system(command), 0);
}

pid_t driver_run(struct driver *d, const char *const *argv)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(127);
        setpgid(0, 0);
        setenv("DISPLAY", d->x.display, 1);
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    assert_true(pid > 0 && d->n_pids < (int)N_ELEMENTS(d->pids));
    d->pids[d->n_pids++] = pid;
    return pid;
}

void driver_kill(struct driver *d, pid_t pid)
{
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (int i = 0; i < d->n_pids; i++)
        if (d->pids[i] == pid)
            d->pids[i] = d->pids[--d->n_pids];
}

/* A connection of its own: the agent need not exist yet, and its eye is left alone. */
static bool find_window(struct driver *d, const char *title, struct eye_window *ret)
{
    struct eye_options o = {.display = d->x.display};
    struct eye *e = NULL;
    struct eye_window *list = NULL;
    int n = 0;
    bool found = false;
    if (eye_open(&o, &e, NULL) == 0 && eye_windows(e, &list, &n, NULL) == 0)
        for (int i = n - 1; i >= 0 && !found; i--)
            if ((found = strstr(list[i].title, title) != NULL))
                *ret = list[i];
    free(list);
    eye_close(e);
    return found;
}

struct eye_window driver_window(struct driver *d, const char *title)
{
    struct eye_window w = {0};
    for (int i = 0; i < 200; i++, usleep(100000))
        if (find_window(d, title, &w)) {
            driver_rest(d, 0.4); /* it paints */
            return w;
        }
    fail_msg("no window with \"%s\" in its title appeared in 20 s", title);
    return w;
}

void driver_focus(struct driver *d, const struct eye_window *w)
{
    struct eye_window focus = {0};
    assert_int_equal(hand_activate(d->a->hand, w->id, NULL), 0);
    for (int i = 0; i < 100; i++, usleep(50000))
        if (eye_window_focus(d->a->eye, &focus, NULL) == 0 && focus.id == w->id)
            return;
    fail_msg("the focus stays at \"%s\"", focus.title);
}

bool driver_until(struct driver *d, bool (*done)(struct driver *d), double seconds)
{
    int64_t until = clock_now_us() + (int64_t)(seconds * 1e6);
    while (!done || !done(d)) {
        int64_t now = clock_now_us();
        if (now >= until)
            return false;
        if (!d->a) {
            usleep(20000);
            continue;
        }
        int64_t next = agent_service(d->a, now);
        if (done && done(d))
            return true;
        struct pollfd fds[] = {{.fd = d->wake_fd, .events = POLLIN},
                               {.fd = agent_fd(d->a), .events = POLLIN}};
        int64_t wait = next < 0 ? until - now : MIN(next, until) - now;
        poll(fds, 2, wait > 0 ? (int)MIN((wait + 999) / 1000, 1000) : 0);
        uint64_t n;
        if (fds[0].revents && read(d->wake_fd, &n, sizeof n) < 0)
            fail();
    }
    return true;
}

void driver_rest(struct driver *d, double seconds)
{
    driver_until(d, NULL, seconds);
}

static bool is_thinking(struct driver *d)
{
    return d->a->task.state == TASK_RUNNING && d->a->task.phase == PHASE_THINK && d->a->job;
}

void driver_think(struct driver *d)
{
    if (!task_state_is_live(d->a->task.state))
        assert_int_equal(driver_ask(d, AGENT_PROGRAM, "start",
                                    json_pack("{s:s, s:s}", "goal", "test", "view", "screen")),
                         0);
    assert_true(driver_until(d, is_thinking, 20));
}

void driver_answer(struct driver *d, const char *text)
{
    struct rect part = d->a->task.step.part;
    driver_news(d, &(struct news){.text = (char *)(uintptr_t)text, .image_w = part.w,
                                  .image_h = part.h});
}

void driver_news(struct driver *d, const struct news *of)
{
    struct step *s = &d->a->task.step;
    struct news n = *of;
    n.job = d->a->job;
    n.kind = NEWS_DONE;
    n.screen = s->part;
    n.first_w = s->part.w;
    n.first_h = s->part.h;
    assert_true(is_thinking(d));
    worker_cancel(d->a->worker, d->a->job);
    d->verdict[0] = d->rule[0] = d->hash[0] = 0;
    step_think_news(d->a, &n);
    assert_true(d->verdict[0]); /* or the answer was no action */
}

int driver_ask(struct driver *d, enum agent_asker asker, const char *method, json_t *params)
{
    d->reply_code = -1;
    agent_request(d->a, method, params, NULL, asker, on_reply, d);
    json_decref(params);
    assert_int_not_equal(d->reply_code, -1);
    return d->reply_code;
}

int driver_reply(struct driver *d, enum agent_asker asker, const char *method)
{
    return driver_ask(d, asker, method,
                      json_pack("{s:I, s:i, s:s}", "task", (json_int_t)d->a->task.id, "step",
                                d->a->task.step.n, "hash", d->hash));
}

static int effects_wanted;
static bool has_effect(struct driver *d)
{
    return d->n_effects >= effects_wanted;
}

bool driver_effect_is(struct driver *d, const char *kind)
{
    effects_wanted = d->n_effects + 1;
    if (!driver_until(d, has_effect, 20)) {
        print_error("no effect came\n");
        return false;
    }
    if (strcmp(d->effect, kind) == 0)
        return true;
    print_error("the effect is %s (%s), not %s\n", d->effect, d->evidence, kind);
    return false;
}
