/* The X server dies in each phase of a step: the task ends with one sentence and the code
 * "display", what was begun is in the history, and the agent works on when the display is back. */
#include "tests/apps/driver.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct driver d;

#define TYPE "{\"action\": \"input\", \"text\": \"0123456789012345678901234567890123456789\"}"
#define CLICK "{\"action\": \"click\", \"start_point\": [120, 100]}"

static const char rules[] = "default: allow\n"
                            "rules:\n"
                            "  - name: ask\n"
                            "    match: {action: pointer}\n"
                            "    verdict: confirm\n";

static bool is_over(struct driver *unused)
{
    return !task_state_is_live(d.a->task.state);
}

static bool is_blind(struct driver *unused)
{
    return !d.a->eye;
}

static bool sees(struct driver *unused)
{
    return d.a->eye && d.a->hand;
}

static bool is_typing(struct driver *unused)
{
    return hand_is_busy(d.a->hand) && hand_first_event_us(d.a->hand);
}

static bool is_settling(struct driver *unused)
{
    return d.a->task.phase == PHASE_SETTLE && d.a->task.state == TASK_RUNNING;
}

static void start(void)
{
    assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "start", json_pack("{s:s}", "goal", "test")),
                     0);
}

static void in_see(void)
{
    start();
}

static void in_think(void)
{
    driver_think(&d);
}

static void in_judge(void)
{
    driver_think(&d);
    xvfb_kill(&d.x); /* between the picture and the answer, which then comes */
    struct news n = {.job = d.a->job, .kind = NEWS_DONE, .text = (char *)(uintptr_t)TYPE,
                     .image_w = d.a->task.step.before.w, .image_h = d.a->task.step.before.h};
    step_think_news(d.a, &n);
}

static void in_approval(void)
{
    driver_think(&d);
    driver_answer(&d, CLICK);
    assert_string_equal(d.state, "approval");
}

static void in_recheck(void)
{
    in_approval();
    xvfb_kill(&d.x); /* the yes comes to a dead screen */
    assert_int_equal(driver_reply(&d, AGENT_PROGRAM, "approve"), 0);
}

static void in_browser_approval(void)
{
    in_approval();
    xvfb_kill(&d.x);
    assert_int_equal(driver_reply(&d, AGENT_BROWSER, "approve"), 1003);
}

static void in_act(void)
{
    driver_think(&d);
    driver_answer(&d, TYPE);
    assert_true(driver_until(&d, is_typing, 10));
}

static void in_settle(void)
{
    driver_think(&d);
    driver_answer(&d, "{\"action\": \"press\", \"keys\": [\"a\"]}");
    assert_true(driver_until(&d, is_settling, 10));
}

static void in_pause(void)
{
    driver_think(&d);
    assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "pause", json_object()), 0);
}

static void the_display_dies_in_every_phase(void **state)
{
    static const struct {
        const char *name;
        void (*reach)(void);
        bool keeps; /* a step in the history */
    } rows[] = {
        {"see", in_see, false},           {"think", in_think, false},
        {"judge", in_judge, true},        {"approval", in_approval, true},
        {"recheck", in_recheck, true},    {"browser approval", in_browser_approval, true},
        {"act", in_act, true},            {"settle", in_settle, true},
        {"pause", in_pause, false},
    };
    char number[16];
    snprintf(number, sizeof number, "%s", d.x.display);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        rows[i].reach();
        xvfb_kill(&d.x);
        if (!driver_until(&d, is_over, 10))
            fail_msg("%s: the task goes on without a display", rows[i].name);
        assert_true(driver_until(&d, is_blind, 10));
        if (strcmp(d.code, "display") != 0)
            fail_msg("%s: ended as %s: %s", rows[i].name, d.code, d.reason);
        assert_string_equal(d.state, "failed");
        json_t *t = store_task(d.a->store, d.a->task.id);
        assert_string_equal(json_string_value(json_object_get(t, "code")), "display");
        assert_int_equal(json_array_size(json_object_get(t, "steps")), rows[i].keeps);
        json_decref(t);

        /* what needs the screen says why there is none, and nothing else is harmed */
        assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "screenshot", json_object()), 1003);
        assert_non_null(strstr(d.reply_text, "not available"));
        assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "ground",
                                    json_pack("{s:s}", "target", "OK")), 1003);
        assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "start", json_pack("{s:s}", "goal", "g")),
                         1003);
        static const char *const idle[] = {"pause", "resume", "stop"};
        for (size_t k = 0; k < N_ELEMENTS(idle); k++)
            assert_int_equal(driver_ask(&d, AGENT_PROGRAM, idle[k], json_object()), 1002);
        assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "status", json_object()), 0);

        char path[64];
        snprintf(path, sizeof path, "/tmp/.X%s-lock", number + 1);
        unlink(path);
        snprintf(path, sizeof path, "/tmp/.X11-unix/X%s", number + 1);
        unlink(path);
        const char *const server[] = {"Xvfb", number, "-screen", "0", "448x336x24", "-nolisten",
                                      "tcp", "-noreset", NULL};
        d.x.pid = driver_run(&d, server);
        d.n_pids--; /* it is xvfb_kill()'s */
        if (!driver_until(&d, sees, 20))
            fail_msg("after %s the agent does not find the display again", rows[i].name);
        assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "screenshot", json_object()), 0);
    }
}

static int setup(void **state)
{
    driver_desk(&d, 448, 336);
    driver_agent(&d, rules, 0, 0);
    return 0;
}

static int teardown(void **state)
{
    driver_end(&d);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_display_dies_in_every_phase)};
    if (!driver_has_programs(NULL))
        return 77;
    return cmocka_run_group_tests(tests, setup, teardown);
}
