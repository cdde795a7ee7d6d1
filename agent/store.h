/* The history: tasks and steps in SQLite, pictures as PNG files beside it. Loop thread.
 * A failed write is reported once as a sentence and never stops a task. */
#ifndef DESKHAND_AGENT_STORE_H
#define DESKHAND_AGENT_STORE_H

#include "base/err.h"
#include "base/flow.h"

#include <jansson.h>

struct store;

int store_open(const char *state_dir, struct store **ret, struct err *err);
void store_close(struct store *s);

int64_t store_task_add(struct store *s, const char *goal, const char *model, struct err *err);
int store_task_set(struct store *s, int64_t task, const char *state, const char *code,
                   const char *reason, int n_steps, struct err *err);
/* `step` is the object that the protocol's `task` request returns for a step. */
int store_step_add(struct store *s, int64_t task, int n, json_t *step, const char *answer,
                   struct err *err);
/* which: "before" or "after". */
int store_picture_add(struct store *s, int64_t task, int n, const char *which,
                      const struct frame *f, struct err *err);
int store_picture_read(struct store *s, int64_t task, int n, const char *which, uint8_t **ret,
                       size_t *ret_n, struct err *err);

json_t *store_tasks(struct store *s, int limit);       /* array, newest first */
json_t *store_task(struct store *s, int64_t task);     /* object or NULL */

#endif
