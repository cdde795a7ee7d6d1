/* Large screens are made smaller before the model sees them, and small targets go first. Around the
 * first answer the pixels are all there: a crop of half the width and height has a quarter of the
 * area, so the model sees it up to twice as sharp, with the same budget of tokens.
 *
 * Pixels are copied, never scaled, so the crop and the screen differ by an offset alone. */
#include "agent/zoom.h"

#include "base/mem.h"
#include "vision/place.h"

#include <errno.h>

#define SIDE_MIN 224 /* pixels of a crop: less shows too little around the target */

int zoom_around(const struct frame *f, struct screen_pt at, int w, int h, struct frame *ret,
                struct err *err)
{
    struct rect part = place_grow((struct rect){at.x, at.y, 1, 1}, w, h, f->screen);
    int rc = frame_cut(f, part, ret);
    return rc < 0 ? err_set(err, rc, "a picture of %d x %d cannot be made", part.w, part.h) : 0;
}

int zoom_crop(const struct frame *f, struct screen_pt at, int box_w, int box_h, struct frame *ret,
              struct err *err)
{
    int x = at.x - f->screen.x, y = at.y - f->screen.y;

    int rc = place_check_pixels(f, err);
    if (rc < 0)
        return rc;
    if (x < 0 || y < 0 || x >= f->w || y >= f->h)
        return err_set(err, -ERANGE, "the point (%d, %d) is not on the picture", at.x, at.y);
    int w = MIN(f->w, MAX(MAX(f->w / 2, SIDE_MIN), 2 * CLAMP(box_w, 0, f->w)));
    int h = MIN(f->h, MAX(MAX(f->h / 2, SIDE_MIN), 2 * CLAMP(box_h, 0, f->h)));
    if (w == f->w && h == f->h)
        return err_set(err, -ENOTSUP, "the picture is too small for a second look");
    return zoom_around(f, at, w, h, ret, err);
}
