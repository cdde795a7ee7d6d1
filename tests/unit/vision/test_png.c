/* vision/png.c and jpeg.c: what is written is read back, hostile bytes are a sentence. */
#include "vision/jpeg.h"
#include "vision/png.h"
#include "base/mem.h"
#include "tests/unit/vision/picture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <cmocka.h>

static void round_trip(void **state)
{
    static const int sizes[][2] = {{1, 1}, {7, 3}, {640, 480}, {1, 3000}, {3000, 1}};
    for (size_t i = 0; i < 2 * N_ELEMENTS(sizes); i++) {
        struct frame f = test_picture(sizes[i / 2][0], sizes[i / 2][1]), g = {0};
        /* noise, and calm stripes, which are packed in another way */
        for (int p = 0; i % 2 && p < f.w * f.h; p++)
            memset(f.rgb + p * 3, p / 50 % 7 * 40, 3);
        uint8_t *data = NULL;
        size_t n = 0;
        assert_int_equal(png_write_mem(&f, &data, &n, NULL), 0);
        assert_int_equal(png_read_mem(data, n, &g, NULL), 0);
        assert_int_equal(g.w, f.w);
        assert_int_equal(g.h, f.h);
        assert_memory_equal(f.rgb, g.rgb, (size_t)f.w * (size_t)f.h * 3);
        free(data);
        frame_done(&f);
        frame_done(&g);
    }
}

static void files(void **state)
{
    char path[] = "/tmp/deskhand-png-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct frame f = test_picture(20, 10), g = {0};
    struct err err = {0};
    assert_int_equal(png_write_file(&f, path, &err), 0);
    assert_int_equal(png_read_file(path, &g, &err), 0);
    assert_memory_equal(f.rgb, g.rgb, 600);
    unlink(path);
    frame_done(&g);
    assert_true(png_read_file(path, &g, &err) < 0);
    assert_non_null(strstr(err.text, path));
    frame_done(&f);
}

/* A PNG written by libpng's own simple means: any type, depth, interlace, transparency. */
struct made {
    uint8_t *data;
    size_t n;
};

static void made_write(png_structp png, png_bytep data, size_t n)
{
    struct made *m = png_get_io_ptr(png);
    m->data = mem_realloc(m->data, m->n + n);
    memcpy(m->data + m->n, data, n);
    m->n += n;
}

static struct made make_png(int w, int h, int depth, int type, int interlace, uint8_t *row,
                            bool transparent)
{
    struct made m = {0};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &m, made_write, NULL);
    png_set_IHDR(png, info, (png_uint_32)w, (png_uint_32)h, depth, type, interlace, 0, 0);
    png_color palette[4] = {{10, 20, 30}, {40, 50, 60}, {70, 80, 90}, {255, 0, 0}};
    png_byte alpha[4] = {255, 128, 0, 255};
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, palette, depth == 1 ? 2 : 4);
    if (transparent) {
        png_color_16 key = {.red = 1, .green = 2, .blue = 3, .gray = 1};
        png_set_tRNS(png, info, alpha, type == PNG_COLOR_TYPE_PALETTE ? (depth == 1 ? 2 : 4) : 0,
                     type == PNG_COLOR_TYPE_PALETTE ? NULL : &key);
    }
    png_write_info(png, info);
    int n_passes = png_set_interlace_handling(png);
    for (int p = 0; p < n_passes; p++)
        for (int y = 0; y < h; y++)
            png_write_row(png, row);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    return m;
}

static void expect_row(int depth, int type, uint8_t *row, bool transparent, const uint8_t *want)
{
    for (int interlace = 0; interlace < 2; interlace++) {
        struct made m = make_png(4, 9, depth, type, interlace, row, transparent);
        struct frame f = {0};
        struct err err = {0};
        if (png_read_mem(m.data, m.n, &f, &err) < 0)
            fail_msg("type %d depth %d: %s", type, depth, err.text);
        for (int y = 0; y < 9; y++)
            if (memcmp(f.rgb + y * 12, want, 12))
                fail_msg("type %d depth %d interlace %d row %d differs", type, depth, interlace, y);
        frame_done(&f);
        free(m.data);
    }
}

