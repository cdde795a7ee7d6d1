/* The inference worker: the one thread that owns the model. Jobs go in, news comes out, both given
 * away through mailboxes. Some jobs run together; each gets the answer that it gets alone. */
#ifndef DESKHAND_AGENT_WORKER_H
#define DESKHAND_AGENT_WORKER_H

#include "agent/vote.h"
#include "base/err.h"
#include "base/flow.h"
#include "model/vlm.h"

struct worker;

enum job_kind { JOB_STEP, JOB_GROUND, JOB_ASK };

struct job {
    uint64_t id; /* set by worker_submit() */
    enum job_kind kind;
    struct frame frame; /* a copy, owned */
    char *text;         /* the user's turn after the picture, owned */
    char *prefill;      /* may be NULL, owned */
    int max_tokens;
    int n_looks;   /* JOB_STEP, JOB_GROUND: looks that vote (agent/vote.h); 0: the checkpoint's */
    bool zoom;     /* JOB_GROUND: look again at what is around the first answer */
    char *lora;    /* an adapter's name, may be NULL, owned */
    float lora_scale; /* 0: 1 */
    bool no_think; /* answer at once, the way this checkpoint understands it */
};

struct news_timing {
    int64_t capture_us, cut_us, vision_us, prefill_us, decode_us, total_us;
    int n_prompt, n_reused, n_generated;
};

enum news_kind { NEWS_TEXT, NEWS_DONE, NEWS_FAILED };

struct news {
    uint64_t job;
    enum news_kind kind;
    char *text; /* a piece, the whole answer, or the sentence of the failure; owned */
    int code; /* of the failure, negative errno: -E2BIG when the prompt does not fit the context */
    bool cancelled;
    int image_w, image_h; /* the picture the model saw (NEWS_DONE) */
    struct rect screen;   /* what it showed: after a second look a part of the job's frame */
    int first_w, first_h; /* the job's own picture as the model saw it */
    bool zoomed;          /* the answer is that of the second look */
    /* Of a vote: the words are those of one that agrees, the points are `at`. n_agree 0: none was
     * held, or no answer could be used. */
    struct tally tally;
    double logprob; /* of the answer (vlm_reply) where looks vote, else 0 */
    struct news_timing timing;
};
void news_free(struct news *n);

/* Jobs that run together when nothing else is said, and at most: each keeps the keys and values of
 * its prompt and answer. */
#define WORKER_TOGETHER 4
#define WORKER_TOGETHER_MAX 8
/* Opens the model on the calling thread, then starts the thread. n_together 0: WORKER_TOGETHER. */
int worker_open(const char *model_dir, const struct vlm_options *vo, int n_together,
                void (*wake)(void *), void *user, struct worker **ret, struct err *err);
/* Cancels what runs, joins, closes the model. */
void worker_close(struct worker *w);

uint64_t worker_submit(struct worker *w, struct job *job); /* takes the job's contents */
/* Jobs that the thread has not begun, cancelled ones too: they keep their pictures until their
 * turn. Whoever submits keeps this below WORKER_WAITING_MAX. */
#define WORKER_WAITING_MAX 32
int worker_n_waiting(const struct worker *w);
void worker_cancel(struct worker *w, uint64_t job);        /* running or waiting */
struct news *worker_news(struct worker *w);                /* NULL when there is none */
int worker_check_adapter(const struct worker *w, const char *name, struct err *err);
void worker_info(const struct worker *w, struct vlm_info *ret);

#endif
