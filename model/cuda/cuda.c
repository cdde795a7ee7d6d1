/* The CUDA backend: memory, the table of operations, and the large products, which are cuBLAS's.
 * The kernels are in kernels.cu.
 *
 * Everything goes to one stream. What fails is kept and told by sync(): from then on nothing more
 * is started, and the model's results are worthless, but the program lives. */
#include "model/cuda/cuda.h"

#include "base/mem.h"
#include "model/cuda/kernels.h"
#include "model/quant.h"

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MIN_CAPABILITY 8 /* the first with bf16 */
#define PACK_ROWS 256    /* of a matrix that are converted together */
#define PEAK_SIDE 4096   /* of the products that measure() times */
#define READ_FLOATS ((size_t)256 << 20)

_Static_assert(CUDA_FEW == BACKEND_FEW_ROWS && CUDA_MAX_HEAD == BACKEND_MAX_D_HEAD,
               "kernels.h has the backend's limits");

struct cuda {
    struct backend b;
    cudaStream_t stream;
    cublasHandle_t blas;
    bool is_bf16;
    char failed[256];   /* "" while nothing has */
    void *x16, *w_rows; /* scratch: activations as bf16, unpacked weights */
    size_t x16_cap, w_rows_cap;
    int *range, *range_host; /* of the last attend() in spans */
    int n_range, range_cap;
};

static struct cuda *own(struct backend *b)
{
    return (struct cuda *)b;
}

static void fail(struct cuda *c, const char *what, const char *why)
{
    if (!c->failed[0])
        snprintf(c->failed, sizeof(c->failed), "%s: %s", what, why);
}

/* False, and the failure kept, when it is one. */
static bool is_fine(struct cuda *c, cudaError_t e, const char *what)
{
    if (e != cudaSuccess)
        fail(c, what, cudaGetErrorString(e));
    return e == cudaSuccess;
}

static bool is_broken(const struct cuda *c)
{
    return c->failed[0];
}

/* Is there anything to start for n rows? A launch of no blocks is an error. */
static bool has_work(const struct cuda *c, int n)
{
    return n > 0 && !is_broken(c);
}

static void *device_alloc(struct cuda *c, size_t n)
{
    void *p = NULL;

    if (is_broken(c) || !is_fine(c, cudaMalloc(&p, MAX(n, 1)), "memory of the GPU"))
        return NULL;
    return p;
}

/* Room for n bytes, what was there lost; NULL when there is none. */
static void *scratch(struct cuda *c, void **p, size_t *cap, size_t n)
{
    if (n > *cap) {
        cudaFree(*p); /* waits for those who still read it */
        *p = device_alloc(c, n);
        *cap = *p ? n : 0;
    }
    return *p;
}

static void *cuda_buffer(struct backend *b, size_t n, bool whole)
{
    struct cuda *c = own(b);
    void *p = NULL;

    if (is_broken(c) || !is_fine(c, cudaMallocManaged(&p, MAX(n, 1), cudaMemAttachGlobal),
                                 "memory for activations"))
        return mem_aligned(n); /* so that the plan has something to write to until sync() tells */
    memset(p, 0, n);
    return p;
}

static void cuda_buffer_done(struct backend *b, void *buffer)
{
    if (buffer && cudaFree(buffer) != cudaSuccess) { /* one of the substitutes above */
        cudaGetLastError();
        free(buffer);
    }
}

static int cuda_sync(struct backend *b, struct err *err)
{
    struct cuda *c = own(b);

    if (!is_broken(c) && is_fine(c, cudaGetLastError(), "starting a kernel"))
        is_fine(c, cudaStreamSynchronize(c->stream), "the GPU");
    return is_broken(c) ? err_set(err, -EIO, "The GPU failed (%s).", c->failed) : 0;
}

/* ---- weights ---- */

static size_t row_length(const struct weight *w)
{
    return w->kind == WEIGHT_BF16 ? ROUND_UP((size_t)w->n_in, 8) : (size_t)w->n_in;
}

/* In the stream's order; `from` may change at once. */
static bool to_device(struct cuda *c, void *to, const void *from, size_t n)
{
    return to && is_fine(c, cudaMemcpyAsync(to, from, n, cudaMemcpyHostToDevice, c->stream),
                         "copying to the GPU");
}

