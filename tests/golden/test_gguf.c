/* GGUF files that llama.cpp's own tools wrote, against what others compute with them
 * (tools/goldens/gguf_files.py): every type's values to the last bit, token ids, logits of
 * llama.cpp and of transformers, greedy text, the features of a picture, the score of a text.
 *
 *   test_gguf FOLDER
 *
 * The exact logits are llama.cpp's on the same weights in f32; those on the file as it is are rough
 * because llama.cpp rounds activations to eight bits there. The mmproj holds the language model's
 * epsilon for the vision tower, as converters write it; the features agree only when it is ignored.
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/gguf.h"
#include "model/lm.h"
#include "model/mrope.h"
#include "model/vlm.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define CLOSE 1e-4 /* of the largest logit */
#define ROUGH 0.08 /* measured up to 0.051 between llama.cpp's own two answers */
#define EIGHTH 8   /* of the rough logits only every eighth is kept */

static const char *folder;
static json_t *golden;

static int setup(void **state)
{
    json_error_t e;
    AUTO_FREE char *path = file_join(folder, "expected.json");
    golden = json_load_file(path, 0, &e);
    if (!golden)
        fail_msg("%s: %s", path, e.text);
    return 0;
}

static int teardown(void **state)
{
    json_decref(golden);
    return 0;
}

/* every type */

static void values_of_every_type_are_exact(void **state)
{
    AUTO_FREE char *path = file_join(folder, "types.gguf");
    struct gguf *g;
    struct err err = {0};
    int n_types = 0;

    if (gguf_open(path, &g, &err) < 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < gguf_n_tensors(g); i++) {
        const char *name;
        char other[80];
        const struct tensor *t = gguf_tensor(g, i, &name);
        snprintf(other, sizeof other, "%s.f32", name);
        const struct tensor *want = gguf_find(g, other);
        if (!want || strchr(name, '.'))
            continue;
        assert_int_equal(want->rank, t->rank);
        assert_memory_equal(want->shape, t->shape, sizeof t->shape);
        size_t n = (size_t)(t->shape[0] * t->shape[1]);
        AUTO_FREE float *x = mem_alloc(n * 4);
        tensor_to_f32(t->dtype, t->data, 0, n, x);
        for (size_t k = 0; k < n; k++)
            if (memcmp(&x[k], (const char *)want->data + 4 * k, 4) != 0)
                fail_msg("%s: value %zu is %.9g", name, k, (double)x[k]);
        /* the second row by itself */
        tensor_to_f32(t->dtype, t->data, n / 2, n / 2, x);
        if (memcmp(x, (const char *)want->data + 2 * n, 2 * n) != 0 && t->shape[0] == 2)
            fail_msg("%s: a row in the middle", name);
        n_types++;
    }
    assert_int_equal(n_types, 13);
    gguf_close(g);
}

static void written_types_are_equal_to_the_byte(void **state)
{
    static const struct {
        const char *name;
        enum tensor_dtype dtype;
    } rows[] = {{"plain.f16", TENSOR_F16},   {"plain.bf16", TENSOR_BF16},
                {"plain.q8_0", TENSOR_Q8_0}, {"plain.q4_0", TENSOR_Q4_0},
                {"plain.q4_1", TENSOR_Q4_1}, {"plain.q5_0", TENSOR_Q5_0},
                {"plain.q5_1", TENSOR_Q5_1}};
    AUTO_FREE char *path = file_join(folder, "types.gguf");
    struct gguf *g;
    struct err err = {0};

    if (gguf_open(path, &g, &err) < 0)
        fail_msg("%s", err.text);
    const struct tensor *x = gguf_find(g, "plain.f32");
    size_t n = (size_t)(x->shape[0] * x->shape[1]);
    AUTO_FREE float *plain = mem_alloc(n * 4);
    AUTO_FREE uint8_t *got = mem_alloc(n * 4);
    tensor_to_f32(x->dtype, x->data, 0, n, plain);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        const struct tensor *want = gguf_find(g, rows[i].name);
        assert_non_null(want);
        assert_true(tensor_from_f32(rows[i].dtype, plain, n, got));
        for (size_t k = 0; k < tensor_bytes(rows[i].dtype, n); k++)
            if (got[k] != ((const uint8_t *)want->data)[k])
                fail_msg("%s: byte %zu is 0x%02x, expected 0x%02x", rows[i].name, k, got[k],
                         ((const uint8_t *)want->data)[k]);
    }
    assert_false(tensor_from_f32(TENSOR_Q6_K, plain, n, got));
    gguf_close(g);
}

