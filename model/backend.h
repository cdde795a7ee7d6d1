/* What the plan of the network (vit.c, merger.c, lm.c) asks of a machine: a table of operations on
 * f32 activations. A row is one token; every matrix product accumulates in f32, and in the
 * precision "bf16" its two sides are rounded to bf16 first. How a weight lies in memory is the
 * backend's business: the plan only holds `struct weight`.
 *
 * Activations, angles and the vectors of the norms lie in buffers of the backend, which the plan
 * reads and writes like any memory, but not between an operation on them and the next sync().
 *
 * Results do not depend on the number of threads. One thread at a time calls into a backend. */
#ifndef DESKHAND_MODEL_BACKEND_H
#define DESKHAND_MODEL_BACKEND_H

#include "base/err.h"
#include "model/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BACKEND_MAX_D_HEAD 256
#define BACKEND_FEW_ROWS 8

enum weight_kind { WEIGHT_F32, WEIGHT_BF16, WEIGHT_INT8, WEIGHT_INT4 };

/* Rows of a matrix in the checkpoint, [n_out, n_in], not owned. */
struct weight_part {
    const void *data;
    /* Any but TENSOR_OTHER; n_in is a multiple of its block. Packed only when all parts are, as
     * pack_as says, and all but the last have a multiple of 32 rows. */
    enum tensor_dtype dtype;
    int n_out;
};

/* A linear layer y = W x + bias, ready for the backend. Several parts of the checkpoint may be
 * stacked into one (q, k and v; gate and up). */
struct weight {
    int n_out, n_in;
    enum weight_kind kind; /* of `data` */
    void *data;            /* owned */
    size_t n_bytes;        /* of data */
    float *bias;           /* [n_out padded], owned, NULL: none */
    const struct lora_linear *lora; /* not the backend's business: see lora.h */
};

/* Keys and values of one attention layer, position by position; how they lie in memory is the
 * backend's business. n_cap: positions. */
struct kv_store {
    int n_head, d_head, n_cap;
    size_t n_bytes; /* of k and v together, scales included */
    void *k, *v;
    void *scales; /* NULL: not of kv_alloc_bytes() */
    /* Of each position, [n_head, n_cap]; NULL: not of kv_alloc_int8(). */
    float *k_scale, *v_scale;
};

/* Rows begin..end-1. */
struct span {
    int begin, end;
};

/* Row i of q, inside spans[s], sees the keys of spans[s] shifted by nothing; with `causal` there is
 * one span of queries 0..n-1 that stand at positions base..base+n-1 and see all keys up to
 * themselves. */
struct attend {
    const float *q; /* [n, ld_q], heads of d_head from column 0 */
    size_t ld_q;
    float *out; /* [n, ld_out] */
    size_t ld_out;
    int n_head; /* of q; a multiple of kv->n_head */
    float scale;
    const struct kv_store *kv;
    const struct span *spans;
    int n_spans;
    bool causal;
    int base;
};

/* What this machine could do with all threads: multiplications and additions in registers (0: it
 * has no instruction for them), and reading memory on the pages that weights get. */
struct backend_peaks {
    double f32_gflops, bf16_gflops, int8_gops, read_gb_s;
};

struct backend {
    const char *name;
    int n_threads;
    /* How weight_pack() stores from now on: WEIGHT_INT8 or WEIGHT_INT4 (model/quant.h), anything
     * else: as the precision wants it. */
    enum weight_kind pack_as;

    /* Do operations take any memory, not just buffers? */
    bool is_host;

