/* The operations of backend.h in bf16: how work and memory are cut. The inner loops are in bf16.c
 * and bf16_attn.c.
 *
 * A weight lies in panels of 32 outputs, [n_out / 32][n_in / 2][32][2]. Rows are rounded to bf16
 * once, by whoever multiplies them: with many rows each task rounds its own chunk and sweeps all
 * panels over it; with few rows they are rounded first and the panels are spread over the
 * threads. */
#include "model/cpu/bf16.h"

#include <math.h>
#include <string.h>

#define WIDE_BYTES (4 << 20)
#define K_BLOCK_MOST 1536 /* depth of a block of a panel: 96 KiB, in the second-level cache */
#define ROW_TILE 12

struct pack {
    const struct weight_part *parts;
    int n_parts;
    struct weight *w;
};

static void pack_panel(void *ctx, int panel)
{
    const struct pack *p = ctx;
    int n_in = p->w->n_in, k2 = (n_in + 1) / 2, end = MIN((panel + 1) * PANEL, p->w->n_out);
    uint16_t *to = (uint16_t *)p->w->data + (size_t)panel * (size_t)k2 * 2 * PANEL;
    AUTO_FREE float *row = mem_alloc(sizeof(float) * (size_t)n_in);

    for (int o = panel * PANEL; o < end; o++) {
        weight_part_row(p->parts, n_in, o, row);
        uint16_t *at = to + o % PANEL * 2;
        for (int j = 0; j < n_in; j++)
            at[j / 2 * PANEL * 2 + j % 2] = bf16_from_f32(row[j]);
    }
}

void bf16_weight_pack(struct backend *b, const struct weight_part *parts, int n_parts, int n_in,
                      const float *bias, struct weight *ret)
{
    struct weight w = {.n_in = n_in, .kind = WEIGHT_BF16};

    for (int i = 0; i < n_parts; i++)
        w.n_out += parts[i].n_out;
    size_t n_pad = (size_t)ROUND_UP(w.n_out, PANEL);
    w.n_bytes = n_pad * (size_t)ROUND_UP(n_in, 2) * 2;
    w.data = mem_large(w.n_bytes);
    if (bias) {
        w.bias = mem_aligned(n_pad * sizeof(float));
        memcpy(w.bias, bias, sizeof(float) * (size_t)w.n_out);
    }
    struct pack p = {parts, n_parts, &w};
    pool_run(((struct cpu *)b)->pool, (int)(n_pad / PANEL), pack_panel, &p);
    *ret = w;
}

struct linear {
    const struct bf16_kernels *k;
    const struct weight *w;
    const float *x;
    size_t ld_x;
    int n;
    float *out;
    size_t ld_out;
    bool add;
    uint16_t *rows; /* x rounded, block by block: [n_in / k_block, n, ld_rows] */
    size_t ld_rows;
    int k_block; /* even */
    struct split cut;
    const struct kernels *f32;
};

/* Rounded row i from input k on, a multiple of k_block. */
static uint16_t *rounded(const struct linear *l, int i, int k)
{
    return l->rows + ((size_t)(k / l->k_block) * (size_t)l->n + (size_t)i) * l->ld_rows;
}

static void pack_rows(const struct linear *l, int row, int n_rows)
{
    for (int k = 0; k < l->w->n_in; k += l->k_block) {
        int n = MIN(l->k_block, l->w->n_in - k);
        for (int i = row; i < row + n_rows; i++)
            l->k->pack_row(n, ROUND_UP(n, 2), l->x + (size_t)i * l->ld_x + k, rounded(l, i, k));
    }
}