static void pack_rows(struct cuda *c, const struct weight_part *parts, struct weight *w)
{
    size_t ld = row_length(w), size = w->kind == WEIGHT_BF16 ? 2 : 4;
    AUTO_FREE float *rows = mem_alloc(sizeof(float) * PACK_ROWS * (size_t)w->n_in);
    AUTO_FREE uint16_t *half = w->kind == WEIGHT_BF16 ? mem_zalloc(2 * PACK_ROWS * ld) : NULL;

    w->n_bytes = (size_t)w->n_out * ld * size;
    w->data = device_alloc(c, w->n_bytes);
    for (int at = 0; at < w->n_out && w->data; at += PACK_ROWS) {
        int n = MIN(PACK_ROWS, w->n_out - at);
        for (int i = 0; i < n; i++)
            weight_part_row(parts, w->n_in, at + i, rows + (size_t)i * (size_t)w->n_in);
        for (size_t i = 0; half && i < (size_t)n; i++)
            tensor_from_f32(TENSOR_BF16, rows + i * (size_t)w->n_in, (size_t)w->n_in,
                            half + i * ld);
        to_device(c, (char *)w->data + (size_t)at * ld * size, half ? (const void *)half : rows,
                  (size_t)n * ld * size);
    }
}

static void pack_panels(struct cuda *c, const struct weight_part *parts, int n_parts,
                        struct weight *w)
{
    enum quant_format f = w->kind == WEIGHT_INT4 ? QUANT_INT4 : QUANT_INT8;
    size_t bytes = quant_panel_bytes(f, w->n_in);
    AUTO_FREE float *rows = mem_alloc(sizeof(float) * QUANT_PANEL * (size_t)w->n_in);
    AUTO_FREE char *panel = mem_aligned(bytes);

    w->n_bytes = (size_t)(ROUND_UP(w->n_out, QUANT_PANEL) / QUANT_PANEL) * bytes;
    char *to = w->data = device_alloc(c, w->n_bytes);
    if (!to)
        return;
    if (tensor_is_packed(parts[0].dtype)) { /* all of them, and whole panels: load.c saw to that */
        for (int i = 0; i < n_parts; i++) {
            size_t n = (size_t)(ROUND_UP(parts[i].n_out, QUANT_PANEL) / QUANT_PANEL) * bytes;
            to_device(c, to, parts[i].data, n);
            to += n;
        }
        return;
    }
    for (int at = 0; at < w->n_out; at += QUANT_PANEL, to += bytes) {
        int n = MIN(QUANT_PANEL, w->n_out - at);
        for (int i = 0; i < n; i++)
            weight_part_row(parts, w->n_in, at + i, rows + (size_t)i * (size_t)w->n_in);
        quant_panel_pack(f, rows, n, w->n_in, panel);
        to_device(c, to, panel, bytes);
    }
}

static void cuda_weight_pack(struct backend *b, const struct weight_part *parts, int n_parts,
                             int n_in, const float *bias, struct weight *ret)
{
    struct cuda *c = own(b);
    struct weight w = {.n_in = n_in, .kind = c->is_bf16 ? WEIGHT_BF16 : WEIGHT_F32};
    bool is_packed = b->pack_as == WEIGHT_INT8 || b->pack_as == WEIGHT_INT4;

    if (is_packed)
        w.kind = b->pack_as;
    for (int i = 0; i < n_parts; i++)
        w.n_out += parts[i].n_out;
    if (is_packed)
        pack_panels(c, parts, n_parts, &w);
    else
        pack_rows(c, parts, &w);
    if (bias) {
        w.bias = device_alloc(c, sizeof(float) * (size_t)w.n_out);
        to_device(c, w.bias, bias, sizeof(float) * (size_t)w.n_out);
    }
    *ret = w;
}

static void cuda_weight_done(struct backend *b, struct weight *w)
{
    cudaFree(w->data);
    cudaFree(w->bias);
    w->data = NULL;
    w->bias = NULL;
}

static struct cuda_matrix matrix(const struct weight *w)
{
    static const enum cuda_layout layouts[] = {[WEIGHT_F32] = CUDA_F32,
                                               [WEIGHT_BF16] = CUDA_BF16,
                                               [WEIGHT_INT8] = CUDA_INT8,
                                               [WEIGHT_INT4] = CUDA_INT4};
    bool is_packed = w->kind == WEIGHT_INT8 || w->kind == WEIGHT_INT4;

