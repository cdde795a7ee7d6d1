/* Reads a tokenizer: tokenizer.json with tokenizer_config.json beside it, or a file of ranks.
 *
 * Token strings are kept as bytes; the printable alphabet of tokenizer.json is undone while
 * reading. What this engine would read otherwise than the reference (another normalizer, another
 * way to split, added tokens that eat spaces) is refused by its name, because wrong ids are
 * silent. */
#include "model/bpe.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/bpe_table.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX_BYTES ((size_t)256 << 20)

static int set_token(struct bpe *b, json_t *id, struct token t, const char *path, struct err *err)
{
    json_int_t i = json_is_integer(id) ? json_integer_value(id) : -1;
    if (i < 0 || i >= BPE_TOKENS_MAX) {
        free(t.s);
        return err_set(err, -EINVAL, "%s: a token has the id %lld, expected 0 to %d", path,
                       (long long)i, BPE_TOKENS_MAX - 1);
    }
    bpe_put_token(b, (int32_t)i, t);
    return 0;
}

static int read_merges(struct bpe *b, json_t *vocab, json_t *merges, const char *path,
                       struct err *err)
{
    size_t n = json_array_size(merges);
    if (!json_is_array(merges))
        return err_set(err, -EINVAL, "%s has no list model.merges", path);
    if (n > BPE_TOKENS_MAX)
        return err_set(err, -EINVAL, "%s has %zu merges, at most %d are taken", path, n,
                       BPE_TOKENS_MAX);
    bpe_new_merges(b, n);
    AUTO(str_done) struct str l = {0}, r = {0}, both = {0};
    for (size_t i = 0; i < n; i++) {
        json_t *m = json_array_get(merges, i);
        const char *a = NULL, *c = NULL;
        str_reset(&l);
        str_reset(&r);
        str_reset(&both);
        if (json_is_string(m)) {
            a = json_string_value(m);
            const char *space = strchr(a, ' ');
            if (space && space > a && space[1]) {
                str_add(&l, a, (size_t)(space - a));
                str_puts(&r, space + 1);
            }
        } else if (json_array_size(m) == 2) {
            a = json_string_value(json_array_get(m, 0));
            c = json_string_value(json_array_get(m, 1));
            if (a && c) {
                str_puts(&l, a);
                str_puts(&r, c);
            }
        }
        str_puts(&both, str_cstr(&l));
        str_puts(&both, str_cstr(&r));
        json_t *x = json_object_get(vocab, str_cstr(&l)), *y = json_object_get(vocab, str_cstr(&r));
        json_t *z = json_object_get(vocab, str_cstr(&both));
        if (!l.n || !r.n || !x || !y || !z)
            return err_set(err, -EINVAL, "%s: merge %zu does not name tokens of the vocabulary",
                           path, i);
        bpe_add_merge(b,
                      (struct merge){(int32_t)json_integer_value(x), (int32_t)json_integer_value(y),
                                     (int32_t)json_integer_value(z), (int32_t)i});
    }
    return 0;
}

/* Finds the one Split; the steps besides it may only be ByteLevel without a regex of its own. */
static int find_regex(json_t *pre, const char **ret, const char *path, struct err *err)
{
    const char *type = json_string_value(json_object_get(pre, "type"));
    if (str_eq(type, "Sequence")) {
        size_t i;
        json_t *one;
        json_array_foreach(json_object_get(pre, "pretokenizers"), i, one)
        {
            int rc = find_regex(one, ret, path, err);
            if (rc < 0)
                return rc;
        }
        return 0;
    }
    if (str_eq(type, "Split") && !*ret) {
        const char *behavior = json_string_value(json_object_get(pre, "behavior"));
        if (!str_eq(behavior, "Isolated") || json_is_true(json_object_get(pre, "invert")))
            return err_set(err, -ENOTSUP,
                           "%s: its Split has the behavior \"%.40s\"%s; only \"Isolated\" is "
                           "supported",
                           path, behavior ? behavior : "missing",
                           json_is_true(json_object_get(pre, "invert")) ? ", inverted" : "");
        *ret = json_string_value(json_object_get(json_object_get(pre, "pattern"), "Regex"));
        return 0;
    }
    if (str_eq(type, "ByteLevel") && !json_is_true(json_object_get(pre, "add_prefix_space")) &&
        json_is_false(json_object_get(pre, "use_regex")))
        return 0;
    return err_set(err, -ENOTSUP,
                   "%s: the pre_tokenizer step \"%.40s\" is not supported; expected one Split and "
                   "a ByteLevel without a regex",
                   path, type ? type : "missing");
}

