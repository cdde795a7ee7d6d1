/* Looks at checkpoints for people: lists, checks, converts. Nothing is packed or multiplied here.
 */
#include "model/tool.h"

#include "base/mem.h"
#include "base/str.h"
#include "model/convert.h"
#include "model/names.h"
#include "model/quant.h"
#include "model/source.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static size_t count(const int64_t *shape, int rank)
{
    size_t n = 1;
    for (int i = 0; i < rank; i++)
        n *= (size_t)shape[i];
    return n;
}

static json_t *shape_json(const int64_t *shape, int rank)
{
    json_t *list = json_array();
    for (int i = 0; i < rank; i++)
        json_array_append_new(list, json_integer(shape[i]));
    return list;
}

/* Bytes from a file that may be no UTF-8. */
static json_t *text_json(const char *s)
{
    AUTO(str_done) struct str b = {0};
    json_t *j = json_string(s);
    if (j)
        return j;
    str_printable(&b, s, strlen(s), 1024);
    return json_string(str_cstr(&b));
}

static json_t *config_json(const struct vlm_config *c)
{
    json_t *j =
        json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:[iii], s:b}", "hidden_size",
                  c->d_model, "intermediate_size", c->d_ff, "layers", c->n_layers, "heads",
                  c->n_heads, "kv_heads", c->n_kv_heads, "head_dim", c->d_head, "vocab", c->n_vocab,
                  "context", c->n_ctx, "rms_eps", (double)c->rms_eps, "rope_theta", c->rope_theta,
                  "mrope_section", c->mrope_section[0], c->mrope_section[1], c->mrope_section[2],
                  "tied_embeddings", c->tie_embeddings);
    json_t *eos = json_array(), *full = json_array();
    for (int i = 0; i < c->n_eos; i++)
        json_array_append_new(eos, json_integer(c->eos[i]));
    json_object_set_new(j, "eos", eos);
    for (int i = 0; i < c->vit.n_full; i++)
        json_array_append_new(full, json_integer(c->vit.full[i]));
    if (c->vit.depth)
        json_object_set_new(j, "vision",
                            json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:O, s:[ff], s:I, s:I}",
                                      "depth", c->vit.depth, "hidden_size", c->vit.d_model,
                                      "intermediate_size", c->vit.d_ff, "heads", c->vit.n_heads,
                                      "patch", c->vit.patch_size, "merge", c->vit.merge_size,
                                      "window", c->vit.window_size, "full_attention", full,
                                      "mean_std", (double)c->image.mean[0], (double)c->image.std[0],
                                      "min_pixels", (json_int_t)c->image.min_pixels, "max_pixels",
                                      (json_int_t)c->image.max_pixels));
    json_decref(full);
    return j;
}

static json_t *tensors_json(const struct source *s, json_t *types, size_t *ret_values,
                            size_t *ret_bytes)
{
    size_t values[TENSOR_OTHER + 1] = {0}, bytes[TENSOR_OTHER + 1] = {0}, n[TENSOR_OTHER + 1] = {0};
    json_t *list = json_array();

    *ret_values = *ret_bytes = 0;
    for (int i = 0; i < source_n_tensors(s); i++) {
        const char *name;
        const struct tensor *t = source_tensor_at(s, i, &name);
        size_t v = count(t->shape, t->rank);
        size_t b = t->dtype == TENSOR_OTHER ? 0 : tensor_bytes(t->dtype, v);
        json_array_append_new(list,
                              json_pack("{s:o, s:s, s:o, s:I}", "name", text_json(name), "type",
                                        tensor_dtype_name(t->dtype), "shape",
                                        shape_json(t->shape, t->rank), "bytes", (json_int_t)b));
        n[t->dtype]++;
        values[t->dtype] += v;
        bytes[t->dtype] += b;
        *ret_values += v;
        *ret_bytes += b;
    }
    for (int d = 0; d <= TENSOR_OTHER; d++)
        if (n[d])
            json_array_append_new(types,
                                  json_pack("{s:s, s:I, s:I, s:I}", "type",
                                            tensor_dtype_name((enum tensor_dtype)d), "tensors",
                                            (json_int_t)n[d], "values", (json_int_t)values[d],
                                            "bytes", (json_int_t)bytes[d]));
    return list;
}

