/* The second look: the crop lies where it says, and an answer in it comes back to the very pixel.
 */
#include "actions/action.h"
#include "agent/prompt.h"
#include "agent/worker.h"
#include "agent/zoom.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/golden/screen.h"
#include "tests/unit/agent/answer.h"
#include "vision/patch.h"
#include "vision/place.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A picture in which every pixel says where on the screen it is. */
static struct frame numbered(int w, int h, int x0, int y0)
{
    struct frame f = {0};
    assert_int_equal(frame_alloc(&f, w, h), 0);
    f.screen = (struct rect){x0, y0, w, h};
    f.taken_us = 77;
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            uint8_t *p = f.rgb + ((size_t)y * (size_t)w + (size_t)x) * 3;
            int sx = x + x0, sy = y + y0;
            p[0] = (uint8_t)sx;
            p[1] = (uint8_t)sy;
            p[2] = (uint8_t)((sx >> 8) << 4 | sy >> 8);
        }
    }
    return f;
}

static void says(const struct frame *f, int x, int y, struct screen_pt at)
{
    const uint8_t *p = f->rgb + ((size_t)y * (size_t)f->w + (size_t)x) * 3;
    int sx = (p[2] >> 4) << 8 | p[0], sy = (p[2] & 15) << 8 | p[1];
    if (sx != at.x || sy != at.y)
        fail_msg("the crop's pixel (%d, %d) is the screen's (%d, %d), mapped to (%d, %d)", x, y, sx,
                 sy, at.x, at.y);
}

static void every_pixel_of_the_crop_maps_to_itself(void **state)
{
    static const struct {
        int w, h, x0, y0;
    } screens[] = {{1920, 1080, 0, 0}, {1366, 768, 100, 37}, {801, 601, 3, 5}, {500, 230, 0, 9}};

    for (size_t s = 0; s < N_ELEMENTS(screens); s++) {
        struct frame f = numbered(screens[s].w, screens[s].h, screens[s].x0, screens[s].y0);
        for (int i = 0; i < 25; i++) {
            struct screen_pt at = {f.screen.x + i % 5 * (f.w - 1) / 4,
                                   f.screen.y + i / 5 * (f.h - 1) / 4};
            struct frame c = {0};
            struct err err = {0};
            if (zoom_crop(&f, at, 30, 20, &c, &err) < 0)
                fail_msg("%s", err.text);
            assert_true(c.w < f.w || c.h < f.h);
            assert_int_equal(c.screen.w, c.w);
            assert_int_equal(c.screen.h, c.h);
            assert_int_equal(c.taken_us, 77);
            assert_in_range(at.x, c.screen.x, c.screen.x + c.w - 1);
            assert_in_range(at.y, c.screen.y, c.screen.y + c.h - 1);
            assert_true(c.screen.x >= f.screen.x && c.screen.x + c.w <= f.screen.x + f.w);
            assert_true(c.screen.y >= f.screen.y && c.screen.y + c.h <= f.screen.y + f.h);
            /* seen at its own size, the model's pixel is the crop's */
            struct place same = {c.w, c.h, c.screen};
            for (int y = 0; y < c.h; y += 13) {
                for (int x = 0; x < c.w; x += 7) {
                    struct screen_pt p;
                    assert_int_equal(
                        place_to_screen(&same, (struct model_pt){(float)x, (float)y}, &p, &err), 0);
                    says(&c, x, y, p);
                }
            }
            frame_done(&c);
        }
        frame_done(&f);
    }
}

/* Through the sizes that the model really sees: there and back stays within the coarser grid. */
static void the_way_through_the_model_is_exact(void **state)
{
    struct image_spec spec = {14, 2, 2, 3136, 1003520, {0}, {1, 1, 1}, 1 / 255.0f};
    struct frame f = numbered(2560, 1440, 0, 0);
    struct screen_pt at = {2000, 300};
    struct frame c = {0};
    struct patches p = {0}, whole = {0};
    struct err err = {0};
    int w, h, all_w, all_h;

    assert_int_equal(zoom_crop(&f, at, 0, 0, &c, &err), 0);
    assert_int_equal(patch_from_frame(&c, &spec, &p, &w, &h, &err), 0);
    assert_int_equal(patch_from_frame(&f, &spec, &whole, &all_w, &all_h, &err), 0);
    /* sharper than the whole */
    assert_true((double)w / c.w > 1.5 * all_w / f.w);
    struct place place = {w, h, c.screen};
    for (int y = c.screen.y; y < c.screen.y + c.h; y += 11) {
        for (int x = c.screen.x; x < c.screen.x + c.w; x += 11) {
            struct model_pt m;
            struct screen_pt back;
            assert_int_equal(place_to_model(&place, (struct screen_pt){x, y}, &m, &err), 0);
            assert_int_equal(place_to_screen(&place, m, &back, &err), 0);
            assert_true(back.x >= x - 1 && back.x <= x + 1);
            assert_true(back.y >= y - 1 && back.y <= y + 1);
        }
    }
    patches_done(&p);
    patches_done(&whole);
    frame_done(&c);
    frame_done(&f);
}

