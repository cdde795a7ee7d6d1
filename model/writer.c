/* A token may be a part of a code point and a stop string may come in several tokens: what is not
 * decided yet is held back, everything else goes out at once. */
#include "model/writer.h"

#include "base/mem.h"

#include <string.h>

void writer_done(struct writer *w)
{
    str_done(&w->raw);
    str_done(&w->text);
}

/* Is s, n < 4 bytes, the beginning of a longer code point? */
static bool is_partial(const char *s, size_t n)
{
    uint8_t c = (uint8_t)s[0];
    size_t want = c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;

    if (c < 0xc2 || c >= 0xf5 || n >= want)
        return false;
    for (size_t i = 1; i < n; i++)
        if (((uint8_t)s[i] & 0xc0) != 0x80)
            return false;
    return true;
}

static void send_text(struct writer *w, size_t end)
{
    if (w->on_text && end > w->n_sent)
        w->on_text(w->user, w->text.s + w->n_sent, end - w->n_sent);
    w->n_sent = MAX(w->n_sent, end);
}

/* Looks for stop strings; true when one is there, the text is then cut before it. Sends what can no
 * longer become part of one. */
static bool check_stop(struct writer *w, size_t from)
{
    size_t hold = 0, cut = SIZE_MAX;

    for (const char *const *s = w->stop; s && *s; s++) {
        size_t n = strlen(*s);
        if (n == 0)
            continue;
        const char *found = w->text.n ? memmem(w->text.s + from, w->text.n - from, *s, n) : NULL;
        if (found)
            cut = MIN(cut, (size_t)(found - w->text.s));
        for (size_t k = MIN(n - 1, w->text.n); k > hold; k--)
            if (memcmp(w->text.s + w->text.n - k, *s, k) == 0)
                hold = k;
    }
    if (cut != SIZE_MAX) {
        w->text.n = cut;
        w->text.s[cut] = 0;
        send_text(w, cut);
        return true;
    }
    send_text(w, w->text.n - hold);
    return false;
}

bool writer_add(struct writer *w, const char *bytes, size_t n, bool end)
{
    size_t from = w->n_sent;

    if (n)
        str_add(&w->raw, bytes, n);
    while (w->n_read < w->raw.n) {
        const char *s = w->raw.s + w->n_read;
        size_t left = w->raw.n - w->n_read;
        uint32_t cp;
        char out[4];
        if (!end && is_partial(s, left))
            break;
        w->n_read += (size_t)utf8_next(s, left, &cp);
        str_add(&w->text, out, (size_t)utf8_put(out, cp));
    }
    bool stop = check_stop(w, from);
    if (end && !stop)
        send_text(w, w->text.n);
    return stop;
}

bool writer_is_whole(const struct writer *w)
{
    return w->n_read == w->raw.n;
}
