/* From Hugging Face's layout to GGUF and back through the other reader: the same network, to the
 * bit where no type was changed.
 *
 *   test_convert NANO TINY ADAPTERS */
#include "base/file.h"
#include "base/mem.h"
#include "model/gguf.h"
#include "model/names.h"
#include "model/quant.h"
#include "model/source.h"
#include "model/tool.h"
#include "model/vlm.h"
#include "tests/unit/model/turn.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *nano, *tiny, *adapters;
static char dir[64];
static const char *weights; /* NULL: as they lie there */
static const char *adapter; /* to merge while loading, or NULL */

static int setup(void **state)
{
    strcpy(dir, "/tmp/deskhand-convert-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

static struct vlm *open_model(const char *path)
{
    struct vlm_adapter a = {.dir = adapter, .merge = true};
    return turn_model(path, &(struct vlm_options){.n_threads = 1,
                                                  .precision = "f32",
                                                  .n_ctx = 1024,
                                                  .weights = weights,
                                                  .adapters = &a,
                                                  .n_adapters = adapter != NULL});
}

/* What a model makes of a drawn picture and a question: prompt ids, features and logits. */
struct seen {
    int32_t *ids;
    float *features, *logits;
    int n_ids, n_features, n_logits;
};

static struct seen look(const char *path)
{
    struct vlm *m = open_model(path);
    struct vlm_info info;
    struct seen s = {0};
    struct err err = {0};
    int32_t *pos;
    const struct image_spec *spec = vlm_image_spec(m);
    struct patches p = {.grid_t = 1,
                        .grid_h = 12,
                        .grid_w = 10,
                        .n_temporal = 1,
                        .patch_size = spec->patch_size,
                        .merge_size = spec->merge_size,
                        .hash = 7};
    size_t n = (size_t)(p.grid_h * p.grid_w * patches_n_cols(&p));
    struct vlm_part parts[] = {{VLM_IMAGE, NULL, &p},
                               {VLM_TEXT, "Where is the \xc3\xb6l button?", NULL}};
    struct vlm_message message = {"user", parts, 2};
    struct vlm_request r = {.messages = &message, .n_messages = 1};

    vlm_info(m, &info);
    p.rows = mem_aligned(n * sizeof(float));
    for (size_t i = 0; i < n; i++)
        p.rows[i] = (float)(i * 7919 % 1009) / 504.0f - 1.0f;
    if (vlm_prompt(m, &r, &s.ids, &pos, &s.n_ids, &err) < 0 ||
        vlm_encode_image(m, &p, &s.features, &err) < 0 || vlm_logits(m, &r, &s.logits, &err) < 0)
        fail_msg("%s", err.text);
    free(pos);
    s.n_features = patches_n_tokens(&p) * info.d_model;
    s.n_logits = info.n_vocab;
    patches_done(&p);
    vlm_close(m);
    return s;
}

static void seen_done(struct seen *s)
{
    free(s->ids);
    free(s->features);
    free(s->logits);
}

static double apart(const float *a, const float *b, int n)
{
    double most = 0, worst = 0;
    for (int i = 0; i < n; i++) {
        most = fmax(most, fabs((double)a[i]));
        double d = fabs((double)a[i] - (double)b[i]);
        worst = d > worst || isnan(d) ? d : worst;
    }
    return worst / most;
}

static void convert(const char *from, const char *type, const char *vision_type, const char *to)
{
    struct err err = {0};
    if (tool_convert(from, NULL, type, vision_type, NULL, to, NULL, &err) < 0)
        fail_msg("%s", err.text);
}

/* One byte pattern of a file replaced, which must be there. */
static void spoil(const char *path, const void *from, const void *to, size_t n)
{
    char *data;
    size_t size;
    struct err err = {0};
    if (file_read(path, 1u << 28, &data, &size, &err) < 0)
        fail_msg("%s", err.text);
    char *at = memmem(data, size, from, n);
    assert_non_null(at);
    memcpy(at, to, n);
    assert_int_equal(file_write(path, data, size, 0600, &err), 0);
    free(data);
}

static void check_finds(const char *path, const char *part, size_t n_unused)
{
    json_t *j;
    struct err err = {0};
    if (tool_check(path, NULL, NULL, &j, &err) < 0)
        fail_msg("%s", err.text);
    json_t *faults = json_object_get(j, "faults");
    const char *first = json_string_value(json_array_get(faults, 0));
    if (!part && first)
        fail_msg("%s", first);
    if (part && (!first || !strstr(first, part)))
        fail_msg("\"%s\" says nothing of \"%s\"", first ? first : "nothing", part);
    assert_int_equal(json_array_size(json_object_get(j, "unused")), n_unused);
    json_decref(j);
}

static void without_a_change_of_type_nothing_changes(void **state)
{
    const char *const from[] = {nano, tiny};
    const char *const types[] = {"bf16", "f32"}; /* nano is bf16; tiny has both, f32 holds both */

    for (int i = 0; i < 2; i++) {
        AUTO_FREE char *to = file_join(dir, "same.gguf");
        convert(from[i], types[i], NULL, to);
        struct seen a = look(from[i]), b = look(to);
        assert_int_equal(a.n_ids, b.n_ids);
        assert_memory_equal(a.ids, b.ids, sizeof(int32_t) * (size_t)a.n_ids);
        assert_int_equal(a.n_features, b.n_features);
        assert_memory_equal(a.features, b.features, sizeof(float) * (size_t)a.n_features);
        assert_int_equal(a.n_logits, b.n_logits);
        assert_true(apart(a.logits, b.logits, a.n_logits) < 1e-6);
        seen_done(&a);
        seen_done(&b);
    }
}

static void types_lose_as_much_as_they_should(void **state)
{
    static const struct {
        const char *type;
        double least, most;
    } rows[] = {{"q8_0", 1e-4, 0.03}, {"q5_0", 1e-3, 0.3}, {"q4_1", 1e-3, 0.5}};
    struct seen a = look(nano);

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        AUTO_FREE char *to = file_join(dir, "small.gguf");
        convert(nano, rows[i].type, NULL, to);
        struct seen b = look(to);
        double d = apart(a.logits, b.logits, a.n_logits);
        print_message("%s: logits off by %.2g of the largest\n", rows[i].type, d);
        assert_true(d > rows[i].least && d < rows[i].most);
        assert_memory_equal(a.features, b.features, sizeof(float) * (size_t)a.n_features);
        seen_done(&b);
    }
    seen_done(&a);
}

struct panels {
    const struct source *plain, *packed;
    int n;
};

static bool compare_panels(void *user, const char *name, const int64_t *shape, int rank)
{
    struct panels *k = user;
    struct source_tensor a, b;

    assert_true(source_find(k->plain, name, &a) && source_find(k->packed, name, &b));
    if (!tensor_is_packed(b.parts[0].dtype))
        return true;
    enum quant_format f = b.parts[0].dtype == TENSOR_PACKED8 ? QUANT_INT8 : QUANT_INT4;
    int n_in = (int)shape[1];
    size_t bytes = quant_panel_bytes(f, n_in);
    AUTO_FREE float *x = mem_alloc(sizeof(float) * (size_t)shape[0] * (size_t)n_in);
    AUTO_FREE char *want = mem_zalloc(bytes);
    source_to_f32(&a, x);
    for (int row = 0; row < shape[0]; row += QUANT_PANEL) {
        quant_panel_pack(f, x + (size_t)row * (size_t)n_in, (int)MIN(QUANT_PANEL, shape[0] - row),
                         n_in, want);
        assert_memory_equal(want, (const char *)b.parts[0].data + (size_t)row / QUANT_PANEL * bytes,
                            bytes);
    }
    k->n++;
    return true;
}

/* How many tensors of the file are packed; each is what packing while loading gives. */
static int count_panels(const char *path)
{
    struct source *a, *b;
    struct vlm_config c;
    assert_int_equal(source_open(nano, NULL, &a, NULL), 0);
    assert_int_equal(source_open(path, NULL, &b, NULL), 0);
    assert_int_equal(source_config(a, &c, NULL), 0);
    struct panels k = {a, b, 0};
    names_walk(&c, compare_panels, &k);
    source_close(a);
    source_close(b);
    return k.n;
}

/* Packed beforehand or while loading: the same panels. */
static void packed_files_answer_as_weights_packed_while_loading(void **state)
{
    static const char *const formats[] = {"int8", "int4"};

    for (size_t i = 0; i < N_ELEMENTS(formats); i++) {
        AUTO_FREE char *to = file_join(dir, "packed.gguf");
        struct err err = {0};
        const char *const vision[] = {NULL, "int8"};
        weights = formats[i];
        struct seen a = look(nano);
        weights = NULL;
        for (int v = 0; v < 2; v++) {
            convert(nano, formats[i], vision[v], to);
            check_finds(to, NULL, 0);
            /* nano: 6 layers of 7 matrices, 9 blocks of 5 and the merger's 2; the head is the
             * embedding */
            assert_int_equal(count_panels(to), v ? 42 + 47 : 42);
            struct seen b = look(to);
            double d = apart(a.logits, b.logits, a.n_logits);
            print_message("%s: logits off by %.2g of the largest\n", formats[i], d);
            assert_memory_equal(a.features, b.features, sizeof(float) * (size_t)a.n_features);
            /* not equal: the embedding went through Q8_0, and activations are rounded to int8 */
            assert_true(d < 0.2);
            seen_done(&b);
        }
        weights = "as is";
        struct seen c = look(to);
        weights = NULL;
        assert_true(apart(a.logits, c.logits, a.n_logits) < 0.2);
        seen_done(&a);
        seen_done(&c);
        assert_int_equal(tool_convert(to, NULL, "q8_0", NULL, NULL, "x.gguf", NULL, &err),
                         -ENOTSUP);
        assert_int_equal(tool_convert(nano, NULL, "int8", "int4", NULL, "x.gguf", NULL, &err),
                         -EINVAL);
    }
}

static void lists_that_lie_about_panels_are_refused(void **state)
{
    static const struct {
        const char *from, *to, *part;
    } rows[] = {
        {"blk.0.ffn_up.weight int4 704 256", "blk.0.ffn_up.weight int8 704 256", "panels of"},
        {"blk.0.ffn_up.weight int4 704 256", "blk.0.ffn_up.weight int4 704 999", "panels of"},
        {"blk.0.ffn_up.weight int4 704 256", "blk.0.ffn_up.weight int4 -04 256", "says"},
        {"blk.0.ffn_up.weight int4 704 256", "blk.0.ffn_up.weight int4 704 25x", "says"},
        {"blk.0.ffn_up.weight int4 704 256", "blk.0.ffn_ux.weight int4 704 256", "panels of"}};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        AUTO_FREE char *to = file_join(dir, "lie.gguf");
        struct err err = {0};
        struct vlm *m;
        convert(nano, "int4", NULL, to);
        spoil(to, rows[i].from, rows[i].to, strlen(rows[i].from));
        assert_true(vlm_open(to, NULL, &m, &err) < 0);
        if (!strstr(err.text, rows[i].part))
            fail_msg("\"%s\" says nothing of \"%s\"", err.text, rows[i].part);
    }
}

