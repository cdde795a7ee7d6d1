/* Pictures, videos and text in many orders against transformers 4.57: positions to the last number,
 * logits in f32. tools/goldens/inputs.py made tests/golden/inputs.json. */
#include "base/mem.h"
#include "model/vlm.h"
#include "tests/unit/model/turn.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOLERANCE 1e-4
#define STRIDE 7
#define MAX_PARTS 8

static const char *dir;
static json_t *golden;
static struct vlm *m;

static int setup(void **state)
{
    m = turn_model(dir, &(struct vlm_options){.n_threads = 2, .precision = "f32"});
    return 0;
}

static int teardown(void **state)
{
    vlm_close(m);
    return 0;
}

static int at(const json_t *j, size_t i)
{
    return (int)json_integer_value(json_array_get(j, i));
}

static void check(size_t number, const json_t *row)
{
    const json_t *list = json_object_get(row, "parts"), *pos = json_object_get(row, "pos");
    const json_t *logits = json_object_get(row, "logits");
    struct patches pictures[MAX_PARTS] = {{0}};
    struct vlm_part parts[MAX_PARTS], system = {VLM_TEXT, "S", NULL};
    size_t n_parts = json_array_size(list);
    struct err err = {0};

    assert_in_range(n_parts, 1, MAX_PARTS);
    for (size_t i = 0; i < n_parts; i++) {
        const json_t *p = json_array_get(list, i), *g;
        parts[i] = (struct vlm_part){VLM_TEXT, json_string_value(json_object_get(p, "text")),
                                     &pictures[i]};
        if ((g = json_object_get(p, "image"))) {
            parts[i].kind = VLM_IMAGE;
            pictures[i] = turn_formula(1, at(g, 0), at(g, 1), 1, (int)i, 0);
        } else if ((g = json_object_get(p, "video"))) {
            parts[i].kind = VLM_VIDEO;
            pictures[i] =
                turn_formula(at(g, 0), at(g, 1), at(g, 2), 2, (int)i,
                             (float)json_number_value(json_object_get(p, "seconds")));
        }
    }
    struct vlm_message messages[] = {{"system", &system, 1}, {"user", parts, (int)n_parts}};
    struct vlm_request r = {.messages = messages, .n_messages = 2};
    AUTO_FREE int32_t *ids = NULL, *got_pos = NULL;
    AUTO_FREE float *got = NULL;
    int n;
    if (vlm_prompt(m, &r, &ids, &got_pos, &n, &err) < 0 || vlm_logits(m, &r, &got, &err) < 0)
        fail_msg("case %zu: %s", number, err.text);
    assert_int_equal(json_array_size(pos), 3 * n);
    for (int i = 0; i < 3 * n; i++)
        if (got_pos[i] != at(pos, (size_t)i))
            fail_msg("case %zu: index %d of axis %d is %d, expected %d", number, i % n, i / n,
                     got_pos[i], at(pos, (size_t)i));
    double largest = json_number_value(json_object_get(row, "largest")), worst = 0;
    for (size_t i = 0; i < json_array_size(logits); i++)
        worst = fmax(worst,
                     fabs((double)got[i * STRIDE] - json_number_value(json_array_get(logits, i))));
    if (!(worst <= TOLERANCE * largest))
        fail_msg("case %zu: logits differ by %g of %g", number, worst, largest);
    for (size_t i = 0; i < n_parts; i++)
        patches_done(&pictures[i]);
}

static void prompts_are_those_of_transformers(void **state)
{
    for (size_t i = 0; i < json_array_size(golden); i++)
        check(i, json_array_get(golden, i));
    assert_true(json_array_size(golden) > 20);
}

static void refuses(struct patches *p, enum vlm_part_kind kind, const char *word)
{
    struct vlm_part part = {kind, NULL, p};
    struct vlm_message message = {"user", &part, 1};
    struct vlm_request r = {.messages = &message, .n_messages = 1};
    AUTO_FREE int32_t *ids = NULL, *pos = NULL;
    struct err err = {0};
    int n;

    assert_true(vlm_prompt(m, &r, &ids, &pos, &n, &err) < 0);
    if (!strstr(err.text, word))
        fail_msg("%s, expected %s", err.text, word);
}

static void impossible_videos_are_refused(void **state)
{
    struct patches p = turn_formula(3, 4, 4, 2, 1, 1);

    refuses(&p, VLM_IMAGE, "more than one make a video");
    p.second_per_grid = NAN;
    refuses(&p, VLM_VIDEO, "range of the model");
    p.second_per_grid = -1;
    refuses(&p, VLM_VIDEO, "range of the model");
    p.second_per_grid = 1e30f;
    refuses(&p, VLM_VIDEO, "range of the model");
    p.second_per_grid = 1;
    p.n_temporal = 1;
    refuses(&p, VLM_VIDEO, "slices in time");
    p.n_temporal = 3;
    refuses(&p, VLM_VIDEO, "slices in time");
    refuses(NULL, VLM_VIDEO, "no picture");
    patches_done(&p);
}

/* A prompt that does not fit says so by its code, and with both numbers. */
static void a_prompt_too_long_is_told_apart(void **state)
{
    char text[4000];
    struct vlm_part part = {VLM_TEXT, text, NULL};
    struct vlm_message message = {"user", &part, 1};
    struct vlm_request r = {.messages = &message, .n_messages = 1};
    struct vlm_reply y;
    struct err err = {0};

    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = 0;
    assert_int_equal(vlm_generate(m, &r, &y, &err), -E2BIG); /* beyond what the model has */
    assert_non_null(strstr(err.text, "2048"));
    text[400] = 0;
    struct vlm *small = turn_model(dir, &(struct vlm_options){.n_threads = 1, .n_ctx = 300});
    assert_int_equal(vlm_generate(small, &r, &y, &err), -E2BIG); /* beyond what was asked for */
    assert_non_null(strstr(err.text, "300"));
    vlm_close(small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_are_those_of_transformers),
        cmocka_unit_test(impossible_videos_are_refused),
        cmocka_unit_test(a_prompt_too_long_is_told_apart),
    };

    if (argc != 3)
        return 2;
    dir = argv[1];
    golden = json_load_file(argv[2], 0, NULL);
    if (!golden)
        return 2;
    int failed = cmocka_run_group_tests_name("inputs", tests, setup, teardown);
    json_decref(golden);
    return failed;
}
