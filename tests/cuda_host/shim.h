/* What launch.cuh allows kernels, on a CPU: a block's threads are fibers of one thread,
 * __syncthreads() lets the next one run, and __shared__ memory is static, since blocks come one
 * after another. */
#ifndef DESKHAND_TESTS_CUDA_HOST_SHIM_H
#define DESKHAND_TESTS_CUDA_HOST_SHIM_H

#include <cuda_runtime_api.h>
#include <functional>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define __global__
#define __device__
#define __shared__ static

struct shim_index {
    unsigned x, y;
};
extern shim_index threadIdx, blockIdx, blockDim, gridDim;

void __syncthreads();
void shim_launch(int blocks_x, int blocks_y, int threads, const std::function<void()> &kernel);

static inline int min(int a, int b)
{
    return a < b ? a : b;
}

#endif
