/* jansson takes valid UTF-8 only and answers anything else with NULL, which would lose the whole
 * notification. Sentences are cut to fixed sizes, perhaps inside a letter, and quote models and
 * windows, so none of them can be trusted to be valid. */
#include "agent/text.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static void mend(const char *s, size_t n, struct str *out)
{
    for (size_t i = 0; i < n;) {
        char bytes[4];
        uint32_t cp;
        i += (size_t)utf8_next(s + i, n - i, &cp);
        str_add(out, bytes, (size_t)utf8_put(bytes, cp));
    }
}

json_t *text_json(const char *s)
{
    json_t *j = json_string(s ? s : "");
    if (j)
        return j;
    AUTO(str_done) struct str b = {0};
    mend(s, strlen(s), &b);
    j = json_string(str_cstr(&b));
    CHECK(j);
    return j;
}

void text_mend(char *s, size_t cap)
{
    size_t n = strlen(s);
    if (utf8_valid(s, n))
        return;
    AUTO(str_done) struct str b = {0};
    mend(s, n, &b);
    if (b.n >= cap) { /* U+FFFD is longer than what it stands for */
        b.n = cap - 1;
        while (b.n > 0 && ((unsigned char)b.s[b.n] & 0xc0) == 0x80)
            b.n--;
    }
    memcpy(s, b.s, b.n);
    s[b.n] = 0;
}
