/* The requests of docs/protocol.md, one row and one function each. Answers come at once, or later
 * for what the model must say. */
#include "agent/brain.h"
#include "base/mem.h"
#include "vision/png.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CODE_PARAMS (-32602)
#define CODE_METHOD (-32601)
#define CODE_BUSY 1001
#define CODE_NONE 1002
#define CODE_FAILED 1003
#define CODE_REFUSED 1004
#define TEXT_MAX 4096
#define QUERIES_MAX 16
#define VERSION_TEXT "0.1.0"

struct request {
    enum agent_asker asker;
    json_t *params;
    json_t *id;
    agent_reply_fn *reply;
    void *cookie;
};

static void say(const struct request *r, json_t *result)
{
    r->reply(r->cookie, r->id, result, 0, NULL);
}

static void say_error(const struct request *r, int code, const char *text)
{
    char sentence[sizeof ((struct err *)0)->text];
    snprintf(sentence, sizeof sentence, "%s", text);
    text_mend(sentence, sizeof sentence);
    r->reply(r->cookie, r->id, NULL, code, sentence);
}

static const char *text_param(const struct request *r, const char *name)
{
    const char *s = json_string_value(json_object_get(r->params, name));
    if (s && *s && strlen(s) <= TEXT_MAX)
        return s;
    char text[128];
    snprintf(text, sizeof text, "params.%s must be a text of 1 to %d bytes", name, TEXT_MAX);
    say_error(r, CODE_PARAMS, text);
    return NULL;
}

static void do_status(struct agent *a, const struct request *r)
{
    struct vlm_info i;
    struct rect rect = {0};
    struct err err = {0};
    worker_info(a->worker, &i);
    if (a->eye)
        eye_rect(a->eye, &rect, &err);
    json_t *model =
        json_pack("{s:o, s:o, s:s, s:I, s:i, s:i, s:i}", "dir", text_json(a->model_dir), "name",
                  text_json(i.name), "backend", i.backend, "params", (json_int_t)i.n_params,
                  "layers", i.n_layers, "context", i.n_ctx, "threads", i.n_threads);
    json_t *s = agent_state(a);
    json_object_set_new(s, "version", json_string(VERSION_TEXT));
    json_object_set_new(s, "model", model);
    json_object_set_new(s, "screen", agent_rect_json(rect));
    const char *display = a->display ? a->display : getenv("DISPLAY");
    json_object_set_new(s, "display", text_json(display));
    json_object_set_new(s, "display_error", text_json(a->eye ? "" : a->display_error));
    json_object_set_new(s, "policy", text_json(a->policy_path ? a->policy_path : "built-in"));
    say(r, s);
}

static void do_start(struct agent *a, const struct request *r)
{
    struct err err = {0};
    int rc = task_start(a, r->params, &err);
    if (rc < 0)
        say_error(r, rc == -EBUSY ? CODE_BUSY : rc == -EINVAL ? CODE_PARAMS : CODE_FAILED,
                  err.text);
    else
        say(r, json_pack("{s:I}", "task", (json_int_t)a->task.id));
}

static void do_pause(struct agent *a, const struct request *r)
{
    if (a->task.state != TASK_RUNNING && a->task.state != TASK_APPROVAL) {
        say_error(r, CODE_NONE, "no task is running");
        return;
    }
    if (a->job)
        worker_cancel(a->worker, a->job); /* resume looks at the screen anew */
    a->job = 0;
    task_set_state(a, TASK_PAUSED, "paused by the user");
    if (step_cut(a, "paused by the user"))
        task_note(a);
    hand_stop(a->hand);
    say(r, json_object());
}

static void do_resume(struct agent *a, const struct request *r)
{
    if (a->task.state != TASK_PAUSED) {
        say_error(r, CODE_NONE, "no task is paused");
        return;
    }
    /* the screen may be another one now: look again instead of finishing an old plan */
    task_set_state(a, TASK_RUNNING, "");
    if (!a->task.step.is_told)
        a->task.step.n--;
    step_begin(a);
    say(r, json_object());
}

static void do_stop(struct agent *a, const struct request *r)
{
    const char *why = json_string_value(json_object_get(r->params, "reason"));
    if (!task_state_is_live(a->task.state)) {
        say_error(r, CODE_NONE, "no task is running");
        return;
    }
    task_end(a, END_STOPPED, "%.400s", why && *why ? why : "stopped by the user");
    say(r, json_object());
}

static bool may_browser_approve(struct agent *a, const struct request *r)
{
    bool is_shown;
    struct err err = {0};
    if (judge_dashboard(a, &is_shown, &err) < 0) {
        say_error(r, CODE_FAILED, err.text);
        return false;
    }
    if (is_shown)
        say_error(r, CODE_REFUSED,
                  "the dashboard is open on the screen that the agent controls, so the agent "
                  "itself could have pressed Approve: answer in the terminal of deskhand do, or "
                  "close that window and use a browser on another display");
    return !is_shown;
}

