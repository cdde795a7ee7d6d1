/* Filling the tables of a tokenizer: what the readers of tokenizer.json, of rank files and of GGUF
 * have in common. */
#include "model/bpe_table.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <string.h>

/* The file's alphabet: printable Latin-1 stands for itself, the other bytes follow from U+0100. */
static void byte_alphabet(int of_cp[512])
{
    int next = 256;
    for (int i = 0; i < 512; i++)
        of_cp[i] = -1;
    for (int b = 0; b < 256; b++) {
        bool plain = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        of_cp[plain ? b : next++] = b;
    }
}

int bpe_decode_letters(const char *s, size_t n, char **ret, size_t *ret_n)
{
    int of_cp[512];
    byte_alphabet(of_cp);
    size_t out = 0;
    char *b = mem_alloc(n + 1);
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += (size_t)utf8_next(s + i, n - i, &cp);
        if (cp >= 512 || of_cp[cp] < 0) {
            free(b);
            return -EINVAL;
        }
        b[out++] = (char)of_cp[cp];
    }
    b[out] = 0;
    *ret = b;
    *ret_n = out;
    return 0;
}

void bpe_encode_letters(const char *s, size_t n, struct str *ret)
{
    int of_cp[512], of_byte[256];
    byte_alphabet(of_cp);
    for (int i = 0; i < 512; i++)
        if (of_cp[i] >= 0)
            of_byte[of_cp[i]] = i;
    for (size_t i = 0; i < n; i++) {
        char c[4];
        str_add(ret, c, (size_t)utf8_put(c, (uint32_t)of_byte[(uint8_t)s[i]]));
    }
}

void bpe_add_merge(struct bpe *b, struct merge m)
{
    size_t i = bpe_slot(b, m.left, m.right);
    while (b->merges[i].rank >= 0) {
        if (b->merges[i].left == m.left && b->merges[i].right == m.right)
            return;
        i = (i + 1) & (b->n_slots - 1);
    }
    b->merges[i] = m;
}

/* The room doubles: ids mostly come in order. */
void bpe_put_token(struct bpe *b, int32_t id, struct token t)
{
    if (id >= b->cap_tokens) {
        int cap = MAX(id + 1, 2 * b->cap_tokens);
        b->tokens = mem_realloc(b->tokens, (size_t)cap * sizeof *b->tokens);
        memset(b->tokens + b->cap_tokens, 0, (size_t)(cap - b->cap_tokens) * sizeof *b->tokens);
        b->cap_tokens = cap;
    }
    b->n_tokens = MAX(b->n_tokens, id + 1);
    free(b->tokens[id].s);
    b->tokens[id] = t;
}

void bpe_new_merges(struct bpe *b, size_t n)
{
    b->n_slots = 16;
    while (b->n_slots < 2 * n + 1)
        b->n_slots *= 2;
    b->merges = mem_alloc(b->n_slots * sizeof *b->merges);
    for (size_t i = 0; i < b->n_slots; i++)
        b->merges[i].rank = -1;
}

static int longest_first(const void *x, const void *y, void *bpe)
{
    const struct token *tokens = ((const struct bpe *)bpe)->tokens;
    size_t a = tokens[*(const int32_t *)x].n, b = tokens[*(const int32_t *)y].n;
    return a < b ? 1 : a > b ? -1 : 0;
}

void bpe_list_added(struct bpe *b)
{
    b->added = mem_alloc((size_t)MAX(b->n_tokens, 1) * sizeof *b->added);
    for (int k = 0; k < b->n_tokens; k++)
        if (b->tokens[k].added)
            b->added[b->n_added++] = k;
    qsort_r(b->added, (size_t)b->n_added, sizeof *b->added, longest_first, b);
}

int bpe_compile(struct bpe *b, const char *regex, const char *path, struct err *err)
{
    int code;
    PCRE2_SIZE at;
    b->regex = pcre2_compile((PCRE2_SPTR)regex, strlen(regex),
                             PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK, &code, &at, NULL);
    if (!b->regex)
        return err_set(err, -EINVAL, "%s: its Split regex is bad at character %zu", path, at);
    b->is_qwen = strcmp(regex, BPE_QWEN_REGEX) == 0;
    return 0;
}

/* Control characters, planes of Unicode without a letter, and bytes that UTF-8 never has. */
static bool is_rare(int byte)
{
    return (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7f ||
           byte == 0xc0 || byte == 0xc1 || byte == 0xf1 || byte == 0xf2 || byte > 0xf4;
}

int bpe_check_bytes(const struct bpe *b, const char *path, struct err *err)
{
    for (int i = 0; i < 256; i++)
        if (b->of_byte[i] < 0 && !is_rare(i))
            return err_set(err, -EINVAL, "%s has no token for the byte 0x%02x", path, i);
    return 0;
}

size_t bpe_bytes_slot(const struct bpe *b, const struct bpe_bytes *t, const char *s, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)s[i]) * 0x100000001b3u;
    for (size_t i = (size_t)(h ^ h >> 32);; i++) {
        int32_t id = t->ids[i & (t->n_slots - 1)];
        if (id < 0 || (b->tokens[id].n == n && memcmp(b->tokens[id].s, s, n) == 0))
            return i & (t->n_slots - 1);
    }
}
