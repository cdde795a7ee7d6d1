/* Text: a growing buffer with a ceiling, UTF-8, and printable escapes for what came from
 * outside. */
#ifndef DESKHAND_BASE_STR_H
#define DESKHAND_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Always NUL-terminated once something was added. `max` 0 means 64 MiB; past it additions are
 * dropped and `overflow` is set, so that hostile input costs at most that much. */
struct str {
    char *s;
    size_t n, cap, max;
    bool overflow;
};
void str_done(struct str *b);
void str_reset(struct str *b); /* empties, keeps the memory */
void str_add(struct str *b, const char *s, size_t n);
void str_puts(struct str *b, const char *s);
void str_putc(struct str *b, char c);
void str_printf(struct str *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *str_take(struct str *b); /* heap string (never NULL), the buffer is empty after */
const char *str_cstr(const struct str *b); /* "" while empty */

/* Decodes one code point at s (n bytes left, n > 0). Returns its length in bytes; on malformed
 * input 1 and *ret_cp = 0xFFFD. Overlong forms and surrogates are malformed. */
int utf8_next(const char *s, size_t n, uint32_t *ret_cp);
int utf8_put(char out[4], uint32_t cp); /* returns the length; cp beyond Unicode -> U+FFFD */
bool utf8_valid(const char *s, size_t n);

/* Adds s with control characters, bidi overrides and malformed bytes as \xNN or \u{...}: safe to
 * print on a terminal or write to a log. At most `limit` source bytes, then an ellipsis. */
void str_printable(struct str *b, const char *s, size_t n, size_t limit);

bool str_starts(const char *s, const char *prefix);
bool str_eq(const char *a, const char *b); /* NULL equals only NULL */

#endif
