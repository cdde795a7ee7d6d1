/* The nouns that travel between the stages:
 *
 *     capture   resize+cut   see+think     parse      judge       hand          settle
 *     screen -> frame ----> patches ----> tokens --> action --> verdict --> input events --> effect
 *
 * Plain data: no pointer into X, the model or the network, so that each can be journalled, made by
 * hand in a test, and given away between threads. Every *_done() accepts a zeroed object. */
#ifndef DESKHAND_BASE_FLOW_H
#define DESKHAND_BASE_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rect {
    int x, y, w, h;
};

/* Two kinds of point on purpose: a coordinate from the model cannot be clicked without passing
 * through vision/place.c. screen_pt: pixels of the X root window. model_pt: pixels of the resized
 * image that the model saw. */
struct screen_pt {
    int x, y;
};
struct model_pt {
    float x, y;
};

/* A picture of a part of the screen. rgb: [h, w, 3] bytes, rows without padding, owned. */
struct frame {
    int w, h;
    uint8_t *rgb;
    struct rect screen; /* which rectangle of the root window it shows; w,h may differ from the
                           picture's only if it was scaled */
    int64_t taken_us;   /* clock_now_us() */
};
void frame_done(struct frame *f);
bool rect_has(struct rect r, struct screen_pt p);

int frame_alloc(struct frame *f, int w, int h); /* 0 or -EINVAL when w or h is < 1 or > 32767 */
void frame_dup(struct frame *dst, const struct frame *src);
/* The pixels of `part`, a rectangle of the root window: -ERANGE when it is not wholly on the
 * picture, -ENOTSUP when the picture was scaled. */
int frame_cut(const struct frame *src, struct rect part, struct frame *ret);

/* What the checkpoint's preprocessor_config.json says about pictures; filled by the model, obeyed
 * by vision/. */
struct image_spec {
    int patch_size;          /* 14 */
    int merge_size;          /* 2 */
    int temporal_patch_size; /* 2 */
    int64_t min_pixels, max_pixels;
    float mean[3], std[3]; /* of values rescaled to 0..1 */
    float rescale;         /* 1/255 */
};

/* One picture cut into patches, rows in merge order (blocks of merge x merge patches, raster
 * inside the block and over the blocks).
 * A still image has both temporal slices alike, so only one is kept: rows [grid_h*grid_w,
 * 3*patch*patch] with columns [channel, y, x]; the consumer sums the two slices of the embedding
 * weight. A video has n_temporal = temporal_patch_size: rows [grid_t*grid_h*grid_w,
 * 3*n_temporal*patch*patch] with columns [channel, t, y, x], exactly as transformers lays them. */
struct patches {
    int grid_t, grid_h, grid_w; /* in patches; grid_h and grid_w are multiples of merge_size */
    int n_temporal;             /* 1 for a still image */
    int patch_size, merge_size;
    float second_per_grid; /* video only, 0 otherwise */
    float *rows;           /* owned, 64-byte aligned */
    uint64_t hash;         /* of the pixels: equal pictures need not be encoded again */
};
void patches_done(struct patches *p);
/* Number of visual tokens after the merger. */
static inline int patches_n_tokens(const struct patches *p)
{
    return p->grid_t * (p->grid_h / p->merge_size) * (p->grid_w / p->merge_size);
}
static inline int patches_n_cols(const struct patches *p)
{
    return 3 * p->n_temporal * p->patch_size * p->patch_size;
}

/* actions */

enum action_kind {
    ACTION_CLICK,
    ACTION_DOUBLE_CLICK,
    ACTION_RIGHT_CLICK,
    ACTION_MIDDLE_CLICK,
    ACTION_LONGPRESS,
    ACTION_HOVER,
    ACTION_DRAG,
    ACTION_SCROLL,
    ACTION_INPUT,     /* type text; with a start point, click there first */
    ACTION_PRESS,     /* a key chord */
    ACTION_SELECT,    /* choose the option whose text is given; with a point, click there first */
    ACTION_OPEN,      /* start a program by name */
    ACTION_APPSWITCH, /* bring a window of a program to the front */
    ACTION_WAIT,
    ACTION_FINISHED,
    ACTION_CALL_USER,
    N_ACTION_KINDS
};

enum direction { DIRECTION_NONE, DIRECTION_UP, DIRECTION_DOWN, DIRECTION_LEFT, DIRECTION_RIGHT };

#define ACTION_MAX_KEYS 6
#define ACTION_MAX_TEXT 8192 /* bytes of typed text in one action */

struct action {
    enum action_kind kind;
    bool has_start, has_end;
    struct model_pt start, end;       /* as the model said them */
    struct screen_pt start_px, end_px; /* filled by the agent through vision/place.c */
    enum direction direction;
    float distance;  /* scroll: wheel clicks wanted, 0 = the default */
    char *text;      /* input, select: the text; open, appswitch: the program; finished: status;
                        call_user: the question. UTF-8, owned, may be NULL */
    char *keys[ACTION_MAX_KEYS]; /* press: key names as the model wrote them, owned */
    int n_keys;
    char *why; /* the reasoning before it, owned, may be NULL */
};
void action_done(struct action *a);
void action_dup(struct action *dst, const struct action *src);

/* verdicts: the strictest wins, so the order of the values matters */

enum verdict_kind { VERDICT_ALLOW, VERDICT_CONFIRM, VERDICT_DENY };

struct verdict {
    enum verdict_kind kind;
    char rule[64];    /* name of the deciding rule, "" for the default */
    char reason[256]; /* one sentence for the user */
};

/* effects */

enum effect_kind {
    EFFECT_CONFIRMED,    /* the pixels that should change did */
    EFFECT_NO_EFFECT,    /* the events went out and nothing changed where it should */
    EFFECT_UNVERIFIABLE, /* this action leaves no certain trace (wait, hover, finished), or the
                            screen changes by itself */
    EFFECT_REFUSED       /* not executed: policy, user, or the hand said no */
};

struct effect {
    enum effect_kind kind;
    char evidence[256]; /* one sentence: what was looked at and seen */
    float changed;      /* share of the screen's pixels that changed, 0..1 */
    struct rect where;  /* bounding box of the change, screen pixels; w == 0 when nothing did */
};

const char *action_kind_name(enum action_kind k); /* "click", "double_click", ... */
const char *direction_name(enum direction d);
const char *verdict_kind_name(enum verdict_kind k); /* "allow", "confirm", "deny" */
const char *effect_kind_name(enum effect_kind k);   /* "confirmed", "no_effect", ... */

/* Which bytes may come next in generated text. Written by actions/grammar.c, obeyed by model/.
 * A state is plain bytes of state_size and may be copied with memcpy. Thread: any, no globals. */
#define GRAMMAR_MAX_STATE 256
struct grammar {
    size_t state_size; /* <= GRAMMAR_MAX_STATE */
    const void *data;  /* constant tables or parameters, outlives the request */
    void (*start)(const void *data, void *state);
    /* Feeds one byte; false: not allowed here (the state is then undefined). */
    bool (*step)(const void *data, void *state, uint8_t byte);
    /* May the text end here? */
    bool (*may_end)(const void *data, const void *state);
    /* Nothing restricts the next byte (the reasoning before the action). Lets the sampler skip. */
    bool (*is_free)(const void *data, const void *state);
};

#endif
