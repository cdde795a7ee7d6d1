/* JUDGE: what the policy says about an action, and whether a person's yes still holds.
 *
 * The policy is asked about the window that will receive the action. A yes is for one action on one
 * picture: its hash names both and works once. Between the question and the yes the desk may have
 * moved on, so before the hand acts the target is looked at again: it must be the same window with
 * the same pixels, and the policy must not have become stricter. Answering on the controlled screen
 * itself takes the focus away from the target, so an approved key action gives it back first.
 *
 * The agent must not say yes to itself. Windows that show the dashboard are its own, with every
 * other window of the same browser process; the policy sees that as own_window. And as long as such
 * a window is on the controlled screen, a yes from a browser is not taken at all. */
#include "agent/brain.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define APPROVAL_US 120000000 /* a question that nobody answers is a no */
#define REFOCUS_US 1500000    /* a window manager has so long to give the focus back */
#define REFOCUS_SHOW_US 200000 /* and the program so long to show that it has it */
#define REFOCUS_POLL_US 20000
#define MINUTE_US 60000000
#define AROUND_PX 48          /* of the target point: what must not have changed */

/* own windows */

static bool title_is_ours(const struct agent *a, const char *title)
{
    char place[32];
    if (strstr(title, "Deskhand dashboard"))
        return true;
    if (!a->o.own_port)
        return false;
    snprintf(place, sizeof place, "127.0.0.1:%u", a->o.own_port);
    if (strstr(title, place))
        return true;
    snprintf(place, sizeof place, "localhost:%u", a->o.own_port);
    return strstr(title, place) != NULL;
}

/* Is it a window that shows the dashboard, or another one of the program that does? A menu or a
 * dialog of the browser has a title of its own. */
static bool window_is_ours(const struct agent *a, const struct eye_window *w,
                           const struct eye_window *list, int n)
{
    if (title_is_ours(a, w->title))
        return true;
    for (int i = 0; i < n; i++)
        if (w->pid && w->pid == list[i].pid && str_eq(w->class_name, list[i].class_name) &&
            title_is_ours(a, list[i].title))
            return true;
    return false;
}

bool judge_is_ours(const struct agent *a, const struct eye_window *w)
{
    return title_is_ours(a, w->title);
}

int judge_dashboard(struct agent *a, bool *ret, struct err *err)
{
    AUTO_FREE struct eye_window *list = NULL;
    int n = 0;
    int rc = eye_windows(a->eye, &list, &n, err);
    if (rc < 0)
        return rc;
    *ret = false;
    for (int i = 0; i < n; i++)
        *ret = *ret || title_is_ours(a, list[i].title);
    return 0;
}

/* the verdict */

static int find_target(struct agent *a, struct eye_window *ret, struct err *err)
{
    const struct action *act = &a->task.step.action;
    /* text with a point is typed after a click there, so that window gets the keys */
    if (act->has_start && act->kind != ACTION_PRESS)
        return eye_window_at(a->eye, act->start_px, ret, err);
    return eye_window_focus(a->eye, ret, err);
}

static int ask_policy(struct agent *a, struct eye_window *ret_window, struct verdict *ret,
                      struct err *err)
{
    struct task *t = &a->task;
    struct step *s = &t->step;
    struct eye_window end = {0};
    AUTO_FREE struct eye_window *list = NULL;
    int n = 0;
    int rc = find_target(a, ret_window, err);
    if (rc == 0 && s->action.has_end)
        rc = eye_window_at(a->eye, s->action.end_px, &end, err);
    if (rc == 0)
        rc = eye_windows(a->eye, &list, &n, err);
    if (rc < 0)
        return rc;

    AUTO(str_done) struct str json = {0};
    action_json(&s->action, true, &json);
    int64_t now = clock_now_us();
    int recent = 0;
    for (int i = 0; i < MIN(t->n_acts, (int)N_ELEMENTS(t->acts_us)); i++)
        recent += now - t->acts_us[i] < MINUTE_US;
    struct policy_context context = {
        .window_class = ret_window->class_name,
        .window_title = ret_window->title,
        .screen = s->place.screen,
        .n_steps = t->n_steps,
        .task_us = now - t->began_us,
        .n_repeats = str_eq(str_cstr(&json), str_cstr(&t->last_json)) ? t->n_repeats : 0,
        .n_actions_last_minute = recent,
        .n_looks = s->tally.n_looks,
        .sure = s->tally.sure,
        .own_window = window_is_ours(a, ret_window, list, n) ||
                      (s->action.has_end && window_is_ours(a, &end, list, n)),
    };
    policy_judge(a->policy, &s->action, &context, ret);
    return 0;
}

static void bind_hash(struct step *s)
{
    uint64_t h = 1469598103934665603u, nonce = 0;
    AUTO(str_done) struct str json = {0};
    action_json(&s->action, true, &json);
    for (size_t i = 0; i < json.n; i++)
        h = (h ^ (uint8_t)json.s[i]) * 1099511628211u;
    size_t n = (size_t)s->before.w * (size_t)s->before.h * 3;
    for (size_t i = 0; i < n; i += 97)
        h = (h ^ s->before.rgb[i]) * 1099511628211u;
    if (getrandom(&nonce, sizeof nonce, 0) != sizeof nonce)
        nonce = (uint64_t)clock_wall_us();
    snprintf(s->hash, sizeof s->hash, "%016llx%016llx", (unsigned long long)h,
             (unsigned long long)nonce);
}

