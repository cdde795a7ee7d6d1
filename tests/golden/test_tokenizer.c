/* The tokenizer against transformers (nano's own vocabulary) and tiktoken (Qwen's 151,643 tokens).
 *
 *   test_tokenizer FOLDER tokens_nano.json tokens_qwen.json
 *
 * FOLDER: a checkpoint with the tokenizer.json of the goldens. Qwen's vocabulary is not part of the
 * tree; its path comes from DESKHAND_QWEN_TIKTOKEN (tools/fetch_qwen_vocab.sh), without it that
 * half is skipped. */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/bpe.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *folder, *nano_path, *qwen_path;

static json_t *rows_of(const char *path, json_t **ret_root)
{
    json_error_t e;
    *ret_root = json_load_file(path, 0, &e);
    json_t *rows = json_object_get(*ret_root, "rows");
    if (!json_array_size(rows))
        fail_msg("%s: %s", path, *ret_root ? "no rows" : e.text);
    return rows;
}

/* Which text, for whoever reads the failure. */
static void show(const char *what, const char *text)
{
    AUTO(str_done) struct str s = {0};
    str_printable(&s, text, strlen(text), 200);
    print_error("%s: %s\n", what, str_cstr(&s));
}

static void encodes_to(const struct bpe *b, const char *text, bool parse_special, json_t *want)
{
    AUTO_FREE int32_t *ids = NULL;
    int n = 0;
    struct err err = {0};
    if (bpe_encode(b, text, strlen(text), parse_special, &ids, &n, &err) < 0)
        fail_msg("%s", err.text);
    bool same = json_array_size(want) == (size_t)n;
    for (int i = 0; i < n && same; i++)
        same = json_integer_value(json_array_get(want, (size_t)i)) == ids[i];
    if (same)
        return;
    show("other ids for", text);
    for (int i = 0; i < n || (size_t)i < json_array_size(want); i++)
        print_error("  %d: %lld, expected %lld\n", i, i < n ? (long long)ids[i] : -1LL,
                    (long long)json_integer_value(json_array_get(want, (size_t)i)));
    fail();
}

static void decodes_to(const struct bpe *b, json_t *list, bool skip_special, const char *want)
{
    int n = (int)json_array_size(list);
    AUTO_FREE int32_t *ids = mem_alloc((size_t)(n + 1) * sizeof *ids);
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    AUTO_FREE char *text = bpe_decode(b, ids, n, skip_special);
    if (strcmp(text, want) == 0)
        return;
    show("expected", want);
    show("decoded", text);
    fail();
}

static void nano_agrees_with_transformers(void **state)
{
    json_t *root, *rows = rows_of(nano_path, &root), *row;
    struct bpe *b;
    struct err err = {0};
    size_t i;
    if (bpe_open(folder, &b, &err) < 0)
        fail_msg("%s", err.text);
    json_array_foreach(rows, i, row)
    {
        const char *text = json_string_value(json_object_get(row, "text"));
        json_t *plain = json_object_get(row, "ids"), *parsed = json_object_get(row, "parsed");
        const char *skipped = json_string_value(json_object_get(row, "skipped"));
        encodes_to(b, text, false, plain);
        encodes_to(b, text, true, parsed ? parsed : plain);
        decodes_to(b, plain, false, text);
        decodes_to(b, parsed ? parsed : plain, true, skipped ? skipped : text);
    }
    assert_true(i >= 200);
    bpe_close(b);
    json_decref(root);
}

static void qwen_agrees_with_tiktoken(void **state)
{
    const char *ranks = getenv("DESKHAND_QWEN_TIKTOKEN");
    if (!ranks || !*ranks) {
        print_message(
            "DESKHAND_QWEN_TIKTOKEN is not set (tools/fetch_qwen_vocab.sh gets the file)\n");
        skip();
    }
    json_t *root, *rows = rows_of(qwen_path, &root), *row;
    struct bpe *b;
    struct err err = {0};
    size_t i;
    if (bpe_open_ranks(ranks, &b, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(bpe_n_tokens(b), 151643);
    json_array_foreach(rows, i, row)
    {
        encodes_to(b, json_string_value(json_object_get(row, "text")), false,
                   json_object_get(row, "ids"));
    }
    assert_true(i >= 200);
    bpe_close(b);
    json_decref(root);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nano_agrees_with_transformers),
        cmocka_unit_test(qwen_agrees_with_tiktoken),
    };
    if (argc != 4) {
        fprintf(stderr, "usage: test_tokenizer FOLDER tokens_nano.json tokens_qwen.json\n");
        return 2;
    }
    folder = argv[1];
    nano_path = argv[2];
    qwen_path = argv[3];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
