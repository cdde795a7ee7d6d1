/* Reads config.json, preprocessor_config.json and generation_config.json. Every number is checked
 * for range and against the others before anything is sized by it; what this engine does not
 * compute is refused by its name. */
#include "model/config.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#define JSON_MAX ((size_t)4 << 20)

static int load(const char *dir, const char *name, json_t **ret, struct err *err)
{
    AUTO_FREE char *path = file_join(dir, name);
    return json_read(path, JSON_MAX, JSON_WANT_OBJECT, 0, ret, err);
}

struct reader {
    json_t *first, *second; /* looked up in this order */
    const char *where;
    struct err *err;
    int rc; /* the first failure; later reads do nothing */
};

static json_t *get(struct reader *r, const char *key)
{
    json_t *v = json_object_get(r->first, key);
    return v && !json_is_null(v) ? v : r->second ? json_object_get(r->second, key) : NULL;
}

/* `fallback` < 0: the key must be there. */
static int integer(struct reader *r, const char *key, int64_t lo, int64_t hi, int64_t fallback)
{
    json_t *v = get(r, key);
    if (r->rc < 0)
        return 0;
    if (!v || json_is_null(v)) {
        if (fallback < 0)
            r->rc = err_set(r->err, -EINVAL, "%s lacks %s", r->where, key);
        return (int)fallback;
    }
    if (!json_is_integer(v) || json_integer_value(v) < lo || json_integer_value(v) > hi) {
        r->rc = err_set(r->err, -EINVAL, "%s: %s must be an integer from %lld to %lld", r->where,
                        key, (long long)lo, (long long)hi);
        return 0;
    }
    return (int)json_integer_value(v);
}

static double number(struct reader *r, const char *key, double lo, double hi, double fallback)
{
    json_t *v = get(r, key);
    if (r->rc < 0 || !v || json_is_null(v))
        return fallback;
    double d = json_number_value(v);
    if (!json_is_number(v) || !(d >= lo && d <= hi)) {
        r->rc = err_set(r->err, -EINVAL, "%s: %s must be a number from %g to %g", r->where, key, lo,
                        hi);
        return fallback;
    }
    return d;
}

static void must_be(struct reader *r, const char *key, const char *want)
{
    json_t *v = get(r, key);
    if (r->rc == 0 && v && !str_eq(json_string_value(v), want))
        r->rc = err_set(r->err, -ENOTSUP, "%s: %s is \"%.40s\"; only \"%s\" is supported", r->where,
                        key, json_is_string(v) ? json_string_value(v) : "not a text", want);
}

static void read_text(struct vlm_config *c, struct reader *r)
{
    c->d_model = integer(r, "hidden_size", 1, 65536, -1);
    c->d_ff = integer(r, "intermediate_size", 1, 1 << 20, -1);
    c->n_layers = integer(r, "num_hidden_layers", 1, 512, -1);
    c->n_heads = integer(r, "num_attention_heads", 1, 1024, -1);
    c->n_kv_heads = integer(r, "num_key_value_heads", 1, 1024, c->n_heads ? c->n_heads : 1);
    if (r->rc < 0)
        return;
    if (!get(r, "head_dim") && c->d_model % c->n_heads) {
        r->rc =
            err_set(r->err, -EINVAL,
                    "%s: hidden_size %d is no multiple of num_attention_heads %d and there is no "
                    "head_dim",
                    r->where, c->d_model, c->n_heads);
        return;
    }
    c->d_head = integer(r, "head_dim", 2, 1024, c->d_model / c->n_heads);
    c->n_vocab = integer(r, "vocab_size", 1, 1 << 22, -1);
    c->n_ctx = integer(r, "max_position_embeddings", 1, 1 << 24, 32768);
    c->rms_eps = (float)number(r, "rms_norm_eps", 1e-12, 1e-2, 1e-6);
    c->rope_theta = number(r, "rope_theta", 1, 1e12, 10000);
    json_t *tie = get(r, "tie_word_embeddings");
    c->tie_embeddings = json_is_true(tie);
    must_be(r, "hidden_act", "silu");
    if (r->rc < 0)
        return;
    if (json_is_true(get(r, "use_sliding_window")))
        r->rc = err_set(r->err, -ENOTSUP, "%s: use_sliding_window is not supported", r->where);
    else if (c->n_heads % c->n_kv_heads)
        r->rc = err_set(r->err, -EINVAL,
                        "%s: num_attention_heads %d is no multiple of num_key_value_heads %d",
                        r->where, c->n_heads, c->n_kv_heads);
    else if (c->d_head % 2 || c->d_head < 2 || c->d_head > 1024)
        r->rc = err_set(r->err, -EINVAL, "%s: head_dim %d must be an even number from 2 to 1024",
                        r->where, c->d_head);
    if (r->rc < 0)
        return;

    json_t *rope = get(r, "rope_scaling");
    json_t *section = json_object_get(rope, "mrope_section");
    json_t *type = json_object_get(rope, "rope_type");
    if (!type)
        type = json_object_get(rope, "type");
    if (type && !str_eq(json_string_value(type), "mrope") &&
        !str_eq(json_string_value(type), "default")) {
        r->rc = err_set(r->err, -ENOTSUP, "%s: rope scaling \"%.40s\" is not supported", r->where,
                        json_is_string(type) ? json_string_value(type) : "?");
        return;
    }
    int sum = 0;
    for (int i = 0; i < 3; i++) {
        json_int_t v = json_integer_value(json_array_get(section, (size_t)i));
        if (v < 0 || v > 1024)
            v = 1025;
        c->mrope_section[i] = (int)v;
        sum += (int)v;
    }
    if (json_array_size(section) != 3 || sum != c->d_head / 2)
        r->rc = err_set(r->err, -EINVAL,
                        "%s: rope_scaling.mrope_section must be three numbers that add up to "
                        "head_dim/2 = %d",
                        r->where, c->d_head / 2);
}

