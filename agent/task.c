/* A task: a goal, its budgets, the history that the next prompt carries, and how it ends. */
#include "agent/brain.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define GOAL_MAX 8192
#define HISTORY_MAX ((size_t)64 << 10)
#define REFUSALS_MAX 3

const char *task_state_name(enum task_state s)
{
    static const char *const names[] = {"idle",     "running", "paused",  "approval",
                                        "finished", "failed",  "stopped", "needs_user"};
    return names[s];
}

static const struct {
    const char *code;
    enum task_state state;
} endings[N_ENDINGS] = {
    [END_NOT] = {"", TASK_IDLE},
    [END_FINISHED] = {"finished", TASK_FINISHED},
    [END_NEEDS_USER] = {"needs_user", TASK_NEEDS_USER},
    [END_STOPPED] = {"stopped", TASK_STOPPED},
    [END_BUDGET] = {"budget", TASK_FAILED},
    [END_REFUSED] = {"refused", TASK_FAILED},
    [END_NO_EFFECT] = {"no_effect", TASK_FAILED},
    [END_UNPARSED] = {"unparsed", TASK_FAILED},
    [END_DISPLAY] = {"display", TASK_FAILED},
    [END_MODEL] = {"model", TASK_FAILED},
};

const char *ending_code(enum ending e)
{
    return endings[e].code;
}

void task_done(struct task *t)
{
    step_done(&t->step);
    free(t->goal);
    free(t->lora);
    str_done(&t->last_json);
    str_done(&t->history);
    str_done(&t->history_sizes);
    *t = (struct task){0};
}

void task_set_state(struct agent *a, enum task_state state, const char *reason)
{
    struct task *t = &a->task;
    struct err err = {0};
    int64_t now_us = clock_now_us();
    bool is_held = state == TASK_PAUSED || state == TASK_APPROVAL;
    if (t->held_us && !is_held)
        t->began_us += now_us - t->held_us; /* a person's time is not the task's */
    t->held_us = !is_held ? 0 : t->held_us ? t->held_us : now_us;
    t->state = state;
    snprintf(t->reason, sizeof t->reason, "%s", reason);
    text_mend(t->reason, sizeof t->reason);
    if (t->id > 0 && store_task_set(a->store, t->id, task_state_name(state), ending_code(t->ending),
                                    t->reason, t->n_steps, &err) < 0)
        log_error("%s", err.text);
    agent_event(a, "state", agent_state(a));
}

int task_start(struct agent *a, json_t *params, struct err *err)
{
    if (task_state_is_live(a->task.state))
        return err_set(err, -EBUSY, "task %lld is %s; stop it first", (long long)a->task.id,
                       task_state_name(a->task.state));
    const char *goal = json_string_value(json_object_get(params, "goal"));
    if (!goal || !goal[strspn(goal, " \t\r\n")])
        return err_set(err, -EINVAL, "goal is missing: say in a sentence what shall be done");
    if (strlen(goal) > GOAL_MAX)
        return err_set(err, -EINVAL, "goal has %zu bytes, at most %d are taken", strlen(goal),
                       GOAL_MAX);
    if (!a->eye)
        return err_set(err, -ENODEV, "the screen is not available: %s", a->display_error);

    if (worker_n_waiting(a->worker) >= WORKER_WAITING_MAX - 1)
        return err_set(err, -EBUSY, "the model has not come to %d older questions yet; wait a "
                                    "moment", worker_n_waiting(a->worker));

    struct policy_budget budget = policy_budget(a->policy);
    json_t *steps = json_object_get(params, "max_steps");
    json_t *seconds = json_object_get(params, "max_seconds");
    if ((steps && (!json_is_integer(steps) || json_integer_value(steps) < 1)) ||
        (seconds && (!json_is_number(seconds) || json_number_value(seconds) <= 0)))
        return err_set(err, -EINVAL, "max_steps and max_seconds must be positive numbers");

    struct view view;
    const char *adapter;
    float scale;
    if (view_read(params, &view, err) < 0 ||
        request_adapter(a, params, &adapter, &scale, err) < 0)
        return -EINVAL;

    struct vlm_info info;
    worker_info(a->worker, &info);
    int64_t id = store_task_add(a->store, goal, info.name, err);
    if (id < 0)
        return (int)id;
    task_done(&a->task);
    struct task *t = &a->task;
    t->id = id;
    t->goal = mem_strdup(goal);
    /* a client may ask for less than the policy grants, never for more */
    t->max_steps = budget.max_steps;
    if (steps && json_integer_value(steps) < t->max_steps)
        t->max_steps = (int)json_integer_value(steps);
    t->max_us = budget.max_us;
    if (seconds && json_number_value(seconds) * 1e6 < (double)t->max_us)
        t->max_us = (int64_t)(json_number_value(seconds) * 1e6);
    t->dry_run = json_is_true(json_object_get(params, "dry_run")) || a->o.dry_run;
    t->no_think = json_is_false(json_object_get(params, "think"));
    t->view = view;
    t->lora = mem_strdup(adapter);
    t->lora_scale = scale;
    t->began_us = clock_now_us();
    struct err e = {0};
    if (a->hand && a->eye && !t->dry_run && view_raise(a, &view, &e) < 0)
        agent_notice(a, "warn", "%s", e.text);
    task_set_state(a, TASK_RUNNING, "");
    step_begin(a);
    return 0;
}

