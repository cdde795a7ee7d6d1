/* Adapters against PEFT 0.17 in f32 on the checkpoint of random weights: ms-swift's expression for
 * the language model, every linear layer with rslora and patterns, full modules; applied beside the
 * weights and merged; and what is refused. tools/goldens/lora.py made tests/golden/lora. */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
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
#include <unistd.h>

#include <cmocka.h>

#define TOLERANCE 1e-4 /* of the largest value */
#define N_VOCAB 272

static const char *tiny_dir, *lora_dir;
static json_t *expected;

static struct turn_mixed f;

static int setup(void **state)
{
    turn_mixed_init(&f);
    f.r.logprobs = true;
    return 0;
}

static int teardown(void **state)
{
    turn_mixed_done(&f);
    return 0;
}

static const char *const names[] = {"text", "old", "wide", "saved"};

/* With the adapters of `names` from `first` on; with `merge` only the first, merged. */
static int open_with(int first, int n, bool merge, const char *precision, struct vlm **ret,
                     struct err *err)
{
    struct vlm_adapter adapters[N_ELEMENTS(names)];
    char *dirs[N_ELEMENTS(names)];
    struct vlm_options o = {
        .n_threads = 2, .precision = precision, .adapters = adapters, .n_adapters = n};

    for (int i = 0; i < n; i++) {
        dirs[i] = file_join(lora_dir, names[first + i]);
        adapters[i] = (struct vlm_adapter){.dir = dirs[i], .merge = merge};
    }
    int r = vlm_open(tiny_dir, &o, ret, err);
    for (int i = 0; i < n; i++)
        free(dirs[i]);
    return r;
}

static struct vlm *open_all(const char *precision)
{
    struct vlm *m;
    struct err err = {0};

    if (open_with(0, (int)N_ELEMENTS(names), false, precision, &m, &err) < 0)
        fail_msg("%s", err.text);
    return m;
}

static double distance(const json_t *want, const float *got)
{
    double top = 0, worst = 0;

    assert_int_equal(json_array_size(want), N_VOCAB);
    for (size_t i = 0; i < N_VOCAB; i++) {
        double w = json_number_value(json_array_get(want, i));
        top = fmax(top, fabs(w));
        worst = fmax(worst, fabs((double)got[i] - w));
    }
    return worst / top;
}

