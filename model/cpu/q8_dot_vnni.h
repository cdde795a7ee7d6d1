/* Both products as the one instruction that they are. In assembly where it counts most, because GCC
 * 12 copies the sums around the intrinsic, which halves the speed. */
#include <immintrin.h>

#if VL == 16
#define OWN_LANES
INLINE int32_t most_of(vi v)
{
    return _mm512_reduce_max_epi32((__m512i)v);
}

INLINE int32_t sum_of(vi v)
{
    return _mm512_reduce_add_epi32((__m512i)v);
}

#define DOT8(acc, w, x) __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(w), "v"(x))
#else
#define DOT8(acc, w, x)                                                                            \
    (acc = (vi)_mm256_dpbusd_avx_epi32((__m256i)(acc), (__m256i)(w), (__m256i)(x)))
#endif
#define DOT8_OFFSET 128
#define DOT4(acc, w, x) DOT8(acc, w, x)
