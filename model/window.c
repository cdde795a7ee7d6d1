/* Index arithmetic of the windowed attention (Qwen2.5-VL, get_window_index and rot_pos_emb of
 * transformers' modeling file). The reference pads the grid, marks the padding and drops it again;
 * here the windows are simply walked with their true size, which gives the same order. */
#include "model/window.h"

#include "base/mem.h"

void window_plan(int t, int h, int w, int merge, int side, struct window_plan *ret)
{
    int gh = h / merge, gw = w / merge, unit = merge * merge;
    int n_wh = (gh + side - 1) / side, n_ww = (gw + side - 1) / side;
    struct window_plan p = {.n_groups = t * gh * gw};
    int at = 0;

    p.group = mem_alloc(sizeof(int) * (size_t)p.n_groups);
    p.windows = mem_alloc(sizeof(struct span) * (size_t)(t * n_wh * n_ww));
    p.frames = mem_alloc(sizeof(struct span) * (size_t)t);
    for (int f = 0; f < t; f++) {
        p.frames[p.n_frames++] = (struct span){f * h * w, (f + 1) * h * w};
        for (int wy = 0; wy < gh; wy += side) {
            for (int wx = 0; wx < gw; wx += side) {
                int begin = at;
                for (int y = wy; y < MIN(wy + side, gh); y++)
                    for (int x = wx; x < MIN(wx + side, gw); x++)
                        p.group[at++] = (f * gh + y) * gw + x;
                p.windows[p.n_windows++] = (struct span){begin * unit, at * unit};
            }
        }
    }
    *ret = p;
}

void window_plan_done(struct window_plan *p)
{
    free(p->group);
    free(p->windows);
    free(p->frames);
    *p = (struct window_plan){0};
}

void window_patch_places(int h, int w, int merge, int *ret_row, int *ret_col)
{
    int i = 0;

    for (int by = 0; by < h; by += merge)
        for (int bx = 0; bx < w; bx += merge)
            for (int y = 0; y < merge; y++)
                for (int x = 0; x < merge; x++, i++) {
                    ret_row[i] = by + y;
                    ret_col[i] = bx + x;
                }
}
