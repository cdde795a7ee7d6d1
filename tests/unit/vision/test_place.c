/* vision/place.c: inside stays inside, outside is an error, there and back is near. */
#include "vision/place.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

static void same_size_is_identity(void **state)
{
    struct place p = {100, 80, {7, 9, 100, 80}};
    for (int x = 0; x < 100; x++) {
        struct screen_pt s;
        assert_int_equal(
            place_to_screen(&p, (struct model_pt){(float)x, 79}, &s, NULL), 0);
        assert_int_equal(s.x, 7 + x);
        assert_int_equal(s.y, 9 + 79);
    }
}

static void corners(void **state)
{
    /* 1920x1080 at the right of another screen, seen as 1316 x 728 */
    struct place p = {1316, 728, {1280, 0, 1920, 1080}};
    struct screen_pt s;
    assert_int_equal(place_to_screen(&p, (struct model_pt){0, 0}, &s, NULL), 0);
    assert_int_equal(s.x, 1280);
    assert_int_equal(s.y, 0);
    assert_int_equal(place_to_screen(&p, (struct model_pt){1315.999f, 727.999f}, &s, NULL), 0);
    assert_int_equal(s.x, 1280 + 1919);
    assert_int_equal(s.y, 1079);
    /* the middle stays the middle: (658.5 + ...) / 1316 * 1920 */
    assert_int_equal(place_to_screen(&p, (struct model_pt){657.5f, 363.5f}, &s, NULL), 0);
    assert_int_equal(s.x, 1280 + 960);
    assert_int_equal(s.y, 540);
}

static void outside_is_an_error(void **state)
{
    struct place p = {100, 80, {0, 0, 200, 160}};
    static const struct model_pt bad[] = {{100, 5},      {5, 80},      {-0.01f, 5},
                                          {5, -1},       {NAN, 5},     {5, NAN},
                                          {INFINITY, 5}, {5, -INFINITY}, {1e30f, 1e30f}};
    for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
        struct screen_pt s = {-7, -7};
        struct err err = {0};
        assert_int_equal(place_to_screen(&p, bad[i], &s, &err), -ERANGE);
        assert_int_equal(s.x, -7);
        assert_non_null(strstr(err.text, "100 x 80"));
    }
    struct model_pt m;
    assert_int_equal(place_to_model(&p, (struct screen_pt){200, 0}, &m, NULL), -ERANGE);
    assert_int_equal(place_to_model(&p, (struct screen_pt){0, -1}, &m, NULL), -ERANGE);
    struct place none = {100, 80, {0, 0, 0, 160}};
    struct screen_pt s;
    assert_int_equal(place_to_screen(&none, (struct model_pt){1, 1}, &s, NULL), -EINVAL);
    none = (struct place){0, 80, {0, 0, 10, 160}};
    assert_int_equal(place_to_model(&none, (struct screen_pt){1, 1}, &m, NULL), -EINVAL);
}

static void there_and_back(void **state)
{
    static const int sizes[][2] = {{1280, 1288}, {1920, 1932}, {1920, 1316}, {3840, 2380},
                                   {14, 56},     {33, 28},     {1, 28},      {28, 1}};
    for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
        int sw = sizes[i][0], iw = sizes[i][1];
        struct place p = {iw, iw, {11, -5, sw, sw}};
        double coarser = MAX(1.0, (double)iw / sw);
        for (int x = 0; x < iw; x++) {
            struct screen_pt s;
            struct model_pt m;
            assert_int_equal(
                place_to_screen(&p, (struct model_pt){(float)x, (float)x}, &s, NULL), 0);
            assert_true(s.x >= 11 && s.x < 11 + sw && s.y >= -5 && s.y < sw - 5);
            assert_int_equal(place_to_model(&p, s, &m, NULL), 0);
            if (fabs((double)m.x - x) > 0.5 * coarser + 1e-3)
                fail_msg("%d of %d on %d: back at %g", x, iw, sw, (double)m.x);
        }
        for (int x = 0; x < sw; x++) {
            struct screen_pt s = {11 + x, -5 + x};
            struct model_pt m;
            assert_int_equal(place_to_model(&p, s, &m, NULL), 0);
            assert_true(m.x >= 0 && m.x < (float)iw);
            /* what went back to the model can always be used again */
            assert_int_equal(place_to_screen(&p, m, &s, NULL), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_size_is_identity),
        cmocka_unit_test(corners),
        cmocka_unit_test(outside_is_an_error),
        cmocka_unit_test(there_and_back),
    };
    return cmocka_run_group_tests_name("vision/place", tests, NULL, NULL);
}