/* Rows row..row+n_rows-1 of one block of one panel, to `to`. */
static void panel_rows(const struct linear *l, int panel, int row, int n_rows, int k, int n_k2,
                       float *to, size_t ld_to)
{
    const struct weight *w = l->w;
    int col = panel * PANEL, n_cols = MIN(PANEL, w->n_out - col), k2 = (w->n_in + 1) / 2;
    const uint16_t *b =
        (const uint16_t *)w->data + ((size_t)panel * (size_t)k2 + (size_t)k) * 2 * PANEL;
    const float *bias = w->bias && k == 0 ? w->bias + col : NULL;
    bool add = l->add || k > 0;
    /* Where the weight comes from memory, the next panel's block is fetched while this one is
     * used. */
    const uint16_t *next = b + (size_t)k2 * 2 * PANEL;
    int n_tiles = (n_rows + ROW_TILE - 1) / ROW_TILE, n_lines = n_k2 * 2 / n_tiles;
    if (l->cut.chunk_rows != WIDE_ROWS || (panel + 1) * PANEL >= w->n_out)
        n_lines = 0;

    for (int i = row; i < row + n_rows; i += ROW_TILE) {
        int m = MIN(ROW_TILE, row + n_rows - i);
        const uint16_t *a = rounded(l, i, 2 * k);
        float *c = to + (size_t)(i - row) * ld_to;
        for (int line = 0; line < n_lines; line++, next += 32)
            __builtin_prefetch(next, 0, 2);
        if (n_cols == PANEL) {
            l->k->tile(m, add, bias, n_k2, a, l->ld_rows, b, c, ld_to);
            continue;
        }
        float edge[ROW_TILE * PANEL];
        memset(edge, 0, sizeof(edge));
        for (int r = 0; r < m && add; r++)
            memcpy(edge + r * PANEL, c + (size_t)r * ld_to, sizeof(float) * (size_t)n_cols);
        l->k->tile(m, add, bias, n_k2, a, l->ld_rows, b, edge, PANEL);
        for (int r = 0; r < m; r++)
            memcpy(c + (size_t)r * ld_to, edge + r * PANEL, sizeof(float) * (size_t)n_cols);
    }
}

static void pack_task(void *ctx, int task)
{
    const struct linear *l = ctx;

    pack_rows(l, task * l->cut.chunk_rows, MIN(l->cut.chunk_rows, l->n - task * l->cut.chunk_rows));
}

static void linear_task(void *ctx, int task)
{
    const struct linear *l = ctx;
    int n_panels = ROUND_UP(l->w->n_out, PANEL) / PANEL, k2 = (l->w->n_in + 1) / 2;
    struct piece at = cpu_piece(&l->cut, task, l->n, n_panels);
    int n_whole = MIN(at.p1, l->w->n_out / PANEL) - at.p0;

    if (l->cut.n_panel_tasks == 1)
        pack_rows(l, at.row, at.n_rows);
    if (l->n == 1 && n_whole > 0) {
        size_t col = (size_t)at.p0 * PANEL;
        l->k->row(n_whole, l->add, l->w->bias ? l->w->bias + col : NULL, k2, l->rows,
                  (const uint16_t *)l->w->data + col * 2 * (size_t)k2, l->out + col);
        at.p0 += n_whole;
    }
    for (int k = 0; k < k2; k += l->k_block / 2)
        for (int p = at.p0; p < at.p1; p++)
            panel_rows(l, p, at.row, at.n_rows, k, MIN(l->k_block / 2, k2 - k),
                       l->out + (size_t)at.row * l->ld_out + p * PANEL, l->ld_out);
}

