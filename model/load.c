/* Tensors of the checkpoint, found by name, checked against what the configuration says, packed. A
 * checkpoint is a stranger's file: whatever does not fit is one sentence with both shapes. */
#include "model/load.h"

#include "base/mem.h"
#include "model/lora.h"
#include "model/quant.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void shape_text(const int64_t *shape, int rank, char *ret, size_t n)
{
    size_t at = 0;

    at += (size_t)snprintf(ret, n, "[");
    for (int i = 0; i < rank && at < n; i++)
        at += (size_t)snprintf(ret + at, n - at, "%s%lld", i ? ", " : "", (long long)shape[i]);
    if (at < n)
        snprintf(ret + at, n - at, "]");
}

/* Packed types are among what it finds. */
static int find_shaped(struct load *l, const char *name, const int64_t *shape, int rank,
                       struct source_tensor *ret, struct err *err)
{
    const struct tensor *own = l->lora ? lora_file_saved(l->lora, name) : NULL;

    if (own) {
        *ret = (struct source_tensor){.rank = own->rank, .n_parts = 1, .parts = {*own}};
        memcpy(ret->shape, own->shape, sizeof(ret->shape));
    } else if (!source_find(l->src, name, ret))
        return err_set(err, -EINVAL, "The checkpoint has no tensor %s.", name);
    if (ret->rank != rank || memcmp(ret->shape, shape, sizeof(*shape) * (size_t)rank) != 0) {
        char found[128], want[128];
        shape_text(ret->shape, ret->rank, found, sizeof(found));
        shape_text(shape, rank, want, sizeof(want));
        return err_set(err, -EINVAL, "Tensor %s has the shape %s; the configuration asks for %s.",
                       name, found, want);
    }
    for (int i = 0; i < ret->n_parts; i++)
        if (ret->parts[i].dtype == TENSOR_OTHER)
            return err_set(err, -EINVAL, "Tensor %s is stored as %s; expected a float.", name,
                           tensor_dtype_name(ret->parts[i].dtype));
    return 0;
}

int load_shaped(struct load *l, const char *name, const int64_t *shape, int rank,
                struct source_tensor *ret, struct err *err)
{
    int r = find_shaped(l, name, shape, rank, ret, err);

    if (r == 0 && tensor_is_packed(ret->parts[0].dtype))
        r = err_set(err, -EINVAL, "Tensor %s is packed as %s, which it must not be.", name,
                    tensor_dtype_name(ret->parts[0].dtype));
    return r;
}

void load_name(char *ret, size_t n, int layer, const char *format, const char *suffix)
{
    const char *d = strstr(format, "%d");

    if (d)
        snprintf(ret, n, "%.*s%d%s%s", (int)(d - format), format, layer, d + 2, suffix);
    else
        snprintf(ret, n, "%s%s", format, suffix);
}

static int load_floats(struct load *l, const char *name, int n, float *ret, struct err *err)
{
    int64_t shape[] = {n};
    struct source_tensor t;
    int r = load_shaped(l, name, shape, 1, &t, err);

    if (r == 0)
        source_to_f32(&t, ret);
    return r;
}

int load_vector(struct load *l, int layer, const char *name, int n, float **ret, struct err *err)
{
    char full[160];

    load_name(full, sizeof(full), layer, name, "");
    if (l->adapt)
        return lora_adapt_vector(l->adapt, l, full, n, ret, err);
    float *v = l->b->buffer(l->b, sizeof(float) * (size_t)n, false);
    int r = load_floats(l, full, n, v, err);
    if (r < 0) {
        l->b->buffer_done(l->b, v);
        return r;
    }
    *ret = v;
    l->n_params += n;
    return 0;
}

/* With l->merge and a pair for the part: *t becomes the sum, in memory that the caller frees. */
static int merge_pair(struct load *l, int layer, const struct load_part *part, int n_in,
                      struct source_tensor *t, float **ret, struct err *err)
{
    char name[160];
    struct lora_pair p;

