/* deskhand do asks on a terminal: the built programs, a pseudo-terminal, a real desktop. The policy
 * asks about everything, so what the model chooses does not matter. argv: deskhand, deskhandd's
 * folder is found beside it by the program itself. */
#include "tests/apps/driver.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct driver d;
static const char *program;
static char policy[96];

static struct terminal {
    pid_t pid;
    int fd;
    struct str out;
    size_t seen;
} t;

/* `deskhand ARGS...` on a terminal, or with /dev/null as its input. */
static void start(bool tty, const char *const *args)
{
    const char *argv[16] = {program};
    for (int i = 0; args[i]; i++)
        argv[i + 1] = args[i];
    str_reset(&t.out);
    t.seen = 0;
    t.pid = forkpty(&t.fd, NULL, NULL, NULL);
    if (t.pid == 0) {
        if (!tty)
            dup2(open("/dev/null", O_RDONLY), 0);
        execv(program, (char *const *)argv);
        _exit(127);
    }
    assert_true(t.pid > 0);
}

static void start_do(bool tty, const char *steps)
{
    const char *const args[] = {"do",          "Press Enter", "--policy", policy,
                                "--max-steps", steps,         NULL};
    start(tty, args);
}

/* Reads on; false at the end of the output. */
static bool listen_for(int ms)
{
    char buf[4096];
    struct pollfd p = {.fd = t.fd, .events = POLLIN};
    if (poll(&p, 1, ms) <= 0)
        return true;
    ssize_t n = read(t.fd, buf, sizeof buf);
    if (n <= 0)
        return false;
    str_add(&t.out, buf, (size_t)n);
    return true;
}

/* Waits for a text after the last one that was waited for; false: the output ended without it. */
static bool comes(const char *text)
{
    int64_t until = clock_now_us() + 60000000;
    do {
        const char *at = strstr(str_cstr(&t.out) + t.seen, text);
        if (at) {
            t.seen = (size_t)(at - t.out.s) + strlen(text);
            return true;
        }
    } while (listen_for(200) && clock_now_us() < until);
    return false;
}

static void expect(const char *text)
{
    if (!comes(text))
        fail_msg("\"%s\" did not come; there is:\n%s", text, str_cstr(&t.out));
}

