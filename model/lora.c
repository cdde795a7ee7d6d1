/* Hu et al. 2021, "LoRA". Nothing of the base is copied or changed: while an adapter is attached, a
 * layer's weight points to two small matrices whose product with the layer's input is added to its
 * output, and a tensor that the adapter replaces (modules_to_save) changes places with the base's.
 *
 * The places are found by walking through the model as for loading it, with load.adapt set. */
#include "model/lora.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROWS 128 /* of x that go through `down` together */

struct place {
    struct weight *at;
    struct lora_linear *add; /* may be NULL */
    bool swaps;
    struct weight own;
};

struct vector {
    float **at;
    float *own;
};

struct table {
    struct source_tensor *at, own;
};

struct lora {
    char name[64];
    struct lora_file *file;
    struct backend *b;
    struct place *places;
    int n_places;
    struct vector *vectors;
    int n_vectors;
    struct table tables[4];
    int n_tables;
    bool visual;
    float scale;    /* of the request */
    float *scratch; /* [ROWS, max_rank] */
    int max_rank;
};

int lora_open(const char *dir, const char *name, struct backend *b, struct lora **ret,
              struct err *err)
{
    struct lora_file *f;
    int r = lora_file_open(dir, &f, err);

    if (r < 0)
        return r;
    struct lora *a = mem_zalloc(sizeof(*a));
    snprintf(a->name, sizeof(a->name), "%s", name);
    a->file = f;
    a->b = b;
    *ret = a;
    return 0;
}

void lora_close(struct lora *a)
{
    if (!a)
        return;
    for (int i = 0; i < a->n_places; i++) {
        struct place *p = &a->places[i];
        if (p->swaps)
            a->b->weight_done(a->b, &p->own);
        if (p->add) {
            a->b->weight_done(a->b, &p->add->down);
            for (int k = 0; k < p->add->n_up; k++)
                a->b->weight_done(a->b, &p->add->up[k].w);
        }
        free(p->add);
    }
    for (int i = 0; i < a->n_vectors; i++)
        a->b->buffer_done(a->b, a->vectors[i].own);
    free(a->places);
    free(a->vectors);
    a->b->buffer_done(a->b, a->scratch);
    lora_file_close(a->file);
    free(a);
}

const char *lora_name(const struct lora *a)
{
    return a->name;
}

bool lora_is_visual(const struct lora *a)
{
    return a->visual;
}

struct lora_file *lora_of(struct lora *a)
{
    return a->file;
}

static int check_pair(const struct lora_pair *p, const char *module, int n_out, int n_in,
                      struct err *err)
{
    if (p->a->shape[1] == n_in && p->b->shape[0] == n_out)
        return 0;
    return err_set(err, -EINVAL,
                   "The adapter's %s maps %lld inputs to %lld outputs; the model's maps %d to %d.",
                   module, (long long)p->a->shape[1], (long long)p->b->shape[0], n_in, n_out);
}

int lora_merge(const struct lora_pair *p, const char *module, int n_out, int n_in, float *w,
               struct err *err)
{
    size_t rank = (size_t)p->rank;
    int r = check_pair(p, module, n_out, n_in, err);

    if (r < 0)
        return r;
    AUTO_FREE float *a = mem_alloc(sizeof(float) * rank * (size_t)n_in);
    AUTO_FREE float *b = mem_alloc(sizeof(float) * rank * (size_t)n_out);
    tensor_to_f32(p->a->dtype, p->a->data, 0, rank * (size_t)n_in, a);
    tensor_to_f32(p->b->dtype, p->b->data, 0, rank * (size_t)n_out, b);
    for (int o = 0; o < n_out; o++) {
        float *row = w + (size_t)o * (size_t)n_in;
        for (size_t k = 0; k < rank; k++) {
            float f = p->scale * b[(size_t)o * rank + k];
            const float *from = a + k * (size_t)n_in;
            for (int i = 0; i < n_in; i++)
                row[i] += f * from[i];
        }
    }
    return 0;
}

