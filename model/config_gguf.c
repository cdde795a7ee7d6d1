/* The numbers of a checkpoint from GGUF metadata: the text model's file, and the vision tower's
 * ("mmproj") where there is one. What config_read() refuses in config.json is refused here too.
 *
 * The file's vision epsilon is not read: converters write the language model's there, and the
 * architecture fixes it at 1e-6 (vit.c). What GGUF has no key for is Qwen2.5-VL's own: two frames a
 * patch, two tokens a second, windows of 112 pixels. */
#include "model/config.h"

#include "base/mem.h"
#include "base/str.h"
#include "model/gguf.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct reader {
    const struct gguf *g;
    char arch[32];
    struct err *err;
    int rc; /* the first failure; later reads do nothing */
};

/* "%" in a key is the architecture. */
static void key_of(const struct reader *r, const char *key, char *ret, size_t n)
{
    if (key[0] == '%')
        snprintf(ret, n, "%s%s", r->arch, key + 1);
    else
        snprintf(ret, n, "%s", key);
}

/* `fallback` < 0: the key must be there. */
static int integer(struct reader *r, const char *key, int64_t lo, int64_t hi, int64_t fallback)
{
    char full[128];
    int64_t v = fallback;

    key_of(r, key, full, sizeof(full));
    if (r->rc == 0 && (fallback < 0 || gguf_has(r->g, full)))
        r->rc = gguf_int(r->g, full, lo, hi, &v, r->err);
    return r->rc < 0 ? 0 : (int)v;
}

static double number(struct reader *r, const char *key, double lo, double hi, double fallback)
{
    char full[128];
    double v = fallback;

    key_of(r, key, full, sizeof(full));
    if (r->rc == 0 && (fallback < 0 || gguf_has(r->g, full)))
        r->rc = gguf_number(r->g, full, lo, hi, &v, r->err);
    return v;
}

/* The text must be one of the words, separated by spaces. */
static void must_be(struct reader *r, const char *key, const char *words, const char *what,
                    struct gguf_text *ret)
{
    struct gguf_text t = {0};
    AUTO(str_done) struct str shown = {0};

    if (r->rc == 0)
        r->rc = gguf_string(r->g, key, &t, r->err);
    if (r->rc < 0)
        return;
    for (const char *w = words; *w; w += strspn(w, " ")) {
        size_t n = strcspn(w, " ");
        if (n == t.n && memcmp(w, t.s, n) == 0) {
            *ret = t;
            return;
        }
        w += n;
    }
    str_printable(&shown, t.s, t.n, 60);
    r->rc = err_set(r->err, -ENOTSUP, "%s: the %s is \"%s\"; supported: %s", gguf_path(r->g), what,
                    str_cstr(&shown), words);
}

static void refuse(struct reader *r, const char *what)
{
    if (r->rc == 0)
        r->rc = err_set(r->err, -ENOTSUP, "%s: %s", gguf_path(r->g), what);
}

static void read_sections(struct vlm_config *c, struct reader *r)
{
    char key[128];
    struct gguf_list l;
    double sum = 0;

    c->mrope_section[0] = c->d_head / 2;
    key_of(r, "%.rope.dimension_sections", key, sizeof(key));
    if (r->rc < 0 || (str_eq(r->arch, "qwen2") && !gguf_has(r->g, key)))
        return;
    if ((r->rc = gguf_list(r->g, key, false, &l, r->err)) < 0)
        return;
    for (uint64_t i = 0; i < 3 && i < l.n; i++) {
        double v = gguf_list_number(&l, i);
        if (!(v >= 0 && v <= 1024))
            v = 1025;
        c->mrope_section[i] = (int)v;
        sum += (int)v;
    }
    if (l.n < 3 || l.n > 4 || (int)sum != c->d_head / 2 ||
        (l.n == 4 && !(gguf_list_number(&l, 3) == 0)))
        r->rc = err_set(r->err, -EINVAL,
                        "%s: %s must be three numbers that add up to %d, half a head, and a 0",
                        gguf_path(r->g), key, c->d_head / 2);
}

