/* "approve? [y/N]" on a terminal: what do and watch --approve=ask share. */
#ifndef DESKHAND_CLIENT_QUESTION_H
#define DESKHAND_CLIENT_QUESTION_H

#include "client/rpc.h"

struct question {
    bool open;       /* a question is asked at all */
    int fd;          /* where the answers come from */
    json_t *pending; /* params of approve/deny while the question stands */
};

void question_open(struct question *q);
/* Drops what stands; the connection is still there. */
void question_close(struct question *q, struct rpc *r);
/* {"task", "step", "hash"} of a verdict that is to be confirmed, for approve or deny; a new
 * reference, NULL for any other verdict. */
json_t *question_params(const json_t *verdict);
/* Asks; takes params. An answer ends rpc_step()'s wait: woken is then 1. */
void question_ask(struct question *q, struct rpc *r, json_t *params);
/* Reads the line that was typed and sends what it means: anything but yes is a no, the end of the
 * input too. */
int question_answer(struct question *q, struct rpc *r, struct err *err);
/* It is over: answered elsewhere, or its task is. */
void question_drop(struct question *q, struct rpc *r);

#endif
