/* Opens the screen and takes its picture.
 *
 * A picture is always cut out of the root window: what a user sees, with everything that overlaps
 * the wanted output or window. The server writes the pixels into a shared memory segment that
 * lives as long as it is large enough; where there is none (a remote display, another namespace)
 * they come through the socket. Geometry is asked anew each time, because screens are resized and
 * windows move. Nothing here exits: a dead connection turns every call into -EPIPE.
 * Outputs are in screens.c, windows in windows.c, damage in change.c, byte order in pixels.c. */
#include "vision/capture.h"
#include "vision/eye.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>

#define MAX_SHM ((size_t)1 << 30)

bool eye_clip(struct rect *r, const struct rect *by)
{
    int64_t x0 = MAX(r->x, by->x), y0 = MAX(r->y, by->y);
    int64_t x1 = MIN((int64_t)r->x + r->w, (int64_t)by->x + by->w);
    int64_t y1 = MIN((int64_t)r->y + r->h, (int64_t)by->y + by->h);
    if (x1 <= x0 || y1 <= y0) {
        *r = (struct rect){0};
        return false;
    }
    *r = (struct rect){(int)x0, (int)y0, (int)(x1 - x0), (int)(y1 - y0)};
    return true;
}

int eye_fail(struct eye *eye, xcb_generic_error_t *e, struct err *err, const char *what)
{
    int code = e ? e->error_code : 0, major = e ? e->major_code : 0;
    free(e);
    if (eye_is_dead(eye))
        return err_set(err, -EPIPE, "the X server at %s has gone away while %s", eye->display,
                       what);
    return err_set(err, -EIO, "%s failed at %s: X error %d of request %d", what, eye->display, code,
                   major);
}

/* opening */

static int read_format(struct eye *e, const xcb_screen_t *screen, struct err *err)
{
    const xcb_setup_t *setup = xcb_get_setup(e->c);
    struct pixel_format *f = &e->format;
    bool found = false;

    f->depth = screen->root_depth;
    f->msb_first = setup->image_byte_order == XCB_IMAGE_ORDER_MSB_FIRST;
    for (xcb_format_iterator_t i = xcb_setup_pixmap_formats_iterator(setup); i.rem;
         xcb_format_next(&i))
        if (i.data->depth == screen->root_depth) {
            f->bits_per_pixel = i.data->bits_per_pixel;
            f->scanline_pad = i.data->scanline_pad;
        }
    for (xcb_depth_iterator_t d = xcb_screen_allowed_depths_iterator(screen); d.rem;
         xcb_depth_next(&d))
        for (xcb_visualtype_iterator_t v = xcb_depth_visuals_iterator(d.data); v.rem;
             xcb_visualtype_next(&v)) {
            if (v.data->visual_id != screen->root_visual)
                continue;
            if (v.data->_class != XCB_VISUAL_CLASS_TRUE_COLOR &&
                v.data->_class != XCB_VISUAL_CLASS_DIRECT_COLOR)
                return err_set(err, -ENOTSUP,
                               "the screen %s uses a colour palette (visual class %d, depth %d), "
                               "expected TrueColor (start the X server with depth 24)",
                               e->display, v.data->_class, screen->root_depth);
            f->red = v.data->red_mask;
            f->green = v.data->green_mask;
            f->blue = v.data->blue_mask;
            found = true;
        }
    if (!found)
        return err_set(err, -EPROTO, "the X server at %s does not describe its root visual",
                       e->display);
    return pixels_check(f, err);
}

static bool is_local(xcb_connection_t *c)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof(a);
    return getpeername(xcb_get_file_descriptor(c), (struct sockaddr *)&a, &n) == 0 &&
           a.ss_family == AF_UNIX;
}

static bool has_extension(struct eye *e, xcb_extension_t *x)
{
    const xcb_query_extension_reply_t *r = xcb_get_extension_data(e->c, x);
    return r && r->present;
}

static void ask_extensions(struct eye *e, const struct eye_options *o)
{
    xcb_connection_t *c = e->c;

    e->use_shm = !o->no_shm && has_extension(e, &xcb_shm_id) && is_local(c);
    if (has_extension(e, &xcb_xfixes_id)) {
        xcb_xfixes_query_version_reply_t *r =
            xcb_xfixes_query_version_reply(c, xcb_xfixes_query_version(c, 4, 0), NULL);
        e->has_xfixes = r && r->major_version >= 1;
        free(r);
    }
    if (has_extension(e, &xcb_randr_id)) {
        xcb_randr_query_version_reply_t *r =
            xcb_randr_query_version_reply(c, xcb_randr_query_version(c, 1, 3), NULL);
        e->has_randr = r && (r->major_version > 1 || r->minor_version >= 3);
        free(r);
    }
    if (has_extension(e, &xcb_damage_id)) {
        xcb_damage_query_version_reply_t *r =
            xcb_damage_query_version_reply(c, xcb_damage_query_version(c, 1, 1), NULL);
        e->has_damage = r && r->major_version >= 1;
        free(r);
    }
    if (e->has_damage) {
        e->damage_event = xcb_get_extension_data(c, &xcb_damage_id)->first_event;
        e->damage = xcb_generate_id(c);
        xcb_void_cookie_t k = xcb_damage_create_checked(c, e->damage, e->root,
                                                        XCB_DAMAGE_REPORT_LEVEL_RAW_RECTANGLES);
        xcb_generic_error_t *error = xcb_request_check(c, k);
        e->has_damage = !error;
        free(error);
    }
}

