/* One daemon a user: the lock and the daemon.json that tells programs where it listens. */
#ifndef DESKHAND_SERVE_INSTANCE_H
#define DESKHAND_SERVE_INSTANCE_H

#include "base/err.h"

#include <stdint.h>

struct instance {
    int lock_fd;
    char *json_path; /* NULL until published */
};

/* Takes the lock or says who has it: -EBUSY with pid and port. */
int instance_open(struct instance *in, struct err *err);
/* Writes daemon.json, readable for this user only. */
int instance_publish(struct instance *in, uint16_t port, const char *token, struct err *err);
/* Removes daemon.json and gives the lock back. */
void instance_close(struct instance *in);

#endif
