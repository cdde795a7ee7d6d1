/* The network is walked once to announce every tensor and once more to write it, row by row, so
 * that converting needs the memory of one row. What GGUF keeps in pieces (q, k and v of the vision
 * tower; the two slices of its patch embedding) is cut here.
 *
 * Keys of our own, all beginning with "deskhand.", hold what GGUF has no words for; another reader
 * may ignore them. */
#include "model/convert.h"

#include "base/mem.h"
#include "base/str.h"
#include "model/gguf_write.h"
#include "model/lora.h"
#include "model/names.h"
#include "model/quant.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A tensor to write: rows first, first + step ... of one of the source, each of `width` values. */
struct job {
    char name[NAMES_MAX];
    struct source_tensor from;
    struct lora_pair pair; /* to be added to the whole of `from`; a NULL: none */
    size_t width, n_rows, first, step;
    int64_t shape[4];
    int rank;
    enum tensor_dtype dtype;
};

struct plan {
    const struct source *s;
    const struct convert_options *o;
    bool vision; /* which of the two files */
    struct job *jobs;
    int n_jobs;
    struct lora_pair pair; /* of the tensor that is looked at */
    struct err *err;
    int rc;
};

enum tensor_dtype convert_type(const char *name)
{
    char none[256] = {0};
    float x[32] = {0};

    if (quant_format_of(name) >= 0)
        return quant_format_of(name) == QUANT_INT8 ? TENSOR_PACKED8 : TENSOR_PACKED4;

    for (int d = 0; d < TENSOR_OTHER; d++)
        if (strcasecmp(name, tensor_dtype_name((enum tensor_dtype)d)) == 0 &&
            tensor_from_f32((enum tensor_dtype)d, x, 32, none))
            return (enum tensor_dtype)d;
    return TENSOR_OTHER;
}

static bool is_writable(enum tensor_dtype d)
{
    return d != TENSOR_OTHER && convert_type(tensor_dtype_name(d)) == d;
}

static enum tensor_dtype choose(const struct plan *p, const char *name,
                                const struct source_tensor *t, int rank, size_t width)
{
    enum tensor_dtype own = t->parts[0].dtype, want = p->vision ? p->o->vision : p->o->text;

    if (rank == 1)
        return TENSOR_F32;
    if (!is_writable(own))
        own = TENSOR_F32;
    if (want == TENSOR_OTHER)
        want = own;
    if (tensor_is_packed(want)) {
        if (str_starts(name, "model.embed_tokens"))
            return width % 32 ? own : TENSOR_Q8_0;
        return rank != 2 ? own : str_starts(name, "lm_head") ? TENSOR_PACKED8 : want;
    }
    if ((str_starts(name, "model.embed_tokens") || str_starts(name, "lm_head")) &&
        tensor_block_values(want) > 1)
        want = TENSOR_Q8_0;
    if (width % (size_t)tensor_block_values(want))
        want = width % (size_t)tensor_block_values(own) ? TENSOR_F32 : own;
    return want;
}

static struct job *add_job(struct plan *p, const char *gguf_name, const char *name,
                           const struct source_tensor *t, int rank, size_t width, size_t n_rows)
{
    p->jobs = mem_realloc(p->jobs, sizeof(*p->jobs) * (size_t)(p->n_jobs + 1));
    struct job *j = &p->jobs[p->n_jobs++];
    *j = (struct job){.from = *t,
                      .pair = p->pair,
                      .width = width,
                      .n_rows = n_rows,
                      .step = 1,
                      .rank = rank,
                      .dtype = choose(p, name, t, rank, width)};
    snprintf(j->name, sizeof(j->name), "%s", gguf_name);
    j->shape[0] = (int64_t)(rank == 1 ? width : n_rows);
    j->shape[1] = (int64_t)width;
    return j;
}

/* Values of a vector are rows of one value here, so that q, k and v are cut alike. */
static void add_qkv(struct plan *p, const char *name, const struct source_tensor *t, int rank)
{
    char layer[16], rest[16], full[NAMES_MAX];
    size_t n = (size_t)t->shape[0] / 3, width = rank == 2 ? (size_t)t->shape[1] : 1;
    bool whole = rank == 2 && tensor_is_packed(p->o->vision);

    if (sscanf(name, "visual.blocks.%15[0-9].attn.qkv.%15s", layer, rest) != 2)
        return;
    if (whole) {
        snprintf(full, sizeof(full), "v.blk.%s.attn_qkv.%s", layer, rest);
        add_job(p, full, name, t, rank, width, 3 * n);
    }
    for (size_t i = 0; i < 3 && !whole; i++) {
        snprintf(full, sizeof(full), "v.blk.%s.attn_%c.%s", layer, "qkv"[i], rest);
        struct job *j = add_job(p, full, name, t, rank, width, n);
        j->first = i * n;
        j->shape[0] = (int64_t)n;
    }
}

