/* The kernels, as C calls them: each starts on the stream and returns at once. Pointers are to
 * memory that the GPU reaches; rows are as in model/backend.h. */
#ifndef DESKHAND_MODEL_CUDA_KERNELS_H
#define DESKHAND_MODEL_CUDA_KERNELS_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* BACKEND_FEW_ROWS, those that cuda_few takes at most, and BACKEND_MAX_D_HEAD. */
enum { CUDA_FEW = 8, CUDA_MAX_HEAD = 256 };

/* How a matrix [n_out, n_in] lies in memory: rows of ld floats or bf16, or model/quant.h's panels.
 */
enum cuda_layout { CUDA_F32, CUDA_BF16, CUDA_INT8, CUDA_INT4 };

struct cuda_matrix {
    enum cuda_layout layout;
    int n_out, n_in;
    size_t ld; /* of CUDA_F32 and CUDA_BF16 */
    const void *data;
    const float *bias; /* [n_out] or NULL */
    size_t panel_bytes;
};

/* out [n, ld_out] = (add ? out : 0) + x w^T + bias for 1 <= n <= CUDA_FEW; each row as it would be
 * alone. `round`: x to bf16 first. */
void cuda_few(cudaStream_t s, const struct cuda_matrix *w, const float *x, size_t ld_x, int n,
              bool round, float *out, size_t ld_out, bool add);
/* Panels as rows of ld floats or, with to_bf16, of ld bf16; columns from n_in on become 0. */
void cuda_unpack(cudaStream_t s, const struct cuda_matrix *w, bool to_bf16, void *ret, size_t ld);
/* [n, d] to bf16, rows of ld, filled with 0. */
void cuda_to_bf16(cudaStream_t s, const float *x, size_t ld_x, int n, int d, uint16_t *ret,
                  size_t ld);
/* out [n, ld_out] += bias [n_out] */
void cuda_add_bias(cudaStream_t s, const float *bias, int n, int n_out, float *out, size_t ld_out);

void cuda_rms_norm(cudaStream_t s, const float *x, const float *w, int n, int d, float eps,
                   float *out);
void cuda_silu_mul(cudaStream_t s, const float *x, int n, int d, float *out);
void cuda_gelu(cudaStream_t s, float *x, size_t n);
void cuda_rope(cudaStream_t s, float *x, size_t ld, int n, int n_head, int d_head,
               const float *cosine, const float *sine);

/* Keys [n_head][d_head][n_cap], values [n_head][n_cap][d_head], bf16 or f32. */
struct cuda_kv {
    int n_head, d_head, n_cap;
    bool is_bf16;
    void *k, *v;
};
void cuda_kv_put(cudaStream_t s, const struct cuda_kv *kv, const float *k, const float *v,
                 size_t ld, int n, int pos);

struct cuda_attend {
    struct cuda_kv kv;
    const float *q;
    size_t ld_q;
    float *out;
    size_t ld_out;
    int n, n_head; /* queries; heads of them */
    float scale;
    /* Keys range[2 i] to range[2 i + 1] - 1 for query i, which is left out if there are none; NULL:
     * keys up to position base + i. */
    const int *range;
    int base;
};
void cuda_attend(cudaStream_t s, const struct cuda_attend *a);

/* Reads n floats; for measuring. */
void cuda_read_all(cudaStream_t s, const float *x, size_t n, float *ret);

#ifdef __cplusplus
}
#endif

#endif
