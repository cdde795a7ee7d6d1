/* vision/video.c against qwen_vl_utils and transformers: which frames, how large, which numbers. */
#include "vision/video.h"
#include "base/mem.h"
#include "tests/unit/vision/picture.h"
#include "tests/unit/vision/golden_video.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <zlib.h>
#include <cmocka.h>

static void the_same_frames_are_taken(void **state)
{
    for (size_t i = 0; i < N_ELEMENTS(golden_plans); i++) {
        const struct golden_plan *g = &golden_plans[i];
        struct video_plan p;
        struct err err = {0};
        if (video_plan(g->n_frames, g->fps, g->w, g->h, &test_spec, &p, &err) < 0)
            fail_msg("%s", err.text);
        uint32_t crc = (uint32_t)crc32(0, (const void *)p.index, (unsigned)p.n * sizeof(int));
        if (p.n != g->n || p.w != g->to_w || p.h != g->to_h || crc != g->index)
            fail_msg("%d frames at %g of %dx%d: %d of %dx%d (%08x), expected %d of %dx%d (%08x)",
                     g->n_frames, g->fps, g->w, g->h, p.n, p.w, p.h, crc, g->n, g->to_w, g->to_h,
                     g->index);
        assert_true(fabs((double)p.second_per_grid - g->seconds) <= 1e-6 * g->seconds);
        video_plan_done(&p);
    }
    assert_true(N_ELEMENTS(golden_plans) > 150);
}

static void the_same_numbers_are_cut(void **state)
{
    for (size_t i = 0; i < N_ELEMENTS(golden_cuts); i++) {
        const struct golden_cut *g = &golden_cuts[i];
        struct frame frames[8];
        struct patches p;
        struct err err = {0};
        for (int k = 0; k < g->n; k++) {
            frames[k] = test_picture(g->w, g->h);
            for (int b = 0; b < g->w * g->h * 3; b++)
                frames[k].rgb[b] = (uint8_t)(frames[k].rgb[b] + k * 40);
        }
        if (video_cut(frames, g->n, &test_spec, 1.5f, &p, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(p.grid_t, g->grid_t);
        assert_int_equal(p.n_temporal, 2);
        assert_true(p.second_per_grid == 1.5f);
        size_t n = (size_t)(p.grid_t * p.grid_h * p.grid_w) * (size_t)patches_n_cols(&p);
        assert_int_equal((uint32_t)crc32(0, (const void *)p.rows, (unsigned)(n * sizeof(float))),
                         g->crc);
        /* another frame, another hash */
        struct patches q;
        frames[g->n - 1].rgb[5] ^= 1;
        assert_int_equal(video_cut(frames, g->n, &test_spec, 1.5f, &q, &err), 0);
        assert_true(p.hash != q.hash);
        patches_done(&p);
        patches_done(&q);
        for (int k = 0; k < g->n; k++)
            frame_done(&frames[k]);
    }
}

static void what_is_no_video_is_refused(void **state)
{
    static const struct {
        int n;
        double fps;
        int w, h;
    } bad[] = {{1, 2, 64, 64},     {0, 2, 64, 64},         {-5, 2, 64, 64},        {10, 0, 64, 64},
               {10, -1, 64, 64},   {10, NAN, 64, 64},      {10, INFINITY, 64, 64}, {10, 2, 0, 64},
               {10, 2, 10000, 10}, {2000000000, 2, 64, 64}};
    struct video_plan p;
    struct err err = {0};
    for (size_t i = 0; i < N_ELEMENTS(bad); i++)
        assert_true(video_plan(bad[i].n, bad[i].fps, bad[i].w, bad[i].h, &test_spec, &p, &err) < 0);

    struct frame frames[2] = {test_picture(56, 56), test_picture(56, 28)};
    struct patches q;
    assert_int_equal(video_cut(frames, 0, &test_spec, 1, &q, &err), -EINVAL);
    assert_int_equal(video_cut(frames, 2, &test_spec, 1, &q, &err), -EINVAL); /* two sizes */
    assert_non_null(strstr(err.text, "56 x 28"));
    frame_done(&frames[0]);
    frames[0] = test_picture(50, 56);
    assert_int_equal(video_cut(frames, 1, &test_spec, 1, &q, &err), -EINVAL);
    frame_done(&frames[0]);
    frame_done(&frames[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_frames_are_taken),
        cmocka_unit_test(the_same_numbers_are_cut),
        cmocka_unit_test(what_is_no_video_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