static void check(struct vlm *m, const char *adapter, const char *key)
{
    const json_t *want = json_object_get(expected, key);
    const json_t *reply = json_object_get(want, "reply"),
                 *probs = json_object_get(want, "logprobs");
    struct vlm_request r = f.r;
    struct vlm_reply y;
    struct err err = {0};
    float *logits;

    r.lora = adapter;
    if (vlm_logits(m, &r, &logits, &err) < 0)
        fail_msg("%s", err.text);
    double d = distance(json_object_get(want, "logits"), logits);
    free(logits);
    if (!(d <= TOLERANCE))
        fail_msg("%s: logits differ by %g of the largest", key, d);
    if (vlm_generate(m, &r, &y, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(y.n_generated, json_array_size(reply));
    for (int i = 0; i < y.n_generated; i++) {
        assert_int_equal(y.tokens[i].id, json_integer_value(json_array_get(reply, (size_t)i)));
        double p = json_number_value(json_array_get(probs, (size_t)i));
        if (!(fabs((double)y.tokens[i].logprob - p) <= 1e-3))
            fail_msg("%s: token %d has the log probability %g, expected %g", key, i,
                     (double)y.tokens[i].logprob, p);
    }
    vlm_reply_done(&y);
}

/* One model, changing adapters: nothing of one is left on the next. */
static void adapters_are_those_of_peft(void **state)
{
    struct vlm *m = open_all("f32");

    check(m, NULL, "base");
    for (size_t i = 0; i < N_ELEMENTS(names); i++)
        check(m, names[i], names[i]);
    check(m, "wide", "wide");
    check(m, "text", "text");
    check(m, "", "base");
    vlm_close(m);
}

static void merged_is_applied(void **state)
{
    for (int i = 0; i < (int)N_ELEMENTS(names); i++) {
        struct vlm *m;
        struct err err = {0};
        if (open_with(i, 1, true, "f32", &m, &err) < 0)
            fail_msg("%s", err.text);
        check(m, NULL, names[i]);
        vlm_close(m);
    }
}

static float *logits_of(struct vlm *m, const char *adapter, float scale)
{
    struct vlm_request r = f.r;
    struct err err = {0};
    float *l;

    r.lora = adapter;
    r.lora_scale = scale;
    if (vlm_logits(m, &r, &l, &err) < 0)
        fail_msg("%s", err.text);
    return l;
}

static void a_scale_of_a_request_counts(void **state)
{
    struct vlm *m = open_all("f32");
    AUTO_FREE float *none = logits_of(m, NULL, 0);
    AUTO_FREE float *tiny = logits_of(m, "text", 1e-6f);
    AUTO_FREE float *one = logits_of(m, "text", 1);
    AUTO_FREE float *dflt = logits_of(m, "text", 0);
    AUTO_FREE float *half = logits_of(m, "text", 0.5f);
    double top = 0, d_tiny = 0, d_one = 0, d_half = 0;

    for (int i = 0; i < N_VOCAB; i++) {
        top = fmax(top, fabs((double)none[i]));
        assert_true(fabsf(one[i] - dflt[i]) < 1e-4f * (1 + fabsf(one[i])));
        d_tiny = fmax(d_tiny, fabs((double)tiny[i] - (double)none[i]));
        d_one = fmax(d_one, fabs((double)one[i] - (double)none[i]));
        d_half = fmax(d_half, fabs((double)one[i] - (double)half[i]));
    }
    assert_true(d_tiny < 1e-3 * top);
    assert_true(d_one > 0.05 * top && d_half > 0.02 * top);
    vlm_close(m);
}

static struct vlm_reply generate(struct vlm *m, const char *adapter, float scale)
{
    struct vlm_request r = f.r;

    r.lora = adapter;
    r.lora_scale = scale;
    struct vlm_reply y = turn_reply(m, &r);
    vlm_reply_done(&y);
    return y;
}

/* Keys and values belong to the adapter that made them; features of pictures only to one that
 * changes the tower. */
static void caches_are_kept_apart(void **state)
{
    struct vlm *m = open_all("f32");
    struct vlm_reply y = generate(m, NULL, 0);

    assert_int_equal(y.n_reused, 0);
    y = generate(m, NULL, 0);
    assert_int_equal(y.n_reused, y.n_prompt - 1);
    y = generate(m, "text", 0);
    assert_int_equal(y.n_reused, 0);
    assert_int_equal(y.n_visual, 0); /* the language model alone */
    y = generate(m, "text", 0);
    assert_int_equal(y.n_reused, y.n_prompt - 1);
    y = generate(m, "text", 0.5f);
    assert_int_equal(y.n_reused, 0);
    y = generate(m, "wide", 0.5f);
    assert_int_equal(y.n_reused, 0);
    assert_true(y.n_visual > 0);
    assert_int_equal(y.n_visual_reused, 0);
    vlm_close(m);
}

static void an_unknown_name_is_told_the_known_ones(void **state)
{
    struct vlm *m = open_all(NULL);
    struct vlm_request r = f.r;
    struct vlm_reply y;
    struct err err = {0};

    r.lora = "txet";
    assert_int_equal(vlm_generate(m, &r, &y, &err), -ENOENT);
    assert_non_null(strstr(err.text, "\"txet\""));
    assert_non_null(strstr(err.text, "text, old, wide, saved"));
    vlm_close(m);
}

/* A copy of an adapter with its configuration or its header changed; opening must fail with the
 * word. */
static void refuses(const char *name, const char *from, const char *to, bool in_weights,
                    const char *word)
{
    char dir[] = "/tmp/vlm_lora_XXXXXX";
    static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors"};
    struct vlm *m = NULL;
    struct err err = {0};

    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < 2; i++) {
        AUTO_FREE char *source = file_join(lora_dir, name);
        AUTO_FREE char *in = file_join(source, files[i]);
        AUTO_FREE char *out = file_join(dir, files[i]);
        AUTO_FREE char *text = NULL;
        size_t n;
        assert_int_equal(file_read(in, 1 << 24, &text, &n, NULL), 0);
        AUTO(str_done) struct str changed = {0};
        char *at = i == (int)in_weights && from ? memmem(text, n, from, strlen(from)) : NULL;
        assert_true(at || !from || i != (int)in_weights);
        if (at) {
            str_add(&changed, text, (size_t)(at - text));
            str_puts(&changed, to);
            str_add(&changed, at + strlen(from), n - (size_t)(at - text) - strlen(from));
        } else {
            str_add(&changed, text, n);
        }
        assert_int_equal(file_write(out, changed.s, changed.n, 0600, NULL), 0);
    }
    struct vlm_adapter adapter = {.dir = dir, .name = "x"};
    struct vlm_options o = {.n_threads = 1, .adapters = &adapter, .n_adapters = 1};
    for (int merge = 0; merge < 2; merge++) {
        adapter.merge = merge;
        int r = vlm_open(tiny_dir, &o, &m, &err);
        if (!word) {
            if (r < 0)
                fail_msg("%s", err.text);
            vlm_close(m);
        } else if (r == 0 || !strstr(err.text, word)) {
            fail_msg("\"%s\" for \"%s\": %s, expected %s", to, from, r ? err.text : "taken", word);
        }
    }
    for (int i = 0; i < 2; i++) {
        AUTO_FREE char *out = file_join(dir, files[i]);
        unlink(out);
    }
    rmdir(dir);
}

static void what_is_not_done_is_refused_by_name(void **state)
{
    refuses("text", NULL, NULL, false, NULL); /* the copy itself is fine */
    refuses("text", "\"LORA\"", "\"LOHA\"", false, "LOHA");
    refuses("text", "\"LORA\"", "7", false, "peft_type");
    refuses("text", "\"use_dora\": false", "\"use_dora\": true", false, "DoRA");
    refuses("text", "\"lora_bias\": false", "\"lora_bias\": true", false, "bias");
    refuses("text", "\"bias\": \"none\"", "\"bias\": \"all\"", false, "\"all\"");
    refuses("text", "\"fan_in_fan_out\": false", "\"fan_in_fan_out\": true", false, "transposed");
    refuses("text", "\"init_lora_weights\": true", "\"init_lora_weights\": \"pissa\"", false,
            "pissa");
    refuses("text", "\"revision\": null", "\"use_newlora\": true", false, "use_newlora");
    refuses("text", "\"revision\": null", "\"use_newlora\": false", false, NULL);
    refuses("text", "\"revision\": null", "\"lorap_emb_lr\": 1e-06", false, NULL);
    refuses("text", "\"trainable_token_indices\": null", "\"trainable_token_indices\": [1]", false,
            "single trained tokens");
    refuses("text", "\"r\": 4", "\"r\": 5", false, "rank 4");
    refuses("text", "\"r\": 4", "\"r\": 0", false, "r is 0");
    refuses("text", "\"r\": 4", "\"r\": \"4\"", false, "r is 0");
    refuses("text", "\"lora_alpha\": 8", "\"lora_alpha\": -8", false, "lora_alpha");
    refuses("text", "q_proj|", "", false, "target_modules does not name it");
    refuses("text", "q_proj|", "q_proj((", false, "cannot be read");
    refuses("text", "{", "[", false, "JSON");
    refuses("wide", "\"o_proj\",", "", false, "target_modules does not name it");
    /* names of the same length, so that the header stays one */
    refuses("text", "layers.2.self_attn.k_proj.lora_A", "layers.7.self_attn.k_proj.lora_A", true,
            "no lora_");
    refuses("text", "self_attn.k_proj.lora_A.weight", "self_attn.k_proj.lora_C.weight", true,
            "another kind of LoRA");
    refuses("text", "base_model.model.model", "base_mode1.model.model", true, "does not begin");
    refuses("saved", "model.visual.merger.ln_q.weight", "model.visual.merger.ln_k.weight", true,
            "no such layer");
    refuses("saved", "\"shape\":[272,48]", "\"shape\":[48,272]", true, "[48, 272]");
}

static void only_one_can_be_merged(void **state)
{
    struct vlm *m;
    struct err err = {0};

    assert_int_equal(open_with(0, 2, true, NULL, &m, &err), -EINVAL);
    assert_non_null(strstr(err.text, "only one"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adapters_are_those_of_peft),
        cmocka_unit_test(merged_is_applied),
        cmocka_unit_test(a_scale_of_a_request_counts),
        cmocka_unit_test(caches_are_kept_apart),
        cmocka_unit_test(an_unknown_name_is_told_the_known_ones),
        cmocka_unit_test(what_is_not_done_is_refused_by_name),
        cmocka_unit_test(only_one_can_be_merged),
    };

    if (argc != 3)
        return 2;
    tiny_dir = argv[1];
    lora_dir = argv[2];
    AUTO_FREE char *path = file_join(lora_dir, "expected.json");
    expected = json_load_file(path, 0, NULL);
    if (!expected)
        return 2;
    int failed = cmocka_run_group_tests_name("lora", tests, setup, teardown);
    json_decref(expected);
    return failed;
}
