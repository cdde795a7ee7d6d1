/* The kernels for any machine that has vectors of four floats, or none: the compiler splits them
 * then. See vec.h. */
#define VL 4
#define MR 4
#define KERNELS kernels_generic
#define KERNELS_NAME "generic"
#include "model/cpu/vec.h"
