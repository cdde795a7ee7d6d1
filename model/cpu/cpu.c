/* The CPU backend: chooses the kernels that this machine runs, owns the thread pool, and spreads
 * the row-wise operations over it. Matrix products are in gemm.c, attention in attn.c. */
#include "model/cpu/bf16.h"

#include "model/cpu/q8.h"
#include "model/cpu/q8_attn.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <string.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

float f16_to_f32(uint16_t h)
{
    int e = h >> 10 & 31, m = h & 1023;
    float f = e == 31 ? (m ? NAN : INFINITY) : e ? ldexpf((float)(m + 1024), e - 25)
                                                 : ldexpf((float)m, -24);
    return h & 0x8000 ? -f : f;
}

void *cpu_scratch(struct cpu *c, size_t n)
{
    if (n > c->packed_cap) {
        free(c->packed);
        c->packed = mem_large(n);
        c->packed_cap = n;
    }
    return c->packed;
}

#define WIDE_PANELS 2 /* of a task then: its part of the result stays in the second-level cache */

static void split_by(int n_rows, int n_panels, struct split *s)
{
    s->n_chunks = ROUND_UP(n_rows, s->chunk_rows) / s->chunk_rows;
    s->n_panel_tasks = ROUND_UP(n_panels, s->panels_per_task) / s->panels_per_task;
}

void cpu_split(const struct backend *b, int n_rows, int n_panels, struct split *s)
{
    int n_chunks = ROUND_UP(n_rows, s->chunk_rows) / s->chunk_rows;
    /* Enough tasks for an even end, each worth some microseconds. */
    int want = b->n_threads == 1 ? 1 : b->n_threads * 4;
    int runs = CLAMP((want + n_chunks - 1) / n_chunks, 1, n_panels);

    s->panels_per_task = ROUND_UP(n_panels, runs) / runs;
    if (s->chunk_rows == WIDE_ROWS)
        s->panels_per_task = MIN(s->panels_per_task, WIDE_PANELS);
    split_by(n_rows, n_panels, s);
}

void cpu_split_gated(int n_rows, int n_pairs, struct split *s)
{
    s->panels_per_task = MIN(n_pairs, GATED_PANELS);
    split_by(n_rows, n_pairs, s);
}

struct piece cpu_piece(const struct split *s, int task, int n_rows, int n_panels)
{
    int row = task / s->n_panel_tasks * s->chunk_rows;
    int p0 = task % s->n_panel_tasks * s->panels_per_task;

    return (struct piece){row, MIN(s->chunk_rows, n_rows - row), p0,
                          MIN(p0 + s->panels_per_task, n_panels)};
}

struct attend_tile *cpu_tiles(struct cpu *c, int n)
{
    if (n > c->n_tiles_cap) {
        c->tiles = mem_realloc(c->tiles, sizeof(*c->tiles) * (size_t)n);
        c->n_tiles_cap = n;
    }
    return c->tiles;
}

/* Operations on rows that do not look at each other. */
struct rows {
    const struct kernels *k;
    const float *x, *w, *cosine, *sine;
    float *out;
    size_t ld;
    int n, d, n_head, rows_per_task;
    float eps;
};

static void run_rows(struct backend *b, struct rows *r, void (*fn)(void *, int))
{
    struct cpu *c = (struct cpu *)b;

    r->k = c->k;
    r->rows_per_task = MAX(1, 16384 / MAX(1, r->d));
    pool_run(c->pool, (r->n + r->rows_per_task - 1) / r->rows_per_task, fn, r);
}

static void rms_task(void *ctx, int task)
{
    const struct rows *r = ctx;
    for (int i = task * r->rows_per_task; i < MIN(r->n, (task + 1) * r->rows_per_task); i++)
        r->k->rms_norm(r->d, r->x + (size_t)i * (size_t)r->d, r->w, r->eps,
                       r->out + (size_t)i * (size_t)r->d);
}

