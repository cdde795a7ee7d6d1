/* Products in C. */
INLINE vi dot(vi acc, vi w, vi x)
{
    uint8_t a[4 * VL];
    int8_t b[4 * VL];

    memcpy(a, &w, sizeof(a));
    memcpy(b, &x, sizeof(b));
    for (int l = 0; l < VL; l++)
        for (int t = 0; t < 4; t++)
            acc[l] += a[4 * l + t] * b[4 * l + t];
    return acc;
}
#define DOT8(acc, w, x) (acc = dot(acc, w, x))
#define DOT8_OFFSET 128
#define DOT4(acc, w, x) DOT8(acc, w, x)
