/* Linear layers. A weight is packed once into panels of 32 outputs, [n_out / 32][n_in][32], bf16
 * staying bf16 (half the bytes for one-token steps, which wait for memory) and everything else f32.
 *
 * Many rows: a task is a chunk of rows times a few panels; a block of K_BLOCK inputs of a panel is
 * upcast into the first-level cache once and swept over all the chunk's rows, so the upcast costs
 * little and the multiply is exact f32 fused multiply-add. One row, and few: each task
 * streams some panels. A sum has the same order in all of these. */
#include "model/cpu/cpu.h"

#include <string.h>

#define ROWS_ALONE 3     /* so few rows would wait for their own additions in a tile */
#define PANELS_AT_ONCE 4 /* stay in the second cache for the next row */

void cpu_weight_pack(struct backend *b, const struct weight_part *parts, int n_parts, int n_in,
                     const float *bias, struct weight *ret)
{
    struct weight w = {.n_in = n_in, .kind = WEIGHT_BF16};
    AUTO_FREE float *row = mem_alloc(sizeof(float) * (size_t)n_in);

    for (int i = 0; i < n_parts; i++) {
        w.n_out += parts[i].n_out;
        if (parts[i].dtype != TENSOR_BF16)
            w.kind = WEIGHT_F32;
    }
    size_t n_pad = (size_t)ROUND_UP(w.n_out, PANEL);
    w.n_bytes = n_pad * (size_t)n_in * (w.kind == WEIGHT_BF16 ? 2 : 4);
    w.data = mem_large(w.n_bytes);
    if (bias) {
        w.bias = mem_aligned(n_pad * sizeof(float));
        memcpy(w.bias, bias, sizeof(float) * (size_t)w.n_out);
    }
    int o = 0;
    for (int i = 0; i < n_parts; i++) {
        for (int r = 0; r < parts[i].n_out; r++, o++) {
            size_t at = (size_t)(o / PANEL) * (size_t)n_in * PANEL + (size_t)(o % PANEL);
            tensor_to_f32(parts[i].dtype, parts[i].data, (size_t)r * (size_t)n_in, (size_t)n_in,
                          row);
            for (int j = 0; j < n_in; j++, at += PANEL) {
                uint32_t u;
                memcpy(&u, &row[j], 4);
                if (w.kind == WEIGHT_BF16)
                    ((uint16_t *)w.data)[at] = (uint16_t)(u >> 16);
                else
                    ((float *)w.data)[at] = row[j];
            }
        }
    }
    *ret = w;
}

void cpu_weight_done(struct backend *b, struct weight *w)
{
    free(w->data);
    free(w->bias);
    memset(w, 0, sizeof(*w));
}

struct linear {
    const struct kernels *k;
    const struct weight *w;
    const float *x;
    size_t ld_x;
    int n;
    float *out;
    size_t ld_out;
    bool add;
    struct split cut;
};

/* Puts what the sum starts from into up to 32 columns of c. */
static void tile_start(const struct linear *l, int col, int n_cols, int n_rows, float *c,
                       size_t ld_c, bool keep)
{
    for (int i = 0; i < n_rows; i++) {
        float *row = c + (size_t)i * ld_c;
        if (keep) {
            if (l->w->bias)
                for (int j = 0; j < n_cols; j++)
                    row[j] += l->w->bias[col + j];
        } else {
            memcpy(row, l->w->bias + col, sizeof(float) * (size_t)n_cols);
        }
    }
}

