/* deskhand bench --together: a row for 1, 2 and 4 answers, as JSON too; what it cannot do is
 * said. */
#include "base/mem.h"
#include "bench/together.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void rows_double(void **state)
{
    struct bench_options o = {.n_threads = 2, .n_runs = 1, .max_tokens = 6, .json = true};
    AUTO_FREE char *text = NULL;
    struct err err = {0};
    size_t n;
    int n_rows = 0;
    FILE *f = open_memstream(&text, &n);
    if (together_run(DESKHAND_TEST_MODEL, &o, 5, f, &err) < 0)
        fail_msg("%s", err.text);
    fclose(f);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), n_rows++) {
        json_t *j = json_loads(line, 0, NULL);
        double alone = json_number_value(json_object_get(j, "alone_tokens_s"));
        double together = json_number_value(json_object_get(j, "together_tokens_s"));
        assert_int_equal(json_integer_value(json_object_get(j, "answers")), 1 << n_rows);
        assert_true(alone > 0 && together > 0);
        json_decref(j);
    }
    assert_int_equal(n_rows, 3);
}

static void texts_differ_from_the_first_word_on(void **state)
{
    struct str a = {0}, b = {0};
    struct vlm *m;
    struct err err = {0};
    int n;
    if (vlm_open(DESKHAND_TEST_MODEL, &(struct vlm_options){.n_threads = 1}, &m, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(bench_words(m, 64, 3, &a, &n, &err), 0);
    assert_true(n >= 64 && n <= 64 + 200);
    assert_int_equal(bench_words(m, 64, 4, &b, &n, &err), 0);
    assert_true(str_cstr(&a)[0] != str_cstr(&b)[0]);
    str_done(&a);
    str_done(&b);
    vlm_close(m);
}

static void limits_are_told(void **state)
{
    struct bench_options o = {.n_runs = 1};
    struct together rows[TOGETHER_MAX];
    struct vlm_info info;
    struct err err = {0};
    assert_int_equal(together_measure(DESKHAND_TEST_MODEL, &o, 9, rows, &info, &err), -EINVAL);
    assert_non_null(strstr(err.text, "expected 1 to 8"));
    o.n_prompt = 100000;
    assert_int_equal(together_measure(DESKHAND_TEST_MODEL, &o, 2, rows, &info, &err), -EINVAL);
    assert_non_null(strstr(err.text, "context"));
    o.n_prompt = 0;
    o.n_runs = 1000;
    assert_int_equal(together_measure(DESKHAND_TEST_MODEL, &o, 2, rows, &info, &err), -EINVAL);
    assert_true(together_measure("/nowhere", &(struct bench_options){0}, 2, rows, &info, &err) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_double),
        cmocka_unit_test(texts_differ_from_the_first_word_on),
        cmocka_unit_test(limits_are_told),
    };
    return cmocka_run_group_tests_name("together", tests, NULL, NULL);
}
