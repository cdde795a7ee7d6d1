/* Takes a picture and a text, gives back an answer: cut, encode, generate. The loop thread never
 * touches the model; a cancelled job still answers, marked so. */
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

struct worker {
    struct vlm *model;
    struct mailbox *in, *out;
    struct thread *thread;
    uint64_t next_id; /* loop thread */
    /* Ring of cancelled job ids, with room for every job that may wait. */
    _Atomic uint64_t cancelled[2 * WORKER_WAITING_MAX];
    atomic_uint n_cancelled;
    atomic_int n_waiting;
    atomic_bool closing;
    _Atomic uint64_t running;
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

struct stream {
    struct worker *w;
    uint64_t job;
};

static void on_text(void *user, const char *text, size_t n)
{
    struct stream *s = user;
    if (is_cancelled(s->w, s->job))
        vlm_cancel(s->w->model); /* the cancel came before generate had begun */
    struct news *news = mem_zalloc(sizeof *news);
    news->job = s->job;
    news->kind = NEWS_TEXT;
    news->text = mem_strndup(text, n);
    mailbox_put(s->w->out, news);
}

/* Asks the job's question about one picture. */
static int look(struct worker *w, const struct job *j, const struct frame *f, struct news *news,
                struct err *err)
{
    struct patches patches = {0};
    int64_t t0 = clock_now_us();
    int rc = patch_from_frame(f, vlm_image_spec(w->model), &patches, &news->image_w, &news->image_h,
                              err);
    if (rc < 0)
        return rc;
    news->timing.cut_us = clock_now_us() - t0;
    news->screen = f->screen;

    struct grammar_limits limits = {news->image_w, news->image_h};
    struct grammar grammar =
        j->kind == JOB_STEP ? grammar_action(&limits) : grammar_boxes(&limits);
    struct vlm_part parts[2] = {{.kind = VLM_IMAGE, .image = &patches},
                                {.kind = VLM_TEXT, .text = j->text}};
    struct vlm_message message = {.role = "user", .parts = parts, .n_parts = 2};
    struct stream stream = {w, j->id};
    struct vlm_request request = {
        .messages = &message,
        .n_messages = 1,
        .prefill = j->prefill,
        .max_tokens = j->max_tokens,
        .lora = j->lora,
        .lora_scale = j->lora_scale,
        .think = j->no_think ? VLM_THINK_OFF : VLM_THINK_FREE,
        .max_think_tokens = j->kind == JOB_STEP ? STEP_THINK_TOKENS : 0,
        .grammar = j->kind == JOB_ASK ? NULL : &grammar,
        .on_text = on_text,
        .user = &stream,
    };
    struct vlm_reply reply = {0};
    rc = vlm_generate(w->model, &request, &reply, err);
    /* A cancel that was meant for the job before may reach the model when this one has begun. */
    while (rc == 0 && reply.stop == VLM_STOP_CANCELLED && !is_cancelled(w, j->id)) {
        vlm_reply_done(&reply);
        rc = vlm_generate(w->model, &request, &reply, err);
    }
    patches_done(&patches);
    if (rc < 0)
        return rc;
    news->kind = NEWS_DONE;
    news->text = reply.text;
    reply.text = NULL;
    news->cancelled = reply.stop == VLM_STOP_CANCELLED;
    news->timing.vision_us = reply.vision_us;
    news->timing.prefill_us = reply.prefill_us;
    news->timing.decode_us = reply.decode_us;
    news->timing.n_prompt = reply.n_prompt;
    news->timing.n_reused = reply.n_reused;
    news->timing.n_generated = reply.n_generated;
    vlm_reply_done(&reply);
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
    return place_to_screen(&place, point, ret, NULL);
}

/* The second answer replaces the first only if it is one. */
static void look_again(struct worker *w, const struct job *j, struct news *first)
{
    struct news second = {.kind = NEWS_DONE};
    struct news_timing *t = &first->timing, *u = &second.timing;
    struct frame crop = {0};
    struct screen_pt at;
    int box_w, box_h;
    if (pointed_at(first, &at, &box_w, &box_h) < 0 ||
        zoom_crop(&j->frame, at, box_w, box_h, &crop, NULL) < 0)
        return;
    int rc = look(w, j, &crop, &second, NULL);
    frame_done(&crop);
    t->cut_us += u->cut_us;
    t->vision_us += u->vision_us;
    t->prefill_us += u->prefill_us;
    t->decode_us += u->decode_us;
    t->n_prompt += u->n_prompt;
    t->n_reused += u->n_reused;
    t->n_generated += u->n_generated;
    first->cancelled |= second.cancelled;
    if (rc == 0 && !second.cancelled && pointed_at(&second, &at, &box_w, &box_h) == 0) {
        free(first->text);
        first->text = second.text;
        first->image_w = second.image_w;
        first->image_h = second.image_h;
        first->screen = second.screen;
        first->zoomed = true;
    } else {
        free(second.text);
    }
}

static int answer(struct worker *w, const struct job *j, struct news *news, struct err *err)
{
    int rc = look(w, j, &j->frame, news, err);
    if (rc == 0 && j->zoom && j->kind == JOB_GROUND && !news->cancelled)
        look_again(w, j, news);
    return rc;
}

static void work(void *user)
{
    struct worker *w = user;
    struct job *j;
    while ((j = mailbox_wait(w->in, -1))) {
        struct news *news = mem_zalloc(sizeof *news);
        struct err err = {0};
        news->job = j->id;
        atomic_fetch_sub(&w->n_waiting, 1);
        atomic_store(&w->running, j->id);
        if (is_cancelled(w, j->id)) {
            news->kind = NEWS_DONE;
            news->cancelled = true;
            news->text = mem_strdup("");
        } else if (answer(w, j, news, &err) < 0) {
            news->kind = NEWS_FAILED;
            news->code = err.code;
            news->text = mem_strdup(err.text);
        }
        atomic_store(&w->running, 0);
        if (is_cancelled(w, j->id))
            news->cancelled = true;
        job_free(j);
        mailbox_put(w->out, news);
    }
}

int worker_open(const char *model_dir, const struct vlm_options *vo, void (*wake)(void *),
                void *user, struct worker **ret, struct err *err)
{
    struct worker *w = mem_zalloc(sizeof *w);
    int rc = vlm_open(model_dir, vo, &w->model, err);
    if (rc < 0) {
        free(w);
        return rc;
    }
    w->in = mailbox_new(NULL, NULL);
    w->out = mailbox_new(wake, user);
    w->thread = thread_start("inference", work, w);
    *ret = w;
    return 0;
}

void worker_close(struct worker *w)
{
    if (!w)
        return;
    /* what waits is answered as cancelled, also a job that is just being taken out */
    atomic_store(&w->closing, true);
    vlm_cancel(w->model);
    mailbox_close(w->in);
    thread_join(w->thread);
    mailbox_free(w->in, job_free);
    mailbox_free(w->out, news_drop);
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
    if (atomic_load(&w->running) == job)
        vlm_cancel(w->model);
}

struct news *worker_news(struct worker *w)
{
    return mailbox_take(w->out);
}

void worker_info(const struct worker *w, struct vlm_info *ret)
{
    vlm_info(w->model, ret);
}
