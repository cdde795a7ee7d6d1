/* The reference rounds torch.linspace, which is computed in float and in another order on each kind
 * of CPU, so a place very near a half falls here or there. Here places are rounded exactly, half to
 * even.
 *
 * A patch of a video has the same pixels of two frames side by side, channel by channel, so each
 * frame is cut as a picture and the rows are woven together. */
#include "vision/video.h"
#include "base/mem.h"
#include "vision/patch.h"
#include "vision/resize.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define FPS 2.0
#define FRAMES_MIN 4
#define FRAMES_MAX 768
#define TOKENS_MIN 128
#define TOKENS_MAX 768
#define TOKENS_ALL 128000
#define MAX_RECORDED 100000000

static double even_below(double n)
{
    return floor(n / 2) * 2;
}

/* i * last / (n - 1), rounded half to even. */
static int place_of(int i, int n, int last)
{
    int64_t up = 2 * (int64_t)i * last, down = 2 * (int64_t)(n - 1);
    int64_t whole = up / down, rest = up % down;

    return (int)(whole + (rest > n - 1 || (rest == n - 1 && whole % 2)));
}

static int size_of(int n, int w, int h, const struct image_spec *spec, struct video_plan *ret,
                   struct err *err)
{
    struct image_spec s = *spec;
    double token = pow(spec->patch_size * spec->merge_size, 2);
    double least = TOKENS_MIN * token, all = TOKENS_ALL * token * 0.9;
    double most = fmax(fmin(TOKENS_MAX * token, all / n * 2), floor(least * 1.05));

    s.min_pixels = (int64_t)least;
    s.max_pixels = (int64_t)most;
    return resize_size(w, h, &s, &ret->w, &ret->h, err);
}

int video_plan(int n_frames, double fps, int w, int h, const struct image_spec *spec,
               struct video_plan *ret, struct err *err)
{
    struct video_plan p = {0};

    if (n_frames < 2 || n_frames > MAX_RECORDED || !(fps > 0) || !(fps <= 1e6))
        return err_set(err, -EINVAL,
                       "%d frames at %g a second; expected 2 to %d at a rate above zero", n_frames,
                       fps, MAX_RECORDED);
    double n = n_frames / fps * FPS, most = even_below(MIN(FRAMES_MAX, n_frames));
    p.n = (int)even_below(fmin(fmin(fmax(n, FRAMES_MIN), most), n_frames));
    int rc = size_of(p.n, w, h, spec, &p, err);
    if (rc < 0)
        return rc;
    p.index = mem_alloc(sizeof(int) * (size_t)p.n);
    for (int i = 0; i < p.n; i++)
        p.index[i] = place_of(i, p.n, n_frames - 1);
    double sampled_fps = p.n / (double)n_frames * fps;
    p.second_per_grid = (float)(spec->temporal_patch_size / sampled_fps);
    *ret = p;
    return 0;
}

void video_plan_done(struct video_plan *p)
{
    free(p->index);
    *p = (struct video_plan){0};
}

int video_cut(const struct frame *frames, int n, const struct image_spec *spec,
              float second_per_grid, struct patches *ret, struct err *err)
{
    int nt = spec->temporal_patch_size;
    struct patches all = {0};
    size_t plane = 0, rows = 0, cols = 0;

    if (n < 1 || nt < 1 || nt > 16)
        return err_set(err, -EINVAL, "%d frames in groups of %d cannot be cut", n, nt);
    int n_groups = (n + nt - 1) / nt;
    for (int i = 0; i < n_groups * nt; i++) {
        const struct frame *f = &frames[MIN(i, n - 1)];
        struct patches one;
        int rc = f->w == frames[0].w && f->h == frames[0].h
                     ? patch_cut(f, spec, &one, err)
                     : err_set(err, -EINVAL, "frame %d is %d x %d pixels, the first %d x %d", i,
                               f->w, f->h, frames[0].w, frames[0].h);
        if (rc == 0 && i == 0) {
            size_t bytes;
            plane = (size_t)one.patch_size * (size_t)one.patch_size;
            rows = (size_t)one.grid_h * (size_t)one.grid_w;
            cols = 3 * (size_t)nt * plane;
            all = one;
            all.rows = NULL;
            all.hash = 0;
            if (mem_mul(&bytes, rows * cols, (size_t)n_groups * sizeof(float)))
                rc = err_set(err, -EOVERFLOW, "a video of %d frames is too large to cut", n);
            else
                all.rows = mem_aligned(bytes);
        }
        if (rc < 0) {
            if (i == 0 && plane)
                patches_done(&one);
            patches_done(&all);
            return rc;
        }
        float *to = all.rows + (size_t)(i / nt) * rows * cols + (size_t)(i % nt) * plane;
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < 3; c++)
                memcpy(to + r * cols + c * (size_t)nt * plane, one.rows + (r * 3 + c) * plane,
                       sizeof(float) * plane);
        all.hash = (all.hash ^ one.hash) * 0x9e3779b97f4a7c15u + 1;
        patches_done(&one);
    }
    all.grid_t = n_groups;
    all.n_temporal = nt;
    all.second_per_grid = second_per_grid;
    *ret = all;
    return 0;
}
