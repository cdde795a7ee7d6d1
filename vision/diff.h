/* What changed between two frames of the same screen: the evidence for an effect. */
#ifndef DESKHAND_VISION_DIFF_H
#define DESKHAND_VISION_DIFF_H

#include "base/flow.h"

struct diff {
    uint64_t n_changed;  /* pixels with a channel that differs by more than the tolerance */
    float share;         /* of all pixels compared */
    struct rect box;     /* bounding box in screen pixels, w == 0 when nothing changed */
    bool comparable;     /* false when the sizes or rectangles differ */
};
/* `area` limits the comparison (screen pixels, clipped); NULL: everything. */
struct diff diff_frames(const struct frame *before, const struct frame *after, int tolerance,
                        const struct rect *area);

#endif
