/* vision/capture.h on a real server: exact colours, edges, cursor, damage, windows, and a server
 * that dies. Each group of tests has its own Xvfb. */
#include "vision/capture.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "tests/x11/xvfb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xcb/randr.h>
#include <xcb/xcb.h>
#include <cmocka.h>

#define W 640
#define H 400

static struct xvfb server;

/* a small X client that draws */

struct painter {
    xcb_connection_t *c;
    xcb_screen_t *screen;
    xcb_gcontext_t gc;
};

static struct painter painter_open(const struct xvfb *x)
{
    struct painter p;
    p.c = xcb_connect(x->display, NULL);
    assert_int_equal(xcb_connection_has_error(p.c), 0);
    p.screen = xcb_setup_roots_iterator(xcb_get_setup(p.c)).data;
    p.gc = xcb_generate_id(p.c);
    xcb_create_gc(p.c, p.gc, p.screen->root, 0, NULL);
    return p;
}

static void painter_sync(struct painter *p)
{
    free(xcb_get_input_focus_reply(p->c, xcb_get_input_focus(p->c), NULL));
}

static void painter_fill(struct painter *p, xcb_window_t w, int x, int y, int n, int m,
                         uint32_t pixel)
{
    xcb_rectangle_t r = {(int16_t)x, (int16_t)y, (uint16_t)n, (uint16_t)m};
    xcb_change_gc(p->c, p->gc, XCB_GC_FOREGROUND, &pixel);
    xcb_poly_fill_rectangle(p->c, w, p->gc, 1, &r);
    painter_sync(p);
}

static xcb_window_t painter_window(struct painter *p, int x, int y, int n, int m, uint32_t pixel)
{
    xcb_window_t w = xcb_generate_id(p->c);
    xcb_create_window(p->c, XCB_COPY_FROM_PARENT, w, p->screen->root, (int16_t)x, (int16_t)y,
                      (uint16_t)n, (uint16_t)m, 0, XCB_WINDOW_CLASS_INPUT_OUTPUT,
                      XCB_COPY_FROM_PARENT, XCB_CW_BACK_PIXEL, &pixel);
    xcb_map_window(p->c, w);
    painter_sync(p);
    return w;
}

static void painter_property(struct painter *p, xcb_window_t w, const char *name, const char *type,
                             int format, const void *data, uint32_t n)
{
    xcb_atom_t a[2];
    const char *names[2] = {name, type};
    for (int i = 0; i < 2; i++) {
        xcb_intern_atom_reply_t *r = xcb_intern_atom_reply(
            p->c, xcb_intern_atom(p->c, 0, (uint16_t)strlen(names[i]), names[i]), NULL);
        a[i] = r->atom;
        free(r);
    }
    xcb_change_property(p->c, XCB_PROP_MODE_REPLACE, w, a[0], a[1], (uint8_t)format, n, data);
    painter_sync(p);
}

static struct eye *open_eye(const struct eye_options *o)
{
    struct eye_options with = *o;
    struct eye *e = NULL;
    struct err err = {0};
    if (!with.display)
        with.display = server.display;
    if (eye_open(&with, &e, &err) < 0)
        fail_msg("eye_open: %s", err.text);
    return e;
}

static struct frame take(struct eye *e)
{
    struct frame f = {0};
    struct err err = {0};
    if (eye_capture(e, &f, &err) < 0)
        fail_msg("eye_capture: %s", err.text);
    return f;
}

static void expect_pixel(const struct frame *f, int x, int y, uint32_t want)
{
    const uint8_t *p = f->rgb + ((size_t)y * (size_t)f->w + (size_t)x) * 3;
    uint32_t got = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    if (got != want)
        fail_msg("pixel (%d, %d) is %06x, expected %06x", x, y, got, want);
}

