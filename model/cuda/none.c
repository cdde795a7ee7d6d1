/* In the place of cuda.c in a program that is built without CUDA. */
#include "model/cuda/cuda.h"

#include <errno.h>

int backend_cuda_open(const char *precision, struct backend **ret, struct err *err)
{
    return err_set(err, -ENOTSUP,
                   "This program was built without CUDA; meson setup -Dcuda=enabled builds it in.");
}
