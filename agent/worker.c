/* Takes a picture and a text, gives back an answer: cut, encode, generate. The loop thread never
 * touches the model; a cancelled job still answers, marked so.
 *
 * Several jobs are on their way at once, each in a slot of its own, and write together
 * (model/batch.c): one turn of the batch, then a look into the mailbox. A short question that comes
 * while a step is thought about joins it and is answered first.
 *
 * A job may have several looks that vote, one after another until most agree, and after that a
 * second one at the part around the answer. */
#include "agent/worker.h"
#include "actions/action.h"
#include "actions/grammar.h"
#include "agent/zoom.h"
#include "base/clock.h"
#include "base/mailbox.h"
#include "base/mem.h"
#include "vision/patch.h"
#include "vision/place.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* A step's thought may have so many tokens; then it must act. A screen can say anything to a model,
 * also "think on". */
#define STEP_THINK_TOKENS 512

/* A job on its way through the model. */
struct slot {
    struct job *job; /* NULL: free */
    struct worker *worker;
    int number;         /* in the batch */
    struct news *news;  /* what is known of the answer */
    struct news *first; /* of a second look: the answer of the first */
    struct vote vote;
    struct news *said[VOTE_BALLOTS_MAX]; /* what has been voted on */
    struct patches patches;
    struct grammar_limits limits;
    struct grammar grammar;
    struct vlm_part parts[2];
    struct vlm_message message;
    struct vlm_request request;
    /* For worker_cancel(): the low half of the job's id, then the number; 0: nothing runs. */
    _Atomic uint64_t running;
};

struct worker {
    struct vlm *model;
    struct vlm_batch *batch;
    struct slot slots[WORKER_TOGETHER_MAX];
    int n_slots, n_votes; /* n_votes: looks that vote where the job does not say */
    struct mailbox *in, *out;
    struct thread *thread;
    uint64_t next_id; /* loop thread */
    /* Ring of cancelled job ids, with room for every job that may wait or run. */
    _Atomic uint64_t cancelled[2 * (WORKER_WAITING_MAX + WORKER_TOGETHER_MAX)];
    atomic_uint n_cancelled;
    atomic_int n_waiting;
    atomic_bool closing;
};

static void job_free(void *p)
{
    struct job *j = p;
    frame_done(&j->frame);
    free(j->text);
    free(j->prefill);
    free(j->lora);
    free(j);
}

void news_free(struct news *n)
{
    if (n)
        free(n->text);
    free(n);
}

static void news_drop(void *p)
{
    news_free(p);
}

static bool is_cancelled(struct worker *w, uint64_t job)
{
    if (atomic_load(&w->closing))
        return true;
    for (size_t i = 0; i < N_ELEMENTS(w->cancelled); i++)
        if (atomic_load(&w->cancelled[i]) == job)
            return true;
    return false;
}

/* Of several looks the first one's words are shown as they come. */
static void on_text(void *user, const char *text, size_t n)
{
    struct slot *s = user;
    if (s->vote.n)
        return;
    struct news *news = mem_zalloc(sizeof *news);
    news->job = s->job->id;
    news->kind = NEWS_TEXT;
    news->text = mem_strndup(text, n);
    mailbox_put(s->worker->out, news);
}

static int n_votes(const struct worker *w, const struct job *j)
{
    return j->kind == JOB_ASK ? 1 : vote_looks(j->n_looks, w->n_votes);
}