static void add_patches(struct plan *p, const char *name, const struct source_tensor *t)
{
    size_t pp = (size_t)(t->shape[3] * t->shape[4]), n = (size_t)(t->shape[0] * t->shape[1]);

    for (size_t slice = 0; slice < 2; slice++) {
        struct job *j =
            add_job(p, slice ? "v.patch_embd.weight.1" : "v.patch_embd.weight", name, t, 4, pp, n);
        j->first = slice;
        j->step = 2;
        for (int i = 0; i < 2; i++) {
            j->shape[i] = t->shape[i];
            j->shape[i + 2] = t->shape[i + 3];
        }
        if (tensor_block_values(j->dtype) > 1)
            j->dtype = TENSOR_F32;
    }
}

/* The tensor as the adapter has it, or the model's, and in p->pair what is to be added. */
static bool find(struct plan *p, const char *name, struct source_tensor *ret)
{
    const struct tensor *own = p->o->lora ? lora_file_saved(p->o->lora, name) : NULL;
    size_t n = strlen(name);
    char module[NAMES_MAX];

    p->pair = (struct lora_pair){0};
    if (n > 7 && str_eq(name + n - 7, ".weight")) {
        snprintf(module, sizeof(module), "%.*s", (int)(n - 7), name);
        if (p->o->lora)
            lora_file_pair(p->o->lora, module, &p->pair);
    }
    if (!own)
        return source_find(p->s, name, ret);
    *ret = (struct source_tensor){.rank = own->rank, .n_parts = 1, .parts = {*own}};
    memcpy(ret->shape, own->shape, sizeof(ret->shape));
    return true;
}

static bool plan_one(void *user, const char *name, const int64_t *shape, int rank)
{
    struct plan *p = user;
    struct source_tensor t;
    char full[NAMES_MAX];
    bool is_visual = str_starts(name, "visual.");

    if (is_visual != p->vision)
        return true;
    if (!find(p, name, &t) || t.rank != rank ||
        memcmp(t.shape, shape, sizeof(*shape) * (size_t)rank) != 0) {
        p->rc = err_set(p->err, -EINVAL,
                        "tensor %s is missing or has not the shape that the "
                        "configuration asks for",
                        name);
        return false;
    }
    for (int i = 0; i < t.n_parts; i++) {
        if (t.parts[i].dtype == TENSOR_OTHER || tensor_is_packed(t.parts[i].dtype) ||
            (rank == 1 && tensor_block_values(t.parts[i].dtype) > 1)) {
            p->rc = err_set(p->err, -ENOTSUP, "tensor %s is stored as %s", name,
                            tensor_dtype_name(t.parts[i].dtype));
            return false;
        }
    }
    if (rank == 5)
        add_patches(p, name, &t);
    else if (names_gguf(name, full))
        add_job(p, full, name, &t, rank, (size_t)shape[rank - 1], rank == 1 ? 1 : (size_t)shape[0]);
    else
        add_qkv(p, name, &t, rank);
    return true;
}

/* Row `row` of a tensor whose rows have `width` values. */
static const struct tensor *find_row(const struct source_tensor *t, size_t row, size_t width,
                                     size_t *ret_from)
{
    for (int i = 0;; i++) {
        const struct tensor *k = &t->parts[i];
        size_t n = 1;
        for (int d = 0; d < k->rank; d++)
            n *= (size_t)k->shape[d];
        if (row < n / width || i == t->n_parts - 1) {
            *ret_from = row * width;
            return k;
        }
        row -= n / width;
    }
}

static enum quant_format format_of(const struct job *j)
{
    return j->dtype == TENSOR_PACKED8 ? QUANT_INT8 : QUANT_INT4;
}

