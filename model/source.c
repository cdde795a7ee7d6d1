/* One face for two kinds of checkpoints: safetensors in Hugging Face's layout, and GGUF, whose
 * names are translated and whose pieces (q, k, v; the two time slices of the patch embedding) are
 * put together again. */
#include "model/source.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/gguf.h"
#include "model/names.h"
#include "model/quant.h"
#include "model/safetensors.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct packed {
    const struct tensor *raw; /* I8 [panels, bytes of a panel] */
    struct tensor t;          /* [n_out, n_in] */
};

struct source {
    char *path;                 /* the folder of safetensors, or the text model's file */
    struct safetensors *st;     /* or, when NULL: */
    struct gguf *text, *vision; /* vision may be NULL */
    char *vision_path;
    float *patches; /* the patch embedding put together, owned */
    struct tensor patch_embed;
    struct packed *packed;
    int n_packed;
};

/* finding the files */

static bool is_file(const char *dir, const char *name)
{
    AUTO_FREE char *path = file_join(dir, name);
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool is_gguf(const char *name)
{
    size_t n = strlen(name);
    return n > 5 && strcasecmp(name + n - 5, ".gguf") == 0;
}

static bool is_mmproj(const char *name)
{
    return strcasestr(name, "mmproj") != NULL;
}

/* The one *.gguf of a folder that is (not) a vision tower; with several, the one called
 * `preferred`. *ret stays NULL when there is none. */
static int find_gguf(const char *dir, bool mmproj, const char *preferred, char **ret,
                     struct err *err)
{
    struct dirent **names;
    AUTO_FREE char *first = NULL;
    AUTO_FREE char *second = NULL;
    int n = scandir(dir, &names, NULL, alphasort), n_found = 0;

    if (n < 0)
        return err_set(err, -errno, "cannot list %s: %s", dir, strerror(errno));
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name;
        if (name[0] != '.' && is_gguf(name) && is_mmproj(name) == mmproj) {
            char **to = n_found == 0 || str_eq(preferred, name) ? &first : &second;
            free(*to);
            *to = mem_strdup(name);
            n_found++;
        }
        free(names[i]);
    }
    free(names);
    if (n_found > 1 && !str_eq(preferred, first))
        return err_set(err, -EINVAL, "%s holds several %s, %.80s and %.80s; name one of them", dir,
                       mmproj ? "vision towers" : "GGUF models", first, second);
    if (first)
        *ret = file_join(dir, first);
    return 0;
}

/* Where the vision tower of a text model's file lies: beside it. */
static int find_vision(struct source *s, const char *mmproj, struct err *err)
{
    const char *slash = strrchr(s->path, '/');
    AUTO_FREE char *dir =
        slash ? mem_strndup(s->path, MAX(1, (size_t)(slash - s->path))) : mem_strdup(".");
    AUTO(str_done) struct str own = {0};

    if (mmproj) {
        s->vision_path = mem_strdup(mmproj);
        return 0;
    }
    str_printf(&own, "mmproj-%s", slash ? slash + 1 : s->path);
    return find_gguf(dir, true, str_cstr(&own), &s->vision_path, err);
}

/* Two slices [d, 3, p, p] in time become [d, 3, 2, p, p]. */
static int join_patches(struct source *s, struct err *err)
{
    const struct tensor *a = gguf_find(s->vision, "v.patch_embd.weight");
    const struct tensor *b = gguf_find(s->vision, "v.patch_embd.weight.1");

    if (!a || !b || a->rank != 4 || b->rank != 4 || a->dtype != b->dtype ||
        memcmp(a->shape, b->shape, sizeof(a->shape)) != 0)
        return err_set(
            err, -EINVAL,
            "%s has no v.patch_embd.weight and v.patch_embd.weight.1, two matrices of the "
            "same four dimensions",
            gguf_path(s->vision));
    size_t n = (size_t)(a->shape[0] * a->shape[1]), pp = (size_t)(a->shape[2] * a->shape[3]);
    AUTO_FREE float *x = mem_alloc(sizeof(float) * n * pp);
    s->patches = mem_alloc(sizeof(float) * n * pp * 2);
    for (size_t slice = 0; slice < 2; slice++) {
        tensor_to_f32(a->dtype, slice ? b->data : a->data, 0, n * pp, x);
        for (size_t i = 0; i < n; i++)
            memcpy(s->patches + (2 * i + slice) * pp, x + i * pp, sizeof(float) * pp);
    }
    s->patch_embed = (struct tensor){
        TENSOR_F32, 5, {a->shape[0], a->shape[1], 2, a->shape[2], a->shape[3]}, s->patches};
    return 0;
}

