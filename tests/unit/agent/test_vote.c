/* agent/vote.c: what a look shows maps back to the pixels it came from, the count says what most
 * looks say, parts are seen where most have not found it, and the worker's vote is that of the same
 * pictures asked one by one. */
#include "actions/action.h"
#include "agent/prompt.h"
#include "agent/vote.h"
#include "agent/worker.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/golden/screen.h"
#include "tests/unit/agent/answer.h"

/* Each pixel's colour is where it is on the screen. */
static struct frame numbered(int w, int h, int x0, int y0)
{
    struct frame f = {0};
    assert_int_equal(frame_alloc(&f, w, h), 0);
    f.screen = (struct rect){x0, y0, w, h};
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            uint8_t *p = f.rgb + ((size_t)y * (size_t)w + (size_t)x) * 3;
            p[0] = (uint8_t)x;
            p[1] = (uint8_t)y;
            p[2] = (uint8_t)(x >> 8 | (y >> 8) << 4);
        }
    return f;
}

static void every_look_says_where_its_pixels_are(void **state)
{
    struct frame f = numbered(450, 340, 100, 60);
    int n_moved = 0, n_larger = 0;
    for (int i = 0; i < LOOK_MAX; i++) {
        struct vote v = {.n_looks = LOOK_MAX, .n = i};
        struct frame g = {0};
        struct err err = {0};
        if (vote_frame(&v, &f, &g, &err) < 0)
            fail_msg("%s", err.text);
        if (g.w != f.w) { /* larger: the same part of the screen */
            n_larger++;
            assert_true(g.w > f.w && g.h > f.h);
            assert_memory_equal(&g.screen, &f.screen, sizeof f.screen);
            frame_done(&g);
            continue;
        }
        n_moved += g.screen.x != f.screen.x || g.screen.y != f.screen.y;
        struct place same = {g.w, g.h, g.screen};
        for (int y = 0; y < g.h; y++) {
            for (int x = 0; x < g.w; x++) {
                struct screen_pt at;
                struct model_pt m = {(float)x, (float)y};
                assert_int_equal(place_to_screen(&same, m, &at, &err), 0);
                int fx = CLAMP(at.x - 100, 0, f.w - 1), fy = CLAMP(at.y - 60, 0, f.h - 1);
                assert_memory_equal(g.rgb + ((size_t)y * 450 + (size_t)x) * 3,
                                    f.rgb + ((size_t)fy * 450 + (size_t)fx) * 3, 3);
            }
        }
        if (i == 0)
            assert_memory_equal(&g.screen, &f.screen, sizeof f.screen);
        frame_done(&g);
    }
    assert_true(n_moved >= 5 && n_larger >= 1);
    f.screen.w = 900; /* scaled */
    struct vote v = {.n_looks = LOOK_MAX, .n = 1};
    struct frame g = {0};
    struct err err = {0};
    assert_int_equal(vote_frame(&v, &f, &g, &err), -ENOTSUP);
    frame_done(&f);
}

#define CLICK(x, y) "<think>\na\n</think>\n\n{\"action\": \"click\", \"start_point\": [" #x ", " #y "]}"
#define INPUT(t) "{\"action\": \"input\", \"start_point\": [50, 60], \"text\": \"" t "\"}"
#define DRAG(x) "{\"action\": \"drag\", \"start_point\": [9, 9], \"end_point\": [" #x ", 40]}"
#define BOX(a, b, c, d) "```json\n[{\"bbox_2d\": [" #a ", " #b ", " #c ", " #d "]}]\n```"
#define USER "{\"action\": \"call_user\"}"
#define UNSURE (-3.0) /* the logarithm of a probability: less than a vote, and each the same */

static void add(struct vote *v, const char *text)
{
    struct place place = {600, 500, {100, 60, 600, 500}};
    vote_add(v, text, strlen(text), UNSURE, false, &place, place.screen);
}

