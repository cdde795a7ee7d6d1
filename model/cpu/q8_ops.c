/* Linear layers on quantised weights: how work and memory are cut. The inner loops are in q8_vec.h.
 *
 * Rows of activations are rounded to int8 once, then panels of 32 outputs are spread over the
 * threads as in bf16_ops.c. Few rows wait for memory: a panel is read once, front to back. Many
 * rows wait for the multipliers: a part of a panel (PART inputs) stays in the second-level cache
 * while the rows of a chunk pass, and int4 is widened to int8 once for all of them. */
#include "model/cpu/cpu.h"
#include "model/cpu/q8.h"

#include <string.h>

#define WIDE_BYTES (2 << 20)
#define PART (8 * QUANT_BLOCK)

struct pack {
    const struct weight_part *parts;
    const struct weight *w;
    enum quant_format format;
};

static void pack_panel(void *ctx, int panel)
{
    const struct pack *p = ctx;
    int n_in = p->w->n_in, begin = panel * PANEL, n = MIN(PANEL, p->w->n_out - begin);
    AUTO_FREE float *rows = mem_alloc(sizeof(float) * (size_t)n * (size_t)n_in);

    for (int o = 0; o < n; o++)
        weight_part_row(p->parts, n_in, begin + o, rows + (size_t)o * (size_t)n_in);
    quant_panel_pack(p->format, rows, n, n_in,
                     (char *)p->w->data + (size_t)panel * quant_panel_bytes(p->format, n_in));
}

void q8_weight_pack(struct backend *b, const struct weight_part *parts, int n_parts, int n_in,
                    const float *bias, struct weight *ret)
{
    struct weight w = {.n_in = n_in, .kind = b->pack_as};

    for (int i = 0; i < n_parts; i++)
        w.n_out += parts[i].n_out;
    enum quant_format f = w.kind == WEIGHT_INT4 ? QUANT_INT4 : QUANT_INT8;
    int n_panels = ROUND_UP(w.n_out, PANEL) / PANEL;
    w.n_bytes = (size_t)n_panels * quant_panel_bytes(f, n_in);
    w.data = mem_large(w.n_bytes);
    if (bias) {
        w.bias = mem_aligned((size_t)n_panels * PANEL * sizeof(float));
        memcpy(w.bias, bias, sizeof(float) * (size_t)w.n_out);
    }
    if (tensor_is_packed(parts[0].dtype)) { /* by the same hand already: load.c saw to that */
        char *at = w.data;
        for (int i = 0; i < n_parts; i++) {
            size_t n =
                (size_t)(ROUND_UP(parts[i].n_out, PANEL) / PANEL) * quant_panel_bytes(f, n_in);
            memcpy(at, parts[i].data, n);
            at += n;
        }
        *ret = w;
        return;
    }
    struct pack p = {parts, &w, f};
    pool_run(((struct cpu *)b)->pool, n_panels, pack_panel, &p);
    *ret = w;
}

struct linear {
    const struct q8_kernels *k;
    const struct weight *w;
    enum quant_format format;
    size_t panel_bytes;
    const float *x;
    size_t ld_x;
    int n;
    float *out;
    size_t ld_out;
    bool add;
    int8_t *rows; /* [n, ld], x rounded */
    size_t ld;
    struct q8_scale *scales; /* [n, ld_s] */
    size_t ld_s;
    int32_t *groups; /* [n, ld / 32], for few rows on int4 */
    struct split cut;
    const struct kernels *f32;
};

static void round_rows(const struct linear *l, int row, int n_rows)
{
    bool sums = l->format == QUANT_INT4 && l->n <= BACKEND_FEW_ROWS;

    for (int i = row; i < row + n_rows; i++) {
        int8_t *q = l->rows + (size_t)i * l->ld;
        l->k->quantize(l->w->n_in, l->x + (size_t)i * l->ld_x, q, l->scales + (size_t)i * l->ld_s);
        if (sums)
            l->k->group_sums(l->w->n_in, q, l->groups + (size_t)i * l->ld / QUANT_GROUP);
    }
}

