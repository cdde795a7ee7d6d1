/* The order in which the vision tower looks at a picture. */
#ifndef DESKHAND_MODEL_WINDOW_H
#define DESKHAND_MODEL_WINDOW_H

#include "model/backend.h"

/* A grid of t frames of h x w patches, cut into groups of merge x merge and windows of
 * side x side groups (the last window of a line or column may be smaller). */
struct window_plan {
    int n_groups;         /* t * (h / merge) * (w / merge) */
    int *group;           /* [n_groups]: which group of merge order stands at each place of window
                             order */
    struct span *windows; /* rows of patches in window order, never across frames */
    int n_windows;
    struct span *frames; /* the same for full attention */
    int n_frames;
};
void window_plan(int t, int h, int w, int merge, int side, struct window_plan *ret);
void window_plan_done(struct window_plan *p);

/* Row and column of each patch in merge order, [h * w] each, one frame. */
void window_patch_places(int h, int w, int merge, int *ret_row, int *ret_col);

#endif