static void exact_colours(void **state)
{
    struct painter p = painter_open(&server);
    painter_fill(&p, p.screen->root, 0, 0, W, H, 0x102030);
    painter_fill(&p, p.screen->root, 5, 7, 1, 1, 0xff0080);
    painter_fill(&p, p.screen->root, W - 1, H - 1, 1, 1, 0x00ff01);
    struct frame got[2];
    for (int no_shm = 0; no_shm < 2; no_shm++) {
        struct eye *e = open_eye(&(struct eye_options){.no_shm = no_shm});
        struct frame f = take(e);
        assert_int_equal(f.w, W);
        assert_int_equal(f.h, H);
        assert_int_equal(f.screen.w, W);
        assert_true(f.taken_us > 0 && f.taken_us <= clock_now_us());
        expect_pixel(&f, 0, 0, 0x102030);
        expect_pixel(&f, 5, 7, 0xff0080);
        expect_pixel(&f, 6, 7, 0x102030);
        expect_pixel(&f, W - 1, H - 1, 0x00ff01);
        got[no_shm] = f;
        eye_close(e);
    }
    assert_memory_equal(got[0].rgb, got[1].rgb, W * H * 3);
    frame_done(&got[0]);
    frame_done(&got[1]);
    xcb_disconnect(p.c);
}

static void windows_and_edges(void **state)
{
    struct painter p = painter_open(&server);
    xcb_window_t inside = painter_window(&p, 50, 60, 31, 17, 0x112233);
    xcb_window_t half = painter_window(&p, -20, H - 10, 50, 40, 0x445566);
    xcb_window_t off = painter_window(&p, W + 5, 0, 10, 10, 0x777777);
    struct err err = {0};
    struct frame f;

    struct eye *e = open_eye(&(struct eye_options){.window = inside});
    f = take(e);
    assert_int_equal(f.w, 31);
    assert_int_equal(f.h, 17);
    assert_int_equal(f.screen.x, 50);
    assert_int_equal(f.screen.y, 60);
    expect_pixel(&f, 0, 0, 0x112233);
    expect_pixel(&f, 30, 16, 0x112233);
    frame_done(&f);
    /* its place is read anew */
    xcb_configure_window(p.c, inside, XCB_CONFIG_WINDOW_X, &(uint32_t){70});
    painter_sync(&p);
    struct rect r;
    assert_int_equal(eye_rect(e, &r, &err), 0);
    assert_int_equal(r.x, 70);
    /* unmapped, then gone */
    xcb_unmap_window(p.c, inside);
    painter_sync(&p);
    assert_int_equal(eye_capture(e, &f, &err), -ENODATA);
    xcb_destroy_window(p.c, inside);
    painter_sync(&p);
    assert_int_equal(eye_capture(e, &f, &err), -ENOENT);
    assert_false(eye_is_dead(e));
    eye_close(e);

    e = open_eye(&(struct eye_options){.window = half});
    f = take(e);
    assert_int_equal(f.screen.x, 0);
    assert_int_equal(f.screen.y, H - 10);
    assert_int_equal(f.w, 30);
    assert_int_equal(f.h, 10);
    expect_pixel(&f, 29, 9, 0x445566);
    frame_done(&f);
    eye_close(e);

    e = open_eye(&(struct eye_options){.window = off});
    assert_int_equal(eye_capture(e, &f, &err), -ERANGE);
    assert_non_null(strstr(err.text, "640 x 400"));
    eye_close(e);

    struct eye *none = NULL;
    struct eye_options o = {.display = server.display, .window = 0x12345};
    assert_int_equal(eye_open(&o, &none, &err), -ENOENT);
    assert_null(none);
    xcb_disconnect(p.c);
}

