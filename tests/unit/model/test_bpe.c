/* model/bpe.c on a small vocabulary: merges, added tokens, bytes, hostile lengths, bad files.
 * tests/golden/test_tokenizer.c compares with other implementations. */
#include "base/file.h"
#include "base/mem.h"
#include "model/bpe.h"
#include "tests/unit/model/small_tokenizer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];

static void put(const char *name, const char *text)
{
    AUTO_FREE char *path = file_join(dir, name);
    struct err e = {0};
    if (!text)
        unlink(path);
    else if (file_write(path, text, strlen(text), 0600, &e) < 0)
        fail_msg("%s", e.text);
}

static void put_small(struct small_tokenizer t)
{
    AUTO(str_done) struct str s = {0};
    small_tokenizer_json(t, &s);
    put("tokenizer.json", str_cstr(&s));
}

static int make_dir(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/deskhand-bpe-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    put("tokenizer.json", NULL);
    put("tokenizer_config.json", NULL);
    put("ranks.tiktoken", NULL);
    return rmdir(dir);
}

static struct bpe *open_small(struct small_tokenizer t)
{
    struct bpe *b;
    struct err e = {0};
    put_small(t);
    if (bpe_open(dir, &b, &e) < 0)
        fail_msg("%s", e.text);
    return b;
}

/* want: ids ended by -1 */
static void gives(const struct bpe *b, const char *text, bool parse_special, const int32_t *want)
{
    int32_t *ids;
    int n;
    struct err e = {0};
    if (bpe_encode(b, text, strlen(text), parse_special, &ids, &n, &e) < 0)
        fail_msg("%s", e.text);
    for (int i = 0; i < n; i++)
        if (want[i] != ids[i])
            fail_msg("\"%s\": token %d is %d, expected %d", text, i, ids[i], want[i]);
    assert_int_equal(want[n], -1);
    free(ids);
}
#define IDS(...) ((const int32_t[]){__VA_ARGS__, -1})

static void merges_go_by_rank_from_the_left(void **state)
{
    struct bpe *b = open_small(SMALL_TOKENIZER);
    assert_int_equal(bpe_n_tokens(b), SMALL_N);
    gives(b, "", false, (const int32_t[]){-1});
    gives(b, "a", false, IDS('a'));
    gives(b, "aaa", false, IDS(SMALL_AA, 'a'));
    gives(b, "aaaaa", false, IDS(SMALL_A4, 'a'));
    gives(b, "aaaaaaaaaaaaaa", false, IDS(SMALL_A8, SMALL_A4, SMALL_AA));
    gives(b, "ing ing", false, IDS(SMALL_ING, SMALL_SPACE_ING));
    gives(b, "in g", false, IDS(SMALL_IN, ' ', 'g')); /* not over the border of a piece */
    gives(b, "aa1a", false, IDS(SMALL_AA, '1', 'a'));
    gives(b, "\xf0\x9f\x98\x80", false, IDS(0xf0, 0x9f, 0x98, 0x80));
    bpe_close(b);
}

static void malformed_text_is_read_as_the_replacement_character(void **state)
{
    struct bpe *b = open_small(SMALL_TOKENIZER);
    gives(b, "a\xff", false, IDS('a', 0xef, 0xbf, 0xbd));
    gives(b, "\xc3", false, IDS(0xef, 0xbf, 0xbd));
    bpe_close(b);
}

static void nfc_is_done_where_the_file_asks_for_it(void **state)
{
    struct bpe *b = open_small(SMALL_TOKENIZER);
    gives(b, "e\xcc\x81", false, IDS('e', 0xcc, 0x81));
    bpe_close(b);
    struct small_tokenizer t = SMALL_TOKENIZER;
    t.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"}]}";
    b = open_small(t);
    gives(b, "e\xcc\x81", false, IDS(0xc3, 0xa9));
    bpe_close(b);
}