/* m rows of inputs k..k+n-1 against a part of a panel, int8 or, for one row, int4, to c. */
static void tile(const struct linear *l, bool is_int4, int panel, int row, int m, int k, int n,
                 const uint8_t *w, float *c, size_t ld_c)
{
    int col = panel * PANEL, n_cols = MIN(PANEL, l->w->n_out - col);
    const float *bias = l->w->bias && k == 0 ? l->w->bias + col : NULL;
    const int8_t *q = l->rows + (size_t)row * l->ld + k;
    const struct q8_scale *s = l->scales + (size_t)row * l->ld_s + k / QUANT_BLOCK;
    float edge[Q8_TILE_ROWS * PANEL];
    float *to = c;
    size_t ld_to = ld_c;
    bool add = l->add || k > 0;

    if (n_cols < PANEL) {
        memset(edge, 0, sizeof(edge));
        for (int r = 0; r < m && add; r++)
            memcpy(edge + r * PANEL, c + (size_t)r * ld_c, sizeof(float) * (size_t)n_cols);
        to = edge;
        ld_to = PANEL;
    }
    if (is_int4)
        l->k->row4(add, bias, n, w, q, s, l->groups + (size_t)row * l->ld / QUANT_GROUP, to);
    else
        l->k->tile8(m, add, bias, n, w, q, l->ld, s, l->ld_s, to, ld_to);
    if (n_cols < PANEL)
        for (int r = 0; r < m; r++)
            memcpy(c + (size_t)r * ld_c, edge + r * PANEL, sizeof(float) * (size_t)n_cols);
}

/* A few rows: the whole depth at once, so that each has the numbers it has alone. */
static void panel_few(const struct linear *l, int panel)
{
    const uint8_t *w = (const uint8_t *)l->w->data + (size_t)panel * l->panel_bytes;

    if (l->format == QUANT_INT8)
        tile(l, false, panel, 0, l->n, 0, l->w->n_in, w, l->out + panel * PANEL, l->ld_out);
    else
        for (int i = 0; i < l->n; i++)
            tile(l, true, panel, i, 1, 0, l->w->n_in, w,
                 l->out + (size_t)i * l->ld_out + panel * PANEL, l->ld_out);
}

static void panel_many(const struct linear *l, int panel, int row, int n_rows, int k, int n,
                       float *to, size_t ld_to)
{
    const uint8_t *w = (const uint8_t *)l->w->data + (size_t)panel * l->panel_bytes;
    uint8_t wide[PART / QUANT_BLOCK * QUANT_INT8_BLOCK_BYTES] __attribute__((aligned(64)));

    if (l->format == QUANT_INT4) {
        l->k->widen4(n, w + (size_t)(k / QUANT_GROUP) * QUANT_INT4_GROUP_BYTES, wide);
        w = wide;
    } else {
        w += (size_t)(k / QUANT_BLOCK) * QUANT_INT8_BLOCK_BYTES;
    }
    for (int i = row; i < row + n_rows; i += Q8_TILE_ROWS)
        tile(l, false, panel, i, MIN(Q8_TILE_ROWS, row + n_rows - i), k, n, w,
             to + (size_t)(i - row) * ld_to, ld_to);
}

static void round_task(void *ctx, int task)
{
    const struct linear *l = ctx;

    round_rows(l, task * l->cut.chunk_rows,
               MIN(l->cut.chunk_rows, l->n - task * l->cut.chunk_rows));
}

static void linear_task(void *ctx, int task)
{
    const struct linear *l = ctx;
    int n_panels = ROUND_UP(l->w->n_out, PANEL) / PANEL;
    struct piece at = cpu_piece(&l->cut, task, l->n, n_panels);

    if (l->cut.n_panel_tasks == 1)
        round_rows(l, at.row, at.n_rows);
    if (l->n <= BACKEND_FEW_ROWS) {
        for (int p = at.p0; p < at.p1; p++)
            panel_few(l, p);
        return;
    }
    for (int k = 0; k < l->w->n_in; k += PART)
        for (int p = at.p0; p < at.p1; p++)
            panel_many(l, p, at.row, at.n_rows, k, MIN(PART, l->w->n_in - k),
                       l->out + (size_t)at.row * l->ld_out + p * PANEL, l->ld_out);
}

