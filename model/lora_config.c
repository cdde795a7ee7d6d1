/* PEFT 0.17's LoraConfig (src/peft/tuners/lora/config.py), read as its loader reads it:
 * target_modules is a regular expression for the whole name, or a list of last parts; the keys of
 * rank_pattern and alpha_pattern are expressions for the end of a name, the first that fits counts.
 *
 * A key that is not known and not empty may ask for anything, so it is refused. */
#include "model/lora_config.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define CONFIG_MAX ((size_t)4 << 20)
#define PATTERNS_MAX 4096
#define MATCH_LIMIT 50000
#define RANK_MAX 4096

struct pattern {
    pcre2_code *code;
    double value;
};

struct patterns {
    struct pattern *p;
    int n;
};

struct lora_config {
    bool all_linear;
    pcre2_code *target; /* or the list: */
    char **names;
    int n_names;
    int r;
    double alpha;
    bool rslora;
    struct patterns ranks, alphas;
    pcre2_match_context *limits;
    pcre2_match_data *match;
};

void lora_config_free(struct lora_config *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n_names; i++)
        free(c->names[i]);
    free(c->names);
    for (int i = 0; i < c->ranks.n; i++)
        pcre2_code_free(c->ranks.p[i].code);
    for (int i = 0; i < c->alphas.n; i++)
        pcre2_code_free(c->alphas.p[i].code);
    free(c->ranks.p);
    free(c->alphas.p);
    pcre2_code_free(c->target);
    pcre2_match_context_free(c->limits);
    pcre2_match_data_free(c->match);
    free(c);
}

static int compile(const char *text, pcre2_code **ret, struct err *err)
{
    int code;
    PCRE2_SIZE at;

    *ret = pcre2_compile((PCRE2_SPTR)text, strlen(text), PCRE2_ANCHORED | PCRE2_ENDANCHORED, &code,
                         &at, NULL);
    if (*ret)
        return 0;
    PCRE2_UCHAR why[120];
    pcre2_get_error_message(code, why, sizeof(why));
    return err_set(err, -EINVAL, "The expression \"%.100s\" cannot be read at character %zu: %s.",
                   text, (size_t)at, (const char *)why);
}

static bool fits(const struct lora_config *c, const pcre2_code *code, const char *s)
{
    return pcre2_match(code, (PCRE2_SPTR)s, strlen(s), 0, 0, c->match, c->limits) >= 0;
}

/* What a key may hold. EMPTY: only null, false, "" or an empty list or object. */
enum rule { READ, ANY, EMPTY };

static const struct {
    const char *key;
    enum rule rule;
    const char *what; /* of EMPTY: how people call it */
} rules[] = {
    {"peft_type", READ, NULL},
    {"r", READ, NULL},
    {"lora_alpha", READ, NULL},
    {"target_modules", READ, NULL},
    {"use_rslora", READ, NULL},
    {"rank_pattern", READ, NULL},
    {"alpha_pattern", READ, NULL},
    {"bias", READ, NULL},
    {"init_lora_weights", READ, NULL},
    /* says nothing about the arithmetic of what is in the file */
    {"task_type", ANY, NULL},
    {"auto_mapping", ANY, NULL},
    {"base_model_name_or_path", ANY, NULL},
    {"revision", ANY, NULL},
    {"inference_mode", ANY, NULL},
    {"lora_dropout", ANY, NULL},
    {"modules_to_save", ANY, NULL}, /* its tensors are in the file */
    {"exclude_modules", ANY, NULL},
    {"layers_to_transform", ANY, NULL},
    {"layers_pattern", ANY, NULL},
    {"megatron_core", ANY, NULL},
    {"qalora_group_size", ANY, NULL},
    {"eva_config", ANY, NULL}, /* only where training began */
    {"runtime_config", ANY, NULL},
    {"peft_version", ANY, NULL},
    {"ensure_weight_tying", ANY, NULL},
    /* ms-swift's own: of training */
    {"lora_dtype", ANY, NULL},
    {"lorap_lr_ratio", ANY, NULL},
    {"lorap_emb_lr", ANY, NULL},
    {"fan_in_fan_out", EMPTY, "transposed weights"},
    {"use_dora", EMPTY, "DoRA"},
    {"use_qalora", EMPTY, "QALoRA"},
    {"lora_bias", EMPTY, "a bias in lora_B"},
    {"trainable_token_indices", EMPTY, "single trained tokens"},
    {"target_parameters", EMPTY, "LoRA of bare parameters"},
    {"layer_replication", EMPTY, "replicated layers"},
    {"megatron_config", EMPTY, "Megatron layers"},
    {"loftq_config", EMPTY, "LoftQ's changed base weights"},
    {"corda_config", EMPTY, "CorDA's changed base weights"},
    {"alora_invocation_tokens", EMPTY, "activated LoRA"},
    {"arrow_config", EMPTY, "Arrow routing"},
};

