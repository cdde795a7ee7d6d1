/* The index arithmetic of the engine: windows, M-RoPE positions, cache keys, sampling. */
#include "base/mem.h"
#include "model/kv.h"
#include "model/mrope.h"
#include "model/sample.h"
#include "model/window.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void windows_cover_each_frame_once(void **state)
{
    static const int grids[][3] = {{1, 2, 2}, {1, 16, 16}, {1, 10, 22}, {3, 18, 8}, {1, 58, 92}};

    for (size_t k = 0; k < N_ELEMENTS(grids); k++) {
        int t = grids[k][0], h = grids[k][1], w = grids[k][2];
        struct window_plan p;
        window_plan(t, h, w, 2, 4, &p);
        assert_int_equal(p.n_groups, t * h * w / 4);
        assert_int_equal(p.n_frames, t);
        AUTO_FREE char *seen = mem_zalloc((size_t)p.n_groups);
        for (int i = 0; i < p.n_groups; i++) {
            assert_in_range(p.group[i], 0, p.n_groups - 1);
            assert_false(seen[p.group[i]]++);
        }
        int at = 0;
        for (int i = 0; i < p.n_windows; i++) {
            assert_int_equal(p.windows[i].begin, at);
            at = p.windows[i].end;
            assert_in_range(at - p.windows[i].begin, 4, 64);
            assert_int_equal(p.windows[i].begin / (h * w), (at - 1) / (h * w));
        }
        assert_int_equal(at, t * h * w);
        window_plan_done(&p);
    }
}