/* Pairs of panels, one of each half, side by side in a piece that stays in cache. */
static void gated_task(void *ctx, int task)
{
    const struct linear *l = ctx;
    enum { LD = 2 * GATED_PANELS * PANEL };
    int half = l->w->n_out / PANEL / 2;
    struct piece at = cpu_piece(&l->cut, task, l->n, half);
    float piece[WIDE_ROWS * LD] __attribute__((aligned(64)));

    for (int k = 0; k < l->w->n_in; k += PART)
        for (int p = at.p0; p < at.p1; p++)
            for (int side = 0; side < 2; side++)
                panel_many(l, p + side * half, at.row, at.n_rows, k, MIN(PART, l->w->n_in - k),
                           piece + ((p - at.p0) * 2 + side) * PANEL, LD);
    for (int i = 0; i < at.n_rows; i++)
        for (int p = at.p0; p < at.p1; p++) {
            const float *gate = piece + i * LD + (p - at.p0) * 2 * PANEL;
            l->f32->silu_mul(PANEL, gate, gate + PANEL,
                             l->out + (size_t)(at.row + i) * l->ld_out + p * PANEL);
        }
}

static void prepare(struct cpu *c, struct linear *l)
{
    const struct weight *w = l->w;
    size_t n_blocks = (size_t)ROUND_UP(w->n_in, QUANT_BLOCK) / QUANT_BLOCK;

    l->k = c->q8;
    l->f32 = c->k;
    l->format = w->kind == WEIGHT_INT4 ? QUANT_INT4 : QUANT_INT8;
    l->panel_bytes = quant_panel_bytes(l->format, w->n_in);
    l->ld = n_blocks * QUANT_BLOCK + 64;
    l->ld_s = n_blocks;
    size_t groups = l->ld / QUANT_GROUP * sizeof(*l->groups), n = (size_t)l->n;
    l->rows = cpu_scratch(c, n * (l->ld + l->ld_s * sizeof(*l->scales) + groups));
    l->scales = (struct q8_scale *)(l->rows + n * l->ld);
    l->groups = (int32_t *)(l->scales + n * l->ld_s);
    size_t n_panels = (size_t)ROUND_UP(w->n_out, PANEL) / PANEL;
    bool wide = n_panels * l->panel_bytes > WIDE_BYTES && l->n > CHUNK_ROWS;
    l->cut.chunk_rows = wide ? WIDE_ROWS : CHUNK_ROWS;
}

void q8_linear(struct backend *b, const struct weight *w, const float *x, size_t ld_x, int n,
               float *out, size_t ld_out, bool add)
{
    struct cpu *c = (struct cpu *)b;
    struct linear l = {
        .w = w, .x = x, .ld_x = ld_x, .n = n, .out = out, .ld_out = ld_out, .add = add};

    if (n < 1)
        return;
    prepare(c, &l);
    int n_panels = ROUND_UP(w->n_out, PANEL) / PANEL;
    cpu_split(b, n, n_panels, &l.cut);
    if (l.cut.n_panel_tasks > 1)
        pool_run(c->pool, l.cut.n_chunks, round_task, &l);
    pool_run(c->pool, l.cut.n_chunks * l.cut.n_panel_tasks, linear_task, &l);
}

void q8_linear_gated(struct backend *b, const struct weight *w, const float *x, size_t ld_x, int n,
                     float *out, size_t ld_out)
{
    struct cpu *c = (struct cpu *)b;
    struct linear l = {.w = w, .x = x, .ld_x = ld_x, .n = n, .out = out, .ld_out = ld_out};
    int half = w->n_out / PANEL / 2;

    prepare(c, &l);
    cpu_split_gated(n, half, &l.cut);
    pool_run(c->pool, l.cut.n_chunks, round_task, &l);
    pool_run(c->pool, l.cut.n_chunks * l.cut.n_panel_tasks, gated_task, &l);
}