static void cpu_rms_norm(struct backend *b, const float *x, const float *w, int n, int d, float eps,
                         float *out)
{
    struct rows r = {.x = x, .w = w, .out = out, .n = n, .d = d, .eps = eps};
    run_rows(b, &r, rms_task);
}

static void silu_task(void *ctx, int task)
{
    const struct rows *r = ctx;
    for (int i = task * r->rows_per_task; i < MIN(r->n, (task + 1) * r->rows_per_task); i++) {
        const float *x = r->x + (size_t)i * (size_t)r->d * 2;
        r->k->silu_mul(r->d, x, x + r->d, r->out + (size_t)i * (size_t)r->d);
    }
}

static void cpu_silu_mul(struct backend *b, const float *x, int n, int d, float *out)
{
    struct rows r = {.x = x, .out = out, .n = n, .d = d};
    run_rows(b, &r, silu_task);
}

static void gelu_task(void *ctx, int task)
{
    const struct rows *r = ctx;
    for (int i = task * r->rows_per_task; i < MIN(r->n, (task + 1) * r->rows_per_task); i++)
        r->k->gelu(r->d, r->out + (size_t)i * (size_t)r->d);
}

static void cpu_gelu(struct backend *b, float *x, int n, int d)
{
    struct rows r = {.out = x, .n = n, .d = d};
    run_rows(b, &r, gelu_task);
}

static void rope_task(void *ctx, int task)
{
    const struct rows *r = ctx;
    int half = r->d / 2;
    for (int i = task * r->rows_per_task; i < MIN(r->n, (task + 1) * r->rows_per_task); i++)
        for (int h = 0; h < r->n_head; h++)
            r->k->rope(half, r->out + (size_t)i * r->ld + (size_t)h * (size_t)r->d,
                       r->cosine + (size_t)i * (size_t)half, r->sine + (size_t)i * (size_t)half);
}

static void cpu_rope(struct backend *b, float *x, size_t ld, int n, int n_head, int d_head,
                     const float *cosine, const float *sine)
{
    struct rows r = {.out = x, .ld = ld, .n = n, .d = d_head, .n_head = n_head,
                     .cosine = cosine, .sine = sine};
    run_rows(b, &r, rope_task);
}

#define BURN_ROUNDS 2000000
#define READ_BYTES ((size_t)256 << 20)

struct measure {
    const struct kernels *k;
    float (*burn)(int n);
    const float *data;
    size_t n; /* floats for each thread */
    _Atomic float sink; /* so that the compiler keeps the work */
};

static void burn_task(void *ctx, int task)
{
    struct measure *m = ctx;
    m->sink = m->burn(BURN_ROUNDS);
}

static void read_task(void *ctx, int task)
{
    struct measure *m = ctx;
    m->sink = m->k->read_all(m->n, m->data + (size_t)task * m->n);
}

static int64_t best_of_three(struct cpu *c, void (*fn)(void *, int), struct measure *m)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i < 3; i++) {
        int64_t start = clock_now_us();
        pool_run(c->pool, c->b.n_threads, fn, m);
        best = MIN(best, MAX(1, clock_now_us() - start));
    }
    return best;
}

static double peak(struct cpu *c, float (*burn)(int n), int ops)
{
    struct measure m = {.burn = burn};

    return (double)ops * BURN_ROUNDS * c->b.n_threads / (double)best_of_three(c, burn_task, &m) /
           1e3;
}

static void cpu_measure(struct backend *b, struct backend_peaks *ret)
{
    struct cpu *c = (struct cpu *)b;
    AUTO_FREE float *data = mem_large(READ_BYTES); /* on the pages that weights get */
    struct measure m = {.k = c->k, .data = data,
                        .n = READ_BYTES / sizeof(float) / (size_t)b->n_threads / 256 * 256};

    memset(data, 1, READ_BYTES); /* real pages, not the kernel's zero page */
    *ret = (struct backend_peaks){
        .f32_gflops = peak(c, c->k->burn, c->k->burn_flops),
        .bf16_gflops = c->bf16 ? peak(c, c->bf16->burn, c->bf16->burn_flops) : 0,
        .int8_gops = peak(c, c->q8->burn, c->q8->burn_ops),
        .read_gb_s = (double)m.n * sizeof(float) * b->n_threads /
                     (double)best_of_three(c, read_task, &m) / 1e3};
}

