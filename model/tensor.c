/* From the numbers of a checkpoint to f32. What a block of each quantised type means, in this
 * file's words: a block is unpacked into small integers first, then scaled in the order that the
 * format's reference has, so every result is the same float.
 *
 * The types with one scale for 32 values (Q8_0, Q4_0, Q4_1, Q5_0, Q5_1) give x = d * q or d * q +
 * m. The K types put 256 values into a block, cut into 8 or 16 groups that have small integer
 * scales (and minimums) of their own, which one or two f16 numbers stretch. */
#include "model/tensor.h"

#include "base/err.h"
#include "base/mem.h"
#include "model/backend.h"

#include <string.h>

#define K 256

/* f16_to_f32() without branches for all but infinities: the exponents of the two types are 112
 * apart, and a multiplication moves them, subnormal numbers included. */
static inline float half_at(const uint8_t *p)
{
    uint32_t h = (uint32_t)(p[0] | p[1] << 8);
    union {
        uint32_t u;
        float f;
    } v = {.u = (h & 0x7fff) << 13};

    v.f *= 0x1p112f;
    if ((h & 0x7c00) == 0x7c00)
        v.u |= 0x7f800000;
    v.u |= (h & 0x8000) << 16;
    return v.f;
}

static void from_f32(const uint8_t *p, float *x)
{
    memcpy(x, p, 4);
}

static void from_bf16(const uint8_t *p, float *x)
{
    *x = bf16_to_f32((uint16_t)(p[0] | p[1] << 8));
}

static void from_f16(const uint8_t *p, float *x)
{
    *x = half_at(p);
}

/* d, 32 signed bytes */
static void from_q8_0(const uint8_t *p, float *x)
{
    float d = half_at(p);
    for (int i = 0; i < 32; i++)
        x[i] = (float)(int8_t)p[2 + i] * d;
}

/* 16 bytes hold 32 values: the low halves are values 0..15, the high ones 16..31. */
static int nibble(const uint8_t *p, int i)
{
    return i < 16 ? p[i] & 15 : p[i - 16] >> 4;
}

/* d, nibbles */
static void from_q4_0(const uint8_t *p, float *x)
{
    float d = half_at(p);
    for (int i = 0; i < 32; i++)
        x[i] = (float)(nibble(p + 2, i) - 8) * d;
}

/* d, minimum, nibbles */
static void from_q4_1(const uint8_t *p, float *x)
{
    float d = half_at(p), m = half_at(p + 2);
    for (int i = 0; i < 32; i++)
        x[i] = (float)nibble(p + 4, i) * d + m;
}

/* The fifth bits of 32 values stand together, bit i for value i. */
static int fifth(const uint8_t *p, int i)
{
    return (p[i / 8] >> i % 8 & 1) << 4;
}

/* d, fifth bits, nibbles */
static void from_q5_0(const uint8_t *p, float *x)
{
    float d = half_at(p);
    for (int i = 0; i < 32; i++)
        x[i] = (float)((nibble(p + 6, i) | fifth(p + 2, i)) - 16) * d;
}

/* d, minimum, fifth bits, nibbles */
static void from_q5_1(const uint8_t *p, float *x)
{
    float d = half_at(p), m = half_at(p + 2);
    for (int i = 0; i < 32; i++)
        x[i] = (float)(nibble(p + 8, i) | fifth(p + 4, i)) * d + m;
}