static int read_normalizer(struct bpe *b, json_t *norm, const char *path, struct err *err)
{
    const char *type = json_string_value(json_object_get(norm, "type"));
    if (!norm || json_is_null(norm))
        return 0;
    if (str_eq(type, "NFC")) {
        b->nfc = true;
        return 0;
    }
    if (!str_eq(type, "Sequence"))
        return err_set(err, -ENOTSUP, "%s: the normalizer \"%.40s\" is not supported; only NFC is",
                       path, type ? type : "missing");
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(norm, "normalizers"), i, one)
    {
        int rc = read_normalizer(b, one, path, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_added(struct bpe *b, json_t *row, size_t i, const char *path, struct err *err)
{
    static const char *const flags[] = {"lstrip", "rstrip", "single_word"};
    const char *text = json_string_value(json_object_get(row, "content"));
    if (!text || !*text)
        return err_set(err, -EINVAL, "%s: added token %zu has no content", path, i);
    for (size_t k = 0; k < N_ELEMENTS(flags); k++)
        if (json_is_true(json_object_get(row, flags[k])))
            return err_set(err, -ENOTSUP, "%s: added token %.40s has %s, which is not supported",
                           path, text, flags[k]);
    json_t *id = json_object_get(row, "id");
    size_t n;
    const char *other =
        json_is_integer(id)
            ? bpe_token(b, (int32_t)CLAMP(json_integer_value(id), -1, BPE_TOKENS_MAX), &n)
            : NULL;
    if (other && strcmp(other, text) != 0)
        return err_set(err, -EINVAL, "%s: added token %.40s has the id %lld of another token", path,
                       text, (long long)json_integer_value(id));
    return set_token(b, id,
                     (struct token){.s = mem_strdup(text), .n = strlen(text), .added = true,
                                    .special = json_is_true(json_object_get(row, "special"))},
                     path, err);
}

static int read_file(struct bpe *b, json_t *root, const char *path, struct err *err)
{
    json_t *model = json_object_get(root, "model"), *vocab = json_object_get(model, "vocab");
    const char *key;
    json_t *value;
    int rc = 0;
    if (!json_is_object(vocab))
        return err_set(err, -EINVAL, "%s has no model.vocab", path);
    json_object_foreach(vocab, key, value)
    {
        struct token t = {0};
        if (bpe_decode_letters(key, strlen(key), &t.s, &t.n) < 0)
            return err_set(err, -EINVAL, "%s: token \"%.40s\" is not in the byte alphabet", path,
                           key);
        size_t n;
        json_int_t i = json_integer_value(value);
        if (i > 0 && i < b->n_tokens && bpe_token(b, (int32_t)i, &n)) {
            free(t.s);
            return err_set(err, -EINVAL, "%s: two tokens have the id %lld", path, (long long)i);
        }
        if ((rc = set_token(b, value, t, path, err)) < 0)
            return rc;
        if (t.n == 1)
            b->of_byte[(uint8_t)t.s[0]] = (int32_t)json_integer_value(value);
    }
    if ((rc = bpe_check_bytes(b, path, err)) < 0)
        return rc;
    rc = read_merges(b, vocab, json_object_get(model, "merges"), path, err);
    if (rc < 0)
        return rc;

    size_t i;
    json_array_foreach(json_object_get(root, "added_tokens"), i, value)
    {
        rc = read_added(b, value, i, path, err);
        if (rc < 0)
            return rc;
    }
    bpe_list_added(b);

    const char *regex = NULL;
    rc = read_normalizer(b, json_object_get(root, "normalizer"), path, err);
    if (rc == 0)
        rc = find_regex(json_object_get(root, "pre_tokenizer"), &regex, path, err);
    if (rc < 0)
        return rc;
    if (!regex)
        return err_set(err, -ENOTSUP, "%s: its pre_tokenizer has no Split with a Regex", path);
    return bpe_compile(b, regex, path, err);
}

/* tokenizer_config.json has the last word on which added tokens are special, as in transformers: a
 * tag such as <think> is a token but text. The file may be absent. */
static int read_flags(struct bpe *b, const char *dir, struct err *err)
{
    AUTO_FREE char *path = file_join(dir, "tokenizer_config.json");
    json_t *root;
    if (access(path, F_OK) != 0)
        return 0;
    int rc = json_read(path, FILE_MAX_BYTES, JSON_WANT_OBJECT, 0, &root, err);
    if (rc < 0)
        return rc;
    const char *id;
    json_t *row;
    json_object_foreach(json_object_get(root, "added_tokens_decoder"), id, row)
    {
        json_t *content = json_object_get(row, "content"),
               *special = json_object_get(row, "special");
        char *end;
        long i = strtol(id, &end, 10);
        if (*end || i < 0 || i >= b->n_tokens || !json_is_boolean(special) ||
            !str_eq(json_string_value(content), b->tokens[i].s))
            continue;
        b->tokens[i].special = json_is_true(special);
    }
    json_decref(root);
    return 0;
}

int bpe_open(const char *dir, struct bpe **ret, struct err *err)
{
    AUTO_FREE char *path = file_join(dir, "tokenizer.json");
    json_t *root;
    int rc = json_read(path, FILE_MAX_BYTES, JSON_WANT_OBJECT, 0, &root, err);
    if (rc < 0)
        return rc;
    struct bpe *b = mem_zalloc(sizeof *b);
    memset(b->of_byte, 0xff, sizeof b->of_byte);
    rc = read_file(b, root, path, err);
    json_decref(root);
    if (rc == 0)
        rc = read_flags(b, dir, err);
    if (rc < 0) {
        bpe_close(b);
        return rc;
    }
    *ret = b;
    return 0;
}

/* a file of ranks */

/* Bytes decoded in place of the text; -1 when it is no base64. */
static int base64(const char *s, size_t n, char *ret)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int n_bits = 0, out = 0;
    while (n && s[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++) {
        const char *at = memchr(letters, s[i], 64);
        if (!at)
            return -1;
        bits = bits << 6 | (uint32_t)(at - letters);
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            ret[out++] = (char)(bits >> n_bits);
        }
    }
    return out;
}

/* Two neighbours merge when their bytes together are a token, lowest rank first: every cut of every
 * token into two tokens is a merge of that token's rank. */
static void merges_from_ranks(struct bpe *b)
{
    struct bpe_bytes t = {.n_slots = 16};
    while (t.n_slots < 2 * (size_t)b->n_tokens)
        t.n_slots *= 2;
    t.ids = mem_alloc(t.n_slots * sizeof *t.ids);
    memset(t.ids, 0xff, t.n_slots * sizeof *t.ids);
    for (int32_t i = 0; i < b->n_tokens; i++)
        if (b->tokens[i].s)
            t.ids[bpe_bytes_slot(b, &t, b->tokens[i].s, b->tokens[i].n)] = i;
    for (int pass = 0; pass < 2; pass++) {
        size_t n = 0;
        for (int32_t i = 0; i < b->n_tokens; i++) {
            const struct token *k = &b->tokens[i];
            for (size_t cut = 1; cut < k->n; cut++) {
                int32_t l = t.ids[bpe_bytes_slot(b, &t, k->s, cut)];
                int32_t r = l < 0 ? -1 : t.ids[bpe_bytes_slot(b, &t, k->s + cut, k->n - cut)];
                if (r < 0)
                    continue;
                n++;
                if (pass == 1)
                    bpe_add_merge(b, (struct merge){l, r, i, i});
            }
        }
        if (pass == 0)
            bpe_new_merges(b, n);
    }
    free(t.ids);
}

static int read_ranks(struct bpe *b, const char *text, size_t n, const char *path, struct err *err)
{
    int line = 0, rc;
    for (size_t i = 0; i < n;) {
        const char *s = text + i, *nl = memchr(s, '\n', n - i);
        size_t len = nl ? (size_t)(nl - s) : n - i;
        const char *space = memchr(s, ' ', len);
        i += len + 1;
        line++;
        if (!len)
            continue;
        size_t n_base64 = space ? (size_t)(space - s) : 0;
        char *bytes = mem_alloc(n_base64 + 1), *end = NULL;
        int n_bytes = base64(s, n_base64, bytes);
        long rank = space ? strtol(space + 1, &end, 10) : -1;
        if (n_bytes < 1 || !space || end == space + 1 || end > s + len || rank < 0 ||
            rank >= BPE_TOKENS_MAX) {
            free(bytes);
            return err_set(err, -EINVAL, "%s: line %d is not \"base64 rank\" with a rank below %d",
                           path, line, BPE_TOKENS_MAX);
        }
        bytes[n_bytes] = 0;
        bpe_put_token(b, (int32_t)rank, (struct token){.s = bytes, .n = (size_t)n_bytes});
        if (n_bytes == 1)
            b->of_byte[(uint8_t)bytes[0]] = (int32_t)rank;
    }
    if ((rc = bpe_check_bytes(b, path, err)) < 0)
        return rc;
    merges_from_ranks(b);
    b->nfc = true;
    return bpe_compile(b, BPE_QWEN_REGEX, path, err);
}

int bpe_open_ranks(const char *path, struct bpe **ret, struct err *err)
{
    AUTO_FREE char *text = NULL;
    size_t n;
    int rc = file_read(path, FILE_MAX_BYTES, &text, &n, err);
    if (rc < 0)
        return rc;
    struct bpe *b = mem_zalloc(sizeof *b);
    memset(b->of_byte, 0xff, sizeof b->of_byte);
    rc = read_ranks(b, text, n, path, err);
    if (rc < 0) {
        bpe_close(b);
        return rc;
    }
    *ret = b;
    return 0;
}