/* Rows row..row+n_rows-1 of one panel, which may stick out of the matrix on the right. */
static void panel_rows(const struct linear *l, int panel, int row, int n_rows)
{
    const struct weight *w = l->w;
    int col = panel * PANEL, n_cols = MIN(PANEL, w->n_out - col);
    bool whole = n_cols == PANEL;
    float block[K_BLOCK * PANEL] __attribute__((aligned(64)));
    float edge[CHUNK_ROWS * PANEL] __attribute__((aligned(64)));
    float *c = l->out + (size_t)row * l->ld_out + col;
    size_t ld_c = l->ld_out;

    if (!whole) {
        for (int i = 0; i < n_rows; i++) {
            memset(edge + i * PANEL, 0, sizeof(float) * PANEL);
            if (l->add)
                memcpy(edge + i * PANEL, c + (size_t)i * ld_c, sizeof(float) * (size_t)n_cols);
        }
        c = edge;
        ld_c = PANEL;
    }
    bool from_zero = !l->add && !w->bias;
    if (!from_zero)
        tile_start(l, col, n_cols, n_rows, c, ld_c, l->add);
    size_t at = (size_t)panel * (size_t)w->n_in * PANEL;
    for (int k = 0; k < w->n_in; k += K_BLOCK) {
        int n_k = MIN(K_BLOCK, w->n_in - k);
        const float *b = block;
        if (w->kind == WEIGHT_BF16)
            l->k->unpack_bf16((size_t)n_k * PANEL,
                              (const uint16_t *)w->data + at + (size_t)k * PANEL, block);
        else
            b = (const float *)w->data + at + (size_t)k * PANEL;
        for (int i = 0; i < n_rows; i += TILE_ROWS)
            l->k->tile(MIN(TILE_ROWS, n_rows - i), !from_zero || k > 0, n_k,
                       l->x + (size_t)(row + i) * l->ld_x + k, l->ld_x, b, PANEL,
                       c + (size_t)i * ld_c, ld_c);
    }
    if (!whole)
        for (int i = 0; i < n_rows; i++)
            memcpy(l->out + (size_t)(row + i) * l->ld_out + col, edge + i * PANEL,
                   sizeof(float) * (size_t)n_cols);
}

/* One row of whole panels first..first+n-1. */
static void one_row(const struct linear *l, int row, int first, int n)
{
    const struct weight *w = l->w;
    const float *x = l->x + (size_t)row * l->ld_x;
    float *out = l->out + (size_t)row * l->ld_out + (size_t)first * PANEL;
    size_t n_out = (size_t)n * PANEL, at = (size_t)first * (size_t)w->n_in * PANEL;

    if (!l->add)
        memset(out, 0, sizeof(float) * n_out);
    if (w->bias)
        for (size_t j = 0; j < n_out; j++)
            out[j] += w->bias[(size_t)first * PANEL + j];
    if (w->kind == WEIGHT_BF16)
        l->k->row_bf16(n, w->n_in, x, (const uint16_t *)w->data + at, out);
    else
        l->k->row_f32(n, w->n_in, x, (const float *)w->data + at, out);
}

static void linear_task(void *ctx, int task)
{
    const struct linear *l = ctx;
    int n_panels = ROUND_UP(l->w->n_out, PANEL) / PANEL;
    struct piece at = cpu_piece(&l->cut, task, l->n, n_panels);
    int p = at.p0, whole = MIN(at.p1, l->w->n_out / PANEL);

    for (; l->n <= ROWS_ALONE && p < whole; p += MIN(PANELS_AT_ONCE, whole - p))
        for (int i = 0; i < l->n; i++)
            one_row(l, i, p, MIN(PANELS_AT_ONCE, whole - p));
    for (; p < at.p1; p++)
        panel_rows(l, p, at.row, at.n_rows);
}

void cpu_linear(struct backend *b, const struct weight *w, const float *x, size_t ld_x, int n,
                float *out, size_t ld_out, bool add)
{
    struct cpu *c = (struct cpu *)b;
    int n_panels = ROUND_UP(w->n_out, PANEL) / PANEL;
    struct linear l = {c->k, w, x, ld_x, n, out, ld_out, add, .cut = {CHUNK_ROWS}};

    if (n < 1)
        return;
    cpu_split(b, n, n_panels, &l.cut);
    pool_run(c->pool, l.cut.n_chunks * l.cut.n_panel_tasks, linear_task, &l);
}
