/* Two tags in a stream of bytes. In both only the first byte is "<", so after a mismatch the match
 * begins again at nothing or at that byte. */
#include "model/think.h"

static const char open_tag[] = "<think>";
static const char close_tag[] = "</think>";

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

void think_feed(struct think *t, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (t->place == THINK_BEFORE) {
            if (t->matched == 0 && is_space(s[i]))
                continue;
            if (s[i] != open_tag[t->matched])
                t->place = THINK_AFTER;
            else if (!open_tag[++t->matched])
                *t = (struct think){.place = THINK_INSIDE};
        } else if (t->place == THINK_INSIDE) {
            t->matched = s[i] == close_tag[t->matched] ? t->matched + 1 : s[i] == '<';
            t->newline = s[i] == '\n';
            if (!close_tag[t->matched])
                *t = (struct think){.place = THINK_AFTER};
        }
    }
}

const char *think_closing(const struct think *t)
{
    return t->newline ? "</think>\n\n" : "\n</think>\n\n";
}