int tool_info(const char *path, const char *mmproj, json_t **ret, struct err *err)
{
    struct source *s;
    struct vlm_config c;
    struct bpe *b;
    size_t values, bytes;
    int r = source_open(path, mmproj, &s, err);

    if (r < 0)
        return r;
    if ((r = source_config(s, &c, err)) == 0 && (r = source_tokenizer(s, &b, err)) == 0) {
        json_t *types = json_array(), *j = json_object();
        json_object_set_new(j, "kind", json_string(source_kind(s)));
        json_object_set_new(j, "path", text_json(source_text_path(s)));
        json_object_set_new(j, "vision_path",
                            source_vision_path(s) ? text_json(source_vision_path(s)) : json_null());
        json_object_set_new(j, "config", config_json(&c));
        json_object_set_new(j, "tokens", json_integer(bpe_n_tokens(b)));
        bpe_close(b);
        json_t *tensors = tensors_json(s, types, &values, &bytes);
        json_object_set_new(j, "n_values", json_integer((json_int_t)values));
        json_object_set_new(j, "bytes", json_integer((json_int_t)bytes));
        json_object_set_new(j, "types", types);
        json_object_set_new(j, "tensors", tensors);
        *ret = j;
    }
    source_close(s);
    return r;
}

/* checking */

struct check {
    const struct source *s;
    const struct tool_progress *p;
    int n_expected, n_seen; /* tensors */
    json_t *faults;
    const void **used; /* data of what the network uses */
    size_t n_used;
};

