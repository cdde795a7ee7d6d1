/* Which program is where: the client window under a point or with the focus, and the list of all.
 *
 * A window manager wraps each program's window into frames of its own and marks the real one with
 * WM_STATE; without a window manager the child of the root is the program's window. Titles and
 * classes are written by any program on the display: they are cut to size and made valid UTF-8,
 * nothing more, and stay untrusted. A window may vanish between two questions: then it is as if it
 * had not been there. */
#include "vision/eye.h"
#include "vision/place.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <string.h>

#define MAX_DEPTH 32
#define MAX_WINDOWS 1024
#define MAX_DECORATION 256 /* children of a frame; openbox has some thirty besides the client */
#define MAX_TEXT_WORDS 256 /* of a property, in 4 bytes */

/* text */

/* Copies what fits, malformed bytes as U+FFFD; Latin-1 is widened. Stops at a NUL. */
static void copy_text(char *dst, size_t cap, const char *src, size_t n, bool latin1)
{
    size_t used = 0;
    for (size_t i = 0; i < n && src[i];) {
        char out[4];
        uint32_t cp = (uint8_t)src[i];
        i += latin1 ? 1 : (size_t)utf8_next(src + i, n - i, &cp);
        size_t len = (size_t)utf8_put(out, cp);
        if (used + len >= cap)
            break;
        memcpy(dst + used, out, len);
        used += len;
    }
    dst[used] = '\0';
}

static xcb_get_property_reply_t *read_property(struct eye *e, xcb_window_t w, xcb_atom_t name,
                                               xcb_atom_t type, uint32_t n_words)
{
    xcb_get_property_reply_t *r = xcb_get_property_reply(
        e->c, xcb_get_property(e->c, 0, w, name, type, 0, n_words), NULL);
    if (r && r->type == XCB_ATOM_NONE) {
        free(r);
        return NULL;
    }
    return r;
}

static bool read_text(struct eye *e, xcb_window_t w, xcb_atom_t name, char *dst, size_t cap)
{
    AUTO_FREE xcb_get_property_reply_t *r =
        read_property(e, w, name, XCB_GET_PROPERTY_TYPE_ANY, MAX_TEXT_WORDS);
    if (!r || r->format != 8)
        return false;
    const char *s = xcb_get_property_value(r);
    size_t n = (size_t)xcb_get_property_value_length(r);
    copy_text(dst, cap, s, n, r->type == XCB_ATOM_STRING && !utf8_valid(s, n));
    return true;
}

/* WM_CLASS is "instance\0class\0". */
static void read_class(struct eye *e, xcb_window_t w, char *dst, size_t cap)
{
    AUTO_FREE xcb_get_property_reply_t *r =
        read_property(e, w, XCB_ATOM_WM_CLASS, XCB_GET_PROPERTY_TYPE_ANY, MAX_TEXT_WORDS);
    if (!r || r->format != 8)
        return;
    const char *s = xcb_get_property_value(r);
    size_t n = (size_t)xcb_get_property_value_length(r);
    const char *end = memchr(s, '\0', n);
    if (end) {
        n -= (size_t)(end + 1 - s);
        s = end + 1;
    }
    copy_text(dst, cap, s, n, !utf8_valid(s, n));
}

/* the tree */

static bool has_property(struct eye *e, xcb_window_t w, xcb_atom_t name)
{
    AUTO_FREE xcb_get_property_reply_t *r =
        read_property(e, w, name, XCB_GET_PROPERTY_TYPE_ANY, 0);
    return r != NULL;
}

/* False when the window is gone. */
static bool describe(struct eye *e, xcb_window_t w, struct eye_window *ret)
{
    xcb_get_geometry_cookie_t kg = xcb_get_geometry(e->c, w);
    xcb_translate_coordinates_cookie_t kt = xcb_translate_coordinates(e->c, w, e->root, 0, 0);
    AUTO_FREE xcb_get_geometry_reply_t *g = xcb_get_geometry_reply(e->c, kg, NULL);
    AUTO_FREE xcb_translate_coordinates_reply_t *t =
        xcb_translate_coordinates_reply(e->c, kt, NULL);
    if (!g || !t)
        return false;

    *ret = (struct eye_window){.id = w, .rect = {t->dst_x, t->dst_y, g->width, g->height}};
    read_class(e, w, ret->class_name, sizeof(ret->class_name));
    if (!read_text(e, w, e->atoms[ATOM_NET_WM_NAME], ret->title, sizeof(ret->title)))
        read_text(e, w, XCB_ATOM_WM_NAME, ret->title, sizeof(ret->title));
    AUTO_FREE xcb_get_property_reply_t *p =
        read_property(e, w, e->atoms[ATOM_NET_WM_PID], XCB_ATOM_CARDINAL, 1);
    if (p && p->format == 32 && xcb_get_property_value_length(p) == 4)
        memcpy(&ret->pid, xcb_get_property_value(p), 4);
    return true;
}

