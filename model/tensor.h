/* A tensor as it lies in a checkpoint's file, and the types that its numbers may have: plain
 * floats, or ggml's blocks of quantised values
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). A block holds consecutive values of
 * one row; rows are whole blocks. */
#ifndef DESKHAND_MODEL_TENSOR_H
#define DESKHAND_MODEL_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tensor_dtype {
    TENSOR_F32,
    TENSOR_BF16,
    TENSOR_F16,
    TENSOR_Q8_0,
    TENSOR_Q4_0,
    TENSOR_Q4_1,
    TENSOR_Q5_0,
    TENSOR_Q5_1,
    TENSOR_Q2_K,
    TENSOR_Q3_K,
    TENSOR_Q4_K,
    TENSOR_Q5_K,
    TENSOR_Q6_K,
    TENSOR_PACKED8, /* model/quant.h's panels of a matrix: for load.c and the backend, not for the
                       rest */
    TENSOR_PACKED4,
    TENSOR_I8,   /* plain bytes, the raw look of the panels */
    TENSOR_OTHER /* known to exist, of no use here */
};

struct tensor {
    enum tensor_dtype dtype;
    int rank;
    int64_t shape[8]; /* outermost first, as in Hugging Face's names */
    const void *data; /* in the mapping, not necessarily aligned */
};

static inline bool tensor_is_packed(enum tensor_dtype d)
{
    return d == TENSOR_PACKED8 || d == TENSOR_PACKED4;
}

const char *tensor_dtype_name(enum tensor_dtype d); /* "BF16", "Q4_K" ... */

/* Values in a block and its bytes: 1 and 4, 2 or 2 for floats; 0 and 0 where there are no blocks.
 */
int tensor_block_values(enum tensor_dtype d);
int tensor_block_bytes(enum tensor_dtype d);

/* Bytes of n values; n is a multiple of the block. */
static inline size_t tensor_bytes(enum tensor_dtype d, size_t n)
{
    return n / (size_t)tensor_block_values(d) * (size_t)tensor_block_bytes(d);
}

/* Values from..from+n-1 of what begins at src, as the format defines them; both are multiples of
 * the block. src need not be aligned. Not for packed types. */
void tensor_to_f32(enum tensor_dtype d, const void *src, size_t from, size_t n, float *ret);

/* The other way, as ggml's reference rounds: F32, BF16, F16, Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1. False
 * for another type, nothing is written then. */
bool tensor_from_f32(enum tensor_dtype d, const float *x, size_t n, void *ret);

#endif
