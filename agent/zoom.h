/* A second look: the part of the picture around a first answer, in the screen's own pixels. */
#ifndef DESKHAND_AGENT_ZOOM_H
#define DESKHAND_AGENT_ZOOM_H

#include "base/err.h"
#include "base/flow.h"

/* The part of `f` around `at` (a pixel of the screen inside f->screen) that the model should look
 * at again: half of the picture on each side, but never less than `box_w` x `box_h` twice over,
 * moved inside the picture. Its `screen` says where it lies, so that a struct place made of it maps
 * the second answer to the screen as it maps any other. -ENOTSUP when the picture is so small that
 * all of it would be seen again, or is not in the screen's own pixels. */
int zoom_crop(const struct frame *f, struct screen_pt at, int box_w, int box_h, struct frame *ret,
              struct err *err);

/* The part of w x h pixels, or as much of it as there is, with a point of f->screen as near to its
 * middle as the edges allow. `f` is in the screen's own pixels. */
int zoom_around(const struct frame *f, struct screen_pt at, int w, int h, struct frame *ret,
                struct err *err);

#endif
