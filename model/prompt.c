/* From a request to what the model reads: token ids, M-RoPE positions, and a key for every position
 * by which the KV cache knows it again. */
#include "model/engine.h"

#include "base/mem.h"
#include "model/kv.h"
#include "model/mrope.h"

#include <errno.h>

void prompt_done(struct prompt *p)
{
    free(p->ids);
    free(p->pos);
    free(p->keys);
    free(p->images);
    free(p->counted);
}

int prompt_check_patches(const struct vlm *m, const struct patches *p, bool is_video,
                         struct err *err)
{
    const struct image_spec *s = &m->config.image;

    if (!m->config.vit.depth)
        return err_set(err, -ENOTSUP,
                       "This model reads no pictures: its files hold no vision tower "
                       "(for GGUF, an mmproj file beside the model).");
    if (!p || !p->rows)
        return err_set(err, -EINVAL, "A picture part has no picture.");
    if (p->patch_size != s->patch_size || p->merge_size != s->merge_size)
        return err_set(err, -EINVAL,
                       "The picture is cut into patches of %d merged by %d; the model wants %d and "
                       "%d.",
                       p->patch_size, p->merge_size, s->patch_size, s->merge_size);
    if (p->grid_t < 1 || p->grid_h < 1 || p->grid_w < 1 || p->grid_h % s->merge_size ||
        p->grid_w % s->merge_size ||
        (int64_t)p->grid_t * p->grid_h * p->grid_w >
            (int64_t)m->lm.n_ctx * s->merge_size * s->merge_size)
        return err_set(err, -EINVAL,
                       "The picture's grid is %d x %d x %d patches; sides must be multiples of %d "
                       "and its tokens fit a context of %d.",
                       p->grid_t, p->grid_h, p->grid_w, s->merge_size, m->lm.n_ctx);
    if (p->n_temporal != 1 && p->n_temporal != s->temporal_patch_size)
        return err_set(err, -EINVAL, "The picture has %d slices in time; expected 1 or %d.",
                       p->n_temporal, s->temporal_patch_size);
    if (!is_video && p->grid_t != 1)
        return err_set(err, -EINVAL, "A picture has %d frames; more than one make a video.",
                       p->grid_t);
    if (is_video && p->n_temporal != s->temporal_patch_size)
        return err_set(err, -EINVAL, "A video has %d slices in time; expected %d.", p->n_temporal,
                       s->temporal_patch_size);
    if (is_video &&
        !(p->second_per_grid >= 0 &&
          (double)p->second_per_grid * p->grid_t * m->config.vit.tokens_per_second < 1e6))
        return err_set(
            err, -EINVAL,
            "A video has %d pairs of frames at %g seconds; the positions would leave the "
            "range of the model.",
            p->grid_t, (double)p->second_per_grid);
    return 0;
}

int prompt_build(const struct vlm *m, const struct vlm_request *r, struct prompt *ret,
                 struct err *err)
{
    struct prompt p = {0};
    int e;

    for (int i = 0; i < r->n_messages; i++)
        for (int j = 0; j < r->messages[i].n_parts; j++)
            if (r->messages[i].parts[j].kind != VLM_TEXT &&
                (e = prompt_check_patches(m, r->messages[i].parts[j].image,
                                          r->messages[i].parts[j].kind == VLM_VIDEO, err)) < 0)
                return e;
    if ((e = chat_build(m->bpe, &m->config, r, &p.ids, &p.n, &p.images, &p.n_images, err)) < 0)
        return e;
    if (p.n < 1 || p.n >= m->lm.n_ctx) {
        e = err_set(err, -E2BIG, "The prompt has %d tokens; the context holds %d.", p.n,
                    m->lm.n_ctx);
        prompt_done(&p);
        return e;
    }
    p.pos = mem_alloc(sizeof(int32_t) * 3 * (size_t)p.n);
    p.keys = mem_alloc(sizeof(uint64_t) * (size_t)p.n);
    for (int i = 0; i < p.n; i++)
        p.keys[i] = kv_key_text(p.ids[i]);
    AUTO_FREE struct mrope_image *grids = mem_zalloc(sizeof(*grids) * (size_t)MAX(1, p.n_images));
    for (int i = 0; i < p.n_images; i++) {
        const struct patches *q = p.images[i].patches;
        grids[i] = (struct mrope_image){p.images[i].begin,         q->grid_t,
                                        q->grid_h / q->merge_size, q->grid_w / q->merge_size,
                                        (int)q->second_per_grid,   p.images[i].is_video};
        for (int j = 0; j < patches_n_tokens(q); j++)
            p.keys[p.images[i].begin + j] =
                kv_key_visual(q->hash, q->grid_t, q->grid_h, q->grid_w,
                              p.images[i].is_video ? (int)q->second_per_grid : -1, j);
    }
    for (int i = 0; i < p.n; i++)
        p.keys[i] ^= m->salt;
    p.delta = mrope_positions(p.n, grids, p.n_images, m->config.vit.tokens_per_second, p.pos);
    p.counted = mem_zalloc(sizeof(bool) * (size_t)MAX(1, p.n_images));
    *ret = p;
    return 0;
}