static void text_cannot_make_control_tokens(void **state)
{
    struct bpe *b = open_small(SMALL_TOKENIZER);
    const char *evil = "<|im_end|>";
    gives(b, evil, true, IDS(SMALL_IM_END));
    gives(b, evil, false, IDS('<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|', '>'));
    gives(b, "<|im_end|", true, IDS('<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|'));
    gives(b, "<think>in</think>", false, IDS(SMALL_THINK, SMALL_IN, SMALL_THINK_END));
    gives(b, "<<think>", false, IDS('<', SMALL_THINK));
    for (int id = 0; id < SMALL_N; id++)
        assert_int_equal(bpe_is_special(b, id), id >= SMALL_IM_START && id <= SMALL_IMAGE_PAD);
    assert_false(bpe_is_special(b, -1));
    assert_false(bpe_is_special(b, SMALL_N));
    assert_int_equal(bpe_find_special(b, "<|image_pad|>"), SMALL_IMAGE_PAD);
    assert_int_equal(bpe_find_special(b, "ing"), -1);
    bpe_close(b);
}

static void tokenizer_config_decides_what_is_special(void **state)
{
    put("tokenizer_config.json",
        "{\"added_tokens_decoder\":{\"267\":{\"content\":\"<think>\",\"special\":true},"
        "\"99999\":{\"content\":\"x\",\"special\":true}}}");
    struct bpe *b = open_small(SMALL_TOKENIZER);
    assert_true(bpe_is_special(b, SMALL_THINK));
    assert_false(bpe_is_special(b, SMALL_THINK_END));
    bpe_close(b);
}

static void decoding_joins_bytes_before_it_judges_them(void **state)
{
    struct bpe *b = open_small(SMALL_TOKENIZER);
    static const struct {
        int32_t ids[8];
        int n;
        bool skip;
        const char *want;
    } rows[] = {
        {{SMALL_ING, SMALL_SPACE_ING}, 2, false, "ing ing"},
        {{0xf0, 0x9f, 0x98, 0x80}, 4, false, "\xf0\x9f\x98\x80"},
        {{0xf0, 0x9f, 'a'}, 3, false, "\xef\xbf\xbd\xef\xbf\xbd"
                                      "a"},
        {{SMALL_THINK, 'a', SMALL_IM_END}, 3, true, "<think>a"},
        {{SMALL_THINK, 'a', SMALL_IM_END}, 3, false, "<think>a<|im_end|>"},
        {{-1, 'a', SMALL_N, 2000000000}, 4, false, "a"},
        {{0}, 0, false, ""},
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        AUTO_FREE char *text = bpe_decode(b, rows[i].ids, rows[i].n, rows[i].skip);
        assert_string_equal(text, rows[i].want);
    }
    bpe_close(b);
}

/* As in SmolLM2's vocabulary, which has no token for it. */
static void bytes_without_a_token_are_left_out(void **state)
{
    struct small_tokenizer t = SMALL_TOKENIZER;
    static const int32_t want[] = {SMALL_AA, SMALL_AA, '!', '!'};
    t.without_byte = 0x04;
    struct bpe *b = open_small(t);
    AUTO_FREE int32_t *ids = NULL, *none = NULL;
    int n;

    assert_int_equal(bpe_encode(b, "aa\x04" "aa!\x04\x04!", 9, true, &ids, &n, NULL), 0);
    assert_int_equal(n, N_ELEMENTS(want));
    assert_memory_equal(ids, want, sizeof want);
    assert_int_equal(bpe_encode(b, "\x04", 1, true, &none, &n, NULL), 0);
    assert_int_equal(n, 0);
    bpe_close(b);
}

/* A million letters in one piece: each takes part in some twenty merges' worth of heap, which is
 * far below a second; a rescan of the piece at every merge would take hours. */
static void a_megabyte_of_one_letter_is_quick(void **state)
{
    struct bpe *b = open_small(SMALL_TOKENIZER);
    size_t n = 1 << 20;
    AUTO_FREE char *text = mem_alloc(n);
    static const char letters[] = {'a', ' ', '\n', '<', '!', '\xff'};
    for (size_t k = 0; k < sizeof letters; k++) {
        int32_t *ids;
        int n_ids;
        memset(text, letters[k], n);
        clock_t begin = clock();
        assert_int_equal(bpe_encode(b, text, n, true, &ids, &n_ids, NULL), 0);
        double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        if (letters[k] == 'a')
            assert_int_equal(n_ids, n / 8);
        if (seconds > 20)
            fail_msg("a megabyte of 0x%02x took %.1f s", (uint8_t)letters[k], seconds);
        free(ids);
    }
    bpe_close(b);
}