/* The program's window among those on the way down from a child of the root. */
static xcb_window_t choose_client(struct eye *e, const xcb_window_t *path, int n)
{
    for (int i = 0; i < n; i++)
        if (has_property(e, path[i], e->atoms[ATOM_WM_STATE]))
            return path[i];
    for (int i = 0; i < n; i++)
        if (has_property(e, path[i], XCB_ATOM_WM_CLASS))
            return path[i];
    return n ? path[0] : XCB_NONE;
}

static int finish(struct eye *e, xcb_window_t w, struct eye_window *ret, struct err *err)
{
    struct eye_window found = {0};
    if (w != XCB_NONE && !describe(e, w, &found))
        found = (struct eye_window){0};
    if (eye_is_dead(e))
        return eye_fail(e, NULL, err, "asking for a window");
    change_drain(e, false);
    *ret = found;
    return 0;
}

/* The window and those that it lies in, up to a child of the root. */
static int climb(struct eye *e, xcb_window_t at, xcb_window_t path[MAX_DEPTH])
{
    int n = 0;
    while (at != XCB_NONE && at != e->root && n < MAX_DEPTH) {
        xcb_query_tree_reply_t *t = xcb_query_tree_reply(e->c, xcb_query_tree(e->c, at), NULL);
        if (!t)
            break;
        path[n++] = at;
        at = t->parent;
        free(t);
    }
    return n;
}

int eye_window_at(struct eye *e, struct screen_pt p, struct eye_window *ret, struct err *err)
{
    xcb_window_t path[MAX_DEPTH], at = e->root;
    int n = 0;

    if (p.x < INT16_MIN || p.x > INT16_MAX || p.y < INT16_MIN || p.y > INT16_MAX)
        return err_set(err, -ERANGE, "the point (%d, %d) cannot be on an X screen", p.x, p.y);
    while (n < MAX_DEPTH) {
        xcb_translate_coordinates_reply_t *t = xcb_translate_coordinates_reply(
            e->c, xcb_translate_coordinates(e->c, e->root, at, (int16_t)p.x, (int16_t)p.y), NULL);
        at = t ? t->child : XCB_NONE;
        free(t);
        if (at == XCB_NONE)
            break;
        path[n++] = at;
    }
    return finish(e, choose_client(e, path, n), ret, err);
}

int eye_window_focus(struct eye *e, struct eye_window *ret, struct err *err)
{
    xcb_window_t path[MAX_DEPTH];
    int n = 0;
    xcb_get_input_focus_reply_t *f =
        xcb_get_input_focus_reply(e->c, xcb_get_input_focus(e->c), NULL);
    xcb_window_t at = f ? f->focus : XCB_NONE;
    free(f);

    /* without a window manager keys go to whatever is under the pointer */
    if (at == XCB_INPUT_FOCUS_POINTER_ROOT || at == e->root) {
        xcb_query_pointer_reply_t *p =
            xcb_query_pointer_reply(e->c, xcb_query_pointer(e->c, e->root), NULL);
        if (p) {
            struct screen_pt where = {p->root_x, p->root_y};
            free(p);
            return eye_window_at(e, where, ret, err);
        }
        at = XCB_NONE;
    }
    n = climb(e, at, path);
    for (int i = 0; i < n / 2; i++) {
        xcb_window_t w = path[i];
        path[i] = path[n - 1 - i];
        path[n - 1 - i] = w;
    }
    return finish(e, choose_client(e, path, n), ret, err);
}

/* Without _NET_CLIENT_LIST: a viewable child of the root, or the client inside it. */
static xcb_window_t client_inside(struct eye *e, xcb_window_t top)
{
    xcb_get_window_attributes_reply_t *a =
        xcb_get_window_attributes_reply(e->c, xcb_get_window_attributes(e->c, top), NULL);
    bool shown = a && a->map_state == XCB_MAP_STATE_VIEWABLE &&
                 a->_class != XCB_WINDOW_CLASS_INPUT_ONLY;
    free(a);
    if (!shown)
        return XCB_NONE;
    if (has_property(e, top, e->atoms[ATOM_WM_STATE]) || has_property(e, top, XCB_ATOM_WM_CLASS))
        return top;
    AUTO_FREE xcb_query_tree_reply_t *t =
        xcb_query_tree_reply(e->c, xcb_query_tree(e->c, top), NULL);
    int n = t ? MIN(xcb_query_tree_children_length(t), MAX_DECORATION) : 0;
    for (int i = 0; i < n; i++) {
        xcb_window_t w = xcb_query_tree_children(t)[i];
        if (has_property(e, w, e->atoms[ATOM_WM_STATE]))
            return w;
    }
    return top;
}

