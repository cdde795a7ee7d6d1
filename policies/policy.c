/* Judging: every rule is looked at, the strictest verdict of those that match is the answer.
 *
 * A rule matches when all of its conditions do. Patterns run on text from strangers (window titles,
 * model output), so PCRE2 works under a match limit; a pattern that gives up counts as a match in
 * a rule that confirms or denies and as no match in one that allows: doubt never opens a door.
 * Pure: no clock, no files, no X. */
#include "policies/policy.h"
#include "policies/rules.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

static bool re_matches(const struct policy *p, const struct rule *r, pcre2_code *re, const char *s)
{
    pcre2_match_data *md = pcre2_match_data_create(1, NULL);
    CHECK(md);
    int rc = pcre2_match(re, (PCRE2_SPTR)s, strlen(s), 0, 0, md, p->limits);
    pcre2_match_data_free(md);
    if (rc >= 0)
        return true;
    return rc != PCRE2_ERROR_NOMATCH && r->verdict != VERDICT_ALLOW;
}

static int count_characters(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static bool keys_match(const struct rule *r, const struct action *a)
{
    if (a->kind != ACTION_PRESS)
        return false;
    struct chord c = {0};
    bool readable = true;
    for (int i = 0; i < a->n_keys; i++)
        readable = readable && chord_add(&c, a->keys[i]);
    if (!readable) /* no chord we can name: in doubt as above */
        return r->verdict != VERDICT_ALLOW;
    for (int i = 0; i < r->n_chords; i++)
        if (chord_matches(&r->chords[i], &c, r->verdict == VERDICT_ALLOW))
            return true;
    return false;
}

static bool rule_matches(const struct policy *p, const struct rule *r, const struct action *a,
                         const struct policy_context *c)
{
    if (r->kinds && !(r->kinds & 1u << a->kind))
        return false;
    if (r->own_window >= 0 && (bool)r->own_window != c->own_window)
        return false;
    if (r->rate >= 0 && c->n_actions_last_minute < r->rate)
        return false;
    if (r->step_over >= 0 && c->n_steps < r->step_over)
        return false;
    if (r->sure_below >= 0 && (!c->n_looks || c->sure >= r->sure_below))
        return false;
    if (r->has_region) {
        bool start = a->has_start && rect_has(r->region, a->start_px);
        bool end = a->has_end && rect_has(r->region, a->end_px);
        /* a drag is allowed by a region only as a whole, and stopped by either end */
        if (r->verdict == VERDICT_ALLOW ? !start || (a->has_end && !end) : !start && !end)
            return false;
    }
    if (r->min_text >= 0 || r->max_text >= 0) {
        int n = a->text ? count_characters(a->text) : -1;
        if (n < 0 || n < r->min_text || (r->max_text >= 0 && n > r->max_text))
            return false;
    }
    if (r->n_chords && !keys_match(r, a))
        return false;
    if (r->class_re && !re_matches(p, r, r->class_re, or_empty(c->window_class)))
        return false;
    if (r->title_re && !re_matches(p, r, r->title_re, or_empty(c->window_title)))
        return false;
    return !r->text_re || (a->text && re_matches(p, r, r->text_re, a->text));
}

static void decide(struct verdict *v, enum verdict_kind kind, const char *rule, const char *reason)
{
    v->kind = kind;
    snprintf(v->rule, sizeof v->rule, "%s", rule);
    snprintf(v->reason, sizeof v->reason, "%s", reason);
}

/* What ends a task is never stopped by a budget. */
static bool over_budget(const struct policy *p, const struct action *a,
                        const struct policy_context *c, struct verdict *ret)
{
    char reason[256];
    const struct policy_budget *b = &p->budget;
    if (a->kind == ACTION_FINISHED || a->kind == ACTION_CALL_USER)
        return false;
    if (c->n_steps >= b->max_steps)
        snprintf(reason, sizeof reason, "the task has used its %d steps", b->max_steps);
    else if (c->task_us >= b->max_us)
        snprintf(reason, sizeof reason, "the task has used its %lld seconds",
                 (long long)(b->max_us / 1000000));
    else if (c->n_repeats >= b->max_repeats)
        snprintf(reason, sizeof reason,
                 "the same action was already done %d times and the screen did not change",
                 c->n_repeats);
    else
        return false;
    decide(ret, VERDICT_DENY, "budgets", reason);
    return true;
}

void policy_judge(const struct policy *p, const struct action *a, const struct policy_context *c,
                  struct verdict *ret)
{
    const struct rule *strictest = NULL;
    for (int i = 0; i < p->n_rules; i++) {
        const struct rule *r = &p->rules[i];
        if ((!strictest || r->verdict > strictest->verdict) && rule_matches(p, r, a, c))
            strictest = r;
    }
    *ret = (struct verdict){0};
    if ((!strictest || strictest->verdict < VERDICT_DENY) && over_budget(p, a, c, ret))
        return;
    if (strictest) {
        decide(ret, strictest->verdict, strictest->name, strictest->reason);
        return;
    }
    static const char *const reasons[] = {"no rule speaks against it",
                                          "no rule allows it, so it needs your approval",
                                          "no rule allows it"};
    decide(ret, p->fallback, "", reasons[p->fallback]);
}

struct policy_budget policy_budget(const struct policy *p)
{
    return p->budget;
}

void policy_free(struct policy *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->n_rules; i++) {
        pcre2_code_free(p->rules[i].class_re);
        pcre2_code_free(p->rules[i].title_re);
        pcre2_code_free(p->rules[i].text_re);
        free(p->rules[i].chords);
    }
    free(p->rules);
    pcre2_match_context_free(p->limits);
    free(p);
}
