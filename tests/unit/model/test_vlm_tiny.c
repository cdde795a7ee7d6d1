/* The engine against transformers 4.57 in f32 on a checkpoint of random weights that has what the
 * shipped one lacks: a video, two pictures in a prompt, windows at edges, a head of its own,
 * text_config, the newer tensor names, mixed types, another epsilon and theta, embedding rows
 * beyond the tokenizer. tools/goldens/tiny.py made tests/golden/tiny. */
#include "base/file.h"
#include "base/mem.h"
#include "model/vlm.h"
#include "tests/unit/model/turn.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TOLERANCE 1e-4 /* of the largest value; the promise is 1e-3 */

static const char *dir;
static json_t *expected;

static void compare(const char *key, const float *got, size_t n)
{
    const json_t *want = json_object_get(expected, key);
    double top = 0, worst = 0;

    assert_int_equal(json_array_size(want), n);
    for (size_t i = 0; i < n; i++) {
        double w = json_number_value(json_array_get(want, i));
        assert_true(isfinite(got[i]));
        top = fmax(top, fabs(w));
        worst = fmax(worst, fabs((double)got[i] - w));
    }
    if (!(worst <= TOLERANCE * top))
        fail_msg("%s differ by %g of %g", key, worst, top);
}

static struct vlm *model_on(const char *backend)
{
    return turn_model(
        dir, &(struct vlm_options){.n_threads = 2, .backend = backend, .precision = "f32"});
}

static void the_prompt_is_the_same(void **state)
{
    struct vlm *m = model_on(NULL);
    struct turn_mixed t;
    struct err err = {0};
    AUTO_FREE int32_t *ids = NULL;
    AUTO_FREE int32_t *pos = NULL;
    int n;

    turn_mixed_init(&t);
    if (vlm_prompt(m, &t.r, &ids, &pos, &n, &err) < 0)
        fail_msg("%s", err.text);
    const json_t *want_ids = json_object_get(expected, "ids");
    const json_t *want_pos = json_object_get(expected, "pos");
    assert_int_equal(json_array_size(want_ids), n);
    for (int i = 0; i < n; i++) {
        assert_int_equal(json_integer_value(json_array_get(want_ids, (size_t)i)), ids[i]);
    }
    for (int i = 0; i < 3 * n; i++)
        assert_int_equal(json_integer_value(json_array_get(want_pos, (size_t)i)), pos[i]);
    turn_mixed_done(&t);
    vlm_close(m);
}

static void the_numbers_are_the_same(void **state)
{
    static const char *const backends[] = {"generic", NULL};

    for (size_t i = 0; i < N_ELEMENTS(backends); i++) {
        struct vlm *m = model_on(backends[i]);
        struct turn_mixed t;
        struct err err = {0};
        AUTO_FREE float *a = NULL;
        AUTO_FREE float *b = NULL;
        AUTO_FREE float *video = NULL;
        AUTO_FREE float *logits = NULL;
        turn_mixed_init(&t);
        if (vlm_encode_image(m, &t.a, &a, &err) < 0 || vlm_encode_image(m, &t.b, &b, &err) < 0 ||
            vlm_encode_image(m, &t.video, &video, &err) < 0 ||
            vlm_logits(m, &t.r, &logits, &err) < 0)
            fail_msg("%s", err.text);
        float both[61 * 48];
        memcpy(both, a, sizeof(float) * 55 * 48);
        memcpy(both + 55 * 48, b, sizeof(float) * 6 * 48);
        compare("features", both, N_ELEMENTS(both));
        compare("video", video, 18 * 48);
        compare("logits", logits, 272);
        turn_mixed_done(&t);
        vlm_close(m);
    }
}

static void the_reply_is_the_same(void **state)
{
    const json_t *want = json_object_get(expected, "reply");
    int32_t ids[64];
    int n = (int)json_array_size(want);
    struct vlm *m = model_on(NULL);
    struct turn_mixed t;

    assert_in_range(n, 1, 64);
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(want, (size_t)i));
    turn_mixed_init(&t);
    t.r.max_tokens = 40;
    struct vlm_reply reply = turn_reply(m, &t.r);
    AUTO_FREE char *text = vlm_detokenize(m, ids, n, true);
    assert_string_equal(reply.text, text);
    assert_int_equal(reply.n_generated, n);
    vlm_reply_done(&reply);
    turn_mixed_done(&t);
    vlm_close(m);
}

/* The same checkpoint with one number of its configuration changed. */
static void a_shape_that_does_not_fit_is_named(void **state)
{
    static const struct {
        const char *from, *to, *tensor, *found, *wanted;
    } rows[] = {
        {"\"intermediate_size\": 88", "\"intermediate_size\": 90", "mlp.gate_proj.weight",
         "[88, 48]", "[90, 48]"},
        {"\"intermediate_size\": 72", "\"intermediate_size\": 70", "visual.blocks.0.mlp",
         "[72, 40]", "[70, 40]"},
        {"\"vocab_size\": 272", "\"vocab_size\": 300", "embed_tokens", "[272, 48]", "[300, 48]"},
        {"\"depth\": 3", "\"depth\": 4", "visual.blocks.3.norm1.weight", "no tensor", ""},
        {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "k_proj.weight", "[16, 48]",
         "[24, 48]"},
    };
    static const char *const files[] = {"generation_config.json", "preprocessor_config.json",
                                        "tokenizer.json", "model.safetensors"};
    char copy[] = "/tmp/vlm_tiny_XXXXXX";
    AUTO_FREE char *config = file_join(dir, "config.json");
    AUTO_FREE char *text = NULL;
    size_t n;

    assert_non_null(mkdtemp(copy));
    assert_int_equal(file_read(config, 1 << 20, &text, &n, NULL), 0);
    AUTO_FREE char *changed_path = file_join(copy, "config.json");
    for (size_t i = 0; i < N_ELEMENTS(files); i++) {
        AUTO_FREE char *target = realpath(dir, NULL);
        AUTO_FREE char *from = file_join(target, files[i]);
        AUTO_FREE char *to = file_join(copy, files[i]);
        assert_int_equal(symlink(from, to), 0);
    }
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        char *at = strstr(text, rows[i].from);
        struct vlm *m = NULL;
        struct err err = {0};
        assert_non_null(at);
        memcpy(at, rows[i].to, strlen(rows[i].to)); /* of equal length */
        assert_int_equal(file_write(changed_path, text, n, 0600, NULL), 0);
        memcpy(at, rows[i].from, strlen(rows[i].from));
        assert_true(vlm_open(copy, NULL, &m, &err) < 0);
        if (!strstr(err.text, rows[i].tensor) || !strstr(err.text, rows[i].found) ||
            !strstr(err.text, rows[i].wanted))
            fail_msg("not what was expected: %s", err.text);
    }
    for (size_t i = 0; i < N_ELEMENTS(files); i++) {
        AUTO_FREE char *to = file_join(copy, files[i]);
        unlink(to);
    }
    unlink(changed_path);
    rmdir(copy);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prompt_is_the_same),
        cmocka_unit_test(the_numbers_are_the_same),
        cmocka_unit_test(the_reply_is_the_same),
        cmocka_unit_test(a_shape_that_does_not_fit_is_named),
    };

    if (argc != 2)
        return 2;
    dir = argv[1];
    AUTO_FREE char *path = file_join(dir, "expected.json");
    expected = json_load_file(path, 0, NULL);
    if (!expected)
        return 2;
    int failed = cmocka_run_group_tests_name("vlm_tiny", tests, NULL, NULL);
    json_decref(expected);
    return failed;
}
