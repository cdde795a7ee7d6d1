/* Reads a tokenizer from GGUF metadata, and writes it. Normal tokens are written in
 * tokenizer.json's printable alphabet, control tokens (<|im_end|>) and the user's own (<think>, if
 * it is one) as plain text. Only Qwen2's kind is known. add_bos is not read: the chat template says
 * where a text begins.
 *
 * Text is brought into NFC as in the original tokenizer, which llama.cpp does not do, unless a file
 * of our own says that its tokenizer leaves text as it is. */
#include "model/bpe.h"

#include "base/mem.h"
#include "base/str.h"
#include "model/bpe_table.h"
#include "model/gguf.h"
#include "model/gguf_write.h"

#include <errno.h>
#include <string.h>

#define NFC_KEY "deskhand.tokenizer.nfc"

enum token_type { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE };

static int must_be(const struct gguf *g, const char *key, const char *want, struct err *err)
{
    struct gguf_text t;
    AUTO(str_done) struct str shown = {0};
    int r = gguf_string(g, key, &t, err);

    if (r < 0 || gguf_text_is(t, want))
        return r;
    str_printable(&shown, t.s, t.n, 60);
    return err_set(err, -ENOTSUP, "%s: %s is \"%s\"; only \"%s\" is supported", gguf_path(g), key,
                   str_cstr(&shown), want);
}

static int read_token(struct bpe *b, const struct gguf *g, int32_t id, struct gguf_text text,
                      int type, struct err *err)
{
    struct token t = {0};

    if (type == TYPE_UNUSED)
        return 0;
    if (type == TYPE_CONTROL || type == TYPE_USER) {
        if (!text.n || memchr(text.s, 0, text.n))
            return err_set(err, -EINVAL, "%s: the added token %d is empty or holds a NUL",
                           gguf_path(g), id);
        t = (struct token){mem_strndup(text.s, text.n), text.n, type == TYPE_CONTROL, true};
    } else if (type == TYPE_NORMAL) {
        if (!text.n || bpe_decode_letters(text.s, text.n, &t.s, &t.n) < 0)
            return err_set(err, -EINVAL, "%s: token %d is not in the byte alphabet", gguf_path(g),
                           id);
        if (t.n == 1)
            b->of_byte[(uint8_t)t.s[0]] = id;
    } else {
        return err_set(err, -ENOTSUP, "%s: token %d has the type %d, which is not supported",
                       gguf_path(g), id, type);
    }
    bpe_put_token(b, id, t);
    return 0;
}

static int read_tokens(struct bpe *b, const struct gguf *g, struct err *err)
{
    struct gguf_list tokens, types;
    int r;

    if ((r = gguf_list(g, "tokenizer.ggml.tokens", true, &tokens, err)) < 0 ||
        (r = gguf_list(g, "tokenizer.ggml.token_type", false, &types, err)) < 0)
        return r;
    if (tokens.n < 256 || tokens.n > BPE_TOKENS_MAX || types.n != tokens.n)
        return err_set(err, -EINVAL,
                       "%s: %llu tokens with %llu types, expected as many, from 256 to %d",
                       gguf_path(g), (unsigned long long)tokens.n, (unsigned long long)types.n,
                       BPE_TOKENS_MAX);
    for (int32_t id = 0; tokens.n && r == 0; id++) {
        double type = gguf_list_number(&types, (uint64_t)id);
        struct gguf_text text = gguf_list_next(&tokens);
        r = read_token(b, g, id, text, type >= 0 && type < 100 ? (int)type : 100, err);
    }
    return r;
}

/* The id of a normal token by its letters, -1: there is none. */
static int32_t find_letters(const struct bpe *b, const struct bpe_bytes *t, const char *s, size_t n)
{
    AUTO_FREE char *bytes = NULL;
    size_t n_bytes;

    if (!n || bpe_decode_letters(s, n, &bytes, &n_bytes) < 0)
        return -1;
    return t->ids[bpe_bytes_slot(b, t, bytes, n_bytes)];
}

/* "left right"; the two together are a token too. */
static int read_merge(struct bpe *b, const struct gguf *g, const struct bpe_bytes *t, uint64_t rank,
                      struct gguf_text m, struct err *err)
{
    const char *space = m.n > 1 ? memchr(m.s + 1, ' ', m.n - 1) : NULL;
    size_t n = space ? (size_t)(space - m.s) : 0;
    int32_t l = space ? find_letters(b, t, m.s, n) : -1;
    int32_t r = space ? find_letters(b, t, space + 1, m.n - n - 1) : -1;
    int32_t into = -1;

    if (l >= 0 && r >= 0) {
        struct str both = {0};
        str_add(&both, b->tokens[l].s, b->tokens[l].n);
        str_add(&both, b->tokens[r].s, b->tokens[r].n);
        into = t->ids[bpe_bytes_slot(b, t, both.s, both.n)];
        str_done(&both);
    }
    if (into < 0)
        return err_set(err, -EINVAL, "%s: merge %llu does not name tokens of the vocabulary",
                       gguf_path(g), (unsigned long long)rank);
    bpe_add_merge(b, (struct merge){l, r, into, (int32_t)rank});
    return 0;
}

