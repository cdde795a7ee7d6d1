/* A step of the history as ms-swift's row: the same prompt as the daemon sent, points as
 * objects. */
#include "bench/swift.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *task(const char *state, const char *text)
{
    json_t *t = json_pack(
        "{s:s, s:s, s:[{s:i, s:s, s:{s:s, s:[i, i], s:s}, s:[i, i], s:s, s:{s:i, s:i}},"
        " {s:i, s:s, s:{s:s, s:[i, i]}, s:[i, i], s:s, s:{s:i, s:i}},"
        " {s:i, s:s, s:{s:s, s:s}, s:n, s:s}]}",
        "goal", "Type Ada in Name and click OK", "state", state, "steps",
        "step", 1, "effect", "no_effect", "action", "action", "input", "start_point", 30, 40,
        "text", text, "point", 130, 240, "why", "field \"Name\"", "screen", "x", 100, "y", 200,
        "step", 2, "effect", "confirmed", "action", "action", "click", "start_point", 50, 60,
        "point", 150, 260, "why", "button \"OK\"", "screen", "x", 100, "y", 200,
        "step", 3, "effect", "unverifiable", "action", "action", "finished", "status", "success",
        "point", "why", "");
    assert_non_null(t);
    return t;
}

static void a_row_has_the_prompt_and_the_point_in_the_picture(void **state)
{
    json_t *t = task("finished", "Ada");
    struct err err = {0};
    json_t *row = swift_row(t, 1, "images/7-2.png", &err);
    if (!row)
        fail_msg("%s", err.text);
    json_t *turns = json_object_get(row, "messages");
    const char *asked = json_string_value(json_object_get(json_array_get(turns, 0), "content"));
    const char *said = json_string_value(json_object_get(json_array_get(turns, 1), "content"));
    assert_true(strncmp(asked, "<image>You are a GUI agent.", 27) == 0);
    assert_non_null(
        strstr(asked, "## Goal\nType Ada in Name and click OK\n\n## Previous Actions\n"
                      "Step 0: No effect. {\"action_name\": \"input\", \"text\": \"Ada\"}.\n"));
    assert_string_equal(said, "<think>\nbutton \"OK\"\n</think>\n\n"
                              "{\"action\": \"click\", \"start_point\": <bbox>}");
    json_t *want = json_pack("{s:[], s:[[i, i]], s:s}", "ref", "bbox", 50, 60, "bbox_type", "real");
    assert_true(json_equal(json_object_get(row, "objects"), want));
    json_decref(want);
    json_decref(row);
    json_decref(t);
}

static void only_what_did_something_is_good(void **state)
{
    json_t *t = task("finished", "Ada"), *f = task("failed", "Ada");
    assert_false(swift_is_good(t, 0));
    assert_true(swift_is_good(t, 1));
    assert_true(swift_is_good(t, 2));
    assert_false(swift_is_good(f, 2));
    json_decref(t);
    json_decref(f);
}

static void a_text_with_a_placeholder_is_refused(void **state)
{
    json_t *t = task("finished", "a <bbox> b");
    struct err err = {0};
    assert_null(swift_row(t, 0, "a.png", &err));
    assert_non_null(strstr(err.text, "step 1"));
    json_decref(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_has_the_prompt_and_the_point_in_the_picture),
        cmocka_unit_test(only_what_did_something_is_good),
        cmocka_unit_test(a_text_with_a_placeholder_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
