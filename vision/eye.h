/* The inside of `struct eye`, shared by capture.c, screens.c, windows.c and change.c. */
#ifndef DESKHAND_VISION_EYE_H
#define DESKHAND_VISION_EYE_H

#include "vision/capture.h"
#include "vision/pixels.h"

#include <xcb/damage.h>
#include <xcb/randr.h>
#include <xcb/shm.h>
#include <xcb/xcb.h>
#include <xcb/xfixes.h>

enum eye_atom {
    ATOM_WM_STATE,
    ATOM_NET_WM_NAME,
    ATOM_NET_WM_PID,
    ATOM_NET_CLIENT_LIST_STACKING,
    ATOM_UTF8_STRING,
    N_EYE_ATOMS
};

struct eye {
    xcb_connection_t *c;
    char *display; /* for sentences */
    char *output;  /* chosen, or NULL */
    xcb_window_t root, window;
    bool cursor, has_xfixes, has_randr, has_damage;
    struct pixel_format format;
    xcb_atom_t atoms[N_EYE_ATOMS];

    bool use_shm;
    xcb_shm_seg_t seg;
    uint8_t *shm; /* NULL: none attached */
    size_t shm_size;

    xcb_damage_damage_t damage;
    uint8_t damage_event;
    struct rect watched; /* the last rectangle looked at; w 0: everything counts */
    int64_t last_change_us;
    struct rect changed;
    uint64_t changed_pixels;
};

/* After a request failed: -EPIPE and a sentence when the server is gone, otherwise "`what` failed"
 * with the X error. Frees `e`, which may be NULL. */
int eye_fail(struct eye *eye, xcb_generic_error_t *e, struct err *err, const char *what);

bool eye_clip(struct rect *r, const struct rect *by); /* false: nothing is left */

/* The rectangle of the chosen output or window or of the root, not yet clipped. */
int screens_rect(struct eye *e, struct rect *ret, struct rect *ret_root, struct err *err);

/* Handles the events that xcb has read while it waited for a reply. */
void change_drain(struct eye *e, bool read_more);

#endif
