/* From a frame to the picture the model sees: the smart_resize rule and Pillow's bicubic, to the
 * last bit. Any thread. */
#ifndef DESKHAND_VISION_RESIZE_H
#define DESKHAND_VISION_RESIZE_H

#include "base/err.h"
#include "base/flow.h"

/* Qwen2VL smart_resize with factor patch*merge, half-to-even rounding, in double precision left to
 * right (reference: transformers 4.57 image_processing_qwen2_vl.smart_resize). */
int resize_size(int w, int h, const struct image_spec *spec, int *ret_w, int *ret_h,
                struct err *err);

/* Pillow's Image.resize((w, h), BICUBIC) on RGB, 8 bits between the passes (reference: Pillow
 * src/libImaging/Resample.c). Same size in and out is a copy. `ret` keeps the screen
 * rectangle of `src`. */
int resize_bicubic(const struct frame *src, int w, int h, struct frame *ret, struct err *err);

#endif