static void read_vision(struct vlm_config *c, struct reader *r)
{
    c->vit.depth = integer(r, "depth", 1, 512, -1);
    c->vit.d_model = integer(r, "hidden_size", 1, 65536, -1);
    c->vit.d_ff = integer(r, "intermediate_size", 1, 1 << 20, -1);
    c->vit.n_heads = integer(r, "num_heads", 1, 1024, -1);
    c->vit.patch_size = integer(r, "patch_size", 2, 64, 14);
    c->vit.merge_size = integer(r, "spatial_merge_size", 1, 8, 2);
    c->vit.temporal_patch_size = integer(r, "temporal_patch_size", 1, 8, 2);
    c->vit.window_size = integer(r, "window_size", 2, 4096, 112);
    c->vit.tokens_per_second = integer(r, "tokens_per_second", 1, 1000, 4);
    int channels = integer(r, "in_channels", 1, 16, integer(r, "in_chans", 1, 16, 3));
    int out = integer(r, "out_hidden_size", 1, 65536, c->d_model);
    must_be(r, "hidden_act", "silu");
    if (r->rc < 0)
        return;
    if (channels != 3)
        r->rc = err_set(r->err, -ENOTSUP, "%s: in_channels is %d, expected 3", r->where, channels);
    else if (out != c->d_model)
        r->rc = err_set(r->err, -EINVAL,
                        "%s: out_hidden_size %d differs from the language model's hidden_size %d",
                        r->where, out, c->d_model);
    else if (c->vit.d_model % c->vit.n_heads || (c->vit.d_model / c->vit.n_heads) % 4)
        r->rc = err_set(r->err, -EINVAL,
                        "%s: hidden_size %d over num_heads %d must be a multiple of 4", r->where,
                        c->vit.d_model, c->vit.n_heads);
    else if (c->vit.window_size % (c->vit.patch_size * c->vit.merge_size))
        r->rc =
            err_set(r->err, -EINVAL, "%s: window_size %d is no multiple of patch times merge, %d",
                    r->where, c->vit.window_size, c->vit.patch_size * c->vit.merge_size);
    if (r->rc < 0)
        return;
    json_t *full = get(r, "fullatt_block_indexes");
    if (!json_is_array(full) || json_array_size(full) > N_ELEMENTS(c->vit.full)) {
        r->rc =
            err_set(r->err, -EINVAL, "%s lacks fullatt_block_indexes, a list of layers", r->where);
        return;
    }
    size_t i;
    json_t *v;
    json_array_foreach(full, i, v)
    {
        json_int_t n = json_is_integer(v) ? json_integer_value(v) : -1;
        if (n < 0 || n >= c->vit.depth) {
            r->rc = err_set(r->err, -EINVAL,
                            "%s: fullatt_block_indexes[%zu] must be a layer from 0 to %d", r->where,
                            i, c->vit.depth - 1);
            return;
        }
        c->vit.full[c->vit.n_full++] = (int)n;
    }
}

static void read_floats(struct reader *r, const char *key, float out[3], float fallback)
{
    json_t *list = get(r, key);
    for (size_t i = 0; i < 3; i++) {
        out[i] = fallback;
        if (!list || r->rc < 0)
            continue;
        json_t *v = json_array_get(list, i);
        double d = json_number_value(v);
        if (!json_is_number(v) || !(fabs(d) < 1000)) {
            r->rc = err_set(r->err, -EINVAL, "%s: %s must be three numbers", r->where, key);
            continue;
        }
        out[i] = (float)d;
    }
}

