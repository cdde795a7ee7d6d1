/* The brain: one desktop, one model, at most one task at a time. Owns the eye, the hand, the
 * policy, the store and the inference worker; knows no network. serve/ (or a test) drives it.
 *
 * Loop thread only. Never blocks: the model runs on its worker thread and answers through a
 * mailbox whose `wake` the driver provides. */
#ifndef DESKHAND_AGENT_AGENT_H
#define DESKHAND_AGENT_AGENT_H

#include "base/err.h"
#include "base/flow.h"

#include <jansson.h>

struct agent;

#define AGENT_MAX_ADAPTERS 16

struct agent_options {
    const char *model_dir;   /* NULL: the shipped data/nano */
    const char *display;     /* NULL: $DISPLAY */
    const char *output;      /* RandR output, NULL: whole screen */
    const char *policy_path; /* NULL: $XDG_CONFIG_HOME/deskhand/policies.yaml, else the default */
    const char *state_dir;   /* NULL: $XDG_STATE_HOME/deskhand */
    int n_threads;
    int n_together; /* requests that the model answers at once, 1 to 8; 0: 4 */
    int n_looks;    /* at a screen before what most of them say counts, 1 to 7; 0: as the
                       checkpoint says, else 1 */
    const char *backend, *precision, *weights, *kv; /* of model/vlm.h */
    const char *lora_dir; /* an adapter merged into the model, NULL: none */
    /* "DIR" or "NAME=DIR": adapters beside the model, which a request chooses by name. */
    const char *adapters[AGENT_MAX_ADAPTERS];
    int n_adapters;
    const char *no_think; /* how the model is told not to think: "suffix", "prefill", "none"; NULL
                             or "auto": by its name, see enum vlm_no_think */
    bool dry_run; /* the hand lists its events instead of sending them */
    uint16_t own_port; /* for recognising Deskhand's own pages; 0 unknown */
    int64_t approval_us; /* a question waits so long for its answer; 0: two minutes */

    /* A notification of docs/protocol.md: method and params (borrowed). Loop thread. */
    void (*on_event)(void *user, const char *method, json_t *params);
    /* The worker has news: make the loop call agent_service() soon. Any thread. */
    void (*wake)(void *user);
    void *user;
};

int agent_open(const struct agent_options *o, struct agent **ret, struct err *err);
void agent_close(struct agent *a);

/* Runs everything that is due. Returns the time (clock_now_us) at which it wants to be called
 * again at the latest, or -1 for "only when woken or when agent_fd() is readable". */
int64_t agent_service(struct agent *a, int64_t now_us);
/* Reads the policy again, from the file that the options or the user's folder name. It counts from
 * the next verdict on, also for an action that is approved later. On failure the old one stays;
 * both are told to all clients. */
int agent_reload(struct agent *a, struct err *err);

/* The X connection's descriptor, -1 while the display is away (then a timer reconnects). */
int agent_fd(const struct agent *a);

/* Answers one request of docs/protocol.md. `reply` is called once, now or later, on the loop
 * thread, with either a result (given away) or code and sentence. `cookie` identifies the asker
 * for agent_forget(). A browser's approval is not taken while the dashboard is on the controlled
 * screen, where the agent could have given it. */
enum agent_asker { AGENT_PROGRAM, AGENT_BROWSER };
typedef void agent_reply_fn(void *cookie, json_t *id, json_t *result, int code, const char *text);
void agent_request(struct agent *a, const char *method, json_t *params, json_t *id,
                   enum agent_asker asker, agent_reply_fn *reply, void *cookie);
/* The asker is gone: outstanding replies to this cookie are dropped. */
void agent_forget(struct agent *a, void *cookie);

/* The picture behind a URL path of the protocol ("/shot/12.png", "/task/7/3-before.png"), PNG
 * bytes, heap. -ENOENT when there is none. */
int agent_picture(struct agent *a, const char *url_path, uint8_t **ret, size_t *ret_n,
                  struct err *err);
/* The newest frame as JPEG for the live view. -ENOENT when the display is away. */
int agent_live_jpeg(struct agent *a, int quality, uint8_t **ret, size_t *ret_n, struct err *err);

/* What a client that comes now must know, as notifications: `state`, and of a running task the
 * present step's `see`, `action` and, while it is asked about, `verdict`. */
void agent_greet(struct agent *a, void (*tell)(void *user, const char *method, json_t *params),
                 void *user);
/* The current state as the params of a `state` notification (new reference). */
json_t *agent_state(const struct agent *a);

#endif