static void outputs(void **state)
{
    struct eye_output *list = NULL;
    int n = 0;
    struct err err = {0};
    struct eye *e = open_eye(&(struct eye_options){0});
    assert_int_equal(eye_outputs(e, &list, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(list[0].rect.w, W);
    assert_int_equal(list[0].rect.h, H);
    struct eye *chosen = open_eye(&(struct eye_options){.output = list[0].name});
    struct frame f = take(chosen);
    assert_int_equal(f.w, W);
    frame_done(&f);
    eye_close(chosen);
    eye_close(e);

    struct eye_options o = {.display = server.display, .output = "DP-77"};
    assert_int_equal(eye_open(&o, &e, &err), -ENOENT);
    assert_non_null(strstr(err.text, "DP-77"));
    assert_non_null(strstr(err.text, list[0].name));
    free(list);
}

static void cursor_is_drawn_on_request(void **state)
{
    struct painter p = painter_open(&server);
    painter_fill(&p, p.screen->root, 0, 0, W, H, 0x808080);
    xcb_cursor_t cursor = xcb_generate_id(p.c);
    xcb_font_t font = xcb_generate_id(p.c);
    xcb_open_font(p.c, font, 6, "cursor");
    /* the filled square-like "dot" of the cursor font in pure red over blue */
    xcb_create_glyph_cursor(p.c, cursor, font, font, 34, 35, 0xffff, 0, 0, 0, 0, 0xffff);
    xcb_change_window_attributes(p.c, p.screen->root, XCB_CW_CURSOR, &cursor);
    static const int at[][2] = {{300, 200}, {0, 0}, {W - 1, H - 1}};
    for (size_t i = 0; i < N_ELEMENTS(at); i++) {
        xcb_warp_pointer(p.c, XCB_NONE, p.screen->root, 0, 0, 0, 0, (int16_t)at[i][0],
                         (int16_t)at[i][1]);
        painter_sync(&p);
        struct eye *with = open_eye(&(struct eye_options){.cursor = true});
        struct eye *without = open_eye(&(struct eye_options){0});
        struct frame a = take(with), b = take(without);
        int n_other = 0, n_near = 0;
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                if (!memcmp(a.rgb + (y * W + x) * 3, b.rgb + (y * W + x) * 3, 3))
                    continue;
                n_other++;
                n_near += abs(x - at[i][0]) < 20 && abs(y - at[i][1]) < 20;
            }
        assert_true(n_other > 3);
        assert_int_equal(n_other, n_near);
        expect_pixel(&b, at[i][0], at[i][1], 0x808080);
        frame_done(&a);
        frame_done(&b);
        eye_close(with);
        eye_close(without);
    }
    xcb_disconnect(p.c);
}

/* Serves until the change has come, at most a second. */
static bool wait_change(struct eye *e, int64_t since)
{
    struct err err = {0};
    int64_t end = clock_now_us() + 1000000;
    while (clock_now_us() < end) {
        assert_int_equal(eye_service(e, &err), 0);
        if (eye_last_change_us(e) > since)
            return true;
        struct pollfd fd = {.fd = eye_fd(e), .events = POLLIN};
        poll(&fd, 1, 50);
    }
    return false;
}

static void damage_is_reported(void **state)
{
    struct painter p = painter_open(&server);
    struct eye *e = open_eye(&(struct eye_options){0});
    struct err err = {0};
    assert_true(eye_has_damage(e));
    /* whatever happened before is done with */
    painter_fill(&p, p.screen->root, 0, 0, 1, 1, 0);
    wait_change(e, 0);
    assert_int_equal(eye_service(e, &err), 0);
    eye_damage_reset(e);
    assert_int_equal(eye_damage(e).w, 0);

    int64_t before = clock_now_us();
    painter_fill(&p, p.screen->root, 100, 50, 20, 10, 0xabcdef);
    assert_true(wait_change(e, before));
    assert_int_equal(eye_damage(e).x, 100);
    assert_int_equal(eye_damage(e).y, 50);
    assert_int_equal(eye_damage(e).w, 20);
    assert_int_equal(eye_damage(e).h, 10);
    assert_int_equal(eye_damage_pixels(e), 200);

    /* a second one: also when a capture has swallowed the events */
    before = clock_now_us();
    painter_fill(&p, p.screen->root, 10, 5, 4, 4, 0xabcdef);
    struct frame f = take(e);
    frame_done(&f);
    assert_true(eye_last_change_us(e) > before);
    assert_int_equal(eye_damage(e).x, 10);
    assert_int_equal(eye_damage(e).w, 110);
    assert_int_equal(eye_damage(e).h, 55);
    assert_int_equal(eye_damage_pixels(e), 216);

    /* the same place again is news again, and windows are seen too */
    before = clock_now_us();
    painter_fill(&p, p.screen->root, 10, 5, 4, 4, 0x0);
    assert_true(wait_change(e, before));
    before = clock_now_us();
    painter_window(&p, 400, 300, 20, 20, 0xff);
    assert_true(wait_change(e, before));

    /* quiet: nothing comes, and capturing is no change */
    before = eye_last_change_us(e);
    f = take(e);
    frame_done(&f);
    usleep(50000);
    assert_int_equal(eye_service(e, &err), 0);
    assert_int_equal(eye_last_change_us(e), before);
    eye_close(e);
    xcb_disconnect(p.c);
}

static void damage_counts_only_the_window(void **state)
{
    struct painter p = painter_open(&server);
    xcb_window_t w = painter_window(&p, 200, 200, 50, 50, 0x10);
    struct eye *e = open_eye(&(struct eye_options){.window = w});
    struct frame f = take(e);
    frame_done(&f);
    usleep(20000);
    assert_int_equal(eye_service(e, NULL), 0);
    eye_damage_reset(e);
    int64_t before = eye_last_change_us(e);
    painter_fill(&p, p.screen->root, 0, 0, 100, 100, 0x55);
    usleep(50000);
    assert_int_equal(eye_service(e, NULL), 0);
    assert_int_equal(eye_last_change_us(e), before);
    painter_fill(&p, w, 40, 40, 20, 20, 0x66);
    assert_true(wait_change(e, before));
    assert_int_equal(eye_damage_pixels(e), 100);
    eye_close(e);
    xcb_disconnect(p.c);
}

static void window_queries(void **state)
{
    struct painter p = painter_open(&server);
    struct eye *e = open_eye(&(struct eye_options){0});
    struct eye_window w;
    struct err err = {0};
    xcb_window_t id = painter_window(&p, 320, 100, 60, 40, 0x99);
    uint32_t pid = 4711;
    painter_property(&p, id, "WM_CLASS", "STRING", 8, "xterm\0XTerm", 12);
    painter_property(&p, id, "_NET_WM_NAME", "UTF8_STRING", 8, "caf\xc3\xa9 \xff\xc3", 8);
    painter_property(&p, id, "WM_NAME", "STRING", 8, "caf\xe9", 4);
    painter_property(&p, id, "_NET_WM_PID", "CARDINAL", 32, &pid, 1);

    assert_int_equal(eye_window_at(e, (struct screen_pt){330, 110}, &w, &err), 0);
    assert_int_equal(w.id, id);
    assert_string_equal(w.class_name, "XTerm");
    assert_string_equal(w.title, "caf\xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd");
    assert_int_equal(w.pid, 4711);
    assert_int_equal(w.rect.x, 320);
    assert_int_equal(w.rect.w, 60);
    assert_int_equal(eye_window_at(e, (struct screen_pt){5, H - 5}, &w, &err), 0);
    assert_int_equal(w.id, 0);
    assert_int_equal(eye_window_at(e, (struct screen_pt){99999, 0}, &w, &err), -ERANGE);

    /* the old name where there is no new one, Latin-1 */
    xcb_window_t old = painter_window(&p, 100, 300, 30, 30, 0x88);
    painter_property(&p, old, "WM_NAME", "STRING", 8, "caf\xe9", 4);
    assert_int_equal(eye_window_at(e, (struct screen_pt){110, 310}, &w, &err), 0);
    assert_int_equal(w.id, old);
    assert_string_equal(w.title, "caf\xc3\xa9");
    assert_int_equal(w.pid, 0);

    /* a title as long as the server lets it be, cut on a character */
    AUTO_FREE char *huge = mem_alloc(60000);
    for (int i = 0; i < 60000; i += 3)
        memcpy(huge + i, "\xe2\x82\xac", 3);
    painter_property(&p, old, "_NET_WM_NAME", "UTF8_STRING", 8, huge, 60000);
    painter_property(&p, old, "_NET_WM_PID", "CARDINAL", 8, "x", 1);
    painter_property(&p, old, "WM_CLASS", "STRING", 8, "noend", 5);
    assert_int_equal(eye_window_at(e, (struct screen_pt){110, 310}, &w, &err), 0);
    assert_int_equal(strlen(w.title), 255);
    assert_true(utf8_valid(w.title, strlen(w.title)));
    assert_int_equal(w.pid, 0);
    assert_string_equal(w.class_name, "noend");

    /* a client inside a frame is what counts, and the focus finds it from below */
    xcb_window_t frame = painter_window(&p, 450, 40, 100, 100, 0x77);
    xcb_window_t client = xcb_generate_id(p.c), inner = xcb_generate_id(p.c);
    xcb_create_window(p.c, XCB_COPY_FROM_PARENT, client, frame, 5, 20, 90, 75, 0,
                      XCB_WINDOW_CLASS_INPUT_OUTPUT, XCB_COPY_FROM_PARENT, 0, NULL);
    xcb_create_window(p.c, XCB_COPY_FROM_PARENT, inner, client, 0, 0, 90, 75, 0,
                      XCB_WINDOW_CLASS_INPUT_OUTPUT, XCB_COPY_FROM_PARENT, 0, NULL);
    xcb_map_window(p.c, client);
    xcb_map_window(p.c, inner);
    uint32_t normal[2] = {1, 0};
    painter_property(&p, client, "WM_STATE", "WM_STATE", 32, normal, 2);
    painter_property(&p, client, "WM_CLASS", "STRING", 8, "a\0Framed", 9);
    assert_int_equal(eye_window_at(e, (struct screen_pt){470, 80}, &w, &err), 0);
    assert_int_equal(w.id, client);
    assert_int_equal(w.rect.x, 455);
    assert_int_equal(w.rect.y, 60);
    xcb_set_input_focus(p.c, XCB_INPUT_FOCUS_PARENT, inner, XCB_CURRENT_TIME);
    painter_sync(&p);
    assert_int_equal(eye_window_focus(e, &w, &err), 0);
    assert_int_equal(w.id, client);
    assert_string_equal(w.class_name, "Framed");
    xcb_set_input_focus(p.c, XCB_INPUT_FOCUS_NONE, XCB_NONE, XCB_CURRENT_TIME);
    painter_sync(&p);
    assert_int_equal(eye_window_focus(e, &w, &err), 0);
    assert_int_equal(w.id, 0);
    /* the focus that follows the pointer */
    xcb_set_input_focus(p.c, XCB_INPUT_FOCUS_NONE, XCB_INPUT_FOCUS_POINTER_ROOT, XCB_CURRENT_TIME);
    xcb_warp_pointer(p.c, XCB_NONE, p.screen->root, 0, 0, 0, 0, 330, 110);
    painter_sync(&p);
    assert_int_equal(eye_window_focus(e, &w, &err), 0);
    assert_int_equal(w.id, id);

    struct eye_window *list = NULL;
    int n = 0;
    assert_int_equal(eye_windows(e, &list, &n, &err), 0);
    assert_int_equal(n, 3);
    assert_int_equal(list[0].id, id);
    assert_int_equal(list[1].id, old);
    assert_int_equal(list[2].id, client);
    free(list);

    /* a list of the window manager wins, even one that lies */
    uint32_t lies[3] = {client, 0xdeadbeef, id};
    painter_property(&p, p.screen->root, "_NET_CLIENT_LIST_STACKING", "WINDOW", 32, lies, 3);
    assert_int_equal(eye_windows(e, &list, &n, &err), 0);
    assert_int_equal(n, 2);
    assert_int_equal(list[0].id, client);
    assert_int_equal(list[1].id, id);
    free(list);
    painter_property(&p, p.screen->root, "_NET_CLIENT_LIST_STACKING", "WINDOW", 32, NULL, 0);
    xcb_disconnect(p.c);
    eye_close(e);
}

static xcb_window_t painter_popup(struct painter *p, int x, int y, int n, int m)
{
    xcb_window_t w = xcb_generate_id(p->c);
    uint32_t yes = 1;
    xcb_create_window(p->c, XCB_COPY_FROM_PARENT, w, p->screen->root, (int16_t)x, (int16_t)y,
                      (uint16_t)n, (uint16_t)m, 0, XCB_WINDOW_CLASS_INPUT_OUTPUT,
                      XCB_COPY_FROM_PARENT, XCB_CW_OVERRIDE_REDIRECT, &yes);
    xcb_map_window(p->c, w);
    painter_sync(p);
    return w;
}

static void expect_around(struct eye *e, xcb_window_t w, int min_w, int min_h, struct rect want)
{
    struct rect r;
    struct err err = {0};
    if (eye_around(e, w, min_w, min_h, &r, &err) < 0)
        fail_msg("%s", err.text);
    if (memcmp(&r, &want, sizeof(r)) != 0)
        fail_msg("%d x %d at (%d, %d), expected %d x %d at (%d, %d)", r.w, r.h, r.x, r.y, want.w,
                 want.h, want.x, want.y);
}

/* A window is seen with its frame and its menus, in a picture of at least the wanted size. */
static void a_window_and_what_is_around_it(void **state)
{
    struct painter p = painter_open(&server);
    struct eye *e = open_eye(&(struct eye_options){0});
    struct rect r;
    struct err err = {0};
    uint32_t normal[2] = {1, 0};
    xcb_window_t frame = painter_popup(&p, 300, 100, 100, 80); /* as openbox makes them */
    xcb_window_t client = xcb_generate_id(p.c);
    xcb_create_window(p.c, XCB_COPY_FROM_PARENT, client, frame, 5, 20, 90, 55, 0,
                      XCB_WINDOW_CLASS_INPUT_OUTPUT, XCB_COPY_FROM_PARENT, 0, NULL);
    xcb_map_window(p.c, client);
    painter_property(&p, client, "WM_STATE", "WM_STATE", 32, normal, 2);
    xcb_window_t bare = painter_window(&p, 10, 300, 60, 40, 0x55);

    expect_around(e, client, 1, 1, (struct rect){300, 100, 100, 80});
    expect_around(e, client, 200, 100, (struct rect){250, 90, 200, 100});
    expect_around(e, client, 2000, 90, (struct rect){0, 95, W, 90});
    expect_around(e, bare, 100, 200, (struct rect){0, 200, 100, 200}); /* moved inside */
    /* a menu, the one that it opens beside itself, and what does not belong */
    painter_popup(&p, 390, 170, 60, 50);
    painter_popup(&p, 450, 190, 40, 100);
    painter_popup(&p, 600, 10, 20, 20);
    painter_popup(&p, 0, 0, W, H);
    expect_around(e, client, 1, 1, (struct rect){300, 100, 190, 190});
    expect_around(e, bare, 60, 40, (struct rect){10, 300, 60, 40});

    xcb_destroy_window(p.c, bare);
    painter_sync(&p);
    assert_int_equal(eye_around(e, bare, 1, 1, &r, &err), -ENOENT);
    xcb_disconnect(p.c);
    eye_close(e);
}

/* The screen shrinks and grows again under an open eye, and the shared memory with it. */
static void screen_changes_its_size(void **state)
{
    static const int sizes[][2] = {{320, 200}, {W, H}, {33, 17}};
    struct xvfb x;
    assert_true(xvfb_start(&x, W, H, 24, NULL));
    struct painter p = painter_open(&x);
    struct eye *e = open_eye(&(struct eye_options){.display = x.display});
    struct frame f = take(e);
    frame_done(&f);
    for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
        int w = sizes[i][0], h = sizes[i][1];
        xcb_generic_error_t *error = xcb_request_check(
            p.c, xcb_randr_set_screen_size_checked(p.c, p.screen->root, (uint16_t)w, (uint16_t)h,
                                                   100, 100));
        if (error) { /* an output still shows the old size: switch it off first */
            free(error);
            xcb_randr_get_screen_resources_current_reply_t *r =
                xcb_randr_get_screen_resources_current_reply(
                    p.c, xcb_randr_get_screen_resources_current(p.c, p.screen->root), NULL);
            xcb_randr_crtc_t crtc = xcb_randr_get_screen_resources_current_crtcs(r)[0];
            free(xcb_randr_set_crtc_config_reply(
                p.c,
                xcb_randr_set_crtc_config(p.c, crtc, XCB_CURRENT_TIME, r->config_timestamp, 0, 0,
                                          XCB_NONE, XCB_RANDR_ROTATION_ROTATE_0, 0, NULL),
                NULL));
            free(r);
            assert_null(xcb_request_check(
                p.c, xcb_randr_set_screen_size_checked(p.c, p.screen->root, (uint16_t)w,
                                                       (uint16_t)h, 100, 100)));
        }
        painter_fill(&p, p.screen->root, 0, 0, w, h, 0x123456);
        f = take(e);
        assert_int_equal(f.w, w);
        assert_int_equal(f.h, h);
        expect_pixel(&f, w - 1, h - 1, 0x123456);
        frame_done(&f);
    }
    /* with its only output off, the whole screen is still there to be named */
    struct eye_output *list = NULL;
    int n = 0;
    assert_int_equal(eye_outputs(e, &list, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(list[0].rect.w, 33);
    free(list);
    eye_close(e);
    xcb_disconnect(p.c);
    xvfb_stop(&x);
}

static void dead_server_is_an_error(void **state)
{
    for (int no_shm = 0; no_shm < 2; no_shm++) {
        struct xvfb x;
        assert_true(xvfb_start(&x, 320, 200, 24, NULL));
        struct eye *e = open_eye(&(struct eye_options){.display = x.display, .no_shm = no_shm,
                                                       .cursor = true});
        struct frame f = take(e);
        frame_done(&f);
        xvfb_kill(&x);

        struct err err = {0};
        struct rect r;
        struct eye_window w, *windows = NULL;
        struct eye_output *outs = NULL;
        int n;
        assert_int_equal(eye_capture(e, &f, &err), -EPIPE);
        assert_non_null(strstr(err.text, "gone away"));
        assert_null(f.rgb);
        assert_true(eye_is_dead(e));
        assert_int_equal(eye_capture(e, &f, &err), -EPIPE);
        assert_int_equal(eye_rect(e, &r, &err), -EPIPE);
        assert_int_equal(eye_service(e, &err), -EPIPE);
        assert_int_equal(eye_outputs(e, &outs, &n, &err), -EPIPE);
        assert_int_equal(eye_window_at(e, (struct screen_pt){1, 1}, &w, &err), -EPIPE);
        assert_int_equal(eye_window_focus(e, &w, &err), -EPIPE);
        assert_int_equal(eye_windows(e, &windows, &n, &err), -EPIPE);
        eye_close(e);
    }
}

static void no_server_is_an_error(void **state)
{
    static const char *const names[] = {":98765", "nonsense", ":0.77777", "/no/such/socket"};
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        struct eye_options o = {.display = names[i]};
        struct eye *e = NULL;
        struct err err = {0};
        assert_true(eye_open(&o, &e, &err) < 0);
        assert_null(e);
        assert_non_null(strstr(err.text, names[i]));
    }
    char second[24];
    snprintf(second, sizeof(second), "%s.5", server.display);
    struct eye_options o = {.display = second};
    struct eye *e = NULL;
    struct err err = {0};
    assert_true(eye_open(&o, &e, &err) < 0);
    assert_non_null(strstr(err.text, "no screen of that number"));
}

static void depths(void **state)
{
    static const struct {
        int depth;
        bool works;
    } cases[] = {{16, true}, {30, true}, {8, false}};
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct xvfb x;
        if (!xvfb_start(&x, 65, 33, cases[i].depth, NULL))
            continue; /* this Xvfb was built without that depth */
        struct eye_options o = {.display = x.display};
        struct eye *e = NULL;
        struct err err = {0};
        int rc = eye_open(&o, &e, &err);
        if (cases[i].works) {
            assert_int_equal(rc, 0);
            struct painter p = painter_open(&x);
            painter_fill(&p, p.screen->root, 0, 0, 65, 33, 0);
            painter_fill(&p, p.screen->root, 64, 32, 1, 1, ~0u);
            struct frame f = take(e);
            expect_pixel(&f, 0, 0, 0);
            expect_pixel(&f, 63, 32, 0);
            expect_pixel(&f, 64, 32, 0xffffff);
            frame_done(&f);
            xcb_disconnect(p.c);
            eye_close(e);
        } else {
            assert_int_equal(rc, -ENOTSUP);
            assert_non_null(strstr(err.text, "depth 8"));
        }
        xvfb_stop(&x);
    }
}