/* A model that was small in its file is not blown up in memory, unless the precision is asked for.
 */
static void quantised_files_stay_small_in_memory(void **state)
{
    AUTO_FREE char *to = file_join(dir, "small.gguf");
    const char *const paths[] = {nano, to, to};
    const char *const precision[] = {"f32", NULL, "f32"};
    struct vlm_info info[3];

    convert(nano, "q4_0", NULL, to);
    for (int i = 0; i < 3; i++) {
        struct vlm *m;
        assert_int_equal(vlm_open(paths[i],
                                  &(struct vlm_options){.n_threads = 1, .precision = precision[i]},
                                  &m, NULL),
                         0);
        vlm_info(m, &info[i]);
        vlm_close(m);
        assert_int_equal(info[i].n_params, info[0].n_params);
    }
    assert_true(info[1].weight_bytes < (size_t)info[0].n_params * 5 / 4);
    /* the language model's in f32, four bytes for one; the tower stays bf16 in the file */
    assert_true(info[2].token_bytes > info[1].token_bytes * 3);
    assert_true(info[2].weight_bytes > (size_t)info[0].n_params * 5 / 2);
}

static void a_converted_file_converts_to_itself(void **state)
{
    AUTO_FREE char *one = file_join(dir, "one.gguf");
    AUTO_FREE char *two = file_join(dir, "two.gguf");
    AUTO_FREE char *m1 = file_join(dir, "mmproj-one.gguf");
    AUTO_FREE char *m2 = file_join(dir, "mmproj-two.gguf");
    const char *const files[][2] = {{one, two}, {m1, m2}};

    convert(nano, "q8_0", "f16", one);
    convert(one, "q8_0", "f16", two);
    for (int i = 0; i < 2; i++) {
        struct gguf *a, *b;
        assert_int_equal(gguf_open(files[i][0], &a, NULL), 0);
        assert_int_equal(gguf_open(files[i][1], &b, NULL), 0);
        assert_int_equal(gguf_n_tensors(a), gguf_n_tensors(b));
        for (int t = 0; t < gguf_n_tensors(a); t++) {
            const char *na, *nb;
            const struct tensor *x = gguf_tensor(a, t, &na), *y = gguf_tensor(b, t, &nb);
            size_t n = 1;
            assert_string_equal(na, nb);
            assert_int_equal(x->dtype, y->dtype);
            assert_memory_equal(x->shape, y->shape, sizeof x->shape);
            for (int k = 0; k < x->rank; k++)
                n *= (size_t)x->shape[k];
            assert_memory_equal(x->data, y->data, tensor_bytes(x->dtype, n));
        }
        gguf_close(a);
        gguf_close(b);
    }
}

