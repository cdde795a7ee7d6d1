/* The GGUF reader against files that lie: every refusal names what is wrong, and nothing outside
 * the file is touched. */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/backend.h"
#include "model/bpe.h"
#include "model/config.h"
#include "model/gguf.h"
#include "model/source.h"

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

static char dir[64];

static int setup(void **state)
{
    strcpy(dir, "/tmp/deskhand-gguf-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

/* writing */

static void put(struct str *b, uint64_t v, int width)
{
    for (int i = 0; i < width; i++)
        str_putc(b, (char)(v >> 8 * i));
}

static void put_text(struct str *b, const char *s)
{
    put(b, strlen(s), 8);
    str_puts(b, s);
}

static void head(struct str *b, uint32_t version, uint64_t n_tensors, uint64_t n_keys)
{
    str_puts(b, "GGUF");
    put(b, version, 4);
    put(b, n_tensors, 8);
    put(b, n_keys, 8);
}

static void put_u32(struct str *b, const char *key, uint32_t v)
{
    put_text(b, key);
    put(b, 4, 4);
    put(b, v, 4);
}

static void put_string(struct str *b, const char *key, const char *v)
{
    put_text(b, key);
    put(b, 8, 4);
    put_text(b, v);
}

static void put_tensor(struct str *b, const char *name, uint64_t d0, uint64_t d1, uint32_t type,
                       uint64_t offset)
{
    put_text(b, name);
    put(b, 2, 4);
    put(b, d0, 8);
    put(b, d1, 8);
    put(b, type, 4);
    put(b, offset, 8);
}

static void pad(struct str *b, size_t align, size_t n)
{
    while (b->n % align)
        str_putc(b, 0);
    for (size_t i = 0; i < n; i++)
        str_putc(b, (char)i);
}

static int open_bytes(struct str *b, struct gguf **ret, struct err *err)
{
    AUTO_FREE char *path = file_join(dir, "m.gguf");
    *err = (struct err){0};
    assert_int_equal(file_write(path, b->s, b->n, 0600, err), 0);
    int r = gguf_open(path, ret, err);
    str_done(b);
    return r;
}

static void refused(struct str *b, int code, const char *part)
{
    struct gguf *g;
    struct err err;
    if (open_bytes(b, &g, &err) == 0)
        fail_msg("opened, expected \"%s\"", part);
    if (!strstr(err.text, part))
        fail_msg("\"%s\" says nothing of \"%s\"", err.text, part);
    assert_int_equal(err.code, code);
}

/* reading */

static void values_and_tensors_are_found(void **state)
{
    struct str b = {0};
    struct gguf *g;
    struct err err;
    int64_t i;
    double d;
    bool yes;
    struct gguf_text t;
    struct gguf_list l;
    const char *name;

    for (uint32_t version = 2; version <= 3; version++) {
        head(&b, version, 2, 6);
        put_u32(&b, "general.alignment", 64);
        put_string(&b, "name", "Ada");
        put_text(&b, "minus");
        put(&b, 5, 4);
        put(&b, (uint64_t)-7, 4);
        put_text(&b, "half");
        put(&b, 6, 4);
        put(&b, 0x3f000000, 4);
        put_text(&b, "yes");
        put(&b, 7, 4);
        put(&b, 1, 1);
        put_text(&b, "words");
        put(&b, 9, 4);
        put(&b, 8, 4);
        put(&b, 2, 8);
        put_text(&b, "");
        put_text(&b, "two");
        put_tensor(&b, "b", 3, 2, 0, 64);
        put_tensor(&b, "a", 32, 1, 8, 0);
        pad(&b, 64, 64 + 24);
        if (open_bytes(&b, &g, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(gguf_int(g, "minus", -10, 10, &i, &err), 0);
        assert_int_equal(i, -7);
        assert_int_equal(gguf_int(g, "minus", 0, 10, &i, &err), -EINVAL);
        assert_int_equal(gguf_int(g, "name", 0, 10, &i, &err), -EINVAL);
        assert_int_equal(gguf_int(g, "none", 0, 10, &i, &err), -ENOENT);
        assert_int_equal(gguf_number(g, "half", 0, 1, &d, &err), 0);
        assert_true(d == 0.5);
        assert_int_equal(gguf_number(g, "words", 0, 1, &d, &err), -EINVAL);
        assert_int_equal(gguf_bool(g, "yes", &yes, &err), 0);
        assert_true(yes);
        assert_int_equal(gguf_string(g, "name", &t, &err), 0);
        assert_true(gguf_text_is(t, "Ada"));
        assert_int_equal(gguf_string(g, "minus", &t, &err), -EINVAL);
        assert_int_equal(gguf_list(g, "words", false, &l, &err), -EINVAL);
        assert_int_equal(gguf_list(g, "words", true, &l, &err), 0);
        assert_true(gguf_text_is(gguf_list_next(&l), ""));
        assert_true(gguf_text_is(gguf_list_next(&l), "two"));
        assert_int_equal(l.n, 0);
        assert_int_equal(gguf_n_tensors(g), 2);
        const struct tensor *a = gguf_tensor(g, 0, &name);
        assert_string_equal(name, "a");
        assert_int_equal(a->dtype, TENSOR_Q8_0);
        const struct tensor *w = gguf_find(g, "b");
        assert_int_equal(w->shape[0], 2);
        assert_int_equal(w->shape[1], 3);
        assert_int_equal((const char *)w->data - (const char *)a->data, 64);
        assert_int_equal(*(const uint8_t *)w->data, 64);
        assert_null(gguf_find(g, "c"));
        gguf_close(g);
    }
}

static void other_files_are_refused(void **state)
{
    struct str b = {0};
    str_puts(&b, "GGML0123456789012345678901234567");
    refused(&b, -EINVAL, "no GGUF file");
    head(&b, 1, 0, 0);
    refused(&b, -ENOTSUP, "version 1");
    head(&b, 0x03000000, 0, 0);
    refused(&b, -ENOTSUP, "byte order");
    str_puts(&b, "GGUF");
    refused(&b, -EINVAL, "truncated");
}

static void lying_counts_are_refused(void **state)
{
    struct str b = {0};
    head(&b, 3, 0, UINT64_MAX);
    refused(&b, -EINVAL, "keys");
    head(&b, 3, 1ull << 60, 0);
    refused(&b, -EINVAL, "tensors");
    head(&b, 3, 0, 1);
    put(&b, 1ull << 40, 8);
    pad(&b, 64, 64);
    refused(&b, -EINVAL, "a key");
    head(&b, 3, 0, 1);
    put_text(&b, "s");
    put(&b, 8, 4);
    put(&b, UINT64_MAX - 3, 8);
    refused(&b, -EINVAL, "left");
    head(&b, 3, 0, 1);
    put_text(&b, "list");
    put(&b, 9, 4);
    put(&b, 12, 4);
    put(&b, 1ull << 61, 8); /* times eight wraps */
    pad(&b, 64, 64);
    refused(&b, -EINVAL, "elements");
    head(&b, 3, 0, 1);
    put_text(&b, "list");
    put(&b, 9, 4);
    put(&b, 8, 4);
    put(&b, 2, 8);
    put_text(&b, "one");
    put(&b, 1000, 8);
    refused(&b, -EINVAL, "a text of a list");
}

static void bad_values_are_refused(void **state)
{
    struct str b = {0};
    head(&b, 3, 0, 1);
    put_text(&b, "k");
    put(&b, 13, 4);
    put(&b, 0, 8);
    refused(&b, -EINVAL, "type 13");
    head(&b, 3, 0, 1);
    put_text(&b, "k");
    put(&b, 9, 4);
    put(&b, 9, 4);
    put(&b, 1, 8);
    refused(&b, -EINVAL, "list of the type 9");
    head(&b, 3, 0, 2);
    put_u32(&b, "k", 1);
    put_u32(&b, "k", 2);
    refused(&b, -EINVAL, "key k twice");
    head(&b, 3, 0, 1);
    put_u32(&b, "bad\nkey", 1);
    refused(&b, -EINVAL, "control character");
    head(&b, 3, 0, 1);
    put_u32(&b, "general.alignment", 24);
    refused(&b, -EINVAL, "power of two");
    head(&b, 3, 0, 1);
    put_u32(&b, "general.alignment", 0);
    refused(&b, -EINVAL, "general.alignment");
}

static void bad_tensors_are_refused(void **state)
{
    struct str b = {0};
    head(&b, 3, 1, 0);
    put_tensor(&b, "t", 32, 1, 23, 0);
    pad(&b, 32, 64);
    refused(&b, -ENOTSUP, "IQ4_XS");
    head(&b, 3, 1, 0);
    put_tensor(&b, "t", 32, 1, 77, 0);
    refused(&b, -ENOTSUP, "number 77");
    head(&b, 3, 1, 0);
    put_tensor(&b, "t", 33, 1, 8, 0);
    pad(&b, 32, 64);
    refused(&b, -EINVAL, "block of 32");
    head(&b, 3, 1, 0);
    put_tensor(&b, "t", 1ull << 33, 1ull << 33, 0, 0);
    refused(&b, -EINVAL, "impossible dimension");
    head(&b, 3, 1, 0);
    put_tensor(&b, "t", 0, 1, 0, 0);
    refused(&b, -EINVAL, "impossible dimension");
    head(&b, 3, 1, 0);
    put_text(&b, "t");
    put(&b, 5, 4);
    pad(&b, 32, 64);
    refused(&b, -EINVAL, "5 dimensions");
    head(&b, 3, 1, 0);
    put_tensor(&b, "t", 8, 2, 0, 0);
    pad(&b, 32, 63);
    refused(&b, -EINVAL, "the file has 63");
    head(&b, 3, 1, 0);
    put_tensor(&b, "t", 8, 2, 0, 1ull << 63);
    pad(&b, 32, 64);
    refused(&b, -EINVAL, "begins at byte");
    head(&b, 3, 2, 0);
    put_tensor(&b, "t", 8, 2, 0, 0);
    put_tensor(&b, "u", 8, 2, 0, 32);
    pad(&b, 32, 128);
    refused(&b, -EINVAL, "overlap");
    head(&b, 3, 2, 0);
    put_tensor(&b, "t", 8, 2, 0, 0);
    put_tensor(&b, "t", 8, 2, 0, 64);
    pad(&b, 32, 128);
    refused(&b, -EINVAL, "tensor t twice");
}

/* The beginnings of a good file, each of them. */
static void every_cut_is_refused(void **state)
{
    struct str b = {0}, part = {0};
    struct gguf *g;
    struct err err;

    head(&b, 3, 1, 2);
    put_u32(&b, "n", 1);
    put_string(&b, "name", "Ada");
    put_tensor(&b, "t", 8, 1, 0, 0);
    pad(&b, 32, 32);
    for (size_t n = 1; n <= b.n; n++) {
        str_add(&part, b.s, n);
        int r = open_bytes(&part, &g, &err);
        if (r == 0)
            gguf_close(g);
        if ((r == 0) != (n == b.n))
            fail_msg("%zu of %zu bytes: %d", n, b.n, r);
    }
    str_done(&b);
}

/* models */

static void other_models_are_refused_by_name(void **state)
{
    static const struct {
        const char *arch, *part;
    } rows[] = {{"llama", "\"llama\""},
                {"qwen25vl", "\"qwen25vl\""},
                {"clip", "\"clip\""},
                {"qwen2vl", "embedding_length"}};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct str b = {0};
        struct gguf *g;
        struct err err;
        struct vlm_config c;
        head(&b, 3, 0, 1);
        put_string(&b, "general.architecture", rows[i].arch);
        assert_int_equal(open_bytes(&b, &g, &err), 0);
        assert_true(config_read_gguf(g, NULL, &c, &err) < 0);
        if (!strstr(err.text, rows[i].part))
            fail_msg("\"%s\" says nothing of %s", err.text, rows[i].part);
        gguf_close(g);
    }
}

static void other_tokenizers_are_refused_by_name(void **state)
{
    static const char *const rows[][3] = {{"llama", "qwen2", "\"llama\""},
                                          {"gpt2", "llama-bpe", "\"llama-bpe\""},
                                          {"gpt2", "qwen2", "tokenizer.ggml.tokens"}};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct str b = {0};
        struct gguf *g;
        struct err err;
        struct bpe *bpe;
        head(&b, 3, 0, 2);
        put_string(&b, "tokenizer.ggml.model", rows[i][0]);
        put_string(&b, "tokenizer.ggml.pre", rows[i][1]);
        assert_int_equal(open_bytes(&b, &g, &err), 0);
        assert_true(bpe_open_gguf(g, &bpe, &err) < 0);
        if (!strstr(err.text, rows[i][2]))
            fail_msg("\"%s\" says nothing of %s", err.text, rows[i][2]);
        gguf_close(g);
    }
}

static void touch(const char *name)
{
    AUTO_FREE char *path = file_join(dir, name);
    struct str b = {0};
    head(&b, 3, 0, 1);
    put_string(&b, "general.architecture", "qwen2vl");
    assert_int_equal(file_write(path, b.s, b.n, 0600, NULL), 0);
    str_done(&b);
}

static void the_right_files_of_a_folder_are_taken(void **state)
{
    struct source *s;
    struct err err = {0};
    AUTO_FREE char *one = file_join(dir, "one.gguf");
    AUTO_FREE char *m = file_join(dir, "m.gguf");

    unlink(m);
    touch("one.gguf");
    touch("note.txt");
    if (source_open(dir, NULL, &s, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(source_text_path(s), one);
    assert_null(source_vision_path(s));
    source_close(s);

    touch("two.gguf");
    assert_true(source_open(dir, NULL, &s, &err) < 0);
    assert_non_null(strstr(err.text, "one.gguf and two.gguf"));

    /* the vision towers hold no tensors, which is said of the one that was taken */
    touch("three-mmproj.GGUF");
    assert_true(source_open(one, NULL, &s, &err) < 0);
    assert_non_null(strstr(err.text, "three-mmproj.GGUF has no v.patch_embd"));
    touch("a-mmproj.gguf");
    assert_true(source_open(one, NULL, &s, &err) < 0);
    assert_non_null(strstr(err.text, "several vision towers"));
    touch("mmproj-one.gguf");
    assert_true(source_open(one, NULL, &s, &err) < 0);
    assert_non_null(strstr(err.text, "mmproj-one.gguf has no v.patch_embd"));
    AUTO_FREE char *a = file_join(dir, "a-mmproj.gguf");
    assert_true(source_open(one, a, &s, &err) < 0);
    assert_non_null(strstr(err.text, "a-mmproj.gguf has no v.patch_embd"));
}

/* All of them, there and back. */
static void halves_are_exact(void **state)
{
    for (uint32_t h = 0; h < 65536; h++) {
        uint8_t p[2] = {(uint8_t)h, (uint8_t)(h >> 8)}, back[2];
        float x, want = f16_to_f32((uint16_t)h);
        tensor_to_f32(TENSOR_F16, p, 0, 1, &x);
        if (memcmp(&x, &want, 4) != 0 && !(isnan(x) && isnan(want)))
            fail_msg("%04x is %g, expected %g", h, (double)x, (double)want);
        assert_true(tensor_from_f32(TENSOR_F16, &x, 1, back));
        if (!isnan(x) && memcmp(p, back, 2) != 0)
            fail_msg("%g is written as %02x%02x, expected %04x", (double)x, back[1], back[0], h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_tensors_are_found),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(lying_counts_are_refused),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(bad_tensors_are_refused),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(other_models_are_refused_by_name),
        cmocka_unit_test(other_tokenizers_are_refused_by_name),
        cmocka_unit_test(halves_are_exact),
        cmocka_unit_test(the_right_files_of_a_folder_are_taken),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
