/* Approvals with real programs: a yes is for one action on one picture, once, in time, by somebody
 * else, and whatever was sent is in the history. */
#include "tests/apps/driver.h"

#include "base/file.h"
#include "base/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct driver d;
static char typed[96], fifo[96];

static const char confirm_all[] = "default: allow\n"
                                  "rules:\n"
                                  "  - name: ask\n"
                                  "    match: {action: [pointer, keyboard]}\n"
                                  "    verdict: confirm\n"
                                  "    reason: \"input is asked about\"\n";

/* An xterm whose typed lines go into the file `typed`; it prints what comes through the fifo. */
static pid_t start_shell(const char *title, const char *geometry)
{
    char script[320];
    snprintf(script, sizeof script, "cat <>%s & exec cat >>%s", fifo, typed);
    const char *argv[] = {"xterm", "-title", title, "-geometry", geometry, "-e", "sh", "-c",
                          script, NULL};
    return driver_run(&d, argv);
}

static bool typed_is(struct driver *unused)
{
    AUTO_FREE char *text = NULL;
    size_t n;
    return file_read(typed, 4096, &text, &n, NULL) == 0 && strcmp(text, "approved\n") == 0;
}

static bool nothing_typed(void)
{
    struct stat st;
    return stat(typed, &st) < 0 || st.st_size == 0;
}

static int begin(const char *policy, int64_t approval_us)
{
    driver_desk(&d, 640, 480);
    snprintf(typed, sizeof typed, "%s/typed", d.dir);
    snprintf(fifo, sizeof fifo, "%s/fifo", d.dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    driver_agent(&d, policy, approval_us, 0);
    return 0;
}

static int setup(void **state)
{
    return begin(confirm_all, 0);
}

static int setup_short(void **state)
{
    return begin(confirm_all, 300000);
}

static int teardown(void **state)
{
    driver_end(&d);
    return 0;
}

#define TYPE "{\"action\": \"input\", \"text\": \"approved\\n\"}"
#define CLICK "{\"action\": \"click\", \"start_point\": [120, 100]}"

static void wait_for_approval(const char *answer)
{
    driver_think(&d);
    driver_answer(&d, answer);
    assert_string_equal(d.verdict, "confirm");
    assert_string_equal(d.rule, "ask");
    assert_string_equal(d.state, "approval");
}

/* The step of the first task as the history has it. */
static void history_has(int index, const char *effect, const char *part)
{
    json_t *t = store_task(d.a->store, d.a->task.id);
    json_t *s = json_array_get(json_object_get(t, "steps"), (size_t)index);
    assert_non_null(s);
    assert_string_equal(json_string_value(json_object_get(s, "effect")), effect);
    assert_non_null(strstr(json_string_value(json_object_get(s, "evidence")), part));
    json_decref(t);
}

static void yes_goes_out_once(void **state)
{
    start_shell("first", "50x12+20+20");
    struct eye_window w = driver_window(&d, "first");
    driver_focus(&d, &w);
    wait_for_approval(TYPE);
    driver_rest(&d, 0.5);
    assert_true(nothing_typed());

    char hash[40];
    snprintf(hash, sizeof hash, "%s", d.hash);
    int step = d.a->task.step.n;
    d.hash[0] ^= 1;
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 1004);
    snprintf(d.hash, sizeof d.hash, "%s", hash);
    assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "approve",
                                json_pack("{s:I, s:i, s:s}", "task", (json_int_t)d.a->task.id,
                                          "step", step + 1, "hash", hash)),
                     1002);
    assert_string_equal(d.state, "approval");
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 0);
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 1002);
    assert_true(driver_effect_is(&d, "confirmed"));
    assert_true(typed_is(&d));

    /* the same action once more is another question, and the old yes is none to it */
    driver_think(&d);
    driver_answer(&d, TYPE);
    assert_string_not_equal(d.hash, hash);
    snprintf(d.hash, sizeof d.hash, "%s", hash);
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 1004);
    assert_true(typed_is(&d));
}

struct greeting {
    char methods[64], hash[40], describe[128];
};

