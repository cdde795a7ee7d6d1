/* Identity of cached positions. A position's keys and values depend on the tokens before it, the
 * pictures among them, and its M-RoPE position, which is itself a function of these: so an equal
 * beginning of key sequences is an equal beginning of the cache. */
#include "model/kv.h"

#include <string.h>

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t kv_key_text(int32_t id)
{
    return (uint64_t)(uint32_t)id; /* visual keys have the top bit set */
}

uint64_t kv_key_visual(uint64_t picture_hash, int t, int h, int w, int seconds, int index)
{
    uint64_t k = mix(mix(picture_hash) ^ (uint64_t)(uint32_t)seconds);

    k = mix(k ^ (uint64_t)(uint32_t)t << 32 ^ (uint64_t)(uint32_t)h);
    k = mix(k ^ (uint64_t)(uint32_t)w << 32 ^ (uint64_t)(uint32_t)index);
    return k | 1ull << 63;
}

uint64_t kv_salt(const char *adapter, float scale)
{
    uint32_t bits;
    uint64_t h;

    memcpy(&bits, &scale, sizeof(bits));
    h = mix(bits);
    for (const char *c = adapter; *c; c++)
        h = mix(h ^ (uint8_t)*c);
    return (h & ~(1ull << 63)) | 1ull << 62;
}

int kv_common(const uint64_t *a, int n_a, const uint64_t *b, int n_b)
{
    int i = 0;

    while (i < n_a && i < n_b && a[i] == b[i])
        i++;
    return i;
}