static void type(const char *text)
{
    assert_int_equal(write(t.fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* The exit code, when the program has ended by itself. */
static int end(void)
{
    int status = 0;
    int64_t until = clock_now_us() + 60000000;
    while (listen_for(200))
        if (clock_now_us() > until)
            fail_msg("it does not end:\n%s", str_cstr(&t.out));
    assert_int_equal(waitpid(t.pid, &status, 0), t.pid);
    close(t.fd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* One subcommand; its output is in t.out. */
static int ask(const char *command, const char *arg)
{
    const char *const args[] = {command, arg, NULL};
    start(false, args);
    return end();
}

/* The effect of a step of the latest task. */
static void effect_of(int index, char ret[32])
{
    AUTO_FREE char *dir = file_state_path(NULL);
    struct store *s;
    assert_int_equal(store_open(dir, &s, NULL), 0);
    json_t *tasks = store_tasks(s, 1);
    json_t *task =
        store_task(s, json_integer_value(json_object_get(json_array_get(tasks, 0), "task")));
    const char *e = json_string_value(
        json_object_get(json_array_get(json_object_get(task, "steps"), (size_t)index), "effect"));
    snprintf(ret, 32, "%s", e ? e : "none");
    json_decref(tasks);
    json_decref(task);
    store_close(s);
}

static int setup(void **state)
{
    static const char rules[] = "default: confirm\n";
    char dir[96];
    driver_desk(&d, 448, 336);
    snprintf(policy, sizeof policy, "%s/policies.yaml", d.dir);
    assert_int_equal(file_write(policy, rules, strlen(rules), 0600, NULL), 0);
    setenv("DISPLAY", d.x.display, 1);
    setenv("DESKHAND_MODEL", DESKHAND_TEST_MODEL, 1);
    static const char *const names[] = {"XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME"};
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        snprintf(dir, sizeof dir, "%s/%zu", d.dir, i);
        assert_int_equal(file_mkdirs(dir, 0700, NULL), 0);
        setenv(names[i], dir, 1);
    }
    const char *const xterm[] = {"xterm", "-title", "Shell", "-e", "cat", NULL};
    driver_run(&d, xterm);
    driver_window(&d, "Shell");
    return 0;
}

static int teardown(void **state)
{
    ask("shutdown", NULL);
    str_done(&t.out);
    driver_end(&d);
    return 0;
}

static void yes_lets_it_out(void **state)
{
    char effect[32];
    start_do(true, "1");
    expect("to confirm: ");
    expect("window: Shell (XTerm)");
    expect("approve? [y/N] ");
    type("y\n");
    int code = end();
    if (code != 7 && code != 0) /* the step was done, or the model calls it finished */
        fail_msg("exit %d:\n%s", code, str_cstr(&t.out));
    effect_of(0, effect);
    assert_string_not_equal(effect, "refused");
    assert_string_not_equal(effect, "none");
}

static void no_keeps_it_in(void **state)
{
    char effect[32];
    int n = 0;
    start_do(true, "5");
    for (; comes("approve? [y/N] "); n++) { /* the model may try again, or call it finished */
        type(n == 1 ? "\n" : "n\n");        /* an empty line is a no too */
        expect("the user denied it");
    }
    assert_int_equal(end(), 4);
    assert_true(n >= 1);
    for (int i = 0; i < n; i++) {
        effect_of(i, effect);
        assert_string_equal(effect, "refused");
    }
}

static void without_a_terminal_it_is_no(void **state)
{
    start_do(false, "5");
    assert_int_equal(end(), 4);
    assert_null(strstr(t.out.s, "approve?"));
    assert_non_null(strstr(t.out.s, "the user denied it"));
}

/* An agent that types into the terminal that will ask it must gain nothing. */
static void a_yes_before_the_question_is_none(void **state)
{
    start_do(true, "5");
    type("y\ny\ny\n"); /* long before the model has spoken */
    int n = 0;
    for (; comes("approve? [y/N] "); n++) {
        usleep(300000);
        type("n\n");
        expect("the user denied it");
    }
    assert_true(n >= 1);
    assert_int_equal(end(), 4);
}

static void interrupt_at_the_question_stops(void **state)
{
    start_do(true, "5");
    expect("approve? [y/N] ");
    type("\x03");
    assert_int_equal(end(), 6);
    ask("status", NULL);
    assert_non_null(strstr(t.out.s, "stopped"));
}

static void pause_and_resume_ask_again(void **state)
{
    start_do(true, "5");
    expect("approve? [y/N] ");
    struct terminal first = t;
    t = (struct terminal){0};
    assert_int_equal(ask("pause", NULL), 0);
    ask("status", NULL);
    assert_non_null(strstr(t.out.s, "paused"));
    assert_int_equal(ask("resume", NULL), 0);
    str_done(&t.out);
    t = first;
    type("y\n"); /* to the question that is gone */
    expect("approve? [y/N] ");
    usleep(300000);
    struct terminal again = t;
    t = (struct terminal){0};
    ask("status", NULL);
    assert_non_null(strstr(t.out.s, "approval")); /* still waits */
    assert_int_equal(ask("stop", NULL), 0);
    str_done(&t.out);
    t = again;
    assert_int_equal(end(), 6);
}

/* Whoever asked is gone: the question stays answerable by others, and can be stopped. */
static void a_dead_asker_holds_nobody_up(void **state)
{
    start_do(true, "5");
    expect("approve? [y/N] ");
    kill(t.pid, SIGKILL);
    assert_int_equal(end(), -SIGKILL);
    ask("status", NULL);
    assert_non_null(strstr(t.out.s, "approval"));
    start_do(false, "5");
    assert_int_equal(end(), 1); /* busy */
    assert_int_equal(ask("stop", NULL), 0);
    start_do(true, "1");
    expect("approve? [y/N] ");
    type("n\n");
    type("\x03");
    end();
}

/* The terminal that started the task is gone: another one answers. */
static void watch_answers(void **state)
{
    static const char *const watch[] = {"watch", "--approve=ask", NULL};
    char effect[32];
    start_do(true, "5");
    expect("approve? [y/N] ");
    kill(t.pid, SIGKILL);
    assert_int_equal(end(), -SIGKILL);
    start(true, watch);
    expect("window: Shell (XTerm)");
    expect("approve? [y/N] ");
    type("n\n");
    expect("the user denied it");
    struct terminal watching = t;
    t = (struct terminal){0};
    ask("stop", NULL); /* unless the model has ended it by now */
    str_done(&t.out);
    t = watching;
    type("\x03");
    assert_int_equal(end(), -SIGINT);
    effect_of(0, effect);
    assert_string_equal(effect, "refused");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yes_lets_it_out),
        cmocka_unit_test(no_keeps_it_in),
        cmocka_unit_test(without_a_terminal_it_is_no),
        cmocka_unit_test(a_yes_before_the_question_is_none),
        cmocka_unit_test(interrupt_at_the_question_stops),
        cmocka_unit_test(pause_and_resume_ask_again),
        cmocka_unit_test(a_dead_asker_holds_nobody_up),
        cmocka_unit_test(watch_answers),
    };
    if (argc < 2)
        return 1;
    if (!driver_has_programs(NULL))
        return 77;
    program = argv[1];
    return cmocka_run_group_tests(tests, setup, teardown);
}
