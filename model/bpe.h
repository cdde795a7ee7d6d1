/* The tokenizer: text to ids and back, as tokenizer.json of the checkpoint describes it (byte-level
 * BPE). A `struct bpe` never changes after it was opened, so any thread may use it. */
#ifndef DESKHAND_MODEL_BPE_H
#define DESKHAND_MODEL_BPE_H

#include "base/err.h"

#include <stdint.h>

struct bpe;

/* Reads dir/tokenizer.json. */
int bpe_open(const char *dir, struct bpe **ret, struct err *err);
/* From a file of ranks, lines of "base64 rank" (*.tiktoken), with Qwen's regex and NFC and without
 * added tokens. The merges follow from the ranks. */
int bpe_open_ranks(const char *path, struct bpe **ret, struct err *err);
/* From the metadata of a GGUF file. */
struct gguf;
int bpe_open_gguf(const struct gguf *g, struct bpe **ret, struct err *err);
/* The other way: the keys of a tokenizer, n_tokens ids in all, more than there are if need be.
 * -ENOTSUP when it does not cut text as Qwen2's does. */
struct gguf_out;
int bpe_write_gguf(const struct bpe *b, int n_tokens, struct gguf_out *w, struct err *err);
void bpe_close(struct bpe *b);

int bpe_n_tokens(const struct bpe *b); /* the highest id + 1 */

/* The bytes that a token stands for, NUL-terminated besides *ret_n; NULL for an unused id. */
const char *bpe_token(const struct bpe *b, int32_t id, size_t *ret_n);

/* A control token that never stands for text: <|im_end|> and the like. */
bool bpe_is_special(const struct bpe *b, int32_t id);

/* Id of an added token by its text, -1 when there is none. */
int32_t bpe_find_special(const struct bpe *b, const char *text);

/* Without parse_special the text can not produce a special token, whatever it says; added tokens
 * that are not special (<think>) are always recognised, as transformers does. Malformed UTF-8 is
 * read as U+FFFD. *ret_ids: heap, never NULL on success. */
int bpe_encode(const struct bpe *b, const char *text, size_t n, bool parse_special,
               int32_t **ret_ids, int *ret_n, struct err *err);

/* Heap string; what is no UTF-8 after all tokens were joined becomes U+FFFD. Ids that do not exist
 * are left out. */
char *bpe_decode(const struct bpe *b, const int32_t *ids, int n, bool skip_special);

#endif