static void read_text(struct vlm_config *c, struct reader *r)
{
    struct gguf_text arch = {0}, scaling = {0};
    char key[128];

    must_be(r, "general.architecture", "qwen2vl qwen2", "architecture", &arch);
    if (r->rc < 0)
        return;
    snprintf(r->arch, sizeof(r->arch), "%.*s", (int)arch.n, arch.s);
    c->d_model = integer(r, "%.embedding_length", 1, 65536, -1);
    c->d_ff = integer(r, "%.feed_forward_length", 1, 1 << 20, -1);
    c->n_layers = integer(r, "%.block_count", 1, 512, -1);
    c->n_heads = integer(r, "%.attention.head_count", 1, 1024, -1);
    c->n_kv_heads = integer(r, "%.attention.head_count_kv", 1, 1024, MAX(c->n_heads, 1));
    c->n_ctx = integer(r, "%.context_length", 1, 1 << 24, -1);
    c->rms_eps = (float)number(r, "%.attention.layer_norm_rms_epsilon", 1e-12, 1e-2, -1);
    c->rope_theta = number(r, "%.rope.freq_base", 1, 1e12, 10000);
    if (r->rc < 0)
        return;
    if (c->n_heads % c->n_kv_heads) {
        r->rc = err_set(r->err, -EINVAL, "%s: %d attention heads are no multiple of %d key heads",
                        gguf_path(r->g), c->n_heads, c->n_kv_heads);
        return;
    }
    int even = c->d_model % c->n_heads ? -1 : c->d_model / c->n_heads;
    c->d_head = integer(r, "%.attention.key_length", 2, 1024, even);
    if (r->rc == 0 && (c->d_head < 2 || c->d_head > 1024 || c->d_head % 2))
        r->rc = err_set(r->err, -EINVAL,
                        "%s: heads of %d values, expected an even number from 2 to "
                        "1024",
                        gguf_path(r->g), c->d_head);
    if (r->rc == 0 && (integer(r, "%.attention.value_length", 2, 1024, c->d_head) != c->d_head ||
                       integer(r, "%.rope.dimension_count", 2, 1024, c->d_head) != c->d_head))
        refuse(r, "keys, values and rotation of different widths are not supported");
    key_of(r, "%.rope.scaling.type", key, sizeof(key));
    if (r->rc == 0 && gguf_has(r->g, key))
        must_be(r, key, "none", "rope scaling", &scaling);
    if (r->rc < 0)
        return;
    read_sections(c, r);
    const struct tensor *embed = gguf_find(r->g, "token_embd.weight");
    if (r->rc == 0 && (!embed || embed->rank != 2 || embed->shape[0] > 1 << 22))
        r->rc = err_set(r->err, -EINVAL, "%s has no matrix token_embd.weight with at most %d rows",
                        gguf_path(r->g), 1 << 22);
    if (r->rc < 0)
        return;
    c->n_vocab = (int)embed->shape[0];
    c->tie_embeddings = !gguf_find(r->g, "output.weight");
}

static void read_three(struct reader *r, const char *key, bool positive, float out[3])
{
    struct gguf_list l;

    if (r->rc < 0 || (r->rc = gguf_list(r->g, key, false, &l, r->err)) < 0)
        return;
    for (uint64_t i = 0; i < 3 && i < l.n; i++)
        out[i] = (float)gguf_list_number(&l, i);
    for (uint64_t i = 0; i < 3; i++)
        if (l.n != 3 || !(fabsf(out[i]) < 1000) || (positive && !(out[i] > 0)))
            r->rc = err_set(r->err, -EINVAL, "%s: %s must be three %snumbers", gguf_path(r->g), key,
                            positive ? "positive " : "");
}

