/* model/bpe.c. The input is a tokenizer.json, a line "---", and a text to encode; with an empty
 * first part a small good tokenizer stands in, which makes all of the input text. What was encoded
 * must decode to itself. */
#include "tests/fuzz/fuzz.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/bpe.h"
#include "tests/unit/model/small_tokenizer.h"

#include <string.h>

static void round_trip(const struct bpe *b, const char *text, size_t n, bool parse_special,
                       bool is_exact)
{
    int32_t *ids;
    int n_ids;
    struct err err = {0};
    if (bpe_encode(b, text, n, parse_special, &ids, &n_ids, &err) < 0) {
        CHECK(*err.text);
        return;
    }
    for (int i = 0; i < n_ids; i++) {
        size_t len;
        CHECK(bpe_token(b, ids[i], &len));
        CHECK(parse_special || !bpe_is_special(b, ids[i]));
    }
    AUTO_FREE char *back = bpe_decode(b, ids, n_ids, false);
    if (is_exact && utf8_valid(text, n) && !memchr(text, 0, n))
        CHECK(strlen(back) == n && memcmp(back, text, n) == 0);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct bpe *small;
    struct fuzz_part file = fuzz_next(&data, &n);
    struct err err = {0};
    if (!small) {
        AUTO(str_done) struct str s = {0};
        small_tokenizer_json(SMALL_TOKENIZER, &s);
        fuzz_put("tokenizer.json", s.s, s.n);
        CHECK(bpe_open(fuzz_dir(), &small, &err) == 0);
    }
    if (!n) { /* no separator */
        round_trip(small, file.s, file.n, false, true);
        round_trip(small, file.s, file.n, true, true);
        return 0;
    }
    struct bpe *b;
    fuzz_put("tokenizer.json", file.s, file.n);
    if (bpe_open(fuzz_dir(), &b, &err) < 0) {
        CHECK(err.code < 0 && *err.text);
        return 0;
    }
    round_trip(b, (const char *)data, n, false, false);
    round_trip(b, (const char *)data, n, true, false);
    bpe_close(b);
    return 0;
}