/* "NAME FORMAT ROWS COLUMNS" of a tensor that holds panels. */
static int read_packed_one(struct source *s, const struct gguf *g, struct gguf_text text,
                           struct err *err)
{
    char line[256], name[NAMES_MAX], format[8];
    long long rows = 0, columns = 0;
    int end = 0, f;

    snprintf(line, sizeof(line), "%.*s", (int)MIN(text.n, sizeof(line) - 1), text.s);
    if (sscanf(line, "%95s %7s %lld %lld%n", name, format, &rows, &columns, &end) != 4 ||
        line[end] || (f = quant_format_of(format)) < 0 || rows < 1 || columns < 1 ||
        rows > 1 << 24 || columns > 1 << 24)
        return err_set(err, -EINVAL, "%s: deskhand.packed says \"%.80s\"", gguf_path(g), line);
    const struct tensor *raw = gguf_find(g, name);
    int64_t n_panels = (rows + QUANT_PANEL - 1) / QUANT_PANEL;
    int64_t bytes = (int64_t)quant_panel_bytes((enum quant_format)f, (int)columns);
    if (!raw || raw->dtype != TENSOR_I8 || raw->rank != 2 || raw->shape[0] != n_panels ||
        raw->shape[1] != bytes)
        return err_set(err, -EINVAL,
                       "%s: %s is not %lld panels of %lld bytes, as deskhand.packed says",
                       gguf_path(g), name, (long long)n_panels, (long long)bytes);
    s->packed = mem_realloc(s->packed, sizeof(*s->packed) * (size_t)(s->n_packed + 1));
    s->packed[s->n_packed++] = (struct packed){
        raw, {f == QUANT_INT8 ? TENSOR_PACKED8 : TENSOR_PACKED4, 2, {rows, columns}, raw->data}};
    return 0;
}

static int read_packed(struct source *s, const struct gguf *g, struct err *err)
{
    struct gguf_list l;
    int r = 0;

    if (!gguf_has(g, "deskhand.packed"))
        return 0;
    if ((r = gguf_list(g, "deskhand.packed", true, &l, err)) < 0)
        return r;
    if (l.n > 10000)
        return err_set(err, -EINVAL, "%s: deskhand.packed has %llu rows, expected 10000 at most",
                       gguf_path(g), (unsigned long long)l.n);
    while (l.n && r == 0)
        r = read_packed_one(s, g, gguf_list_next(&l), err);
    return r;
}

static int open_gguf(struct source *s, const char *mmproj, struct err *err)
{
    struct gguf_text arch;
    int64_t n = 1;
    int r = gguf_open(s->path, &s->text, err);

    if (r < 0 || (r = gguf_string(s->text, "general.architecture", &arch, err)) < 0)
        return r;
    if (gguf_has(s->text, "split.count") &&
        (r = gguf_int(s->text, "split.count", 0, 65535, &n, err)) < 0)
        return r;
    if (n > 1)
        return err_set(err, -ENOTSUP,
                       "%s is one of %lld parts; join them first (llama-gguf-split "
                       "--merge)",
                       s->path, (long long)n);
    if ((r = read_packed(s, s->text, err)) < 0)
        return r;
    /* Only the family that reads pictures looks for a vision tower. */
    if (!mmproj && !gguf_text_is(arch, "qwen2vl"))
        return 0;
    if ((r = find_vision(s, mmproj, err)) < 0 || !s->vision_path)
        return r;
    if ((r = gguf_open(s->vision_path, &s->vision, err)) < 0)
        return r;
    r = join_patches(s, err);
    return r < 0 ? r : read_packed(s, s->vision, err);
}