static void approval(struct agent *a, const struct request *r, bool yes)
{
    json_t *task = json_object_get(r->params, "task"), *step = json_object_get(r->params, "step");
    const char *hash = json_string_value(json_object_get(r->params, "hash"));
    if (a->task.state != TASK_APPROVAL || json_integer_value(task) != a->task.id ||
        json_integer_value(step) != a->task.step.n) {
        say_error(r, CODE_NONE, "no such step waits for an approval");
        return;
    }
    if (!hash || !str_eq(hash, a->task.step.hash)) {
        say_error(r, CODE_REFUSED, "the hash is not that of the action that waits");
        return;
    }
    if (yes && r->asker == AGENT_BROWSER && !may_browser_approve(a, r))
        return;
    say(r, json_object());
    judge_answer(a, yes, "the user denied it");
}

static void do_approve(struct agent *a, const struct request *r)
{
    approval(a, r, true);
}

static void do_deny(struct agent *a, const struct request *r)
{
    approval(a, r, false);
}

/* Captures and keeps the PNG under a new "/shot/N.png". */
static int shoot(struct agent *a, struct frame *ret, char url[64], struct err *err)
{
    if (!a->eye)
        return err_set(err, -ENODEV, "the screen is not available: %s", a->display_error);
    struct shot *s = &a->shots[a->n_shots % (int64_t)N_ELEMENTS(a->shots)];
    int rc = eye_capture(a->eye, ret, err);
    if (rc < 0)
        return rc;
    free(s->png);
    s->png = NULL;
    rc = png_write_mem(ret, &s->png, &s->n, err);
    if (rc < 0) {
        frame_done(ret);
        return rc;
    }
    s->id = ++a->n_shots;
    snprintf(url, 64, "/shot/%lld.png", (long long)s->id);
    return 0;
}

static void do_screenshot(struct agent *a, const struct request *r)
{
    struct frame f = {0};
    struct err err = {0};
    char url[64];
    if (shoot(a, &f, url, &err) < 0) {
        say_error(r, CODE_FAILED, err.text);
        return;
    }
    json_t *j = json_pack("{s:s, s:i, s:i}", "url", url, "w", f.w, "h", f.h);
    json_object_set_new(j, "screen", agent_rect_json(f.screen));
    frame_done(&f);
    say(r, j);
}

int request_adapter(struct agent *a, json_t *params, const char **ret_name, float *ret_scale,
                    struct err *err)
{
    json_t *name = json_object_get(params, "adapter");
    json_t *scale = json_object_get(params, "adapter_scale");
    if (name && !json_is_string(name))
        return err_set(err, -EINVAL, "adapter must be a name");
    if (scale && !json_is_number(scale))
        return err_set(err, -EINVAL, "adapter_scale must be a number");
    if (worker_check_adapter(a->worker, json_string_value(name), err) < 0)
        return -EINVAL;
    *ret_name = json_string_value(name);
    *ret_scale = (float)json_number_value(scale);
    return 0;
}

static void ask_model(struct agent *a, const struct request *r, bool is_ground)
{
    const char *text = text_param(r, is_ground ? "target" : "question");
    if (!text)
        return;
    int n = 0;
    for (struct query *q = a->queries; q; q = q->next)
        n++;
    if (n >= QUERIES_MAX || worker_n_waiting(a->worker) >= WORKER_WAITING_MAX - 1) {
        say_error(r, CODE_BUSY, "too many questions are waiting for the model");
        return;
    }
    struct err err = {0};
    struct view view;
    const char *adapter;
    float scale;
    if (view_read(r->params, &view, &err) < 0 ||
        request_adapter(a, r->params, &adapter, &scale, &err) < 0) {
        say_error(r, CODE_PARAMS, err.text);
        return;
    }
    struct query *q = mem_zalloc(sizeof *q);
    AUTO(frame_done) struct frame whole = {0};
    struct rect part;
    if (shoot(a, &whole, q->url, &err) < 0 || view_choose(a, &view, &whole, &part, &err) < 0) {
        free(q);
        say_error(r, CODE_FAILED, err.text);
        return;
    }
    AUTO(str_done) struct str prompt = {0};
    if (is_ground)
        prompt_ground(text, &prompt);
    else
        str_puts(&prompt, text);
    struct job job = {.kind = is_ground ? JOB_GROUND : JOB_ASK,
                      .text = str_take(&prompt),
                      .max_tokens = is_ground ? 256 : 512,
                      .n_looks = a->o.n_looks,
                      .zoom = json_is_true(json_object_get(r->params, "zoom")),
                      .lora = mem_strdup(adapter),
                      .lora_scale = scale};
    view_cut(&whole, &part, &job.frame);
    q->is_ground = is_ground;
    q->job = worker_submit(a->worker, &job);
    q->id = json_incref(r->id);
    q->reply = r->reply;
    q->cookie = r->cookie;
    q->next = a->queries;
    a->queries = q;
}

static void do_ground(struct agent *a, const struct request *r)
{
    ask_model(a, r, true);
}

static void do_ask(struct agent *a, const struct request *r)
{
    ask_model(a, r, false);
}