static void bad_types_and_places_are_refused(void **state)
{
    AUTO_FREE char *to = file_join(dir, "nowhere/x.gguf");
    struct err err = {0};
    assert_int_equal(tool_convert(nano, NULL, "q6_k", NULL, NULL, "x.gguf", NULL, &err), -EINVAL);
    assert_non_null(strstr(err.text, "\"q6_k\""));
    assert_int_equal(tool_convert(nano, NULL, "f16", "q9", NULL, "x.gguf", NULL, &err), -EINVAL);
    assert_non_null(strstr(err.text, "\"q9\""));
    assert_int_equal(tool_convert(nano, NULL, "f16", NULL, NULL, to, NULL, &err), -ENOENT);
    assert_true(access("x.gguf", F_OK) != 0);
}

/* Adapters that change the language model, and the vision tower too: as when they are merged while
 * loading. */
static void merged_adapters_are_in_the_file(void **state)
{
    static const char *const names[] = {"text", "wide", "saved"};

    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        AUTO_FREE char *to = file_join(dir, "merged.gguf");
        AUTO_FREE char *lora = file_join(adapters, names[i]);
        struct err err = {0};
        if (tool_convert(tiny, NULL, "f32", "f32", lora, to, NULL, &err) < 0)
            fail_msg("%s", err.text);
        adapter = lora;
        struct seen a = look(tiny);
        adapter = NULL;
        struct seen b = look(to), plain = look(tiny);
        assert_true(apart(a.logits, b.logits, a.n_logits) < 1e-5);
        assert_true(apart(a.features, b.features, a.n_features) < 1e-5);
        assert_true(apart(a.logits, plain.logits, a.n_logits) > 1e-3);
        seen_done(&a);
        seen_done(&b);
        seen_done(&plain);
        assert_true(tool_convert(nano, NULL, "f32", NULL, lora, to, NULL, &err) < 0);
    }
}

