/* PNG in and out (libpng). Reading takes hostile files: every kind is converted to RGB, alpha is
 * laid on white, size is limited, interlaced is fine. Any thread. */
#ifndef DESKHAND_VISION_PNG_H
#define DESKHAND_VISION_PNG_H

#include "base/err.h"
#include "base/flow.h"

int png_write_mem(const struct frame *f, uint8_t **ret_data, size_t *ret_n, struct err *err);
int png_write_file(const struct frame *f, const char *path, struct err *err);
int png_read_mem(const uint8_t *data, size_t n, struct frame *ret, struct err *err);
int png_read_file(const char *path, struct frame *ret, struct err *err);

#endif