static void pack(struct backend *b, const struct weight_part *parts, int n_parts, int n_in,
                 const float *bias, struct weight *ret)
{
    if (b->pack_as == WEIGHT_INT8 || b->pack_as == WEIGHT_INT4)
        q8_weight_pack(b, parts, n_parts, n_in, bias, ret);
    else if (((struct cpu *)b)->bf16)
        bf16_weight_pack(b, parts, n_parts, n_in, bias, ret);
    else
        cpu_weight_pack(b, parts, n_parts, n_in, bias, ret);
}

static void linear(struct backend *b, const struct weight *w, const float *x, size_t ld_x, int n,
                   float *out, size_t ld_out, bool add)
{
    if (w->kind == WEIGHT_INT8 || w->kind == WEIGHT_INT4)
        q8_linear(b, w, x, ld_x, n, out, ld_out, add);
    else if (((struct cpu *)b)->bf16)
        bf16_linear(b, w, x, ld_x, n, out, ld_out, add);
    else
        cpu_linear(b, w, x, ld_x, n, out, ld_out, add);
}

static bool linear_gated(struct backend *b, const struct weight *w, const float *x, size_t ld_x,
                         int n, float *out, size_t ld_out)
{
    bool is_q8 = w->kind == WEIGHT_INT8 || w->kind == WEIGHT_INT4;

    if (w->n_out % (2 * PANEL) != 0 || n <= BACKEND_FEW_ROWS ||
        (!is_q8 && !((struct cpu *)b)->bf16))
        return false;
    if (is_q8)
        q8_linear_gated(b, w, x, ld_x, n, out, ld_out);
    else
        bf16_linear_gated(b, w, x, ld_x, n, out, ld_out);
    return true;
}

static void put(struct backend *b, struct kv_store *kv, const float *k, const float *v, size_t ld,
                int n, int pos)
{
    if (kv->scales) {
        CHECK(pos == 0 && n <= kv->n_cap);
        q8_kv_put(b, kv, k, v, ld, n);
    } else if (((struct cpu *)b)->bf16) {
        bf16_kv_put(b, kv, k, v, ld, n, pos);
    } else {
        cpu_kv_put(b, kv, k, v, ld, n, pos);
    }
}

static void attend(struct backend *b, const struct attend *a)
{
    struct cpu *c = (struct cpu *)b;

    if (a->kv->scales) {
        CHECK(!a->causal);
        cpu_attend_lanes(c, a, c->q8_attn->attend);
    } else if (c->bf16) {
        bf16_run_attend(b, a);
    } else {
        cpu_attend(b, a);
    }
}

static void *cpu_buffer(struct backend *b, size_t n, bool whole)
{
    return whole ? mem_large(n) : mem_aligned(n);
}

static void cpu_buffer_done(struct backend *b, void *buffer)
{
    free(buffer);
}

static int cpu_sync(struct backend *b, struct err *err)
{
    return 0;
}

static void cpu_close(struct backend *b)
{
    struct cpu *c = (struct cpu *)b;

    pool_free(c->pool);
    free(c->tiles);
    free(c->packed);
    free(c);
}

