/* Rotary positions (Qwen2.5-VL, get_rope_index). Text counts on all three axes together; a picture
 * that begins at position o occupies (o + t, o + row, o + column), and the text after it goes on at
 * the largest position used plus one. */
#include "model/mrope.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

int mrope_positions(int n, const struct mrope_image *images, int n_images, int tokens_per_second,
                    int32_t *ret_pos)
{
    int next = 0, at = 0;
    int32_t *t = ret_pos, *h = ret_pos + n, *w = ret_pos + 2 * (size_t)n;

    for (int k = 0; k <= n_images; k++) {
        int end = k < n_images ? images[k].begin : n;
        for (; at < end; at++, next++)
            t[at] = h[at] = w[at] = next;
        if (k == n_images)
            break;
        const struct mrope_image *im = &images[k];
        int top = next;
        for (int f = 0; f < im->t; f++) {
            int time = im->is_video ? f * im->second_per_grid * tokens_per_second : f;
            for (int y = 0; y < im->h; y++) {
                for (int x = 0; x < im->w; x++, at++) {
                    t[at] = next + time;
                    h[at] = next + y;
                    w[at] = next + x;
                }
            }
            top = MAX(top, next + MAX(time, MAX(im->h, im->w) - 1));
        }
        next = top + 1;
    }
    return next - n;
}

/* The reference computes frequencies and angles in f32; so do we, to stay on its numbers at large
 * positions. */
static float frequency(int j, int d, double theta)
{
    return 1.0f / powf((float)theta, (float)(2 * j) / (float)d);
}

/* How far back the same position was, 0: unknown. In a picture the time and the row repeat at once
 * and the column after a row, which saves most of the sines. */
static int same_before(const int32_t *p, int i)
{
    int line = 0;

    if (i > 0 && p[i] == p[i - 1])
        return 1;
    for (int back = 2; back <= i && back < 256 && !line; back++)
        line = p[i - back] == p[i] ? back : 0;
    return line;
}

void mrope_angles(const int32_t *pos, int ld_pos, int n, int d_head, const int section[3],
                  double theta, float *ret_cos, float *ret_sin)
{
    int half = d_head / 2;
    AUTO_FREE int *back = mem_alloc(sizeof(int) * 3 * (size_t)n);

    for (int i = 0; i < 3 * n; i++)
        back[i] = same_before(pos + (size_t)(i / n) * (size_t)ld_pos, i % n);
    for (int j = 0; j < half; j++) {
        int axis = j < section[0] ? 0 : j < section[0] + section[1] ? 1 : 2;
        const int32_t *p = pos + (size_t)axis * (size_t)ld_pos;
        float f = frequency(j, d_head, theta);
        float *c = ret_cos + j, *s = ret_sin + j;
        for (int i = 0; i < n; i++, c += half, s += half) {
            int b = back[axis * n + i];
            float a = (float)p[i] * f;
            *c = b ? c[-b * half] : cosf(a);
            *s = b ? s[-b * half] : sinf(a);
        }
    }
}

void mrope_vision_angles(const int *row, const int *col, int n, int d_head, float *ret_cos,
                         float *ret_sin)
{
    int half = d_head / 2, quarter = half / 2, n_pos = 0;

    for (int i = 0; i < n; i++)
        n_pos = MAX(n_pos, MAX(row[i], col[i]) + 1);
    /* [n_pos, quarter]: there are few rows and columns and many patches */
    size_t line = (size_t)quarter * sizeof(float);
    AUTO_FREE float *c = mem_alloc((size_t)n_pos * line), *s = mem_alloc((size_t)n_pos * line);
    for (int j = 0; j < quarter; j++) {
        float f = frequency(j, half, 10000.0);
        for (int i = 0; i < n_pos; i++) {
            c[i * quarter + j] = cosf((float)i * f);
            s[i * quarter + j] = sinf((float)i * f);
        }
    }
    for (int i = 0; i < n; i++) {
        float *to_c = ret_cos + (size_t)i * (size_t)half,
              *to_s = ret_sin + (size_t)i * (size_t)half;
        memcpy(to_c, c + row[i] * quarter, line);
        memcpy(to_c + quarter, c + col[i] * quarter, line);
        memcpy(to_s, s + row[i] * quarter, line);
        memcpy(to_s + quarter, s + col[i] * quarter, line);
    }
}
