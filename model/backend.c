#include "model/backend.h"

#include "model/cuda/cuda.h"

#include <string.h>

int backend_open(const char *name, const char *precision, int n_threads, struct backend **ret,
                 struct err *err)
{
    if (name && strcmp(name, "cuda") == 0)
        return backend_cuda_open(precision, ret, err);
    return backend_cpu_open(name, precision, n_threads, ret, err);
}
