/* The chat template of MiMo-VL: messages to token ids. */
#ifndef DESKHAND_MODEL_CHAT_H
#define DESKHAND_MODEL_CHAT_H

#include "model/bpe.h"
#include "model/config.h"
#include "model/vlm.h"

/* A picture in the prompt: its pads are ids[begin .. begin + patches_n_tokens(patches)). */
struct chat_image {
    int begin;
    bool is_video;
    const struct patches *patches;
};

/* Both lists are heap and the caller's. A prompt longer than c->n_ctx tokens is refused. */
int chat_build(const struct bpe *bpe, const struct vlm_config *c, const struct vlm_request *r,
               int32_t **ret_ids, int *ret_n, struct chat_image **ret_images, int *ret_n_images,
               struct err *err);

#endif