static void closer_looks_are_at_what_most_have_found(void **state)
{
    static const struct {
        const char *what, *said[4];
        int x, y; /* of the point looked at, on the screen; 0: at none */
    } rows[] = {
        {"the only one", {CLICK(300, 200), USER}, 400, 260},
        {"the first of two", {CLICK(300, 200), CLICK(250, 250)}, 400, 260},
        {"what two have found", {CLICK(300, 200), CLICK(250, 250), CLICK(255, 250), USER}, 350,
         310},
        {"near a corner", {CLICK(3, 499), USER}, 103, 559},
        {"the target is not there", {USER, USER}, 0, 0},
        {"no point", {"{\"action\": \"finished\"}", "no"}, 0, 0},
    };
    struct frame f = numbered(600, 500, 100, 60);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct vote v = {.n_looks = LOOK_MAX};
        struct frame g = {0};
        struct err err = {0};
        for (int k = 0; k < 4 && rows[i].said[k]; k++)
            add(&v, rows[i].said[k]);
        int n = v.n;
        v.n = 4; /* what is not said is as good as unreadable, and this look a closer one */
        if (vote_frame(&v, &f, &g, &err) < 0)
            fail_msg("%s: %s", rows[i].what, err.text);
        bool is_part = g.screen.w < f.w;
        if (is_part != (rows[i].x > 0) || (is_part && g.w <= g.screen.w))
            fail_msg("%s: %d x %d of %d x %d", rows[i].what, g.w, g.h, g.screen.w, g.screen.h);
        if (is_part) {
            struct place lies = {g.w, g.h, g.screen}, whole = {f.w, f.h, f.screen};
            struct screen_pt at = {rows[i].x, rows[i].y};
            struct model_pt m, of;
            assert_int_equal(place_to_model(&lies, at, &m, &err), 0);
            assert_int_equal(place_to_model(&whole, at, &of, &err), 0);
            const uint8_t *p = g.rgb + ((size_t)m.y * (size_t)g.w + (size_t)m.x) * 3;
            assert_true(abs(p[0] - ((int)of.x & 255)) <= 1 && abs(p[1] - ((int)of.y & 255)) <= 1);
        }
        frame_done(&g);
        v.n = n;
        vote_done(&v);
    }
    frame_done(&f);
}

/* Each ballot once, and not what a closer look has said. */
static void no_look_is_followed_twice(void **state)
{
    struct frame f = numbered(600, 500, 100, 60);
    struct vote v = {.n_looks = LOOK_MAX};
    int x[5];
    add(&v, CLICK(300, 200));
    add(&v, CLICK(200, 250));
    for (int i = 0; i < 5; i++) {
        struct frame g = {0};
        struct err err = {0};
        int n = v.n;
        v.n = i == 0 ? 2 : 4; /* closer looks */
        assert_int_equal(vote_frame(&v, &f, &g, &err), 0);
        x[i] = g.screen.w < f.w ? g.screen.x + g.screen.w / 2 : 0;
        frame_done(&g);
        v.n = n;
        if (i == 0)
            add(&v, CLICK(500, 250));
        if (i == 1)
            add(&v, CLICK(205, 250));
    }
    assert_int_equal(x[0], 400);
    assert_int_equal(x[1], 300);
    assert_int_equal(x[2], 305);
    assert_int_equal(x[3], 0);
    assert_int_equal(x[4], 0);
    vote_done(&v);
    frame_done(&f);
}

/* The next look says so; is that enough? */
static void count_one(struct vote *v, struct tally *t, const char *what, const char *said,
                      double logprob, bool is_box, bool decides)
{
    struct place place = {300, 200, {0, 0, 300, 200}};
    vote_add(v, said, strlen(said), logprob, is_box, &place, place.screen);
    if (vote_count(v, t) != decides)
        fail_msg("%s: after %d looks", what, v->n);
}

