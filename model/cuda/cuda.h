/* The backend for NVIDIA GPUs. Weights and keys and values live in the GPU's memory, activations in
 * memory that both sides see. */
#ifndef DESKHAND_MODEL_CUDA_CUDA_H
#define DESKHAND_MODEL_CUDA_CUDA_H

#include "model/backend.h"

/* On the first GPU. precision: "bf16", "f32", NULL or "auto": bf16. -ENOTSUP where this program was
 * built without CUDA, or the machine has no GPU that will do. */
int backend_cuda_open(const char *precision, struct backend **ret, struct err *err);

#endif