/* a language model by itself */

struct model {
    struct source *src;
    struct vlm_config c;
    struct bpe *bpe;
    struct backend *b;
    struct lm lm;
    struct lm_cache cache;
};

static void model_open(struct model *m, const char *file)
{
    AUTO_FREE char *path = file_join(folder, file);
    struct err err = {0};

    memset(m, 0, sizeof *m);
    if (source_open(path, NULL, &m->src, &err) < 0 || source_config(m->src, &m->c, &err) < 0 ||
        source_tokenizer(m->src, &m->bpe, &err) < 0 ||
        backend_cpu_open("auto", "f32", 1, &m->b, &err) < 0)
        fail_msg("%s", err.text);
    struct load l = {.src = m->src, .b = m->b, .n_steps = 1};
    if (lm_load(&m->lm, &m->c, 512, &l, &err) < 0)
        fail_msg("%s", err.text);
    lm_cache_init(&m->cache, &m->lm, m->b, 512);
}

static void model_close(struct model *m)
{
    lm_cache_done(&m->cache, m->b);
    lm_done(&m->lm, m->b);
    m->b->close(m->b);
    bpe_close(m->bpe);
    source_close(m->src);
}

/* Runs the rows in m->lm.x. */
static void forward(struct model *m, int n, int past, const int32_t *pos, int ld_pos, float *logits)
{
    struct lm_run run = {&m->cache, n, past, 1};
    if (lm_forward(&m->lm, m->b, &run, 1, pos, ld_pos, NULL, NULL) < 0 ||
        lm_logits(&m->lm, m->b, n - 1, 1, logits, NULL) < 0)
        fail_msg("the model does not run");
}

static void text_forward(struct model *m, const int32_t *ids, int n, int past, float *logits)
{
    int32_t pos[3 * 512];

    assert_true(n <= 512);
    for (int i = 0; i < n; i++) {
        pos[i] = pos[n + i] = pos[2 * n + i] = past + i;
        lm_embed(&m->lm, ids[i], m->lm.x + (size_t)i * (size_t)m->lm.d);
    }
    forward(m, n, past, pos, n, logits);
}

static double distance(json_t *list, const float *got, size_t stride, double largest)
{
    size_t i;
    json_t *v;
    double worst = 0;
    json_array_foreach(list, i, v)
    {
        double d = fabs(json_number_value(v) - (double)got[i * stride]);
        if (!(d <= worst))
            worst = d;
    }
    assert_true(i > 10);
    return worst / largest;
}

