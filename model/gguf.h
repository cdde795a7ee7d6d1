/* A GGUF file, version 2 or 3, mapped read-only: metadata by key, tensors by name. Format:
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#ifndef DESKHAND_MODEL_GGUF_H
#define DESKHAND_MODEL_GGUF_H

#include "base/err.h"
#include "model/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gguf;

/* After success every value and tensor lies inside the file, keys and names are unique, and tensors
 * do not overlap. Everything handed out lives until gguf_close(). */
int gguf_open(const char *path, struct gguf **ret, struct err *err);
void gguf_close(struct gguf *g);
void gguf_drop_pages(const struct gguf *g); /* base/file.h */
const char *gguf_path(const struct gguf *g);

/* Bytes in the file, no NUL behind them, not necessarily UTF-8. */
struct gguf_text {
    const char *s;
    size_t n;
};
bool gguf_text_is(struct gguf_text t, const char *s);

/* A list of the metadata. Numbers (and booleans) have `width` bytes each; texts are walked over. */
struct gguf_list {
    uint64_t n;
    int type, width;
    const uint8_t *data;
};

bool gguf_has(const struct gguf *g, const char *key);
/* -ENOENT: there is no such key; -EINVAL: it has another type or lies outside lo..hi. */
int gguf_int(const struct gguf *g, const char *key, int64_t lo, int64_t hi, int64_t *ret,
             struct err *err);
int gguf_number(const struct gguf *g, const char *key, double lo, double hi, double *ret,
                struct err *err);
int gguf_string(const struct gguf *g, const char *key, struct gguf_text *ret, struct err *err);
int gguf_bool(const struct gguf *g, const char *key, bool *ret, struct err *err);
/* A list of numbers, or with `texts` of texts. */
int gguf_list(const struct gguf *g, const char *key, bool texts, struct gguf_list *ret,
              struct err *err);
double gguf_list_number(const struct gguf_list *l, uint64_t i); /* i < l->n */
/* The next text of a list and one less in l->n, which must not be 0. */
struct gguf_text gguf_list_next(struct gguf_list *l);

int gguf_n_tensors(const struct gguf *g);
/* In the order of the names. */
const struct tensor *gguf_tensor(const struct gguf *g, int i, const char **ret_name);
const struct tensor *gguf_find(const struct gguf *g, const char *name); /* NULL: not there */

#endif
