/* From the checkpoint to the backend, with every shape checked against the configuration. */
#ifndef DESKHAND_MODEL_LOAD_H
#define DESKHAND_MODEL_LOAD_H

#include "model/backend.h"
#include "model/lora_file.h"
#include "model/source.h"

struct lora;

struct load {
    const struct source *src;
    struct backend *b;
    struct lora_file *lora; /* may be NULL: its full tensors replace the checkpoint's */
    bool merge;             /* and its products are added to the weights */
    /* May be NULL. Nothing is loaded: the adapter is told of each place that it might change. */
    struct lora *adapt;
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
/* A tensor of any shape as it lies in the file, not copied; of a type that can be read. */
int load_shaped(struct load *l, const char *name, const int64_t *shape, int rank,
                struct source_tensor *ret, struct err *err);
void load_step(struct load *l);
/* "format" with the layer's number for its %d, and the suffix. */
void load_name(char *ret, size_t n, int layer, const char *format, const char *suffix);

#endif
