/* deskhand eval: rows of ScreenSpot's layout are read strictly and scored as the benchmark does. */
#include "base/file.h"
#include "base/mem.h"
#include "bench/eval.h"
#include "vision/png.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/deskhand-eval-XXXXXX";

static int make_folder(void **state)
{
    struct frame f;
    struct err err = {0};
    assert_non_null(mkdtemp(dir));
    AUTO_FREE char *images = file_join(dir, "images");
    AUTO_FREE char *png = file_join(images, "a.png");
    assert_int_equal(file_mkdirs(images, 0755, &err), 0);
    assert_int_equal(frame_alloc(&f, 84, 56), 0);
    memset(f.rgb, 180, 84 * 56 * 3);
    assert_int_equal(png_write_file(&f, png, &err), 0);
    frame_done(&f);
    return 0;
}

static int remove_folder(void **state)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static int run_as(const char *name, const char *rows, const struct eval_options *o, char **ret_out,
                  struct err *err)
{
    AUTO_FREE char *path = file_join(dir, name);
    struct err none = {0};
    size_t n;
    assert_int_equal(file_write(path, rows, strlen(rows), 0644, &none), 0);
    FILE *out = open_memstream(ret_out, &n);
    int rc = eval_run(DESKHAND_TEST_MODEL, path, o, out, err);
    fclose(out);
    return rc;
}

static int run(const char *rows, const struct eval_options *o, char **ret_out, struct err *err)
{
    return run_as("rows.json", rows, o, ret_out, err);
}

static void the_whole_picture_is_always_hit_and_a_corner_outside_never(void **state)
{
    /* whatever the model points at lies in the first box and not in the second; the third row says
     * the same as the first in ScreenSpot-Pro's corners */
    static const char rows[] =
        "[{\"img_filename\": \"a.png\", \"instruction\": \"x\", \"bbox\": [0, 0, 84, 56],"
        "  \"data_type\": \"text\", \"data_source\": \"gtk\"},"
        " {\"img_filename\": \"a.png\", \"instruction\": \"x\", \"bbox\": [500, 500, 9, 9],"
        "  \"data_type\": \"icon\"},"
        " {\"img_filename\": \"a.png\", \"instruction\": \"x\", \"bbox\": [0, 0, 84, 56],"
        "  \"img_size\": [84, 56], \"ui_type\": \"text\"}]";
    struct eval_options o = {.json = true};
    struct err err = {0};
    char *out = NULL;
    if (run(rows, &o, &out, &err) < 0)
        fail_msg("%s", err.text);
    assert_non_null(strstr(out, "\"grounding prompt\":{\"n\":3,\"right\":2,"));
    assert_non_null(strstr(out, "\"text\":{\"n\":2,\"right\":2,"));
    assert_non_null(strstr(out, "\"icon\":{\"n\":1,\"right\":0,"));
    assert_non_null(strstr(out, "\"on gtk\":{\"n\":1,\"right\":1,"));
    free(out);
}

/* A row about the picture, whose box is the pixel at x, y. */
static bool is_hit(int x, int y, struct eval_options o, char **ret_out)
{
    struct err err = {0};
    char rows[160];
    snprintf(rows, sizeof rows,
             "[{\"img_filename\": \"a.png\", \"instruction\": \"x\", \"bbox\": [%d, %d, 0, 0]}]", x,
             y);
    if (run(rows, &o, ret_out, &err) < 0)
        fail_msg("%s", err.text);
    return strncmp(*ret_out, "hit ", 4) == 0;
}

static void a_line_tells_the_point_that_is_judged(void **state)
{
    AUTO_FREE char *first = NULL, *there = NULL, *beside = NULL;
    struct eval_options o = {.verbose = true};
    int x = -1, y = -1;
    is_hit(500, 500, o, &first);
    assert_int_equal(sscanf(first, "miss 0 \"x\" at %d,%d: ", &x, &y), 2);
    assert_true(is_hit(x, y, o, &there));
    assert_false(is_hit(x + 1, y, o, &beside));
}

static void how_sure_the_looks_are_is_counted(void **state)
{
    static const char rows[] = "[{\"img_filename\": \"a.png\", \"instruction\": \"click OK\","
                               "  \"bbox\": [0, 0, 84, 56]}]";
    for (int n = 1; n <= 9; n += 2) {
        struct eval_options o = {.json = true, .n_looks = n};
        struct err err = {0};
        char *out = NULL;
        int rc = run(rows, &o, &out, &err);
        if (n > 7) {
            assert_int_equal(rc, -EINVAL);
            assert_non_null(strstr(err.text, "--looks is 9, expected 1 to 7"));
        } else {
            assert_int_equal(rc, 0);
            assert_int_equal(n > 1, strstr(out, "\"sure: ") != NULL);
        }
        free(out);
    }
}

static void a_bad_row_is_named(void **state)
{
    static const struct {
        const char *rows, *sentence;
    } bad[] = {
        {"{}", "not a JSON list"},
        {"[{\"img_filename\": \"a.png\", \"bbox\": [0,0,1,1]}]", "row 0 lacks"},
        {"[{\"img_filename\": \"a.png\", \"instruction\": \"x\", \"bbox\": [0,0,1]}]",
         "row 0: bbox must be four numbers"},
        {"[{\"img_filename\": \"../a.png\", \"instruction\": \"x\", \"bbox\": null}]", "outside"},
        {"[{\"img_filename\": \"b.png\", \"instruction\": \"x\", \"bbox\": null}]", "b.png"},
    };
    struct eval_options o = {0};
    for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
        struct err err = {0};
        char *out = NULL;
        assert_true(run(bad[i].rows, &o, &out, &err) < 0);
        assert_non_null(strstr(err.text, bad[i].sentence));
        free(out);
    }
}