static void most_looks_decide(void **state)
{
    static const struct {
        const char *what, *said[LOOK_MAX];
        bool is_box;
        int n_looks, decided_at, look, n_agree, x, y;
    } rows[] = {
        {"all alike", {CLICK(100, 50), CLICK(100, 50), CLICK(100, 50)}, false, 5, 3, 0, 3, 100, 50},
        {"the mean of those that agree", {CLICK(100, 50), CLICK(110, 53), CLICK(105, 62)}, false, 5,
         3, 0, 3, 105, 55},
        {"the first is alone", {CLICK(10, 10), CLICK(200, 90), CLICK(204, 90), CLICK(208, 90)},
         false, 5, 4, 1, 3, 204, 90},
        {"half is not most", {CLICK(99, 50), CLICK(99, 50), CLICK(9, 9), CLICK(50, 99)}, false, 4,
         4, 0, 2, 99, 50},
        {"two of three", {CLICK(10, 10), CLICK(200, 90), CLICK(200, 90)}, false, 3, 3, 1, 2, 200,
         90},
        {"nobody agrees: the first", {CLICK(10, 10), CLICK(90, 90), CLICK(170, 170)}, false, 3, 3,
         0, 1, 10, 10},
        {"no target is an answer too", {CLICK(10, 10), USER, USER}, false, 3, 3, 1, 2, 0, 0},
        {"as many that find it and that do not",
         {USER, CLICK(10, 10), USER, CLICK(90, 90), CLICK(12, 10)},
         false, 5, 5, 1, 2, 11, 10},
        {"more that do not", {USER, CLICK(10, 10), USER, CLICK(10, 10), USER}, false, 5, 5, 0, 3, 0,
         0},
        {"nobody finds it twice", {USER, CLICK(10, 10), CLICK(90, 90)}, false, 3, 3, 0, 1, 0, 0},
        {"another text is another answer", {INPUT("Adq"), INPUT("Ada"), INPUT("Ada")}, false, 3, 3,
         1, 2, 50, 60},
        {"the end of a drag counts", {DRAG(90), DRAG(200), DRAG(204)}, false, 3, 3, 1, 2, 9, 9},
        {"what cannot be read does not", {"no", "no", CLICK(10, 10)}, false, 3, 3, 2, 1, 10, 10},
        {"nothing can be read", {"no", "no", "no"}, false, 3, 3, 0, 0, 0, 0},
        {"outside of the picture", {CLICK(299, 10), CLICK(301, 10), CLICK(20, 199)}, false, 3, 3, 0,
         1, 299, 10},
        {"boxes by their middles", {BOX(10, 10, 30, 20), BOX(0, 10, 40, 20)}, true, 3, 2, 0, 2, 20,
         15},
        {"as many boxes as empty lists",
         {"[]", "[]", BOX(0, 10, 40, 20), BOX(0, 10, 40, 20)},
         true, 4, 4, 2, 2, 20, 15},
        {"empty lists", {"[]", BOX(0, 10, 40, 20), "[]"}, true, 3, 3, 0, 2, 0, 0},
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct vote v = {.n_looks = rows[i].n_looks};
        struct tally t = {0};
        for (int n = 1; n <= rows[i].decided_at; n++)
            count_one(&v, &t, rows[i].what, rows[i].said[n - 1], UNSURE, rows[i].is_box,
                      n == rows[i].decided_at);
        if (t.look != rows[i].look || t.n_agree != rows[i].n_agree || t.n_looks != v.n ||
            t.at[0].x != rows[i].x || t.at[0].y != rows[i].y)
            fail_msg("%s: look %d, %d of %d agree on (%d, %d)", rows[i].what, t.look, t.n_agree,
                     t.n_looks, t.at[0].x, t.at[0].y);
        vote_done(&v);
    }
}

