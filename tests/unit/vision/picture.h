/* A picture that a formula defines, the same in tools/goldens/resize.py: noise, so that any wrong
 * pixel changes a checksum. */
#ifndef DESKHAND_TESTS_VISION_PICTURE_H
#define DESKHAND_TESTS_VISION_PICTURE_H

#include "base/flow.h"

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