static void ground_answer(const struct request *r, const struct query *q, const struct news *n)
{
    struct model_pt point;
    float box[4];
    struct screen_pt at, lo, hi;
    struct err err = {0};
    struct place place = {n->image_w, n->image_h, n->screen};
    int rc = action_parse_box(n->text, strlen(n->text), n->image_w, n->image_h, &point, box, &err);
    if (rc == 0 && n->tally.n_agree && !n->zoomed) {
        at = n->tally.at[0];
        lo = n->tally.at[1];
        hi = n->tally.at[2];
    } else if (rc == 0 && (rc = place_to_screen(&place, point, &at, &err)) == 0) {
        rc = place_box(&place, box, &lo, &hi, &err);
    }
    if (rc < 0) {
        say_error(r, CODE_FAILED, err.text);
        return;
    }
    json_t *j = json_pack("{s:i, s:i, s:[i,i,i,i], s:o, s:s, s:b}", "x", at.x, "y", at.y, "box",
                          lo.x, lo.y, hi.x + 1, hi.y + 1, "text", text_json(n->text), "url", q->url,
                          "zoomed", (int)n->zoomed);
    agent_add_tally(&n->tally, j);
    say(r, j);
}

void request_news(struct agent *a, struct news *n)
{
    if (n->kind == NEWS_TEXT)
        return;
    struct query **at = &a->queries;
    while (*at && (*at)->job != n->job)
        at = &(*at)->next;
    struct query *q = *at;
    if (!q)
        return; /* a cancelled step's last word */
    *at = q->next;
    struct request r = {.id = q->id, .reply = q->reply, .cookie = q->cookie};
    if (q->forgotten)
        ;
    else if (n->kind == NEWS_FAILED)
        say_error(&r, CODE_FAILED, n->text);
    else if (n->cancelled)
        say_error(&r, CODE_FAILED, "the question was cancelled");
    else if (q->is_ground)
        ground_answer(&r, q, n);
    else
        say(&r, json_pack("{s:o, s:s}", "text", text_json(n->text), "url", q->url));
    free(q->text);
    json_decref(q->id);
    free(q);
}

static void do_history(struct agent *a, const struct request *r)
{
    json_t *limit = json_object_get(r->params, "limit");
    say(r, json_pack("{s:o}", "tasks",
                     store_tasks(a->store, limit ? (int)json_integer_value(limit) : 20)));
}

static void do_task(struct agent *a, const struct request *r)
{
    json_t *t = store_task(a->store, json_integer_value(json_object_get(r->params, "task")));
    if (t)
        say(r, t);
    else
        say_error(r, CODE_NONE, "there is no such task in the history");
}

static const struct {
    const char *method;
    void (*run)(struct agent *, const struct request *);
} rows[] = {
    {"status", do_status},   {"start", do_start},           {"pause", do_pause},
    {"resume", do_resume},   {"stop", do_stop},             {"approve", do_approve},
    {"deny", do_deny},       {"screenshot", do_screenshot}, {"ground", do_ground},
    {"ask", do_ask},         {"history", do_history},       {"task", do_task},
};

void agent_request(struct agent *a, const char *method, json_t *params, json_t *id,
                   enum agent_asker asker, agent_reply_fn *reply, void *cookie)
{
    struct request r = {asker, params, id, reply, cookie};
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        if (strcmp(rows[i].method, method) == 0) {
            rows[i].run(a, &r);
            return;
        }
    }
    say_error(&r, CODE_METHOD, "there is no such method");
}

void agent_forget(struct agent *a, void *cookie)
{
    for (struct query *q = a->queries; q; q = q->next)
        if (q->cookie == cookie && !q->forgotten) {
            q->forgotten = true;
            worker_cancel(a->worker, q->job); /* nobody would read the answer */
        }
}

int agent_picture(struct agent *a, const char *url_path, uint8_t **ret, size_t *ret_n,
                  struct err *err)
{
    long long task, shot;
    int n, end = 0;
    if (sscanf(url_path, "/shot/%lld.png%n", &shot, &end) == 1 && end && !url_path[end]) {
        for (size_t i = 0; i < N_ELEMENTS(a->shots); i++) {
            const struct shot *s = &a->shots[i];
            if (s->png && s->id == shot) {
                *ret = mem_alloc(s->n);
                memcpy(*ret, s->png, s->n);
                *ret_n = s->n;
                return 0;
            }
        }
        return err_set(err, -ENOENT, "that screenshot is gone; only the latest %zu are kept",
                       N_ELEMENTS(a->shots));
    }
    end = 0;
    if (sscanf(url_path, "/task/%lld/%d-before.png%n", &task, &n, &end) == 2 && end &&
        !url_path[end]) {
        if (task == a->task.id && n == a->task.step.n)
            step_keep(a);
        return store_picture_read(a->store, task, n, "before", ret, ret_n, err);
    }
    end = 0;
    if (sscanf(url_path, "/task/%lld/%d-after.png%n", &task, &n, &end) == 2 && end &&
        !url_path[end])
        return store_picture_read(a->store, task, n, "after", ret, ret_n, err);
    return err_set(err, -ENOENT, "there is no such picture");
}
