/* The inside of agent/: the task and its step, shared by step.c, agent.c, request.c. Loop thread,
 * except worker.c's own thread, which sees only jobs and news. */
#ifndef DESKHAND_AGENT_BRAIN_H
#define DESKHAND_AGENT_BRAIN_H

#include "actions/action.h"
#include "actions/grammar.h"
#include "actions/hand.h"
#include "agent/agent.h"
#include "agent/prompt.h"
#include "agent/store.h"
#include "agent/text.h"
#include "agent/worker.h"
#include "base/str.h"
#include "policies/policy.h"
#include "vision/capture.h"
#include "vision/place.h"

enum task_state {
    TASK_IDLE,
    TASK_RUNNING,
    TASK_PAUSED,
    TASK_APPROVAL,
    TASK_FINISHED,
    TASK_FAILED,
    TASK_STOPPED,
    TASK_NEEDS_USER,
};
const char *task_state_name(enum task_state s);

/* How a task ended, for programs: the "code" of docs/protocol.md. The row in task.c gives the name
 * and the state that goes with it. */
enum ending {
    END_NOT, /* it has not */
    END_FINISHED,
    END_NEEDS_USER,
    END_STOPPED,
    END_BUDGET,    /* steps or seconds are used up */
    END_REFUSED,   /* policy or user said no too often */
    END_NO_EFFECT, /* the same action did nothing, again and again */
    END_UNPARSED,  /* the model's answers held no action */
    END_DISPLAY,   /* the screen cannot be seen or reached */
    END_MODEL,     /* the engine failed */
    N_ENDINGS
};
const char *ending_code(enum ending e);
static inline bool task_state_is_live(enum task_state s)
{
    return s == TASK_RUNNING || s == TASK_PAUSED || s == TASK_APPROVAL;
}

/* Where the step stands on its straight line. Each phase has one function in step.c. */
enum phase {
    PHASE_SEE,
    PHASE_THINK,
    PHASE_APPROVAL,
    PHASE_RECHECK, /* approved: is it still the same target? */
    PHASE_ACT,
    PHASE_SETTLE
};

/* Which part of the screen the model is shown. */
enum view_kind {
    VIEW_AUTO,   /* the window where the screen is larger than what the model was trained on */
    VIEW_SCREEN, /* all of it */
    VIEW_WINDOW, /* the window with the focus and what is around it */
};
struct view {
    enum view_kind kind;
    uint32_t asker; /* the asking program's own window, which is not what is meant; 0: none */
    char name[128]; /* a part of the class or title of the window that is; empty: any */
    struct rect last; /* the part that was shown last */
};

struct step {
    int n; /* from 1, as people count; the history given to the model counts from 0 */
    struct frame before, after; /* of the screen */
    struct rect part;           /* of it that the model was shown */
    struct place place;
    struct action action;
    struct tally tally; /* of the looks that it comes from; n_looks 0: it was one */
    bool has_action;
    bool is_kept; /* the picture before it is in the history */
    bool is_told; /* its effect is reported and in the history */
    struct eye_window window;  /* that receives the action */
    struct verdict verdict;
    struct effect effect;
    char hash[33]; /* binds an approval to this action on this picture */
    int64_t refocus_us; /* the approved action's window was asked to take the focus back; 0: not */
    int64_t began_us, phase_us; /* of the step, of the present phase */
    int64_t saw_us;             /* its picture began to be taken */
    int64_t acted_us;           /* the last event went out */
    struct news_timing timing;
};

struct task {
    int64_t id;
    enum task_state state;
    enum ending ending;
    char *goal;
    char reason[512];
    bool dry_run, no_think;
    struct view view;
    char *lora; /* an adapter's name or NULL */
    float lora_scale;
    int max_steps;
    int64_t max_us;
    int64_t began_us; /* moved on by the time that the task was held */
    int64_t held_us;  /* since when it is paused or waits for an answer, 0 when it does not */
    int n_steps;          /* executed */
    int n_refused;        /* in a row */
    int n_unparsed;       /* answers without an action, in a row */
    int n_repeats;        /* of last_json with no effect */
    struct str last_json; /* the last action, for the loop guard */
    struct str history;   /* "Step 0: {...}.Step 1: ..." */
    int n_history;        /* the number that the next one gets */
    struct str history_sizes; /* uint32_t of each that is still there, oldest first */
    enum phase phase;
    struct step step;
    /* Ring of the latest actions' times, for rate rules: more than go out within a minute. */
    int64_t acts_us[1024];
    int n_acts;
};

