/* (action, context) -> verdict. Pure: reads a rule set and a context, executes nothing.
 * Strictest wins over all rules that match; without a match the file's default decides. */
#ifndef DESKHAND_POLICIES_POLICY_H
#define DESKHAND_POLICIES_POLICY_H

#include "base/err.h"
#include "base/flow.h"

struct policy;

/* YAML as documented in docs/policies.md. An unknown key, kind or a bad pattern is an error that
 * names the line. */
int policy_load(const char *path, struct policy **ret, struct err *err);
int policy_parse(const char *yaml, size_t n, const char *name, struct policy **ret,
                 struct err *err);
/* The built-in safe default (the text of policies/policies.yaml, compiled in). */
int policy_default(struct policy **ret, struct err *err);
const char *policy_default_text(void);
void policy_free(struct policy *p);

struct policy_context {
    /* The window that receives the action: under the point for pointer actions, the one with the
     * focus for keyboard actions. Untrusted text; "" when there is none. */
    const char *window_class, *window_title;
    struct rect screen;
    int n_steps;            /* steps executed in this task, not counting this one */
    int64_t task_us;        /* since the task began */
    int n_repeats;          /* times the same action was already done on an unchanged screen */
    int n_actions_last_minute;
    bool own_window;        /* the target is a page or window of Deskhand itself */
    int n_looks;            /* that the model had at the screen, where a vote was held; else 0 */
    int sure;               /* of it, in percent (agent/vote.h) */
};
void policy_judge(const struct policy *p, const struct action *a, const struct policy_context *c,
                  struct verdict *ret);

struct policy_budget {
    int max_steps;      /* a task */
    int64_t max_us;     /* a task */
    int max_repeats;    /* of one action on an unchanged screen */
};
struct policy_budget policy_budget(const struct policy *p);

#endif
