/* Quantised products for AVX2. See q8_vec.h. */
#define VL 8
#define MR 4
#define NV 2
#define KERNELS q8_avx2
#define DOT_HEADER "model/cpu/q8_dot_avx2.h"
#include "model/cpu/q8_vec.h"
