/* The table of contents of the program. One step is a straight line
 *
 *     SEE      wait for a still screen, take a picture, give it to the model
 *     THINK    the answer arrives, is parsed, its points are placed on the screen
 *     JUDGE    the policy says allow, confirm or deny; a confirm waits for the user
 *     ACT      the hand plays the events, one a tick
 *     SETTLE   wait for a still screen again, compare, report the effect
 *
 * and no stage calls the next: each function here ends by setting the phase. */
#include "agent/brain.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define STILL_US 120000       /* no damage for so long: the screen is at rest */
#define SEE_LIMIT_US 2000000  /* a screen that never rests is looked at anyway */
#define REACT_US 350000       /* a program has so long to begin to react */
#define SETTLE_LIMIT_US 2500000
#define WAIT_ACTION_US 1000000
#define POLL_US 20000
#define BUSY_LIMIT_US 5000000 /* a person holds a modifier: wait so long */
#define ANSWER_TOKENS 1024
#define UNPARSED_MAX 3

static void keep_picture(struct agent *a, const char *which, const struct frame *f)
{
    struct err err = {0};
    if (store_picture_add(a->store, a->task.id, a->task.step.n, which, f, &err) < 0)
        log_error("%s", err.text);
}

/* Writing it takes a core for some milliseconds that the model wants: it waits until the action has
 * gone out, or someone asks for it. */
void step_keep(struct agent *a)
{
    struct step *s = &a->task.step;
    if (s->before.rgb && !s->is_kept)
        keep_picture(a, "before", &s->before);
    s->is_kept = true;
}

void step_done(struct step *s)
{
    frame_done(&s->before);
    frame_done(&s->after);
    action_done(&s->action);
    *s = (struct step){0};
}

void step_enter(struct agent *a, enum phase phase)
{
    a->task.phase = phase;
    a->task.step.phase_us = clock_now_us();
}

void step_begin(struct agent *a)
{
    int n = a->task.step.n + 1;
    step_done(&a->task.step);
    a->task.step.n = n;
    a->task.step.began_us = clock_now_us();
    step_enter(a, PHASE_SEE);
}

json_t *step_params(struct agent *a)
{
    return json_pack("{s:I, s:i}", "task", (json_int_t)a->task.id, "step", a->task.step.n);
}

static void add_url(struct agent *a, json_t *j, const char *which)
{
    char url[80];
    snprintf(url, sizeof url, "/task/%lld/%d-%s.png", (long long)a->task.id, a->task.step.n, which);
    json_object_set_new(j, "url", json_string(url));
}

/* True when nothing moved for STILL_US, counted from `since_us` at the earliest. */
static bool is_still(struct agent *a, int64_t now_us, int64_t since_us)
{
    int64_t last = eye_last_change_us(a->eye);
    return now_us - MAX(last, since_us) >= STILL_US;
}

/* SEE */

json_t *step_see_json(struct agent *a)
{
    const struct frame *f = &a->task.step.before;
    json_t *j = step_params(a);
    add_url(a, j, "before");
    json_object_set_new(j, "w", json_integer(f->w));
    json_object_set_new(j, "h", json_integer(f->h));
    json_object_set_new(j, "screen", agent_rect_json(f->screen));
    json_object_set_new(j, "part", agent_rect_json(a->task.step.part));
    return j;
}

static int64_t see(struct agent *a, int64_t now_us)
{
    struct task *t = &a->task;
    struct step *s = &t->step;
    struct err err = {0};
    if (!is_still(a, now_us, 0) && now_us - s->phase_us < SEE_LIMIT_US)
        return now_us + POLL_US;

    if (worker_n_waiting(a->worker) >= WORKER_WAITING_MAX - 1)
        return now_us + POLL_US; /* each waits with its picture */

    if (eye_capture(a->eye, &s->before, &err) < 0 ||
        view_choose(a, &t->view, &s->before, &s->part, &err) < 0) {
        if (eye_is_dead(a->eye))
            agent_display_lost(a, err.text);
        else
            task_end(a, END_DISPLAY, "%s", err.text);
        return -1;
    }
    s->saw_us = now_us;
    s->timing.capture_us = clock_now_us() - now_us;

    AUTO(str_done) struct str text = {0};
    prompt_agent(t->goal, str_cstr(&t->history), &text);
    struct job job = {.kind = JOB_STEP, .text = str_take(&text), .max_tokens = ANSWER_TOKENS,
                      .no_think = t->no_think, .lora = mem_strdup(t->lora),
                      .lora_scale = t->lora_scale, .n_looks = a->o.n_looks};
    view_cut(&s->before, &s->part, &job.frame);
    a->job = worker_submit(a->worker, &job);
    step_enter(a, PHASE_THINK);

    agent_event(a, "see", step_see_json(a));
    return -1;
}

