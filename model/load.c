/* Tensors of the checkpoint, found by name, checked against what the configuration says, packed. A
 * checkpoint is a stranger's file: whatever does not fit is one sentence with both shapes. */
#include "model/load.h"

#include "base/mem.h"

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

int load_shaped(struct load *l, const char *name, const int64_t *shape, int rank,
                struct weight_part *ret, struct err *err)
{
    const struct tensor *t = safetensors_find(l->st, name);

    if (!t)
        return err_set(err, -EINVAL, "The checkpoint has no tensor %s.", name);
    if (t->rank != rank || memcmp(t->shape, shape, sizeof(*shape) * (size_t)rank) != 0) {
        char found[128], want[128];
        shape_text(t->shape, t->rank, found, sizeof(found));
        shape_text(shape, rank, want, sizeof(want));
        return err_set(err, -EINVAL, "Tensor %s has the shape %s; the configuration asks for %s.",
                       name, found, want);
    }
    switch (t->dtype) {
    case TENSOR_F32:
        ret->kind = WEIGHT_F32;
        break;
    case TENSOR_BF16:
        ret->kind = WEIGHT_BF16;
        break;
    case TENSOR_F16:
        ret->kind = WEIGHT_F16;
        break;
    default:
        return err_set(err, -EINVAL, "Tensor %s is stored as %s; expected BF16, F16 or F32.", name,
                       tensor_dtype_name(t->dtype));
    }
    ret->data = t->data;
    ret->n_out = (int)shape[0];
    return 0;
}

int load_raw(struct load *l, const char *name, int n_out, int n_in, struct weight_part *ret,
             struct err *err)
{
    int64_t shape[] = {n_out, n_in};

    return load_shaped(l, name, shape, 2, ret, err);
}

void load_convert(const struct weight_part *p, size_t from, size_t n, float *ret)
{
    if (p->kind == WEIGHT_F32) {
        memcpy(ret, (const char *)p->data + from * 4, n * 4);
        return;
    }
    const char *src = (const char *)p->data + from * 2;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, src + i * 2, 2);
        ret[i] = p->kind == WEIGHT_BF16 ? bf16_to_f32(h) : f16_to_f32(h);
    }
}

static void name_of(char *ret, size_t n, int layer, const char *format, const char *suffix)
{
    const char *d = strstr(format, "%d");

    if (d)
        snprintf(ret, n, "%.*s%d%s%s", (int)(d - format), format, layer, d + 2, suffix);
    else
        snprintf(ret, n, "%s%s", format, suffix);
}

int load_vector(struct load *l, int layer, const char *name, int n, float **ret, struct err *err)
{
    char full[160];
    int64_t shape[] = {n};
    struct weight_part p;

    name_of(full, sizeof(full), layer, name, "");
    int r = load_shaped(l, full, shape, 1, &p, err);
    if (r < 0)
        return r;
    *ret = mem_aligned(sizeof(float) * (size_t)n);
    load_convert(&p, 0, (size_t)n, *ret);
    l->n_params += n;
    return 0;
}

int load_linear(struct load *l, int layer, const struct load_part *parts, int n_parts, int n_in,
                bool bias, struct weight *ret, struct err *err)
{
    struct weight_part w[3], b;
    char name[160];
    int n_out = 0, at = 0, r;

    CHECK(n_parts <= 3);
    for (int i = 0; i < n_parts; i++)
        n_out += parts[i].n_out;
    AUTO_FREE float *sum = mem_alloc(sizeof(float) * (size_t)n_out);
    for (int i = 0; i < n_parts; i++) {
        name_of(name, sizeof(name), layer, parts[i].name, ".weight");
        if ((r = load_raw(l, name, parts[i].n_out, n_in, &w[i], err)) < 0)
            return r;
        if (!bias)
            continue;
        int64_t shape[] = {parts[i].n_out};
        name_of(name, sizeof(name), layer, parts[i].name, ".bias");
        if ((r = load_shaped(l, name, shape, 1, &b, err)) < 0)
            return r;
        load_convert(&b, 0, (size_t)parts[i].n_out, sum + at);
        at += parts[i].n_out;
    }
    l->b->weight_pack(l->b, w, n_parts, n_in, bias ? sum : NULL, ret);
    l->n_params += (int64_t)n_out * n_in + (bias ? n_out : 0);
    l->bytes += (size_t)n_out * (size_t)n_in * (ret->kind == WEIGHT_BF16 ? 2 : 4);
    return 0;
}

void load_step(struct load *l)
{
    l->step++;
    if (l->on_progress)
        l->on_progress(l->user, (float)l->step / (float)l->n_steps);
}
