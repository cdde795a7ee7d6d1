/* The part of CUDA's runtime that model/cuda uses, on a CPU: memory is memory, a stream is done
 * with everything at once. Stands before the real one on the include path of the tests. */
#ifndef DESKHAND_TESTS_CUDA_RUNTIME_API_H
#define DESKHAND_TESTS_CUDA_RUNTIME_API_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2
} cudaError_t;
typedef struct shim_stream *cudaStream_t;
typedef struct shim_event *cudaEvent_t;
enum { cudaMemcpyHostToDevice = 1, cudaMemAttachGlobal = 1, cudaStreamNonBlocking = 1 };
enum { cudaDevAttrComputeCapabilityMajor = 75, cudaDevAttrConcurrentManagedAccess = 89 };
typedef enum { CUDA_R_32F = 0, CUDA_R_16BF = 14 } cudaDataType_t;

cudaError_t cudaMalloc(void **ret, size_t n);
cudaError_t cudaMallocManaged(void **ret, size_t n, unsigned flags);
cudaError_t cudaFree(void *p);
cudaError_t cudaMemset(void *p, int value, size_t n);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, int kind, cudaStream_t s);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *ret, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t s);
cudaError_t cudaStreamSynchronize(cudaStream_t s);
cudaError_t cudaGetLastError(void);
const char *cudaGetErrorString(cudaError_t e);
cudaError_t cudaGetDeviceCount(int *ret);
cudaError_t cudaDeviceGetAttribute(int *ret, int attribute, int device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaEventCreate(cudaEvent_t *ret);
cudaError_t cudaEventDestroy(cudaEvent_t e);
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s);
cudaError_t cudaEventSynchronize(cudaEvent_t e);
cudaError_t cudaEventElapsedTime(float *ret_ms, cudaEvent_t begin, cudaEvent_t end);

/* For tests: the n-th allocation from now on fails, and those after it; 0: none. */
void shim_fail_alloc(int n);

#ifdef __cplusplus
}
#endif

#endif