static void read_image(struct vlm_config *c, struct reader *r)
{
    struct image_spec *s = &c->image;
    json_t *size = get(r, "size");
    json_t *lo = get(r, "min_pixels"), *hi = get(r, "max_pixels");
    if (!lo)
        lo = json_object_get(size, "shortest_edge");
    if (!hi)
        hi = json_object_get(size, "longest_edge");
    s->patch_size = integer(r, "patch_size", 2, 64, c->vit.patch_size);
    s->merge_size = integer(r, "merge_size", 1, 8, c->vit.merge_size);
    s->temporal_patch_size =
        integer(r, "temporal_patch_size", 1, 8, c->vit.temporal_patch_size);
    c->view_w = integer(r, "trained_screen_width", 0, 32767, 0); /* our own; 0: not said */
    c->view_h = integer(r, "trained_screen_height", 0, 32767, 0);
    c->looks = integer(r, "looks", 0, 7, 0);
    s->rescale = (float)number(r, "rescale_factor", 1e-6, 1, 1.0 / 255);
    read_floats(r, "image_mean", s->mean, 0.5f);
    read_floats(r, "image_std", s->std, 0.5f);
    if (r->rc < 0)
        return;
    s->min_pixels = !lo ? 3136 : json_is_integer(lo) ? json_integer_value(lo) : -1;
    s->max_pixels = !hi ? 12845056 : json_is_integer(hi) ? json_integer_value(hi) : -1;
    if (s->min_pixels < 0 || s->max_pixels < s->min_pixels || s->max_pixels > (int64_t)1 << 30)
        r->rc = err_set(r->err, -EINVAL, "%s: min_pixels %lld and max_pixels %lld make no range",
                        r->where, (long long)s->min_pixels, (long long)s->max_pixels);
    else if (s->patch_size != c->vit.patch_size || s->merge_size != c->vit.merge_size ||
             s->temporal_patch_size != c->vit.temporal_patch_size)
        r->rc =
            err_set(r->err, -EINVAL,
                    "%s: patch %d, merge %d, temporal %d differ from the vision model's %d, %d, "
                    "%d",
                    r->where, s->patch_size, s->merge_size, s->temporal_patch_size,
                    c->vit.patch_size, c->vit.merge_size, c->vit.temporal_patch_size);
    for (int i = 0; i < 3 && r->rc == 0; i++)
        if (!(s->std[i] > 0))
            r->rc = err_set(r->err, -EINVAL, "%s: image_std[%d] must be positive", r->where, i);
}

static void add_eos(struct vlm_config *c, json_t *v)
{
    if (json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) < c->n_vocab &&
        c->n_eos < (int)N_ELEMENTS(c->eos) && !config_is_eos(c, (int32_t)json_integer_value(v)))
        c->eos[c->n_eos++] = (int)json_integer_value(v);
    size_t i;
    json_t *one;
    json_array_foreach(v, i, one) add_eos(c, one);
}

int config_read(const char *dir, struct vlm_config *ret, struct err *err)
{
    struct vlm_config c = {0};
    json_t *root = NULL, *pre = NULL, *gen = NULL;
    int rc = load(dir, "config.json", &root, err);
    if (rc < 0)
        return rc;
    json_t *text = json_object_get(root, "text_config");
    json_t *vision = json_object_get(root, "vision_config");
    struct reader r = {text ? text : root, text ? root : NULL, "config.json", err, 0};
    const char *type = json_string_value(json_object_get(root, "model_type"));
    if (!str_eq(type, "qwen2_5_vl"))
        r.rc = err_set(err, -ENOTSUP,
                       "config.json: model_type is \"%.40s\"; only \"qwen2_5_vl\" (MiMo-VL) is "
                       "supported",
                       type ? type : "missing");
    else if (!json_is_object(vision))
        r.rc = err_set(err, -EINVAL, "config.json lacks vision_config");
    if (r.rc == 0)
        read_text(&c, &r);
    if (r.rc == 0) {
        r.first = vision;
        r.second = NULL;
        r.where = "config.json: vision_config";
        read_vision(&c, &r);
    }
    if (r.rc == 0) {
        r.rc = load(dir, "preprocessor_config.json", &pre, err);
        r.first = pre;
        r.where = "preprocessor_config.json";
        if (r.rc == 0)
            read_image(&c, &r);
    }
    if (r.rc == 0) {
        struct err e = {0};
        int got = load(dir, "generation_config.json", &gen, &e);
        if (got < 0 && got != -ENOENT)
            r.rc = err_set(err, got, "%s", e.text);
        else if (got == 0)
            add_eos(&c, json_object_get(gen, "eos_token_id"));
        add_eos(&c, json_object_get(root, "eos_token_id"));
        if (text)
            add_eos(&c, json_object_get(text, "eos_token_id"));
        if (!c.n_eos && r.rc == 0)
            r.rc = err_set(err, -EINVAL, "neither generation_config.json nor config.json names an "
                                         "eos_token_id below vocab_size %d", c.n_vocab);
    }
    json_decref(root);
    json_decref(pre);
    json_decref(gen);
    if (r.rc == 0)
        *ret = c;
    return r.rc;
}