    return (struct cuda_matrix){
        .layout = layouts[w->kind],
        .n_out = w->n_out,
        .n_in = w->n_in,
        .ld = row_length(w),
        .data = w->data,
        .bias = w->bias,
        .panel_bytes =
            is_packed ? quant_panel_bytes(w->kind == WEIGHT_INT4 ? QUANT_INT4 : QUANT_INT8, w->n_in)
                      : 0};
}

/* out [n, ld_out] = (add ? out : 0) + x [n, k] w [n_out, k]^T, rows of ld_x and ld_w of one type.
 * cuBLAS counts columns first, so to it all matrices are transposed. */
static void product(struct cuda *c, cudaDataType_t type, const void *w, size_t ld_w, int n_out,
                    const void *x, size_t ld_x, int n, int k, float *out, size_t ld_out, bool add)
{
    float one = 1, keep = add ? 1 : 0;
    cublasStatus_t s = cublasGemmEx(c->blas, CUBLAS_OP_T, CUBLAS_OP_N, n_out, n, k, &one, w, type,
                                    (int)ld_w, x, type, (int)ld_x, &keep, out, CUDA_R_32F,
                                    (int)ld_out, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
    if (s != CUBLAS_STATUS_SUCCESS)
        fail(c, "a product of matrices", cublasGetStatusString(s));
}

static void cuda_linear(struct backend *b, const struct weight *w, const float *x, size_t ld_x,
                        int n, float *out, size_t ld_out, bool add)
{
    struct cuda *c = own(b);
    struct cuda_matrix m = matrix(w);

    if (!has_work(c, n))
        return;
    if (n <= CUDA_FEW) {
        cuda_few(c->stream, &m, x, ld_x, n, c->is_bf16, out, ld_out, add);
        return;
    }
    const void *rows = m.data, *from = x;
    size_t ld = m.ld, size = c->is_bf16 ? 2 : 4;
    cudaDataType_t type = c->is_bf16 ? CUDA_R_16BF : CUDA_R_32F;
    if (m.layout == CUDA_INT8 || m.layout == CUDA_INT4) {
        ld = ROUND_UP((size_t)m.n_in, 8);
        void *unpacked = scratch(c, &c->w_rows, &c->w_rows_cap, (size_t)m.n_out * ld * size);
        if (!unpacked)
            return;
        cuda_unpack(c->stream, &m, c->is_bf16, unpacked, ld);
        rows = unpacked;
    }
    if (c->is_bf16) {
        void *x16 = scratch(c, &c->x16, &c->x16_cap, 2 * (size_t)n * ld);
        if (!x16)
            return;
        cuda_to_bf16(c->stream, x, ld_x, n, m.n_in, x16, ld);
        from = x16;
        ld_x = ld;
    }
    product(c, type, rows, ld, m.n_out, from, ld_x, n, m.n_in, out, ld_out, add);
    if (m.bias)
        cuda_add_bias(c->stream, m.bias, n, m.n_out, out, ld_out);
}

static bool cuda_linear_gated(struct backend *b, const struct weight *w, const float *x,
                              size_t ld_x, int n, float *out, size_t ld_out)
{
    return false;
}

/* ---- rows ---- */

static void rms_norm(struct backend *b, const float *x, const float *w, int n, int d, float eps,
                     float *out)
{
    if (has_work(own(b), n))
        cuda_rms_norm(own(b)->stream, x, w, n, d, eps, out);
}

static void silu_mul(struct backend *b, const float *x, int n, int d, float *out)
{
    if (has_work(own(b), n))
        cuda_silu_mul(own(b)->stream, x, n, d, out);
}

static void gelu(struct backend *b, float *x, int n, int d)
{
    if (has_work(own(b), n))
        cuda_gelu(own(b)->stream, x, (size_t)n * (size_t)d);
}

static void rope(struct backend *b, float *x, size_t ld, int n, int n_head, int d_head,
                 const float *cosine, const float *sine)
{
    if (has_work(own(b), n))
        cuda_rope(own(b)->stream, x, ld, n, n_head, d_head, cosine, sine);
}

/* ---- keys and values ---- */

static void kv_alloc(struct backend *b, int n_head, int d_head, int n_cap, struct kv_store *ret)
{
    struct cuda *c = own(b);
    size_t n = (size_t)n_head * (size_t)d_head * (size_t)n_cap * (c->is_bf16 ? 2 : 4);

    *ret = (struct kv_store){.n_head = n_head,
                             .d_head = d_head,
                             .n_cap = n_cap,
                             .n_bytes = 2 * n,
                             .k = device_alloc(c, n),
                             .v = device_alloc(c, n)};
}

static bool kv_alloc_bytes(struct backend *b, int n_head, int d_head, int n_cap,
                           struct kv_store *ret)
{
    return false;
}

static void kv_done(struct backend *b, struct kv_store *kv)
{
    cudaFree(kv->k);
    cudaFree(kv->v);
    *kv = (struct kv_store){0};
}

static struct cuda_kv stored(const struct cuda *c, const struct kv_store *kv)
{
    return (struct cuda_kv){kv->n_head, kv->d_head, kv->n_cap, c->is_bf16, kv->k, kv->v};
}

static void kv_put(struct backend *b, struct kv_store *kv, const float *k, const float *v,
                   size_t ld, int n, int pos)
{
    struct cuda_kv s = stored(own(b), kv);

    CHECK(pos >= 0 && n <= kv->n_cap - pos);
    if (has_work(own(b), n))
        cuda_kv_put(own(b)->stream, &s, k, v, ld, n, pos);
}

/* Which keys each query of the spans sees, on the GPU; layers ask for the same again and again. */
static const int *ranges(struct cuda *c, const struct attend *a, int n)
{
    AUTO_FREE int *r = mem_zalloc(sizeof(int) * 2 * (size_t)n);

    for (int s = 0; s < a->n_spans; s++)
        for (int i = a->spans[s].begin; i < a->spans[s].end; i++) {
            r[2 * i] = a->spans[s].begin;
            r[2 * i + 1] = a->spans[s].end;
        }
    size_t bytes = sizeof(int) * 2 * (size_t)n;
    if (n == c->n_range && memcmp(r, c->range_host, bytes) == 0)
        return c->range;
    if (n > c->range_cap) {
        cudaFree(c->range);
        c->range = device_alloc(c, bytes);
        c->range_host = mem_realloc(c->range_host, bytes);
        c->range_cap = c->range ? n : 0;
    }
    if (!to_device(c, c->range, r, bytes))
        return NULL;
    memcpy(c->range_host, r, bytes);
    c->n_range = n;
    return c->range;
}

static void attend(struct backend *b, const struct attend *a)
{
    struct cuda *c = own(b);
    int n = 0;

    for (int s = 0; s < a->n_spans; s++)
        n = MAX(n, a->spans[s].end);
    const int *range = a->causal || !has_work(c, n) ? NULL : ranges(c, a, n);
    if (!has_work(c, n))
        return;
    cuda_attend(c->stream, &(struct cuda_attend){.kv = stored(c, a->kv),
                                                 .q = a->q,
                                                 .ld_q = a->ld_q,
                                                 .out = a->out,
                                                 .ld_out = a->ld_out,
                                                 .n = n,
                                                 .n_head = a->n_head,
                                                 .scale = a->scale,
                                                 .range = range,
                                                 .base = a->base});
}

/* ---- the rest ---- */

/* The shortest of three runs, in seconds; 0 when something failed. */
static double best_time(struct cuda *c, void (*run)(struct cuda *c, void *user), void *user)
{
    cudaEvent_t begin, end;
    float best = 0;

    if (!is_fine(c, cudaEventCreate(&begin), "a clock of the GPU") ||
        !is_fine(c, cudaEventCreate(&end), "a clock of the GPU"))
        return 0;
    for (int i = 0; i < 4 && !is_broken(c); i++) { /* the first one warms up */
        float ms = 0;
        cudaEventRecord(begin, c->stream);
        run(c, user);
        cudaEventRecord(end, c->stream);
        if (is_fine(c, cudaEventSynchronize(end), "the GPU") &&
            is_fine(c, cudaEventElapsedTime(&ms, begin, end), "a clock of the GPU") && i > 0)
            best = i == 1 ? ms : MIN(best, ms);
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return is_broken(c) ? 0 : (double)best / 1e3;
}

struct peak {
    cudaDataType_t type;
    float *data;
};

static void run_product(struct cuda *c, void *user)
{
    const struct peak *p = user;
    size_t n = PEAK_SIDE;
    product(c, p->type, p->data, n, PEAK_SIDE, p->data + n * n, n, PEAK_SIDE, PEAK_SIDE,
            p->data + 2 * n * n, n, false);
}

static void run_read(struct cuda *c, void *user)
{
    const struct peak *p = user;
    cuda_read_all(c->stream, p->data, READ_FLOATS, p->data);
}

static void measure(struct backend *b, struct backend_peaks *ret)
{
    struct cuda *c = own(b);
    struct peak p = {.data = device_alloc(c, sizeof(float) * READ_FLOATS)};
    double flops = 2.0 * PEAK_SIDE * PEAK_SIDE * PEAK_SIDE / 1e9, seconds;

    *ret = (struct backend_peaks){0};
    if (!p.data ||
        !is_fine(c, cudaMemset(p.data, 0, sizeof(float) * READ_FLOATS), "memory of the GPU"))
        return;
    p.type = CUDA_R_32F;
    if ((seconds = best_time(c, run_product, &p)) > 0)
        ret->f32_gflops = flops / seconds;
    p.type = CUDA_R_16BF;
    if ((seconds = best_time(c, run_product, &p)) > 0)
        ret->bf16_gflops = flops / seconds;
    if ((seconds = best_time(c, run_read, &p)) > 0)
        ret->read_gb_s = (double)READ_FLOATS * sizeof(float) / seconds / 1e9;
    cudaFree(p.data);
}

static void cuda_close(struct backend *b)
{
    struct cuda *c = own(b);

    cudaFree(c->x16);
    cudaFree(c->w_rows);
    cudaFree(c->range);
    free(c->range_host);
    if (c->blas)
        cublasDestroy(c->blas);
    if (c->stream)
        cudaStreamDestroy(c->stream);
    free(c);
}

/* Is the first GPU one that will do? */
static int check_device(struct err *err)
{
    int n = 0, major = 0, shared = 0;
    cudaError_t e = cudaGetDeviceCount(&n);

    if (e != cudaSuccess || n == 0)
        return err_set(err, -ENOTSUP, "CUDA finds no GPU on this machine (%s).",
                       e != cudaSuccess ? cudaGetErrorString(e) : "it counts none");
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
    cudaDeviceGetAttribute(&shared, cudaDevAttrConcurrentManagedAccess, 0);
    if (major < MIN_CAPABILITY)
        return err_set(err, -ENOTSUP, "The GPU has compute capability %d; expected %d or more.",
                       major, MIN_CAPABILITY);
    if (!shared)
        return err_set(err, -ENOTSUP,
                       "The GPU cannot share memory with the CPU while it works "
                       "(concurrentManagedAccess is 0).");
    return 0;
}

int backend_cuda_open(const char *precision, struct backend **ret, struct err *err)
{
    int r = backend_check_precision(precision, err);

    if (r < 0 || (r = check_device(err)) < 0)
        return r;
    struct cuda *c = mem_zalloc(sizeof(*c));
    c->is_bf16 = backend_is_any(precision) || strcmp(precision, "bf16") == 0;
    c->b = (struct backend){
        .name = "cuda",
        .n_threads = 1,
        .close = cuda_close,
        .buffer = cuda_buffer,
        .buffer_done = cuda_buffer_done,
        .sync = cuda_sync,
        .weight_pack = cuda_weight_pack,
        .weight_done = cuda_weight_done,
        .kv_alloc = kv_alloc,
        .kv_alloc_bytes = kv_alloc_bytes,
        .kv_done = kv_done,
        .linear = cuda_linear,
        .linear_gated = cuda_linear_gated,
        .rms_norm = rms_norm,
        .silu_mul = silu_mul,
        .gelu = gelu,
        .rope = rope,
        .kv_put = kv_put,
        .attend = attend,
        .measure = measure,
    };
    cublasStatus_t s = CUBLAS_STATUS_SUCCESS;
    if (is_fine(c, cudaSetDevice(0), "choosing the GPU") &&
        is_fine(c, cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking), "a stream") &&
        ((s = cublasCreate(&c->blas)) != CUBLAS_STATUS_SUCCESS ||
         (s = cublasSetStream(c->blas, c->stream)) != CUBLAS_STATUS_SUCCESS))
        fail(c, "cuBLAS", cublasGetStatusString(s));
    r = cuda_sync(&c->b, err);
    if (r < 0) {
        cuda_close(&c->b);
        return r;
    }
    *ret = &c->b;
    return 0;
}
