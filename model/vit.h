/* The vision tower and the merger behind it: patches in, rows of the language model's width out. */
#ifndef DESKHAND_MODEL_VIT_H
#define DESKHAND_MODEL_VIT_H

#include "base/flow.h"
#include "model/backend.h"
#include "model/config.h"
#include "model/load.h"

#include <stdatomic.h>

struct vit_block {
    float *norm1, *norm2; /* [d] */
    struct weight qkv, proj, gate_up, down;
};

struct merger {
    float *norm;         /* [d] */
    struct weight fc, out; /* [4 d, 4 d], [d_out, 4 d] */
};

struct vit {
    int d, n_head, n_inner, merge, side; /* side of a window in merged groups */
    int n_blocks;
    struct vit_block *blocks;
    bool *is_full;             /* [n_blocks]: attends over the whole frame */
    struct weight patch_image; /* both temporal slices summed: [d, 3 p p] */
    struct weight patch_video; /* [d, 3 t p p] */
    struct merger merger;

    /* Scratch of vit_encode, kept for the next picture. */
    int n_scratch; /* patches that fit */
    float *x, *h, *qkv, *wide, *cosine, *sine;
    struct kv_store kv, kv_bytes; /* the second: whole frames, where the weights are bytes too */
    bool has_bytes;
};

int vit_load(struct vit *v, const struct vlm_config *c, struct load *l, struct err *err);
/* Every place of the tower that an adapter may change, told to l->adapt. */
int vit_adapt(struct vit *v, const struct vlm_config *c, struct load *l, struct err *err);
void vit_done(struct vit *v, struct backend *b);

/* Features of every visual token, ret_rows [patches_n_tokens(p), d_out], heap. -ECANCELED when
 * *cancel becomes true. */
int vit_encode(struct vit *v, struct backend *b, const struct patches *p,
               const atomic_bool *cancel, float **ret_rows, struct err *err);

/* merger.c: x [n_groups * merge^2, d] -> out [n_groups, d_out] */
int merger_load(struct merger *m, const struct vlm_config *c, struct load *l, struct err *err);
void merger_done(struct merger *m, struct backend *b);
void merger_run(const struct merger *m, struct backend *b, const float *x, int n_groups, int d,
                float *out);

#endif
