/* Deskhand's packed weight formats, int8 and int4: what lies in memory and in files that `deskhand
 * model quantize` writes. docs/quantization.md has the same in words.
 *
 * A matrix [n_out, n_in] is cut into panels of 32 outputs; the last one is filled with zero rows.
 *
 * int8: a panel is a row of blocks, one for each 256 inputs (the last one shorter), without gaps:
 *     float    scale[32]             of each output in this block
 * uint8_t value[n4 / 4][32][4] 128 + q, -127 <= q <= 127; n4: inputs of the block up to a multiple
 *                                    of 4, filled with q = 0.      weight = scale * q
 * int4: a panel is a row of groups, one for each 32 inputs (the last one filled with q = 0):
 *     uint16_t scale[32]             bf16
 * uint8_t value[4][32][4] 8 + q, -8 <= q <= 7; input 4 j + t of the group is the low half
 *                                    of value[j][.][t], input 16 + 4 j + t the high half
 *
 * 8.5 and 4.5 bits a weight. Pure functions, any thread. */
#ifndef DESKHAND_MODEL_QUANT_H
#define DESKHAND_MODEL_QUANT_H

#include <stddef.h>
#include <stdint.h>

#define QUANT_PANEL 32
#define QUANT_BLOCK 256 /* inputs that share a scale in int8 */
#define QUANT_GROUP 32  /* in int4 */

enum quant_format { QUANT_INT8, QUANT_INT4 };

#define QUANT_INT8_BLOCK_BYTES (QUANT_PANEL * (4 + QUANT_BLOCK))
#define QUANT_INT4_GROUP_BYTES (QUANT_PANEL * (2 + QUANT_GROUP / 2))

/* "int8", "int4"; -1 for anything else. */
int quant_format_of(const char *name);

/* Of one panel; a multiple of 64. */
size_t quant_panel_bytes(enum quant_format f, int n_in);

/* Packs up to 32 rows, [n_rows, n_in]. */
void quant_panel_pack(enum quant_format f, const float *rows, int n_rows, int n_in, void *ret);
/* Back to floats, [n_rows, n_in]. */
void quant_panel_unpack(enum quant_format f, const void *panel, int n_rows, int n_in, float *ret);

#endif
