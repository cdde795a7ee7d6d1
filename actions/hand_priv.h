/* The inside of the hand: the plan, the keyboard, and what is held. hand.c plays, hand_plan.c
 * plans pointer actions, hand_type.c plans keys, hand_map.c knows the keyboard map, hand_x.c owns
 * the connection and its failures. */
#ifndef DESKHAND_ACTIONS_HAND_PRIV_H
#define DESKHAND_ACTIONS_HAND_PRIV_H

#include "actions/hand.h"

#include <X11/XKBlib.h>
#include <X11/Xlib.h>
#include <xdo.h>

#define HAND_SETTLE_MOVE_US 12000   /* between arriving and pressing: hover states, tooltips */
#define HAND_SETTLE_CLICK_US 120000 /* between clicking into a field and typing */
#define HAND_SETTLE_MAP_US 50000    /* between changing the keyboard map and the first key */
#define HAND_SETTLE_GROUP_US 8000
#define HAND_DOUBLE_GAP_US 60000 /* from the first release to the second press */
#define HAND_LONGPRESS_US 800000
#define HAND_DWELL_US 120000 /* drag: before the first and after the last motion */
#define HAND_DRAG_STEPS 12
#define HAND_DRAG_STEP_US 12000
#define HAND_SCROLL_GAP_US 20000
#define HAND_IDLE_US 2000000 /* bound keycodes go back after this pause */
#define HAND_MAX_SCROLL 100
#define HAND_MAX_HELD 16
#define HAND_MAX_SPARE 128

#define HAND_LOCKS (LockMask | Mod2Mask) /* Caps and Num */

enum event_kind { EVENT_MOVE, EVENT_BUTTON, EVENT_KEY, EVENT_GROUP, EVENT_LOCKS, EVENT_KEYS };

/* EVENT_MOVE a=x b=y · EVENT_BUTTON a=button b=down · EVENT_KEY a=keycode b=down ·
 * EVENT_GROUP a=group, -1: the one found · EVENT_LOCKS a=mask, b=1 take away, 0 give back ·
 * EVENT_KEYS: look at the keyboard and plan the wanted keys from here; always the last. */
struct event {
    enum event_kind kind;
    int a, b;
    int64_t wait_us; /* before it */
};

/* One key that shall be pressed: a character (cp) or a named key (sym). */
struct want {
    uint32_t cp;
    uint32_t sym;
};

/* Where a wanted key was found. */
struct spot {
    int keycode;
    int group;      /* group to lock, -1: any */
    unsigned mods;  /* real modifiers to press */
};

/* Spare keycodes and what we bound them to. */
struct spare {
    int keycode;
    int width; /* what the map said of the empty key, to put back every bit of it */
    uint32_t sym; /* 0: free */
    int64_t used; /* number of the text that used it last */
};

struct hand {
    struct hand_options o;
    bool dead;
    Display *dpy;
    xdo_t *xdo;
    Display *panic; /* never used through Xlib after the start, see hand_x.c */
    int panic_fd;
    int xtest_opcode, xkb_opcode;
    Window root, owner;
    Atom marker;
    bool owns_marker;
    int x_error; /* code of the latest X error, 0 none */

    struct event *ev;
    size_t n_ev, cap_ev, at;
    bool busy;
    int64_t due_us, first_us;

    struct want *want;
    size_t n_want, want_at;
    bool is_chord;

    XkbDescPtr map;
    struct spare spare[HAND_MAX_SPARE];
    int n_spare;
    bool spare_listed;
    int64_t text_no, idle_us;

    int held_key[HAND_MAX_HELD], n_held_key;
    unsigned held_button; /* bit per button */
    unsigned held_mods;   /* real modifiers of the held keys */
    int want_group;       /* -1: do not care */
    int saved_group;      /* locked group to give back, -1 none */
    int our_group;        /* locked group as we left it: another one is somebody's choice; -1 */
    unsigned saved_locks; /* locked modifiers to give back */
    bool holds_locks;     /* a text counts on want_locks */
    unsigned want_locks;  /* of HAND_LOCKS */
    unsigned toggled;     /* of HAND_LOCKS: by a person meanwhile, to be so in the end */
    struct screen_pt at_px;

    struct str log;
};

/* hand.c */
void hand_add(struct hand *h, enum event_kind kind, int a, int b, int64_t wait_us);

/* hand_plan.c */
int hand_plan(struct hand *h, const struct action *a, struct err *err);

/* hand_type.c: fills h->want from a text or a chord; expands EVENT_KEYS into events. */
int hand_want_text(struct hand *h, const char *text, struct err *err);
int hand_want_chord(struct hand *h, char *const *keys, int n, struct err *err);
int hand_expand_keys(struct hand *h, struct err *err);

/* hand_map.c */
XkbDescPtr hand_map_us(void); /* for dry mode; hand_map_done() */
void hand_map_done(XkbDescPtr map);
int hand_map_load(struct hand *h, struct err *err);
/* Finds a key that gives `w` while `locked` modifiers are on; prefers `group`. False: none. */
bool hand_map_find(XkbDescPtr map, const struct want *w, int group, unsigned locked,
                   struct spot *ret);
int hand_map_mod_key(XkbDescPtr map, unsigned bit); /* keycode that holds one modifier, 0 none */
unsigned hand_map_mods_of(XkbDescPtr map, int keycode);
/* Binds the keysyms to spare keycodes in one change, verified. At most `n` that fit; *ret_n. */
int hand_map_bind(struct hand *h, const uint32_t *syms, int n, int *ret_n, struct err *err);
void hand_map_restore(struct hand *h); /* unbinds all */
/* Unbinds keycodes, ours or a dead predecessor's; each is keycode | width << 8. */
void hand_map_clear(struct hand *h, const long *keycodes, int n);

/* hand_x.c */
int hand_x_open(struct hand *h, struct err *err);
void hand_x_close(struct hand *h);
int hand_x_dead(struct hand *h, struct err *err); /* the sentence; returns -EPIPE */
void hand_x_mark(struct hand *h);                 /* rewrites the marker property */
/* What a person holds that would spoil input: -EBUSY with the sentence. */
int hand_x_busy(struct hand *h, struct err *err);

#endif
