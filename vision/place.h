/* The only road from a coordinate of the model to a pixel of the screen and back. */
#ifndef DESKHAND_VISION_PLACE_H
#define DESKHAND_VISION_PLACE_H

#include "base/err.h"
#include "base/flow.h"

/* Integer coordinates of the model are pixel indices: x means [x, x + 1) with its middle at
 * x + 0.5, and the screen pixel that holds that middle is the answer. */

/* How the picture that the model saw lies on the screen. */
struct place {
    int image_w, image_h; /* the resized picture, pixels */
    struct rect screen;   /* the part of the root window it shows */
};

/* A point outside the picture is -ERANGE with a sentence, never clamped. The result is inside
 * `screen`. NaN is outside. */
int place_to_screen(const struct place *p, struct model_pt m, struct screen_pt *ret,
                    struct err *err);
/* Inverse, for history lines and tests; the point must be inside `screen`. */
int place_to_model(const struct place *p, struct screen_pt s, struct model_pt *ret,
                   struct err *err);

/* Where the first and the last pixel of a box [x1, y1, x2, y2] are, whose far corner is exclusive. */
int place_box(const struct place *p, const float box[4], struct screen_pt *ret_first,
              struct screen_pt *ret_last, struct err *err);
/* -ENOTSUP with a sentence unless the frame is in the screen's own pixels. */
int place_check_pixels(const struct frame *f, struct err *err);

/* r grown about its middle to at least min_w x min_h, but not beyond `inside`, and moved to lie in
 * it. r is no larger than `inside`. */
struct rect place_grow(struct rect r, int min_w, int min_h, struct rect inside);

#endif
