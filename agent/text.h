/* Text from models, windows, files and errors as JSON. */
#ifndef DESKHAND_AGENT_TEXT_H
#define DESKHAND_AGENT_TEXT_H

#include <jansson.h>

/* A new JSON string, never NULL: malformed bytes become U+FFFD, NULL becomes "". Use it for every
 * text that this program did not write itself or that was cut to a size. */
json_t *text_json(const char *s);
/* The same for a buffer: mends the text in place where it does not grow past `cap`, else ends it
 * there. For what is handed on as a C string. */
void text_mend(char *s, size_t cap);

#endif
