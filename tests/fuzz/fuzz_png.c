/* vision/png.c: what is read is a picture of its size, and writes and reads back equal. */
#include "tests/fuzz/fuzz.h"
#include "base/mem.h"
#include "vision/png.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct frame f = {0}, back = {0};
    struct err err = {0};
    if (png_read_mem(data, n, &f, &err) < 0) {
        CHECK(err.code < 0 && *err.text);
        return 0;
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
    return 0;
}
