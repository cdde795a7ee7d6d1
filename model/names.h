/* The names of tensors: which ones a checkpoint of a configuration has, and what GGUF calls them.
 */
#ifndef DESKHAND_MODEL_NAMES_H
#define DESKHAND_MODEL_NAMES_H

#include "model/config.h"

/* Calls each(user, name, shape, rank) for every tensor, by Hugging Face's names of the first
 * generation, in the order of the network; ends early when it returns false. */
void names_walk(const struct vlm_config *c,
                bool (*each)(void *user, const char *name, const int64_t *shape, int rank),
                void *user);

#define NAMES_MAX 96
/* The name in GGUF of a tensor; "visual.patch_embed.proj.weight" and "visual.blocks.N.attn.qkv.*",
 * which GGUF keeps in pieces, are not among them: false. */
bool names_gguf(const char *name, char ret[NAMES_MAX]);

#endif
