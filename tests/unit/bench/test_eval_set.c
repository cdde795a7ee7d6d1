/* tests/eval: the committed set is what its README says, and deskhand eval reads all of its files.
 * What the model answers is not tested here: the table in data/nano/SKILL.md tells. */
#include "base/file.h"
#include "base/mem.h"
#include "bench/eval.h"
#include "vision/png.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SET DESKHAND_TEST_SET

/* The picture's size from its first bytes. */
static void size_of(const char *name, int *ret_w, int *ret_h)
{
    AUTO_FREE char *path = file_join(SET "/images", name);
    AUTO_FREE char *data = NULL;
    struct err err = {0};
    size_t n;
    if (file_read(path, 4 << 20, &data, &n, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(n > 24 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0);
    const uint8_t *b = (const uint8_t *)data;
    *ret_w = b[18] << 8 | b[19];
    *ret_h = b[22] << 8 | b[23];
}

static void check_box(const json_t *row, const json_t *bbox)
{
    const char *name = json_string_value(json_object_get(row, "img_filename"));
    double b[4];
    int w, h;
    size_of(name, &w, &h);
    assert_int_equal(json_array_size(bbox), 4);
    for (size_t i = 0; i < 4; i++)
        b[i] = json_number_value(json_array_get(bbox, i));
    if (b[0] < 0 || b[1] < 0 || b[2] < 6 || b[3] < 6 || b[0] + b[2] > w || b[1] + b[3] > h)
        fail_msg("a box of %s lies outside", name);
    assert_true(json_is_string(json_object_get(row, "program")));
    assert_true(json_is_string(json_object_get(row, "version")));
}

static void check_file(const char *name, size_t n_rows, size_t n_screens, size_t n_kinds)
{
    AUTO_FREE char *path = file_join(SET, name);
    json_t *list = json_load_file(path, 0, NULL), *row, *bbox;
    json_t *screens = json_object(), *kinds = json_object();
    size_t i;
    json_array_foreach(list, i, row)
    {
        bbox = json_object_get(row, "bbox");
        assert_non_null(bbox);
        if (!json_is_null(bbox))
            check_box(row, bbox);
        json_object_set(screens, json_string_value(json_object_get(row, "img_filename")), row);
        json_object_set(kinds, json_string_value(json_object_get(row, "data_type")), row);
    }
    assert_true(json_array_size(list) >= n_rows);
    assert_true(json_object_size(screens) >= n_screens);
    assert_int_equal(json_object_size(kinds), n_kinds);
    json_decref(list);
    json_decref(screens);
    json_decref(kinds);
}

static void there_are_enough_targets_inside_their_pictures(void **state)
{
    check_file("targets.json", 300, 60, 6);
    check_file("icons.json", 60, 10, 1);
}

static void eval_reads_all_of_it(void **state)
{
    struct eval_options o = {.json = true, .limit = 1};
    struct err err = {0};
    char *out = NULL;
    size_t n;
    FILE *f = open_memstream(&out, &n);
    if (eval_run(DESKHAND_TEST_MODEL, SET, &o, f, &err) < 0)
        fail_msg("%s", err.text);
    fclose(f);
    json_t *j = json_loads(out, 0, NULL), *sections = json_object_get(j, "sections"), *s;
    const char *name;
    json_int_t n_rows = 0;
    assert_int_equal(json_object_size(sections), 4);
    json_object_foreach(sections, name, s)
        n_rows += json_integer_value(json_object_get(s, "n"));
    assert_int_equal(n_rows, 2 * 2 + 2); /* of each file one, targets with both prompts */
    json_decref(j);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_are_enough_targets_inside_their_pictures),
        cmocka_unit_test(eval_reads_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