/* Asks the job's question about one picture. */
static int look_at(struct worker *w, struct slot *s, const struct frame *f, struct err *err)
{
    const struct job *j = s->job;
    struct news *news = s->news = mem_zalloc(sizeof *news);
    news->job = j->id;
    int64_t t0 = clock_now_us();
    int rc = patch_from_frame(f, vlm_image_spec(w->model), &s->patches, &news->image_w,
                              &news->image_h, err);
    if (rc < 0)
        return rc;
    news->timing.cut_us = clock_now_us() - t0;
    news->screen = f->screen;
    news->first_w = news->image_w;
    news->first_h = news->image_h;

    s->limits = (struct grammar_limits){news->image_w, news->image_h};
    s->grammar = j->kind == JOB_STEP ? grammar_action(&s->limits) : grammar_boxes(&s->limits);
    s->parts[0] = (struct vlm_part){.kind = VLM_IMAGE, .image = &s->patches};
    s->parts[1] = (struct vlm_part){.kind = VLM_TEXT, .text = j->text};
    s->message = (struct vlm_message){.role = "user", .parts = s->parts, .n_parts = 2};
    s->request = (struct vlm_request){
        .messages = &s->message,
        .n_messages = 1,
        .prefill = j->prefill,
        .max_tokens = j->max_tokens,
        .lora = j->lora,
        .lora_scale = j->lora_scale,
        .think = j->no_think ? VLM_THINK_OFF : VLM_THINK_FREE,
        .max_think_tokens = j->kind == JOB_STEP ? STEP_THINK_TOKENS : 0,
        .grammar = j->kind == JOB_ASK ? NULL : &s->grammar,
        .logprobs = n_votes(w, j) > 1,
        .on_text = on_text,
        .user = s,
    };
    rc = vlm_batch_add(w->batch, &s->request, err);
    if (rc < 0)
        return rc;
    s->number = rc;
    atomic_store(&s->running, j->id << 32 | (uint64_t)(unsigned)rc);
    if (is_cancelled(w, j->id)) /* whoever cancelled may have looked before that */
        vlm_batch_cancel(w->batch, rc);
    return 0;
}

/* Where on the screen the answer points, and how large its box is there. */
static int pointed_at(const struct news *n, struct screen_pt *ret, int *ret_w, int *ret_h)
{
    struct place place = {n->image_w, n->image_h, n->screen};
    struct model_pt point;
    float box[4];
    int rc = action_parse_box(n->text, strlen(n->text), n->image_w, n->image_h, &point, box, NULL);
    if (rc < 0)
        return rc;
    *ret_w = (int)((box[2] - box[0]) * (float)n->screen.w / (float)n->image_w);
    *ret_h = (int)((box[3] - box[1]) * (float)n->screen.h / (float)n->image_h);
    if (n->tally.n_agree) {
        *ret = n->tally.at[0];
        return 0;
    }
    return place_to_screen(&place, point, ret, NULL);
}

/* Shows the model what is around its first answer. False: there is nothing more to see. */
static bool look_again(struct worker *w, struct slot *s)
{
    struct frame crop = {0};
    struct screen_pt at;
    int box_w, box_h;
    if (pointed_at(s->news, &at, &box_w, &box_h) < 0 ||
        zoom_crop(&s->job->frame, at, box_w, box_h, &crop, NULL) < 0)
        return false;
    s->first = s->news;
    int rc = look_at(w, s, &crop, NULL);
    frame_done(&crop);
    if (rc == 0)
        return true;
    news_free(s->news);
    s->news = s->first;
    s->first = NULL;
    return false;
}

static void add_timing(struct news_timing *t, const struct news_timing *u)
{
    t->cut_us += u->cut_us;
    t->vision_us += u->vision_us;
    t->prefill_us += u->prefill_us;
    t->decode_us += u->decode_us;
    t->n_prompt += u->n_prompt;
    t->n_reused += u->n_reused;
    t->n_generated += u->n_generated;
}

/* The second answer replaces the first only if it is one. */
static struct news *better(struct news *first, struct news *second)
{
    struct screen_pt at;
    int box_w, box_h;
    bool is_one = second->kind == NEWS_DONE && !second->cancelled &&
                  pointed_at(second, &at, &box_w, &box_h) == 0;
    struct news *kept = is_one ? second : first, *gone = is_one ? first : second;
    add_timing(&kept->timing, &gone->timing);
    kept->zoomed = is_one;
    kept->tally = first->tally;
    kept->cancelled |= gone->cancelled;
    news_free(gone);
    return kept;
}

