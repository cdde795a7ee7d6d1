/* From f32 to the types that files are written in. A block's scale is kept as f16, but the values
 * are rounded with the f32 scale it came from, as ggml's reference does, so files are equal to the
 * byte. */
#include "model/tensor.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

#define BLOCK 32

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

/* To nearest, ties to even. */
static uint16_t to_f16(float f)
{
    uint32_t u = bits_of(f), sign = u >> 16 & 0x8000, e = u >> 23 & 0xff, m = u & 0x7fffff;

    if (e == 0xff)
        return (uint16_t)(sign | 0x7c00 | (m ? 0x200 | m >> 13 : 0));
    if (e < 102) /* below half of the smallest */
        return (uint16_t)sign;
    if (e < 113) {
        uint32_t shift = 126 - e, full = m | 0x800000, rest = full & ((1u << shift) - 1);
        uint32_t h = full >> shift, half = 1u << (shift - 1);
        return (uint16_t)(sign | (h + (rest > half || (rest == half && h & 1))));
    }
    uint32_t h = (e - 112) << 10 | m >> 13, rest = m & 0x1fff;
    h += rest > 0x1000 || (rest == 0x1000 && h & 1);
    return (uint16_t)(sign | (h >= 0x7c00 ? 0x7c00 : h));
}

static uint16_t to_bf16(float f)
{
    uint32_t u = bits_of(f);
    if ((u & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(u >> 16 | 64);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static void put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void to_q8_0(const float *x, uint8_t *p)
{
    float most = 0;
    for (int i = 0; i < BLOCK; i++)
        most = fmaxf(most, fabsf(x[i]));
    float d = most / 127, inverse = d != 0 ? 1 / d : 0;
    put16(p, to_f16(d));
    for (int i = 0; i < BLOCK; i++)
        p[2 + i] = (uint8_t)(int8_t)roundf(x[i] * inverse);
}

/* Rounds into 0..top and stores four bits at `low` and, for top 31, the fifth at `high`. */
static void put_values(const float *x, float from, float inverse, float half, int top,
                       uint8_t *high, uint8_t *low)
{
    for (int i = 0; i < BLOCK; i++) {
        float v = (x[i] - from) * inverse + half;
        int q = v > 0 ? (int)MIN(v, (float)top) : 0;
        if (i < BLOCK / 2)
            low[i] = (uint8_t)(q & 15);
        else
            low[i - BLOCK / 2] |= (uint8_t)((q & 15) << 4);
        if (high)
            high[i / 8] |= (uint8_t)(q >> 4 << i % 8);
    }
}

/* Values around 0: the one furthest from it falls on the lower end of the range. */
static void to_symmetric(const float *x, int half, uint8_t *scale, uint8_t *high, uint8_t *low)
{
    float most = 0, at = x[0];
    for (int i = 0; i < BLOCK; i++) {
        if (fabsf(x[i]) > most) {
            most = fabsf(x[i]);
            at = x[i];
        }
    }
    float d = at / (float)-half;
    put16(scale, to_f16(d));
    put_values(x, 0, d != 0 ? 1 / d : 0, (float)half + 0.5f, 2 * half - 1, high, low);
}

static void to_ranged(const float *x, int top, uint8_t *scale, uint8_t *high, uint8_t *low)
{
    float min = x[0], max = x[0];
    for (int i = 1; i < BLOCK; i++) {
        min = fminf(min, x[i]);
        max = fmaxf(max, x[i]);
    }
    float d = (max - min) / (float)top;
    put16(scale, to_f16(d));
    put16(scale + 2, to_f16(min));
    put_values(x, min, d != 0 ? 1 / d : 0, 0.5f, top, high, low);
}

bool tensor_from_f32(enum tensor_dtype d, const float *x, size_t n, void *ret)
{
    uint8_t *p = ret;
    size_t values = (size_t)tensor_block_values(d), bytes = (size_t)tensor_block_bytes(d);

    if (d != TENSOR_F32 && d != TENSOR_BF16 && d != TENSOR_F16 && d != TENSOR_Q8_0 &&
        d != TENSOR_Q4_0 && d != TENSOR_Q4_1 && d != TENSOR_Q5_0 && d != TENSOR_Q5_1)
        return false;
    if (d == TENSOR_F32) {
        memcpy(p, x, 4 * n);
        return true;
    }
    for (size_t i = 0; i < n; i += values, p += bytes) {
        memset(p, 0, bytes);
        switch (d) {
        case TENSOR_BF16:
            put16(p, to_bf16(x[i]));
            break;
        case TENSOR_F16:
            put16(p, to_f16(x[i]));
            break;
        case TENSOR_Q8_0:
            to_q8_0(x + i, p);
            break;
        case TENSOR_Q4_0:
            to_symmetric(x + i, 8, p, NULL, p + 2);
            break;
        case TENSOR_Q4_1:
            to_ranged(x + i, 15, p, NULL, p + 4);
            break;
        case TENSOR_Q5_0:
            to_symmetric(x + i, 16, p, p + 2, p + 6);
            break;
        default:
            to_ranged(x + i, 31, p, p + 4, p + 8);
            break;
        }
    }
    return true;
}