static long resident_kb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*s %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void thousand_captures_keep_the_size(void **state)
{
    struct painter p = painter_open(&server);
    struct eye *e = open_eye(&(struct eye_options){.cursor = true});
    long before = 0;
    for (int i = 0; i < 1100; i++) {
        if (i == 100)
            before = resident_kb();
        painter_fill(&p, p.screen->root, i % 100, 0, 3, 3, (uint32_t)i);
        struct frame f = take(e);
        frame_done(&f);
    }
    long grown = resident_kb() - before;
    if (!SANITIZED && grown > 1024)
        fail_msg("1,000 captures grew the process by %ld KiB", grown);
    eye_close(e);
    xcb_disconnect(p.c);
}

static int start(void **state)
{
    return xvfb_start(&server, W, H, 24, NULL) ? 0 : -1;
}

static int stop(void **state)
{
    xvfb_stop(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_colours),
        cmocka_unit_test(windows_and_edges),
        cmocka_unit_test(outputs),
        cmocka_unit_test(cursor_is_drawn_on_request),
        cmocka_unit_test(damage_is_reported),
        cmocka_unit_test(damage_counts_only_the_window),
        cmocka_unit_test(window_queries),
        cmocka_unit_test(a_window_and_what_is_around_it),
        cmocka_unit_test(screen_changes_its_size),
        cmocka_unit_test(dead_server_is_an_error),
        cmocka_unit_test(no_server_is_an_error),
        cmocka_unit_test(depths),
        cmocka_unit_test(thousand_captures_keep_the_size),
    };
    return cmocka_run_group_tests_name("x11/capture", tests, start, stop);
}