static void info_counts_what_is_there(void **state)
{
    json_t *j;
    struct err err = {0};
    if (tool_info(tiny, NULL, &j, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(json_string_value(json_object_get(j, "kind")), "safetensors");
    json_t *c = json_object_get(j, "config");
    assert_int_equal(json_integer_value(json_object_get(c, "hidden_size")), 48);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(c, "vision"), "depth")), 3);
    assert_int_equal(json_array_size(json_object_get(j, "types")), 2);
    assert_int_equal(json_array_size(json_object_get(j, "tensors")), 81);
    json_decref(j);
}

static void check_finds_what_is_missing_and_what_is_no_number(void **state)
{
    static const float nan = NAN;
    AUTO_FREE char *to = file_join(dir, "check.gguf");
    struct gguf *g;

    check_finds(nano, NULL, 0);
    check_finds(tiny, NULL, 0);
    convert(tiny, "f32", NULL, to);
    check_finds(to, NULL, 0);
    spoil(to, "blk.1.ffn_norm", "blk.1.ffn_nurm", 14);
    check_finds(to, "model.layers.1.post_attention_layernorm.weight is missing", 1);
    convert(tiny, "f32", NULL, to);
    assert_int_equal(gguf_open(to, &g, NULL), 0);
    char old[12], new[12];
    memcpy(old, (const char *)gguf_find(g, "blk.2.ffn_down.weight")->data + 400, sizeof old);
    gguf_close(g);
    memcpy(new, old, sizeof new);
    memcpy(new + 4, &nan, 4);
    spoil(to, old, new, sizeof new);
    check_finds(to,
                "model.layers.2.mlp.down_proj.weight holds a value that is no finite number, the "
                "102th",
                0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_change_of_type_nothing_changes),
        cmocka_unit_test(types_lose_as_much_as_they_should),
        cmocka_unit_test(packed_files_answer_as_weights_packed_while_loading),
        cmocka_unit_test(lists_that_lie_about_panels_are_refused),
        cmocka_unit_test(quantised_files_stay_small_in_memory),
        cmocka_unit_test(a_converted_file_converts_to_itself),
        cmocka_unit_test(bad_types_and_places_are_refused),
        cmocka_unit_test(merged_adapters_are_in_the_file),
        cmocka_unit_test(info_counts_what_is_there),
        cmocka_unit_test(check_finds_what_is_missing_and_what_is_no_number),
    };
    if (argc != 4) {
        fprintf(stderr, "usage: test_convert NANO TINY ADAPTERS\n");
        return 2;
    }
    nano = argv[1];
    tiny = argv[2];
    adapters = argv[3];
    return cmocka_run_group_tests(tests, setup, teardown);
}
