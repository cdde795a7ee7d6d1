/* vision/resize.c and patch.c against Pillow and transformers, at each level of instructions. */
#include "vision/patch.h"
#include "vision/resize.h"
#include "vision/cpu.h"
#include "base/mem.h"
#include "tests/unit/vision/picture.h"
#include "tests/unit/vision/golden_resize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <errno.h>
#include <math.h>
#include <zlib.h>
#include <cmocka.h>

static uint32_t crc_of(const void *p, size_t n)
{
    return (uint32_t)crc32(0, p, (unsigned)n);
}

static void equals_pillow(void **state)
{
    static const enum cpu_level levels[] = {CPU_PLAIN, CPU_AVX2, CPU_AVX512};
    for (size_t l = 0; l < N_ELEMENTS(levels); l++) {
        vision_cpu_limit(levels[l]);
        for (size_t i = 0; i < N_ELEMENTS(golden_resizes); i++) {
            const struct golden_resize *g = &golden_resizes[i];
            struct frame in = test_picture(g->w, g->h), out = {0};
            in.screen = (struct rect){3, 4, g->w, g->h};
            assert_int_equal(resize_bicubic(&in, g->to_w, g->to_h, &out, NULL), 0);
            assert_int_equal(out.w, g->to_w);
            assert_int_equal(out.h, g->to_h);
            assert_memory_equal(&out.screen, &in.screen, sizeof(in.screen));
            uint32_t crc = crc_of(out.rgb, (size_t)out.w * (size_t)out.h * 3);
            if (crc != g->crc)
                fail_msg("%dx%d to %dx%d at level %d: crc %08x, Pillow %08x", g->w, g->h, g->to_w,
                         g->to_h, (int)levels[l], crc, g->crc);
            frame_done(&in);
            frame_done(&out);
        }
    }
    vision_cpu_limit(CPU_AVX512);
}

static void same_size_is_a_copy(void **state)
{
    struct frame in = test_picture(31, 17), out = {0};
    assert_int_equal(resize_bicubic(&in, 31, 17, &out, NULL), 0);
    assert_ptr_not_equal(in.rgb, out.rgb);
    assert_memory_equal(in.rgb, out.rgb, 31 * 17 * 3);
    frame_done(&in);
    frame_done(&out);
}

static void sizes_equal_smart_resize(void **state)
{
    for (size_t i = 0; i < N_ELEMENTS(golden_sizes); i++) {
        const struct golden_size *g = &golden_sizes[i];
        struct image_spec s = test_spec;
        int w = 0, h = 0;
        s.min_pixels = g->min_pixels;
        s.max_pixels = g->max_pixels;
        assert_int_equal(resize_size(g->w, g->h, &s, &w, &h, NULL), 0);
        if (w != g->to_w || h != g->to_h)
            fail_msg("%dx%d: %dx%d, transformers %dx%d", g->w, g->h, w, h, g->to_w, g->to_h);
    }
}

static void bad_sizes_are_refused(void **state)
{
    struct err err = {0};
    struct image_spec s = test_spec;
    int w = -1, h = -1;

    assert_int_equal(resize_size(0, 10, &test_spec, &w, &h, &err), -EINVAL);
    assert_non_null(strstr(err.text, "0 x 10"));
    assert_int_equal(resize_size(2001, 10, &test_spec, &w, &h, &err), -ERANGE);
    s.patch_size = 0;
    assert_int_equal(resize_size(10, 10, &s, &w, &h, &err), -EINVAL);
    s = test_spec;
    s.max_pixels = 0;
    assert_int_equal(resize_size(10, 10, &s, &w, &h, &err), -EINVAL);
    s.min_pixels = 0;
    s.max_pixels = 1000000;
    /* without a minimum a sliver rounds to nothing */
    assert_int_equal(resize_size(300, 10, &s, &w, &h, &err), -ERANGE);
    assert_int_equal(w, -1);
    assert_int_equal(h, -1);

    struct frame in = test_picture(4, 4), out = {0}, none = {0};
    assert_int_equal(resize_bicubic(&in, 0, 4, &out, &err), -EINVAL);
    assert_int_equal(resize_bicubic(&in, 4, 40000, &out, &err), -EINVAL);
    assert_int_equal(resize_bicubic(&none, 4, 4, &out, &err), -EINVAL);
    assert_null(out.rgb);
    frame_done(&in);
}

