/* The text of a reply as it grows: bytes of tokens in, complete UTF-8 out, cut at a stop string. */
#ifndef DESKHAND_MODEL_WRITER_H
#define DESKHAND_MODEL_WRITER_H

#include "base/str.h"

struct writer {
    const char *const *stop;                                 /* NULL-terminated list, may be NULL */
    void (*on_text)(void *user, const char *text, size_t n); /* may be NULL */
    void *user;
    struct str raw;  /* bytes of the tokens */
    size_t n_read;   /* of raw, in text */
    struct str text; /* valid UTF-8 */
    size_t n_sent;   /* of text, given to on_text */
};
void writer_done(struct writer *w);

/* True when a stop string appeared; the text then ends before it. With `end` a code point that is
 * not complete will not become so, and all that was held back is sent. */
bool writer_add(struct writer *w, const char *bytes, size_t n, bool end);

/* Does the text end between code points? */
bool writer_is_whole(const struct writer *w);

#endif
