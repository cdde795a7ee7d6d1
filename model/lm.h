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
    struct kv_store kv;
};

struct lm {
    int d, n_head, n_kv_head, d_head, n_inner, n_layers, n_vocab, n_ctx;
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
void lm_done(struct lm *m, struct backend *b);

/* The embedding of a token, [d]. */
void lm_embed(const struct lm *m, int32_t id, float *ret);

/* Runs n <= LM_CHUNK rows through the layers at cache positions past.. . The rows are in m->x,
 * [n, d]; pos [3, ld_pos] from column 0. -ECANCELED when *cancel becomes true; positions from
 * `past` on are then undefined. The last row of the last layer stays in m->x + (n - 1) * d; the
 * other rows are then undefined. */
int lm_forward(struct lm *m, struct backend *b, int n, int past, const int32_t *pos, int ld_pos,
               const atomic_bool *cancel, struct err *err);

/* Logits of one row of m->x, ret [n_vocab]. */
void lm_logits(struct lm *m, struct backend *b, int row, float *ret);

#endif
