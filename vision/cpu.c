/* Asks the processor once. The answer may be lowered by a test, never raised. */
#include "vision/cpu.h"

static _Atomic int limit = CPU_AVX512;

static enum cpu_level detect(void)
{
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return CPU_AVX512;
    if (__builtin_cpu_supports("avx2"))
        return CPU_AVX2;
    if (__builtin_cpu_supports("ssse3"))
        return CPU_SSSE3;
#endif
    return CPU_PLAIN;
}

enum cpu_level vision_cpu_level(void)
{
    enum cpu_level have = detect();
    return (int)have < limit ? have : (enum cpu_level)limit;
}

void vision_cpu_limit(enum cpu_level max)
{
    limit = max;
}
