/* deskhand model on small checkpoints, run as a script would, and on the same checkpoints spoilt:
 * pictures that leave no trace in the features, and features that leave none in the answer.
 *
 *   test_model DESKHAND GGUF_FOLDER */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/verify.h"
#include "model/gguf.h"
#include "vision/png.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static const char *deskhand, *folder;
static char dir[64];

static int setup(void **state)
{
    strcpy(dir, "/tmp/deskhand-model-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

/* Exit code; what was printed on either stream. */
static int run(struct str *ret, const char *fmt, ...)
{
    char command[1024], args[800], part[512];
    va_list ap;
    size_t n;

    va_start(ap, fmt);
    vsnprintf(args, sizeof args, fmt, ap);
    va_end(ap);
    snprintf(command, sizeof command, "%s model %s 2>&1", deskhand, args);
    str_reset(ret);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        str_add(ret, part, n);
    int status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect(int code, int want, const struct str *out, const char *part)
{
    if (code != want || !strstr(str_cstr(out), part))
        fail_msg("exit %d, expected %d and \"%s\" in:\n%s", code, want, part, str_cstr(out));
}

static size_t bytes_of(const struct tensor *t)
{
    size_t values = 1;
    for (int d = 0; d < t->rank; d++)
        values *= (size_t)t->shape[d];
    return tensor_bytes(t->dtype, values);
}

/* Copies both files of the model; in `file` some tensors become zeros. */
static void spoil(const char *file, const char *const *names)
{
    static const char *const files[] = {"vl.gguf", "mmproj-vl.gguf"};

    for (size_t i = 0; i < N_ELEMENTS(files); i++) {
        AUTO_FREE char *from = file_join(folder, files[i]);
        AUTO_FREE char *to = file_join(dir, files[i]);
        AUTO_FREE char *data = NULL;
        struct gguf *g;
        struct err err = {0};
        size_t n;
        if (gguf_open(from, &g, &err) < 0 || file_read(from, 1 << 24, &data, &n, &err) < 0)
            fail_msg("%s", err.text);
        /* the data are what is left behind the header */
        const char *name;
        const uint8_t *lowest = (const uint8_t *)gguf_tensor(g, 0, &name)->data;
        size_t total = 0;
        for (int k = 0; k < gguf_n_tensors(g); k++) {
            const struct tensor *t = gguf_tensor(g, k, &name);
            lowest = MIN(lowest, (const uint8_t *)t->data);
            total += (bytes_of(t) + 31) / 32 * 32;
        }
        size_t begin = n - total;
        for (const char *const *k = names; *k && str_eq(file, files[i]); k++) {
            const struct tensor *t = gguf_find(g, *k);
            assert_non_null(t);
            memset(data + begin + ((const uint8_t *)t->data - lowest), 0, bytes_of(t));
        }
        assert_int_equal(file_write(to, data, n, 0600, &err), 0);
        gguf_close(g);
    }
}

static void info_says_what_is_there(void **state)
{
    AUTO(str_done) struct str out = {0};
    expect(run(&out, "info %s/vl.gguf", folder), 0, &out,
           "2 layers of 128, 2 heads (1 for keys) of 64");
    expect(run(&out, "info %s/vl.gguf", folder), 0, &out, "mmproj-vl.gguf");
    expect(run(&out, "info %s/text.gguf --verbose", folder), 0, &out,
           "blk.0.attn_q.weight  256 x 256");
    assert_int_equal(run(&out, "info %s/vl.gguf --json", folder), 0);
    json_t *j = json_loads(str_cstr(&out), 0, NULL), *r = json_object_get(j, "result");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(r, "config"), "layers")),
                     2);
    json_decref(j);
    expect(run(&out, "info %s/types.gguf", folder), 1, &out, "the architecture is \"types\"");
    expect(run(&out, "info /nowhere"), 1, &out, "cannot open /nowhere");
}

