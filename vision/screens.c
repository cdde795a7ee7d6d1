/* Which rectangle to look at: the whole root window, one output of RandR, or one window. */
#include "vision/eye.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_OUTPUTS 64

static int root_rect(struct eye *e, struct rect *ret, struct err *err)
{
    xcb_generic_error_t *error = NULL;
    xcb_get_geometry_reply_t *g =
        xcb_get_geometry_reply(e->c, xcb_get_geometry(e->c, e->root), &error);
    if (!g)
        return eye_fail(e, error, err, "asking for the size of the screen");
    *ret = (struct rect){0, 0, g->width, g->height};
    free(g);
    return 0;
}

static int window_rect(struct eye *e, struct rect *ret, struct err *err)
{
    xcb_get_geometry_cookie_t kg = xcb_get_geometry(e->c, e->window);
    xcb_get_window_attributes_cookie_t ka = xcb_get_window_attributes(e->c, e->window);
    xcb_translate_coordinates_cookie_t kt =
        xcb_translate_coordinates(e->c, e->window, e->root, 0, 0);
    AUTO_FREE xcb_get_geometry_reply_t *g = xcb_get_geometry_reply(e->c, kg, NULL);
    AUTO_FREE xcb_get_window_attributes_reply_t *a =
        xcb_get_window_attributes_reply(e->c, ka, NULL);
    AUTO_FREE xcb_translate_coordinates_reply_t *t =
        xcb_translate_coordinates_reply(e->c, kt, NULL);

    if (eye_is_dead(e))
        return eye_fail(e, NULL, err, "asking for a window");
    if (!g || !a || !t)
        return err_set(err, -ENOENT, "the window 0x%x does not exist (any more)", e->window);
    if (a->map_state != XCB_MAP_STATE_VIEWABLE || a->_class == XCB_WINDOW_CLASS_INPUT_ONLY)
        return err_set(err, -ENODATA, "the window 0x%x is not shown on the screen", e->window);
    *ret = (struct rect){t->dst_x, t->dst_y, g->width, g->height};
    return 0;
}

/* Names of outputs come from monitors and drivers. */
static void copy_name(char *dst, size_t cap, const uint8_t *src, int n)
{
    size_t used = 0;
    for (int i = 0; i < n && src[i] && used + 1 < cap; i++)
        dst[used++] = src[i] >= 0x20 && src[i] < 0x7f ? (char)src[i] : '?';
    dst[used] = '\0';
}

static bool read_output(struct eye *e, xcb_randr_output_t id, xcb_timestamp_t stamp,
                        struct eye_output *ret)
{
    AUTO_FREE xcb_randr_get_output_info_reply_t *o = xcb_randr_get_output_info_reply(
        e->c, xcb_randr_get_output_info(e->c, id, stamp), NULL);
    if (!o || o->connection == XCB_RANDR_CONNECTION_DISCONNECTED || o->crtc == XCB_NONE)
        return false;
    AUTO_FREE xcb_randr_get_crtc_info_reply_t *c =
        xcb_randr_get_crtc_info_reply(e->c, xcb_randr_get_crtc_info(e->c, o->crtc, stamp), NULL);
    if (!c || !c->width || !c->height)
        return false;
    copy_name(ret->name, sizeof(ret->name), xcb_randr_get_output_info_name(o),
              xcb_randr_get_output_info_name_length(o));
    ret->rect = (struct rect){c->x, c->y, c->width, c->height};
    return true;
}

int eye_outputs(struct eye *e, struct eye_output **ret, int *ret_n, struct err *err)
{
    struct rect root;
    int rc = root_rect(e, &root, err);
    if (rc < 0)
        return rc;
    AUTO_FREE struct eye_output *list = mem_zalloc(MAX_OUTPUTS * sizeof(*list));
    int n = 0;

    if (e->has_randr) {
        xcb_randr_get_screen_resources_current_cookie_t kr =
            xcb_randr_get_screen_resources_current(e->c, e->root);
        xcb_randr_get_output_primary_cookie_t kp = xcb_randr_get_output_primary(e->c, e->root);
        AUTO_FREE xcb_randr_get_screen_resources_current_reply_t *r =
            xcb_randr_get_screen_resources_current_reply(e->c, kr, NULL);
        AUTO_FREE xcb_randr_get_output_primary_reply_t *p =
            xcb_randr_get_output_primary_reply(e->c, kp, NULL);
        int n_ids = r ? xcb_randr_get_screen_resources_current_outputs_length(r) : 0;
        const xcb_randr_output_t *ids =
            r ? xcb_randr_get_screen_resources_current_outputs(r) : NULL;
        for (int i = 0; i < n_ids && n < MAX_OUTPUTS; i++)
            if (read_output(e, ids[i], r->config_timestamp, &list[n])) {
                list[n].primary = p && p->output == ids[i];
                n++;
            }
    }
    if (eye_is_dead(e))
        return eye_fail(e, NULL, err, "asking for the outputs");
    if (!n) {
        snprintf(list[0].name, sizeof(list[0].name), "screen");
        list[0].rect = root;
        list[0].primary = true;
        n = 1;
    }
    change_drain(e, false);
    *ret = list;
    list = NULL;
    *ret_n = n;
    return 0;
}

static int output_rect(struct eye *e, struct rect *ret, struct err *err)
{
    AUTO_FREE struct eye_output *list = NULL;
    AUTO(str_done) struct str names = {0};
    int n;
    int rc = eye_outputs(e, &list, &n, err);
    if (rc < 0)
        return rc;
    for (int i = 0; i < n; i++) {
        if (!strcmp(list[i].name, e->output)) {
            *ret = list[i].rect;
            return 0;
        }
        str_printf(&names, "%s%s", i ? ", " : "", list[i].name);
    }
    return err_set(err, -ENOENT, "the display %s has no active output \"%s\", it has: %s",
                   e->display, e->output, str_cstr(&names));
}

int screens_rect(struct eye *e, struct rect *ret, struct rect *ret_root, struct err *err)
{
    int rc = root_rect(e, ret_root, err);
    if (rc < 0)
        return rc;
    if (e->window)
        return window_rect(e, ret, err);
    if (e->output)
        return output_rect(e, ret, err);
    *ret = *ret_root;
    return 0;
}
