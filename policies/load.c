/* Reading a policy: YAML into rules, with every mistake named by file, line and key.
 *
 * libyaml's document API gives a tree of nodes with marks; the walk below knows every key by a
 * table and refuses the rest, because a rule with a misspelt condition would match more than its
 * author meant. Aliases are shared nodes in that tree, so they cannot blow it up. */
#include "policies/policy.h"
#include "policies/rules.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#define MAX_FILE ((size_t)1 << 20)
#define MATCH_LIMIT 100000
#define DEPTH_LIMIT 5000
#define HEAP_LIMIT_KIB 4096

extern const char policies_default_yaml[];

struct loader {
    yaml_document_t doc;
    const char *name;
    struct policy *policy;
    struct err *err;
};

static int fail(struct loader *l, const yaml_node_t *node, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct loader *l, const yaml_node_t *node, const char *fmt, ...)
{
    char text[360];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(l->err, -EINVAL, "%s:%zu: %s", l->name, node->start_mark.line + 1, text);
}

/* The text of a scalar, or NULL after a failure. */
static const char *scalar(struct loader *l, const yaml_node_t *node, const char *key)
{
    if (node->type != YAML_SCALAR_NODE) {
        fail(l, node, "\"%s\" must be a single value", key);
        return NULL;
    }
    const char *s = (const char *)node->data.scalar.value;
    if (strlen(s) != node->data.scalar.length) {
        fail(l, node, "\"%s\" contains a NUL character", key);
        return NULL;
    }
    return s;
}

static int get_int(struct loader *l, const yaml_node_t *node, const char *key, int min, int max,
                   int *ret)
{
    const char *s = scalar(l, node, key);
    if (!s)
        return -EINVAL;
    char *end;
    errno = 0;
    long v = strtol(s, &end, 10);
    if (errno || end == s || *end || v < min || v > max)
        return fail(l, node, "\"%s\" must be a whole number from %d to %d, not \"%s\"", key, min,
                    max, s);
    *ret = (int)v;
    return 0;
}

static int get_verdict(struct loader *l, const yaml_node_t *node, const char *key,
                       enum verdict_kind *ret)
{
    const char *s = scalar(l, node, key);
    if (!s)
        return -EINVAL;
    for (int k = VERDICT_ALLOW; k <= VERDICT_DENY; k++)
        if (strcmp(s, verdict_kind_name((enum verdict_kind)k)) == 0) {
            *ret = (enum verdict_kind)k;
            return 0;
        }
    return fail(l, node, "\"%s\" must be allow, confirm or deny, not \"%s\"", key, s);
}

