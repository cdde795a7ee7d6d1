#ifndef DESKHAND_MODEL_CHAT_H
#define DESKHAND_MODEL_CHAT_H
#include "model/bpe.h"
#include "model/config.h"
#include "model/vlm.h"
struct chat_image { int begin; const struct patches *patches; };
int chat_build(const struct bpe *b, const struct vlm_config *c, const struct vlm_request *r, int32_t **ids, int *n, struct chat_image **im, int *n_im, struct err *err);
#endif