static void ask_atoms(struct eye *e)
{
    static const char *const names[N_EYE_ATOMS] = {
        [ATOM_WM_STATE] = "WM_STATE",
        [ATOM_NET_WM_NAME] = "_NET_WM_NAME",
        [ATOM_NET_WM_PID] = "_NET_WM_PID",
        [ATOM_NET_CLIENT_LIST_STACKING] = "_NET_CLIENT_LIST_STACKING",
        [ATOM_UTF8_STRING] = "UTF8_STRING",
    };
    xcb_intern_atom_cookie_t k[N_EYE_ATOMS];
    for (int i = 0; i < N_EYE_ATOMS; i++)
        k[i] = xcb_intern_atom(e->c, 0, (uint16_t)strlen(names[i]), names[i]);
    for (int i = 0; i < N_EYE_ATOMS; i++) {
        xcb_intern_atom_reply_t *r = xcb_intern_atom_reply(e->c, k[i], NULL);
        e->atoms[i] = r ? r->atom : XCB_ATOM_NONE;
        free(r);
    }
}

static const char *connection_problem(int code)
{
    switch (code) {
    case XCB_CONN_CLOSED_PARSE_ERR:
        return "the name of the display cannot be understood, expected something like :0";
    case XCB_CONN_CLOSED_INVALID_SCREEN:
        return "the display has no screen of that number";
    case XCB_CONN_CLOSED_EXT_NOTSUPPORTED:
        return "an extension is not supported";
    default:
        return "nothing answers there, or it refuses us (see xauth)";
    }
}

int eye_open(const struct eye_options *o, struct eye **ret, struct err *err)
{
    const char *name = o->display ? o->display : getenv("DISPLAY");
    int screen_number = 0, rc;

    if (!name || !*name)
        return err_set(err, -ENODEV, "no X display is named, set DISPLAY (for example to :0)");
    struct eye *e = mem_zalloc(sizeof(*e));
    e->display = mem_strdup(name);
    e->output = mem_strdup(o->output && *o->output ? o->output : NULL);
    e->window = o->window;
    e->cursor = o->cursor;
    e->c = xcb_connect(name, &screen_number);
    if ((rc = xcb_connection_has_error(e->c))) {
        rc = err_set(err, -ECONNREFUSED, "cannot open the X display %s: %s", name,
                     connection_problem(rc));
        goto fail;
    }
    xcb_screen_iterator_t i = xcb_setup_roots_iterator(xcb_get_setup(e->c));
    while (screen_number-- > 0 && i.rem)
        xcb_screen_next(&i);
    if (!i.rem) {
        rc = err_set(err, -ENODEV, "the X display %s has no screen", name);
        goto fail;
    }
    e->root = i.data->root;
    if ((rc = read_format(e, i.data, err)) < 0)
        goto fail;
    ask_extensions(e, o);
    ask_atoms(e);
    if (eye_is_dead(e)) {
        rc = eye_fail(e, NULL, err, "opening the display");
        goto fail;
    }
    /* a wrong output or window is better said now than at the first picture */
    struct rect r, root;
    if ((rc = screens_rect(e, &r, &root, err)) < 0)
        goto fail;
    *ret = e;
    return 0;

fail:
    eye_close(e);
    return rc;
}

static void drop_shm(struct eye *e)
{
    if (!e->shm)
        return;
    xcb_shm_detach(e->c, e->seg);
    shmdt(e->shm);
    e->shm = NULL;
    e->shm_size = 0;
}

void eye_close(struct eye *e)
{
    if (!e)
        return;
    drop_shm(e);
    if (e->c)
        xcb_disconnect(e->c);
    free(e->display);
    free(e->output);
    free(e);
}

bool eye_is_dead(const struct eye *e)
{
    return xcb_connection_has_error(e->c) != 0;
}

int eye_fd(const struct eye *e)
{
    return xcb_get_file_descriptor(e->c);
}

/* taking the picture */

/* Makes a segment of at least n bytes that the server sees too. It is marked for removal as soon
 * as both are attached, so that a crash leaves none behind. */
static bool want_shm(struct eye *e, size_t n)
{
    if (!e->use_shm || n > MAX_SHM)
        return false;
    if (e->shm && e->shm_size >= n)
        return true;
    drop_shm(e);
    int id = shmget(IPC_PRIVATE, n, IPC_CREAT | 0600);
    if (id < 0)
        return false;
    void *at = shmat(id, NULL, 0);
    if (at == (void *)-1) {
        shmctl(id, IPC_RMID, NULL);
        return false;
    }
    e->seg = xcb_generate_id(e->c);
    xcb_generic_error_t *error =
        xcb_request_check(e->c, xcb_shm_attach_checked(e->c, e->seg, (uint32_t)id, 0));
    shmctl(id, IPC_RMID, NULL);
    if (error || eye_is_dead(e)) {
        free(error);
        shmdt(at);
        e->use_shm = false;
        return false;
    }
    e->shm = at;
    e->shm_size = n;
    return true;
}