/* Pairs of panels, one of each half, side by side in a piece that stays in cache. */
static void gated_task(void *ctx, int task)
{
    const struct linear *l = ctx;
    enum { LD = 2 * GATED_PANELS * PANEL };
    int half = l->w->n_out / PANEL / 2, k2 = (l->w->n_in + 1) / 2;
    struct piece at = cpu_piece(&l->cut, task, l->n, half);
    float piece[WIDE_ROWS * LD] __attribute__((aligned(64)));

    for (int k = 0; k < k2; k += l->k_block / 2)
        for (int p = at.p0; p < at.p1; p++)
            for (int side = 0; side < 2; side++)
                panel_rows(l, p + side * half, at.row, at.n_rows, k, MIN(l->k_block / 2, k2 - k),
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
    int n_in = l->w->n_in, n_blocks = (n_in + K_BLOCK_MOST - 1) / K_BLOCK_MOST;
    bool wide = (size_t)l->w->n_out * (size_t)n_in * 2 > WIDE_BYTES && l->n > CHUNK_ROWS;

    l->k = c->bf16;
    l->f32 = c->k;
    l->cut.chunk_rows = wide ? WIDE_ROWS : CHUNK_ROWS;
    l->k_block = ROUND_UP((n_in + n_blocks - 1) / n_blocks, 64);
    /* An odd number of cache lines, so that the rows of a tile do not share cache sets; one row
     * needs no blocks and is read as a whole. */
    l->ld_rows = (size_t)l->k_block + (l->n == 1 ? 0 : 32);
    l->rows = cpu_scratch(c, (size_t)n_blocks * (size_t)l->n * l->ld_rows * sizeof(*l->rows));
}

void bf16_linear(struct backend *b, const struct weight *w, const float *x, size_t ld_x, int n,
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
        pool_run(c->pool, l.cut.n_chunks, pack_task, &l);
    pool_run(c->pool, l.cut.n_chunks * l.cut.n_panel_tasks, linear_task, &l);
}

void bf16_linear_gated(struct backend *b, const struct weight *w, const float *x, size_t ld_x,
                       int n, float *out, size_t ld_out)
{
    struct cpu *c = (struct cpu *)b;
    struct linear l = {.w = w, .x = x, .ld_x = ld_x, .n = n, .out = out, .ld_out = ld_out};
    int half = w->n_out / PANEL / 2;

    prepare(c, &l);
    cpu_split_gated(n, half, &l.cut);
    pool_run(c->pool, l.cut.n_chunks, pack_task, &l);
    pool_run(c->pool, l.cut.n_chunks * l.cut.n_panel_tasks, gated_task, &l);
}

void bf16_kv_alloc(struct backend *b, int n_head, int d_head, int n_cap, struct kv_store *ret)
{
    struct kv_store kv = {.n_head = n_head, .d_head = d_head, .n_cap = ROUND_UP(n_cap, KV_BLOCK)};
    size_t rows = (size_t)n_head * (size_t)kv.n_cap * sizeof(uint16_t);
    size_t n_k = rows * (size_t)d_head, n_v = rows * (size_t)ROUND_UP(d_head, 8);

    kv.k = mem_aligned(n_k);
    kv.v = mem_aligned(n_v);
    kv.n_bytes = n_k + n_v;
    *ret = kv;
}

void bf16_kv_alloc_int8(struct backend *b, int n_head, int d_head, int n_cap, struct kv_store *ret)
{
    struct kv_store kv = {.n_head = n_head, .d_head = d_head, .n_cap = ROUND_UP(n_cap, KV_BLOCK)};
    size_t rows = (size_t)n_head * (size_t)kv.n_cap, n_s = rows * sizeof(float);
    size_t n_k = rows * (size_t)d_head, n_v = rows * (size_t)ROUND_UP(d_head, 8);

    kv.k = mem_aligned(n_k);
    kv.v = mem_aligned(n_v);
    kv.k_scale = mem_aligned(n_s);
    kv.v_scale = mem_aligned(n_s);
    kv.n_bytes = n_k + n_v + 2 * n_s;
    *ret = kv;
}

/* n values, `step` bytes apart in dst; returns their scale, which is no number where a value
 * is none, so that it shows in the answer as it does in bf16. */
static float round_to_int8(int n, const float *src, int8_t *dst, int step)
{
    float most = 0, none = 0;
    for (int i = 0; i < n; i++) {
        most = MAX(most, fabsf(src[i]));
        none += src[i] * 0;
    }
    if (none != 0) {
        for (int i = 0; i < n; i++)
            dst[i * step] = 1;
        return NAN;
    }
    float f = most > 0 ? 127 / most : 0;
    for (int i = 0; i < n; i++)
        dst[i * step] = (int8_t)(src[i] * f + (src[i] < 0 ? -0.5f : 0.5f));
    return most / 127;
}

struct put {
    const struct bf16_kernels *kern;
    struct kv_store *kv;
    const float *k, *v;
    size_t ld;
    int n, pos;
};

/* The positions of one block: two tasks never write to the same pair. */
static void put_int8_task(void *ctx, int task)
{
    const struct put *p = ctx;
    struct kv_store *kv = p->kv;
    int block = p->pos / KV_BLOCK + task, d = kv->d_head, d_rows = ROUND_UP(d, 8);
    int begin = MAX(p->pos, block * KV_BLOCK), end = MIN(p->pos + p->n, (block + 1) * KV_BLOCK);

    for (int h = 0; h < kv->n_head; h++) {
        size_t row = (size_t)h * (size_t)kv->n_cap;
        int8_t *to_v = (int8_t *)kv->v + (row + (size_t)block * KV_BLOCK) * (size_t)d_rows;
        for (int pos = begin; pos < end; pos++) {
            size_t from = (size_t)(pos - p->pos) * p->ld + (size_t)h * (size_t)d;
            int8_t *to_k = (int8_t *)kv->k + (row + (size_t)pos) * (size_t)d;
            kv->k_scale[row + (size_t)pos] = round_to_int8(d, p->k + from, to_k, 1);
            kv->v_scale[row + (size_t)pos] =
                round_to_int8(d, p->v + from, to_v + pos % KV_BLOCK, KV_BLOCK);
        }
        if (end % 2 == 1) /* as in put_task() */
            kv->v_scale[row + (size_t)end] = 0;
    }
}

static void put_task(void *ctx, int task)
{
    const struct put *p = ctx;
    struct kv_store *kv = p->kv;
    int block = p->pos / KV_BLOCK + task, d = kv->d_head, d_rows = ROUND_UP(d, 8);
    int begin = MAX(p->pos, block * KV_BLOCK), end = MIN(p->pos + p->n, (block + 1) * KV_BLOCK);
    bool many = begin % 32 == 0 && end - begin >= 16;

    for (int h = 0; h < kv->n_head; h++) {
        uint16_t *to_k = (uint16_t *)kv->k + (size_t)h * (size_t)kv->n_cap * (size_t)d;
        uint16_t *to_v = (uint16_t *)kv->v + ((size_t)h * (size_t)kv->n_cap +
                                              (size_t)block * KV_BLOCK) * (size_t)d_rows;
        for (int pos = begin; pos < end; pos++) {
            size_t from = (size_t)(pos - p->pos) * p->ld + (size_t)h * (size_t)d;
            p->kern->pack_row(d, d, p->k + from, to_k + (size_t)pos * (size_t)d);
            for (int j = 0; j < d && !many; j++)
                to_v[j * KV_BLOCK + pos % KV_BLOCK] = bf16_from_f32(p->v[from + (size_t)j]);
        }
        if (many) {
            const float *v = p->v + (size_t)(begin - p->pos) * p->ld + (size_t)h * (size_t)d;
            p->kern->put_values(end - begin, d, v, p->ld, to_v + begin % KV_BLOCK);
            continue;
        }
        /* The other half of the last pair is multiplied by zero: it must be a number. */
        if (end % 2 == 1)
            for (int j = 0; j < d; j++)
                to_v[j * KV_BLOCK + end % KV_BLOCK] = 0;
    }
}

void bf16_kv_put(struct backend *b, struct kv_store *kv, const float *k, const float *v, size_t ld,
                 int n, int pos)
{
    struct cpu *c = (struct cpu *)b;
    struct put p = {c->bf16, kv, k, v, ld, n, pos};

    if (n > 0)
        pool_run(c->pool, (pos + n - 1) / KV_BLOCK - pos / KV_BLOCK + 1,
                 kv->k_scale ? put_int8_task : put_task, &p);
}

struct job {
    void (*fn)(const struct attend *a, const struct attend_tile *t);
    const struct attend *a;
    const struct attend_tile *tiles;
    int n_tiles, heads_per_tile;
};

static void attend_task(void *ctx, int task)
{
    const struct job *j = ctx;
    /* Late tiles see the most keys: first. */
    struct attend_tile t = j->tiles[j->n_tiles - 1 - task % j->n_tiles];

    t.head = task / j->n_tiles * j->heads_per_tile;
    t.n_heads = j->heads_per_tile;
    j->fn(j->a, &t);
}

void cpu_attend_lanes(struct cpu *c, const struct attend *a,
                      void (*fn)(const struct attend *a, const struct attend_tile *t))
{
    int n = 0, cap = 0, longest = 0, group = a->n_head / a->kv->n_head;

    for (int i = 0; i < a->n_spans; i++) {
        int rows = a->spans[i].end - a->spans[i].begin;
        longest = MAX(longest, rows);
        cap += rows / 16 + 1;
    }
    cpu_tiles(c, cap);
    /* Heads with the same keys side by side where one does not fill the lanes. */
    int heads = a->causal && longest * group <= ATTEND_LANES ? group : 1;
    for (int i = 0; i < a->n_spans; i++) {
        const struct span *s = &a->spans[i];
        int rows = s->end - s->begin, n_tiles = (rows + ATTEND_LANES - 1) / ATTEND_LANES;
        int step = n_tiles ? ROUND_UP((rows + n_tiles - 1) / n_tiles, 16) : 1;
        for (int q = s->begin; q < s->end; q += step)
            c->tiles[n++] = (struct attend_tile){.q_begin = q, .n_q = MIN(step, s->end - q),
                                                 .k_begin = a->causal ? 0 : s->begin,
                                                 .k_end = s->end};
    }
    struct job job = {fn, a, c->tiles, n, heads};
    pool_run(c->pool, a->n_head / heads * n, attend_task, &job);
}

void bf16_run_attend(struct backend *b, const struct attend *a)
{
    struct cpu *c = (struct cpu *)b;

    cpu_attend_lanes(c, a, c->bf16->attend);
}
