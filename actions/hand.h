/* The hand: turns an action into X11 input through libxdo and XTEST.
 *
 * An action becomes a list of atomic events (move, button, key, group lock, pause) that the loop
 * plays one a timer tick, so that "stop" works between two letters of a typed sentence; nothing
 * here sleeps. Everything that the hand pressed it releases: on stop, on error, at close, and
 * from a crash hook. It never releases or re-presses what a person holds. Loop thread only.
 *
 * Typed text: every code point is found on the current keyboard (any group, any level) or bound
 * to a spare keycode; all missing ones of a text are bound in one change, verified, used, and
 * restored after an idle pause, at close, and on the next start after a crash. */
#ifndef DESKHAND_ACTIONS_HAND_H
#define DESKHAND_ACTIONS_HAND_H

#include "base/err.h"
#include "base/flow.h"
#include "base/str.h"

struct hand;

struct hand_options {
    const char *display; /* NULL: $DISPLAY */
    bool dry;            /* no X: events are listed by hand_log() instead of sent */
    int key_delay_us;    /* between key events, 0: 4000 */
    int press_us;        /* how long a button stays down, 0: 30000 */
};
int hand_open(const struct hand_options *o, struct hand **ret, struct err *err);
void hand_close(struct hand *h); /* releases everything, restores the keyboard map */
bool hand_is_dead(const struct hand *h); /* the X server went away */

/* Plans the events of an action; a->start_px/end_px must be filled. Refuses (-EBUSY) while a
 * previous plan is unfinished or a person holds a modifier, (-EINVAL) an unknown key name,
 * (-ENOTSUP) an action that is no input (wait, finished, call_user, open, appswitch, which the
 * agent does itself). */
int hand_begin(struct hand *h, const struct action *a, struct err *err);
/* Plays what is due. Returns 1 while events remain (*ret_next_us: when to call again,
 * clock_now_us), 0 when the plan is complete, negative errno when it broke off (everything
 * released): -EPIPE the X server is gone, -EBUSY a person pressed a modifier, -EIO the pointer or
 * the keyboard did not do what was asked. Between plans it may be called too: it then gives
 * borrowed keycodes back when they were idle, returning 1 and the time of that while any are. */
int hand_tick(struct hand *h, int64_t now_us, int64_t *ret_next_us, struct err *err);
/* Drops the rest of the plan and releases everything held. Idempotent. */
void hand_stop(struct hand *h);
bool hand_is_busy(const struct hand *h);
/* Releases what every open hand holds. Async-signal-safe: for handlers of SIGSEGV and the like. A
 * failed CHECK calls it by itself. The hands are of no use afterwards. */
void hand_panic(void);
int64_t hand_first_event_us(const struct hand *h); /* when the last plan's first event went out */

/* Dry mode: the events played so far, one a line, e.g. "move 10 20", "button 1 down",
 * "key 38 down", "bind 255 0x20ac". */
const char *hand_log(const struct hand *h);

/* EWMH: asks the window manager to bring a window to the front and give it the focus; without a
 * window manager raises and focuses it directly. Does not wait for the effect. */
int hand_activate(struct hand *h, uint32_t window, struct err *err);

/* Parses one key name as models write it ("ctrl", "Enter", "pagedown", "F5", "a", "ä") to an X
 * keysym; 0 when unknown. */
uint32_t hand_keysym(const char *name);

#endif