/* The pairs of a layer's parts, packed; NULL when it has none. */
static int build(struct lora *a, const char (*names)[160], const struct load_part *parts,
                 int n_parts, int n_in, struct lora_linear **ret, struct err *err)
{
    struct weight_part down[3];
    struct lora_pair pairs[3];
    int col = 0, rank = 0, n = 0, at[3], r;

    *ret = NULL;
    for (int i = 0; i < n_parts; col += parts[i].n_out, i++) {
        if (!lora_file_pair(a->file, names[i], &pairs[n]))
            continue;
        if ((r = check_pair(&pairs[n], names[i], parts[i].n_out, n_in, err)) < 0)
            return r;
        down[n] = (struct weight_part){pairs[n].a->data, pairs[n].a->dtype, pairs[n].rank};
        at[n++] = col;
    }
    if (n == 0)
        return 0;
    struct lora_linear *m = mem_zalloc(sizeof(*m));
    m->owner = a;
    a->b->weight_pack(a->b, down, n, n_in, NULL, &m->down);
    for (int i = 0; i < n; i++) {
        size_t n_up = (size_t)pairs[i].b->shape[0] * (size_t)pairs[i].rank;
        AUTO_FREE float *up = mem_alloc(sizeof(float) * n_up);
        tensor_to_f32(pairs[i].b->dtype, pairs[i].b->data, 0, n_up, up);
        for (size_t k = 0; k < n_up; k++)
            up[k] *= pairs[i].scale;
        struct weight_part part = {up, TENSOR_F32, (int)pairs[i].b->shape[0]};
        struct lora_up *u = &m->up[m->n_up++];
        a->b->weight_pack(a->b, &part, 1, pairs[i].rank, NULL, &u->w);
        u->col = at[i];
        u->from = rank;
        rank += pairs[i].rank;
    }
    if (rank > a->max_rank) {
        a->max_rank = rank;
        a->b->buffer_done(a->b, a->scratch);
        a->scratch = a->b->buffer(a->b, sizeof(float) * ROWS * (size_t)rank, false);
    }
    *ret = m;
    return 0;
}

static struct place *add_place(struct lora *a, struct weight *at)
{
    a->places = mem_realloc(a->places, sizeof(*a->places) * (size_t)(a->n_places + 1));
    struct place *p = &a->places[a->n_places++];
    *p = (struct place){.at = at};
    return p;
}

static bool is_visual(const char *name)
{
    return strncmp(name, "visual.", strlen("visual.")) == 0;
}

int lora_adapt_linear(struct lora *a, struct load *l, int layer, const struct load_part *parts,
                      int n_parts, int n_in, bool bias, struct weight *at, struct err *err)
{
    char names[3][160], full[176];
    struct lora_linear *add;
    bool swaps = false;
    int r;

    CHECK(n_parts <= 3);
    for (int i = 0; i < n_parts; i++) {
        load_name(names[i], sizeof(names[i]), layer, parts[i].name, "");
        load_name(full, sizeof(full), layer, parts[i].name, ".weight");
        swaps |= lora_file_saved(a->file, full) != NULL;
        load_name(full, sizeof(full), layer, parts[i].name, ".bias");
        swaps |= bias && lora_file_saved(a->file, full) != NULL;
    }
    if ((r = build(a, names, parts, n_parts, n_in, &add, err)) < 0)
        return r;
    if (!add && !swaps)
        return 0;
    struct place *p = add_place(a, at);
    p->add = add;
    a->visual |= is_visual(names[0]);
    if (!swaps)
        return 0;
    struct load own = {.src = l->src, .b = l->b, .lora = a->file};
    r = load_linear(&own, layer, parts, n_parts, n_in, bias, &p->own, err);
    p->swaps = r == 0;
    return r;
}

int lora_adapt_vector(struct lora *a, struct load *l, const char *name, int n, float **at,
                      struct err *err)
{
    struct load own = {.src = l->src, .b = l->b, .lora = a->file};
    float *v;

