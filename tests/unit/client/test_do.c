/* The built `deskhand` as a script sees it: a process, its standard output and its exit code,
 * against a daemon that plays one task. argv[1] is the program. */
#include "base/file.h"
#include "base/mem.h"
#include "fake_daemon.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *program;
static char runtime[] = "/tmp/deskhand-do-XXXXXX";

#define STATE(state, code, reason)                                                                 \
    "{\"jsonrpc\":\"2.0\",\"method\":\"state\",\"params\":{\"task\":7,\"state\":\"" state          \
    "\",\"code\":\"" code "\",\"reason\":\"" reason "\",\"goal\":\"g\",\"step\":1}}"

struct script {
    const char *notes[4]; /* after the reply to `start` */
    const char *wanted;   /* part of the next request, NULL: none is awaited */
    const char *last;     /* said after that request */
    const char *start;    /* part of the `start` request */
    pid_t interrupt;      /* gets Ctrl+C once the notes are out */
    bool asked;
};

static void play(struct fake_daemon *d)
{
    struct script *s = d->user;
    char buf[4096];
    size_t n;
    fake_daemon_read(d, buf, sizeof(buf), &n);
    if (s->start && !strstr(buf, s->start)) {
        fake_daemon_text(d, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,"
                            "\"message\":\"no such start\"}}");
        return;
    }
    /* an older task must not end this one */
    fake_daemon_text(d, "{\"jsonrpc\":\"2.0\",\"method\":\"state\",\"params\":{\"task\":6,"
                        "\"state\":\"finished\",\"reason\":\"\"}}");
    fake_daemon_text(d, strstr(buf, "\"goal\":\"busy\"")
        ? "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1001,\"message\":\"a task runs\"}}"
        : "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"task\":7}}");
    for (int i = 0; i < 4 && s->notes[i]; i++)
        fake_daemon_text(d, s->notes[i]);
    if (s->interrupt) {
        usleep(200000);
        kill(s->interrupt, SIGINT);
    }
    if (s->wanted) {
        fake_daemon_read(d, buf, sizeof(buf), &n);
        s->asked = strstr(buf, s->wanted) != NULL;
        fake_daemon_text(d, s->last);
    }
    fake_daemon_read(d, buf, sizeof(buf), &n); /* until the client leaves */
}

/* Runs `deskhand do GOAL [option]` and returns its exit code; its output goes to `ret_out`. */
static int run_do(struct script *s, const char *goal, const char *option, char *ret_out, size_t cap)
{
    struct fake_daemon d = {.play = play, .user = s};
    int out[2];
    char json[256];
    size_t n = 0;
    ssize_t k;
    AUTO_FREE char *path = file_runtime_path("daemon.json");
    AUTO_FREE char *dir = file_runtime_path(NULL);
    fake_daemon_start(&d);
    snprintf(json, sizeof(json), "{\"port\": %d, \"token\": \"%064d\", \"pid\": 1}", d.port, 0);
    assert_int_equal(file_mkdirs(dir, 0700, NULL), 0);
    assert_int_equal(file_write(path, json, strlen(json), 0600, NULL), 0);
    assert_int_equal(pipe(out), 0);
    int gate[2];
    assert_int_equal(pipe(gate), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char go;
        while (read(gate[0], &go, 1) < 0)
            ;
        dup2(out[1], 1);
        freopen("/dev/null", "r", stdin);
        close(out[0]);
        close(out[1]);
        execl(program, program, "do", goal, "--no-start", option, (char *)NULL);
        _exit(127);
    }
    if (s->interrupt)
        s->interrupt = pid;
    assert_int_equal(write(gate[1], "g", 1), 1); /* only now may the script name the process */
    close(gate[0]);
    close(gate[1]);
    close(out[1]);
    while ((k = read(out[0], ret_out + n, cap - 1 - n)) > 0)
        n += (size_t)k;
    ret_out[n] = 0;
    close(out[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    fake_daemon_join(&d);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_ends(void **state)
{
    static const struct {
        const char *note;
        int code;
    } rows[] = {
        {STATE("failed", "unparsed", "the budget of display refused"), 1},
        {STATE("failed", "model", "the model failed: no memory"), 3},
        {STATE("needs_user", "needs_user", "which one?"), 5},
        {STATE("stopped", "stopped", "dashboard"), 6},
        {STATE("failed", "budget", "the budget of 3 steps is used up"), 7},
    };
    char out[4096];
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct script s = {.notes = {STATE("running", "", ""), rows[i].note}};
        assert_int_equal(run_do(&s, "g", NULL, out, sizeof(out)), rows[i].code);
    }
}

static void test_busy(void **state)
{
    char out[4096];
    struct script s = {0};
    assert_int_equal(run_do(&s, "busy", NULL, out, sizeof(out)), 1);
    assert_string_equal(out, "");
}

static void test_no_terminal_denies(void **state)
{
    char out[4096];
    struct script s = {
        .notes = {"{\"jsonrpc\":\"2.0\",\"method\":\"verdict\",\"params\":{\"task\":7,\"step\":2,"
                  "\"verdict\":\"confirm\",\"reason\":\"r\",\"hash\":\"h1\"}}",
                  STATE("approval", "", "")},
        .wanted = "\"method\":\"deny\",\"params\":{\"task\":7,\"step\":2,\"hash\":\"h1\"}",
        .last = STATE("failed", "refused", "3 actions in a row were refused")};
    assert_int_equal(run_do(&s, "g", NULL, out, sizeof(out)), 4);
    assert_true(s.asked);
}

static void test_interrupt(void **state)
{
    char out[4096];
    struct script s = {.notes = {STATE("running", "", "")},
                       .wanted = "\"method\":\"stop\"",
                       .last = STATE("stopped", "stopped", "Ctrl+C"),
                       .interrupt = 1};
    assert_int_equal(run_do(&s, "g", "--json", out, sizeof(out)), 6);
    assert_true(s.asked);
    assert_non_null(strstr(out, "{\"result\":{\"task\":7,\"state\":\"stopped\",\"code\":"
                                "\"stopped\",\"reason\":\"Ctrl+C\",\"exit\":6}}\n"));
}

static void the_adapter_goes_along(void **state)
{
    char out[4096];
    struct script s = {.notes = {STATE("finished", "finished", "")},
                       .start = "\"adapter\":\"mine\""};
    assert_int_equal(run_do(&s, "g", "--adapter=mine", out, sizeof out), 0);
    assert_int_not_equal(run_do(&s, "g", "--adapter=yours", out, sizeof out), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_adapter_goes_along),
        cmocka_unit_test(test_ends), cmocka_unit_test(test_busy),
        cmocka_unit_test(test_no_terminal_denies), cmocka_unit_test(test_interrupt),
    };
    if (argc < 2 || !mkdtemp(runtime))
        return 1;
    program = argv[1];
    setenv("XDG_RUNTIME_DIR", runtime, 1);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    AUTO_FREE char *path = file_runtime_path("daemon.json");
    AUTO_FREE char *dir = file_runtime_path(NULL);
    unlink(path);
    rmdir(dir);
    rmdir(runtime);
    return rc;
}
