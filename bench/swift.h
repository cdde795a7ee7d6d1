/* A step of the history as a row of a training set, in ms-swift's JSONL. Pure, any thread. */
#ifndef DESKHAND_BENCH_SWIFT_H
#define DESKHAND_BENCH_SWIFT_H

#include "base/err.h"

#include <jansson.h>

/* Is the step at `i` one to learn from? Its effect was seen on the screen, or it ended a task that
 * is finished. `task` is the protocol's `task` result. */
bool swift_is_good(const json_t *task, size_t i);
/* The row of that step: the prompt that the model got (goal and history), its answer, the point as
 * an object of the picture `image`. NULL with a sentence when the step has something that a row
 * cannot say, for example a text with ms-swift's own placeholders. */
json_t *swift_row(const json_t *task, size_t i, const char *image, struct err *err);

#endif
