/* vision/diff.c against a plain count. */
#include "vision/diff.h"
#include "base/mem.h"
#include "tests/unit/vision/picture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void nothing_changed(void **state)
{
    struct frame a = test_picture(1500, 7), b;
    frame_dup(&b, &a);
    struct diff d = diff_frames(&a, &b, 0, NULL);
    assert_true(d.comparable);
    assert_int_equal(d.n_changed, 0);
    assert_int_equal(d.box.w, 0);
    frame_done(&a);
    frame_done(&b);
}

static void one_pixel(void **state)
{
    struct frame a = test_picture(1500, 40), b;
    frame_dup(&b, &a);
    a.screen.x = b.screen.x = 100;
    a.screen.y = b.screen.y = 50;
    uint8_t *v = &b.rgb[(33 * 1500 + 1234) * 3 + 2];
    *v = (uint8_t)(*v > 127 ? *v - 5 : *v + 5);
    struct diff d = diff_frames(&a, &b, 4, NULL);
    assert_int_equal(d.n_changed, 1);
    assert_int_equal(d.box.x, 1334);
    assert_int_equal(d.box.y, 83);
    assert_int_equal(d.box.w, 1);
    assert_int_equal(d.box.h, 1);
    assert_float_equal(d.share, 1.0f / 60000, 1e-9);
    assert_int_equal(diff_frames(&a, &b, 5, NULL).n_changed, 0);
    /* areas in screen pixels: around it, beside it, and outside of everything */
    struct rect in = {1330, 80, 10, 10}, beside = {1335, 80, 10, 10}, off = {-5, -5, 10, 10};
    assert_int_equal(diff_frames(&a, &b, 0, &in).n_changed, 1);
    assert_float_equal(diff_frames(&a, &b, 0, &in).share, 0.01f, 1e-6);
    assert_int_equal(diff_frames(&a, &b, 0, &beside).n_changed, 0);
    assert_int_equal(diff_frames(&a, &b, 0, &off).n_changed, 0);
    frame_done(&a);
    frame_done(&b);
}

static void equals_plain_count(void **state)
{
    srand(1);
    for (int round = 0; round < 60; round++) {
        int w = 1 + rand() % 2300, h = 1 + rand() % 9, tol = rand() % 20;
        struct frame a = test_picture(w, h), b;
        frame_dup(&b, &a);
        for (int i = rand() % 50; i > 0; i--)
            b.rgb[rand() % (w * h * 3)] = (uint8_t)rand();
        uint64_t n = 0;
        int x0 = w, x1 = -1, y0 = h, y1 = -1;
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                bool hit = false;
                for (int c = 0; c < 3; c++) {
                    int i = (y * w + x) * 3 + c;
                    hit = hit || abs(a.rgb[i] - b.rgb[i]) > tol;
                }
                if (!hit)
                    continue;
                n++;
                x0 = MIN(x0, x);
                x1 = MAX(x1, x);
                y0 = MIN(y0, y);
                y1 = MAX(y1, y);
            }
        struct diff d = diff_frames(&a, &b, tol, NULL);
        assert_true(d.comparable);
        assert_int_equal(d.n_changed, n);
        if (n) {
            assert_int_equal(d.box.x, x0);
            assert_int_equal(d.box.w, x1 - x0 + 1);
            assert_int_equal(d.box.y, y0);
            assert_int_equal(d.box.h, y1 - y0 + 1);
        }
        frame_done(&a);
        frame_done(&b);
    }
}

static void other_shapes_are_not_compared(void **state)
{
    struct frame a = test_picture(10, 10), b = test_picture(10, 11), none = {0};
    assert_false(diff_frames(&a, &b, 0, NULL).comparable);
    assert_false(diff_frames(&a, &none, 0, NULL).comparable);
    assert_false(diff_frames(&none, &none, 0, NULL).comparable);
    frame_done(&b);
    frame_dup(&b, &a);
    b.screen.x = 1;
    assert_false(diff_frames(&a, &b, 0, NULL).comparable);
    frame_done(&a);
    frame_done(&b);
}

static void scaled_frames_answer_in_screen_pixels(void **state)
{
    struct frame a = test_picture(10, 10), b;
    a.screen = (struct rect){100, 200, 40, 20};
    frame_dup(&b, &a);
    b.rgb[(5 * 10 + 3) * 3] ^= 0x80;
    struct diff d = diff_frames(&a, &b, 0, NULL);
    assert_int_equal(d.box.x, 112);
    assert_int_equal(d.box.w, 4);
    assert_int_equal(d.box.y, 210);
    assert_int_equal(d.box.h, 2);
    frame_done(&a);
    frame_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_changed),
        cmocka_unit_test(one_pixel),
        cmocka_unit_test(equals_plain_count),
        cmocka_unit_test(other_shapes_are_not_compared),
        cmocka_unit_test(scaled_frames_answer_in_screen_pixels),
    };
    return cmocka_run_group_tests_name("vision/diff", tests, NULL, NULL);
}