/* A look weighs as much as the model was sure of it. */
static void sure_looks_weigh_more(void **state)
{
    static const struct {
        const char *what, *said[4];
        double p[4];
        bool is_box;
        int n_looks, decided_at, look, n_agree, sure;
    } rows[] = {
        {"one that is sure before two that are not",
         {CLICK(10, 10), CLICK(200, 90), CLICK(12, 10), CLICK(99, 150)},
         {0.2, 0.9, 0.2, 0.2}, false, 4, 4, 1, 1, 22},
        {"two that are sure are enough",
         {CLICK(10, 10), CLICK(12, 10)}, {0.8, 0.75}, false, 5, 2, 0, 2, 77},
        {"almost",
         {CLICK(10, 10), CLICK(12, 10), CLICK(12, 10)}, {0.7, 0.75, 0.1}, false, 5, 3, 0, 3, 51},
        {"not where another is sure too",
         {CLICK(99, 99), CLICK(10, 10), CLICK(12, 10), CLICK(12, 10)},
         {0.6, 0.9, 0.9, 0.1}, false, 5, 4, 1, 3, 47},
        {"one alone is not enough",
         {CLICK(10, 10), CLICK(99, 99), USER}, {1, 0.3, 0.1}, false, 3, 3, 0, 1, 33},
        {"nor where the target is not there", {USER, USER, USER}, {1, 1, 1}, false, 5, 3, 0, 3, 100},
        {"a text that is more probable",
         {INPUT("Adq"), INPUT("Ada")}, {0.3, 0.5}, false, 2, 2, 1, 1, 25},
        {"a box by the root",
         {BOX(10, 10, 30, 20), BOX(10, 10, 30, 20)}, {0.64, 0.49}, true, 5, 2, 0, 2, 75},
        {"a tenth at least",
         {CLICK(10, 10), CLICK(99, 99), CLICK(12, 10)}, {1e-30, 0.15, 0}, false, 3, 3, 0, 2, 6},
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct vote v = {.n_looks = rows[i].n_looks};
        struct tally t = {0};
        for (int n = 1; n <= rows[i].decided_at; n++)
            count_one(&v, &t, rows[i].what, rows[i].said[n - 1], log(rows[i].p[n - 1]),
                      rows[i].is_box, n == rows[i].decided_at);
        if (t.look != rows[i].look || t.n_agree != rows[i].n_agree || t.sure != rows[i].sure)
            fail_msg("%s: look %d, %d agree, %d %% sure", rows[i].what, t.look, t.n_agree, t.sure);
        vote_done(&v);
    }
}

/* Where on the screen a look finds the target; `x` 0: nowhere, -1: it says something else. */
struct find {
    int x, y;
};

/* The next look, and what it says. */
static struct rect look(struct vote *v, const struct frame *f, struct find at)
{
    struct frame g = {0};
    struct err err = {0};
    char text[128] = USER;
    if (vote_frame(v, f, &g, &err) < 0)
        fail_msg("%s", err.text);
    struct place place = {g.w, g.h, g.screen};
    struct model_pt m;
    if (at.x > 0) {
        struct screen_pt p = {at.x, at.y};
        assert_int_equal(place_to_model(&place, p, &m, &err), 0);
        snprintf(text, sizeof text, "{\"action\": \"click\", \"start_point\": [%.0f, %.0f]}", m.x,
                 m.y);
    } else if (at.x < 0) {
        strcpy(text, "{\"action\": \"finished\", \"status\": \"success\"}");
    }
    vote_add(v, text, strlen(text), UNSURE, false, &place, f->screen);
    frame_done(&g);
    return place.screen;
}

