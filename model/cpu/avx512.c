/* The kernels for AVX-512: 32 registers of 16 floats. Compiled with -mavx512f and friends; reached
 * only after cpu.c asked the CPU. See vec.h. */
#define VL 16
#define MR 12
#define KERNELS kernels_avx512
#define KERNELS_NAME "avx512"
#include "model/cpu/vec.h"