/* THINK */

static json_t *point_json(bool has, struct screen_pt p)
{
    return has ? json_pack("[i,i]", p.x, p.y) : json_null();
}

/* For people, so in pixels of the screen. */
static void describe_on_screen(const struct action *a, struct str *out)
{
    struct action shown = *a; /* borrows the texts */
    shown.start = (struct model_pt){(float)a->start_px.x, (float)a->start_px.y};
    shown.end = (struct model_pt){(float)a->end_px.x, (float)a->end_px.y};
    action_describe(&shown, out);
}

/* The members that tell an action: for notifications and for the history alike. */
static void add_action(const struct step *s, json_t *j)
{
    const struct action *act = &s->action;
    AUTO(str_done) struct str json = {0}, describe = {0};
    action_json(act, true, &json);
    text_mend(json.s, json.cap); /* never empty */
    json_t *object = json_loads(json.s, 0, NULL);
    describe_on_screen(act, &describe);
    if (s->tally.n_agree < s->tally.n_looks)
        str_printf(&describe, " (%d of %d looks agree, %d %% sure)", s->tally.n_agree,
                   s->tally.n_looks, s->tally.sure);
    json_object_set_new(j, "action", object ? object : json_object());
    json_object_set_new(j, "describe", text_json(str_cstr(&describe)));
    json_object_set_new(j, "why", text_json(act->why));
    json_object_set_new(j, "point", point_json(act->has_start, act->start_px));
    json_object_set_new(j, "end", point_json(act->has_end, act->end_px));
    agent_add_tally(&s->tally, j);
}

json_t *step_action_json(struct agent *a)
{
    json_t *j = step_params(a);
    add_action(&a->task.step, j);
    return j;
}

static json_t *effect_json(struct agent *a)
{
    struct step *s = &a->task.step;
    const struct news_timing *t = &s->timing;
    json_t *j = step_params(a);
    json_object_set_new(j, "effect", json_string(effect_kind_name(s->effect.kind)));
    json_object_set_new(j, "evidence", text_json(s->effect.evidence));
    json_object_set_new(j, "changed", json_real((double)s->effect.changed));
    json_object_set_new(j, "where", agent_rect_json(s->effect.where));
    if (s->after.rgb)
        add_url(a, j, "after");
    json_object_set_new(j, "timing",
                        json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:i,s:i,s:i}", "capture_us",
                                  (json_int_t)t->capture_us, "cut_us", (json_int_t)t->cut_us,
                                  "vision_us", (json_int_t)t->vision_us, "prefill_us",
                                  (json_int_t)t->prefill_us, "decode_us", (json_int_t)t->decode_us,
                                  "total_us", (json_int_t)t->total_us, "n_prompt", t->n_prompt,
                                  "n_reused", t->n_reused, "n_generated", t->n_generated));
    int64_t first_us = a->hand ? hand_first_event_us(a->hand) : 0;
    if (s->saw_us && first_us > s->saw_us)
        json_object_set_new(json_object_get(j, "timing"), "first_event_us",
                            json_integer(first_us - s->saw_us));
    return j;
}

/* One object with everything about the step goes into the history. */
static void keep_step(struct agent *a)
{
    struct task *t = &a->task;
    struct step *s = &t->step;
    struct err err = {0};
    json_t *j = effect_json(a);
    json_object_set_new(j, "screen", agent_rect_json(s->before.screen));
    json_object_set_new(j, "part", agent_rect_json(s->part));
    add_action(s, j);
    json_object_set_new(j, "verdict", json_string(verdict_kind_name(s->verdict.kind)));
    json_object_set_new(j, "rule", text_json(s->verdict.rule));
    json_object_set_new(j, "verdict_reason", text_json(s->verdict.reason));
    json_object_set_new(j, "window_class", text_json(s->window.class_name));
    json_object_set_new(j, "window_title", text_json(s->window.title));
    if (store_step_add(a->store, t->id, s->n, j, s->action.why, &err) < 0)
        log_error("%s", err.text);
    json_decref(j);
}

static void tell(struct agent *a)
{
    struct step *s = &a->task.step;
    s->is_told = true;
    step_keep(a);
    s->timing.total_us = clock_now_us() - s->began_us;
    agent_event(a, "effect", effect_json(a));
    keep_step(a);
}

