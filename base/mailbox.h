/* Where two threads meet. A message is given away with put() and owned by whoever takes it.
 * Any thread on both ends; order is kept. */
#ifndef DESKHAND_BASE_MAILBOX_H
#define DESKHAND_BASE_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

struct mailbox;

/* `wake` (may be NULL) is called after each put(), from the putting thread, outside the lock:
 * it is how an event loop is told (lws_cancel_service). */
struct mailbox *mailbox_new(void (*wake)(void *user), void *user);
/* Messages still inside are passed to `drop` (may be NULL: then free()). */
void mailbox_free(struct mailbox *m, void (*drop)(void *msg));

void mailbox_put(struct mailbox *m, void *msg);
void *mailbox_take(struct mailbox *m);                     /* NULL when empty, never waits */
void *mailbox_wait(struct mailbox *m, int64_t timeout_us); /* <0: for ever; NULL on timeout/close */
void mailbox_close(struct mailbox *m); /* waiters return NULL once the box is empty */

/* Starts a thread that runs fn(user); threads are made here only. 0 or negative errno. */
struct thread;
struct thread *thread_start(const char *name, void (*fn)(void *), void *user);
void thread_join(struct thread *t); /* waits, frees; NULL is fine */

#endif
