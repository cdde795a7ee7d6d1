/* Both products as the one instruction that they are. In assembly where it counts most, because GCC 12
 * copies the sums around the intrinsic, which halves the speed. */
#if VL == 16
#define DOT8(acc, w, x) __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(w), "v"(x))
#else
#include <immintrin.h>
#define DOT8(acc, w, x) (acc = (vi)_mm256_dpbusd_avx_epi32((__m256i)(acc), (__m256i)(w), (__m256i)(x)))
#endif
#define DOT8_OFFSET 128
#define DOT4(acc, w, x) DOT8(acc, w, x)