static int read_merges(struct bpe *b, const struct gguf *g, struct err *err)
{
    struct bpe_bytes t = {.n_slots = 16};
    struct gguf_list merges;
    int r = gguf_list(g, "tokenizer.ggml.merges", true, &merges, err);

    if (r < 0)
        return r;
    if (merges.n > BPE_TOKENS_MAX)
        return err_set(err, -EINVAL, "%s has %llu merges, at most %d are taken", gguf_path(g),
                       (unsigned long long)merges.n, BPE_TOKENS_MAX);
    while (t.n_slots < 2 * (size_t)b->n_tokens)
        t.n_slots *= 2;
    t.ids = mem_alloc(t.n_slots * sizeof(*t.ids));
    memset(t.ids, 0xff, t.n_slots * sizeof(*t.ids));
    for (int32_t i = 0; i < b->n_tokens && r == 0; i++) {
        const struct token *k = &b->tokens[i];
        if (!k->s || k->added)
            continue;
        int32_t *slot = &t.ids[bpe_bytes_slot(b, &t, k->s, k->n)];
        if (*slot >= 0)
            r = err_set(err, -EINVAL, "%s: tokens %d and %d are the same", gguf_path(g), *slot, i);
        *slot = i;
    }
    bpe_new_merges(b, (size_t)merges.n);
    for (uint64_t i = 0; merges.n && r == 0; i++) {
        struct gguf_text m = gguf_list_next(&merges);
        r = read_merge(b, g, &t, i, m, err);
    }
    free(t.ids);
    return r;
}

int bpe_open_gguf(const struct gguf *g, struct bpe **ret, struct err *err)
{
    struct bpe *b = mem_zalloc(sizeof(*b));
    int r;

    memset(b->of_byte, 0xff, sizeof(b->of_byte));
    b->nfc = true;
    if ((gguf_has(g, NFC_KEY) && (r = gguf_bool(g, NFC_KEY, &b->nfc, err)) < 0) ||
        (r = must_be(g, "tokenizer.ggml.model", "gpt2", err)) < 0 ||
        (r = must_be(g, "tokenizer.ggml.pre", "qwen2", err)) < 0 ||
        (r = read_tokens(b, g, err)) < 0 || (r = bpe_check_bytes(b, gguf_path(g), err)) < 0 ||
        (r = read_merges(b, g, err)) < 0 ||
        (r = bpe_compile(b, BPE_QWEN_REGEX, gguf_path(g), err)) < 0) {
        bpe_close(b);
        return r;
    }
    bpe_list_added(b);
    *ret = b;
    return 0;
}

/* writing */

static int by_rank(const void *a, const void *b)
{
    int32_t x = ((const struct merge *)a)->rank, y = ((const struct merge *)b)->rank;
    return x < y ? -1 : x > y;
}

static void write_merges(const struct bpe *b, struct gguf_out *w)
{
    struct merge *list = mem_alloc(sizeof(*list) * b->n_slots);
    struct str s = {0};
    size_t n = 0;

    for (size_t i = 0; i < b->n_slots; i++)
        if (b->merges[i].rank >= 0)
            list[n++] = b->merges[i];
    qsort(list, n, sizeof(*list), by_rank);
    gguf_out_texts(w, "tokenizer.ggml.merges", n);
    for (size_t i = 0; i < n; i++) {
        const struct token *l = &b->tokens[list[i].left], *r = &b->tokens[list[i].right];
        str_reset(&s);
        bpe_encode_letters(l->s, l->n, &s);
        str_putc(&s, ' ');
        bpe_encode_letters(r->s, r->n, &s);
        gguf_out_text(w, s.s, s.n);
    }
    str_done(&s);
    free(list);
}

int bpe_write_gguf(const struct bpe *b, int n_tokens, struct gguf_out *w, struct err *err)
{
    struct str s = {0};

    if (!b->is_qwen)
        return err_set(err, -ENOTSUP,
                       "the tokenizer does not cut text as Qwen2's does, and GGUF has no "
                       "name for its way");
    int n = MAX(n_tokens, b->n_tokens);
    AUTO_FREE int *types = mem_alloc(sizeof(*types) * (size_t)n);
    gguf_out_string(w, "tokenizer.ggml.model", "gpt2");
    gguf_out_string(w, "tokenizer.ggml.pre", "qwen2");
    gguf_out_bool(w, NFC_KEY, b->nfc);
    gguf_out_texts(w, "tokenizer.ggml.tokens", (size_t)n);
    for (int i = 0; i < n; i++) {
        const struct token *t = i < b->n_tokens && b->tokens[i].s ? &b->tokens[i] : NULL;
        types[i] = !t           ? TYPE_UNUSED
                   : t->special ? TYPE_CONTROL
                   : t->added   ? TYPE_USER
                                : TYPE_NORMAL;
        str_reset(&s);
        if (!t)
            str_printf(&s, "[PAD%d]", i);
        else if (t->added)
            str_add(&s, t->s, t->n);
        else
            bpe_encode_letters(t->s, t->n, &s);
        gguf_out_text(w, str_cstr(&s), s.n);
    }
    str_done(&s);
    gguf_out_ints(w, "tokenizer.ggml.token_type", types, (size_t)n);
    write_merges(b, w);
    return 0;
}
