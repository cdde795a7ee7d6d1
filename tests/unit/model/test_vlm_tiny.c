/* The engine against transformers 4.57 in f32 on a checkpoint of random weights that has what the
 * shipped one lacks: a video, two pictures in a prompt, windows at edges, a head of its own,
 * text_config, the newer tensor names, mixed types, another epsilon and theta, embedding rows beyond
 * the tokenizer. tools/goldens/tiny.py made tests/golden/tiny. */
#include "base/file.h"
#include "base/mem.h"
#include "model/vlm.h"

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

/* The formula of tiny.py. */
static struct patches picture(int t, int h, int w, int n_temporal, int salt)
{
    struct patches p = {t, h, w, n_temporal, 4, 2, n_temporal > 1 ? 1.5f : 0, NULL, (uint64_t)salt};
    size_t n = (size_t)(t * h * w) * (size_t)patches_n_cols(&p);

    p.rows = mem_aligned(n * sizeof(float));
    for (size_t i = 0; i < n; i++)
        p.rows[i] = (float)((double)((i * 7919 + (size_t)salt * 104729) % 1009) / 504.0 - 1.0);
    return p;
}

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

struct fixture {
    struct vlm *m;
    struct patches a, b, video;
    struct vlm_part system, parts[6];
    struct vlm_message messages[2];
    struct vlm_request r;
};

static void fixture_init(struct fixture *f, const char *backend)
{
    struct vlm_options o = {.n_threads = 2, .backend = backend, .precision = "f32"};
    struct err err = {0};

    memset(f, 0, sizeof(*f));
    if (vlm_open(dir, &o, &f->m, &err) < 0)
        fail_msg("%s", err.text);
    f->a = picture(1, 10, 22, 1, 1);
    f->b = picture(1, 4, 6, 1, 2);
    f->video = picture(3, 4, 6, 2, 3);
    f->system = (struct vlm_part){VLM_TEXT, "Be brief.", NULL};
    f->parts[0] = (struct vlm_part){VLM_IMAGE, NULL, &f->a};
    f->parts[1] = (struct vlm_part){VLM_TEXT, "one, ", NULL};
    f->parts[2] = (struct vlm_part){VLM_IMAGE, NULL, &f->b};
    f->parts[3] = (struct vlm_part){VLM_TEXT, "two, ", NULL};
    f->parts[4] = (struct vlm_part){VLM_VIDEO, NULL, &f->video};
    f->parts[5] = (struct vlm_part){VLM_TEXT, "what moves?", NULL};
    f->messages[0] = (struct vlm_message){"system", &f->system, 1};
    f->messages[1] = (struct vlm_message){"user", f->parts, 6};
    f->r = (struct vlm_request){.messages = f->messages, .n_messages = 2, .max_tokens = 40};
}

static void fixture_done(struct fixture *f)
{
    vlm_close(f->m);
    patches_done(&f->a);
    patches_done(&f->b);
    patches_done(&f->video);
}

static void the_prompt_is_the_same(void **state)
{
    struct fixture f;
    struct err err = {0};
    AUTO_FREE int32_t *ids = NULL;
    AUTO_FREE int32_t *pos = NULL;
    int n;

    fixture_init(&f, NULL);
    if (vlm_prompt(f.m, &f.r, &ids, &pos, &n, &err) < 0)
        fail_msg("%s", err.text);
    const json_t *want_ids = json_object_get(expected, "ids");
    const json_t *want_pos = json_object_get(expected, "pos");
    assert_int_equal(json_array_size(want_ids), n);
    for (int i = 0; i < n; i++) {
        assert_int_equal(json_integer_value(json_array_get(want_ids, (size_t)i)), ids[i]);
    }
    for (int i = 0; i < 3 * n; i++)
        assert_int_equal(json_integer_value(json_array_get(want_pos, (size_t)i)), pos[i]);
    fixture_done(&f);
}

static void the_numbers_are_the_same(void **state)
{
    static const char *const backends[] = {"generic", NULL};

    for (size_t i = 0; i < N_ELEMENTS(backends); i++) {
        struct fixture f;
        struct err err = {0};
        AUTO_FREE float *a = NULL;
        AUTO_FREE float *b = NULL;
        AUTO_FREE float *video = NULL;
        AUTO_FREE float *logits = NULL;
        fixture_init(&f, backends[i]);
        if (vlm_encode_image(f.m, &f.a, &a, &err) < 0 || vlm_encode_image(f.m, &f.b, &b, &err) < 0 ||
            vlm_encode_image(f.m, &f.video, &video, &err) < 0 ||
            vlm_logits(f.m, &f.r, &logits, &err) < 0)
            fail_msg("%s", err.text);
        float both[61 * 48];
        memcpy(both, a, sizeof(float) * 55 * 48);
        memcpy(both + 55 * 48, b, sizeof(float) * 6 * 48);
        compare("features", both, N_ELEMENTS(both));
        compare("video", video, 18 * 48);
        compare("logits", logits, 272);
        fixture_done(&f);
    }
}

static void the_reply_is_the_same(void **state)
{
    const json_t *want = json_object_get(expected, "reply");
    int32_t ids[64];
    int n = (int)json_array_size(want);
    struct fixture f;
    struct vlm_reply reply;
    struct err err = {0};

    assert_in_range(n, 1, 64);
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(want, (size_t)i));
    fixture_init(&f, NULL);
    if (vlm_generate(f.m, &f.r, &reply, &err) < 0)
        fail_msg("%s", err.text);
    AUTO_FREE char *text = vlm_detokenize(f.m, ids, n, true);
    assert_string_equal(reply.text, text);
    assert_int_equal(reply.n_generated, n);
    vlm_reply_done(&reply);
    fixture_done(&f);
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
