/* An agent on a private desktop with real programs, whose model's answers the test gives itself:
 * the text goes the way of every answer (parser, place, judge, hand), so a target can be exact. */
#ifndef DESKHAND_TESTS_APPS_DRIVER_H
#define DESKHAND_TESTS_APPS_DRIVER_H

#include "agent/brain.h"
#include "tests/x11/xvfb.h"

struct driver {
    struct xvfb x;
    struct agent *a;
    int wake_fd;
    char dir[64]; /* for files of the test, removed at the end */
    pid_t pids[16];
    int n_pids;
    /* the latest of each, as notified */
    char state[16], code[16], reason[512];
    char verdict[16], rule[64], hash[40];
    char effect[16], evidence[256];
    int n_effects;
    /* of the latest request */
    int reply_code;
    char reply_text[512];
};

/* Are the programs of a desk (and `more`, NULL: none) installed? Says which is not; the test's
 * main() then returns 77. */
bool driver_has_programs(const char *more);
/* Xvfb and a window manager. */
void driver_desk(struct driver *d, int w, int h);
/* policy: YAML. approval_us, port: of struct agent_options. */
void driver_agent(struct driver *d, const char *policy, int64_t approval_us, int port);
void driver_end(struct driver *d);

/* Starts a program on the desk, argv as for execvp(); ends with the desk. */
pid_t driver_run(struct driver *d, const char *const *argv);
void driver_kill(struct driver *d, pid_t pid);
/* Waits until a window whose title contains `title` is shown; fails the test after 20 s. */
struct eye_window driver_window(struct driver *d, const char *title);
void driver_focus(struct driver *d, const struct eye_window *w); /* and waits until it is there */

/* Runs the agent until `done` is true or the seconds are over; false then. */
bool driver_until(struct driver *d, bool (*done)(struct driver *d), double seconds);
void driver_rest(struct driver *d, double seconds); /* the agent runs for so long */
/* Starts a task and waits until the model would think. */
void driver_think(struct driver *d);
/* The model's answer; points in screen pixels. Returns when the judge has spoken. */
void driver_answer(struct driver *d, const char *text);
/* The same with all that a look may say: text, picture's size, tally. */
void driver_news(struct driver *d, const struct news *of);
/* One request; its error code, 0 for a result. params is taken. */
int driver_ask(struct driver *d, enum agent_asker asker, const char *method, json_t *params);
/* approve or deny for what waits, with its hash */
int driver_reply(struct driver *d, enum agent_asker asker, const char *method);
bool driver_effect_is(struct driver *d, const char *kind); /* waits for the next effect */

#endif
