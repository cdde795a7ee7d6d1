/* Quantised products for AVX512_VNNI, which multiplies and adds 64 pairs of bytes at once. See
 * q8_vec.h. */
#define VL 16
#define MR 12
#define NV 2
#define KERNELS q8_avx512
#define DOT_HEADER "model/cpu/q8_dot_vnni.h"
#include "model/cpu/q8_vec.h"