static void compare_text(const char *file, const char *key)
{
    struct model m;
    json_t *row, *id;
    size_t i, k;
    double worst = 0, rough = 0;
    int n_greedy = 0;

    model_open(&m, file);
    AUTO_FREE float *logits = mem_alloc(sizeof(float) * (size_t)m.c.n_vocab);
    json_array_foreach(json_object_get(golden, key), i, row)
    {
        const char *prompt = json_string_value(json_object_get(row, "prompt"));
        double largest = json_number_value(json_object_get(row, "largest"));
        AUTO_FREE int32_t *ids = NULL;
        struct err err = {0};
        int n;
        if (bpe_encode(m.bpe, prompt, strlen(prompt), true, &ids, &n, &err) < 0)
            fail_msg("%s", err.text);
        json_array_foreach(json_object_get(row, "ids"), k,
                           id) if ((int)k >= n || ids[k] != json_integer_value(id))
            fail_msg("%s: token %zu of \"%s\" is not llama.cpp's", file, k, prompt);
        assert_int_equal(k, n);
        text_forward(&m, ids, n, 0, logits);
        worst = fmax(worst, distance(json_object_get(row, "logits"), logits, 1, largest));
        rough = fmax(rough, distance(json_object_get(row, "rough"), logits, EIGHTH, largest));
        json_array_foreach(json_object_get(row, "greedy"), k, id)
        {
            int32_t best = 0;
            for (int32_t t = 1; t < bpe_n_tokens(m.bpe); t++)
                if (logits[t] > logits[best])
                    best = t;
            if (best != json_integer_value(id))
                fail_msg("%s: \"%s\" goes on with %d in step %zu, llama.cpp's with %d", file,
                         prompt, best, k, (int)json_integer_value(id));
            text_forward(&m, &best, 1, n + (int)k, logits);
            n_greedy++;
        }
    }
    print_message(
        "%s: %zu prompts, logits off by at most %.2g (f32), %.2g (as it is) of the largest, "
        "%d greedy tokens equal\n",
        file, i, worst, rough, n_greedy);
    assert_int_equal(i, 20);
    assert_true(n_greedy > 500);
    assert_true(worst < CLOSE);
    assert_true(rough < ROUGH);
    model_close(&m);
}

static void text_of_qwen2vl_agrees(void **state)
{
    compare_text("vl.gguf", "vl");
}

static void text_of_qwen2_agrees(void **state)
{
    compare_text("text.gguf", "text");
}

/* pictures */

/* The formula of gguf_files.py. */
static struct patches draw(void)
{
    struct patches p = {.grid_t = 1,
                        .grid_h = 10,
                        .grid_w = 12,
                        .n_temporal = 1,
                        .patch_size = 14,
                        .merge_size = 2,
                        .hash = 1};
    size_t n = (size_t)(p.grid_h * p.grid_w * patches_n_cols(&p));
    p.rows = mem_aligned(n * sizeof(float));
    for (size_t i = 0; i < n; i++)
        p.rows[i] = (float)((double)((i * 7919 + 104729) % 1009) / 504.0 - 1.0);
    return p;
}

static void picture_agrees(void **state)
{
    json_t *want = json_object_get(golden, "picture"), *list = json_object_get(want, "ids");
    AUTO_FREE char *path = file_join(folder, "vl.gguf");
    AUTO_FREE float *f = NULL;
    struct err err = {0};
    struct vlm *v;
    struct model m;
    int n = (int)json_array_size(list), begin = -1;
    struct patches p = draw();

    if (vlm_open(path, &(struct vlm_options){.precision = "f32"}, &v, &err) < 0 ||
        vlm_encode_image(v, &p, &f, &err) < 0)
        fail_msg("%s", err.text);
    double d = distance(json_object_get(want, "features"), f, 1,
                        json_number_value(json_object_get(want, "largest")));
    vlm_close(v);

    model_open(&m, "vl.gguf");
    AUTO_FREE float *logits = mem_alloc(sizeof(float) * (size_t)m.c.n_vocab);
    AUTO_FREE int32_t *pos = mem_alloc(sizeof(int32_t) * 3 * (size_t)n);
    int32_t pad = bpe_find_special(m.bpe, "<|image_pad|>");
    for (int i = 0; i < n; i++) {
        int32_t id = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
        if (id == pad && begin < 0)
            begin = i;
        float *row = m.lm.x + (size_t)i * (size_t)m.lm.d;
        if (id == pad)
            memcpy(row, f + (size_t)(i - begin) * (size_t)m.lm.d, sizeof(float) * (size_t)m.lm.d);
        else
            lm_embed(&m.lm, id, row);
    }
    struct mrope_image grid = {begin, 1, 5, 6, 0, false};
    mrope_positions(n, &grid, 1, 2, pos);
    forward(&m, n, 0, pos, n, logits);
    double e = distance(json_object_get(want, "logits"), logits, 1, 10);
    print_message("picture: features off by at most %.2g of the largest, logits by %.2g\n", d, e);
    assert_true(d < 2e-5);
    assert_true(e < CLOSE);
    model_close(&m);
    patches_done(&p);
}

