/* The kernels, compiled for the CPU. */
#define DESKHAND_CUDA_HOST
#include "model/cuda/kernels.cu"