static void greet(void *user, const char *method, json_t *params)
{
    struct greeting *g = user;
    const char *hash = json_string_value(json_object_get(params, "hash"));
    const char *describe = json_string_value(json_object_get(params, "describe"));
    size_t n = strlen(g->methods);
    snprintf(g->methods + n, sizeof g->methods - n, "%s ", method);
    if (hash)
        snprintf(g->hash, sizeof g->hash, "%s", hash);
    if (describe)
        snprintf(g->describe, sizeof g->describe, "%s", describe);
}

/* A client that connects while a question stands gets all that is needed to answer it. */
static void who_comes_late_can_answer(void **state)
{
    struct greeting g = {0}, after = {0};
    start_shell("first", "50x12+20+20");
    struct eye_window w = driver_window(&d, "first");
    driver_focus(&d, &w);
    wait_for_approval(TYPE);
    agent_greet(d.a, greet, &g);
    assert_string_equal(g.methods, "state see action verdict ");
    assert_true(g.describe[0]);
    memset(d.hash, 0, sizeof d.hash);
    snprintf(d.hash, sizeof d.hash, "%s", g.hash);
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 0);
    agent_greet(d.a, greet, &after);
    assert_string_equal(after.methods, "state see action ");
    assert_true(driver_effect_is(&d, "confirmed"));
}

/* A broken file changes nothing; a good one counts at once, also for what is approved after it. */
static void a_policy_is_read_again(void **state)
{
    char path[96];
    struct err err = {0};
    snprintf(path, sizeof path, "%s/policies.yaml", d.dir);
    start_shell("first", "50x12+20+20");
    struct eye_window w = driver_window(&d, "first");
    driver_focus(&d, &w);
    wait_for_approval(TYPE);
    assert_int_equal(file_write(path, "default: maybe\n", 15, 0600, &err), 0);
    assert_true(agent_reload(d.a, &err) < 0);
    assert_non_null(strstr(err.text, "stays as it was"));
    assert_non_null(strstr(err.text, "maybe"));
    assert_string_equal(d.state, "approval");
    assert_int_equal(file_write(path, "default: deny\n", 14, 0600, &err), 0);
    assert_int_equal(agent_reload(d.a, &err), 0);
    assert_string_equal(d.state, "approval");
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 0);
    assert_true(driver_effect_is(&d, "refused"));
    assert_true(nothing_typed());
}

static void no_is_refused(void **state)
{
    start_shell("first", "50x12+20+20");
    struct eye_window w = driver_window(&d, "first");
    driver_focus(&d, &w);
    for (int i = 0; i < 3; i++) {
        wait_for_approval(TYPE);
        assert_int_equal(driver_reply(&d, AGENT_BROWSER, "deny"), 0);
        history_has(i, "refused", "the user denied it");
    }
    assert_string_equal(d.state, "failed");
    assert_string_equal(d.code, "refused");
    assert_true(nothing_typed());
}

static void a_window_over_the_target_is_seen(void **state)
{
    start_shell("first", "50x12+20+20");
    driver_window(&d, "first");
    wait_for_approval(CLICK);
    start_shell("over", "50x12+20+20");
    driver_window(&d, "over");
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 0);
    assert_true(driver_effect_is(&d, "refused"));
    assert_non_null(strstr(d.evidence, "the window that would receive the action is another one"));
}

static void other_pixels_at_the_target_are_seen(void **state)
{
    start_shell("first", "50x12+20+20");
    driver_window(&d, "first");
    wait_for_approval(CLICK);
    static const char text[] = "\n\n\n\n really delete everything? [ OK ]";
    int fd = open(fifo, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    driver_rest(&d, 0.5);
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 0);
    assert_true(driver_effect_is(&d, "refused"));
    assert_string_equal(
        d.evidence, "the screen changed at the target between the question and the approval");

    /* a change somewhere else is none of the target's */
    wait_for_approval(CLICK);
    start_shell("far", "20x4+400+400");
    driver_window(&d, "far");
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 0);
    assert_true(driver_effect_is(&d, "confirmed"));
}

