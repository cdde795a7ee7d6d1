/* The operations of model/backend.h in double precision, as plainly as they can be written. */
#ifndef DESKHAND_TESTS_OPS_REF_H
#define DESKHAND_TESTS_OPS_REF_H

#include <stdbool.h>
#include <stddef.h>

/* out [n, n_out] = (add ? out : 0) + x [n, n_in] w [n_out, n_in]^T + bias */
void ref_linear(const float *x, size_t ld_x, int n, const float *w, int n_out, int n_in,
                const float *bias, bool add, double *out);
void ref_rms_norm(const float *x, const float *w, int n, int d, double eps, double *out);
void ref_silu_mul(const float *x, int n, int d, double *out);
void ref_gelu(const float *x, int n, double *out);
/* One head row of d values and d/2 angles. */
void ref_rope(const float *x, int d, const float *cosine, const float *sine, double *out);
/* One query against keys begin..end-1, rows of d, [.., ld]; out [d]. */
void ref_attend(const float *q, const float *k, const float *v, size_t ld, int begin, int end,
                int d, double scale, double *out);

#endif
