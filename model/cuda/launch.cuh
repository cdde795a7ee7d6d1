/* How kernels start, and what they may use: threadIdx.x, blockIdx.x, blockIdx.y, blockDim.x,
 * gridDim.x,
 * __shared__ arrays of a fixed size and __syncthreads(), which every thread of a block reaches. No
 * shuffles, atomics, textures or other launches: tests/cuda_host runs the same source on a CPU. */
#ifndef DESKHAND_MODEL_CUDA_LAUNCH_CUH
#define DESKHAND_MODEL_CUDA_LAUNCH_CUH

#ifdef DESKHAND_CUDA_HOST
#include <shim.h>
#define LAUNCH(kernel, blocks_x, blocks_y, threads, stream, ...)                                   \
    shim_launch(blocks_x, blocks_y, threads, [=]() { kernel(__VA_ARGS__); })
#else
#include <cuda_runtime.h>
#define LAUNCH(kernel, blocks_x, blocks_y, threads, stream, ...)                                   \
    kernel<<<dim3(blocks_x, blocks_y), threads, 0, stream>>>(__VA_ARGS__)
#endif

#endif