/* The step is complete: tell everybody, keep it, go on. */
static void conclude(struct agent *a)
{
    struct step *s = &a->task.step;
    tell(a);
    bool ends = s->action.kind == ACTION_FINISHED || s->action.kind == ACTION_CALL_USER;
    /* whatever the model says: nothing came of its last actions */
    if (ends && a->task.n_refused > 0) {
        task_end(a, END_REFUSED, "the model %s, but its last %s refused",
                 s->action.kind == ACTION_FINISHED ? "calls it finished" : "asks for help",
                 a->task.n_refused > 1 ? "actions were" : "action was");
        return;
    }
    switch (s->action.kind) {
    case ACTION_FINISHED:
        task_end(a, END_FINISHED, "%s",
                 s->action.text && *s->action.text ? s->action.text : "success");
        break;
    case ACTION_CALL_USER:
        task_end(a, END_NEEDS_USER, "%s",
                 s->action.text && *s->action.text ? s->action.text
                 : s->action.why                   ? s->action.why
                                                   : "the model asks for help");
        break;
    default:
        task_remember(a);
    }
}

void step_refuse(struct agent *a, const char *why)
{
    struct step *s = &a->task.step;
    s->effect = (struct effect){.kind = EFFECT_REFUSED};
    snprintf(s->effect.evidence, sizeof s->effect.evidence, "%.255s", why);
    conclude(a);
}

bool step_cut(struct agent *a, const char *why)
{
    struct task *t = &a->task;
    struct step *s = &t->step;
    bool playing = a->hand && hand_is_busy(a->hand) && hand_first_event_us(a->hand);
    if (!s->has_action || s->is_told)
        return false;
    s->effect = (struct effect){.kind = EFFECT_REFUSED};
    if (playing || s->acted_us) {
        s->effect.kind = EFFECT_UNVERIFIABLE;
        t->n_steps += !s->acted_us;
    }
    snprintf(s->effect.evidence, sizeof s->effect.evidence, "%s: %.200s",
             !playing && !s->acted_us ? "not carried out"
             : playing                ? "broken off on the way"
                                      : "sent, but its effect was not waited for",
             why);
    if (s->effect.kind == EFFECT_REFUSED && t->state == TASK_PAUSED)
        return false; /* it will be thought about again under this number */
    tell(a);
    return s->effect.kind == EFFECT_UNVERIFIABLE;
}

/* The picture's place and the points: where most looks agree, if a vote was held. */
static int place_points(struct step *s, const struct news *n, struct err *err)
{
    struct action *a = &s->action;
    struct place seen = {n->image_w, n->image_h, n->screen};
    int rc = 0;
    s->place = (struct place){n->first_w, n->first_h, s->part};
    s->tally = n->tally;
    if (s->tally.n_agree) {
        a->start_px = s->tally.at[0];
        a->end_px = s->tally.at[1];
        rc = a->has_start ? place_to_model(&s->place, a->start_px, &a->start, err) : 0;
        return rc == 0 && a->has_end ? place_to_model(&s->place, a->end_px, &a->end, err) : rc;
    }
    rc = a->has_start ? place_to_screen(&seen, a->start, &a->start_px, err) : 0;
    return rc == 0 && a->has_end ? place_to_screen(&seen, a->end, &a->end_px, err) : rc;
}

void step_think_news(struct agent *a, struct news *n)
{
    struct task *t = &a->task;
    struct step *s = &t->step;
    struct err err = {0};
    if (n->kind == NEWS_TEXT) {
        json_t *j = step_params(a);
        json_object_set_new(j, "text", text_json(n->text));
        agent_event(a, "token", j);
        return;
    }
    a->job = 0;
    if (n->cancelled) { /* by nobody here, or the job would have been forgotten: look again */
        t->step.n--;
        step_begin(a);
        return;
    }
    int n_forgotten;
    if (n->kind == NEWS_FAILED && n->code == -E2BIG && (n_forgotten = task_forget(t)) > 0) {
        agent_notice(a, "warn", "the prompt does not fit the model's context: the oldest %d of %d "
                     "earlier steps are no longer told to it", n_forgotten, t->n_history);
        t->step.n--;
        step_begin(a);
        return;
    }
    if (n->kind == NEWS_FAILED) {
        task_end(a, END_MODEL, "the model failed: %s", n->text);
        return;
    }
    int64_t capture_us = s->timing.capture_us;
    s->timing = n->timing;
    s->timing.capture_us = capture_us;

    size_t len = strlen(n->text);
    int rc = action_parse(n->text, len, n->image_w, n->image_h, &s->action, &err);
    if (rc == 0)
        rc = place_points(s, n, &err);
    if (rc < 0) {
        step_keep(a);
        agent_notice(a, "warn", "step %d: the answer holds no usable action: %s", s->n, err.text);
        action_done(&s->action);
        if (++t->n_unparsed >= UNPARSED_MAX)
            task_end(a, END_UNPARSED, "%d answers in a row held no usable action: %s",
                     t->n_unparsed, err.text);
        else
            step_begin(a);
        return;
    }
    t->n_unparsed = 0;
    s->has_action = true;
    if (!s->action.why)
        s->action.why = action_reasoning(n->text, len);
    agent_event(a, "action", step_action_json(a));
    judge(a);
}

