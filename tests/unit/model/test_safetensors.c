/* model/safetensors.c: what a good file gives, and the sentence that each kind of bad one gets. */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/safetensors.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];

static void put(const char *name, const void *data, size_t n)
{
    AUTO_FREE char *path = file_join(dir, name);
    struct err e = {0};
    if (file_write(path, data, n, 0600, &e) < 0)
        fail_msg("%s", e.text);
}

static void drop(const char *name)
{
    AUTO_FREE char *path = file_join(dir, name);
    unlink(path);
}

/* A file whose header is `json` and whose data are n bytes 0, 1, 2 ... */
static void put_tensors(const char *name, const char *json, size_t n)
{
    AUTO(str_done) struct str f = {0};
    uint64_t len = strlen(json);
    for (int i = 0; i < 8; i++)
        str_putc(&f, (char)(len >> (8 * i)));
    str_puts(&f, json);
    for (size_t i = 0; i < n; i++)
        str_putc(&f, (char)i);
    put(name, f.s, f.n);
}

static int make_dir(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/deskhand-st-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    drop("model.safetensors");
    drop("a.safetensors");
    drop("b.safetensors");
    drop("model.safetensors.index.json");
    return rmdir(dir);
}

static void refused(const char *part)
{
    struct safetensors *s = NULL;
    struct err e = {0};
    int rc = safetensors_open(dir, &s, &e);
    if (rc == 0)
        fail_msg("opened; expected: %s", part);
    assert_null(s);
    if (!strstr(e.text, part))
        fail_msg("\"%s\" does not say \"%s\"", e.text, part);
}

static void a_good_file_gives_its_tensors(void **state)
{
    put_tensors(
        "model.safetensors",
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"model.norm.weight\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
        "\"visual.x\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}",
        16);
    struct safetensors *s;
    assert_int_equal(safetensors_open(dir, &s, NULL), 0);
    const struct tensor *t = safetensors_find(s, "model.norm.weight");
    assert_non_null(t);
    assert_int_equal(t->dtype, TENSOR_BF16);
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->shape[0], 2);
    assert_int_equal(t->shape[1], 3);
    assert_int_equal(((const uint8_t *)t->data)[0], 4);
    assert_int_equal(safetensors_find(s, "visual.x")->rank, 0);
    assert_null(safetensors_find(s, "model.nor"));
    assert_null(safetensors_find(s, ""));
    safetensors_close(s);
    put_tensors("model.safetensors", "{}", 0);
    assert_int_equal(safetensors_open(dir, &s, NULL), 0);
    assert_null(safetensors_find(s, "visual.x"));
    safetensors_close(s);
}

static void both_generations_of_names_are_found(void **state)
{
    put_tensors(
        "model.safetensors",
        "{\"model.language_model.a\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]},"
        "\"model.visual.b\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[2,4]},"
        "\"lm_head.weight\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[4,6]}}",
        6);
    struct safetensors *s;
    assert_int_equal(safetensors_open(dir, &s, NULL), 0);
    assert_int_equal(((const uint8_t *)safetensors_find(s, "model.a")->data)[0], 0);
    assert_int_equal(((const uint8_t *)safetensors_find(s, "visual.b")->data)[0], 2);
    assert_int_equal(((const uint8_t *)safetensors_find(s, "lm_head.weight")->data)[0], 4);
    assert_int_equal(safetensors_find(s, "visual.b")->dtype, TENSOR_F16);
    safetensors_close(s);
}

#define T(dtype, shape, from, to)                                                                  \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}}"

static void lies_are_named(void **state)
{
    static const struct {
        const char *json;
        size_t n;
        const char *says;
    } rows[] = {
        {T("\"F32\"", "[4]", "0", "16"), 12, "truncated"},
        {T("\"F32\"", "[4]", "0", "12"), 12, "want 16"},
        {T("\"F32\"", "[3]", "4", "16"), 16, "leave a hole"},
        {T("\"F32\"", "[3]", "0", "12"), 16, "4 bytes behind"},
        {T("\"F32\"", "[3]", "12", "0"), 12, "data_offsets"},
        {T("\"F32\"", "[3]", "-12", "0"), 12, "data_offsets"},
        {T("\"F32\"", "[3]", "0", "1e3"), 12, "data_offsets"},
        {T("\"Q9\"", "[3]", "0", "12"), 12, "\"Q9\""},
        {T("7", "[3]", "0", "12"), 12, "missing"},
        {T("\"F32\"", "[-3]", "0", "12"), 12, "dimension 0"},
        {T("\"F32\"", "[4294967296,4294967296]", "0", "0"), 0, "dimension 1"},
        {T("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "0", "4"), 4, "at most 8"},
        {T("\"F32\"", "\"3\"", "0", "12"), 12, "shape"},
        {T("\"F32\"", "[3]", "9223372036854775800", "9223372036854775807"), 12, "truncated"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
         12, "overlap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         4, "duplicate"},
        {"[1]", 0, "its header is not a JSON object"},
        {"{\"a\":", 0, "its header is not JSON"},
        {"{\"a\":7}", 0, "tensor a"},
        {"\xff\xfe", 0, "its header is not JSON"},
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        put_tensors("model.safetensors", rows[i].json, rows[i].n);
        refused(rows[i].says);
    }
}

static void header_lengths_are_checked(void **state)
{
    put("model.safetensors", "\1\0\0", 3);
    refused("3 bytes");
    put("model.safetensors", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    refused("18446744073709551615");
    put("model.safetensors", "\x03\0\0\0\0\0\0\0{}", 10);
    refused("header length 3");
    drop("model.safetensors");
    refused("model.safetensors");
}

static void shards_are_joined_and_the_index_is_checked(void **state)
{
    put_tensors("a.safetensors", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                4);
    put_tensors("b.safetensors", "{\"y\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                4);
    const char *good = "{\"weight_map\":{\"x\":\"a.safetensors\",\"y\":\"b.safetensors\"}}";
    put("model.safetensors.index.json", good, strlen(good));
    struct safetensors *s;
    assert_int_equal(safetensors_open(dir, &s, NULL), 0);
    assert_non_null(safetensors_find(s, "x"));
    assert_non_null(safetensors_find(s, "y"));
    safetensors_close(s);

    static const char *const bad[][2] = {
        {"{\"weight_map\":{\"x\":\"b.safetensors\",\"y\":\"a.safetensors\"}}", "it is not"},
        {"{\"weight_map\":{\"x\":\"a.safetensors\",\"z\":\"b.safetensors\"}}", "tensor z"},
        {"{\"weight_map\":{\"x\":\"../a.safetensors\"}}", "plain file name"},
        {"{\"weight_map\":{\"x\":7}}", "plain file name"},
        {"{\"weight_map\":{\"x\":\"gone.safetensors\"}}", "gone.safetensors"},
        {"{\"weight\":{}}", "weight_map"},
        {"nonsense", "is not JSON"},
    };
    for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
        put("model.safetensors.index.json", bad[i][0], strlen(bad[i][0]));
        refused(bad[i][1]);
    }
    put_tensors("b.safetensors", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                4);
    put("model.safetensors.index.json", good, strlen(good));
    refused("in two shards");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_good_file_gives_its_tensors, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(both_generations_of_names_are_found, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(lies_are_named, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(header_lengths_are_checked, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(shards_are_joined_and_the_index_is_checked, make_dir,
                                        drop_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
