#ifndef DESKHAND_MODEL_BPE_H
#define DESKHAND_MODEL_BPE_H
#include "base/err.h"
#include <stdint.h>
struct bpe;
int bpe_open(const char *dir, struct bpe **ret, struct err *err);
void bpe_close(struct bpe *b);
int bpe_n_tokens(const struct bpe *b);
const char *bpe_token(const struct bpe *b, int32_t id, size_t *n);
bool bpe_is_special(const struct bpe *b, int32_t id);
/* Id of an added token by its text, -1 when there is none. */
int32_t bpe_find_special(const struct bpe *b, const char *text);
int bpe_encode(const struct bpe *b, const char *t, size_t n, bool sp, int32_t **ids, int *ret_n, struct err *err);
char *bpe_decode(const struct bpe *b, const int32_t *ids, int n, bool skip);
#endif