static void fault(struct check *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void fault(struct check *k, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    json_array_append_new(k->faults, text_json(text));
}

static void shape_text(const int64_t *shape, int rank, struct str *ret)
{
    for (int i = 0; i < rank; i++)
        str_printf(ret, "%s%lld", i ? " x " : "", (long long)shape[i]);
}

static bool count_one(void *user, const char *name, const int64_t *shape, int rank)
{
    ((struct check *)user)->n_expected++;
    return true;
}

/* Index of the first value that is no number; n when all are. */
static size_t first_bad(const struct tensor *t, size_t n)
{
    enum { CHUNK = 4096 };
    float x[CHUNK];

    for (size_t at = 0; at < n; at += CHUNK) {
        size_t some = MIN((size_t)CHUNK, n - at);
        tensor_to_f32(t->dtype, t->data, at, some, x);
        for (size_t i = 0; i < some; i++)
            if (!isfinite(x[i]))
                return at + i;
    }
    return n;
}

static void check_panels(struct check *k, const char *name, const struct tensor *t)
{
    int n_in = (int)t->shape[1];
    enum quant_format f = t->dtype == TENSOR_PACKED8 ? QUANT_INT8 : QUANT_INT4;
    AUTO_FREE float *x = mem_alloc(sizeof(float) * QUANT_PANEL * (size_t)n_in);
    const char *at = t->data;

    for (int64_t row = 0; row < t->shape[0]; row += QUANT_PANEL, at += quant_panel_bytes(f, n_in)) {
        int n = (int)MIN(QUANT_PANEL, t->shape[0] - row);
        quant_panel_unpack(f, at, n, n_in, x);
        for (size_t i = 0; i < (size_t)n * (size_t)n_in; i++) {
            if (!isfinite(x[i])) {
                fault(k, "%s holds a value that is no finite number, in row %lld", name,
                      (long long)row + (long long)(i / (size_t)n_in) + 1);
                return;
            }
        }
    }
}

static bool check_one(void *user, const char *name, const int64_t *shape, int rank)
{
    struct check *k = user;
    struct source_tensor t;

    k->n_seen++;
    if (k->p && k->p->tell)
        k->p->tell(k->p->user, (float)k->n_seen / (float)k->n_expected);
    if (!source_find(k->s, name, &t)) {
        fault(k, "%s is missing", name);
        return true;
    }
    k->used = mem_realloc(k->used, sizeof(*k->used) * (k->n_used + SOURCE_MAX_PARTS));
    for (int i = 0; i < t.n_parts; i++)
        k->used[k->n_used++] = t.parts[i].data;
    if (t.rank != rank || memcmp(t.shape, shape, sizeof(*shape) * (size_t)rank) != 0) {
        AUTO(str_done) struct str found = {0}, want = {0};
        shape_text(t.shape, t.rank, &found);
        shape_text(shape, rank, &want);
        fault(k, "%s has the shape %s, expected %s", name, str_cstr(&found), str_cstr(&want));
        return true;
    }
    size_t before = 0;
    if (tensor_is_packed(t.parts[0].dtype)) {
        check_panels(k, name, &t.parts[0]);
        return true;
    }
    for (int i = 0; i < t.n_parts; i++) {
        size_t n = count(t.parts[i].shape, t.parts[i].rank);
        if (t.parts[i].dtype == TENSOR_OTHER) {
            fault(k, "%s is stored as %s", name, tensor_dtype_name(t.parts[i].dtype));
            return true;
        }
        size_t bad = first_bad(&t.parts[i], n);
        if (bad < n) {
            fault(k, "%s holds a value that is no finite number, the %zuth", name,
                  before + bad + 1);
            return true;
        }
        before += n;
    }
    return true;
}

static json_t *find_unused(const struct check *k)
{
    json_t *list = json_array();

    for (int i = 0; i < source_n_tensors(k->s); i++) {
        const char *name;
        const struct tensor *t = source_tensor_at(k->s, i, &name);
        bool used = str_starts(name, "v.patch_embd.weight"); /* put together by the source */
        for (size_t u = 0; u < k->n_used && !used; u++)
            used = k->used[u] == t->data;
        if (!used)
            json_array_append_new(list, text_json(name));
    }
    return list;
}

int tool_check(const char *path, const char *mmproj, const struct tool_progress *p, json_t **ret,
               struct err *err)
{
    struct check k = {.p = p};
    struct vlm_config c;
    struct source *s;
    struct bpe *b;
    int r = source_open(path, mmproj, &s, err);

    if (r < 0)
        return r;
    if ((r = source_config(s, &c, err)) == 0 && (r = source_tokenizer(s, &b, err)) == 0) {
        bpe_close(b);
        k.s = s;
        k.faults = json_array();
        names_walk(&c, count_one, &k);
        names_walk(&c, check_one, &k);
        *ret = json_pack("{s:i, s:o, s:o, s:b}", "tensors", k.n_seen, "faults", k.faults, "unused",
                         find_unused(&k), "reads_pictures", c.vit.depth > 0);
        free(k.used);
    }
    source_close(s);
    return r;
}

bool tool_is_type(const char *name)
{
    return convert_type(name) != TENSOR_OTHER;
}

int tool_convert(const char *path, const char *mmproj, const char *type, const char *vision_type,
                 const char *lora, const char *out, const struct tool_progress *p, struct err *err)
{
    struct convert_options o = {.text = convert_type(type), .vision = TENSOR_OTHER};
    struct source *s;
    int r;

    if (vision_type)
        o.vision = convert_type(vision_type);
    if (o.text == TENSOR_OTHER || (vision_type && o.vision == TENSOR_OTHER))
        return err_set(
            err, -EINVAL,
            "the type is \"%.20s\"; expected f32, bf16, f16, q8_0, q5_1, q5_0, q4_1, q4_0, "
            "int8 or int4",
            o.text == TENSOR_OTHER ? type : vision_type);
    if (p) {
        o.on_progress = p->tell;
        o.user = p->user;
    }
    if ((r = source_open(path, mmproj, &s, err)) < 0)
        return r;
    if (!lora || (r = lora_file_open(lora, &o.lora, err)) == 0)
        r = convert_gguf(s, &o, out, err);
    lora_file_close(o.lora);
    source_close(s);
    return r;
}
