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

static int run(const char *rows, const struct eval_options *o, char **ret_out, struct err *err)
{
    AUTO_FREE char *path = file_join(dir, "rows.json");
    struct err none = {0};
    size_t n;
    assert_int_equal(file_write(path, rows, strlen(rows), 0644, &none), 0);
    FILE *out = open_memstream(ret_out, &n);
    int rc = eval_run(DESKHAND_TEST_MODEL, path, o, out, err);
    fclose(out);
    return rc;
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
    assert_non_null(strstr(out, "\"n\":3,\"right\":2"));
    assert_non_null(strstr(out, "\"text\":{\"n\":2,\"right\":2}"));
    assert_non_null(strstr(out, "\"icon\":{\"n\":1,\"right\":0}"));
    assert_non_null(strstr(out, "\"on gtk\":{\"n\":1,\"right\":1}"));
    free(out);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_picture_is_always_hit_and_a_corner_outside_never),
        cmocka_unit_test(a_bad_row_is_named),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
