/* JPEG for the live picture in a browser (TurboJPEG). Any thread. */
#ifndef DESKHAND_VISION_JPEG_H
#define DESKHAND_VISION_JPEG_H

#include "base/err.h"
#include "base/flow.h"

/* quality 1..100; *ret_data is heap (free()). */
int jpeg_write_mem(const struct frame *f, int quality, uint8_t **ret_data, size_t *ret_n,
                   struct err *err);
int jpeg_read_mem(const uint8_t *data, size_t n, struct frame *ret, struct err *err);

#endif
