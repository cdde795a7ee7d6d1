/* See ref.h. Nothing here is fast, blocked or clever, so that it can be checked by reading. */
#include "tests/ops/ref.h"

#include "base/mem.h"

#include <math.h>

void ref_linear(const float *x, size_t ld_x, int n, const float *w, int n_out, int n_in,
                const float *bias, bool add, double *out)
{
    for (int i = 0; i < n; i++) {
        for (int o = 0; o < n_out; o++) {
            double s = bias ? (double)bias[o] : 0;
            for (int j = 0; j < n_in; j++)
                s += (double)x[(size_t)i * ld_x + (size_t)j] *
                     (double)w[(size_t)o * (size_t)n_in + (size_t)j];
            double *to = &out[(size_t)i * (size_t)n_out + (size_t)o];
            *to = (add ? *to : 0) + s;
        }
    }
}

void ref_rms_norm(const float *x, const float *w, int n, int d, double eps, double *out)
{
    for (int i = 0; i < n; i++) {
        double s = 0;
        for (int j = 0; j < d; j++)
            s += (double)x[i * d + j] * (double)x[i * d + j];
        for (int j = 0; j < d; j++)
            out[i * d + j] = (double)x[i * d + j] / sqrt(s / d + eps) * (double)w[j];
    }
}

void ref_silu_mul(const float *x, int n, int d, double *out)
{
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < d; j++) {
            double g = (double)x[i * 2 * d + j], u = (double)x[i * 2 * d + d + j];
            out[i * d + j] = g / (1 + exp(-g)) * u;
        }
    }
}

void ref_gelu(const float *x, int n, double *out)
{
    for (int i = 0; i < n; i++)
        out[i] = (double)x[i] * 0.5 * (1 + erf((double)x[i] / sqrt(2)));
}

void ref_rope(const float *x, int d, const float *cosine, const float *sine, double *out)
{
    for (int j = 0; j < d / 2; j++) {
        double a = (double)x[j], b = (double)x[j + d / 2];
        double c = (double)cosine[j], s = (double)sine[j];
        out[j] = a * c - b * s;
        out[j + d / 2] = b * c + a * s;
    }
}

void ref_attend(const float *q, const float *k, const float *v, size_t ld, int begin, int end,
                int d, double scale, double *out)
{
    AUTO_FREE double *p = mem_alloc(sizeof(double) * (size_t)(end - begin));
    double top = -INFINITY, sum = 0;

    for (int i = begin; i < end; i++) {
        double s = 0;
        for (int j = 0; j < d; j++)
            s += (double)q[j] * (double)k[(size_t)i * ld + (size_t)j];
        p[i - begin] = s * scale;
        top = fmax(top, s * scale);
    }
    for (int i = 0; i < end - begin; i++)
        sum += p[i] = exp(p[i] - top);
    for (int j = 0; j < d; j++) {
        out[j] = 0;
        for (int i = begin; i < end; i++)
            out[j] += p[i - begin] / sum * (double)v[(size_t)i * ld + (size_t)j];
    }
}
