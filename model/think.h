/* Where a reply stands in its thought: "<think>", the thought, "</think>", the answer. The tags are
 * ordinary text for the tokenizer, so this reads bytes. */
#ifndef DESKHAND_MODEL_THINK_H
#define DESKHAND_MODEL_THINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum think_place {
    THINK_BEFORE, /* only spaces, or a beginning of "<think>" so far */
    THINK_INSIDE,
    THINK_AFTER /* the thought is over, or the reply began without one */
};

struct think {
    enum think_place place;
    uint8_t matched; /* bytes of the tag that may come next */
    bool newline;    /* the last byte of the thought was one */
};

/* Zeroed is the beginning of a reply. */
void think_feed(struct think *t, const char *s, size_t n);

/* What ends a thought that stops here. */
const char *think_closing(const struct think *t);

/* An empty thought: the first release answers at once behind it. */
#define THINK_EMPTY "<think>\n</think>\n\n"
/* The release 2508 answers at once when this ends the user's turn. */
#define THINK_OFF_WORD "/no_think"

#endif