/* Every pattern-th block attends over the frame; our own files may list them. */
static void read_full(struct vlm_config *c, struct reader *r)
{
    static const char own[] = "deskhand.vision.fullatt_block_indexes";
    struct gguf_list l;

    if (gguf_has(r->g, own)) {
        if ((r->rc = gguf_list(r->g, own, false, &l, r->err)) < 0)
            return;
        for (uint64_t i = 0; i < l.n && r->rc == 0; i++) {
            double v = gguf_list_number(&l, i);
            if (i >= N_ELEMENTS(c->vit.full) || !(v >= 0 && v < c->vit.depth))
                r->rc = err_set(r->err, -EINVAL, "%s: %s must list at most %zu blocks below %d",
                                gguf_path(r->g), own, N_ELEMENTS(c->vit.full), c->vit.depth);
            else
                c->vit.full[c->vit.n_full++] = (int)v;
        }
        return;
    }
    int pattern = integer(r, "clip.vision.n_wa_pattern", 1, 512, -1);
    for (int i = pattern - 1; r->rc == 0 && i < c->vit.depth; i += pattern) {
        if (c->vit.n_full == (int)N_ELEMENTS(c->vit.full))
            refuse(r, "too many blocks attend over the whole frame");
        else
            c->vit.full[c->vit.n_full++] = i;
    }
}

static void read_vision(struct vlm_config *c, struct reader *r)
{
    struct gguf_text t;
    bool is_gelu = false;

    must_be(r, "general.architecture", "clip", "architecture", &t);
    if (r->rc == 0 && !gguf_has(r->g, "clip.projector_type"))
        must_be(r, "clip.vision.projector_type", "qwen2.5vl_merger", "projector", &t);
    else
        must_be(r, "clip.projector_type", "qwen2.5vl_merger", "projector", &t);
    if (r->rc == 0 && gguf_has(r->g, "clip.use_gelu"))
        r->rc = gguf_bool(r->g, "clip.use_gelu", &is_gelu, r->err);
    if (is_gelu)
        refuse(r, "clip.use_gelu: only SiLU is supported");
    c->vit.depth = integer(r, "clip.vision.block_count", 1, 512, -1);
    c->vit.d_model = integer(r, "clip.vision.embedding_length", 1, 65536, -1);
    c->vit.d_ff = integer(r, "clip.vision.feed_forward_length", 1, 1 << 20, -1);
    c->vit.n_heads = integer(r, "clip.vision.attention.head_count", 1, 1024, -1);
    c->vit.patch_size = integer(r, "clip.vision.patch_size", 2, 64, 14);
    c->vit.merge_size = integer(r, "clip.vision.spatial_merge_size", 1, 8, 2);
    c->vit.window_size = integer(r, "clip.vision.window_size", 2, 4096, 112);
    c->vit.temporal_patch_size = 2;
    c->view_w = integer(r, "deskhand.vision.trained_screen_width", 0, 32767, 0);
    c->view_h = integer(r, "deskhand.vision.trained_screen_height", 0, 32767, 0);
    c->looks = integer(r, "deskhand.vision.looks", 0, 7, 0);
    c->vit.tokens_per_second = integer(r, "deskhand.vision.tokens_per_second", 1, 1000, 2);
    int out = integer(r, "clip.vision.projection_dim", 1, 65536, c->d_model);
    if (r->rc < 0)
        return;
    if (out != c->d_model)
        r->rc = err_set(r->err, -EINVAL,
                        "%s gives rows of %d, the language model reads %d: the files do not belong "
                        "together",
                        gguf_path(r->g), out, c->d_model);
    else if (c->vit.d_model % c->vit.n_heads || (c->vit.d_model / c->vit.n_heads) % 4)
        r->rc = err_set(r->err, -EINVAL, "%s: width %d over %d heads must be a multiple of 4",
                        gguf_path(r->g), c->vit.d_model, c->vit.n_heads);
    else if (c->vit.window_size % (c->vit.patch_size * c->vit.merge_size))
        r->rc = err_set(r->err, -EINVAL, "%s: windows of %d pixels are no multiple of %d",
                        gguf_path(r->g), c->vit.window_size, c->vit.patch_size * c->vit.merge_size);
    if (r->rc == 0)
        read_full(c, r);
    read_three(r, "clip.vision.image_mean", false, c->image.mean);
    read_three(r, "clip.vision.image_std", true, c->image.std);
}

