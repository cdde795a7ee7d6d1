/* An adapter as PEFT (and ms-swift through it) writes it: a folder with adapter_config.json and
 * adapter_model.safetensors. What would change the result and is not done here is refused by name.
 */
#ifndef DESKHAND_MODEL_LORA_FILE_H
#define DESKHAND_MODEL_LORA_FILE_H

#include "base/err.h"
#include "model/tensor.h"

#include <stdbool.h>

/* W' = W + scale * B A for the rows of one linear layer of the checkpoint. */
struct lora_pair {
    const struct tensor *a; /* [rank, n_in] */
    const struct tensor *b; /* [n_out, rank] */
    int rank;
    float scale; /* alpha / rank, or alpha / sqrt(rank) */
};

struct lora_file;

int lora_file_open(const char *dir, struct lora_file **ret, struct err *err);
void lora_file_close(struct lora_file *f);

/* By the first generation's names, as source_find(): "model.layers.0.self_attn.q_proj" for a pair,
 * "lm_head.weight" for a tensor that replaces the checkpoint's. Both mark it as used. */
bool lora_file_pair(struct lora_file *f, const char *module, struct lora_pair *ret);
const struct tensor *lora_file_saved(struct lora_file *f, const char *name);

/* What nobody has asked for since opening: the model has no such place. NULL: all was used. */
const char *lora_file_unused(const struct lora_file *f);

#endif