void task_end(struct agent *a, enum ending ending, const char *fmt, ...)
{
    char reason[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(reason, sizeof reason, fmt, ap);
    va_end(ap);
    if (a->job)
        worker_cancel(a->worker, a->job);
    a->job = 0;
    step_cut(a, reason);
    if (a->hand)
        hand_stop(a->hand);
    int n = a->task.step.n;
    step_keep(a);
    step_done(&a->task.step);
    a->task.step.n = n;
    a->task.ending = ending;
    task_set_state(a, endings[ending].state, reason);
}

/* A budget or the loop guard ends the task here, in words. */
static bool is_over(struct agent *a)
{
    struct task *t = &a->task;
    int max_repeats = policy_budget(a->policy).max_repeats;
    if (t->n_repeats >= max_repeats)
        task_end(a, END_NO_EFFECT, "the same action had no effect %d times: %s", t->n_repeats,
                 str_cstr(&t->last_json));
    else if (t->n_refused >= REFUSALS_MAX)
        task_end(a, END_REFUSED, "%d actions in a row were refused", t->n_refused);
    else if (t->n_steps >= t->max_steps)
        task_end(a, END_BUDGET, "the budget of %d steps is used up", t->max_steps);
    else if (clock_now_us() - t->began_us > t->max_us)
        task_end(a, END_BUDGET, "the budget of %.0f seconds is used up", (double)t->max_us / 1e6);
    else
        return false;
    return true;
}

int task_forget(struct task *t)
{
    size_t n = t->history_sizes.n / sizeof(uint32_t), n_forget = (n + 3) / 4, bytes = 0;
    uint32_t size;
    for (size_t i = 0; i < n_forget; i++) {
        memcpy(&size, t->history_sizes.s + i * sizeof size, sizeof size);
        bytes += size;
    }
    AUTO(str_done) struct str history = t->history, sizes = t->history_sizes;
    t->history = (struct str){.max = history.max};
    t->history_sizes = (struct str){0};
    if (history.n > bytes)
        str_add(&t->history, history.s + bytes, history.n - bytes);
    if (n > n_forget)
        str_add(&t->history_sizes, sizes.s + n_forget * sizeof size, (n - n_forget) * sizeof size);
    return (int)n_forget;
}

static void add_to_history(struct agent *a, const char *note, const char *json)
{
    struct task *t = &a->task;
    AUTO(str_done) struct str line = {0};
    str_printf(&line, "Step %d: %s%s.", t->n_history++, note, json);
    int n, n_forgotten = 0;
    while (t->history.n + line.n > HISTORY_MAX && (n = task_forget(t)) > 0)
        n_forgotten += n;
    if (n_forgotten)
        agent_notice(a, "warn",
                     "the history is long: the oldest %d steps are no longer told to the model",
                     n_forgotten);
    uint32_t size = (uint32_t)line.n;
    str_add(&t->history, line.s, line.n);
    str_add(&t->history_sizes, (const char *)&size, sizeof size);
}

void task_note(struct agent *a)
{
    struct task *t = &a->task;
    struct step *s = &t->step;
    AUTO(str_done) struct str json = {0};
    action_history_json(&s->action, &json);

    /* the official history, with what the pixels said where it matters */
    const char *note = s->effect.kind == EFFECT_NO_EFFECT ? "No effect. "
                       : s->effect.kind == EFFECT_REFUSED ? "Refused. "
                                                          : "";
    add_to_history(a, note, str_cstr(&json));

    AUTO(str_done) struct str full = {0};
    action_json(&s->action, true, &full);
    bool same = str_eq(str_cstr(&full), str_cstr(&t->last_json));
    bool idle = s->effect.kind == EFFECT_NO_EFFECT;
    t->n_repeats = idle ? (same ? t->n_repeats + 1 : 1) : 0;
    str_reset(&t->last_json);
    str_puts(&t->last_json, str_cstr(&full));
    t->n_refused = s->effect.kind == EFFECT_REFUSED ? t->n_refused + 1 : 0;
}

void task_remember(struct agent *a)
{
    task_note(a);
    if (!is_over(a))
        step_begin(a);
}