/* A ground or ask request that waits for the worker or is with it. */
struct query {
    struct query *next;
    uint64_t job;
    bool is_ground;
    char *text;
    char url[64];
    json_t *id;
    agent_reply_fn *reply;
    void *cookie; /* NULL when the asker is gone */
    bool forgotten;
};

struct agent {
    struct agent_options o;
    char *model_dir, *state_dir, *policy_path, *display, *output;
    struct eye *eye;
    struct hand *hand;
    int64_t reconnect_us;
    char display_error[512]; /* why there is no eye */
    struct policy *policy;
    struct worker *worker;
    struct store *store;
    struct task task;
    uint64_t job; /* of the running step, 0 none */
    struct query *queries;
    struct shot {
        int64_t id;
        uint8_t *png;
        size_t n;
    } shots[8]; /* the latest screenshots asked for */
    int64_t n_shots;
};

/* view.c */
int view_read(json_t *params, struct view *ret, struct err *err); /* of a request */
/* The part of `whole`, the screen as it is now, that the model shall see. */
int view_choose(struct agent *a, struct view *v, const struct frame *whole, struct rect *ret,
                struct err *err);
/* A copy of the part; of everything, and *part says so, where it does not lie in the picture. */
void view_cut(const struct frame *whole, struct rect *part, struct frame *ret);
/* Brings the window that is meant to the front, if it is not the one with the focus. */
int view_raise(struct agent *a, const struct view *v, struct err *err);

/* step.c */
void step_begin(struct agent *a);
/* Runs the present phase; returns when it wants to run again (clock_now_us), -1 when woken. */
int64_t step_service(struct agent *a, int64_t now_us);
void step_think_news(struct agent *a, struct news *n);
/* The step ends here without an effect of its own; what had been sent already is told and kept,
 * so that the history lacks no action that went out. False: nothing had been sent. */
bool step_cut(struct agent *a, const char *why);
void step_refuse(struct agent *a, const char *why); /* the action is not carried out; go on */
void step_enter(struct agent *a, enum phase phase);
json_t *step_params(struct agent *a);
json_t *step_see_json(struct agent *a); /* params of the notifications `see` and `action` */
json_t *step_action_json(struct agent *a);
void step_done(struct step *s);
void step_keep(struct agent *a); /* writes the picture before the step, if it is not written yet */

/* judge.c: each ends by setting the phase or by concluding the step */
void judge(struct agent *a);
json_t *judge_json(struct agent *a); /* params of the notification `verdict` */
int64_t judge_wait(struct agent *a, int64_t now_us); /* PHASE_APPROVAL: the time limit */
void judge_answer(struct agent *a, bool yes, const char *who); /* who: the sentence for a no */
int64_t judge_again(struct agent *a, int64_t now_us); /* PHASE_RECHECK */
/* Is a window that shows the dashboard on the controlled screen? */
int judge_dashboard(struct agent *a, bool *ret, struct err *err);
bool judge_is_ours(const struct agent *a, const struct eye_window *w); /* does this one show it? */

/* task.c */
int task_start(struct agent *a, json_t *params, struct err *err);
void task_end(struct agent *a, enum ending ending, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Not for ends: see task_end(). */
void task_set_state(struct agent *a, enum task_state state, const char *reason);
void task_done(struct task *t);
/* Makes room where the model's context ends: the oldest quarter of the history, at least one step,
 * is no longer told to it. Returns how many; 0: there was none. */
int task_forget(struct task *t);
void task_note(struct agent *a);     /* adds the finished step to the prompt's history */
void task_remember(struct agent *a); /* the same, then the next step or the end */

/* effect.c */
void effect_check(const struct step *s, bool quiet, struct effect *ret);
/* Does `area` (screen pixels) look different, a blinking caret aside? typing: an insertion mark as
 * wide as a letter counts as a caret. */
bool effect_changed(const struct frame *before, const struct frame *after, struct rect area,
                    bool typing);

/* agent.c */
void agent_event(struct agent *a, const char *method, json_t *params);
void agent_notice(struct agent *a, const char *level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void agent_display_lost(struct agent *a, const char *why);
json_t *agent_rect_json(struct rect r);
/* "looks" and "agree", if it looked more than once */
void agent_add_tally(const struct tally *t, json_t *j);

/* request.c */
/* The adapter that a request names (NULL: none), which is loaded, and its scale (0: 1). */
int request_adapter(struct agent *a, json_t *params, const char **ret_name, float *ret_scale,
                    struct err *err);
void request_news(struct agent *a, struct news *n);

/* launch.c: programs for ACTION_OPEN, windows for ACTION_APPSWITCH */
/* display: where its windows shall be, NULL: as in the environment. */
int launch_program(const char *name, const char *display, struct err *err);
int launch_switch(struct agent *a, const char *name, struct err *err);

#endif
