/* The pictures of the goldens: something like a screen, from integers only, the same in
 * tools/goldens/model.py; and the checksum that both sides compute. */
#ifndef DESKHAND_TESTS_GOLDEN_SCREEN_H
#define DESKHAND_TESTS_GOLDEN_SCREEN_H

#include "base/flow.h"
#include "base/mem.h"

static inline uint32_t golden_below(uint32_t *seed, uint32_t n)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 16) % n;
}

static inline struct frame golden_screen(int w, int h, uint32_t seed)
{
    struct frame f = {0};
    uint8_t face[3], ink[3];
    if (frame_alloc(&f, w, h) < 0)
        return f;
    for (int c = 0; c < 3; c++)
        face[c] = (uint8_t)(160 + golden_below(&seed, 96));
    for (int i = 0; i < w * h * 3; i++)
        f.rgb[i] = face[i % 3];
    for (int k = 0; k < 24; k++) {
        int x1 = (int)golden_below(&seed, (uint32_t)w), y1 = (int)golden_below(&seed, (uint32_t)h);
        int x2 = x1 + 8 + (int)golden_below(&seed, (uint32_t)(w / 3 + 1));
        int y2 = y1 + 6 + (int)golden_below(&seed, (uint32_t)(h / 8 + 1));
        x2 = MIN(x2, w);
        y2 = MIN(y2, h);
        for (int c = 0; c < 3; c++)
            face[c] = (uint8_t)golden_below(&seed, 256);
        for (int c = 0; c < 3; c++)
            ink[c] = (uint8_t)golden_below(&seed, 128);
        for (int y = y1; y < y2; y++) {
            for (int x = x1; x < x2; x++) {
                bool edge = x == x1 || y == y1 || x == x2 - 1 || y == y2 - 1;
                bool inside = x > x1 + 3 && x < x2 - 4 && y > y1 + 2 && y < y2 - 3;
                bool letter = inside && (x * 7 ^ (y * 13 + x / 5 * 29)) % 5 < 2;
                for (int c = 0; c < 3; c++)
                    f.rgb[((size_t)y * (size_t)w + (size_t)x) * 3 + (size_t)c] =
                        edge || letter ? ink[c] : face[c];
            }
        }
    }
    return f;
}

/* zlib's crc32. */
static inline uint32_t golden_crc(const void *data, size_t n)
{
    const uint8_t *p = data;
    uint32_t table[256], crc = 0xffffffffu;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i;
        for (int bit = 0; bit < 8; bit++)
            v = v >> 1 ^ (v & 1 ? 0xedb88320u : 0);
        table[i] = v;
    }
    for (size_t i = 0; i < n; i++)
        crc = crc >> 8 ^ table[(crc ^ p[i]) & 255];
    return ~crc;
}

#endif
