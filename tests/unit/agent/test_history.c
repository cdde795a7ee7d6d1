/* A task whose history outgrows the model's context forgets its beginning, says so, and goes on. */
#include "agent/brain.h"
#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char notice[512];
static int n_notices;

static void on_event(void *user, const char *method, json_t *params)
{
    if (strcmp(method, "notice") != 0)
        return;
    n_notices++;
    snprintf(notice, sizeof notice, "%s", json_string_value(json_object_get(params, "text")));
}

static struct agent new_agent(void)
{
    struct agent a = {.o = {.on_event = on_event}};
    a.task.state = TASK_RUNNING;
    a.task.id = 3;
    n_notices = 0;
    return a;
}

/* A finished step that typed `text`. */
static void finish(struct agent *a, const char *text)
{
    struct step *s = &a->task.step;
    action_done(&s->action);
    s->action = (struct action){.kind = ACTION_INPUT, .text = mem_strdup(text)};
    s->effect.kind = EFFECT_CONFIRMED;
    task_note(a);
}

static void the_oldest_quarter_goes_first(void **state)
{
    struct agent a = new_agent();
    /* what a person types may look like a step */
    static const char *const typed[] = {"zero", "one.Step 4: no", "two", "three", "four"};
    for (size_t i = 0; i < N_ELEMENTS(typed); i++)
        finish(&a, typed[i]);
    assert_int_equal(task_forget(&a.task), 2);
    assert_memory_equal(a.task.history.s, "Step 2: {", 9);
    assert_null(strstr(a.task.history.s, "zero"));
    assert_null(strstr(a.task.history.s, "one"));
    assert_non_null(strstr(a.task.history.s, "two"));
    assert_int_equal(task_forget(&a.task), 1);
    assert_memory_equal(a.task.history.s, "Step 3: {", 9);
    finish(&a, "five");
    assert_non_null(strstr(a.task.history.s, "Step 5: {"));
    assert_int_equal(task_forget(&a.task), 1);
    assert_int_equal(task_forget(&a.task), 1);
    assert_int_equal(task_forget(&a.task), 1);
    assert_string_equal(str_cstr(&a.task.history), "");
    assert_int_equal(task_forget(&a.task), 0);
    task_done(&a.task);
}

static void a_prompt_that_does_not_fit_is_shortened(void **state)
{
    struct agent a = new_agent();
    for (int i = 0; i < 6; i++)
        finish(&a, "text");
    a.task.step.n = 7;
    a.job = 1;
    char why[] = "too long";
    struct news n = {.job = 1, .kind = NEWS_FAILED, .code = -E2BIG, .text = why};
    step_think_news(&a, &n);
    assert_int_equal(a.task.state, TASK_RUNNING);
    assert_int_equal(a.task.phase, PHASE_SEE); /* and looks again under the same number */
    assert_int_equal(a.task.step.n, 7);
    assert_int_equal(a.job, 0);
    assert_memory_equal(a.task.history.s, "Step 2: {", 9);
    assert_int_equal(n_notices, 1);
    assert_non_null(strstr(notice, "oldest 2 of 6"));
    task_done(&a.task);
}

static void a_history_never_outgrows_its_limit(void **state)
{
    struct agent a = new_agent();
    char text[4001];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    for (int i = 0; i < 40; i++) {
        finish(&a, text);
        assert_true(a.task.history.n <= 64 << 10);
        char last[24];
        snprintf(last, sizeof last, "Step %d: {", i);
        assert_non_null(strstr(a.task.history.s, last)); /* the newest is always there */
    }
    assert_true(n_notices > 0);
    assert_non_null(strstr(notice, "no longer told"));
    task_done(&a.task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_quarter_goes_first),
        cmocka_unit_test(a_prompt_that_does_not_fit_is_shortened),
        cmocka_unit_test(a_history_never_outgrows_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
