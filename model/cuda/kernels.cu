/* The kernels. Plain ones: a block does a row, a panel or a query, and what has to be added up over
 * threads goes through shared memory. The large products are cuBLAS's (cuda.c). */
#include "model/cuda/kernels.h"

#include "model/cuda/launch.cuh"
#include "model/quant.h"

#define THREADS 256
#define FEW_LANES 32 /* threads that share an output of cuda_few */
#define FEW_OUTPUTS 4
#define PANEL_PARTS 8 /* of a panel's inputs, side by side */
#define TILE 128      /* keys at a time */

static __device__ float from_bf16(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v;
    v.u = (uint32_t)h << 16;
    return v.f;
}

/* To nearest, ties to even. */
static __device__ uint16_t bf16_of(float f)
{
    union {
        float f;
        uint32_t u;
    } v;
    v.f = f;
    if ((v.u & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(v.u >> 16 | 64);
    return (uint16_t)((v.u + 0x7fff + (v.u >> 16 & 1)) >> 16);
}

static __device__ float as_bf16(float f, bool round)
{
    return round ? from_bf16(bf16_of(f)) : f;
}

/* Element i of an array of bf16 or of floats. */
static __device__ float element(const void *p, bool is_bf16, size_t i)
{
    return is_bf16 ? from_bf16(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

static __device__ void put_element(void *p, bool is_bf16, size_t i, float f)
{
    if (is_bf16)
        ((uint16_t *)p)[i] = bf16_of(f);
    else
        ((float *)p)[i] = f;
}

static int blocks_for(size_t n)
{
    return (int)((n + THREADS - 1) / THREADS);
}

static __device__ size_t own_index(void)
{
    return (size_t)blockIdx.x * blockDim.x + threadIdx.x;
}

/* ---- products with few rows: they wait for the weights, which are read once ---- */

static __device__ void put_result(float sum, const float *bias, int o, float *out, bool add)
{
    if (bias)
        sum += bias[o];
    out[o] = add ? out[o] + sum : sum;
}

static __global__ void few_rows(struct cuda_matrix w, const float *x, size_t ld_x, int n,
                                bool round, float *out, size_t ld_out, bool add)
{
    __shared__ float part[CUDA_FEW][FEW_OUTPUTS][FEW_LANES];
    int lane = threadIdx.x % FEW_LANES, own = threadIdx.x / FEW_LANES;
    int o = blockIdx.x * FEW_OUTPUTS + own;
    bool is_bf16 = w.layout == CUDA_BF16;
    float sum[CUDA_FEW] = {0};

    for (int j = lane; j < w.n_in && o < w.n_out; j += FEW_LANES) {
        float a = element(w.data, is_bf16, (size_t)o * w.ld + j);
        for (int i = 0; i < n; i++)
            sum[i] += a * as_bf16(x[(size_t)i * ld_x + j], round);
    }
    for (int i = 0; i < n; i++)
        part[i][own][lane] = sum[i];
    __syncthreads();
    if (lane < n && o < w.n_out) {
        float all = 0;
        for (int k = 0; k < FEW_LANES; k++)
            all += part[lane][own][k];
        put_result(all, w.bias, o, out + (size_t)lane * ld_out, add);
    }
}

static __device__ float int8_scale(const uint8_t *panel, int block, int o)
{
    return ((const float *)(panel + (size_t)block * QUANT_INT8_BLOCK_BYTES))[o];
}

static __device__ int int8_value(const uint8_t *panel, int block, int o, int in_block)
{
    const uint8_t *v = panel + (size_t)block * QUANT_INT8_BLOCK_BYTES + 4 * QUANT_PANEL;
    return v[(in_block / 4 * QUANT_PANEL + o) * 4 + in_block % 4] - 128;
}

static __device__ float int4_scale(const uint8_t *panel, int group, int o)
{
    return from_bf16(((const uint16_t *)(panel + (size_t)group * QUANT_INT4_GROUP_BYTES))[o]);
}

static __device__ int int4_value(const uint8_t *panel, int group, int o, int in_group)
{
    const uint8_t *v = panel + (size_t)group * QUANT_INT4_GROUP_BYTES + 2 * QUANT_PANEL;
    int low = in_group % 16;
    uint8_t both = v[(low / 4 * QUANT_PANEL + o) * 4 + low % 4];
    return (in_group < 16 ? both & 15 : both >> 4) - 8;
}

/* Of a block of int8 or a group of int4: four bytes each of the panel's outputs in turn. */
static __device__ const uint32_t *packed_words(const uint8_t *panel, bool is_int8, int piece)
{
    return (const uint32_t *)(is_int8
                                  ? panel + (size_t)piece * QUANT_INT8_BLOCK_BYTES + 4 * QUANT_PANEL
                                  : panel + (size_t)piece * QUANT_INT4_GROUP_BYTES +
                                        2 * QUANT_PANEL);
}

static __device__ void add_product(float *sum, int a, const float *x, size_t ld_x, int n, int j,
                                   int n_in, bool round)
{
    for (int i = 0; i < n && j < n_in; i++)
        sum[i] += (float)a * as_bf16(x[(size_t)i * ld_x + j], round);
}

/* A block has one panel: thread o + 32 k the k-th part of output o's scaled pieces. */
static __global__ void few_rows_packed(struct cuda_matrix w, const float *x, size_t ld_x, int n,
                                       bool round, float *out, size_t ld_out, bool add)
{
    __shared__ float part[CUDA_FEW][PANEL_PARTS][QUANT_PANEL];
    int lane = threadIdx.x % QUANT_PANEL, own = threadIdx.x / QUANT_PANEL;
    int o = blockIdx.x * QUANT_PANEL + lane;
    bool is_int8 = w.layout == CUDA_INT8;
    int piece = is_int8 ? QUANT_BLOCK : QUANT_GROUP;
    const uint8_t *panel = (const uint8_t *)w.data + (size_t)blockIdx.x * w.panel_bytes;
    float sum[CUDA_FEW] = {0};

    for (int p = own; p * piece < w.n_in; p += PANEL_PARTS) {
        float scale = is_int8 ? int8_scale(panel, p, lane) : int4_scale(panel, p, lane);
        float in_piece[CUDA_FEW] = {0};
        int at = p * piece, words = is_int8 ? (min(piece, w.n_in - at) + 3) / 4 : QUANT_GROUP / 8;
        const uint32_t *values = packed_words(panel, is_int8, p) + lane;
        for (int k = 0; k < words; k++) {
            uint32_t v = values[(size_t)k * QUANT_PANEL];
            for (int t = 0; t < 4; t++) {
                int j = at + 4 * k + t, byte = v >> 8 * t & 255;
                if (is_int8) {
                    add_product(in_piece, byte - 128, x, ld_x, n, j, w.n_in, round);
                } else {
                    add_product(in_piece, (byte & 15) - 8, x, ld_x, n, j, w.n_in, round);
                    add_product(in_piece, (byte >> 4) - 8, x, ld_x, n, j + 16, w.n_in, round);
                }
            }
        }
        for (int i = 0; i < n; i++)
            sum[i] += scale * in_piece[i];
    }
    for (int i = 0; i < n; i++)
        part[i][own][lane] = sum[i];
    __syncthreads();
    if (own < n && o < w.n_out) {
        float all = 0;
        for (int k = 0; k < PANEL_PARTS; k++)
            all += part[own][k][lane];
        put_result(all, w.bias, o, out + (size_t)own * ld_out, add);
    }
}

void cuda_few(cudaStream_t s, const struct cuda_matrix *w, const float *x, size_t ld_x, int n,
              bool round, float *out, size_t ld_out, bool add)
{
    struct cuda_matrix m = *w;

    if (m.layout == CUDA_INT8 || m.layout == CUDA_INT4)
        LAUNCH(few_rows_packed, (m.n_out + QUANT_PANEL - 1) / QUANT_PANEL, 1,
               QUANT_PANEL * PANEL_PARTS, s, m, x, ld_x, n, round, out, ld_out, add);
    else
        LAUNCH(few_rows, (m.n_out + FEW_OUTPUTS - 1) / FEW_OUTPUTS, 1, FEW_LANES * FEW_OUTPUTS, s,
               m, x, ld_x, n, round, out, ld_out, add);
}

/* ---- what surrounds the large products ---- */

static __global__ void unpack(struct cuda_matrix w, bool to_bf16, void *ret, size_t ld)
{
    size_t i = own_index();
    int o = (int)(i / ld), j = (int)(i % ld);

    if (o >= w.n_out)
        return;
    const uint8_t *panel = (const uint8_t *)w.data + (size_t)(o / QUANT_PANEL) * w.panel_bytes;
    int in_panel = o % QUANT_PANEL;
    float f = 0;
    if (j < w.n_in && w.layout == CUDA_INT8)
        f = int8_scale(panel, j / QUANT_BLOCK, in_panel) *
            (float)int8_value(panel, j / QUANT_BLOCK, in_panel, j % QUANT_BLOCK);
    else if (j < w.n_in)
        f = int4_scale(panel, j / QUANT_GROUP, in_panel) *
            (float)int4_value(panel, j / QUANT_GROUP, in_panel, j % QUANT_GROUP);
    put_element(ret, to_bf16, i, f);
}

void cuda_unpack(cudaStream_t s, const struct cuda_matrix *w, bool to_bf16, void *ret, size_t ld)
{
    struct cuda_matrix m = *w;
    LAUNCH(unpack, blocks_for((size_t)m.n_out * ld), 1, THREADS, s, m, to_bf16, ret, ld);
}

static __global__ void to_bf16_rows(const float *x, size_t ld_x, int n, int d, uint16_t *ret,
                                    size_t ld)
{
    size_t i = own_index(), row = i / ld, j = i % ld;

    if (row < (size_t)n)
        ret[i] = j < (size_t)d ? bf16_of(x[row * ld_x + j]) : 0;
}

void cuda_to_bf16(cudaStream_t s, const float *x, size_t ld_x, int n, int d, uint16_t *ret,
                  size_t ld)
{
    LAUNCH(to_bf16_rows, blocks_for((size_t)n * ld), 1, THREADS, s, x, ld_x, n, d, ret, ld);
}

static __global__ void add_bias(const float *bias, int n, int n_out, float *out, size_t ld_out)
{
    size_t i = own_index(), row = i / n_out, o = i % n_out;

    if (row < (size_t)n)
        out[row * ld_out + o] += bias[o];
}

void cuda_add_bias(cudaStream_t s, const float *bias, int n, int n_out, float *out, size_t ld_out)
{
    LAUNCH(add_bias, blocks_for((size_t)n * n_out), 1, THREADS, s, bias, n, n_out, out, ld_out);
}

/* ---- rows ---- */

static __global__ void rms_norm(const float *x, const float *w, int d, float eps, float *out)
{
    __shared__ float part[THREADS];
    const float *row = x + (size_t)blockIdx.x * d;
    float *to = out + (size_t)blockIdx.x * d, sum = 0;

    for (int j = threadIdx.x; j < d; j += THREADS)
        sum += row[j] * row[j];
    part[threadIdx.x] = sum;
    __syncthreads();
    for (int half = THREADS / 2; half; half /= 2) {
        if ((int)threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    float scale = 1 / sqrtf(part[0] / (float)d + eps);
    for (int j = threadIdx.x; j < d; j += THREADS)
        to[j] = row[j] * scale * w[j];
}

void cuda_rms_norm(cudaStream_t s, const float *x, const float *w, int n, int d, float eps,
                   float *out)
{
    LAUNCH(rms_norm, n, 1, THREADS, s, x, w, d, eps, out);
}

static __global__ void silu_mul(const float *x, int n, int d, float *out)
{
    size_t i = own_index(), row = i / d, j = i % d;

    if (row >= (size_t)n)
        return;
    float a = x[row * 2 * d + j], b = x[row * 2 * d + d + j];
    out[i] = a / (1 + expf(-a)) * b;
}

void cuda_silu_mul(cudaStream_t s, const float *x, int n, int d, float *out)
{
    LAUNCH(silu_mul, blocks_for((size_t)n * d), 1, THREADS, s, x, n, d, out);
}

static __global__ void gelu(float *x, size_t n)
{
    size_t i = own_index();

    if (i < n)
        x[i] = x[i] * 0.5f * (1 + erff(x[i] * 0.70710678f));
}

void cuda_gelu(cudaStream_t s, float *x, size_t n)
{
    LAUNCH(gelu, blocks_for(n), 1, THREADS, s, x, n);
}

static __global__ void rope(float *x, size_t ld, int n, int n_head, int half, const float *cosine,
                            const float *sine)
{
    size_t i = own_index(), j = i % half, head = i / half % n_head, row = i / half / n_head;

    if (row >= (size_t)n)
        return;
    float *at = x + row * ld + head * 2 * half + j;
    float a = at[0], b = at[half], c = cosine[row * half + j], s = sine[row * half + j];
    at[0] = a * c - b * s;
    at[half] = b * c + a * s;
}

void cuda_rope(cudaStream_t s, float *x, size_t ld, int n, int n_head, int d_head,
               const float *cosine, const float *sine)
{
    LAUNCH(rope, blocks_for((size_t)n * n_head * (d_head / 2)), 1, THREADS, s, x, ld, n, n_head,
           d_head / 2, cosine, sine);
}

/* ---- attention ---- */

static __global__ void kv_put(struct cuda_kv kv, const float *k, const float *v, size_t ld, int n,
                              int pos)
{
    size_t i = own_index(), d = kv.d_head, j = i % d, head = i / d % kv.n_head,
           row = i / d / kv.n_head;

    if (row >= (size_t)n)
        return;
    size_t from = row * ld + head * d + j, at = pos + row;
    put_element(kv.k, kv.is_bf16, (head * d + j) * kv.n_cap + at, k[from]);
    put_element(kv.v, kv.is_bf16, (head * kv.n_cap + at) * d + j, v[from]);
}

void cuda_kv_put(cudaStream_t s, const struct cuda_kv *kv, const float *k, const float *v,
                 size_t ld, int n, int pos)
{
    struct cuda_kv c = *kv;
    LAUNCH(kv_put, blocks_for((size_t)n * c.n_head * c.d_head), 1, THREADS, s, c, k, v, ld, n, pos);
}

/* A block is one head's query. Each thread has one key of a tile, then one or two values of the
 * result; the softmax goes along (Milakov & Gimelshein 2018). Keys lie so that the threads' reads
 * are side by side. */
static __global__ void attend(struct cuda_attend a)
{
    __shared__ float q[CUDA_MAX_HEAD];
    __shared__ float p[TILE];
    int t = threadIdx.x, d = a.kv.d_head, head = blockIdx.y, of = head / (a.n_head / a.kv.n_head);
    int begin = a.range ? a.range[2 * blockIdx.x] : 0;
    int end = a.range ? a.range[2 * blockIdx.x + 1] : a.base + (int)blockIdx.x + 1;
    size_t keys = (size_t)of * d * a.kv.n_cap;
    float most = -INFINITY, sum = 0, result[CUDA_MAX_HEAD / TILE] = {0};

    if (begin >= end) /* all threads of the block alike */
        return;
    for (int j = t; j < d; j += TILE)
        q[j] = a.q[(size_t)blockIdx.x * a.ld_q + (size_t)head * d + j] * a.scale;
    for (int first = begin; first < end; first += TILE) {
        int n = end - first < TILE ? end - first : TILE;
        float score = -INFINITY, top = most;
        __syncthreads(); /* q is there; the last tile's p have been read */
        if (t < n) {
            score = 0;
            for (int j = 0; j < d; j++)
                score +=
                    q[j] * element(a.kv.k, a.kv.is_bf16, keys + (size_t)j * a.kv.n_cap + first + t);
        }
        p[t] = score;
        __syncthreads();
        for (int i = 0; i < n; i++)
            top = fmaxf(top, p[i]);
        __syncthreads();
        p[t] = t < n ? expf(score - top) : 0;
        __syncthreads();
        float keep = first == begin ? 0 : expf(most - top);
        most = top;
        sum *= keep;
        for (int i = 0; i < n; i++)
            sum += p[i];
        for (int k = 0, j = t; j < d; k++, j += TILE) {
            float r = result[k] * keep;
            for (int i = 0; i < n; i++)
                r += p[i] * element(a.kv.v, a.kv.is_bf16, keys + (size_t)(first + i) * d + j);
            result[k] = r;
        }
    }
    for (int k = 0, j = t; j < d; k++, j += TILE)
        a.out[(size_t)blockIdx.x * a.ld_out + (size_t)head * d + j] = result[k] / sum;
}

void cuda_attend(cudaStream_t s, const struct cuda_attend *a)
{
    struct cuda_attend c = *a;
    LAUNCH(attend, c.n, c.n_head, TILE, s, c);
}

/* ---- measuring ---- */

static __global__ void read_all(const float *x, size_t n, float *ret)
{
    float sum = 0;

    for (size_t i = own_index(); i < n; i += (size_t)gridDim.x * blockDim.x)
        sum += x[i];
    if (sum == 1.5f) /* never: so that the compiler keeps the reads */
        *ret = sum;
}

void cuda_read_all(cudaStream_t s, const float *x, size_t n, float *ret)
{
    LAUNCH(read_all, 4096, 1, THREADS, s, x, n, ret);
}
