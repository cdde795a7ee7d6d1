/* What a tokenizer is made of; between bpe_file.c, which fills it, and bpe.c, which uses it. */
#ifndef DESKHAND_MODEL_BPE_TABLE_H
#define DESKHAND_MODEL_BPE_TABLE_H

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
    bool nfc;
    pcre2_code *regex;
};

/* The first slot to look at for a pair; the search goes on to the next slots until an empty one. */
static inline size_t bpe_slot(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
    return (size_t)(h >> 32) & (b->n_slots - 1);
}

#endif