static void keys_go_to_the_window_that_was_asked_about(void **state)
{
    pid_t first = start_shell("first", "40x8+20+20");
    struct eye_window w = driver_window(&d, "first");
    driver_focus(&d, &w);
    wait_for_approval(TYPE);
    /* answering in another window on the same screen takes the focus away */
    start_shell("second", "40x8+20+260");
    struct eye_window other = driver_window(&d, "second");
    driver_focus(&d, &other);
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 0);
    assert_true(driver_effect_is(&d, "confirmed"));
    struct eye_window focus;
    assert_int_equal(eye_window_focus(d.a->eye, &focus, NULL), 0);
    assert_int_equal(focus.id, w.id);
    assert_true(typed_is(&d));

    /* and when it is gone the keys go nowhere */
    wait_for_approval(TYPE);
    driver_kill(&d, first);
    driver_focus(&d, &other);
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 0);
    assert_true(driver_effect_is(&d, "refused"));
    assert_true(typed_is(&d));
}

static void silence_is_a_no(void **state)
{
    start_shell("first", "50x12+20+20");
    struct eye_window w = driver_window(&d, "first");
    driver_focus(&d, &w);
    wait_for_approval(TYPE);
    assert_true(driver_effect_is(&d, "refused"));
    assert_string_equal(d.evidence, "nobody answered the question within 0.3 seconds");
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 1002);
    assert_true(nothing_typed());
}

static void a_question_can_be_paused_and_stopped(void **state)
{
    start_shell("first", "50x12+20+20");
    struct eye_window w = driver_window(&d, "first");
    driver_focus(&d, &w);
    wait_for_approval(TYPE);
    int step = d.a->task.step.n;
    assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "pause", json_object()), 0);
    assert_string_equal(d.state, "paused");
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 1002);
    assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "resume", json_object()), 0);
    wait_for_approval(TYPE); /* it looks again and asks again */
    assert_int_equal(d.a->task.step.n, step);
    assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "stop", json_object()), 0);
    assert_string_equal(d.state, "stopped");
    assert_string_equal(d.code, "stopped");
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 1002);
    history_has(0, "refused", "not carried out");
    assert_true(nothing_typed());
}

static bool is_typing(struct driver *unused)
{
    return hand_is_busy(d.a->hand) && hand_first_event_us(d.a->hand);
}

/* An action that was broken off did something: it must be in the history, and the next look counts
 * as a new step. */
static void what_was_begun_is_kept(void **state)
{
    char text[640] = "{\"action\": \"input\", \"text\": \"";
    for (int i = 0; i < 50; i++)
        strcat(text, "abcdefghij");
    strcat(text, "\"}");
    start_shell("first", "50x12+20+20");
    struct eye_window w = driver_window(&d, "first");
    driver_focus(&d, &w);
    wait_for_approval(text);
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 0);
    assert_true(driver_until(&d, is_typing, 10));
    int step = d.a->task.step.n;
    assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "pause", json_object()), 0);
    assert_false(hand_is_busy(d.a->hand));
    history_has(0, "unverifiable", "broken off on the way: paused by the user");
    assert_int_equal(d.a->task.n_steps, 1);
    assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "resume", json_object()), 0);
    wait_for_approval(text);
    assert_int_equal(d.a->task.step.n, step + 1);
    assert_non_null(strstr(str_cstr(&d.a->task.history), "abcdefghij"));
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 0);
    assert_true(driver_until(&d, is_typing, 10));
    assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "stop", json_pack("{s:s}", "reason", "enough")),
                     0);
    history_has(1, "unverifiable", "broken off on the way: enough");
    history_has(0, "unverifiable", "paused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(yes_goes_out_once, setup, teardown),
        cmocka_unit_test_setup_teardown(who_comes_late_can_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_policy_is_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(no_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_window_over_the_target_is_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(other_pixels_at_the_target_are_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_go_to_the_window_that_was_asked_about, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(silence_is_a_no, setup_short, teardown),
        cmocka_unit_test_setup_teardown(a_question_can_be_paused_and_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_begun_is_kept, setup, teardown),
    };
    if (!driver_has_programs(NULL))
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
