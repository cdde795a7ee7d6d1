/* Positions of the language model: three numbers a token (time, row, column). */
#ifndef DESKHAND_MODEL_MROPE_H
#define DESKHAND_MODEL_MROPE_H

#include <stdbool.h>
#include <stdint.h>

/* One picture in the prompt, in order. */
struct mrope_image {
    int begin;           /* index of its first visual token */
    int t, h, w;         /* on the merged grid */
    int second_per_grid; /* video: whole seconds between two frames, as the reference truncates */
    bool is_video;
};

/* ret_pos [3, n]. Returns delta: token i generated after the prompt stands at n + i + delta on all
 * three axes. */
int mrope_positions(int n, const struct mrope_image *images, int n_images, int tokens_per_second,
                    int32_t *ret_pos);

/* Angles of n tokens: pos [3, ld_pos] from column 0; section: how many of the d_head/2 frequencies
 * follow each axis. ret_cos, ret_sin [n, d_head/2]. */
void mrope_angles(const int32_t *pos, int ld_pos, int n, int d_head, const int section[3],
                  double theta, float *ret_cos, float *ret_sin);

/* Two-dimensional angles of the vision tower: half of the frequencies follow the row, half the
 * column. ret_cos, ret_sin [n, d_head/2]. */
void mrope_vision_angles(const int *row, const int *col, int n, int d_head, float *ret_cos,
                         float *ret_sin);

#endif