static void refused(const char *says)
{
    struct bpe *b = NULL;
    struct err e = {0};
    if (bpe_open(dir, &b, &e) == 0)
        fail_msg("opened; expected: %s", says);
    assert_null(b);
    if (!strstr(e.text, says))
        fail_msg("\"%s\" does not say \"%s\"", e.text, says);
}

static void bad_files_are_refused(void **state)
{
    struct small_tokenizer t;
    static const struct {
        const char *merges, *says;
    } merges[] = {
        {"[\"a  a\"]", "merge 0"},
        {"[\"aa\"]", "merge 0"},
        {"[\"z q\"]", "merge 0"},
        {"[\"a a\",7]", "merge 1"},
        {"[[\"a\",\"a\",\"a\"]]", "merge 0"},
        {"[[\"a\",5]]", "merge 0"},
        {"[\" a\"]", "merge 0"},
        {"{}", "merges"},
    };
    for (size_t i = 0; i < N_ELEMENTS(merges); i++) {
        t = SMALL_TOKENIZER;
        t.merges = merges[i].merges;
        put_small(t);
        refused(merges[i].says);
    }
    t = SMALL_TOKENIZER;
    t.without_byte = 0xc3;
    put_small(t);
    refused("0xc3");
    static const char *const added[][2] = {
        {"[{\"id\":-1,\"content\":\"x\",\"special\":true}]", "-1"},
        {"[{\"id\":99999999,\"content\":\"x\",\"special\":true}]", "99999999"},
        {"[{\"id\":\"7\",\"content\":\"x\"}]", "id"},
        {"[{\"id\":300,\"content\":\"\"}]", "content"},
        {"[{\"id\":300,\"content\":\"x\",\"lstrip\":true}]", "lstrip"},
        {"[{\"id\":97,\"content\":\"x\"}]", "97"},
    };
    for (size_t i = 0; i < N_ELEMENTS(added); i++) {
        t = SMALL_TOKENIZER;
        t.added = added[i][0];
        put_small(t);
        refused(added[i][1]);
    }
    static const char *const split[][2] = {
        {"null", "Split"},
        {"{\"type\":\"Whitespace\"}", "Split"},
        {"{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\"}", "regex"},
        {"{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Removed\"}", "Removed"},
    };
    for (size_t i = 0; i < N_ELEMENTS(split); i++) {
        t = SMALL_TOKENIZER;
        t.split = split[i][0];
        put_small(t);
        refused(split[i][1]);
    }
    t = SMALL_TOKENIZER;
    t.normalizer = "{\"type\":\"Lowercase\"}";
    put_small(t);
    refused("Lowercase");
    put("tokenizer.json", "{\"model\":");
    refused("JSON");
    put("tokenizer.json", "[]");
    refused("JSON object");
    put("tokenizer.json", NULL);
    refused("tokenizer.json");
}

static void bad_rank_files_are_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "byte 0x09"}, {"YQ== 0\n", "byte 0x09"}, {"YQ==\n", "line 1"}, {"YQ== x\n", "line 1"},
        {"YQ== 0\n?? 1\n", "line 2"}, {" 5\n", "line 1"}, {"YQ== 99999999\n", "line 1"},
        {"YQ== -1\n", "line 1"},
    };
    AUTO_FREE char *path = file_join(dir, "ranks.tiktoken");
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct bpe *b;
        struct err e = {0};
        put("ranks.tiktoken", rows[i].text);
        assert_true(bpe_open_ranks(path, &b, &e) < 0);
        if (!strstr(e.text, rows[i].says))
            fail_msg("\"%s\" does not say \"%s\"", e.text, rows[i].says);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, drop_dir)
    const struct CMUnitTest tests[] = {
        T(merges_go_by_rank_from_the_left),
        T(malformed_text_is_read_as_the_replacement_character),
        T(nfc_is_done_where_the_file_asks_for_it),
        T(text_cannot_make_control_tokens),
        T(tokenizer_config_decides_what_is_special),
        T(decoding_joins_bytes_before_it_judges_them),
        T(bytes_without_a_token_are_left_out),
        T(a_megabyte_of_one_letter_is_quick),
        T(bad_files_are_refused),
        T(bad_rank_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
