/* Writes a GGUF file, version 3: keys first, then all tensors are announced, then their data come
 * in the same order. The file appears under its name only when it is complete. */
#ifndef DESKHAND_MODEL_GGUF_WRITE_H
#define DESKHAND_MODEL_GGUF_WRITE_H

#include "base/err.h"
#include "base/str.h"
#include "model/tensor.h"

#include <stdio.h>

struct gguf_out {
    struct str keys, tensors;
    uint64_t n_keys, n_tensors, offset;
    FILE *f;
    char *path, *part; /* the name to be and the name while it grows */
};

void gguf_out_init(struct gguf_out *w);
void gguf_out_done(struct gguf_out *w); /* before gguf_out_close(): the file is dropped */

void gguf_out_int(struct gguf_out *w, const char *key, uint32_t v);
void gguf_out_float(struct gguf_out *w, const char *key, float v);
void gguf_out_bool(struct gguf_out *w, const char *key, bool v);
void gguf_out_string(struct gguf_out *w, const char *key, const char *v);
void gguf_out_ints(struct gguf_out *w, const char *key, const int *v, size_t n);
void gguf_out_floats(struct gguf_out *w, const char *key, const float *v, size_t n);
/* n texts follow, each by gguf_out_text(). */
void gguf_out_texts(struct gguf_out *w, const char *key, size_t n);
void gguf_out_text(struct gguf_out *w, const char *s, size_t n);

/* Rows are whole blocks of the type. */
void gguf_out_tensor(struct gguf_out *w, const char *name, enum tensor_dtype d,
                     const int64_t *shape, int rank);
int gguf_out_open(struct gguf_out *w, const char *path, struct err *err);
int gguf_out_data(struct gguf_out *w, const void *data, size_t n, struct err *err);
int gguf_out_end_tensor(struct gguf_out *w, struct err *err); /* fills up to the alignment */
int gguf_out_close(struct gguf_out *w, struct err *err);

#endif
