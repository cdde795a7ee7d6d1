/* On a screen larger than the one the shipped model was trained on it is shown the window that is
 * meant, unscaled, and what it says of points in that part arrives at the right pixel. */
#include "tests/apps/driver.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct driver d;
static struct eye_window low, high;

static bool holds(const struct rect *outer, const struct rect *inner)
{
    return inner->x >= outer->x && inner->y >= outer->y &&
           inner->x + inner->w <= outer->x + outer->w && inner->y + inner->h <= outer->y + outer->h;
}

/* Starts a task and returns the part of the screen that the model is shown first. */
static struct rect shown(json_t *params)
{
    json_object_set_new(params, "goal", json_string("test"));
    if (driver_ask(&d, AGENT_PROGRAM, "start", params) != 0)
        fail_msg("%s", d.reply_text);
    driver_think(&d);
    assert_int_equal(d.a->task.step.before.w, 1280); /* an effect may be anywhere */
    return d.a->task.step.part;
}

static void stop(void)
{
    assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "stop", json_object()), 0);
}

static void the_window_with_the_focus_is_shown(void **state)
{
    struct rect part;
    driver_focus(&d, &low);
    part = shown(json_object());
    assert_true(holds(&part, &low.rect));
    assert_true(part.w >= 448 && part.w < 1280 && part.h >= 336 && part.h < 800);
    stop();
    driver_focus(&d, &high);
    part = shown(json_object());
    assert_true(holds(&part, &high.rect));
    assert_false(holds(&part, &low.rect));
    stop();
    part = shown(json_pack("{s:s}", "view", "screen"));
    assert_int_equal(part.w, 1280);
    assert_int_equal(part.h, 800);
    stop();
}

static bool has_focus_low(struct driver *unused)
{
    struct eye_window w;
    struct err err = {0};
    return eye_window_focus(d.a->eye, &w, &err) == 0 && w.id == low.id;
}

static void the_terminal_of_the_sentence_is_not_meant(void **state)
{
    driver_focus(&d, &high);
    struct rect part = shown(json_pack("{s:I}", "asker", (json_int_t)high.id));
    assert_true(holds(&part, &low.rect));
    assert_true(driver_until(&d, has_focus_low, 5)); /* or keys would go to the terminal */
    stop();
}

static void a_window_can_be_named(void **state)
{
    driver_focus(&d, &high);
    struct rect part = shown(json_pack("{s:s}", "window", "low wind"));
    assert_true(holds(&part, &low.rect));
    assert_true(driver_until(&d, has_focus_low, 5));
    stop();
    assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "ask",
                                json_pack("{s:s, s:s}", "question", "?", "window", "none such")),
                     1003);
    assert_string_equal(d.reply_text, "no window has \"none such\" in its class or title");
    assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "start",
                                json_pack("{s:s, s:s}", "goal", "?", "view", "moon")),
                     -32602);
    assert_string_equal(d.reply_text, "view is \"moon\", expected auto, screen or window");
}

static void a_point_in_the_part_is_a_pixel_of_the_screen(void **state)
{
    driver_focus(&d, &low);
    struct rect part = shown(json_object());
    struct screen_pt at = {low.rect.x + 7, low.rect.y + 9};
    char text[96];
    snprintf(text, sizeof text, "{\"action\": \"click\", \"start_point\": [%d, %d]}", at.x - part.x,
             at.y - part.y);
    driver_answer(&d, text);
    assert_int_equal(d.a->task.step.action.start_px.x, at.x);
    assert_int_equal(d.a->task.step.action.start_px.y, at.y);
    stop();
}

/* The words are those of a look at a larger picture, the point is where three of four agree. */
static void the_vote_says_where(void **state)
{
    driver_focus(&d, &low);
    struct rect part = shown(json_object());
    struct screen_pt at = {low.rect.x + 7, low.rect.y + 9};
    struct news n = {.text = (char *)(uintptr_t)"{\"action\": \"click\", \"start_point\": [3, 4]}",
                     .image_w = 2 * part.w,
                     .image_h = 2 * part.h,
                     .tally = {.look = 1, .n_agree = 3, .n_looks = 4, .sure = 51, .at = {at}}};
    driver_news(&d, &n);
    const struct step *s = &d.a->task.step;
    assert_int_equal(s->action.start_px.x, at.x);
    assert_int_equal(s->action.start_px.y, at.y);
    assert_int_equal((int)s->action.start.x, at.x - part.x);
    assert_int_equal((int)s->action.start.y, at.y - part.y);
    json_t *j = step_action_json(d.a);
    assert_int_equal(json_integer_value(json_object_get(j, "looks")), 4);
    assert_int_equal(json_integer_value(json_object_get(j, "agree")), 3);
    assert_int_equal(json_integer_value(json_object_get(j, "sure")), 51);
    assert_non_null(strstr(json_string_value(json_object_get(j, "describe")),
                           "(3 of 4 looks agree, 51 % sure)"));
    json_decref(j);
    assert_string_equal(d.verdict, "allow");
    stop();
}

static void a_policy_sees_how_sure_the_looks_are(void **state)
{
    driver_focus(&d, &low);
    struct rect part = shown(json_object());
    struct news n = {.text = (char *)(uintptr_t)"{\"action\": \"click\", \"start_point\": [3, 4]}",
                     .image_w = part.w,
                     .image_h = part.h,
                     .tally = {.n_agree = 4,
                               .n_looks = 5,
                               .sure = 49,
                               .at = {{part.x + 3, part.y + 4}}}};
    driver_news(&d, &n);
    assert_string_equal(d.verdict, "deny");
    assert_string_equal(d.rule, "unsure");
    stop();
}

static int open_desk(void **state)
{
    driver_desk(&d, 1280, 800);
    driver_agent(&d, "default: allow\nrules:\n- {name: unsure, match: {sure_below: 50}, "
                     "verdict: deny}\n", 0, 0);
    driver_run(&d, (const char *const[]){"xterm", "-T", "Low window", "-geometry", "30x8+40+500",
                                         "-e", "cat", NULL});
    low = driver_window(&d, "Low window");
    driver_run(&d, (const char *const[]){"xterm", "-T", "High window", "-geometry", "30x8+900+20",
                                         "-e", "cat", NULL});
    high = driver_window(&d, "High window");
    return 0;
}

static int close_desk(void **state)
{
    driver_end(&d);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_with_the_focus_is_shown),
        cmocka_unit_test(the_terminal_of_the_sentence_is_not_meant),
        cmocka_unit_test(a_window_can_be_named),
        cmocka_unit_test(a_point_in_the_part_is_a_pixel_of_the_screen),
        cmocka_unit_test(the_vote_says_where),
        cmocka_unit_test(a_policy_sees_how_sure_the_looks_are),
    };
    if (!driver_has_programs("xterm"))
        return 77;
    return cmocka_run_group_tests(tests, open_desk, close_desk);
}
