/* Files of JSON: bounded, with the place of a mistake in the sentence. */
#ifndef DESKHAND_BASE_JSON_H
#define DESKHAND_BASE_JSON_H

#include "base/err.h"

#include <jansson.h>

enum json_want { JSON_WANT_OBJECT, JSON_WANT_ARRAY };

/* Reads a file of at most `max` bytes that holds one object or one array. `flags` are jansson's
 * (JSON_REJECT_DUPLICATES). */
int json_read(const char *path, size_t max, enum json_want want, size_t flags, json_t **ret,
              struct err *err);
/* The same of a text; `where` names it in the sentence. */
int json_parse(const char *text, size_t n, const char *where, enum json_want want, size_t flags,
               json_t **ret, struct err *err);

#endif
