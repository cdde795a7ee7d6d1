/* Weights as they lie on disk: dir/model.safetensors, or the shards that
 * dir/model.safetensors.index.json names, mapped read-only. Format:
 * https://huggingface.co/docs/safetensors */
#ifndef DESKHAND_MODEL_SAFETENSORS_H
#define DESKHAND_MODEL_SAFETENSORS_H

#include "base/err.h"
#include "model/tensor.h"

struct safetensors;

/* After success every tensor lies inside its file, has the size that its type and shape want, and
 * overlaps no other. */
int safetensors_open(const char *dir, struct safetensors **ret, struct err *err);
/* One file of another name in the folder. */
int safetensors_open_file(const char *dir, const char *name, struct safetensors **ret,
                          struct err *err);
void safetensors_close(struct safetensors *s);
void safetensors_drop_pages(const struct safetensors *s); /* base/file.h */

/* By the name of the first generation of checkpoints ("visual.", "model.", "lm_head.weight"); the
 * second one ("model.visual.", "model.language_model.") is found by it too. NULL: not there. */
const struct tensor *safetensors_find(const struct safetensors *s, const char *name);

/* In the order of the names. */
int safetensors_count(const struct safetensors *s);
const struct tensor *safetensors_at(const struct safetensors *s, int i, const char **ret_name);

#endif