int eye_windows(struct eye *e, struct eye_window **ret, int *ret_n, struct err *err)
{
    AUTO_FREE struct eye_window *list = NULL;
    int n = 0;
    AUTO_FREE xcb_get_property_reply_t *p = read_property(
        e, e->root, e->atoms[ATOM_NET_CLIENT_LIST_STACKING], XCB_ATOM_WINDOW, MAX_WINDOWS);

    if (p && p->format == 32) {
        int n_ids = xcb_get_property_value_length(p) / 4;
        const xcb_window_t *ids = xcb_get_property_value(p);
        list = mem_zalloc((size_t)MAX(n_ids, 1) * sizeof(*list));
        for (int i = 0; i < n_ids; i++)
            n += describe(e, ids[i], &list[n]);
    } else {
        AUTO_FREE xcb_query_tree_reply_t *t =
            xcb_query_tree_reply(e->c, xcb_query_tree(e->c, e->root), NULL);
        int n_ids = t ? MIN(xcb_query_tree_children_length(t), MAX_WINDOWS) : 0;
        list = mem_zalloc((size_t)MAX(n_ids, 1) * sizeof(*list));
        for (int i = 0; i < n_ids; i++) {
            xcb_window_t w = client_inside(e, xcb_query_tree_children(t)[i]);
            if (w != XCB_NONE)
                n += describe(e, w, &list[n]);
        }
    }
    if (eye_is_dead(e))
        return eye_fail(e, NULL, err, "listing the windows");
    change_drain(e, false);
    *ret = list;
    list = NULL;
    *ret_n = n;
    return 0;
}

/* the surroundings of a window */

struct top {
    xcb_window_t id;
    struct rect rect;
    bool is_override; /* no window manager's: a menu, a tooltip, or a frame that one has made */
};

static struct rect rect_union(struct rect a, struct rect b)
{
    int x0 = MIN(a.x, b.x), y0 = MIN(a.y, b.y);

    return (struct rect){x0, y0, MAX(a.x + a.w, b.x + b.w) - x0, MAX(a.y + a.h, b.y + b.h) - y0};
}

/* A child of the root, if it is shown. */
static bool read_top(struct eye *e, xcb_window_t top, struct top *ret)
{
    xcb_get_geometry_cookie_t kg = xcb_get_geometry(e->c, top);
    xcb_get_window_attributes_cookie_t ka = xcb_get_window_attributes(e->c, top);
    AUTO_FREE xcb_get_geometry_reply_t *g = xcb_get_geometry_reply(e->c, kg, NULL);
    AUTO_FREE xcb_get_window_attributes_reply_t *a =
        xcb_get_window_attributes_reply(e->c, ka, NULL);
    if (!g || !a || a->map_state != XCB_MAP_STATE_VIEWABLE ||
        a->_class == XCB_WINDOW_CLASS_INPUT_ONLY)
        return false;
    *ret = (struct top){top, {g->x, g->y, g->width + 2 * g->border_width,
                              g->height + 2 * g->border_width}, a->override_redirect};
    return true;
}

int eye_around(struct eye *e, uint32_t w, int min_w, int min_h, struct rect *ret, struct err *err)
{
    struct rect whole, around = {0};
    xcb_window_t path[MAX_DEPTH];
    int rc = eye_rect(e, &whole, err), n = 0;
    if (rc < 0)
        return rc;
    int depth = climb(e, w, path);
    xcb_window_t frame = depth ? path[depth - 1] : XCB_NONE;
    AUTO_FREE xcb_query_tree_reply_t *t =
        xcb_query_tree_reply(e->c, xcb_query_tree(e->c, e->root), NULL);
    int n_ids = t ? MIN(xcb_query_tree_children_length(t), MAX_WINDOWS) : 0;
    AUTO_FREE struct top *tops = mem_zalloc((size_t)MAX(n_ids, 1) * sizeof(*tops));
    for (int i = 0; i < n_ids; i++) {
        if (!read_top(e, xcb_query_tree_children(t)[i], &tops[n]))
            continue;
        if (tops[n].id == frame)
            around = tops[n].rect;
        n++;
    }
    change_drain(e, false);
    if (!around.w && !eye_is_dead(e))
        return err_set(err, -ENOENT, "the window 0x%x is not there any more", w);
    /* A menu may open another one beside it; what covers the whole screen is no menu, and neither
     * is a frame with a program's window in it. */
    for (int round = 0; round < 3; round++) {
        struct rect start = around;
        for (int i = 0; i < n; i++) {
            struct rect near = {tops[i].rect.x - 2, tops[i].rect.y - 2, tops[i].rect.w + 4,
                                tops[i].rect.h + 4};
            if (tops[i].is_override && tops[i].id != frame &&
                (near.w < whole.w || near.h < whole.h) && eye_clip(&near, &start) &&
                client_inside(e, tops[i].id) == tops[i].id)
                around = rect_union(around, tops[i].rect);
        }
    }
    if (eye_is_dead(e))
        return eye_fail(e, NULL, err, "looking for what is around a window");
    change_drain(e, false);
    if (!eye_clip(&around, &whole))
        return err_set(err, -ERANGE, "the window 0x%x lies outside of what is looked at", w);
    *ret = place_grow(around, min_w, min_h, whole);
    return 0;
}
