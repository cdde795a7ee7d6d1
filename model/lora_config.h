/* adapter_config.json: which layers an adapter changes, and how much. */
#ifndef DESKHAND_MODEL_LORA_CONFIG_H
#define DESKHAND_MODEL_LORA_CONFIG_H

#include "base/err.h"

#include <stdbool.h>

struct lora_config;

/* -ENOTSUP names what asks for arithmetic that is not done here. */
int lora_config_read(const char *path, struct lora_config **ret, struct err *err);
void lora_config_free(struct lora_config *c);

/* `module` is the layer's name in the model that was trained: "model.language_model.layers.0...".
 */
bool lora_config_targets(const struct lora_config *c, const char *module);
/* Rank that its tensors must have, and the factor of their product. */
int lora_config_rank(const struct lora_config *c, const char *module, float *ret_scale);

#endif