/* ACT */

static void acted(struct agent *a)
{
    struct task *t = &a->task;
    t->step.acted_us = clock_now_us();
    step_keep(a);
    t->acts_us[t->n_acts++ % (int)N_ELEMENTS(t->acts_us)] = t->step.acted_us;
    t->n_steps++;
    step_enter(a, PHASE_SETTLE);
}

static int64_t act(struct agent *a, int64_t now_us)
{
    struct step *s = &a->task.step;
    struct err err = {0};
    int64_t next_us = now_us;
    int rc;
    if (!hand_is_busy(a->hand) && !s->acted_us) {
        eye_damage_reset(a->eye);
        switch (s->action.kind) {
        case ACTION_WAIT:
            if (now_us - s->phase_us < WAIT_ACTION_US)
                return s->phase_us + WAIT_ACTION_US;
            acted(a);
            return now_us;
        case ACTION_FINISHED:
        case ACTION_CALL_USER:
            s->effect = (struct effect){.kind = EFFECT_UNVERIFIABLE};
            snprintf(s->effect.evidence, sizeof s->effect.evidence,
                     "the model's own word, no input was sent");
            conclude(a);
            return -1;
        case ACTION_OPEN:
            rc = a->task.dry_run ? 0 : launch_program(s->action.text, a->display, &err);
            break;
        case ACTION_APPSWITCH:
            rc = a->task.dry_run ? 0 : launch_switch(a, s->action.text, &err);
            break;
        default:
            rc = a->task.dry_run ? 0 : hand_begin(a->hand, &s->action, &err);
            if (rc == -EBUSY && now_us - s->phase_us < BUSY_LIMIT_US)
                return now_us + POLL_US;
            if (rc == 0 && !a->task.dry_run)
                return now_us;
        }
        if (rc < 0) {
            if (hand_is_dead(a->hand))
                agent_display_lost(a, err.text);
            else
                step_refuse(a, err.text);
            return now_us;
        }
        if (a->task.dry_run) {
            s->effect = (struct effect){.kind = EFFECT_UNVERIFIABLE};
            snprintf(s->effect.evidence, sizeof s->effect.evidence, "dry run: nothing was sent");
            a->task.n_steps++;
            conclude(a);
            return now_us;
        }
        acted(a);
        return now_us;
    }
    rc = hand_tick(a->hand, now_us, &next_us, &err);
    if (rc > 0)
        return next_us;
    if (rc < 0) {
        if (hand_is_dead(a->hand))
            agent_display_lost(a, err.text);
        else
            step_refuse(a, err.text);
        return now_us;
    }
    acted(a);
    return now_us + POLL_US;
}

/* SETTLE */

static int64_t settle(struct agent *a, int64_t now_us)
{
    struct step *s = &a->task.step;
    struct err err = {0};
    int64_t waited = now_us - s->acted_us;
    int64_t last = eye_last_change_us(a->eye);
    bool reacted = last >= s->phase_us || !eye_has_damage(a->eye);
    bool quiet = is_still(a, now_us, s->acted_us);
    if (waited < SETTLE_LIMIT_US && (!quiet || (!reacted && waited < REACT_US)))
        return now_us + POLL_US;

    if (eye_capture(a->eye, &s->after, &err) < 0) {
        if (eye_is_dead(a->eye))
            agent_display_lost(a, err.text);
        else
            task_end(a, END_DISPLAY, "%s", err.text);
        return -1;
    }
    effect_check(s, quiet, &s->effect);
    keep_picture(a, "after", &s->after);
    conclude(a);
    return now_us;
}

int64_t step_service(struct agent *a, int64_t now_us)
{
    if (a->task.state == TASK_APPROVAL)
        return judge_wait(a, now_us);
    if (a->task.state != TASK_RUNNING || !a->eye)
        return -1;
    if (now_us - a->task.began_us > a->task.max_us) {
        task_end(a, END_BUDGET, "the budget of %.0f seconds is used up",
                 (double)a->task.max_us / 1e6);
        return -1;
    }
    switch (a->task.phase) {
    case PHASE_SEE:
        return see(a, now_us);
    case PHASE_ACT:
        return act(a, now_us);
    case PHASE_SETTLE:
        return settle(a, now_us);
    case PHASE_RECHECK:
        return judge_again(a, now_us);
    case PHASE_THINK:
    case PHASE_APPROVAL:
        break;
    }
    return a->task.began_us + a->task.max_us + 1; /* a thought may outlast the budget */
}
