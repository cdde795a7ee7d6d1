/* See shim.h. */
#include "tests/cuda_host/shim.h"

#include <cublas_v2.h>

#include <algorithm>
#include <assert.h>
#include <chrono>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vector>

#define MAX_THREADS 1024
#define STACK (64 << 10)

shim_index threadIdx, blockIdx, blockDim, gridDim;

/* ---- fibers ---- */

/* Keeps the registers that a call must keep on the stack, goes on with another one. */
extern "C" void shim_switch(void **keep, void *to);
__asm__(".text\n"
        "shim_switch:\n"
        "push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
        "mov %rsp, (%rdi)\n"
        "mov %rsi, %rsp\n"
        "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n"
        "ret\n");

static void *scheduler, *fibers[MAX_THREADS];
static char *stacks;
static bool is_done[MAX_THREADS];
static unsigned now;
static const std::function<void()> *body;

static void fiber()
{
    (*body)();
    is_done[now] = true;
    shim_switch(&fibers[now], scheduler);
}

void __syncthreads()
{
    unsigned me = now;

    shim_switch(&fibers[me], scheduler);
    threadIdx.x = me;
}

/* A stack on which shim_switch() finds zeros for the registers and fiber() to return to. */
static void *fresh_stack(unsigned t)
{
    void **top = (void **)(stacks + (size_t)(t + 1) * STACK);

    memset(top - 8, 0, 8 * sizeof(*top));
    top[-2] = (void *)fiber;
    return top - 8;
}

/* Every round runs each thread to its next barrier or its end. Some at a barrier while others have
 * ended is what a GPU does not promise to bear. */
static void run_block(unsigned threads)
{
    for (unsigned t = 0; t < threads; t++) {
        fibers[t] = fresh_stack(t);
        is_done[t] = false;
    }
    for (unsigned left = threads; left;) {
        for (now = 0; now < threads; now++) {
            threadIdx.x = now;
            shim_switch(&scheduler, fibers[now]);
            left -= is_done[now];
        }
        if (left && left != threads) {
            fprintf(stderr,
                    "shim: %u of %u threads have ended, the others wait at __syncthreads()\n",
                    threads - left, threads);
            abort();
        }
    }
}

void shim_launch(int blocks_x, int blocks_y, int threads, const std::function<void()> &kernel)
{
    assert(blocks_x > 0 && blocks_y > 0 && threads > 0 && threads <= MAX_THREADS);
    if (!stacks)
        stacks = (char *)aligned_alloc(64, (size_t)MAX_THREADS * STACK);
    body = &kernel;
    blockDim.x = threads;
    gridDim.x = blocks_x;
    gridDim.y = blocks_y;
    for (int y = 0; y < blocks_y; y++)
        for (int x = 0; x < blocks_x; x++) {
            blockIdx.x = x;
            blockIdx.y = y;
            run_block(threads);
        }
}

/* ---- the runtime ---- */

static int allocations_left;

void shim_fail_alloc(int n)
{
    allocations_left = n;
}

cudaError_t cudaMalloc(void **ret, size_t n)
{
    if (allocations_left == 1)
        return cudaErrorMemoryAllocation;
    if (allocations_left)
        allocations_left--;
    *ret = aligned_alloc(256, (n + 255) / 256 * 256);
    memset(*ret, 0xa5, n); /* nobody counts on zeros */
    return cudaSuccess;
}

cudaError_t cudaMallocManaged(void **ret, size_t n, unsigned flags)
{
    return cudaMalloc(ret, n);
}

cudaError_t cudaFree(void *p)
{
    free(p);
    return cudaSuccess;
}

cudaError_t cudaMemset(void *p, int value, size_t n)
{
    memset(p, value, n);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, int kind, cudaStream_t s)
{
    memcpy(to, from, n);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *ret, unsigned flags)
{
    *ret = NULL;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t e)
{
    return e == cudaErrorMemoryAllocation ? "out of memory" : e ? "invalid argument" : "no error";
}

cudaError_t cudaGetDeviceCount(int *ret)
{
    *ret = 1;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *ret, int attribute, int device)
{
    *ret = attribute == cudaDevAttrComputeCapabilityMajor ? 9 : 1;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    return cudaSuccess;
}

struct shim_event {
    std::chrono::steady_clock::time_point at;
};

cudaError_t cudaEventCreate(cudaEvent_t *ret)
{
    *ret = new shim_event;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    delete e;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    e->at = std::chrono::steady_clock::now();
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ret_ms, cudaEvent_t begin, cudaEvent_t end)
{
    *ret_ms = std::chrono::duration<float, std::milli>(end->at - begin->at).count();
    return cudaSuccess;
}

/* ---- cuBLAS, with plain loops ---- */

cublasStatus_t cublasCreate_v2(cublasHandle_t *ret)
{
    *ret = NULL;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t h)
{
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t h, cudaStream_t s)
{
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasGetStatusString(cublasStatus_t s)
{
    return s ? "invalid value" : "success";
}

static float value(const void *p, cudaDataType_t type, size_t i)
{
    union {
        uint32_t u;
        float f;
    } v;

    if (type == CUDA_R_32F)
        return ((const float *)p)[i];
    v.u = (uint32_t)((const uint16_t *)p)[i] << 16;
    return v.f;
}

cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                            int n, int k, const void *alpha, const void *a, cudaDataType_t type_a,
                            int ld_a, const void *b, cudaDataType_t type_b, int ld_b,
                            const void *beta, void *c, cudaDataType_t type_c, int ld_c, int compute,
                            int algorithm)
{
    float keep = *(const float *)beta, scale = *(const float *)alpha;

    if (op_a != CUBLAS_OP_T || op_b != CUBLAS_OP_N || type_a != type_b || type_c != CUDA_R_32F ||
        compute != CUBLAS_COMPUTE_32F || ld_a < k || ld_b < k || ld_c < m)
        return CUBLAS_STATUS_INVALID_VALUE;
    std::vector<float> a_t((size_t)k * m), sums(m);
    for (int i = 0; i < m; i++)
        for (int l = 0; l < k; l++)
            a_t[(size_t)l * m + i] = value(a, type_a, (size_t)i * ld_a + l);
    for (int j = 0; j < n; j++) {
        float *to = (float *)c + (size_t)j * ld_c;
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (int l = 0; l < k; l++) {
            float f = value(b, type_b, (size_t)j * ld_b + l);
            for (int i = 0; i < m; i++)
                sums[i] += f * a_t[(size_t)l * m + i];
        }
        for (int i = 0; i < m; i++)
            to[i] = scale * sums[i] + (keep != 0 ? keep * to[i] : 0);
    }
    return CUBLAS_STATUS_SUCCESS;
}
