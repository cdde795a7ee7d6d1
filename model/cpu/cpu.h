/* What the parts of the CPU backend share. */
#ifndef DESKHAND_MODEL_CPU_CPU_H
#define DESKHAND_MODEL_CPU_CPU_H

#include "base/mem.h"
#include "model/backend.h"
#include "model/cpu/kernels.h"
#include "model/cpu/pool.h"

#define GATED_PANELS 2 /* pairs of panels of a task of linear_gated() */
#define CHUNK_ROWS 96
#define WIDE_ROWS 516 /* a chunk where the weight is larger than the caches: read once a chunk */

struct cpu {
    struct backend b; /* first */
    const struct kernels *k;
    const struct bf16_kernels *bf16; /* NULL: not in this precision */
    const struct q8_kernels *q8;
    const struct q8_attn_kernels *q8_attn; /* NULL: none for this CPU */
    struct pool *pool;
    struct attend_tile *tiles; /* scratch of attend(), grows */
    int n_tiles_cap;
    void *packed; /* scratch of linear(): packed rows, grows */
    size_t packed_cap;
};

/* At least n bytes of c->packed. */
void *cpu_scratch(struct cpu *c, size_t n);

/* How a product is cut into tasks: chunks of rows, and runs of panels of each. */
struct split {
    int chunk_rows; /* CHUNK_ROWS or WIDE_ROWS, set before */
    int n_chunks, panels_per_task, n_panel_tasks;
};
void cpu_split(const struct backend *b, int n_rows, int n_panels, struct split *s);
/* The same for linear_gated(), by pairs of panels. */
void cpu_split_gated(int n_rows, int n_pairs, struct split *s);
/* A task's part: n_rows rows from `row` on, the panels p0..p1-1. */
struct piece {
    int row, n_rows, p0, p1;
};
struct piece cpu_piece(const struct split *s, int task, int n_rows, int n_panels);

/* gemm.c */
void cpu_weight_pack(struct backend *b, const struct weight_part *parts, int n_parts, int n_in,
                     const float *bias, struct weight *ret);
void cpu_weight_done(struct backend *b, struct weight *w);
void cpu_linear(struct backend *b, const struct weight *w, const float *x, size_t ld_x, int n,
                float *out, size_t ld_out, bool add);

/* q8_ops.c: the same for WEIGHT_INT8 and WEIGHT_INT4, in every precision. */
void q8_weight_pack(struct backend *b, const struct weight_part *parts, int n_parts, int n_in,
                    const float *bias, struct weight *ret);
void q8_linear(struct backend *b, const struct weight *w, const float *x, size_t ld_x, int n,
               float *out, size_t ld_out, bool add);

void q8_linear_gated(struct backend *b, const struct weight *w, const float *x, size_t ld_x, int n,
                     float *out, size_t ld_out);

/* attn.c */
struct attend_tile {
    int q_begin, n_q, k_begin, k_end;
    int head, n_heads; /* of q; only in bf16 */
};
/* At least n of c->tiles. */
struct attend_tile *cpu_tiles(struct cpu *c, int n);
void cpu_kv_alloc(struct backend *b, int n_head, int d_head, int n_cap, struct kv_store *ret);
void cpu_kv_done(struct backend *b, struct kv_store *kv);
void cpu_kv_put(struct backend *b, struct kv_store *kv, const float *k, const float *v, size_t ld,
                int n, int pos);
void cpu_attend(struct backend *b, const struct attend *a);

/* bf16_ops.c: the same operations with bf16 products, where struct cpu has bf16 kernels. */
void bf16_weight_pack(struct backend *b, const struct weight_part *parts, int n_parts, int n_in,
                      const float *bias, struct weight *ret);
void bf16_linear(struct backend *b, const struct weight *w, const float *x, size_t ld_x, int n,
                 float *out, size_t ld_out, bool add);
void bf16_linear_gated(struct backend *b, const struct weight *w, const float *x, size_t ld_x,
                       int n, float *out, size_t ld_out);
void bf16_kv_alloc(struct backend *b, int n_head, int d_head, int n_cap, struct kv_store *ret);
void bf16_kv_alloc_int8(struct backend *b, int n_head, int d_head, int n_cap, struct kv_store *ret);
void bf16_kv_put(struct backend *b, struct kv_store *kv, const float *k, const float *v, size_t ld,
                 int n, int pos);
void bf16_run_attend(struct backend *b, const struct attend *a);
#define ATTEND_LANES 48 /* queries of a tile in bf16 and in bytes */
/* Cuts queries into tiles of ATTEND_LANES and runs fn on each. */
void cpu_attend_lanes(struct cpu *c, const struct attend *a,
                      void (*fn)(const struct attend *a, const struct attend_tile *t));

/* q8_kv.c: a store in bytes. */
bool q8_kv_alloc(struct backend *b, int n_head, int d_head, int n_cap, struct kv_store *ret);
void q8_kv_put(struct backend *b, struct kv_store *kv, const float *k, const float *v, size_t ld,
               int n);

#endif