static bool is_empty(const json_t *j)
{
    return json_is_null(j) || json_is_false(j) || (json_is_string(j) && !*json_string_value(j)) ||
           (json_is_array(j) && json_array_size(j) == 0) ||
           (json_is_object(j) && json_object_size(j) == 0);
}

static int check_keys(json_t *root, struct err *err)
{
    const char *key;
    json_t *value;

    json_object_foreach(root, key, value)
    {
        size_t i = 0;
        while (i < N_ELEMENTS(rules) && strcmp(rules[i].key, key) != 0)
            i++;
        if (i == N_ELEMENTS(rules) && !is_empty(value))
            return err_set(err, -ENOTSUP, "%.60s is not known; it may ask for other arithmetic.",
                           key);
        if (i < N_ELEMENTS(rules) && rules[i].rule == EMPTY && !is_empty(value))
            return err_set(err, -ENOTSUP, "%s asks for %s, which is not supported.", key,
                           rules[i].what);
    }
    return 0;
}

/* Only ways of beginning that leave the base weights as they are. */
static int check_kind(json_t *root, struct err *err)
{
    const char *type = json_string_value(json_object_get(root, "peft_type"));
    const char *bias = json_string_value(json_object_get(root, "bias"));
    json_t *init = json_object_get(root, "init_lora_weights");
    const char *init_name = json_string_value(init);

    if (!type || strcmp(type, "LORA") != 0)
        return err_set(err, -ENOTSUP, "peft_type is %.40s; only LORA is supported.",
                       type ? type : "missing");
    if (bias && strcmp(bias, "none") != 0)
        return err_set(err, -ENOTSUP, "bias is \"%.40s\"; only \"none\" is supported.", bias);
    if (init_name && strcmp(init_name, "gaussian") != 0 && strcmp(init_name, "eva") != 0 &&
        strcmp(init_name, "orthogonal") != 0)
        return err_set(err, -ENOTSUP,
                       "init_lora_weights is \"%.40s\", which changes the base weights; only plain "
                       "ones are supported. PEFT can convert such an adapter.",
                       init_name);
    return 0;
}

static int read_targets(struct lora_config *c, json_t *j, struct err *err)
{
    if (json_is_string(j)) {
        if (strcmp(json_string_value(j), "all-linear") == 0) {
            c->all_linear = true;
            return 0;
        }
        return compile(json_string_value(j), &c->target, err);
    }
    if (!json_is_array(j) || json_array_size(j) > PATTERNS_MAX)
        return err_set(err, -EINVAL,
                       "target_modules is neither an expression nor a list of names.");
    c->names = mem_zalloc(sizeof(*c->names) * (json_array_size(j) + 1));
    for (size_t i = 0; i < json_array_size(j); i++) {
        const char *s = json_string_value(json_array_get(j, i));
        if (!s || !*s)
            return err_set(err, -EINVAL, "Entry %zu of target_modules is no name.", i);
        c->names[c->n_names++] = mem_strdup(s);
    }
    return 0;
}