    void (*close)(struct backend *b);
    /* Zeroed, 64-byte aligned; in bytes. `whole`: it is used from end to end, as mem_large() has
     * it. */
    void *(*buffer)(struct backend *b, size_t n, bool whole);
    void (*buffer_done)(struct backend *b, void *buffer); /* NULL: nothing */
    /* Waits for all operations. What has failed, a device out of memory, say, is an error here, now
     * and from then on; results are worthless. */
    int (*sync)(struct backend *b, struct err *err);
    /* n_in is common to the parts; bias: [sum of n_out] or NULL, copied. */
    void (*weight_pack)(struct backend *b, const struct weight_part *parts, int n_parts, int n_in,
                        const float *bias, struct weight *ret);
    void (*weight_done)(struct backend *b, struct weight *w);
    void (*kv_alloc)(struct backend *b, int n_head, int d_head, int n_cap, struct kv_store *ret);
    /* The same in half the memory: each row of a head rounded to int8 with a scale of its own. NULL
     * where the backend has no such thing. */
    void (*kv_alloc_int8)(struct backend *b, int n_head, int d_head, int n_cap,
                          struct kv_store *ret);
    /* A store of bytes, less exact and about twice as fast: filled by one kv_put() at position 0
     * and asked without `causal`. False where the backend has no such thing. */
    bool (*kv_alloc_bytes)(struct backend *b, int n_head, int d_head, int n_cap,
                           struct kv_store *ret);
    void (*kv_done)(struct backend *b, struct kv_store *kv);

    /* out [n, ld_out] = (add ? out : 0) + x [n, w->n_in] W^T + bias. Of up to BACKEND_FEW_ROWS rows
     * each gets the numbers it has alone, to the bit: guessed tokens and batches rely on it. */
    void (*linear)(struct backend *b, const struct weight *w, const float *x, size_t ld_x, int n,
                   float *out, size_t ld_out, bool add);
    /* out [n, n_out / 2] = silu(a) * b, where a and b are the two halves of linear()'s result,
     * which is never written. False, and nothing done, when the backend has no such way for this
     * weight. */
    bool (*linear_gated)(struct backend *b, const struct weight *w, const float *x, size_t ld_x,
                         int n, float *out, size_t ld_out);
    /* out = x / sqrt(mean(x^2) + eps) * w, rows of d; out may be x */
    void (*rms_norm)(struct backend *b, const float *x, const float *w, int n, int d, float eps,
                     float *out);
    /* out [n, d] = silu(x[:, 0..d]) * x[:, d..2d] */
    void (*silu_mul)(struct backend *b, const float *x, int n, int d, float *out);
    /* x = x * 0.5 (1 + erf(x / sqrt 2)) over n * d values in place */
    void (*gelu)(struct backend *b, float *x, int n, int d);
    /* Rotates the pairs (j, j + d_head/2) of n_head heads of each row in place by the angles whose
     * cosines and sines are given, [n, d_head/2]. */
    void (*rope)(struct backend *b, float *x, size_t ld, int n, int n_head, int d_head,
                 const float *cosine, const float *sine);
    /* Stores rows 0..n-1 at positions pos.. */
    void (*kv_put)(struct backend *b, struct kv_store *kv, const float *k, const float *v,
                   size_t ld, int n, int pos);
    void (*attend)(struct backend *b, const struct attend *a);

    void (*measure)(struct backend *b, struct backend_peaks *ret);
};

/* Row `row` of the parts, one below the other, [n_in]; not of packed ones. */
void weight_part_row(const struct weight_part *parts, int n_in, int row, float *ret);

/* NULL, "" or "auto"? */
bool backend_is_any(const char *s);
/* -EINVAL unless it is "f32", "bf16" or any. */
int backend_check_precision(const char *precision, struct err *err);

/* "cuda" (model/cuda/cuda.h), which is asked for by name only, or as backend_cpu_open() says. */
int backend_open(const char *name, const char *precision, int n_threads, struct backend **ret,
                 struct err *err);

/* name: NULL or "auto": the best of "generic", "avx2", "avx512", "avx512bf16" that this CPU runs in
 * the precision. precision: "f32", "bf16" (only "avx512bf16" has it), NULL or "auto": whichever the
 * name has, bf16 where the CPU has it. n_threads 0: as many as CPUs this process may use. */
int backend_cpu_open(const char *name, const char *precision, int n_threads, struct backend **ret,
                     struct err *err);

static inline float bf16_to_f32(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v = {.u = (uint32_t)h << 16};
    return v.f;
}
float f16_to_f32(uint16_t h);

#endif