static void large_targets_are_seen_whole(void **state)
{
    struct frame f = numbered(1000, 800, 0, 0), c = {0};
    struct err err = {0};

    assert_int_equal(zoom_crop(&f, (struct screen_pt){500, 400}, 400, 10, &c, &err), 0);
    assert_int_equal(c.w, 800);
    assert_int_equal(c.h, 400);
    frame_done(&c);
    assert_int_equal(zoom_crop(&f, (struct screen_pt){1, 1}, 900, 900, &c, &err), -ENOTSUP);
    assert_int_equal(zoom_crop(&f, (struct screen_pt){1, 1}, 2000000000, -5, &c, &err), 0);
    assert_int_equal(c.w, 1000);
    frame_done(&c);
    frame_done(&f);
}

static void what_cannot_be_zoomed_is_refused(void **state)
{
    struct frame f = numbered(200, 150, 10, 0), c = {0};
    struct err err = {0};

    assert_int_equal(zoom_crop(&f, (struct screen_pt){50, 50}, 0, 0, &c, &err), -ENOTSUP);
    frame_done(&f);
    f = numbered(600, 600, 10, 0);
    assert_int_equal(zoom_crop(&f, (struct screen_pt){9, 50}, 0, 0, &c, &err), -ERANGE);
    assert_int_equal(zoom_crop(&f, (struct screen_pt){610, 50}, 0, 0, &c, &err), -ERANGE);
    assert_int_equal(zoom_crop(&f, (struct screen_pt){50, 600}, 0, 0, &c, &err), -ERANGE);
    f.screen.w = 1200;
    assert_int_equal(zoom_crop(&f, (struct screen_pt){50, 50}, 0, 0, &c, &err), -ENOTSUP);
    frame_done(&f);
}

static void wake(void *user) {}

static struct news *ground(struct worker *w, const struct frame *f, bool zoom)
{
    struct str text = {0};
    prompt_ground("OK", &text);
    struct job j = {.kind = JOB_GROUND, .max_tokens = 256, .n_looks = 1, .zoom = zoom,
                    .text = str_take(&text)};
    frame_dup(&j.frame, f);
    return good_answer_of(w, worker_submit(w, &j));
}

/* The second look is the first one of whoever sees the crop alone. */
static void the_worker_looks_twice(void **state)
{
    struct vlm_options o = {.n_threads = 2};
    struct worker *w;
    struct err err = {0};
    int n_zoomed = 0;

    if (worker_open(DESKHAND_TEST_MODEL, &o, 0, wake, NULL, &w, &err) < 0)
        fail_msg("%s", err.text);
    for (uint32_t i = 0; i < 3; i++) {
        struct frame f = golden_screen(640, 460, i + 1), crop = {0};
        f.screen = (struct rect){50, 30, 640, 460};
        struct news *once = ground(w, &f, false), *twice = ground(w, &f, true);
        struct place place = {once->image_w, once->image_h, f.screen};
        struct model_pt point;
        struct screen_pt at;
        float box[4];
        assert_false(once->zoomed);
        assert_memory_equal(&once->screen, &f.screen, sizeof f.screen);
        if (action_parse_box(once->text, strlen(once->text), once->image_w, once->image_h, &point,
                             box, &err) < 0 ||
            place_to_screen(&place, point, &at, &err) < 0) {
            assert_false(twice->zoomed);
        } else if (twice->zoomed) {
            n_zoomed++;
            int box_w = (int)((box[2] - box[0]) * 640 / (float)once->image_w);
            int box_h = (int)((box[3] - box[1]) * 460 / (float)once->image_h);
            assert_int_equal(zoom_crop(&f, at, box_w, box_h, &crop, &err), 0);
            assert_memory_equal(&twice->screen, &crop.screen, sizeof crop.screen);
            struct news *alone = ground(w, &crop, false);
            assert_string_equal(alone->text, twice->text);
            assert_int_equal(alone->image_w, twice->image_w);
            assert_int_equal(twice->timing.n_generated,
                             once->timing.n_generated + alone->timing.n_generated);
            news_free(alone);
            frame_done(&crop);
        } else {
            assert_string_equal(once->text, twice->text);
        }
        news_free(once);
        news_free(twice);
        frame_done(&f);
    }
    worker_close(w);
    assert_true(n_zoomed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pixel_of_the_crop_maps_to_itself),
        cmocka_unit_test(the_way_through_the_model_is_exact),
        cmocka_unit_test(large_targets_are_seen_whole),
        cmocka_unit_test(what_cannot_be_zoomed_is_refused),
        cmocka_unit_test(the_worker_looks_twice),
    };
    return cmocka_run_group_tests_name("zoom", tests, NULL, NULL);
}