static int open_folder(struct source *s, const char *mmproj, struct err *err)
{
    AUTO_FREE char *found = NULL;
    int r;

    if (!is_file(s->path, "model.safetensors") &&
        !is_file(s->path, "model.safetensors.index.json")) {
        if ((r = find_gguf(s->path, false, NULL, &found, err)) < 0)
            return r;
        if (found) {
            free(s->path);
            s->path = found;
            found = NULL;
            return open_gguf(s, mmproj, err);
        }
    }
    if (mmproj)
        return err_set(err, -EINVAL, "%s is given as the vision tower, but %s holds no GGUF model",
                       mmproj, s->path);
    return safetensors_open(s->path, &s->st, err);
}

int source_open(const char *path, const char *mmproj, struct source **ret, struct err *err)
{
    struct source *s = mem_zalloc(sizeof(*s));
    struct stat st;

    s->path = mem_strdup(path);
    int r = stat(path, &st) < 0 ? err_set(err, -errno, "cannot open %s: %s", path, strerror(errno))
            : S_ISDIR(st.st_mode) ? open_folder(s, mmproj, err)
                                  : open_gguf(s, mmproj, err);
    if (r < 0) {
        source_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

void source_close(struct source *s)
{
    if (!s)
        return;
    safetensors_close(s->st);
    gguf_close(s->text);
    gguf_close(s->vision);
    free(s->packed);
    free(s->patches);
    free(s->vision_path);
    free(s->path);
    free(s);
}

void source_drop_pages(const struct source *s)
{
    if (s->st)
        safetensors_drop_pages(s->st);
    if (s->text)
        gguf_drop_pages(s->text);
    if (s->vision)
        gguf_drop_pages(s->vision);
}

const char *source_kind(const struct source *s)
{
    return s->st ? "safetensors" : "GGUF";
}

const char *source_text_path(const struct source *s)
{
    return s->path;
}

const char *source_vision_path(const struct source *s)
{
    return s->vision_path;
}

const char *source_packed(const struct source *s)
{
    const char *format = NULL;

    /* In an int4 model the head and the vision tower are int8. */
    for (int i = 0; i < s->n_packed; i++)
        if (!format || s->packed[i].t.dtype == TENSOR_PACKED4)
            format = s->packed[i].t.dtype == TENSOR_PACKED4 ? "int4" : "int8";
    return format;
}

int source_config(const struct source *s, struct vlm_config *ret, struct err *err)
{
    return s->st ? config_read(s->path, ret, err) : config_read_gguf(s->text, s->vision, ret, err);
}

int source_tokenizer(const struct source *s, struct bpe **ret, struct err *err)
{
    return s->st ? bpe_open(s->path, ret, err) : bpe_open_gguf(s->text, ret, err);
}

/* tensors */

/* What raw bytes are: panels, or nothing that this engine knows. */
static struct tensor look(const struct source *s, const struct tensor *t)
{
    struct tensor other = *t;

    for (int i = 0; i < s->n_packed; i++)
        if (s->packed[i].raw == t)
            return s->packed[i].t;
    if (t->dtype == TENSOR_I8)
        other.dtype = TENSOR_OTHER;
    return other;
}

static void add_part(const struct source *s, struct source_tensor *t, const struct tensor *raw)
{
    struct tensor looked = look(s, raw), *part = &looked;

    if (t->n_parts == 0) {
        t->rank = part->rank;
        memcpy(t->shape, part->shape, sizeof(t->shape));
    } else {
        t->shape[0] += part->shape[0];
    }
    t->parts[t->n_parts++] = *part;
}

/* "visual.blocks.N.attn.qkv.weight": q, k and v, or all in one. */
static bool find_qkv(const struct source *s, const char *name, struct source_tensor *ret)
{
    static const char *const pieces[] = {"q", "k", "v"};
    char layer[16], rest[16], full[NAMES_MAX];

    if (sscanf(name, "visual.blocks.%15[0-9].attn.qkv.%15s", layer, rest) != 2)
        return false;
    snprintf(full, sizeof(full), "v.blk.%s.attn_qkv.%s", layer, rest);
    const struct tensor *t = gguf_find(s->vision, full);
    if (t) {
        add_part(s, ret, t);
        return true;
    }
    for (size_t i = 0; i < N_ELEMENTS(pieces); i++) {
        snprintf(full, sizeof(full), "v.blk.%s.attn_%s.%s", layer, pieces[i], rest);
        t = gguf_find(s->vision, full);
        if (!t || (i > 0 && (t->rank != ret->rank ||
                             memcmp(t->shape + 1, ret->shape + 1, sizeof(t->shape[0]) * 7) != 0)))
            return false;
        add_part(s, ret, t);
    }
    return true;
}

bool source_find(const struct source *s, const char *name, struct source_tensor *ret)
{
    char full[NAMES_MAX];
    const struct tensor *t;

    *ret = (struct source_tensor){0};
    if (s->st) {
        t = safetensors_find(s->st, name);
    } else if (str_starts(name, "visual.")) {
        if (s->vision && find_qkv(s, name, ret))
            return true;
        *ret = (struct source_tensor){0};
        if (str_eq(name, "visual.patch_embed.proj.weight"))
            t = s->patches ? &s->patch_embed : NULL;
        else
            t = s->vision && names_gguf(name, full) ? gguf_find(s->vision, full) : NULL;
    } else {
        t = names_gguf(name, full) ? gguf_find(s->text, full) : NULL;
    }
    if (t)
        add_part(s, ret, t);
    return t != NULL;
}

int source_n_tensors(const struct source *s)
{
    return s->st ? safetensors_count(s->st)
                 : gguf_n_tensors(s->text) + (s->vision ? gguf_n_tensors(s->vision) : 0);
}

const struct tensor *source_tensor_at(const struct source *s, int i, const char **ret_name)
{
    if (s->st)
        return safetensors_at(s->st, i, ret_name);
    int n = gguf_n_tensors(s->text);
    return i < n ? gguf_tensor(s->text, i, ret_name) : gguf_tensor(s->vision, i - n, ret_name);
}

static void unpack(const struct tensor *p, float *ret)
{
    enum quant_format f = p->dtype == TENSOR_PACKED8 ? QUANT_INT8 : QUANT_INT4;
    int n_in = (int)p->shape[1];
    size_t bytes = quant_panel_bytes(f, n_in);
    const char *at = p->data;

    for (int64_t row = 0; row < p->shape[0]; row += QUANT_PANEL, at += bytes)
        quant_panel_unpack(f, at, (int)MIN(QUANT_PANEL, p->shape[0] - row), n_in,
                           ret + (size_t)row * (size_t)n_in);
}

bool source_is_quantised(const struct source *s)
{
    struct source_tensor t;

    return source_find(s, "model.layers.0.mlp.down_proj.weight", &t) &&
           tensor_block_values(t.parts[0].dtype) > 1;
}

void source_to_f32(const struct source_tensor *t, float *ret)
{
    for (int i = 0; i < t->n_parts; i++) {
        const struct tensor *p = &t->parts[i];
        size_t n = 1;
        for (int k = 0; k < p->rank; k++)
            n *= (size_t)p->shape[k];
        if (tensor_is_packed(p->dtype))
            unpack(p, ret);
        else
            tensor_to_f32(p->dtype, p->data, 0, n, ret);
        ret += n;
    }
}
