/* Opens the parts in order, closes them in reverse, runs what is due, reconnects a display that
 * went away. What a client may ask for is in request.c. */
#include "agent/brain.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "vision/jpeg.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RECONNECT_US 1000000

void agent_event(struct agent *a, const char *method, json_t *params)
{
    if (a->o.on_event)
        a->o.on_event(a->o.user, method, params);
    json_decref(params);
}

void agent_notice(struct agent *a, const char *level, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    log_info("%s", text);
    agent_event(a, "notice", json_pack("{s:s, s:o}", "level", level, "text", text_json(text)));
}

json_t *agent_rect_json(struct rect r)
{
    return json_pack("{s:i, s:i, s:i, s:i}", "x", r.x, "y", r.y, "w", r.w, "h", r.h);
}

void agent_add_tally(const struct tally *t, json_t *j)
{
    if (t->n_looks <= 1)
        return;
    json_object_set_new(j, "looks", json_integer(t->n_looks));
    json_object_set_new(j, "agree", json_integer(t->n_agree));
    json_object_set_new(j, "sure", json_integer(t->sure));
}

json_t *agent_state(const struct agent *a)
{
    const struct task *t = &a->task;
    return json_pack("{s:I, s:s, s:s, s:o, s:o, s:i}", "task", (json_int_t)t->id, "state",
                     task_state_name(t->state), "code", ending_code(t->ending), "reason",
                     text_json(t->reason), "goal", text_json(t->goal), "step", t->step.n);
}

void agent_greet(struct agent *a, void (*tell)(void *user, const char *method, json_t *params),
                 void *user)
{
    const struct task *t = &a->task;
    const struct step *s = &t->step;
    bool is_live = task_state_is_live(t->state);
    struct {
        const char *method;
        json_t *params;
    } all[] = {{"state", agent_state(a)},
               {"see", is_live && s->before.rgb ? step_see_json(a) : NULL},
               {"action", is_live && s->has_action ? step_action_json(a) : NULL},
               {"verdict", t->state == TASK_APPROVAL ? judge_json(a) : NULL}};
    for (size_t i = 0; i < N_ELEMENTS(all); i++) {
        if (all[i].params)
            tell(user, all[i].method, all[i].params);
        json_decref(all[i].params);
    }
}

static int display_open(struct agent *a, struct err *err)
{
    struct eye_options eo = {.display = a->display, .output = a->output};
    struct hand_options ho = {.display = a->display, .dry = a->o.dry_run};
    int rc = eye_open(&eo, &a->eye, err);
    if (rc < 0)
        return rc;
    rc = hand_open(&ho, &a->hand, err);
    if (rc < 0) {
        eye_close(a->eye);
        a->eye = NULL;
    }
    return rc;
}

static void display_close(struct agent *a)
{
    hand_close(a->hand);
    eye_close(a->eye);
    a->hand = NULL;
    a->eye = NULL;
}

void agent_display_lost(struct agent *a, const char *why)
{
    snprintf(a->display_error, sizeof a->display_error, "%s", why);
    if (task_state_is_live(a->task.state))
        task_end(a, END_DISPLAY, "the display went away: %s", why);
    display_close(a);
    a->reconnect_us = clock_now_us() + RECONNECT_US;
    agent_notice(a, "error", "the display went away: %s; trying again every second", why);
}

static char *default_model(void)
{
    const char *env = getenv("DESKHAND_MODEL");
    if (env && *env)
        return mem_strdup(env);
    if (access(DESKHAND_SOURCE_MODEL, R_OK) == 0 && access(DESKHAND_MODEL_DIR, R_OK) != 0)
        return mem_strdup(DESKHAND_SOURCE_MODEL);
    return mem_strdup(DESKHAND_MODEL_DIR);
}

/* From o.policy_path, else the user's file, else the built-in one. On failure all stays as it
 * is. */
static int policy_open(struct agent *a, struct err *err)
{
    AUTO_FREE char *user = file_config_path("policies.yaml");
    const char *path = a->policy_path ? a->policy_path : access(user, F_OK) == 0 ? user : NULL;
    struct policy *p;
    int rc = path ? policy_load(path, &p, err) : policy_default(&p, err);
    if (rc < 0)
        return rc;
    if (path && !a->policy_path)
        a->policy_path = mem_strdup(path);
    policy_free(a->policy);
    a->policy = p;
    return 0;
}

int agent_reload(struct agent *a, struct err *err)
{
    struct err why = {0};
    int rc = policy_open(a, &why);
    if (rc < 0) {
        agent_notice(a, "error", "the policy stays as it was: %s", why.text);
        return err_set(err, rc, "the policy stays as it was: %s", why.text);
    }
    agent_notice(a, "info", "the policy was read again: %s",
                 a->policy_path ? a->policy_path : "the built-in one");
    return 0;
}

static int read_no_think(const char *name, enum vlm_no_think *ret, struct err *err)
{
    static const char *const names[] = {[VLM_NO_THINK_AUTO] = "auto",
                                        [VLM_NO_THINK_SUFFIX] = "suffix",
                                        [VLM_NO_THINK_PREFILL] = "prefill",
                                        [VLM_NO_THINK_NONE] = "none"};
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        if (!name || strcmp(name, names[i]) == 0) {
            *ret = (enum vlm_no_think)i;
            return 0;
        }
    }
    return err_set(err, -EINVAL,
                   "\"%.40s\" is no way to tell a model not to think; expected auto, suffix, "
                   "prefill or none",
                   name);
}