static void the_parts_are_looked_at_where_most_have_not_found_it(void **state)
{
    static const struct {
        const char *what;
        int w, h, n_looks;
        struct find said[20];
        int n, n_agree, x, y;
    } rows[] = {
        {"nowhere", 600, 500, 3, {{0}}, 6, 6, 0, 0},
        {"in a part, and again", 600, 500, 3, {{0}, {0}, {0}, {500, 99}, {502, 97}}, 5, 2, 501, 98},
        {"not again, but the time after",
         600, 500, 3, {{0}, {0}, {99, 99}, {0}, {99, 99}}, 5, 2, 99, 99},
        {"not again", 600, 500, 3, {{0}, {0}, {99, 99}, {0}, {0}}, 8, 7, 0, 0},
        {"elsewhere again", 600, 500, 3, {{0}, {0}, {99, 99}, {150, 99}}, 8, 6, 0, 0},
        {"in two parts",
         600, 500, 3, {{0}, {0}, {300, 250}, {0}, {0}, {300, 250}}, 6, 2, 300, 250},
        {"twice of five is not most",
         600, 500, 5, {{0}, {0}, {0}, {99, 99}, {99, 99}, {0}, {0}, {0}, {0}}, 9, 2, 99, 99},
        {"three of five are",
         600, 500, 5, {{0}, {0}, {0}, {99, 99}, {99, 99}, {99, 99}}, 6, 3, 99, 99},
        {"one place, and a part has it too",
         600, 500, 5, {{300, 99}, {99, 99}, {400, 150}, {200, 200}, {99, 99}, {99, 99}}, 6, 3, 99, 99},
        {"one place that no part has",
         600, 500, 5, {{300, 99}, {99, 99}, {400, 150}, {200, 200}, {99, 99}}, 9, 4, 0, 0},
        {"most have found it", 600, 500, 3, {{99, 99}, {99, 99}}, 2, 2, 99, 99},
        {"a key has no place", 600, 500, 3, {{-1}, {-1}}, 2, 2, 0, 0},
        {"a part says it is done", 600, 500, 3, {{0}, {0}, {-1}, {-1}, {-1}, {-1}}, 6, 2, 0, 0},
        {"one beside the other", 600, 330, 3, {{0}}, 4, 4, 0, 0},
        {"one above the other", 440, 500, 3, {{0}}, 4, 4, 0, 0},
        {"enlarged",
         440, 330, 3, {{0}, {0}, {0}, {0}, {0}, {400, 300}, {400, 300}}, 7, 2, 400, 300},
        {"too small for parts", 300, 220, 3, {{0}}, 2, 2, 0, 0},
        {"one look", 600, 500, 1, {{0}}, 1, 1, 0, 0},
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct frame f = numbered(rows[i].w, rows[i].h, 0, 0);
        struct vote v = {0};
        struct tally t;
        vote_begin(&v, rows[i].n_looks, &f);
        do {
            look(&v, &f, rows[i].said[v.n]);
        } while (!vote_count(&v, &t));
        if (v.n != rows[i].n || t.n_agree != rows[i].n_agree || t.n_looks != v.n ||
            t.at[0].x / 4 != rows[i].x / 4 || t.at[0].y / 4 != rows[i].y / 4)
            fail_msg("%s: %d of %d looks agree on (%d, %d)", rows[i].what, t.n_agree, t.n_looks,
                     t.at[0].x, t.at[0].y);
        vote_done(&v);
        frame_done(&f);
    }
}

static void the_parts_are_all_of_the_picture(void **state)
{
    static const int sizes[][2] = {{600, 500}, {1280, 800}, {449, 336}, {448, 336}, {309, 1000}};
    for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
        int w = sizes[i][0], h = sizes[i][1];
        struct frame f = numbered(w, h, 100, 60);
        struct vote v = {0};
        struct tally t;
        AUTO_FREE uint8_t *seen = mem_zalloc((size_t)w * (size_t)h);
        vote_begin(&v, 3, &f);
        for (int k = 0; !vote_count(&v, &t); k++) {
            struct rect r = look(&v, &f, (struct find){0});
            for (int y = r.y - 60; k >= 2 && y < r.y - 60 + r.h; y++)
                memset(seen + (size_t)y * (size_t)w + r.x - 100, 1, (size_t)r.w);
        }
        assert_true(v.n > 3);
        assert_null(memchr(seen, 0, (size_t)w * (size_t)h));
        vote_done(&v);
        frame_done(&f);
    }
}