static void patches_equal_transformers(void **state)
{
    for (size_t i = 0; i < N_ELEMENTS(golden_patches); i++) {
        const struct golden_patch *g = &golden_patches[i];
        struct frame in = test_picture(g->w, g->h);
        struct patches p = {0};
        int w = 0, h = 0;
        assert_int_equal(patch_from_frame(&in, &test_spec, &p, &w, &h, NULL), 0);
        assert_int_equal(w, g->grid_w * 14);
        assert_int_equal(h, g->grid_h * 14);
        assert_int_equal(p.grid_w, g->grid_w);
        assert_int_equal(p.grid_h, g->grid_h);
        assert_int_equal(p.grid_t, 1);
        assert_int_equal(p.n_temporal, 1);
        assert_int_equal(patches_n_cols(&p), 588);
        assert_int_equal(patches_n_tokens(&p), g->grid_w * g->grid_h / 4);
        assert_int_equal((uintptr_t)p.rows % 64, 0);
        uint32_t crc = crc_of(p.rows, (size_t)g->grid_w * (size_t)g->grid_h * 588 * sizeof(float));
        if (crc != g->crc)
            fail_msg("%dx%d: crc %08x, transformers %08x", g->w, g->h, crc, g->crc);
        patches_done(&p);
        frame_done(&in);
    }
}

static void hash_tells_pictures_apart(void **state)
{
    struct frame f = test_picture(56, 56);
    struct patches a = {0}, b = {0};
    assert_int_equal(patch_cut(&f, &test_spec, &a, NULL), 0);
    assert_int_equal(patch_cut(&f, &test_spec, &b, NULL), 0);
    assert_true(a.hash == b.hash);
    for (int i = 0; i < 56 * 56 * 3; i += 101) {
        struct patches c = {0};
        f.rgb[i] ^= 1;
        assert_int_equal(patch_cut(&f, &test_spec, &c, NULL), 0);
        assert_true(a.hash != c.hash);
        f.rgb[i] ^= 1;
        patches_done(&c);
    }
    /* the same bytes in another shape */
    struct patches c = {0};
    f.w = 28;
    f.h = 112;
    assert_int_equal(patch_cut(&f, &test_spec, &c, NULL), 0);
    assert_true(a.hash != c.hash);
    patches_done(&a);
    patches_done(&b);
    patches_done(&c);
    frame_done(&f);
}

static void bad_cuts_are_refused(void **state)
{
    struct frame f = test_picture(57, 56);
    struct patches p = {0};
    struct err err = {0};
    struct image_spec s = test_spec;

    assert_int_equal(patch_cut(&f, &test_spec, &p, &err), -EINVAL);
    assert_non_null(strstr(err.text, "57 x 56"));
    s.std[1] = 0;
    assert_int_equal(patch_cut(&f, &s, &p, &err), -EINVAL);
    s = test_spec;
    s.mean[2] = NAN;
    assert_int_equal(patch_cut(&f, &s, &p, &err), -EINVAL);
    s = test_spec;
    s.patch_size = 1 << 20;
    assert_int_equal(patch_cut(&f, &s, &p, &err), -EINVAL);
    assert_null(p.rows);
    frame_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_pillow),
        cmocka_unit_test(same_size_is_a_copy),
        cmocka_unit_test(sizes_equal_smart_resize),
        cmocka_unit_test(bad_sizes_are_refused),
        cmocka_unit_test(patches_equal_transformers),
        cmocka_unit_test(hash_tells_pictures_apart),
        cmocka_unit_test(bad_cuts_are_refused),
    };
    return cmocka_run_group_tests_name("vision/resize", tests, NULL, NULL);
}
