/* The numbers of a checkpoint, from config.json, preprocessor_config.json and
 * generation_config.json; checked for range and against each other. */
#ifndef DESKHAND_MODEL_CONFIG_H
#define DESKHAND_MODEL_CONFIG_H

#include "base/err.h"
#include "base/flow.h"

struct vlm_config {
    /* the language model */
    int d_model, d_ff, n_layers, n_heads, n_kv_heads, d_head;
    int n_vocab; /* rows of the embedding; may be more than the tokenizer has */
    int n_ctx;   /* max_position_embeddings */
    float rms_eps;
    double rope_theta;
    int mrope_section[3]; /* time, row, column; together d_head / 2 */
    bool tie_embeddings;  /* the head is the embedding */

    struct {
        int depth; /* 0: a model of text only */
        int d_model, d_ff, n_heads;
        int patch_size, merge_size, temporal_patch_size;
        int window_size; /* pixels; a multiple of patch_size * merge_size */
        int tokens_per_second;
        int full[128], n_full; /* layers that attend over the whole frame */
    } vit;

    struct image_spec image;
    int view_w, view_h; /* the largest screen that it was trained on, 0: not said */
    int looks;          /* so often it should see a screen before it acts, 0: not said */

    int eos[8], n_eos; /* at least one, each below n_vocab */

    int no_think; /* enum vlm_no_think, filled by vlm_open */
};

int config_read(const char *dir, struct vlm_config *ret, struct err *err);
/* The same from GGUF metadata. vision: the file with the vision tower, NULL: there is none, and
 * vit.depth is 0. */
struct gguf;
int config_read_gguf(const struct gguf *text, const struct gguf *vision, struct vlm_config *ret,
                     struct err *err);

static inline bool config_is_eos(const struct vlm_config *c, int32_t id)
{
    for (int i = 0; i < c->n_eos; i++)
        if (c->eos[i] == id)
            return true;
    return false;
}

#endif