static void no_answer_from_x(struct agent *a, const struct err *err)
{
    if (eye_is_dead(a->eye))
        agent_display_lost(a, err->text);
    else
        step_refuse(a, err->text);
}

json_t *judge_json(struct agent *a)
{
    const struct step *s = &a->task.step;
    json_t *j = step_params(a);
    json_object_set_new(j, "verdict", json_string(verdict_kind_name(s->verdict.kind)));
    json_object_set_new(j, "rule", text_json(s->verdict.rule));
    json_object_set_new(j, "reason", text_json(s->verdict.reason));
    json_object_set_new(j, "hash", json_string(s->hash));
    json_object_set_new(j, "window_class", text_json(s->window.class_name));
    json_object_set_new(j, "window_title", text_json(s->window.title));
    return j;
}

void judge(struct agent *a)
{
    struct step *s = &a->task.step;
    struct err err = {0};
    if (ask_policy(a, &s->window, &s->verdict, &err) < 0) {
        no_answer_from_x(a, &err);
        return;
    }
    bind_hash(s);
    agent_event(a, "verdict", judge_json(a));

    switch (s->verdict.kind) {
    case VERDICT_ALLOW:
        step_enter(a, PHASE_ACT);
        break;
    case VERDICT_CONFIRM:
        step_enter(a, PHASE_APPROVAL);
        task_set_state(a, TASK_APPROVAL, s->verdict.reason);
        break;
    case VERDICT_DENY:
        step_refuse(a, s->verdict.reason);
        break;
    }
}

/* approvals */

int64_t judge_wait(struct agent *a, int64_t now_us)
{
    int64_t limit_us = a->o.approval_us > 0 ? a->o.approval_us : APPROVAL_US;
    int64_t until_us = a->task.step.phase_us + limit_us;
    char why[96];
    if (now_us < until_us)
        return until_us;
    snprintf(why, sizeof why, "nobody answered the question within %.3g seconds",
             (double)limit_us / 1e6);
    judge_answer(a, false, why);
    return now_us;
}

void judge_answer(struct agent *a, bool yes, const char *who)
{
    struct step *s = &a->task.step;
    struct eye_window focus;
    task_set_state(a, TASK_RUNNING, "");
    if (!yes) {
        step_refuse(a, who);
        return;
    }
    s->hash[0] = 0; /* used */
    bool by_focus = action_table[s->action.kind].touches && !s->action.has_start;
    if (by_focus && s->window.id && eye_window_focus(a->eye, &focus, NULL) == 0 &&
        focus.id != s->window.id &&
        hand_activate(a->hand, s->window.id, NULL) == 0)
        s->refocus_us = clock_now_us();
    step_enter(a, PHASE_RECHECK);
}

static const char *const is_another =
    "the window that would receive the action is another one than when you were asked";
static const char *const has_changed =
    "the screen changed at the target between the question and the approval";

/* Do the two pictures agree where the action would land? */
static bool target_changed(const struct step *s, const struct frame *now)
{
    const struct action *act = &s->action;
    const struct screen_pt points[] = {act->start_px, act->end_px};
    const bool has[] = {act->has_start, act->has_end};
    if (!act->has_start)
        return effect_changed(&s->before, now, s->window.id ? s->window.rect : s->before.screen,
                              true);
    for (int i = 0; i < 2; i++) {
        struct rect around = {points[i].x - AROUND_PX, points[i].y - AROUND_PX, 2 * AROUND_PX,
                              2 * AROUND_PX};
        if (has[i] && effect_changed(&s->before, now, around, false))
            return true;
    }
    return false;
}

int64_t judge_again(struct agent *a, int64_t now_us)
{
    struct step *s = &a->task.step;
    struct eye_window window;
    struct verdict verdict;
    struct frame now = {0};
    struct err err = {0};
    if (!action_table[s->action.kind].touches) { /* has no target on the screen */
        step_enter(a, PHASE_ACT);
        return now_us;
    }
    int rc = ask_policy(a, &window, &verdict, &err);
    int64_t waited_us = now_us - s->refocus_us;
    if (rc == 0 && s->refocus_us &&
        waited_us < (window.id == s->window.id ? REFOCUS_SHOW_US : REFOCUS_US))
        return now_us + REFOCUS_POLL_US;
    if (rc == 0)
        rc = eye_capture(a->eye, &now, &err);
    if (rc < 0)
        no_answer_from_x(a, &err);
    else if (verdict.kind == VERDICT_DENY)
        step_refuse(a, verdict.reason);
    else if (window.id != s->window.id)
        step_refuse(a, is_another);
    else if (target_changed(s, &now))
        step_refuse(a, has_changed);
    else
        step_enter(a, PHASE_ACT);
    frame_done(&now);
    return now_us;
}