/* "DIR" or "NAME=DIR", where a name has no slash. */
static struct vlm_adapter read_adapter(const char *s, char name[64])
{
    size_t n = strcspn(s, "=/");
    if (s[n] != '=' || n >= 64)
        return (struct vlm_adapter){.dir = s};
    memcpy(name, s, n);
    name[n] = 0;
    return (struct vlm_adapter){.dir = s + n + 1, .name = name};
}

int agent_open(const struct agent_options *o, struct agent **ret, struct err *err)
{
    struct agent *a = mem_zalloc(sizeof *a);
    a->o = *o;
    a->display = mem_strdup(o->display);
    a->output = mem_strdup(o->output);
    a->policy_path = mem_strdup(o->policy_path);
    a->model_dir = o->model_dir ? mem_strdup(o->model_dir) : default_model();
    a->state_dir = o->state_dir ? mem_strdup(o->state_dir) : file_state_path(NULL);

    struct vlm_adapter adapters[AGENT_MAX_ADAPTERS + 1] = {{.dir = o->lora_dir, .merge = true}};
    char names[AGENT_MAX_ADAPTERS][64];
    int n_adapters = o->lora_dir ? 1 : 0;
    for (int i = 0; i < MIN(o->n_adapters, AGENT_MAX_ADAPTERS); i++)
        adapters[n_adapters++] = read_adapter(o->adapters[i], names[i]);
    struct vlm_options vo = {.n_threads = o->n_threads, .backend = o->backend,
                             .precision = o->precision, .weights = o->weights, .kv = o->kv,
                             .adapters = adapters, .n_adapters = n_adapters};
    int rc = read_no_think(o->no_think, &vo.no_think, err);
    if (rc == 0)
        rc = policy_open(a, err);
    if (rc == 0)
        rc = store_open(a->state_dir, &a->store, err);
    if (rc == 0)
        rc = worker_open(a->model_dir, &vo, o->n_together, o->wake, o->user, &a->worker, err);
    if (rc < 0) {
        agent_close(a);
        return rc;
    }
    struct err display = {0};
    if (display_open(a, &display) < 0) {
        /* the daemon lives without a screen and takes it when it comes */
        snprintf(a->display_error, sizeof a->display_error, "%s", display.text);
        log_warn("%s; trying again every second", display.text);
        a->reconnect_us = clock_now_us() + RECONNECT_US;
    }
    *ret = a;
    return 0;
}

void agent_close(struct agent *a)
{
    if (!a)
        return;
    if (task_state_is_live(a->task.state))
        task_end(a, END_STOPPED, "the daemon ends");
    worker_close(a->worker);
    display_close(a);
    store_close(a->store);
    policy_free(a->policy);
    task_done(&a->task);
    while (a->queries) {
        struct query *q = a->queries;
        a->queries = q->next;
        free(q->text);
        json_decref(q->id);
        free(q);
    }
    for (size_t i = 0; i < N_ELEMENTS(a->shots); i++)
        free(a->shots[i].png);
    free(a->display);
    free(a->output);
    free(a->policy_path);
    free(a->model_dir);
    free(a->state_dir);
    free(a);
}

int agent_fd(const struct agent *a)
{
    return a->eye ? eye_fd(a->eye) : -1;
}

static void reconnect(struct agent *a, int64_t now_us)
{
    struct err err = {0};
    if (display_open(a, &err) == 0) {
        a->reconnect_us = 0;
        agent_notice(a, "info", "the display is back");
        return;
    }
    snprintf(a->display_error, sizeof a->display_error, "%s", err.text);
    a->reconnect_us = now_us + RECONNECT_US;
}

int64_t agent_service(struct agent *a, int64_t now_us)
{
    struct news *n;
    struct err err = {0};
    while ((n = worker_news(a->worker))) {
        if (a->job && n->job == a->job)
            step_think_news(a, n);
        else
            request_news(a, n);
        news_free(n);
    }
    if (a->eye && eye_service(a->eye, &err) < 0 && eye_is_dead(a->eye))
        agent_display_lost(a, err.text);
    if (a->hand && hand_is_dead(a->hand))
        agent_display_lost(a, "the X server closed the input connection");
    if (!a->eye && now_us >= a->reconnect_us)
        reconnect(a, now_us);

    int64_t next = step_service(a, now_us);
    for (int i = 0; i < 16 && next >= 0 && next <= now_us; i++)
        next = step_service(a, clock_now_us()); /* a phase ended, the next may begin at once */
    if (a->hand && !hand_is_busy(a->hand)) {
        /* between plans the hand restores the keyboard map after a pause */
        int64_t idle_us = -1;
        if (hand_tick(a->hand, now_us, &idle_us, &err) > 0 && (next < 0 || idle_us < next))
            next = idle_us;
    }
    if (!a->eye && (next < 0 || a->reconnect_us < next))
        next = a->reconnect_us;
    return next;
}

int agent_live_jpeg(struct agent *a, int quality, uint8_t **ret, size_t *ret_n, struct err *err)
{
    if (!a->eye)
        return err_set(err, -ENOENT, "the screen is not available: %s", a->display_error);
    struct frame f = {0};
    int rc = eye_capture(a->eye, &f, err);
    if (rc == 0)
        rc = jpeg_write_mem(&f, quality, ret, ret_n, err);
    frame_done(&f);
    return rc;
}
