/* vision/pixels.c: every usable layout gives the same colours, the fast shuffle equals the plain
 * loop at all widths, the cursor is cut at the edges. */
#include "vision/pixels.h"
#include "vision/cpu.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

static const struct pixel_format bgrx = {24, 32, 32, false, 0xff0000, 0xff00, 0xff};

static void fast_equals_plain(void **state)
{
    uint8_t src[4 * 100], want[3 * 100 + 1], got[3 * 100 + 1];
    for (size_t i = 0; i < sizeof(src); i++)
        src[i] = (uint8_t)(i * 37 + 11);
    for (int w = 1; w <= 100; w++) {
        memset(want, 0xaa, sizeof(want));
        memset(got, 0xaa, sizeof(got));
        vision_cpu_limit(CPU_PLAIN);
        pixels_to_rgb(&bgrx, src, w, 1, want);
        vision_cpu_limit(CPU_AVX512);
        pixels_to_rgb(&bgrx, src, w, 1, got);
        assert_memory_equal(want, got, sizeof(want));
        assert_int_equal(got[3 * w], 0xaa);
        assert_int_equal(got[0], src[2]);
        assert_int_equal(got[2], src[0]);
    }
}

static void layouts(void **state)
{
    static const struct {
        struct pixel_format f;
        uint8_t bytes[4];
        uint8_t rgb[3];
    } cases[] = {
        {{24, 32, 32, false, 0xff0000, 0xff00, 0xff}, {3, 2, 1, 99}, {1, 2, 3}},
        {{24, 32, 32, true, 0xff0000, 0xff00, 0xff}, {99, 1, 2, 3}, {1, 2, 3}},
        {{24, 32, 32, false, 0xff, 0xff00, 0xff0000}, {1, 2, 3, 99}, {1, 2, 3}},
        {{24, 24, 32, false, 0xff0000, 0xff00, 0xff}, {3, 2, 1, 0}, {1, 2, 3}},
        {{16, 16, 32, false, 0xf800, 0x7e0, 0x1f}, {0x00, 0xf8, 0, 0}, {255, 0, 0}},
        {{16, 16, 32, false, 0xf800, 0x7e0, 0x1f}, {0xe0, 0x07, 0, 0}, {0, 255, 0}},
        {{16, 16, 32, true, 0xf800, 0x7e0, 0x1f}, {0x00, 0x10, 0, 0}, {0, 0, 132}},
        {{15, 16, 32, false, 0x7c00, 0x3e0, 0x1f}, {0x1f, 0x00, 0, 0}, {0, 0, 255}},
        {{30, 32, 32, false, 0x3ff00000, 0xffc00, 0x3ff}, {0xff, 0x03, 0xf0, 0x3f}, {255, 0, 255}},
    };
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        uint8_t rgb[3];
        assert_int_equal(pixels_check(&cases[i].f, NULL), 0);
        pixels_to_rgb(&cases[i].f, cases[i].bytes, 1, 1, rgb);
        assert_memory_equal(rgb, cases[i].rgb, 3);
    }
}

static void bad_layouts_are_refused(void **state)
{
    static const struct pixel_format bad[] = {
        {8, 8, 32, false, 0xe0, 0x1c, 0x03},          {24, 32, 32, false, 0, 0xff00, 0xff},
        {24, 32, 32, false, 0xff0f00, 0xf0, 0x0f},    {24, 32, 32, false, 0xff00, 0xff00, 0xff},
        {24, 24, 32, false, 0xff000000, 0xff00, 0xff}, {24, 32, 64, false, 0xff0000, 0xff00, 0xff},
    };
    for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
        struct err err = {0};
        assert_int_equal(pixels_check(&bad[i], &err), -ENOTSUP);
        assert_true(err.text[0] != '\0');
    }
}

static void rows_are_padded(void **state)
{
    struct pixel_format f = {16, 16, 32, false, 0xf800, 0x7e0, 0x1f};
    uint8_t src[16] = {0xff, 0xff, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0xff, 0xff, 3, 4}, rgb[18];
    assert_int_equal(pixels_stride(&f, 3), 8);
    assert_int_equal(pixels_stride(&bgrx, 3), 12);
    pixels_to_rgb(&f, src, 3, 2, rgb);
    assert_int_equal(rgb[0], 255);
    assert_int_equal(rgb[3], 0);
    assert_int_equal(rgb[9], 0);
    assert_int_equal(rgb[15], 255);
}

static void blending(void **state)
{
    /* opaque red, half green (premultiplied), nothing, opaque blue */
    const uint32_t argb[4] = {0xffff0000, 0x80008000, 0, 0xff0000ff};
    uint8_t rgb[3 * 3 * 3];
    memset(rgb, 100, sizeof(rgb));
    pixels_blend(argb, 2, 2, 1, 1, rgb, 3, 3);
    const uint8_t *p = rgb + (1 * 3 + 1) * 3;
    assert_int_equal(p[0], 255);
    assert_int_equal(p[1], 0);
    assert_int_equal(p[3], 50);
    assert_int_equal(p[4], 128 + 50);
    p = rgb + (2 * 3 + 1) * 3;
    assert_int_equal(p[0], 100);
    assert_int_equal(p[5], 255);
    assert_int_equal(rgb[0], 100);

    /* over each edge and far away: only what is inside is written */
    for (int y = -3; y <= 4; y++)
        for (int x = -3; x <= 4; x++)
            pixels_blend(argb, 2, 2, x, y, rgb, 3, 3);
    pixels_blend(argb, 2, 2, -32768, 32767, rgb, 3, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_equals_plain),
        cmocka_unit_test(layouts),
        cmocka_unit_test(bad_layouts_are_refused),
        cmocka_unit_test(rows_are_padded),
        cmocka_unit_test(blending),
    };
    return cmocka_run_group_tests_name("vision/pixels", tests, NULL, NULL);
}
