/* Cuts a resized picture into normalised patches in merge order. Any thread. */
#ifndef DESKHAND_VISION_PATCH_H
#define DESKHAND_VISION_PATCH_H

#include "base/err.h"
#include "base/flow.h"

/* `resized` must be a multiple of patch*merge on both sides. Values are
 * ((v * rescale) - mean) / std in float, as transformers' slow Qwen2VLImageProcessor computes. */
int patch_cut(const struct frame *resized, const struct image_spec *spec, struct patches *ret,
              struct err *err);

/* resize_size + resize_bicubic + patch_cut. ret_resized (may be NULL) gets the picture's size. */
int patch_from_frame(const struct frame *f, const struct image_spec *spec, struct patches *ret,
                     int *ret_w, int *ret_h, struct err *err);

#endif