static int write_panels(struct gguf_out *w, const struct job *j, struct err *err)
{
    size_t bytes = quant_panel_bytes(format_of(j), (int)j->width);
    AUTO_FREE float *x = mem_alloc(sizeof(float) * j->width * QUANT_PANEL);
    AUTO_FREE uint8_t *panel = mem_zalloc(bytes);
    int r = 0;

    for (size_t i = 0; i < j->n_rows && r == 0; i += QUANT_PANEL) {
        size_t n = MIN((size_t)QUANT_PANEL, j->n_rows - i), from;
        for (size_t k = 0; k < n; k++) {
            const struct tensor *t = find_row(&j->from, i + k, j->width, &from);
            tensor_to_f32(t->dtype, t->data, from, j->width, x + k * j->width);
        }
        quant_panel_pack(format_of(j), x, (int)n, (int)j->width, panel);
        r = gguf_out_data(w, panel, bytes, err);
    }
    return r < 0 ? r : gguf_out_end_tensor(w, err);
}

/* The list that says what the bytes of packed tensors are, in both files alike. */
static void packed_keys(struct gguf_out *w, const struct plan *p)
{
    struct str line = {0};
    size_t n = 0;

    for (int i = 0; i < p->n_jobs; i++)
        n += tensor_is_packed(p->jobs[i].dtype);
    if (n)
        gguf_out_texts(w, "deskhand.packed", n);
    for (int i = 0; i < p->n_jobs; i++) {
        const struct job *j = &p->jobs[i];
        if (!tensor_is_packed(j->dtype))
            continue;
        str_reset(&line);
        str_printf(&line, "%s %s %zu %zu", j->name, tensor_dtype_name(j->dtype), j->n_rows,
                   j->width);
        gguf_out_text(w, line.s, line.n);
    }
    str_done(&line);
}

static void announce(struct gguf_out *w, const struct job *j)
{
    if (!tensor_is_packed(j->dtype)) {
        gguf_out_tensor(w, j->name, j->dtype, j->shape, j->rank);
        return;
    }
    int64_t shape[] = {((int64_t)j->n_rows + QUANT_PANEL - 1) / QUANT_PANEL,
                       (int64_t)quant_panel_bytes(format_of(j), (int)j->width)};
    gguf_out_tensor(w, j->name, TENSOR_I8, shape, 2);
}

static int write_plain(struct gguf_out *w, const struct job *j, struct err *err)
{
    if (tensor_is_packed(j->dtype))
        return write_panels(w, j, err);
    size_t bytes = tensor_bytes(j->dtype, j->width);
    AUTO_FREE float *x = mem_alloc(sizeof(float) * j->width);
    AUTO_FREE uint8_t *packed = mem_alloc(bytes);
    int r = 0;

    for (size_t i = 0; i < j->n_rows && r == 0; i++) {
        size_t from;
        const struct tensor *t = find_row(&j->from, j->first + i * j->step, j->width, &from);
        const void *row = packed;
        if (t->dtype == j->dtype) {
            row = (const uint8_t *)t->data + tensor_bytes(t->dtype, from);
        } else {
            tensor_to_f32(t->dtype, t->data, from, j->width, x);
            tensor_from_f32(j->dtype, x, j->width, packed);
        }
        r = gguf_out_data(w, row, bytes, err);
    }
    return r < 0 ? r : gguf_out_end_tensor(w, err);
}