static void score_of_an_answer_agrees(void **state)
{
    json_t *want = json_object_get(golden, "score"), *ids = json_object_get(want, "ids");
    AUTO_FREE char *path = file_join(folder, "vl.gguf");
    struct patches p = draw();
    struct vlm_part parts[] = {{VLM_IMAGE, NULL, &p}, {VLM_TEXT, "What is it?", NULL}};
    struct vlm_message message = {"user", parts, 2};
    struct vlm_request r = {.messages = &message, .n_messages = 1};
    struct err err = {0};
    struct vlm *m;

    if (vlm_open(path, &(struct vlm_options){.precision = "f32"}, &m, &err) < 0)
        fail_msg("%s", err.text);
    for (int again = 0; again < 2; again++) { /* the second time from the cache */
        AUTO_FREE struct vlm_token *t = NULL;
        double worst = 0;
        int n;
        if (vlm_score(m, &r, json_string_value(json_object_get(want, "answer")), &t, &n, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(n, json_array_size(ids));
        for (int i = 0; i < n; i++) {
            json_t *p1 = json_array_get(json_object_get(want, "logprobs"), (size_t)i);
            assert_int_equal(t[i].id, json_integer_value(json_array_get(ids, (size_t)i)));
            worst = fmax(worst, fabs(json_number_value(p1) - (double)t[i].logprob));
        }
        print_message("score: %d tokens, logprobs off by at most %.2g\n", n, worst);
        assert_true(worst < 1e-4);
    }
    vlm_close(m);
    patches_done(&p);
}

/* A wrong place in a window, or a key left from the window before, moves this by more than it
 * may. */
static void score_of_a_text_agrees(void **state)
{
    double want = json_number_value(json_object_get(golden, "text_loss")), loss = 0;
    AUTO_FREE char *path = file_join(folder, "text.gguf");
    AUTO_FREE struct vlm_token *t = NULL;
    AUTO(str_done) struct str text = {0};
    struct vlm_options o = {.precision = "f32", .weights = "as is"};
    struct err err = {0};
    struct vlm *m;
    int n;

    for (int i = 0; i < 120; i++)
        str_printf(&text, "The quick brown fox jumps over %d lazy dogs.\n", i);
    if (vlm_open(path, &o, &m, &err) < 0 ||
        vlm_score_text(m, str_cstr(&text), text.n, 512, 0, &t, &n, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(n, 8 * 255);
    for (int i = 0; i < n; i++)
        loss -= (double)t[i].logprob / n;
    print_message("text: loss %.8g, transformers' %.8g\n", loss, want);
    assert_true(fabs(loss - want) < 1e-5 * want);

    struct vlm_token *again = NULL;
    int n_again;
    assert_int_equal(vlm_score_text(m, str_cstr(&text), text.n, 512, 3, &again, &n_again, &err), 0);
    assert_int_equal(n_again, 3 * 255);
    assert_memory_equal(again, t, sizeof *t * 3 * 255);
    free(again);
    assert_true(vlm_score_text(m, "short", 5, 512, 0, &again, &n_again, &err) < 0);
    assert_non_null(strstr(err.text, "one window of 512"));
    assert_true(vlm_score_text(m, "short", 5, 3, 0, &again, &n_again, &err) < 0);
    vlm_close(m);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_type_are_exact),
        cmocka_unit_test(written_types_are_equal_to_the_byte),
        cmocka_unit_test(text_of_qwen2vl_agrees),
        cmocka_unit_test(text_of_qwen2_agrees),
        cmocka_unit_test(picture_agrees),
        cmocka_unit_test(score_of_an_answer_agrees),
        cmocka_unit_test(score_of_a_text_agrees),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: test_gguf FOLDER\n");
        return 2;
    }
    folder = argv[1];
    return cmocka_run_group_tests(tests, setup, teardown);
}
