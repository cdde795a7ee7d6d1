/* A reader of JSON as models write it. Accepts JSON, and beside it: Python's repr (single quotes,
 * tuples, True/False/None), trailing commas, keys without quotes, line breaks inside strings,
 * typographic quotes and full-width punctuation around values, an object in doubled braces.
 * Everything read has a position; what is not understood is an error, nothing is repaired. */
#ifndef DESKHAND_ACTIONS_READ_H
#define DESKHAND_ACTIONS_READ_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum read_type { READ_NULL, READ_BOOL, READ_NUMBER, READ_STRING, READ_LIST, READ_OBJECT };

struct read_node {
    enum read_type type;
    size_t pos, end;   /* bytes [pos, end) of the text */
    double number;     /* finite; READ_BOOL: 0 or 1 */
    char *s;           /* READ_STRING, owned, NUL-terminated, no NUL inside, valid UTF-8 */
    size_t n;
    char *key;         /* inside an object, owned */
    int first, next;   /* children and siblings as indices, -1: none */
};

#define READ_MAX_NODES 512
#define READ_MAX_DEPTH 12

struct read_doc {
    struct read_node *nodes;
    int n_nodes, cap;
};
void read_done(struct read_doc *d);

/* Reads one value that starts at text[pos] (spaces before it are skipped) and returns its index,
 * or a negative errno with a sentence naming the byte. `d` may hold earlier values. */
int read_value(const char *text, size_t n, size_t pos, struct read_doc *d, struct err *err);

/* Does an object with a first key start at text[pos]? True only if "{", a key (of at most some 250
 * bytes) and a colon are there: braces in prose are not objects. */
bool read_is_object(const char *text, size_t n, size_t pos);

#endif
