/* The daemon's loop: one thread for clients, agent, X and signals. */
#ifndef DESKHAND_SERVE_LOOP_H
#define DESKHAND_SERVE_LOOP_H

#include "agent/agent.h"

struct loop;

#define LOOP_PORT_USUAL (-1)

struct loop_options {
    int port;                   /* 0 picks a free one, LOOP_PORT_USUAL 7413 unless it is taken */
    bool no_browser_approval;   /* `approve` is taken from programs only */
    struct agent_options agent; /* own_port and the callbacks are filled in here */
};

/* Takes the lock, listens on 127.0.0.1, opens the agent, publishes daemon.json. SIGTERM, SIGINT and
 * SIGHUP are blocked in this thread; the first two end loop_run(), the third is loop_reload(). */
int loop_open(const struct loop_options *o, struct loop **ret, struct err *err);
int loop_port(const struct loop *l);
/* Until a signal or `shutdown`. */
int loop_run(struct loop *l, struct err *err);
/* In reverse: no more clients, the agent (releases held input), the lock. NULL is fine. */
void loop_close(struct loop *l);

#endif
