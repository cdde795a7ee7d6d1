/* What all backends share, and the choice between them. */
#include "model/backend.h"

#include "model/cuda/cuda.h"

#include <errno.h>
#include <string.h>

void weight_part_row(const struct weight_part *parts, int n_in, int row, float *ret)
{
    size_t n = (size_t)n_in;

    while (row >= parts->n_out)
        row -= parts++->n_out;
    tensor_to_f32(parts->dtype, parts->data, (size_t)row * n, n, ret);
}

bool backend_is_any(const char *s)
{
    return !s || !*s || strcmp(s, "auto") == 0;
}

int backend_check_precision(const char *precision, struct err *err)
{
    if (backend_is_any(precision) || strcmp(precision, "f32") == 0 ||
        strcmp(precision, "bf16") == 0)
        return 0;
    return err_set(err, -EINVAL, "Unknown precision \"%s\"; expected auto, f32 or bf16.",
                   precision);
}

int backend_open(const char *name, const char *precision, int n_threads, struct backend **ret,
                 struct err *err)
{
    if (name && strcmp(name, "cuda") == 0)
        return backend_cuda_open(precision, ret, err);
    return backend_cpu_open(name, precision, n_threads, ret, err);
}
