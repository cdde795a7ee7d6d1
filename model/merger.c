/* The merger: four patches that touch become one visual token of the language model.
 *
 *     rms_norm each patch -> four side by side -> linear -> gelu -> linear */
#include "model/vit.h"

#include "base/mem.h"
#include "model/lora.h"

#define ROWS 256
#define EPS 1e-6f /* fixed by the architecture, whatever the configuration says */

int merger_load(struct merger *m, const struct vlm_config *c, struct load *l, struct err *err)
{
    int d = c->vit.d_model, wide = d * c->vit.merge_size * c->vit.merge_size;
    struct load_part fc = {"visual.merger.mlp.0", wide};
    struct load_part out = {"visual.merger.mlp.2", c->d_model};
    int r = load_vector(l, 0, "visual.merger.ln_q.weight", d, &m->norm, err);

    if (r == 0)
        r = load_linear(l, 0, &fc, 1, wide, true, &m->fc, err);
    if (r == 0)
        r = load_linear(l, 0, &out, 1, wide, true, &m->out, err);
    return r;
}

void merger_done(struct merger *m, struct backend *b)
{
    b->buffer_done(b, m->norm);
    b->weight_done(b, &m->fc);
    b->weight_done(b, &m->out);
}

void merger_run(const struct merger *m, struct backend *b, const float *x, int n_groups, int d,
                float *out)
{
    int wide = m->fc.n_in, n_patches = wide / d;
    float *h = b->buffer(b, sizeof(float) * ROWS * (size_t)wide, false);
    float *g = b->buffer(b, sizeof(float) * ROWS * (size_t)wide, false);

    for (int i = 0; i < n_groups; i += ROWS) {
        int n = MIN(ROWS, n_groups - i);
        b->rms_norm(b, x + (size_t)i * (size_t)wide, m->norm, n * n_patches, d, EPS, h);
        lora_run(b, &m->fc, h, (size_t)wide, n, g, (size_t)wide, false);
        b->gelu(b, g, n, wide);
        lora_run(b, &m->out, g, (size_t)wide, n, out + (size_t)i * (size_t)m->out.n_out,
                  (size_t)m->out.n_out, false);
    }
    b->buffer_done(b, h);
    b->buffer_done(b, g);
}
