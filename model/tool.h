/* What `deskhand model` does with a checkpoint without running it. Beside vlm.h the only header
 * that other folders may include. Paths are those of vlm_open(). Results are JSON objects, the
 * caller's. */
#ifndef DESKHAND_MODEL_TOOL_H
#define DESKHAND_MODEL_TOOL_H

#include "base/err.h"

#include <jansson.h>

struct tool_progress {
    void (*tell)(void *user, float share); /* may be NULL */
    void *user;
};

/* {kind, path, vision_path, config {...}, tokens, n_values, bytes, types [{type, tensors, values,
 * bytes}], tensors [{name, type, shape, bytes}]}; types and tensors as the files have them. */
int tool_info(const char *path, const char *mmproj, json_t **ret, struct err *err);

/* Is every tensor that the configuration asks for there, of its shape, finite? {tensors: how many
 * were looked at, faults [text], unused [names that the network has no use for]}. */
int tool_check(const char *path, const char *mmproj, const struct tool_progress *p, json_t **ret,
               struct err *err);

/* Can tool_convert() write this type? */
bool tool_is_type(const char *name);

/* To GGUF, model/convert.h. `type` is "q8_0" and the like, vision_type too or NULL: as it is.
 * lora: the folder of an adapter to merge, NULL: none. */
int tool_convert(const char *path, const char *mmproj, const char *type, const char *vision_type,
                 const char *lora, const char *out, const struct tool_progress *p, struct err *err);

#endif
