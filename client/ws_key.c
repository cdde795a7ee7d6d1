/* Sec-WebSocket-Accept: SHA-1 (FIPS 180-4) and base64. It proves that the other side speaks
 * websocket, nothing more; SHA-1's weakness does not matter for that, and no crypto library has to
 * be linked for sixty bytes. */
#include "client/ws.h"

#include <string.h>

static uint32_t rotl(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static void sha1_block(uint32_t h[5], const uint8_t *p)
{
    uint32_t w[80];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[i * 4] << 24 | (uint32_t)p[i * 4 + 1] << 16 |
               (uint32_t)p[i * 4 + 2] << 8 | p[i * 4 + 3];
    for (int i = 16; i < 80; i++)
        w[i] = rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);

    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20)
            f = (b & c) | (~b & d), k = 0x5A827999;
        else if (i < 40)
            f = b ^ c ^ d, k = 0x6ED9EBA1;
        else if (i < 60)
            f = (b & c) | (b & d) | (c & d), k = 0x8F1BBCDC;
        else
            f = b ^ c ^ d, k = 0xCA62C1D6;
        uint32_t t = rotl(a, 5) + f + e + k + w[i];
        e = d, d = c, c = rotl(b, 30), b = a, a = t;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

void ws_accept_key(const char *key, char ret[29])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t m[128] = {0};
    size_t n = strnlen(key, 64);
    memcpy(m, key, n);
    memcpy(m + n, guid, 36);
    n += 36;
    m[n] = 0x80;
    size_t end = n + 9 <= 64 ? 64 : 128;
    m[end - 2] = (uint8_t)(n * 8 >> 8);
    m[end - 1] = (uint8_t)(n * 8);

    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    for (size_t i = 0; i < end; i += 64)
        sha1_block(h, m + i);

    uint8_t d[21] = {0}; /* 20 bytes and one of padding */
    for (int i = 0; i < 20; i++)
        d[i] = (uint8_t)(h[i / 4] >> (24 - i % 4 * 8));
    for (int i = 0; i < 7; i++) {
        uint32_t v = (uint32_t)d[i * 3] << 16 | (uint32_t)d[i * 3 + 1] << 8 | d[i * 3 + 2];
        for (int j = 0; j < 4; j++)
            ret[i * 4 + j] = digits[v >> (18 - j * 6) & 63];
    }
    ret[27] = '=';
    ret[28] = 0;
}