static void wrong_command_lines_are_usage(void **state)
{
    AUTO(str_done) struct str out = {0};
    expect(run(&out, "info"), 2, &out, "wants PATH");
    expect(run(&out, "quantize a b"), 2, &out, "wants --type");
    expect(run(&out, "quantize a"), 2, &out, "wants IN OUT");
    expect(run(&out, "info a b"), 2, &out, "one word too many");
    expect(run(&out, "mend"), 2, &out, "no command \"model mend\"");
    expect(run(&out, "quantize %s/vl.gguf %s/x.gguf --type q7", folder, dir), 2, &out, "\"q7\"");
    expect(run(&out, " "), 0, &out, "model quantize IN OUT");
}

static void good_models_are_verified(void **state)
{
    AUTO(str_done) struct str out = {0};
    expect(run(&out, "verify %s/vl.gguf --threads 1", folder), 0, &out, "no fault found");
    assert_non_null(strstr(str_cstr(&out), "red, green and blue pictures"));
    expect(run(&out, "verify %s/text.gguf --threads 1", folder), 0, &out, "pictures not checked");
}

static void dropped_pictures_are_caught(void **state)
{
    static const char *const merger[] = {"mm.2.weight", NULL};
    static const char *const values[] = {"blk.0.attn_v.weight", "blk.1.attn_v.weight", NULL};
    AUTO(str_done) struct str out = {0};

    spoil("mmproj-vl.gguf", merger);
    expect(run(&out, "verify %s/vl.gguf --threads 1", dir), 1, &out, "have the same features");
    spoil("vl.gguf", values);
    expect(run(&out, "verify %s/vl.gguf --threads 1", dir), 1, &out,
           "the answer does not depend on the picture");
}

/* What a model says of a red, a green and a blue picture. */
static void wrong_colours_are_caught(void **state)
{
    static const struct {
        const char *answers[VERIFY_COLOURS];
        double features, logits;
        bool named;
        const char *fault; /* NULL: none */
    } rows[] = {
        {{"Red.", "It is green", "BLUE"}, 1, 1, true, NULL},
        {{"red", "red", "red"},
         1,
         1,
         true,
         "were answered"}, /* pictures that are dropped look all alike */
        {{"red", "green", "a picture"}, 1, 1, true, "were answered"},
        {{"green", "red", "blue"}, 1, 1, true, "were answered"},
        {{"red", "red or green", "none"}, 1, 1, false, NULL}, /* does not answer such questions */
        {{"[1, 2]", "", "?"}, 1, 1, false, NULL},
        {{"red", "green", "blue"}, 1e-6, 1, true, "same features"},
        {{"red", "green", "blue"}, NAN, 1, true, "no numbers"},
        {{"red", "green", "blue"}, 1, 0, true, "does not depend"},
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        json_t *faults = json_array();
        bool named =
            verify_judge(rows[i].features, rows[i].logits, (char *const *)rows[i].answers, faults);
        const char *first = json_string_value(json_array_get(faults, 0));
        if (named != rows[i].named || !first != !rows[i].fault ||
            (first && !strstr(first, rows[i].fault)))
            fail_msg("row %zu: \"%s\"", i, first ? first : "nothing");
        json_decref(faults);
    }
    float a[] = {1, 0}, b[] = {1, 0.5f}, c[] = {1, -1}, bad[] = {1, NAN};
    float *const v[] = {a, b, c}, *const w[] = {a, b, bad};
    assert_true(verify_apart(v, 2) == 0.5);
    assert_true(isnan(verify_apart(w, 2)));
}

static void quantize_writes_both_files(void **state)
{
    AUTO(str_done) struct str out = {0};
    expect(run(&out, "quantize %s/vl.gguf %s/q.gguf --type q4_0 --vision-type q8_0", folder, dir),
           0, &out, "q.gguf");
    expect(run(&out, "info %s/q.gguf --mmproj %s/mmproj-q.gguf", dir, dir), 0, &out, "Q4_0");
    expect(run(&out, "verify %s/q.gguf --threads 1", dir), 0, &out, "no fault found");
}

