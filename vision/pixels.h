/* From the server's pixels to RGB bytes. Internal to vision/, no X in it. Any thread. */
#ifndef DESKHAND_VISION_PIXELS_H
#define DESKHAND_VISION_PIXELS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a TrueColor image lies in memory. */
struct pixel_format {
    int depth;          /* for the sentences */
    int bits_per_pixel; /* 16, 24 or 32 */
    int scanline_pad;   /* rows are padded to this many bits: 8, 16, 32 */
    bool msb_first;
    uint32_t red, green, blue; /* masks */
};

/* -ENOTSUP with a sentence for what pixels_to_rgb() cannot convert. */
int pixels_check(const struct pixel_format *f, struct err *err);
/* Bytes from one row to the next. */
size_t pixels_stride(const struct pixel_format *f, int w);
/* dst: [h, w, 3]; src has pixels_stride() * h bytes. The format was checked. */
void pixels_to_rgb(const struct pixel_format *f, const uint8_t *src, int w, int h, uint8_t *dst);

/* Blends premultiplied ARGB words [sh, sw] with their corner at (x, y) of the picture [h, w, 3];
 * what lies outside is cut off. */
void pixels_blend(const uint32_t *argb, int sw, int sh, int x, int y, uint8_t *rgb, int w, int h);

#endif