    load_name(name, sizeof(name), layer, part->name, "");
    if (!l->merge || !l->lora || !lora_file_pair(l->lora, name, &p))
        return 0;
    *ret = mem_alloc(sizeof(float) * (size_t)part->n_out * (size_t)n_in);
    source_to_f32(t, *ret);
    t->n_parts = 1;
    t->parts[0] = (struct tensor){TENSOR_F32, 2, {part->n_out, n_in}, *ret};
    return lora_merge(&p, name, part->n_out, n_in, *ret, err);
}

/* Can the backend take the parts' panels as they are? One behind the other they must be panels
 * still. */
static bool is_wanted(const struct backend *b, const struct weight_part *w, int n)
{
    enum tensor_dtype want = b->pack_as == WEIGHT_INT8   ? TENSOR_PACKED8
                             : b->pack_as == WEIGHT_INT4 ? TENSOR_PACKED4
                                                         : TENSOR_OTHER;
    for (int i = 0; i < n; i++)
        if (w[i].dtype != want || (i < n - 1 && w[i].n_out % QUANT_PANEL))
            return false;
    return true;
}

/* Packs what may be panels already into what the backend is to have. */
static void pack(struct load *l, struct weight_part *w, int n, int n_in, const float *bias,
                 struct weight *ret)
{
    float *plain[3 * SOURCE_MAX_PARTS] = {NULL};
    bool take = is_wanted(l->b, w, n);

    for (int i = 0; i < n && !take; i++) {
        if (!tensor_is_packed(w[i].dtype))
            continue;
        struct source_tensor t = {2, {w[i].n_out, n_in}, 1,
                                  {{w[i].dtype, 2, {w[i].n_out, n_in}, w[i].data}}};
        plain[i] = mem_alloc(sizeof(float) * (size_t)w[i].n_out * (size_t)n_in);
        source_to_f32(&t, plain[i]);
        w[i] = (struct weight_part){plain[i], TENSOR_F32, w[i].n_out};
    }
    l->b->weight_pack(l->b, w, n, n_in, bias, ret);
    for (int i = 0; i < n; i++)
        free(plain[i]);
}

int load_linear(struct load *l, int layer, const struct load_part *parts, int n_parts, int n_in,
                bool bias, struct weight *ret, struct err *err)
{
    struct weight_part w[3 * SOURCE_MAX_PARTS];
    char name[160];
    float *merged[3] = {NULL, NULL, NULL};
    int n_out = 0, n_w = 0, at = 0, r = 0;

    CHECK(n_parts <= 3);
    if (l->adapt)
        return lora_adapt_linear(l->adapt, l, layer, parts, n_parts, n_in, bias, ret, err);
    for (int i = 0; i < n_parts; i++)
        n_out += parts[i].n_out;
    AUTO_FREE float *sum = mem_alloc(sizeof(float) * (size_t)n_out);
    for (int i = 0; i < n_parts; i++) {
        int64_t shape[] = {parts[i].n_out, n_in};
        struct source_tensor t;
        load_name(name, sizeof(name), layer, parts[i].name, ".weight");
        if ((r = find_shaped(l, name, shape, 2, &t, err)) < 0 ||
            (r = merge_pair(l, layer, &parts[i], n_in, &t, &merged[i], err)) < 0)
            goto out;
        for (int k = 0; k < t.n_parts; k++)
            w[n_w++] = (struct weight_part){t.parts[k].data, t.parts[k].dtype,
                                            (int)t.parts[k].shape[0]};
        if (!bias)
            continue;
        load_name(name, sizeof(name), layer, parts[i].name, ".bias");
        if ((r = load_floats(l, name, parts[i].n_out, sum + at, err)) < 0)
            goto out;
        at += parts[i].n_out;
    }
    pack(l, w, n_w, n_in, bias ? sum : NULL, ret);
    source_drop_pages(l->src); /* else a model would be in memory twice while it is loaded */
    l->n_params += (int64_t)n_out * n_in + (bias ? n_out : 0);
    l->bytes += ret->n_bytes;
out:
    for (int i = 0; i < n_parts; i++)
        free(merged[i]);
    return r;
}

void load_step(struct load *l)
{
    l->step++;
    if (l->on_progress)
        l->on_progress(l->user, (float)l->step / (float)l->n_steps);
}
