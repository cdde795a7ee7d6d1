#ifndef DESKHAND_MODEL_CONFIG_H
#define DESKHAND_MODEL_CONFIG_H
#include "base/err.h"
#include "base/flow.h"
struct vlm_config {
    int d_model, d_ff, n_layers, n_heads, n_kv_heads, d_head, n_vocab, n_ctx;
    float rms_eps; double rope_theta; int mrope_section[3]; bool tie_embeddings;
    struct { int depth, d_model, d_ff, n_heads, patch_size, merge_size, temporal_patch_size, window_size, tokens_per_second, full[128], n_full; } vit;
    struct image_spec image;
    int eos[8], n_eos;
};
int config_read(const char *dir, struct vlm_config *ret, struct err *err);
static inline bool config_is_eos(const struct vlm_config *c, int32_t id){for(int i=0;i<c->n_eos;i++)if(c->eos[i]==id)return true;return false;}
#endif
