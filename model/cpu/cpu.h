/* What the parts of the CPU backend share. */
#ifndef DESKHAND_MODEL_CPU_CPU_H
#define DESKHAND_MODEL_CPU_CPU_H

#include "base/mem.h"
#include "model/backend.h"
#include "model/cpu/kernels.h"
#include "model/cpu/pool.h"

#define ROUND_UP(n, m) (((n) + (m)-1) / (m) * (m))

struct cpu {
    struct backend b; /* first */
    const struct kernels *k;
    struct pool *pool;
    struct attend_tile *tiles; /* scratch of attend(), grows */
    int n_tiles_cap;
};

/* gemm.c */
void cpu_weight_pack(struct backend *b, const struct weight_part *parts, int n_parts, int n_in,
                     const float *bias, struct weight *ret);
void cpu_weight_done(struct backend *b, struct weight *w);
void cpu_linear(struct backend *b, const struct weight *w, const float *x, size_t ld_x, int n,
                float *out, size_t ld_out, bool add);

/* attn.c */
struct attend_tile {
    int q_begin, n_q, k_begin, k_end;
};
void cpu_kv_alloc(struct backend *b, int n_head, int d_head, int n_cap, struct kv_store *ret);
void cpu_kv_done(struct backend *b, struct kv_store *kv);
void cpu_kv_put(struct backend *b, struct kv_store *kv, const float *k, const float *v, size_t ld,
                int n, int pos);
void cpu_attend(struct backend *b, const struct attend *a);

#endif
