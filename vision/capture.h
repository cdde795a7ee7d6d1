/* The eye: pixels of an X11 screen, an output or a window, through xcb and MIT-SHM (GetImage where
 * there is no shared memory), and the news that something on it changed (XDamage).
 * Loop thread only. The connection is its own; when the X server dies every call returns -EPIPE
 * with a sentence and eye_is_dead() is true: close and open again later. The program must ignore
 * SIGPIPE, as for any socket. */
#ifndef DESKHAND_VISION_CAPTURE_H
#define DESKHAND_VISION_CAPTURE_H

#include "base/err.h"
#include "base/flow.h"

struct eye;

struct eye_options {
    const char *display; /* NULL: $DISPLAY */
    const char *output;  /* RandR output name such as "HDMI-1"; NULL: the whole root window */
    uint32_t window;     /* a window id instead, 0 for none; its rectangle is re-read each time */
    bool cursor;         /* draw the pointer's picture into the frame (XFixes) */
    bool no_shm;         /* for tests: take the GetImage path */
};

int eye_open(const struct eye_options *o, struct eye **ret, struct err *err);
void eye_close(struct eye *e);
bool eye_is_dead(const struct eye *e);
int eye_fd(const struct eye *e); /* readable when eye_service() has work */

/* A screen, output or window that is 0 wide or tall, not shown, or wholly off the screen is an
 * error that says so; one that is partly off is cut at the screen's edge. */
int eye_capture(struct eye *e, struct frame *ret, struct err *err);
int eye_rect(struct eye *e, struct rect *ret, struct err *err); /* what capture would show */

/* Reads pending X events without waiting and adds up damage. */
int eye_service(struct eye *e, struct err *err);
/* Time of the last change seen on the screen (clock_now_us), 0 if none yet; the union of changed
 * rectangles since eye_damage_reset(); whether damage is reported at all by this server. With a
 * chosen output or window only changes inside the rectangle that was last captured count. */
int64_t eye_last_change_us(const struct eye *e);
struct rect eye_damage(const struct eye *e);
uint64_t eye_damage_pixels(const struct eye *e); /* summed area of damage rectangles */
void eye_damage_reset(struct eye *e);
bool eye_has_damage(const struct eye *e);

struct eye_output {
    char name[64];
    struct rect rect;
    bool primary;
};
/* *ret is heap, *ret_n entries; a server without RandR reports one output, "screen". */
int eye_outputs(struct eye *e, struct eye_output **ret, int *ret_n, struct err *err);

struct eye_window {
    uint32_t id;
    char class_name[128]; /* WM_CLASS class part, UTF-8 made valid */
    char title[256];      /* _NET_WM_NAME or WM_NAME, made valid UTF-8, untrusted */
    struct rect rect;     /* on the root window */
    uint32_t pid;         /* _NET_WM_PID, 0 if absent */
};
/* The client window under a point / with the keyboard focus. id 0 when there is none. A focus that
 * follows the pointer (no window manager) is the window under the pointer. */
int eye_window_at(struct eye *e, struct screen_pt p, struct eye_window *ret, struct err *err);
int eye_window_focus(struct eye *e, struct eye_window *ret, struct err *err);
/* All shown client windows, the lowest first. *ret is heap, *ret_n entries. */
int eye_windows(struct eye *e, struct eye_window **ret, int *ret_n, struct err *err);
/* The part of the screen to look at for the sake of the client window `w`: its frame, the menus and
 * tooltips that touch it, grown about the middle to at least min_w x min_h; moved and cut to lie
 * inside what eye_capture() shows. -ENOENT when the window is not there. */
int eye_around(struct eye *e, uint32_t w, int min_w, int min_h, struct rect *ret,
               struct err *err);

#endif
