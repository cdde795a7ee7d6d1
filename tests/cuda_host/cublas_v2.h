/* The part of cuBLAS that model/cuda uses, as three plain loops. */
#ifndef DESKHAND_TESTS_CUBLAS_V2_H
#define DESKHAND_TESTS_CUBLAS_V2_H

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { CUBLAS_STATUS_SUCCESS = 0, CUBLAS_STATUS_INVALID_VALUE = 7 } cublasStatus_t;
typedef struct shim_blas *cublasHandle_t;
typedef enum { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 } cublasOperation_t;
enum { CUBLAS_COMPUTE_32F = 68, CUBLAS_GEMM_DEFAULT = -1 };

cublasStatus_t cublasCreate_v2(cublasHandle_t *ret);
cublasStatus_t cublasDestroy_v2(cublasHandle_t h);
cublasStatus_t cublasSetStream_v2(cublasHandle_t h, cudaStream_t s);
const char *cublasGetStatusString(cublasStatus_t s);
/* c [m, n] = alpha op(a) op(b) + beta c, column by column; only a transposed and b as it is. */
cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                            int n, int k, const void *alpha, const void *a, cudaDataType_t type_a,
                            int ld_a, const void *b, cudaDataType_t type_b, int ld_b,
                            const void *beta, void *c, cudaDataType_t type_c, int ld_c, int compute,
                            int algorithm);
#define cublasCreate cublasCreate_v2
#define cublasDestroy cublasDestroy_v2
#define cublasSetStream cublasSetStream_v2

#ifdef __cplusplus
}
#endif

#endif