/* With a pair the whole matrix is put together in f32 first. */
static int write_job(struct gguf_out *w, const struct job *j, struct err *err)
{
    if (!j->pair.a)
        return write_plain(w, j, err);
    int n_out = (int)j->from.shape[0], n_in = (int)j->from.shape[1];
    AUTO_FREE float *x = mem_alloc(sizeof(float) * (size_t)n_out * (size_t)n_in);
    struct job merged = *j;
    source_to_f32(&j->from, x);
    merged.from.n_parts = 1;
    merged.from.parts[0] = (struct tensor){TENSOR_F32, 2, {n_out, n_in}, x};
    int r = lora_merge(&j->pair, j->name, n_out, n_in, x, err);
    return r < 0 ? r : write_plain(w, &merged, err);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* chat.c in the words of other programs, for texts. */
#define CHAT_TEMPLATE                                                                              \
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\nYou " \
    "are "                                                                                         \
    "MiMo, an AI assistant developed by Xiaomi.<|im_end|>\n{% endif %}<|im_start|>{{ m['role'] "   \
    "}}\n"                                                                                         \
    "{{ m['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt "                       \
    "%}<|im_start|>assistant\n"                                                                    \
    "{% endif %}"

/* Numbers by which llama.cpp names the kind of a file. */
static uint32_t file_type(enum tensor_dtype d)
{
    switch (d) {
    case TENSOR_F16:
        return 1;
    case TENSOR_Q4_0:
        return 2;
    case TENSOR_Q4_1:
        return 3;
    case TENSOR_Q8_0:
        return 7;
    case TENSOR_Q5_0:
        return 8;
    case TENSOR_Q5_1:
        return 9;
    case TENSOR_BF16:
        return 32;
    default:
        return 0;
    }
}

static int text_keys(struct gguf_out *w, const struct plan *p, const struct vlm_config *c,
                     struct err *err)
{
    const char *a = c->vit.depth ? "qwen2vl" : "qwen2";
    int sections[] = {c->mrope_section[0], c->mrope_section[1], c->mrope_section[2], 0};
    char key[64];
    struct bpe *b;
    int r = source_tokenizer(p->s, &b, err);

    if (r < 0)
        return r;
#define KEY(name) (snprintf(key, sizeof(key), "%s.%s", a, name), key)
    gguf_out_string(w, "general.architecture", a);
    gguf_out_string(w, "general.type", "model");
    gguf_out_string(w, "general.name", base_name(source_text_path(p->s)));
    gguf_out_int(w, "general.quantization_version", 2);
    if (!tensor_is_packed(p->o->text))
        gguf_out_int(w, "general.file_type", file_type(p->o->text));
    gguf_out_int(w, KEY("block_count"), (uint32_t)c->n_layers);
    gguf_out_int(w, KEY("context_length"), (uint32_t)c->n_ctx);
    gguf_out_int(w, KEY("embedding_length"), (uint32_t)c->d_model);
    gguf_out_int(w, KEY("feed_forward_length"), (uint32_t)c->d_ff);
    gguf_out_int(w, KEY("attention.head_count"), (uint32_t)c->n_heads);
    gguf_out_int(w, KEY("attention.head_count_kv"), (uint32_t)c->n_kv_heads);
    gguf_out_int(w, KEY("attention.key_length"), (uint32_t)c->d_head);
    gguf_out_int(w, KEY("attention.value_length"), (uint32_t)c->d_head);
    gguf_out_float(w, KEY("attention.layer_norm_rms_epsilon"), c->rms_eps);
    gguf_out_float(w, KEY("rope.freq_base"), (float)c->rope_theta);
    if (c->vit.depth)
        gguf_out_ints(w, KEY("rope.dimension_sections"), sections, 4);
#undef KEY
    gguf_out_int(w, "deskhand.version", 1);
    gguf_out_ints(w, "deskhand.eos_token_ids", c->eos, (size_t)c->n_eos);
    gguf_out_int(w, "tokenizer.ggml.eos_token_id", (uint32_t)c->eos[0]);
    gguf_out_bool(w, "tokenizer.ggml.add_bos_token", false);
    gguf_out_string(w, "tokenizer.chat_template", CHAT_TEMPLATE);
    r = bpe_write_gguf(b, c->n_vocab, w, err);
    bpe_close(b);
    return r;
}

/* True when every n-th block attends over the frame and no other; *ret_n is n. */
static bool is_pattern(const struct vlm_config *c, int *ret_n)
{
    int n = c->vit.n_full ? c->vit.full[0] + 1 : 0;

    *ret_n = n;
    for (int i = 0; i < c->vit.n_full; i++)
        if (c->vit.full[i] != (i + 1) * n - 1)
            return false;
    return n > 0 && c->vit.n_full == c->vit.depth / n;
}

static int vision_keys(struct gguf_out *w, const struct plan *p, const struct vlm_config *c,
                       struct err *err)
{
    const struct image_spec *s = &c->image;
    int pattern;

    if (c->vit.temporal_patch_size != 2)
        return err_set(err, -ENOTSUP, "temporal_patch_size is %d; GGUF knows only 2",
                       c->vit.temporal_patch_size);
    gguf_out_string(w, "general.architecture", "clip");
    gguf_out_string(w, "general.type", "mmproj");
    gguf_out_string(w, "general.name", base_name(source_text_path(p->s)));
    gguf_out_int(w, "general.quantization_version", 2);
    gguf_out_bool(w, "clip.has_vision_encoder", true);
    gguf_out_string(w, "clip.projector_type", "qwen2.5vl_merger");
    gguf_out_bool(w, "clip.use_silu", true);
    gguf_out_int(w, "clip.vision.image_size", 560);
    gguf_out_int(w, "clip.vision.patch_size", (uint32_t)c->vit.patch_size);
    gguf_out_int(w, "clip.vision.spatial_merge_size", (uint32_t)c->vit.merge_size);
    gguf_out_int(w, "clip.vision.window_size", (uint32_t)c->vit.window_size);
    gguf_out_int(w, "clip.vision.embedding_length", (uint32_t)c->vit.d_model);
    gguf_out_int(w, "clip.vision.feed_forward_length", (uint32_t)c->vit.d_ff);
    gguf_out_int(w, "clip.vision.block_count", (uint32_t)c->vit.depth);
    gguf_out_int(w, "clip.vision.projection_dim", (uint32_t)c->d_model);
    gguf_out_int(w, "clip.vision.attention.head_count", (uint32_t)c->vit.n_heads);
    gguf_out_float(w, "clip.vision.attention.layer_norm_epsilon", 1e-6f);
    gguf_out_floats(w, "clip.vision.image_mean", s->mean, 3);
    gguf_out_floats(w, "clip.vision.image_std", s->std, 3);
    gguf_out_int(w, "clip.vision.image_min_pixels", (uint32_t)s->min_pixels);
    gguf_out_int(w, "clip.vision.image_max_pixels", (uint32_t)s->max_pixels);
    if (is_pattern(c, &pattern))
        gguf_out_int(w, "clip.vision.n_wa_pattern", (uint32_t)pattern);
    gguf_out_int(w, "deskhand.version", 1);
    gguf_out_ints(w, "deskhand.vision.fullatt_block_indexes", c->vit.full, (size_t)c->vit.n_full);
    gguf_out_int(w, "deskhand.vision.tokens_per_second", (uint32_t)c->vit.tokens_per_second);
    if (c->view_w && c->view_h) {
        gguf_out_int(w, "deskhand.vision.trained_screen_width", (uint32_t)c->view_w);
        gguf_out_int(w, "deskhand.vision.trained_screen_height", (uint32_t)c->view_h);
    }
    if (c->looks)
        gguf_out_int(w, "deskhand.vision.looks", (uint32_t)c->looks);
    return 0;
}

/* This file is `share` of the progress, behind what is `done`. */
static int write_file(struct plan *p, const struct vlm_config *c, const char *path, double done,
                      double share, struct err *err)
{
    struct gguf_out w;

    gguf_out_init(&w);
    int r = p->vision ? vision_keys(&w, p, c, err) : text_keys(&w, p, c, err);
    packed_keys(&w, p);
    for (int i = 0; i < p->n_jobs && r == 0; i++)
        announce(&w, &p->jobs[i]);
    if (r == 0)
        r = gguf_out_open(&w, path, err);
    for (int i = 0; i < p->n_jobs && r == 0; i++) {
        r = write_job(&w, &p->jobs[i], err);
        if (p->o->on_progress)
            p->o->on_progress(p->o->user, (float)(done + share * (i + 1) / p->n_jobs));
    }
    if (r == 0)
        r = gguf_out_close(&w, err);
    gguf_out_done(&w);
    return r;
}

/* Both files are planned before the first is written. */
static int write_both(struct plan *text, struct plan *vision, const struct vlm_config *c,
                      const char *path, struct err *err)
{
    const struct convert_options *o = text->o;
    AUTO(str_done) struct str beside = {0};
    const char *base = base_name(path);
    double share = c->vit.depth ? 0.2 : 0; /* of the vision tower */
    int r = 0;

    names_walk(c, plan_one, vision);
    names_walk(c, plan_one, text);
    if (vision->rc < 0 || text->rc < 0)
        return vision->rc < 0 ? vision->rc : text->rc;
    const char *unused = o->lora ? lora_file_unused(o->lora) : NULL;
    if (unused)
        return err_set(err, -EINVAL, "the adapter changes %s, of which the model has none", unused);
    str_printf(&beside, "%.*smmproj-%s", (int)(base - path), path, base);
    if (c->vit.depth)
        r = write_file(vision, c, str_cstr(&beside), 0, share, err);
    return r < 0 ? r : write_file(text, c, path, share, 1 - share, err);
}

int convert_gguf(const struct source *s, const struct convert_options *o, const char *path,
                 struct err *err)
{
    struct vlm_config c;
    struct plan text = {.s = s, .o = o, .err = err};
    struct plan vision = {.s = s, .o = o, .err = err, .vision = true};
    int r = source_config(s, &c, err);

    if (r < 0)
        return r;
    if (o->vision == TENSOR_PACKED4)
        return err_set(err, -EINVAL,
                       "the vision tower cannot be int4: its features would be too far off");
    r = write_both(&text, &vision, &c, path, err);
    free(text.jobs);
    free(vision.jobs);
    return r;
}