/* What most looks say becomes the answer; the others go. */
static void count_votes(struct slot *s)
{
    struct tally tally;
    vote_count(&s->vote, &tally);
    struct news *kept = s->said[tally.look];
    kept->first_w = s->said[0]->image_w;
    kept->first_h = s->said[0]->image_h;
    for (int i = 0; i < s->vote.n; i++) {
        if (i == tally.look)
            continue;
        add_timing(&kept->timing, &s->said[i]->timing);
        news_free(s->said[i]);
    }
    kept->tally = tally;
    vote_done(&s->vote);
    s->news = kept;
}

/* Adds the answer to the vote and looks again, differently; false: s->news is the answer. */
static bool look_differently(struct worker *w, struct slot *s)
{
    struct job *j = s->job;
    struct news *n = s->news;
    struct place place = {n->image_w, n->image_h, n->screen};
    struct frame f = {0};
    struct tally tally;
    if (n_votes(w, j) == 1 || s->first)
        return false;
    if (s->vote.n == 0)
        vote_begin(&s->vote, n_votes(w, j), &j->frame);
    s->said[s->vote.n] = n;
    vote_add(&s->vote, n->text, strlen(n->text), n->logprob, j->kind == JOB_GROUND, &place,
             j->frame.screen);
    if (!n->cancelled && !vote_count(&s->vote, &tally) &&
        vote_frame(&s->vote, &j->frame, &f, NULL) == 0) {
        int rc = look_at(w, s, &f, NULL);
        frame_done(&f);
        if (rc == 0)
            return true;
        patches_done(&s->patches);
        news_free(s->news);
    }
    bool cancelled = n->cancelled;
    count_votes(s);
    s->news->cancelled |= cancelled;
    return false;
}

static void read_reply(struct news *n, struct vlm_reply *reply)
{
    n->kind = NEWS_DONE;
    n->text = reply->text;
    reply->text = NULL;
    n->cancelled = reply->stop == VLM_STOP_CANCELLED;
    n->logprob = reply->logprob;
    n->timing.vision_us = reply->vision_us;
    n->timing.prefill_us = reply->prefill_us;
    n->timing.decode_us = reply->decode_us;
    n->timing.n_prompt = reply->n_prompt;
    n->timing.n_reused = reply->n_reused;
    n->timing.n_generated = reply->n_generated;
    vlm_reply_done(reply);
}

/* The model is done with what was last asked; reply NULL: it failed. */
static void on_answer(struct worker *w, struct slot *s, struct vlm_reply *reply,
                      const struct err *err)
{
    atomic_store(&s->running, 0);
    patches_done(&s->patches);
    if (reply) {
        read_reply(s->news, reply);
        if (look_differently(w, s))
            return;
        if (s->job->zoom && s->job->kind == JOB_GROUND && !s->first && !s->news->cancelled &&
            look_again(w, s))
            return;
    } else if (s->vote.n) { /* the looks before it did not */
        news_free(s->news);
        count_votes(s);
    } else {
        s->news->kind = NEWS_FAILED;
        s->news->code = err->code;
        s->news->text = mem_strdup(err->text);
    }
    struct news *news = s->first ? better(s->first, s->news) : s->news;
    if (is_cancelled(w, s->job->id))
        news->cancelled = true;
    job_free(s->job);
    s->job = NULL;
    s->first = s->news = NULL;
    mailbox_put(w->out, news);
}

static void begin(struct worker *w, struct slot *s, struct job *j)
{
    struct err err = {0};
    atomic_fetch_sub(&w->n_waiting, 1);
    if (is_cancelled(w, j->id)) {
        struct news *news = mem_zalloc(sizeof *news);
        news->job = j->id;
        news->kind = NEWS_DONE;
        news->cancelled = true;
        news->text = mem_strdup("");
        job_free(j);
        mailbox_put(w->out, news);
        return;
    }
    s->job = j;
    s->worker = w;
    if (look_at(w, s, &j->frame, &err) < 0)
        on_answer(w, s, NULL, &err);
}