static void a_target_that_is_absent_is_right_when_nothing_is_pointed_at(void **state)
{
    /* the same instruction twice: pointed at or not, exactly one of the rows is right */
    static const char rows[] =
        "[{\"img_filename\": \"a.png\", \"instruction\": \"click OK\", \"bbox\": null},"
        " {\"img_filename\": \"a.png\", \"instruction\": \"click OK\", \"bbox\": [0, 0, 84, 56]}]";
    struct eval_options o = {.json = true, .agent = true};
    struct err err = {0};
    char *out = NULL;
    if (run(rows, &o, &out, &err) < 0)
        fail_msg("%s", err.text);
    assert_non_null(strstr(out, "\"agent's prompt\":{\"n\":2,\"right\":1,"));
    free(out);
}

static void any_of_several_next_steps_is_right_and_their_parts_are_counted(void **state)
{
    /* whatever the model does, it is one of these kinds; nothing has this text */
    static const char rows[] =
        "{\"img_filename\": \"a.png\", \"goal\": \"Click OK\", \"history\": ["
        "{\"action\": \"click\", \"start_point\": [40, 20]}], \"data_type\": \"later\","
        " \"expect\": [{\"action\": \"click\"}, {\"action\": \"input\"}, {\"action\": \"press\"},"
        " {\"action\": \"drag\"}, {\"action\": \"wait\"},"
        " {\"action\": \"finished\"}, {\"action\": \"call_user\"}, {\"action\": \"scroll\"},"
        " {\"action\": \"open\"}]}\n"
        "{\"img_filename\": \"a.png\", \"goal\": \"Type x in Name\","
        " \"expect\": {\"action\": \"input\","
        " \"text\": \"nobody says this\"}}\n"
        "{\"img_filename\": \"a.png\", \"question\": \"Is it?\","
        " \"answers\": [\"nobody says this\"]}\n";
    struct eval_options o = {.json = true};
    struct err err = {0};
    char *out = NULL;
    if (run_as("rows.jsonl", rows, &o, &out, &err) < 0)
        fail_msg("%s", err.text);
    assert_non_null(strstr(out, "\"next step\":{\"n\":2,\"right\":1,"));
    assert_non_null(strstr(out, "\"later\":{\"n\":1,\"right\":1,"));
    assert_non_null(strstr(out, "\"its text, exact\":{\"n\":1,\"right\":0,"));
    assert_non_null(strstr(out, "\"questions\":{\"n\":1,\"right\":0,"));
    free(out);
}

static void the_table_has_wilsons_interval(void **state)
{
    /* of one row, right: 20.7 to 100 % (Wilson 1927; as statsmodels' proportion_confint) */
    static const char rows[] = "[{\"img_filename\": \"a.png\", \"instruction\": \"x\","
                               " \"bbox\": [0, 0, 84, 56], \"data_type\": \"text\"}]";
    struct eval_options o = {0};
    struct err err = {0};
    char *out = NULL;
    if (run(rows, &o, &out, &err) < 0)
        fail_msg("%s", err.text);
    assert_non_null(strstr(out, "100.0%    20.7 to 100.0%"));
    free(out);
}

static void a_bad_line_is_named(void **state)
{
    static const struct {
        const char *rows, *sentence;
    } bad[] = {
        {"[]", "not a JSON object"},
        {"{\"img_filename\": \"a.png\", \"goal\": \"x\"}", "row 0 lacks goal or expect"},
        {"{\"img_filename\": \"a.png\", \"goal\": \"x\", \"expect\": {}}", "expect has no action"},
        {"{\"img_filename\": \"a.png\", \"goal\": \"x\", \"expect\": {\"action\": \"wait\"},"
         " \"history\": [5]}", "history has no action"},
        {"{\"img_filename\": \"a.png\", \"goal\": \"x\", \"expect\": {\"action\": \"wait\"},"
         " \"history\": [{\"action\": \"click\", \"start_point\": [900, 5]}]}", "900"},
        {"{\"img_filename\": \"a.png\", \"question\": \"x\"}", "lacks question or answers"},
        {"{\"img_filename\": \"a.png\", \"question\": \"x\", \"answers\": [1]}", "must be texts"},
        {"{\"img_filename\": \"a.png\", \"question\": \"x\", \"answers\": [\"y\"],"
         " \"window\": [1]}",
         "window must be four numbers"},
    };
    struct eval_options o = {0};
    for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
        struct err err = {0};
        char *out = NULL;
        assert_true(run_as("bad.jsonl", bad[i].rows, &o, &out, &err) < 0);
        if (!strstr(err.text, bad[i].sentence))
            fail_msg("%s instead of %s", err.text, bad[i].sentence);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_picture_is_always_hit_and_a_corner_outside_never),
        cmocka_unit_test(a_line_tells_the_point_that_is_judged),
        cmocka_unit_test(how_sure_the_looks_are_is_counted),
        cmocka_unit_test(a_bad_row_is_named),
        cmocka_unit_test(a_target_that_is_absent_is_right_when_nothing_is_pointed_at),
        cmocka_unit_test(any_of_several_next_steps_is_right_and_their_parts_are_counted),
        cmocka_unit_test(the_table_has_wilsons_interval),
        cmocka_unit_test(a_bad_line_is_named),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
