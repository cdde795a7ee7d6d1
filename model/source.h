/* Where a model comes from: one way to its numbers, its tokenizer and its tensors, whatever the
 * files. Tensors are asked for by Hugging Face's names of the first generation
 * ("visual.blocks.0...", "model.layers.0...", "lm_head.weight"). */
#ifndef DESKHAND_MODEL_SOURCE_H
#define DESKHAND_MODEL_SOURCE_H

#include "base/err.h"
#include "model/bpe.h"
#include "model/config.h"
#include "model/tensor.h"

#include <stdbool.h>

#define SOURCE_MAX_PARTS 3

/* Some files keep in pieces what is one tensor in Hugging Face's: q, k and v of the vision tower.
 * The parts are stacked along the first dimension and together have the shape. A matrix that
 * `deskhand model quantize` packed is one part of the type TENSOR_PACKED8 or TENSOR_PACKED4. */
struct source_tensor {
    int rank;
    int64_t shape[8];
    int n_parts;
    struct tensor parts[SOURCE_MAX_PARTS];
};

struct source;

/* A folder in Hugging Face layout; a folder with GGUF files; or a GGUF file. The vision tower of a
 * GGUF model is the file `mmproj`, or with NULL the *mmproj*.gguf beside it; without one the model
 * reads text only. The data lives until source_close(). */
int source_open(const char *path, const char *mmproj, struct source **ret, struct err *err);
void source_close(struct source *s);
/* What has been read of the files leaves memory, and comes back when it is wanted. */
void source_drop_pages(const struct source *s);

/* What was opened, for people: "safetensors" or "GGUF", and the files of a GGUF model. */
const char *source_kind(const struct source *s);
const char *source_text_path(const struct source *s);   /* the folder or the file */
const char *source_vision_path(const struct source *s); /* NULL: none of its own */

/* "int8" or "int4" when matrices lie there packed, else NULL. */
const char *source_packed(const struct source *s);

/* Are the language model's matrices blocks of small integers? */
bool source_is_quantised(const struct source *s);

int source_config(const struct source *s, struct vlm_config *ret, struct err *err);
int source_tokenizer(const struct source *s, struct bpe **ret, struct err *err);

bool source_find(const struct source *s, const char *name, struct source_tensor *ret);
/* What lies in the files, under their own names. */
int source_n_tensors(const struct source *s);
const struct tensor *source_tensor_at(const struct source *s, int i, const char **ret_name);
/* All values in order. */
void source_to_f32(const struct source_tensor *t, float *ret);

#endif