/* A look shows a little more than the picture: the edge, repeated. A point there is none. */
static void points_beyond_the_picture_do_not_count(void **state)
{
    struct place place = {300, 200, {14, 14, 300, 200}}; /* moved by 14 */
    struct rect inside = {0, 0, 300, 200};
    static const char far[] = CLICK(286, 10), near[] = CLICK(285, 185);
    struct vote v = {0};
    struct tally t;
    vote_add(&v, far, strlen(far), 0, false, &place, inside);
    vote_count(&v, &t);
    assert_int_equal(t.n_agree, 0);
    vote_add(&v, near, strlen(near), 0, false, &place, inside);
    vote_count(&v, &t);
    assert_int_equal(t.n_agree, 1);
    assert_int_equal(t.at[0].x, 299);
    assert_int_equal(t.at[0].y, 199);
    vote_done(&v);
}

static void wake(void *user) {}

static struct news *ask(struct worker *w, const struct frame *f, enum job_kind kind, int n_looks)
{
    struct str text = {0};
    struct job j = {.kind = kind, .max_tokens = 256, .n_looks = n_looks};
    if (kind == JOB_STEP)
        prompt_agent("Click OK", "", &text);
    else
        prompt_ground("OK", &text);
    j.text = str_take(&text);
    frame_dup(&j.frame, f);
    return good_answer_of(w, worker_submit(w, &j));
}

static void the_worker_counts_what_each_look_says(void **state)
{
    struct vlm_options o = {.n_threads = 2};
    struct worker *w;
    struct err err = {0};
    if (worker_open(DESKHAND_TEST_MODEL, &o, 0, wake, NULL, &w, &err) < 0)
        fail_msg("%s", err.text);
    for (uint32_t i = 0; i < 2; i++) {
        enum job_kind kind = i % 2 ? JOB_STEP : JOB_GROUND;
        struct frame f = golden_screen(440, 330, i + 1);
        f.screen = (struct rect){50, 30, 440, 330};
        struct news *voted = ask(w, &f, kind, 5), *alone[VOTE_BALLOTS_MAX] = {0};
        struct vote v = {0};
        struct tally t;
        int n_generated = 0;
        vote_begin(&v, 5, &f);
        for (bool decided = false; !decided;) {
            struct frame g = {0};
            assert_int_equal(vote_frame(&v, &f, &g, &err), 0);
            struct news *n = alone[v.n] = ask(w, &g, kind, 1);
            struct place place = {n->image_w, n->image_h, g.screen};
            assert_int_equal(n->tally.n_looks, 0);
            n_generated += n->timing.n_generated;
            vote_add(&v, n->text, strlen(n->text), n->logprob, kind == JOB_GROUND, &place,
                     f.screen);
            decided = vote_count(&v, &t);
            frame_done(&g);
        }
        assert_int_equal(voted->tally.n_looks, t.n_looks);
        assert_int_equal(voted->tally.n_agree, t.n_agree);
        assert_memory_equal(voted->tally.at, t.at, sizeof t.at);
        assert_string_equal(voted->text, alone[t.look]->text);
        assert_memory_equal(&voted->screen, &alone[t.look]->screen, sizeof voted->screen);
        assert_int_equal(voted->image_w, alone[t.look]->image_w);
        assert_int_equal(voted->first_w, alone[0]->image_w);
        assert_int_equal(voted->first_h, alone[0]->image_h);
        assert_int_equal(voted->timing.n_generated, n_generated);
        for (int k = 0; k < v.n; k++)
            news_free(alone[k]);
        vote_done(&v);
        news_free(voted);
        frame_done(&f);
    }
    worker_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_look_says_where_its_pixels_are),
        cmocka_unit_test(closer_looks_are_at_what_most_have_found),
        cmocka_unit_test(no_look_is_followed_twice),
        cmocka_unit_test(most_looks_decide),
        cmocka_unit_test(sure_looks_weigh_more),
        cmocka_unit_test(the_parts_are_looked_at_where_most_have_not_found_it),
        cmocka_unit_test(the_parts_are_all_of_the_picture),
        cmocka_unit_test(points_beyond_the_picture_do_not_count),
        cmocka_unit_test(the_worker_counts_what_each_look_says),
    };
    return cmocka_run_group_tests_name("vote", tests, NULL, NULL);
}