/* 10 x 12 patches are 5 x 6 groups: windows of 4 x 4, 4 x 2, 1 x 4, 1 x 2 groups. */
static void windows_at_the_edge_are_smaller(void **state)
{
    static const int order[] = {0,  1,  2,  3,  6,  7,  8,  9,  12, 13, 14, 15, 18, 19, 20,
                                21, 4,  5,  10, 11, 16, 17, 22, 23, 24, 25, 26, 27, 28, 29};
    static const int ends[] = {64, 96, 112, 120};
    struct window_plan p;

    window_plan(1, 10, 12, 2, 4, &p);
    assert_memory_equal(p.group, order, sizeof(order));
    assert_int_equal(p.n_windows, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(p.windows[i].end, ends[i]);
    window_plan_done(&p);
}

static void patches_lie_in_blocks(void **state)
{
    static const int rows[] = {0, 0, 1, 1, 0, 0, 1, 1}, cols[] = {0, 1, 0, 1, 2, 3, 2, 3};
    int row[8], col[8];

    window_patch_places(2, 4, 2, row, col);
    assert_memory_equal(row, rows, sizeof(rows));
    assert_memory_equal(col, cols, sizeof(cols));
}

static void positions_jump_over_a_picture_by_its_longer_side(void **state)
{
    /* two words, a picture of 2 x 3 groups, one word */
    struct mrope_image im = {.begin = 2, .t = 1, .h = 2, .w = 3};
    static const int32_t want[3][9] = {{0, 1, 2, 2, 2, 2, 2, 2, 5},
                                       {0, 1, 2, 2, 2, 3, 3, 3, 5},
                                       {0, 1, 2, 3, 4, 2, 3, 4, 5}};
    int32_t pos[27];

    assert_int_equal(mrope_positions(9, &im, 1, 2, pos), 6 - 9);
    assert_memory_equal(pos, want, sizeof(want));
}

static void a_video_counts_seconds(void **state)
{
    struct mrope_image im = {.begin = 1, .t = 3, .h = 1, .w = 2, .second_per_grid = 1,
                             .is_video = true};
    static const int32_t times[] = {0, 1, 1, 3, 3, 5, 5, 6};
    int32_t pos[24];

    assert_int_equal(mrope_positions(8, &im, 1, 2, pos), 7 - 8);
    assert_memory_equal(pos, times, sizeof(times));
}

static void each_axis_has_its_frequencies(void **state)
{
    static const int32_t pos[] = {3, 5, 7};
    static const int section[] = {1, 2, 1};
    float c[4], s[4];

    mrope_angles(pos, 1, 1, 8, section, 10000, c, s);
    static const double axis[] = {3, 5, 5, 7};
    for (int j = 0; j < 4; j++) {
        double a = axis[j] * pow(10000, -2.0 * j / 8);
        assert_true(fabs(cos(a) - (double)c[j]) < 1e-6 && fabs(sin(a) - (double)s[j]) < 1e-6);
    }
}

static void a_picture_is_part_of_the_prefix(void **state)
{
    uint64_t a[] = {kv_key_text(5), kv_key_visual(1, 1, 4, 4, -1, 0),
                    kv_key_visual(1, 1, 4, 4, -1, 1)};
    uint64_t b[] = {kv_key_text(5), kv_key_visual(1, 1, 4, 4, -1, 0),
                    kv_key_visual(2, 1, 4, 4, -1, 1)};
    uint64_t c[] = {kv_key_text(5), kv_key_visual(1, 1, 4, 8, -1, 0)};

    assert_int_equal(kv_common(a, 3, a, 3), 3);
    assert_int_equal(kv_common(a, 3, b, 3), 2);
    assert_int_equal(kv_common(a, 3, c, 2), 1);
    assert_int_equal(kv_common(a, 0, a, 3), 0);
}

static bool odd_only(void *user, int32_t id)
{
    ++*(int *)user;
    return id % 2 == 1;
}

static bool nothing(void *user, int32_t id)
{
    return false;
}

static void greedy_takes_the_best_allowed(void **state)
{
    float logits[] = {9, 1, 8, 7, NAN, 7, INFINITY};
    struct sampler s;
    int asked = 0;

    sampler_init(&s, 7, 0, 0, 0);
    assert_int_equal(sampler_next(&s, logits, NULL, NULL), 0);
    assert_int_equal(sampler_next(&s, logits, odd_only, &asked), 3);
    assert_int_equal(asked, 3); /* candidates in order: 0, 2, 3 */
    assert_int_equal(sampler_next(&s, logits, nothing, NULL), -1);
    sampler_done(&s);
}

static void samples_follow_the_distribution(void **state)
{
    float logits[] = {logf(0.5f), logf(0.3f), logf(0.15f), logf(0.05f)};
    int count[4] = {0}, n = 20000, asked = 0;
    struct sampler s;

    sampler_init(&s, 4, 1, 0.7f, 42);
    for (int i = 0; i < n; i++)
        count[sampler_next(&s, logits, NULL, NULL)]++;
    assert_int_equal(count[2] + count[3], 0); /* outside of the nucleus */
    assert_true(abs(count[0] - n * 5 / 8) < n / 50);
    sampler_done(&s);

    /* a grammar that takes away the nucleus's best leaves its rest; then what is next */
    sampler_init(&s, 4, 1, 0.4f, 42);
    assert_int_equal(sampler_next(&s, logits, odd_only, &asked), 1);
    sampler_done(&s);
}

static void a_seed_repeats(void **state)
{
    float logits[64];
    struct sampler a, b;

    for (int i = 0; i < 64; i++)
        logits[i] = sinf((float)i);
    sampler_init(&a, 64, 1, 0, 7);
    sampler_init(&b, 64, 1, 0, 7);
    for (int i = 0; i < 100; i++)
        assert_int_equal(sampler_next(&a, logits, NULL, NULL),
                         sampler_next(&b, logits, NULL, NULL));
    sampler_done(&a);
    sampler_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_cover_each_frame_once),
        cmocka_unit_test(windows_at_the_edge_are_smaller),
        cmocka_unit_test(patches_lie_in_blocks),
        cmocka_unit_test(positions_jump_over_a_picture_by_its_longer_side),
        cmocka_unit_test(a_video_counts_seconds),
        cmocka_unit_test(each_axis_has_its_frequencies),
        cmocka_unit_test(a_picture_is_part_of_the_prefix),
        cmocka_unit_test(greedy_takes_the_best_allowed),
        cmocka_unit_test(samples_follow_the_distribution),
        cmocka_unit_test(a_seed_repeats),
    };
    return cmocka_run_group_tests_name("vlm_index", tests, NULL, NULL);
}
