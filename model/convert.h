/* From any checkpoint that source.h opens to GGUF files: PATH with the language model, and
 * mmproj-NAME.gguf beside it with the vision tower. llama.cpp reads them too, except for the packed
 * types (docs/gguf.md). */
#ifndef DESKHAND_MODEL_CONVERT_H
#define DESKHAND_MODEL_CONVERT_H

#include "model/lora_file.h"
#include "model/source.h"

struct convert_options {
    enum tensor_dtype text;   /* of the language model's matrices; what convert_type() gives */
    enum tensor_dtype vision; /* of the tower's, not PACKED4; TENSOR_OTHER: as they are */
    struct lora_file *lora;   /* merged into the weights; NULL: none */
    void (*on_progress)(void *user, float share); /* may be NULL */
    void *user;
};

/* Embedding and head are Q8_0 at least (of the packed types the head is int8); vectors are F32; a
 * matrix whose rows are no multiple of the type's block stays as it is. */
int convert_gguf(const struct source *s, const struct convert_options *o, const char *path,
                 struct err *err);

/* "q8_0" in any case, "int8", "int4"; TENSOR_OTHER for what cannot be written. */
enum tensor_dtype convert_type(const char *name);

#endif
