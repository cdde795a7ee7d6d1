/* The kernels for AVX2 with FMA: 16 registers of 8 floats. Compiled with -mavx2 -mfma; reached only
 * after cpu.c asked the CPU. See vec.h. */
#define VL 8
#define MR 6
#define KERNELS kernels_avx2
#define KERNELS_NAME "avx2"
#include "model/cpu/vec.h"