static bool has_avx2(void)
{
#ifdef __x86_64__
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

static bool has_avx512(void)
{
#ifdef __x86_64__
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
    return false;
#endif
}

static bool has_avx512bf16(void)
{
#ifdef __x86_64__
    return has_avx512() && __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

/* The fastest products of bytes among those that go with a set. */
static const struct q8_kernels *best_q8(const char *set)
{
#ifdef __x86_64__
    unsigned a, b, c, d;
    if (strncmp(set, "avx512", 6) == 0 && __builtin_cpu_supports("avx512vnni"))
        return &q8_avx512;
    if (strcmp(set, "generic") != 0)
        return __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 4 & 1 ? &q8_avxvnni : &q8_avx2;
#endif
    return &q8_generic;
}

static bool always(void)
{
    return true;
}

/* Best first. */
static const struct {
    const char *name, *precision;
    const struct kernels *kernels;
    const struct bf16_kernels *bf16;
    bool (*runs_here)(void);
} sets[] = {
#ifdef __x86_64__
    {"avx512bf16", "bf16", &kernels_avx512, &kernels_bf16, has_avx512bf16},
    {"avx512", "f32", &kernels_avx512, NULL, has_avx512},
    {"avx2", "f32", &kernels_avx2, NULL, has_avx2},
#endif
    {"generic", "f32", &kernels_generic, NULL, always},
};

/* The index of the best set that fits, or -errno. */
static int choose(const char *name, const char *precision, struct err *err)
{
    bool known = backend_is_any(name), fits = false;

    int r = backend_check_precision(precision, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < N_ELEMENTS(sets); i++) {
        if (!backend_is_any(name) && strcmp(name, sets[i].name) != 0)
            continue;
        known = true;
        if (!backend_is_any(precision) && strcmp(precision, sets[i].precision) != 0)
            continue;
        fits = true;
        if (sets[i].runs_here())
            return (int)i;
    }
    if (!known)
        return err_set(err, -EINVAL,
                       "Unknown backend \"%s\"; expected auto, generic, avx2, avx512, avx512bf16 "
                       "or cuda.",
                       name);
    if (!fits && !backend_is_any(name))
        return err_set(err, -EINVAL, "The backend \"%s\" does not compute in %s.", name, precision);
    if (!backend_is_any(name))
        return err_set(err, -ENOTSUP, "This CPU does not run the backend \"%s\".", name);
    return err_set(err, -ENOTSUP, "This CPU does not compute in %s; expected auto or f32.",
                   precision);
}

int backend_cpu_open(const char *name, const char *precision, int n_threads, struct backend **ret,
                     struct err *err)
{
    int i = choose(name, precision, err);

    if (i < 0)
        return i;
    if (n_threads < 0 || n_threads > 1024)
        return err_set(err, -EINVAL, "%d threads asked for; expected 0 (all CPUs) to 1024.",
                       n_threads);
    if (n_threads == 0) {
        cpu_set_t set;
        n_threads = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    }
    struct cpu *c = mem_zalloc(sizeof(*c));
    c->k = sets[i].kernels;
    c->bf16 = sets[i].bf16;
    c->q8 = best_q8(sets[i].name);
#ifdef __x86_64__
    c->q8_attn = c->q8 == &q8_avx512 ? &q8_attn_avx512 : NULL;
#endif
    c->pool = pool_new(n_threads);
    c->b = (struct backend){
        .name = sets[i].name,
        .n_threads = pool_n_threads(c->pool),
        .is_host = true,
        .close = cpu_close,
        .buffer = cpu_buffer,
        .buffer_done = cpu_buffer_done,
        .sync = cpu_sync,
        .weight_pack = pack,
        .weight_done = cpu_weight_done,
        .kv_alloc = c->bf16 ? bf16_kv_alloc : cpu_kv_alloc,
        .kv_alloc_int8 = c->bf16 ? bf16_kv_alloc_int8 : NULL,
        .kv_alloc_bytes = q8_kv_alloc,
        .kv_done = cpu_kv_done,
        .linear = linear,
        .linear_gated = linear_gated,
        .rms_norm = cpu_rms_norm,
        .silu_mul = cpu_silu_mul,
        .gelu = cpu_gelu,
        .rope = cpu_rope,
        .kv_put = put,
        .attend = attend,
        .measure = cpu_measure,
    };
    *ret = &c->b;
    return 0;
}