static int get_line(struct loader *l, const yaml_node_t *node, const char *key, char *ret,
                    size_t size)
{
    const char *s = scalar(l, node, key);
    if (!s)
        return -EINVAL;
    if (!*s || strlen(s) >= size)
        return fail(l, node, "\"%s\" must have 1 to %zu bytes", key, size - 1);
    for (const char *c = s; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return fail(l, node, "\"%s\" must be one line", key);
    memcpy(ret, s, strlen(s) + 1);
    return 0;
}

/* Calls fn for each item of a list, or once for a single value. */
static int each(struct loader *l, const yaml_node_t *node, const char *key,
                int (*fn)(struct loader *, const yaml_node_t *, const char *, struct rule *),
                struct rule *r)
{
    if (node->type != YAML_SEQUENCE_NODE)
        return fn(l, node, key, r);
    if (node->data.sequence.items.start == node->data.sequence.items.top)
        return fail(l, node, "\"%s\" is an empty list", key);
    for (yaml_node_item_t *i = node->data.sequence.items.start;
         i < node->data.sequence.items.top; i++) {
        int rc = fn(l, yaml_document_get_node(&l->doc, *i), key, r);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int add_kind(struct loader *l, const yaml_node_t *node, const char *key, struct rule *r)
{
    static const struct {
        const char *name;
        unsigned kinds;
    } groups[] = {
        {"pointer", 1u << ACTION_CLICK | 1u << ACTION_DOUBLE_CLICK | 1u << ACTION_RIGHT_CLICK |
                        1u << ACTION_MIDDLE_CLICK | 1u << ACTION_LONGPRESS | 1u << ACTION_HOVER |
                        1u << ACTION_DRAG | 1u << ACTION_SCROLL},
        {"keyboard", 1u << ACTION_INPUT | 1u << ACTION_PRESS | 1u << ACTION_SELECT},
    };
    const char *s = scalar(l, node, key);
    if (!s)
        return -EINVAL;
    for (int k = 0; k < N_ACTION_KINDS; k++)
        if (strcmp(s, action_kind_name((enum action_kind)k)) == 0) {
            r->kinds |= 1u << k;
            return 0;
        }
    for (size_t i = 0; i < N_ELEMENTS(groups); i++)
        if (strcmp(s, groups[i].name) == 0) {
            r->kinds |= groups[i].kinds;
            return 0;
        }
    return fail(l, node, "there is no action \"%s\"", s);
}

static int add_chord(struct loader *l, const yaml_node_t *node, const char *key, struct rule *r)
{
    const char *s = scalar(l, node, key);
    if (!s)
        return -EINVAL;
    struct chord c = {0};
    if (!chord_add(&c, s))
        return fail(l, node, "\"%s\" is no key chord (such as ctrl+alt+f*)", s);
    r->chords = mem_realloc(r->chords, (size_t)(r->n_chords + 1) * sizeof *r->chords);
    r->chords[r->n_chords++] = c;
    return 0;
}

static int get_region(struct loader *l, const yaml_node_t *node, struct rule *r)
{
    int v[4], n = 0;
    if (node->type == YAML_SEQUENCE_NODE)
        for (yaml_node_item_t *i = node->data.sequence.items.start;
             i < node->data.sequence.items.top; i++, n++) {
            if (n == 4)
                break;
            int rc = get_int(l, yaml_document_get_node(&l->doc, *i), "region", n < 2 ? -32768 : 1,
                             32767, &v[n]);
            if (rc < 0)
                return rc;
        }
    if (n != 4 || node->data.sequence.items.top - node->data.sequence.items.start != 4)
        return fail(l, node, "\"region\" must be a list of four numbers: x, y, width, height");
    r->has_region = true;
    r->region = (struct rect){v[0], v[1], v[2], v[3]};
    return 0;
}

static int get_regex(struct loader *l, const yaml_node_t *node, const char *key, pcre2_code **ret)
{
    const char *s = scalar(l, node, key);
    if (!s)
        return -EINVAL;
    int code;
    PCRE2_SIZE at;
    *ret = pcre2_compile((PCRE2_SPTR)s, strlen(s),
                         PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &at,
                         NULL);
    if (*ret)
        return 0;
    char why[120] = "";
    pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
    return fail(l, node, "the pattern of \"%s\" is wrong at its character %zu: %s", key,
                (size_t)at + 1, why);
}

static int get_bool(struct loader *l, const yaml_node_t *node, const char *key, int *ret)
{
    const char *s = scalar(l, node, key);
    if (!s)
        return -EINVAL;
    if (strcmp(s, "true") != 0 && strcmp(s, "false") != 0)
        return fail(l, node, "\"%s\" must be true or false, not \"%s\"", key, s);
    *ret = *s == 't';
    return 0;
}

/* A mapping whose keys are all in `known`; fn(index of the key, value). Duplicates are refused. */
static int map_each(struct loader *l, const yaml_node_t *node, const char *what,
                    const char *const *known, int n_known,
                    int (*fn)(struct loader *, int, const yaml_node_t *, void *), void *user)
{
    if (node->type != YAML_MAPPING_NODE)
        return fail(l, node, "%s must be a mapping (key: value)", what);
    unsigned seen = 0;
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
         p++) {
        const yaml_node_t *knode = yaml_document_get_node(&l->doc, p->key);
        const char *key = scalar(l, knode, "key");
        if (!key)
            return -EINVAL;
        int k = 0;
        while (k < n_known && strcmp(key, known[k]) != 0)
            k++;
        if (k == n_known) {
            struct str list = {0};
            for (int i = 0; i < n_known; i++)
                str_printf(&list, "%s%s", i ? ", " : "", known[i]);
            fail(l, knode, "unknown key \"%.60s\" in %s (known: %s)", key, what, str_cstr(&list));
            str_done(&list);
            return -EINVAL;
        }
        if (seen & 1u << k)
            return fail(l, knode, "\"%s\" is given twice in %s", key, what);
        seen |= 1u << k;
        int rc = fn(l, k, yaml_document_get_node(&l->doc, p->value), user);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static const char *const match_keys[] = {"action",   "class",    "title", "region",    "keys",
                                         "text",     "min_text", "max_text", "rate", "step_over",
                                         "own_window", "sure_below"};

static int load_match(struct loader *l, int key, const yaml_node_t *v, void *user)
{
    struct rule *r = user;
    const char *name = match_keys[key];
    switch (key) {
    case 0: return each(l, v, name, add_kind, r);
    case 1: return get_regex(l, v, name, &r->class_re);
    case 2: return get_regex(l, v, name, &r->title_re);
    case 3: return get_region(l, v, r);
    case 4: return each(l, v, name, add_chord, r);
    case 5: return get_regex(l, v, name, &r->text_re);
    case 6: return get_int(l, v, name, 0, ACTION_MAX_TEXT, &r->min_text);
    case 7: return get_int(l, v, name, 0, ACTION_MAX_TEXT, &r->max_text);
    case 8: return get_int(l, v, name, 0, 1000000, &r->rate);
    case 9: return get_int(l, v, name, 0, 1000000, &r->step_over);
    case 10: return get_bool(l, v, name, &r->own_window);
    default: return get_int(l, v, name, 1, 100, &r->sure_below);
    }
}

static const char *const rule_keys[] = {"name", "match", "verdict", "reason"};

struct rule_load {
    struct rule *rule;
    bool has_verdict, has_match;
};

static int load_rule_key(struct loader *l, int key, const yaml_node_t *v, void *user)
{
    struct rule_load *rl = user;
    switch (key) {
    case 0: return get_line(l, v, "name", rl->rule->name, sizeof rl->rule->name);
    case 1:
        rl->has_match = true;
        return map_each(l, v, "\"match\"", match_keys, (int)N_ELEMENTS(match_keys), load_match,
                        rl->rule);
    case 2: rl->has_verdict = true; return get_verdict(l, v, "verdict", &rl->rule->verdict);
    default: return get_line(l, v, "reason", rl->rule->reason, sizeof rl->rule->reason);
    }
}

static int load_rule(struct loader *l, const yaml_node_t *node)
{
    struct policy *p = l->policy;
    if (p->n_rules == POLICY_MAX_RULES)
        return fail(l, node, "more than %d rules", POLICY_MAX_RULES);
    p->rules = mem_realloc(p->rules, (size_t)(p->n_rules + 1) * sizeof *p->rules);
    struct rule *r = &p->rules[p->n_rules++];
    *r = (struct rule){.min_text = -1, .max_text = -1, .rate = -1, .step_over = -1,
                       .own_window = -1, .sure_below = -1};
    struct rule_load rl = {.rule = r};
    int rc = map_each(l, node, "a rule", rule_keys, (int)N_ELEMENTS(rule_keys), load_rule_key, &rl);
    if (rc < 0)
        return rc;
    if (!r->name[0])
        return fail(l, node, "a rule needs a \"name\"");
    for (int i = 0; i + 1 < p->n_rules; i++)
        if (strcmp(p->rules[i].name, r->name) == 0)
            return fail(l, node, "there are two rules named \"%s\"", r->name);
    if (!rl.has_verdict)
        return fail(l, node, "the rule \"%s\" needs a \"verdict\"", r->name);
    if (!rl.has_match)
        return fail(l, node, "the rule \"%s\" needs a \"match\"", r->name);
    if (r->max_text >= 0 && r->max_text < r->min_text)
        return fail(l, node, "the rule \"%s\" has max_text below min_text", r->name);
    if (!r->reason[0])
        snprintf(r->reason, sizeof r->reason, "the rule \"%s\" matches", r->name);
    return 0;
}

static const char *const budget_keys[] = {"steps", "seconds", "repeats"};

static int load_budget(struct loader *l, int key, const yaml_node_t *v, void *user)
{
    struct policy_budget *b = user;
    int seconds;
    switch (key) {
    case 0: return get_int(l, v, "steps", 1, 100000, &b->max_steps);
    case 1: {
        int rc = get_int(l, v, "seconds", 1, 1000000, &seconds);
        if (rc == 0)
            b->max_us = (int64_t)seconds * 1000000;
        return rc;
    }
    default: return get_int(l, v, "repeats", 1, 1000, &b->max_repeats);
    }
}

static const char *const top_keys[] = {"default", "budgets", "rules"};

static int load_top(struct loader *l, int key, const yaml_node_t *v, void *user)
{
    if (key == 0)
        return get_verdict(l, v, "default", &l->policy->fallback);
    if (key == 1)
        return map_each(l, v, "\"budgets\"", budget_keys, (int)N_ELEMENTS(budget_keys),
                        load_budget, &l->policy->budget);
    if (v->type != YAML_SEQUENCE_NODE)
        return fail(l, v, "\"rules\" must be a list");
    for (yaml_node_item_t *i = v->data.sequence.items.start; i < v->data.sequence.items.top; i++) {
        int rc = load_rule(l, yaml_document_get_node(&l->doc, *i));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static struct policy *policy_new(void)
{
    struct policy *p = mem_zalloc(sizeof *p);
    p->fallback = VERDICT_CONFIRM; /* a file that does not say is read carefully */
    p->budget = (struct policy_budget){40, (int64_t)600 * 1000000, 3};
    p->limits = pcre2_match_context_create(NULL);
    CHECK(p->limits);
    pcre2_set_match_limit(p->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(p->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(p->limits, HEAP_LIMIT_KIB);
    return p;
}

/* One document and no second one. */
static int load_document(struct loader *l, yaml_parser_t *y)
{
    yaml_document_t more;
    if (!yaml_parser_load(y, &l->doc))
        return err_set(l->err, -EINVAL, "%s:%zu: %s", l->name, y->problem_mark.line + 1,
                       y->problem ? y->problem : "not YAML");
    yaml_node_t *root = yaml_document_get_root_node(&l->doc);
    int rc = root ? map_each(l, root, "a policy", top_keys, (int)N_ELEMENTS(top_keys), load_top,
                             NULL)
                  : err_set(l->err, -EINVAL, "%s:1: the policy is empty", l->name);
    if (rc == 0) {
        if (!yaml_parser_load(y, &more)) {
            rc = err_set(l->err, -EINVAL, "%s:%zu: %s", l->name, y->problem_mark.line + 1,
                         y->problem ? y->problem : "not YAML");
        } else {
            yaml_node_t *second = yaml_document_get_root_node(&more);
            if (second)
                rc = fail(l, second, "a second document; a policy is one");
            yaml_document_delete(&more);
        }
    }
    yaml_document_delete(&l->doc);
    return rc;
}

int policy_parse(const char *yaml, size_t n, const char *name, struct policy **ret,
                 struct err *err)
{
    if (n > MAX_FILE)
        return err_set(err, -EINVAL, "%s has %zu bytes, a policy may have at most %zu", name, n,
                       MAX_FILE);
    struct loader l = {.name = name, .policy = policy_new(), .err = err};
    yaml_parser_t y;
    CHECK(yaml_parser_initialize(&y));
    yaml_parser_set_input_string(&y, (const unsigned char *)yaml, n);
    int rc = load_document(&l, &y);
    yaml_parser_delete(&y);
    if (rc < 0) {
        policy_free(l.policy);
        return rc;
    }
    *ret = l.policy;
    return 0;
}

int policy_load(const char *path, struct policy **ret, struct err *err)
{
    AUTO_FREE char *text = NULL;
    size_t n;
    int rc = file_read(path, MAX_FILE, &text, &n, err);
    return rc < 0 ? rc : policy_parse(text, n, path, ret, err);
}

const char *policy_default_text(void)
{
    return policies_default_yaml;
}

int policy_default(struct policy **ret, struct err *err)
{
    const char *text = policy_default_text();
    return policy_parse(text, strlen(text), "built-in policy", ret, err);
}