static void adapters_are_merged(void **state)
{
    AUTO(str_done) struct str out = {0};
    expect(run(&out, "merge-lora %s/../tiny %s/m.gguf", folder, dir), 2, &out, "wants --lora");
    expect(run(&out, "merge-lora %s/../tiny %s/m.gguf --lora %s/../lora/wide", folder, dir, folder),
           0, &out, "m.gguf");
    expect(run(&out, "info %s/m.gguf --mmproj %s/mmproj-m.gguf", dir, dir), 0, &out, "BF16");
    expect(run(&out, "merge-lora %s/vl.gguf %s/m.gguf --lora %s/../lora/wide", folder, dir, folder),
           1, &out, "deskhand:");
}

/* A picture whose boxes are given in its own pixels, asked about twice, and a line without an
 * answer. */
static void perplexity_reads_a_data_set(void **state)
{
    static const char data[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"<image>Where is <ref-object>?\"},"
        "{\"role\":\"assistant\",\"content\":\"<bbox>\"},{\"role\":\"user\",\"content\":\"And?\"},"
        "{\"role\":\"assistant\",\"content\":\"No.\"}],\"images\":[\"p.png\"],"
        "\"objects\":{\"ref\":[\"it\"],\"bbox\":[[10,20,30,40]]}}\n\n"
        "{\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}\n";
    AUTO_FREE char *jsonl = file_join(dir, "d.jsonl");
    AUTO_FREE char *png = file_join(dir, "p.png");
    AUTO(str_done) struct str out = {0};
    struct frame f = {0};
    struct err err = {0};

    assert_int_equal(frame_alloc(&f, 100, 80), 0);
    memset(f.rgb, 99, 100 * 80 * 3);
    assert_int_equal(png_write_file(&f, png, &err), 0);
    frame_done(&f);
    assert_int_equal(file_write(jsonl, data, sizeof data - 1, 0600, &err), 0);
    assert_int_equal(run(&out, "perplexity %s/vl.gguf %s --json --threads 1", folder, jsonl), 0);
    json_t *j = json_loads(str_cstr(&out), 0, NULL), *r = json_object_get(j, "result");
    json_t *all = json_object_get(r, "all"), *digits = json_object_get(r, "grounding");
    assert_int_equal(json_integer_value(json_object_get(r, "answers")), 2);
    /* 100 x 80 is seen as 112 x 84: [11, 21, 34, 42] has eight digits */
    assert_int_equal(json_integer_value(json_object_get(digits, "tokens")), 8);
    assert_true(json_integer_value(json_object_get(all, "tokens")) > 8 + 2);
    assert_true(json_number_value(json_object_get(all, "loss")) > 0.1);
    json_decref(j);
    expect(run(&out, "perplexity %s/vl.gguf %s", folder, jsonl), 0, &out, "coordinates");
    assert_int_equal(file_write(jsonl, "plain words, too few", 20, 0600, &err), 0);
    expect(run(&out, "perplexity %s/vl.gguf %s", folder, jsonl), 1, &out, "one window of 512");
    expect(run(&out, "perplexity %s/vl.gguf %s --weights int3", folder, jsonl), 1, &out, "int3");
    assert_int_equal(file_write(jsonl, "{}\n", 3, 0600, &err), 0);
    expect(run(&out, "perplexity %s/vl.gguf %s", folder, jsonl), 1, &out, "line 1: messages");
    expect(run(&out, "perplexity %s/vl.gguf %s/none", folder, dir), 1, &out, "cannot open");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info_says_what_is_there),  cmocka_unit_test(wrong_command_lines_are_usage),
        cmocka_unit_test(good_models_are_verified), cmocka_unit_test(dropped_pictures_are_caught),
        cmocka_unit_test(wrong_colours_are_caught), cmocka_unit_test(quantize_writes_both_files),
        cmocka_unit_test(adapters_are_merged),      cmocka_unit_test(perplexity_reads_a_data_set),
    };
    if (argc != 3) {
        fprintf(stderr, "usage: test_model DESKHAND GGUF_FOLDER\n");
        return 2;
    }
    deskhand = argv[1];
    folder = argv[2];
    return cmocka_run_group_tests(tests, setup, teardown);
}
