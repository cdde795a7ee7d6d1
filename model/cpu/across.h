/* 16 rows of 16 lanes change places with 16 columns (AVX-512): what lies row by row in memory
 * becomes a lane a row, which is how attention computes, and back. */
#ifndef DESKHAND_MODEL_CPU_ACROSS_H
#define DESKHAND_MODEL_CPU_ACROSS_H

#include <immintrin.h>

/* The first n lanes; none where n is less than 0. */
static inline __mmask16 across_first(int n)
{
    return n >= 16 ? 0xffff : n < 0 ? 0 : (__mmask16)((1u << n) - 1);
}

/* r[i] lane j becomes r[j] lane i. Neighbours of 1, 2, 4 and 8 rows are exchanged in turn. */
static inline __attribute__((always_inline)) void across_16(__m512i r[16])
{
    __m512i t[16];

    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) { /* r[i + k]: column k of each group of four, of rows i..i+3 */
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int k = 0; k < 4; k++) { /* groups 0 2 and 1 3 of rows 0..7 and 8..15 */
        t[k] = _mm512_shuffle_i32x4(r[k], r[k + 4], 0x88);
        t[k + 4] = _mm512_shuffle_i32x4(r[k], r[k + 4], 0xdd);
        t[k + 8] = _mm512_shuffle_i32x4(r[k + 8], r[k + 12], 0x88);
        t[k + 12] = _mm512_shuffle_i32x4(r[k + 8], r[k + 12], 0xdd);
    }
    for (int k = 0; k < 4; k++) {
        r[k] = _mm512_shuffle_i32x4(t[k], t[k + 8], 0x88);
        r[k + 4] = _mm512_shuffle_i32x4(t[k + 4], t[k + 12], 0x88);
        r[k + 8] = _mm512_shuffle_i32x4(t[k], t[k + 8], 0xdd);
        r[k + 12] = _mm512_shuffle_i32x4(t[k + 4], t[k + 12], 0xdd);
    }
}

#endif