    if (!lora_file_saved(a->file, name))
        return 0;
    int r = load_vector(&own, 0, name, n, &v, err);
    if (r < 0)
        return r;
    a->vectors = mem_realloc(a->vectors, sizeof(*a->vectors) * (size_t)(a->n_vectors + 1));
    a->vectors[a->n_vectors++] = (struct vector){at, v};
    a->visual |= is_visual(name);
    return 0;
}

int lora_adapt_table(struct lora *a, struct load *l, const char *name, const int64_t *shape,
                     int rank, struct source_tensor *at, struct err *err)
{
    struct load own = {.src = l->src, .b = l->b, .lora = a->file};
    struct source_tensor t;

    if (!lora_file_saved(a->file, name))
        return 0;
    int r = load_shaped(&own, name, shape, rank, &t, err);
    if (r < 0)
        return r;
    CHECK(a->n_tables < (int)N_ELEMENTS(a->tables));
    a->tables[a->n_tables++] = (struct table){at, t};
    return 0;
}

void lora_adapt_swap(struct lora *a, struct weight *at, const struct weight *own)
{
    struct place *p = add_place(a, at);

    p->swaps = true;
    p->own = *own;
    a->visual = true;
}

int lora_adapted(const struct lora *a, struct err *err)
{
    const char *name = lora_file_unused(a->file);

    return name ? err_set(err, -EINVAL, "The adapter changes %.120s; this model has no such layer.",
                          name)
                : 0;
}

static void swap(struct lora *a)
{
    for (int i = 0; i < a->n_places; i++) {
        struct place *p = &a->places[i];
        if (p->swaps) {
            struct weight w = *p->at;
            *p->at = p->own;
            p->own = w;
        }
    }
    for (int i = 0; i < a->n_vectors; i++) {
        float *v = *a->vectors[i].at;
        *a->vectors[i].at = a->vectors[i].own;
        a->vectors[i].own = v;
    }
    for (int i = 0; i < a->n_tables; i++) {
        struct source_tensor t = *a->tables[i].at;
        *a->tables[i].at = a->tables[i].own;
        a->tables[i].own = t;
    }
}

void lora_attach(struct lora *a, float scale)
{
    a->scale = scale;
    swap(a);
    for (int i = 0; i < a->n_places; i++)
        a->places[i].at->lora = a->places[i].add;
}

void lora_detach(struct lora *a)
{
    for (int i = 0; i < a->n_places; i++)
        a->places[i].at->lora = NULL;
    swap(a);
}

void lora_run(struct backend *b, const struct weight *w, const float *x, size_t ld_x, int n,
              float *out, size_t ld_out, bool add)
{
    const struct lora_linear *m = w->lora;

    b->linear(b, w, x, ld_x, n, out, ld_out, add);
    if (!m)
        return;
    const struct lora *a = m->owner;
    size_t rank = (size_t)m->down.n_out;
    for (int i = 0; i < n; i += ROWS) {
        int rows = MIN(ROWS, n - i);
        b->linear(b, &m->down, x + (size_t)i * ld_x, ld_x, rows, a->scratch, rank, false);
        if (a->scale != 1) {
            b->sync(b, NULL);
            for (size_t k = 0; k < (size_t)rows * rank; k++)
                a->scratch[k] *= a->scale;
        }
        for (int k = 0; k < m->n_up; k++)
            b->linear(b, &m->up[k].w, a->scratch + m->up[k].from, rank, rows,
                      out + (size_t)i * ld_out + m->up[k].col, ld_out, true);
    }
}

void lora_run_gated(struct backend *b, const struct weight *w, const float *x, size_t ld_x, int n,
                    float *wide, float *out)
{
    size_t half = (size_t)w->n_out / 2;

    if (!w->lora && b->linear_gated(b, w, x, ld_x, n, out, half))
        return;
    lora_run(b, w, x, ld_x, n, wide, 2 * half, false);
    b->silu_mul(b, wide, n, (int)half, out);
}
