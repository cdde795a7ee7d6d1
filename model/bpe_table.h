/* What a tokenizer is made of; between bpe_file.c and bpe_gguf.c, which fill it, and
 * bpe.c, which uses it. */
#ifndef DESKHAND_MODEL_BPE_TABLE_H
#define DESKHAND_MODEL_BPE_TABLE_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct token {
    char *s; /* bytes, NUL behind them */
    size_t n;
    bool special, added;
};

struct merge {
    int32_t left, right, into;
    int32_t rank; /* -1: an empty slot */
};

struct bpe {
    struct token *tokens;
    int n_tokens, cap_tokens;
    int32_t of_byte[256];
    struct merge *merges; /* open addressing, size is a power of two */
    size_t n_slots;
    int32_t *added; /* ids, longest string first */
    int n_added;
    bool nfc, is_qwen; /* is_qwen: the regex is Qwen's */
    pcre2_code *regex;
};

/* The first slot to look at for a pair; the search goes on to the next slots until an empty one. */
static inline size_t bpe_slot(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
    return (size_t)(h >> 32) & (b->n_slots - 1);
}

#define BPE_TOKENS_MAX (1 << 22)

/* How Qwen cuts text into pieces. */
#define BPE_QWEN_REGEX                                                                             \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"                           \
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* From the printable alphabet of tokenizer.json to bytes, heap; -EINVAL for a letter outside it. */
int bpe_decode_letters(const char *s, size_t n, char **ret, size_t *ret_n);
void bpe_encode_letters(const char *s, size_t n, struct str *ret);

void bpe_put_token(struct bpe *b, int32_t id, struct token t); /* takes t.s; id < BPE_TOKENS_MAX */
void bpe_new_merges(struct bpe *b, size_t n);                  /* makes room for n */
void bpe_add_merge(struct bpe *b, struct merge m);             /* the first of a pair counts */

/* After the last token. */
void bpe_list_added(struct bpe *b);
/* Small vocabularies leave out bytes that ordinary text does not have (SmolLM2's: 21 of them);
 * these bytes are then left out of a text too, as llama.cpp and tokenizers do. */
int bpe_check_bytes(const struct bpe *b, const char *path, struct err *err);
int bpe_compile(struct bpe *b, const char *regex, const char *path, struct err *err);

/* Tokens by their bytes: a slot holds the id or -1, n_slots is a power of two above twice the
 * number of tokens. */
struct bpe_bytes {
    int32_t *ids;
    size_t n_slots;
};
size_t bpe_bytes_slot(const struct bpe *b, const struct bpe_bytes *t, const char *s, size_t n);

#endif
