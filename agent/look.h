/* The looks at one picture that a vote counts: all of it, moved by some pixels or larger; what lies
 * around a point that was found, enlarged; and its parts. The `screen` of what they return says
 * where it lies, so that a struct place made of it maps an answer to the screen. The picture must
 * be in the screen's own pixels (place_check_pixels()), a point inside f->screen. Any thread. */
#ifndef DESKHAND_AGENT_LOOK_H
#define DESKHAND_AGENT_LOOK_H

#include "base/err.h"
#include "base/flow.h"

#define LOOK_MAX 7 /* at all of the picture, or closer; before the parts */
#define LOOK_PARTS_MAX 4

/* Number i is meant to be a closer look, where there is a point to look at. */
bool look_is_closer(int i);
/* Number i, of LOOK_MAX: number 0 is the picture itself. */
int look_whole(const struct frame *f, int i, struct frame *ret, struct err *err);
int look_closer(const struct frame *f, struct screen_pt at, struct frame *ret, struct err *err);
/* Of how many parts, at most LOOK_PARTS_MAX, the picture consists; 1: there is nothing to divide.
 */
int look_n_parts(const struct frame *f);
int look_at_part(const struct frame *f, int i, struct frame *ret, struct err *err);
/* At what was found in a part: closer, its pixels otherwise among the tokens (i 0), then as large
 * as the part. */
int look_near(const struct frame *f, struct screen_pt at, int i, struct frame *ret,
              struct err *err);

#endif