static struct slot *free_slot(struct worker *w)
{
    for (int i = 0; i < w->n_slots; i++)
        if (!w->slots[i].job)
            return &w->slots[i];
    return NULL;
}

static bool is_idle(const struct worker *w)
{
    for (int i = 0; i < w->n_slots; i++)
        if (w->slots[i].job)
            return false;
    return true;
}

static void turn(struct worker *w)
{
    struct vlm_reply reply = {0};
    struct err err = {0};
    int number, rc = vlm_batch_turn(w->batch, &number, &reply, &err);
    for (int i = 0; rc != 0 && i < w->n_slots; i++) {
        struct slot *s = &w->slots[i];
        if (s->job && s->number == number) {
            on_answer(w, s, rc > 0 ? &reply : NULL, &err);
            return;
        }
    }
}

static void work(void *user)
{
    struct worker *w = user;
    for (;;) {
        struct slot *s;
        struct job *j;
        while ((s = free_slot(w)) &&
               (j = is_idle(w) ? mailbox_wait(w->in, -1) : mailbox_take(w->in)))
            begin(w, s, j);
        if (is_idle(w))
            return; /* the mailbox is closed */
        turn(w);
    }
}

int worker_open(const char *model_dir, const struct vlm_options *vo, int n_together,
                void (*wake)(void *), void *user, struct worker **ret, struct err *err)
{
    struct worker *w = mem_zalloc(sizeof *w);
    struct vlm_info info;
    w->n_slots = CLAMP(n_together ? n_together : WORKER_TOGETHER, 1, WORKER_TOGETHER_MAX);
    int rc = vlm_open(model_dir, vo, &w->model, err);
    if (rc == 0)
        rc = vlm_batch_new(w->model, w->n_slots, 0, &w->batch, err);
    if (rc < 0) {
        vlm_close(w->model);
        free(w);
        return rc;
    }
    vlm_info(w->model, &info);
    w->n_votes = info.looks;
    w->in = mailbox_new(NULL, NULL);
    w->out = mailbox_new(wake, user);
    w->thread = thread_start("inference", work, w);
    *ret = w;
    return 0;
}

/* job 0: every one. */
static void cancel_running(struct worker *w, uint64_t job)
{
    for (int i = 0; i < w->n_slots; i++) {
        uint64_t running = atomic_load(&w->slots[i].running);
        if (running && (!job || running >> 32 == (job & UINT32_MAX)))
            vlm_batch_cancel(w->batch, (int)(running & INT32_MAX));
    }
}

void worker_close(struct worker *w)
{
    if (!w)
        return;
    /* what waits is answered as cancelled, also a job that is just being taken out */
    atomic_store(&w->closing, true);
    cancel_running(w, 0);
    mailbox_close(w->in);
    thread_join(w->thread);
    mailbox_free(w->in, job_free);
    mailbox_free(w->out, news_drop);
    vlm_batch_free(w->batch);
    vlm_close(w->model);
    free(w);
}

uint64_t worker_submit(struct worker *w, struct job *job)
{
    struct job *j = mem_alloc(sizeof *j);
    *j = *job;
    *job = (struct job){0};
    uint64_t id = j->id = ++w->next_id;
    atomic_fetch_add(&w->n_waiting, 1);
    mailbox_put(w->in, j);
    return id;
}

int worker_n_waiting(const struct worker *w)
{
    return atomic_load(&w->n_waiting);
}

void worker_cancel(struct worker *w, uint64_t job)
{
    unsigned at = atomic_fetch_add(&w->n_cancelled, 1);
    atomic_store(&w->cancelled[at % N_ELEMENTS(w->cancelled)], job);
    cancel_running(w, job);
}

struct news *worker_news(struct worker *w)
{
    return mailbox_take(w->out);
}

int worker_check_adapter(const struct worker *w, const char *name, struct err *err)
{
    return vlm_check_adapter(w->model, name, err);
}

void worker_info(const struct worker *w, struct vlm_info *ret)
{
    vlm_info(w->model, ret);
}