static int read_patterns(json_t *j, const char *name, struct patterns *ret, struct err *err)
{
    const char *key;
    json_t *value;
    int r = 0;

    if (!j || json_is_null(j))
        return 0;
    if (!json_is_object(j) || json_object_size(j) > PATTERNS_MAX)
        return err_set(err, -EINVAL, "%s is no object of at most %d numbers.", name, PATTERNS_MAX);
    ret->p = mem_zalloc(sizeof(*ret->p) * (json_object_size(j) + 1));
    json_object_foreach(j, key, value)
    {
        AUTO(str_done) struct str text = {0};
        str_printf(&text, "(?:.*\\.)?(?:%s)", key);
        if (!json_is_number(value) || !(json_number_value(value) > 0))
            return err_set(err, -EINVAL, "%s has no positive number for \"%.60s\".", name, key);
        if ((r = compile(str_cstr(&text), &ret->p[ret->n].code, err)) < 0)
            return r;
        ret->p[ret->n++].value = json_number_value(value);
    }
    return 0;
}

static int read_root(struct lora_config *c, json_t *root, struct err *err)
{
    json_t *r = json_object_get(root, "r"), *alpha = json_object_get(root, "lora_alpha");
    int e;

    if ((e = check_kind(root, err)) < 0 || (e = check_keys(root, err)) < 0)
        return e;
    c->r = r ? (int)CLAMP(json_integer_value(r), -1, RANK_MAX + 1) : 8;
    c->alpha = alpha ? json_number_value(alpha) : 8;
    c->rslora = json_is_true(json_object_get(root, "use_rslora"));
    if (c->r < 1 || c->r > RANK_MAX || !(c->alpha > 0) || !isfinite(c->alpha))
        return err_set(
            err, -EINVAL,
            "r is %d and lora_alpha %g; expected a rank of 1 to %d and a positive number.", c->r,
            c->alpha, RANK_MAX);
    if ((e = read_targets(c, json_object_get(root, "target_modules"), err)) < 0 ||
        (e = read_patterns(json_object_get(root, "rank_pattern"), "rank_pattern", &c->ranks, err)) <
            0)
        return e;
    return read_patterns(json_object_get(root, "alpha_pattern"), "alpha_pattern", &c->alphas, err);
}

int lora_config_read(const char *path, struct lora_config **ret, struct err *err)
{
    json_t *root;
    int r = json_read(path, CONFIG_MAX, JSON_WANT_OBJECT, JSON_REJECT_DUPLICATES, &root, err);

    if (r < 0)
        return r;
    struct lora_config *c = mem_zalloc(sizeof(*c));
    c->limits = pcre2_match_context_create(NULL);
    c->match = pcre2_match_data_create(8, NULL);
    pcre2_set_match_limit(c->limits, MATCH_LIMIT);
    r = read_root(c, root, err);
    json_decref(root);
    if (r < 0) {
        err_wrap(err, "%s", path);
        lora_config_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

bool lora_config_targets(const struct lora_config *c, const char *module)
{
    if (c->all_linear)
        return true;
    if (c->target)
        return fits(c, c->target, module);
    size_t n = strlen(module);
    for (int i = 0; i < c->n_names; i++) {
        size_t k = strlen(c->names[i]);
        if (k <= n && strcmp(module + n - k, c->names[i]) == 0 &&
            (k == n || module[n - k - 1] == '.'))
            return true;
    }
    return false;
}

static double value_of(const struct lora_config *c, const struct patterns *p, const char *module,
                       double otherwise)
{
    for (int i = 0; i < p->n; i++)
        if (fits(c, p->p[i].code, module))
            return p->p[i].value;
    return otherwise;
}

int lora_config_rank(const struct lora_config *c, const char *module, float *ret_scale)
{
    double r = value_of(c, &c->ranks, module, c->r);
    double alpha = value_of(c, &c->alphas, module, c->alpha);

    *ret_scale = (float)(alpha / (c->rslora ? sqrt(r) : r));
    return (int)MIN(r, RANK_MAX);
}
