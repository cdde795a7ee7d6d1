#ifndef DESKHAND_MODEL_SAFETENSORS_H
#define DESKHAND_MODEL_SAFETENSORS_H
#include "base/err.h"
#include <stdint.h>
enum tensor_dtype { TENSOR_F32, TENSOR_BF16, TENSOR_F16, TENSOR_OTHER };
struct tensor { enum tensor_dtype dtype; int rank; int64_t shape[8]; const void *data; };
struct safetensors;
int safetensors_open(const char *dir, struct safetensors **ret, struct err *err);
void safetensors_close(struct safetensors *s);
const struct tensor *safetensors_find(const struct safetensors *s, const char *name);
const char *tensor_dtype_name(enum tensor_dtype d);
#endif
