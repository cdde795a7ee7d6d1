/* Adapters on a loaded model: applied beside the weights and taken off again, or merged into them
 * while they are loaded. */
#ifndef DESKHAND_MODEL_LORA_H
#define DESKHAND_MODEL_LORA_H

#include "model/backend.h"
#include "model/load.h"
#include "model/lora_file.h"

/* What an adapter adds to one linear layer of the plan: out += scale * up (down x). The layer's
 * parts (q, k and v) share one `down`. */
struct lora_linear {
    struct weight down; /* [rank, n_in], the parts' ranks together */
    int n_up;
    struct lora_up {
        struct weight w; /* [n_out, rank of the part], the adapter's factor multiplied in */
        int col, from;   /* first column of `out`, first row of down */
    } up[3];
    const struct lora *owner;
};

struct lora;

/* `dir` as PEFT writes it; `name` is what requests call it. */
int lora_open(const char *dir, const char *name, struct backend *b, struct lora **ret,
              struct err *err);
void lora_close(struct lora *a);
const char *lora_name(const struct lora *a);
/* Does it change what a picture's features are? */
bool lora_is_visual(const struct lora *a);

/* Called by the loading of a model with load.adapt: remembers what it has for the place `at`. */
int lora_adapt_linear(struct lora *a, struct load *l, int layer, const struct load_part *parts,
                      int n_parts, int n_in, bool bias, struct weight *at, struct err *err);
int lora_adapt_vector(struct lora *a, struct load *l, const char *name, int n, float **at,
                      struct err *err);
/* A matrix that is used as it lies in the file. */
int lora_adapt_table(struct lora *a, struct load *l, const char *name, const int64_t *shape,
                     int rank, struct source_tensor *at, struct err *err);
/* Replaces a weight that the plan computed itself; takes `own`. */
void lora_adapt_swap(struct lora *a, struct weight *at, const struct weight *own);
/* After the whole model: -EINVAL names what found no place. */
int lora_adapted(const struct lora *a, struct err *err);
struct lora_file *lora_of(struct lora *a);

/* Puts it on the model and takes it off; one at a time. */
void lora_attach(struct lora *a, float scale);
void lora_detach(struct lora *a);

/* b->linear() and what the attached adapter adds to this layer. */
void lora_run(struct backend *b, const struct weight *w, const float *x, size_t ld_x, int n,
              float *out, size_t ld_out, bool add);

/* out [n, n_out / 2] = silu(a) * b, the halves of lora_run()'s result; wide [n, n_out]: scratch. */
void lora_run_gated(struct backend *b, const struct weight *w, const float *x, size_t ld_x, int n,
                    float *wide, float *out);

/* Adds a pair's product, computed in f32, to n_out rows of f32: [n_out, n_in]. */
int lora_merge(const struct lora_pair *p, const char *module, int n_out, int n_in, float *w,
               struct err *err);

#endif