static void read_image(struct vlm_config *c, struct reader *r)
{
    struct image_spec *s = &c->image;

    s->patch_size = c->vit.patch_size;
    s->merge_size = c->vit.merge_size;
    s->temporal_patch_size = c->vit.temporal_patch_size;
    s->rescale = 1.0f / 255;
    s->min_pixels = integer(r, "clip.vision.image_min_pixels", 1, 1 << 30, 3136);
    s->max_pixels = integer(r, "clip.vision.image_max_pixels", 1, 1 << 30, 12845056);
    if (r->rc == 0 && s->max_pixels < s->min_pixels)
        refuse(r, "clip.vision.image_max_pixels is below image_min_pixels");
}

/* Texts that end a turn in this family, whatever the metadata says. */
static void read_eos(struct vlm_config *c, struct reader *r)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    static const char own[] = "deskhand.eos_token_ids";
    struct gguf_list l;

    if (gguf_has(r->g, own) && r->rc == 0 &&
        (r->rc = gguf_list(r->g, own, false, &l, r->err)) == 0) {
        for (uint64_t i = 0; i < l.n && i < N_ELEMENTS(c->eos); i++) {
            double v = gguf_list_number(&l, i);
            if (v >= 0 && v < c->n_vocab && !config_is_eos(c, (int32_t)v))
                c->eos[c->n_eos++] = (int)v;
        }
        if (c->n_eos)
            return;
    }
    for (size_t i = 0; i < N_ELEMENTS(keys) && c->n_eos < (int)N_ELEMENTS(c->eos); i++) {
        if (r->rc < 0 || !gguf_has(r->g, keys[i]))
            continue;
        int id = integer(r, keys[i], 0, c->n_vocab - 1, 0);
        if (r->rc == 0 && !config_is_eos(c, id))
            c->eos[c->n_eos++] = id;
    }
    if (r->rc < 0 || (r->rc = gguf_list(r->g, "tokenizer.ggml.tokens", true, &l, r->err)) < 0)
        return;
    for (int32_t id = 0; l.n && id < c->n_vocab; id++) {
        struct gguf_text t = gguf_list_next(&l);
        if ((gguf_text_is(t, "<|im_end|>") || gguf_text_is(t, "<|endoftext|>")) &&
            !config_is_eos(c, id) && c->n_eos < (int)N_ELEMENTS(c->eos))
            c->eos[c->n_eos++] = id;
    }
    if (!c->n_eos)
        r->rc = err_set(r->err, -EINVAL, "%s names no token that ends a text", gguf_path(r->g));
}

int config_read_gguf(const struct gguf *text, const struct gguf *vision, struct vlm_config *ret,
                     struct err *err)
{
    struct vlm_config c = {0};
    struct reader r = {.g = text, .err = err};

    read_text(&c, &r);
    if (r.rc == 0)
        read_eos(&c, &r);
    if (vision) {
        r.g = vision;
        read_vision(&c, &r);
    } else {
        /* Pictures can be cut, but not read; vlm.c says so. */
        c.vit.patch_size = 14;
        c.vit.merge_size = c.vit.temporal_patch_size = c.vit.tokens_per_second = 2;
        for (int i = 0; i < 3; i++)
            c.image.mean[i] = c.image.std[i] = 0.5f;
    }
    read_image(&c, &r);
    if (r.rc == 0)
        *ret = c;
    return r.rc;
}
