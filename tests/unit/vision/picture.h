/* A picture that a formula defines, the same in tools/goldens/resize.py: noise, so that any wrong
 * pixel changes a checksum; and how MiMo-VL's preprocessor_config.json wants pictures. */
#ifndef DESKHAND_TESTS_VISION_PICTURE_H
#define DESKHAND_TESTS_VISION_PICTURE_H

#include "base/flow.h"

static const struct image_spec test_spec = {
    .patch_size = 14,
    .merge_size = 2,
    .temporal_patch_size = 2,
    .min_pixels = 3136,
    .max_pixels = 3211264,
    .mean = {0.48145466f, 0.4578275f, 0.40821073f},
    .std = {0.26862954f, 0.26130258f, 0.27577711f},
    .rescale = 1.0f / 255.0f,
};

static inline struct frame test_picture(int w, int h)
{
    struct frame f = {0};
    if (frame_alloc(&f, w, h) < 0)
        return f;
    uint8_t *p = f.rgb;
    for (uint32_t y = 0; y < (uint32_t)h; y++)
        for (uint32_t x = 0; x < (uint32_t)w; x++)
            for (uint32_t c = 0; c < 3; c++) {
                uint32_t v = x * 2654435761u ^ (y * 40503u + c * 97u);
                v ^= v >> 15;
                v *= 2246822519u;
                *p++ = (uint8_t)(v >> 24);
            }
    return f;
}

#endif
