/* Quantised products for AVX-VNNI, on machines without AVX-512. See q8_vec.h. */
#define VL 8
#define MR 4
#define NV 2
#define KERNELS q8_avxvnni
#define DOT_HEADER "model/cpu/q8_dot_vnni.h"
#include "model/cpu/q8_vec.h"
