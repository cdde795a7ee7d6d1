/* Quantised products for any machine. See q8_vec.h. */
#define VL 4
#define MR 4
#define NV 2
#define KERNELS q8_generic
#define DOT_HEADER "model/cpu/q8_dot_plain.h"
#include "model/cpu/q8_vec.h"