/* *ret_pixels points into the segment, or into *ret_heap, which the caller frees. */
static int fetch(struct eye *e, const struct rect *r, const uint8_t **ret_pixels, void **ret_heap,
                 struct err *err)
{
    size_t n = pixels_stride(&e->format, r->w) * (size_t)r->h;
    xcb_generic_error_t *error = NULL;

    if (want_shm(e, n)) {
        xcb_shm_get_image_reply_t *s = xcb_shm_get_image_reply(
            e->c,
            xcb_shm_get_image(e->c, e->root, (int16_t)r->x, (int16_t)r->y, (uint16_t)r->w,
                              (uint16_t)r->h, ~0u, XCB_IMAGE_FORMAT_Z_PIXMAP, e->seg, 0),
            &error);
        if (!s)
            return eye_fail(e, error, err, "taking a picture of the screen");
        int depth = s->depth;
        uint32_t size = s->size;
        free(s);
        if (depth != e->format.depth || size < n)
            return err_set(err, -EPROTO,
                           "the X server sent a picture of depth %d and %u bytes, expected depth "
                           "%d and %zu bytes",
                           depth, size, e->format.depth, n);
        *ret_pixels = e->shm;
        return 0;
    }
    if (eye_is_dead(e))
        return eye_fail(e, NULL, err, "taking a picture of the screen");
    xcb_get_image_reply_t *g = xcb_get_image_reply(
        e->c,
        xcb_get_image(e->c, XCB_IMAGE_FORMAT_Z_PIXMAP, e->root, (int16_t)r->x, (int16_t)r->y,
                      (uint16_t)r->w, (uint16_t)r->h, ~0u),
        &error);
    if (!g)
        return eye_fail(e, error, err, "taking a picture of the screen");
    int got = xcb_get_image_data_length(g);
    if (g->depth != e->format.depth || got < 0 || (size_t)got < n) {
        int depth = g->depth;
        free(g);
        return err_set(err, -EPROTO,
                       "the X server sent a picture of depth %d and %d bytes, expected depth %d "
                       "and %zu bytes",
                       depth, got, e->format.depth, n);
    }
    *ret_pixels = xcb_get_image_data(g);
    *ret_heap = g;
    return 0;
}

/* A server without a pointer picture is no reason to lose the frame. */
static int draw_cursor(struct eye *e, struct frame *f, struct err *err)
{
    xcb_xfixes_get_cursor_image_reply_t *r = xcb_xfixes_get_cursor_image_reply(
        e->c, xcb_xfixes_get_cursor_image(e->c), NULL);
    if (!r)
        return eye_is_dead(e) ? eye_fail(e, NULL, err, "reading the pointer's picture") : 0;
    int n = xcb_xfixes_get_cursor_image_cursor_image_length(r);
    if (n >= r->width * r->height)
        pixels_blend(xcb_xfixes_get_cursor_image_cursor_image(r), r->width, r->height,
                     r->x - r->xhot - f->screen.x, r->y - r->yhot - f->screen.y, f->rgb, f->w,
                     f->h);
    free(r);
    return 0;
}

int eye_rect(struct eye *e, struct rect *ret, struct err *err)
{
    struct rect r, root;
    int rc = screens_rect(e, &r, &root, err);
    if (rc < 0)
        return rc;
    struct rect whole = r;
    if (!eye_clip(&r, &root))
        return err_set(err, -ERANGE,
                       "there is nothing to see: %s is %d x %d at (%d, %d) and the screen is "
                       "%d x %d",
                       e->window   ? "the window"
                       : e->output ? e->output
                                   : "the screen",
                       whole.w, whole.h, whole.x, whole.y, root.w, root.h);
    e->watched = r;
    *ret = r;
    return 0;
}

int eye_capture(struct eye *e, struct frame *ret, struct err *err)
{
    AUTO(frame_done) struct frame f = {0};
    const uint8_t *pixels = NULL;
    void *heap = NULL;
    struct rect r;
    int rc;

    /* the screen can shrink between the question and the picture: then ask once more */
    for (int attempt = 0;; attempt++) {
        if ((rc = eye_rect(e, &r, err)) < 0)
            return rc;
        rc = fetch(e, &r, &pixels, &heap, err);
        if (rc != -EIO || attempt)
            break;
    }
    if (rc < 0)
        return rc;
    if (frame_alloc(&f, r.w, r.h) < 0) {
        free(heap);
        return err_set(err, -ERANGE, "the screen is %d x %d pixels, expected 1 to 32767", r.w, r.h);
    }
    pixels_to_rgb(&e->format, pixels, r.w, r.h, f.rgb);
    free(heap);
    f.screen = r;
    f.taken_us = clock_now_us();
    if (e->cursor && e->has_xfixes && (rc = draw_cursor(e, &f, err)) < 0)
        return rc;
    change_drain(e, false);
    *ret = f;
    f = (struct frame){0};
    return 0;
}
