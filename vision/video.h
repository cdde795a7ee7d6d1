/* A video as the model wants it: which frames, how large, and patches over pairs of them. Any
 * thread. */
#ifndef DESKHAND_VISION_VIDEO_H
#define DESKHAND_VISION_VIDEO_H

#include "base/err.h"
#include "base/flow.h"

/* Which frames of a recording the model sees (reference: qwen_vl_utils 0.0.14, smart_nframes and
 * fetch_video): two a second, an even number of 4 to 768, evenly spread from the first to the last,
 * each of 128 to 768 visual tokens, all of them at most nine tenths of 128,000. */
struct video_plan {
    int n;                 /* frames to take */
    int *index;            /* [n], 0 .. of the recording, owned */
    int w, h;              /* size of each for the model */
    float second_per_grid; /* from one pair of taken frames to the next */
};
int video_plan(int n_frames, double fps, int w, int h, const struct image_spec *spec,
               struct video_plan *ret, struct err *err);
void video_plan_done(struct video_plan *p);

/* Cuts n frames of one size, a multiple of patch * merge, into patches over temporal_patch_size of
 * them (reference: transformers' Qwen2VLImageProcessor on a list of frames: a last one that is
 * alone is repeated). */
int video_cut(const struct frame *frames, int n, const struct image_spec *spec,
              float second_per_grid, struct patches *ret, struct err *err);

#endif