static void all_colour_types(void **state)
{
    uint8_t rgb[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 250, 251, 252};
    expect_row(8, PNG_COLOR_TYPE_RGB, rgb, false, rgb);
    const uint8_t keyed[] = {255, 255, 255, 4, 5, 6, 7, 8, 9, 250, 251, 252};
    expect_row(8, PNG_COLOR_TYPE_RGB, rgb, true, keyed);

    uint8_t rgba[] = {1, 2, 3, 255, 4, 5, 6, 0, 0, 100, 200, 128, 255, 255, 255, 1};
    const uint8_t on_white[] = {1, 2, 3, 255, 255, 255, 127, 177, 227, 255, 255, 255};
    expect_row(8, PNG_COLOR_TYPE_RGB_ALPHA, rgba, false, on_white);

    uint8_t gray[] = {0, 1, 128, 255};
    const uint8_t gray_rgb[] = {0, 0, 0, 1, 1, 1, 128, 128, 128, 255, 255, 255};
    expect_row(8, PNG_COLOR_TYPE_GRAY, gray, false, gray_rgb);
    uint8_t gray_a[] = {0, 255, 0, 0, 128, 255, 255, 128};
    const uint8_t gray_a_rgb[] = {0, 0, 0, 255, 255, 255, 128, 128, 128, 255, 255, 255};
    expect_row(8, PNG_COLOR_TYPE_GRAY_ALPHA, gray_a, false, gray_a_rgb);
    uint8_t bits[] = {0x50}, pairs[] = {0x1b}, nibbles[] = {0x0f, 0x80};
    const uint8_t bits_rgb[] = {0, 0, 0, 255, 255, 255, 0, 0, 0, 255, 255, 255};
    const uint8_t pairs_rgb[] = {0, 0, 0, 85, 85, 85, 170, 170, 170, 255, 255, 255};
    const uint8_t nibbles_rgb[] = {0, 0, 0, 255, 255, 255, 136, 136, 136, 0, 0, 0};
    expect_row(1, PNG_COLOR_TYPE_GRAY, bits, false, bits_rgb);
    expect_row(2, PNG_COLOR_TYPE_GRAY, pairs, false, pairs_rgb);
    expect_row(4, PNG_COLOR_TYPE_GRAY, nibbles, false, nibbles_rgb);

    uint8_t index8[] = {0, 1, 2, 3}, index2[] = {0x1b}, index1[] = {0x50};
    const uint8_t index_rgb[] = {10, 20, 30, 40, 50, 60, 70, 80, 90, 255, 0, 0};
    const uint8_t index_a[] = {10, 20, 30, 147, 152, 157, 255, 255, 255, 255, 0, 0};
    const uint8_t index1_rgb[] = {10, 20, 30, 40, 50, 60, 10, 20, 30, 40, 50, 60};
    expect_row(8, PNG_COLOR_TYPE_PALETTE, index8, false, index_rgb);
    expect_row(8, PNG_COLOR_TYPE_PALETTE, index8, true, index_a);
    expect_row(2, PNG_COLOR_TYPE_PALETTE, index2, true, index_a);
    expect_row(1, PNG_COLOR_TYPE_PALETTE, index1, false, index1_rgb);

    uint8_t deep[] = {0, 0, 0, 1, 0xff, 0xff, 1, 0x80, 2, 0, 3, 0,
                      4, 0, 5, 0, 6,    0,    7, 0,    8, 0, 9, 0};
    const uint8_t deep_rgb[] = {0, 0, 255, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    expect_row(16, PNG_COLOR_TYPE_RGB, deep, false, deep_rgb);
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void expect_refused(const uint8_t *data, size_t n, const char *word)
{
    struct frame f = {0};
    struct err err = {0};
    assert_int_equal(png_read_mem(data, n, &f, &err), -EINVAL);
    assert_null(f.rgb);
    if (!strstr(err.text, word))
        fail_msg("\"%s\" does not say \"%s\"", err.text, word);
}

static void hostile_png(void **state)
{
    struct frame f = test_picture(50, 40);
    uint8_t *data = NULL;
    size_t n = 0;
    assert_int_equal(png_write_mem(&f, &data, &n, NULL), 0);

    expect_refused(NULL, 0, "0 bytes");
    expect_refused((const uint8_t *)"hello, world", 12, "signature");
    /* cut anywhere */
    for (size_t cut = 8; cut < n; cut += cut < 100 ? 1 : 97)
        expect_refused(data, cut, "cannot be read");
    /* any flipped byte: an error or a picture of the same size, never a crash */
    for (size_t i = 8; i < n; i += i < 60 ? 1 : 31) {
        struct frame g = {0};
        data[i] ^= 0x55;
        if (png_read_mem(data, n, &g, NULL) == 0)
            assert_true(g.w == 50 && g.h == 40);
        frame_done(&g);
        data[i] ^= 0x55;
    }
    /* sizes beyond the limits, with a right checksum */
    static const uint32_t sizes[][2] = {{16385, 1}, {1, 16385}, {16384, 16384},
                                        {0, 5},     {0x7fffffff, 0x7fffffff}};
    for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
        put32(data + 16, sizes[i][0]);
        put32(data + 20, sizes[i][1]);
        put32(data + 29, (uint32_t)crc32(0, data + 12, 17));
        expect_refused(data, n, "cannot be read");
    }
    free(data);

    struct frame none = {0};
    struct err err = {0};
    assert_int_equal(png_write_mem(&none, &data, &n, &err), -EINVAL);
    frame_done(&f);
}

static void jpeg_round_trip(void **state)
{
    /* soft colours, which JPEG keeps */
    struct frame f = {0}, g = {0};
    assert_int_equal(frame_alloc(&f, 123, 45), 0);
    for (int i = 0; i < 123 * 45; i++) {
        f.rgb[3 * i] = (uint8_t)(i % 123 * 2);
        f.rgb[3 * i + 1] = (uint8_t)(i / 123 * 5);
        f.rgb[3 * i + 2] = 90;
    }
    for (int quality = 50; quality <= 100; quality += 45) {
        uint8_t *data = NULL;
        size_t n = 0;
        assert_int_equal(jpeg_write_mem(&f, quality, &data, &n, NULL), 0);
        assert_int_equal(jpeg_read_mem(data, n, &g, NULL), 0);
        assert_int_equal(g.w, 123);
        assert_int_equal(g.h, 45);
        for (int i = 0; i < 123 * 45 * 3; i++)
            assert_true(abs(f.rgb[i] - g.rgb[i]) < 20);
        frame_done(&g);
        struct err err = {0};
        for (size_t cut = 0; cut < n; cut += 13) {
            assert_int_equal(jpeg_read_mem(data, cut, &g, &err), -EINVAL);
            assert_null(g.rgb);
        }
        free(data);
    }
    uint8_t *data = NULL;
    size_t n = 0;
    assert_int_equal(jpeg_write_mem(&f, 0, &data, &n, NULL), -EINVAL);
    assert_int_equal(jpeg_write_mem(&f, 101, &data, &n, NULL), -EINVAL);
    assert_int_equal(jpeg_write_mem(&g, 90, &data, &n, NULL), -EINVAL);
    frame_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),       cmocka_unit_test(files),
        cmocka_unit_test(all_colour_types), cmocka_unit_test(hostile_png),
        cmocka_unit_test(jpeg_round_trip),
    };
    return cmocka_run_group_tests_name("vision/png", tests, NULL, NULL);
}
