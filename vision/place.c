/* Points between the picture the model saw and the screen it shows.
 *
 * A coordinate of the model is a pixel's index in the resized picture, so integer x means the
 * square [x, x+1) and its middle is x + 0.5. That middle is scaled and the screen pixel that holds
 * it is the answer: floor((x + 0.5) * screen_w / image_w). At equal sizes this is the identity on
 * integers, every integer point inside the picture lands inside the screen, and going there and
 * back moves a point by at most half a pixel of the coarser grid. */
#include "vision/place.h"
#include "base/mem.h"

#include <errno.h>
#include <math.h>

static int check_place(const struct place *p, struct err *err)
{
    if (p->image_w < 1 || p->image_h < 1)
        return err_set(err, -EINVAL, "the picture is %d x %d pixels, it must be at least 1 x 1",
                       p->image_w, p->image_h);
    if (p->screen.w < 1 || p->screen.h < 1)
        return err_set(err, -EINVAL,
                       "the part of the screen is %d x %d pixels, it must be at least 1 x 1",
                       p->screen.w, p->screen.h);
    return 0;
}

static int to_screen(double v, int n_image, int n_screen)
{
    double at = floor((v + 0.5) * n_screen / n_image);
    /* the last half pixel of the picture, v > n_image - 0.5, has its middle past the edge */
    return at < n_screen ? (int)at : n_screen - 1;
}

static double to_model(int v, int n_image, int n_screen)
{
    double at = (v + 0.5) * n_image / n_screen - 0.5;
    return at > 0 ? at : 0;
}

int place_to_screen(const struct place *p, struct model_pt m, struct screen_pt *ret,
                    struct err *err)
{
    int rc = check_place(p, err);
    if (rc < 0)
        return rc;
    /* written so that NaN fails it */
    if (!(m.x >= 0 && m.y >= 0 && m.x < (float)p->image_w && m.y < (float)p->image_h))
        return err_set(err, -ERANGE,
                       "the point (%g, %g) is outside the picture, which is %d x %d pixels", m.x,
                       m.y, p->image_w, p->image_h);
    ret->x = p->screen.x + to_screen(m.x, p->image_w, p->screen.w);
    ret->y = p->screen.y + to_screen(m.y, p->image_h, p->screen.h);
    return 0;
}

int place_to_model(const struct place *p, struct screen_pt s, struct model_pt *ret,
                   struct err *err)
{
    int rc = check_place(p, err);
    if (rc < 0)
        return rc;
    /* in 64 bits: a caller's rectangle may lie anywhere */
    int64_t x = (int64_t)s.x - p->screen.x, y = (int64_t)s.y - p->screen.y;
    if (x < 0 || y < 0 || x >= p->screen.w || y >= p->screen.h)
        return err_set(err, -ERANGE,
                       "the point (%d, %d) is outside the part of the screen that was shown, "
                       "%d x %d at (%d, %d)",
                       s.x, s.y, p->screen.w, p->screen.h, p->screen.x, p->screen.y);
    ret->x = (float)to_model((int)x, p->image_w, p->screen.w);
    ret->y = (float)to_model((int)y, p->image_h, p->screen.h);
    return 0;
}

int place_box(const struct place *p, const float box[4], struct screen_pt *ret_first,
              struct screen_pt *ret_last, struct err *err)
{
    /* the far corner may lie on the border */
    struct model_pt first = {box[0], box[1]},
                    last = {MAX(box[0], box[2] - 1), MAX(box[1], box[3] - 1)};
    int rc = place_to_screen(p, first, ret_first, err);
    return rc < 0 ? rc : place_to_screen(p, last, ret_last, err);
}

int place_check_pixels(const struct frame *f, struct err *err)
{
    if (f->w == f->screen.w && f->h == f->screen.h)
        return 0;
    return err_set(err, -ENOTSUP, "the picture of %d x %d shows %d x %d pixels of the screen",
                   f->w, f->h, f->screen.w, f->screen.h);
}

struct rect place_grow(struct rect r, int min_w, int min_h, struct rect inside)
{
    int w = MIN(MAX(r.w, min_w), inside.w), h = MIN(MAX(r.h, min_h), inside.h);
    int x = r.x + r.w / 2 - w / 2, y = r.y + r.h / 2 - h / 2;

    return (struct rect){CLAMP(x, inside.x, inside.x + inside.w - w),
                         CLAMP(y, inside.y, inside.y + inside.h - h), w, h};
}
