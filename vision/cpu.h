/* Which vector instructions this machine has, for the loops of vision/ that exist once and are
 * compiled several times. Internal. */
#ifndef DESKHAND_VISION_CPU_H
#define DESKHAND_VISION_CPU_H

#include <stddef.h>
#include <stdint.h>

enum cpu_level { CPU_PLAIN, CPU_SSSE3, CPU_AVX2, CPU_AVX512 };

/* Plain where the machine is not x86-64. Any thread. */
enum cpu_level vision_cpu_level(void);
/* For tests and the benchmark: nothing above `max` is used from now on. */
void vision_cpu_limit(enum cpu_level max);

#ifdef __x86_64__
#define CPU_TARGET_SSSE3 __attribute__((target("ssse3")))
#define CPU_TARGET_AVX2 __attribute__((target("avx2")))
#ifdef __clang__
#define CPU_TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#else /* gcc halves the vectors unless told not to; clang refuses an attribute with that word */
#define CPU_TARGET_AVX512                                                                          \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,prefer-vector-width=512")))
#endif
#endif

#ifdef __SSE2__
#include <emmintrin.h>

/* dst[c][r] = src[r][c] over 16 x 16 bytes. Four rounds of interleaving row i with row i + 8 move
 * the row's number from the register into the byte's place. */
static inline void cpu_transpose16(const uint8_t *src, size_t src_stride, uint8_t *dst,
                                   size_t dst_stride)
{
    __m128i a[16], b[16];
    for (int i = 0; i < 16; i++)
        a[i] = _mm_loadu_si128((const __m128i *)(const void *)(src + (size_t)i * src_stride));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 8; i++) {
            b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
            b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
        }
        for (int i = 0; i < 8; i++) {
            a[2 * i] = _mm_unpacklo_epi8(b[i], b[i + 8]);
            a[2 * i + 1] = _mm_unpackhi_epi8(b[i], b[i + 8]);
        }
    }
    for (int i = 0; i < 16; i++)
        _mm_storeu_si128((__m128i *)(void *)(dst + (size_t)i * dst_stride), a[i]);
}
#endif

#endif
