/* From the checkpoint to the backend, with every shape checked against the configuration. */
#ifndef DESKHAND_MODEL_LOAD_H
#define DESKHAND_MODEL_LOAD_H

#include "model/backend.h"
#include "model/safetensors.h"

struct load {
    const struct safetensors *st;
    struct backend *b;
    int64_t n_params;
    size_t bytes; /* of packed weights */
    int n_steps, step;
    void (*on_progress)(void *user, float share);
    void *user;
};

/* The first `n` names (at most 3) are stacked along their rows; a name is without ".weight". Rows
 * of each are given by n_out. With `bias`, "name.bias" of each is read too. "%d" in a name is the
 * layer. */
struct load_part {
    const char *name;
    int n_out;
};
int load_linear(struct load *l, int layer, const struct load_part *parts, int n_parts, int n_in,
                bool bias, struct weight *ret, struct err *err);
/* A vector of n floats, heap. */
int load_vector(struct load *l, int layer, const char *name, int n, float **ret, struct err *err);
/* A matrix as it lies in the file, not copied. */
int load_raw(struct load *l, const char *name, int n_out, int n_in, struct weight_part *ret,
             struct err *err);
/* The same with any shape of rank up to 5. */
int load_shaped(struct load *l, const char *name, const int64_t *shape, int rank,
                struct weight_part *ret, struct err *err);
void load_convert(const struct weight_part *p, size_t from, size_t n, float *ret);
void load_step(struct load *l);

#endif
