/* The language model: rows of embeddings in, one row of logits out, keys and values kept. */
#ifndef DESKHAND_MODEL_LM_H
#define DESKHAND_MODEL_LM_H

#include "model/backend.h"
#include "model/config.h"
#include "model/load.h"

#include <stdatomic.h>

#define LM_CHUNK 512 /* tokens of a prompt that go through the layers together */

struct lm_layer {
    float *norm1, *norm2; /* [d] */
    struct weight qkv, o, gate_up, down;
};

/* Keys and values of one sequence, [n_layers]. */
struct lm_cache {
    int n_ctx; /* positions */
    int n_layers;
    struct kv_store *layers;
};

/* The rows of one sequence in a pass: n of them at positions past.. of its cache. */
struct lm_run {
    struct lm_cache *cache;
    int n, past;
    int n_out; /* the last n_out rows are wanted, at least one */
};

struct lm {
    int d, n_head, n_kv_head, d_head, n_inner, n_layers, n_vocab, n_ctx;
    bool kv_int8; /* caches keep int8 */
    float eps;
    double theta;
    int section[3];
    struct lm_layer *layers;
    float *norm; /* [d] */
    struct weight head;
    struct source_tensor embed; /* [n_vocab, d], one part, in the file */
    /* Scratch for LM_CHUNK rows, allocated once. */
    float *x, *h, *qkv, *wide, *inner, *cosine, *sine;
};

int lm_load(struct lm *m, const struct vlm_config *c, int n_ctx, struct load *l, struct err *err);
/* Every place of the model that an adapter may change, told to l->adapt. */
int lm_adapt(struct lm *m, const struct vlm_config *c, struct load *l, struct err *err);
void lm_done(struct lm *m, struct backend *b);

void lm_cache_init(struct lm_cache *k, const struct lm *m, struct backend *b, int n_ctx);
void lm_cache_done(struct lm_cache *k, struct backend *b);

/* The embedding of a token, [d]. */
void lm_embed(const struct lm *m, int32_t id, float *ret);

/* Runs the rows of some sequences, LM_CHUNK at most together, through the layers. They are in m->x,
 * [n, d], one sequence behind the other; pos [3, ld_pos] from column 0. -ECANCELED when *cancel
 * becomes true; positions from `past` on are then undefined. Afterwards the wanted rows of the last
 * layer are in m->x where the sequence's last rows were; the others are undefined. */
int lm_forward(struct lm *m, struct backend *b, const struct lm_run *runs, int n_runs,
               const int32_t *pos, int ld_pos, const atomic_bool *cancel, struct err *err);

/* Logits of n rows of m->x from `row` on, ret [n, n_vocab], a buffer of the backend. */
int lm_logits(struct lm *m, struct backend *b, int row, int n, float *ret, struct err *err);

#endif
