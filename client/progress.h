/* Notifications as lines for a person, or as JSON lines for a program. */
#ifndef DESKHAND_CLIENT_PROGRESS_H
#define DESKHAND_CLIENT_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct progress {
    FILE *out;
    bool tty, json;
    bool streaming;     /* reasoning is on the line; the next thing starts a new one */
    char describe[160]; /* of the action whose effect is awaited, printable */
    char *text;         /* what it would type, printable and whole; NULL: nothing */
};

void progress_note(struct progress *p, const char *method, const json_t *params);
void progress_done(struct progress *p);
/* Ends a streamed line, if there is one. */
void progress_break(struct progress *p);
/* A step as history and notifications give it (action's and effect's members in one object). */
void progress_step(FILE *out, long step, const char *describe, const json_t *effect);

#endif