/* Two bits of value i of a K block: 32 bytes serve 128 values, four layers of two bits. */
static int two_bits(const uint8_t *p, int i)
{
    return p[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
}

/* 16 groups: a byte of scale (low half) and minimum (high half) each; two bits a value; d, dmin */
static void from_q2_k(const uint8_t *p, float *x)
{
    float d = half_at(p + 80), dmin = half_at(p + 82);
    for (int i = 0; i < K; i++) {
        float scale = d * (float)(p[i / 16] & 15), min = dmin * (float)(p[i / 16] >> 4);
        x[i] = scale * (float)two_bits(p + 16, i) - min;
    }
}

/* The third bits (bit i/32 of byte i%32; set means nothing is taken away), two bits a value, 16
 * scales of six bits: their low fours in 8 bytes, their high twos in 4; d */
static void from_q3_k(const uint8_t *p, float *x)
{
    float d = half_at(p + 108);
    const uint8_t *s = p + 96;
    for (int i = 0; i < K; i++) {
        int g = i / 16;
        int low = g < 8 ? s[g] & 15 : s[g - 8] >> 4, high = s[8 + g % 4] >> g / 4 * 2 & 3;
        int q = two_bits(p + 32, i) - (p[i % 32] >> i / 32 & 1 ? 0 : 4);
        x[i] = d * (float)((low | high << 4) - 32) * (float)q;
    }
}

/* 8 scales and 8 minimums of six bits in 12 bytes: groups 0..3 in the low six bits of bytes 0..3
 * and 4..7; groups 4..7 have their low fours in bytes 8..11 and their high twos above the others.
 */
static void six_bits(const uint8_t *s, int g, int *ret_scale, int *ret_min)
{
    if (g < 4) {
        *ret_scale = s[g] & 63;
        *ret_min = s[g + 4] & 63;
    } else {
        *ret_scale = (s[g + 4] & 15) | s[g - 4] >> 6 << 4;
        *ret_min = s[g + 4] >> 4 | s[g] >> 6 << 4;
    }
}

/* Four bits of value i of a K block: 32 bytes serve 64 values, low halves first. */
static int four_bits(const uint8_t *p, int i)
{
    return p[i / 64 * 32 + i % 32] >> i % 64 / 32 * 4 & 15;
}

/* d, dmin, scales, four bits a value */
static void from_q4_k(const uint8_t *p, float *x)
{
    float d = half_at(p), dmin = half_at(p + 2);
    for (int i = 0; i < K; i++) {
        int scale, min;
        six_bits(p + 4, i / 32, &scale, &min);
        x[i] = d * (float)scale * (float)four_bits(p + 16, i) - dmin * (float)min;
    }
}

/* d, dmin, scales, fifth bits (bit i/32 of byte i%32), four bits a value */
static void from_q5_k(const uint8_t *p, float *x)
{
    float d = half_at(p), dmin = half_at(p + 2);
    for (int i = 0; i < K; i++) {
        int scale, min;
        six_bits(p + 4, i / 32, &scale, &min);
        int q = four_bits(p + 48, i) | (p[16 + i % 32] >> i / 32 & 1) << 4;
        x[i] = d * (float)scale * (float)q - dmin * (float)min;
    }
}

/* Low four bits (64 bytes serve 128 values, low halves first), two high bits, 16 signed scales, d
 */
static void from_q6_k(const uint8_t *p, float *x)
{
    float d = half_at(p + 208);
    for (int i = 0; i < K; i++) {
        int low = p[i / 128 * 64 + i % 64] >> i % 128 / 64 * 4 & 15;
        int q = (low | two_bits(p + 128, i) << 4) - 32;
        x[i] = d * (float)(int8_t)p[192 + i / 16] * (float)q;
    }
}

static void from_i8(const uint8_t *p, float *x)
{
    *x = (float)(int8_t)*p;
}

static const struct {
    const char *name;
    int values, bytes;
    void (*to_f32)(const uint8_t *block, float *x);
} types[] = {
    [TENSOR_F32] = {"F32", 1, 4, from_f32},      [TENSOR_BF16] = {"BF16", 1, 2, from_bf16},
    [TENSOR_F16] = {"F16", 1, 2, from_f16},      [TENSOR_Q8_0] = {"Q8_0", 32, 34, from_q8_0},
    [TENSOR_Q4_0] = {"Q4_0", 32, 18, from_q4_0}, [TENSOR_Q4_1] = {"Q4_1", 32, 20, from_q4_1},
    [TENSOR_Q5_0] = {"Q5_0", 32, 22, from_q5_0}, [TENSOR_Q5_1] = {"Q5_1", 32, 24, from_q5_1},
    [TENSOR_Q2_K] = {"Q2_K", K, 84, from_q2_k},  [TENSOR_Q3_K] = {"Q3_K", K, 110, from_q3_k},
    [TENSOR_Q4_K] = {"Q4_K", K, 144, from_q4_k}, [TENSOR_Q5_K] = {"Q5_K", K, 176, from_q5_k},
    [TENSOR_Q6_K] = {"Q6_K", K, 210, from_q6_k}, [TENSOR_OTHER] = {"another type", 0, 0, NULL},
    [TENSOR_I8] = {"I8", 1, 1, from_i8},         [TENSOR_PACKED8] = {"int8", 0, 0, NULL},
    [TENSOR_PACKED4] = {"int4", 0, 0, NULL},
};

const char *tensor_dtype_name(enum tensor_dtype d)
{
    return types[d].name;
}

int tensor_block_values(enum tensor_dtype d)
{
    return types[d].values;
}

int tensor_block_bytes(enum tensor_dtype d)
{
    return types[d].bytes;
}

void tensor_to_f32(enum tensor_dtype d, const void *src, size_t from, size_t n, float *ret)
{
    size_t values = (size_t)types[d].values, bytes = (size_t)types[d].bytes;

    CHECK(types[d].to_f32 && from % values == 0 && n % values == 0);
    const uint8_t *p = (const uint8_t *)src + from / values * bytes;
    if (d == TENSOR_F32) {
        memcpy(ret, p, 4 * n);
        return;
    }
    if (d == TENSOR_F16) {
        for (size_t i = 0; i < n; i++)
            from_f16(p + 2 * i, ret + i);
        return;
    }
    if (d == TENSOR_BF16) {
        for (size_t i = 0; i < n; i++)
            from_bf16(p + 2 * i, ret + i);
        return;
    }
    for (size_t i = 0; i < n; i += values, p += bytes)
        types[d].to_f32(p, ret + i);
}
