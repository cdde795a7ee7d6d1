/* Growing text with a ceiling, UTF-8, printable escapes. See str.h. */
#include "base/str.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STR_DEFAULT_MAX ((size_t)64 << 20)

void str_done(struct str *b)
{
    free(b->s);
    *b = (struct str){.max = b->max};
}

void str_reset(struct str *b)
{
    b->n = 0;
    b->overflow = false;
    if (b->s)
        b->s[0] = 0;
}

void str_add(struct str *b, const char *s, size_t n)
{
    size_t max = b->max ? b->max : STR_DEFAULT_MAX;
    if (n > max || b->n > max - n) {
        b->overflow = true;
        return;
    }
    if (b->n + n + 1 > b->cap) {
        size_t cap = b->cap ? b->cap : 64;
        while (cap < b->n + n + 1)
            cap *= 2;
        b->s = mem_realloc(b->s, cap);
        b->cap = cap;
    }
    if (n)
        memcpy(b->s + b->n, s, n);
    b->n += n;
    b->s[b->n] = 0;
}

void str_puts(struct str *b, const char *s)
{
    str_add(b, s, strlen(s));
}

void str_putc(struct str *b, char c)
{
    str_add(b, &c, 1);
}

void str_printf(struct str *b, const char *fmt, ...)
{
    char small[256];
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof small) {
        str_add(b, small, (size_t)n);
    } else if (n >= 0) {
        AUTO_FREE char *big = mem_alloc((size_t)n + 1);
        vsnprintf(big, (size_t)n + 1, fmt, again);
        str_add(b, big, (size_t)n);
    }
    va_end(again);
}

char *str_take(struct str *b)
{
    char *s = b->s ? b->s : mem_strdup("");
    *b = (struct str){.max = b->max};
    return s;
}

const char *str_cstr(const struct str *b)
{
    return b->s ? b->s : "";
}

int utf8_next(const char *s, size_t n, uint32_t *ret_cp)
{
    const uint8_t *p = (const uint8_t *)s;
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    int len = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3
              : p[0] >= 0xf0 && p[0] < 0xf5                 ? 4
                                                            : 0;
    *ret_cp = 0xfffd;
    if (len == 1) {
        *ret_cp = p[0];
        return 1;
    }
    if (!len || (size_t)len > n)
        return 1;
    uint32_t cp = p[0] & (0xff >> (len + 1));
    for (int i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 1;
        cp = cp << 6 | (p[i] & 0x3f);
    }
    if (cp < least[len] || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
        return 1;
    *ret_cp = cp;
    return len;
}

int utf8_put(char out[4], uint32_t cp)
{
    if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
        cp = 0xfffd;
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    int len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    static const uint8_t lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (int i = len - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (cp & 0x3f));
        cp >>= 6;
    }
    out[0] = (char)(lead[len] | cp);
    return len;
}

bool utf8_valid(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        int len = utf8_next(s + i, n - i, &cp);
        /* a real U+FFFD is three bytes long, a malformed byte reports one */
        if (cp == 0xfffd && len == 1)
            return false;
        i += (size_t)len;
    }
    return true;
}

static bool is_risky(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x202a && cp <= 0x202e) ||
           (cp >= 0x2066 && cp <= 0x2069) || cp == 0x200e || cp == 0x200f || cp == 0x2028 ||
           cp == 0x2029 || cp == 0xfeff;
}

void str_printable(struct str *b, const char *s, size_t n, size_t limit)
{
    size_t i = 0;
    while (i < n && i < limit) {
        uint32_t cp;
        int len = utf8_next(s + i, n - i, &cp);
        if (cp == 0xfffd && len == 1)
            str_printf(b, "\\x%02x", (unsigned)(uint8_t)s[i]);
        else if (cp == '\n')
            str_puts(b, "\\n");
        else if (cp == '\t')
            str_puts(b, "\\t");
        else if (is_risky(cp))
            str_printf(b, "\\u{%x}", (unsigned)cp);
        else
            str_add(b, s + i, (size_t)len);
        i += (size_t)len;
    }
    if (i < n)
        str_puts(b, "…");
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_eq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}
