/* vision/png.c: what is read is a picture of its size, and writes and reads back equal. Each input
 * is tried as it is and once more with the checksums of its chunks put right, because a changed
 * byte would otherwise never get past them. */
#include "tests/fuzz/fuzz.h"
#include "base/mem.h"
#include "tests/golden/screen.h"
#include "vision/png.h"

#include <string.h>

static void try_png(const uint8_t *data, size_t n)
{
    struct frame f = {0}, back = {0};
    struct err err = {0};
    if (png_read_mem(data, n, &f, &err) < 0) {
        CHECK(err.code < 0 && *err.text);
        return;
    }
    CHECK(f.w >= 1 && f.h >= 1 && f.rgb);
    size_t bytes = (size_t)f.w * (size_t)f.h * 3;
    if (bytes <= 1 << 20) {
        AUTO_FREE uint8_t *png = NULL;
        size_t n_png;
        CHECK(png_write_mem(&f, &png, &n_png, &err) == 0);
        CHECK(png_read_mem(png, n_png, &back, &err) == 0);
        CHECK(back.w == f.w && back.h == f.h && memcmp(back.rgb, f.rgb, bytes) == 0);
    }
    frame_done(&f);
    frame_done(&back);
}

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    AUTO_FREE uint8_t *copy = mem_alloc(n ? n : 1);
    try_png(data, n);
    memcpy(copy, data, n);
    for (size_t at = 8; n >= 12 && at <= n - 12;) {
        size_t len = big_endian(copy + at);
        if (len > n - 12 - at)
            break;
        uint32_t crc = golden_crc(copy + at + 4, len + 4);
        for (int i = 0; i < 4; i++)
            copy[at + 8 + len + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        at += len + 12;
    }
    try_png(copy, n);
    return 0;
}
