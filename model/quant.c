/* See quant.h. The scale of an int8 block is its largest value over 127. An int4 group first takes
 * the scale that puts its largest value on the end of the range that has one more step, then the
 * scale that fits the rounded values best in least squares, and rounds once more. */
#include "model/quant.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

int quant_format_of(const char *name)
{
    return strcmp(name, "int8") == 0 ? QUANT_INT8 : strcmp(name, "int4") == 0 ? QUANT_INT4 : -1;
}

size_t quant_panel_bytes(enum quant_format f, int n_in)
{
    size_t n = (size_t)n_in, rest = n % QUANT_BLOCK;

    if (f == QUANT_INT4)
        return (n + QUANT_GROUP - 1) / QUANT_GROUP * QUANT_INT4_GROUP_BYTES;
    return n / QUANT_BLOCK * QUANT_INT8_BLOCK_BYTES +
           (rest ? QUANT_PANEL * (4 + (rest + 3) / 4 * 4) : 0);
}

static uint16_t to_bf16(float f)
{
    uint32_t u;

    memcpy(&u, &f, 4);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static float from_bf16(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;

    memcpy(&f, &u, 4);
    return f;
}

static void pack_block(const float *rows, int n_rows, size_t n_in, size_t at, int n, uint8_t *to)
{
    float *scale = (float *)to;
    uint8_t *value = to + QUANT_PANEL * 4;
    int n4 = (n + 3) / 4 * 4;

    memset(value, 128, (size_t)n4 * QUANT_PANEL);
    for (int o = 0; o < QUANT_PANEL; o++) {
        const float *x = rows + (size_t)o * n_in + at;
        float most = 0;
        for (int i = 0; i < n && o < n_rows; i++)
            most = fmaxf(most, fabsf(x[i]));
        scale[o] = most / 127;
        if (!(most > 0) || o >= n_rows)
            continue;
        for (int i = 0; i < n; i++) {
            int q = (int)rintf(x[i] / scale[o]);
            value[(i / 4 * QUANT_PANEL + o) * 4 + i % 4] = (uint8_t)(128 + CLAMP(q, -127, 127));
        }
    }
}

static void round4(const float *x, int n, float scale, int *q)
{
    for (int i = 0; i < n; i++)
        q[i] = scale != 0 ? CLAMP((int)rintf(x[i] / scale), -8, 7) : 0;
}

static void pack_group(const float *rows, int n_rows, size_t n_in, size_t at, int n, uint8_t *to)
{
    uint16_t *scale = (uint16_t *)to;
    uint8_t *value = to + QUANT_PANEL * 2;

    memset(value, 0x88, QUANT_PANEL * QUANT_GROUP / 2);
    for (int o = 0; o < QUANT_PANEL; o++) {
        scale[o] = 0;
        if (o >= n_rows)
            continue;
        const float *x = rows + (size_t)o * n_in + at;
        float most = 0, xq = 0, qq = 0;
        int q[QUANT_GROUP];
        for (int i = 0; i < n; i++)
            most = fabsf(x[i]) > fabsf(most) ? x[i] : most;
        round4(x, n, most / -8, q);
        for (int i = 0; i < n; i++) {
            xq += x[i] * (float)q[i];
            qq += (float)(q[i] * q[i]);
        }
        scale[o] = to_bf16(qq > 0 ? xq / qq : 0);
        round4(x, n, from_bf16(scale[o]), q);
        for (int i = 0; i < n; i++) {
            uint8_t *b = &value[(i % 16 / 4 * QUANT_PANEL + o) * 4 + i % 4];
            *b = (uint8_t)(i < 16 ? (*b & 0xf0) | (q[i] + 8) : (*b & 0x0f) | (q[i] + 8) << 4);
        }
    }
}

void quant_panel_pack(enum quant_format f, const float *rows, int n_rows, int n_in, void *ret)
{
    uint8_t *to = ret;
    int step = f == QUANT_INT8 ? QUANT_BLOCK : QUANT_GROUP;

    for (int at = 0; at < n_in; at += step) {
        int n = MIN(step, n_in - at);
        if (f == QUANT_INT8)
            pack_block(rows, n_rows, (size_t)n_in, (size_t)at, n, to);
        else
            pack_group(rows, n_rows, (size_t)n_in, (size_t)at, n, to);
        to += f == QUANT_INT8 ? QUANT_INT8_BLOCK_BYTES : QUANT_INT4_GROUP_BYTES;
    }
}

void quant_panel_unpack(enum quant_format f, const void *panel, int n_rows, int n_in, float *ret)
{
    for (int o = 0; o < n_rows; o++) {
        for (int i = 0; i < n_in; i++) {
            float *to = &ret[(size_t)o * (size_t)n_in + (size_t)i];
            if (f == QUANT_INT8) {
                const uint8_t *b = (const uint8_t *)panel +
                                   (size_t)(i / QUANT_BLOCK) * QUANT_INT8_BLOCK_BYTES;
                int k = i % QUANT_BLOCK;
                *to = ((const float *)b)[o] *
                      (float)(b[QUANT_PANEL * 4 + (k / 4 * QUANT_PANEL + o) * 4 + k % 4] - 128);
            } else {
                const uint8_t *b = (const uint8_t *)panel +
                                   (size_t)(i / QUANT_GROUP) * QUANT_INT4_GROUP_BYTES;
                int k = i % QUANT_GROUP;
                int v = b[QUANT_PANEL * 2 + (k % 16 / 4 * QUANT_PANEL + o) * 4 + k % 4];
                *to = from_bf16(((const uint16_t *)b)[o]) * (float)((k < 16 ? v & 15 : v >> 4) - 8);
            }
        }
    }
}
