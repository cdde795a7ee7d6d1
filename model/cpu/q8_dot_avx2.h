/* Products in AVX2. vpmaddubsw adds two products of an unsigned and a signed byte in 16 bits and
 * would saturate with 255 * 127 twice: so int8 weights lose their offset and give their sign to the
 * other side, and a sum is at most 2 * 127 * 127. int4 weights are small enough as they are. */
#include <immintrin.h>

INLINE vi dot(vi acc, __m256i unsigned_side, __m256i signed_side)
{
    __m256i pairs = _mm256_maddubs_epi16(unsigned_side, signed_side);

    return acc + (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

INLINE vi dot8(vi acc, vi w, vi x)
{
    __m256i q = _mm256_xor_si256((__m256i)w, _mm256_set1_epi8(-128));

    return dot(acc, _mm256_abs_epi8((__m256i)x), _mm256_sign_epi8(q, (__m256i)x));
}
#define DOT8(acc, w, x) (acc = dot8(acc, w, x))
#define DOT8_OFFSET 0
#define DOT4(acc, w, x) (acc = dot(acc, (__m256i)(w), (__m256i)(x)))
