/* Resized picture -> rows of normalised patches, the encoder's input.
 *
 * A value depends on the byte and the channel alone, so the reference's arithmetic (rescale in
 * double, round to float, subtract, divide in float) is done 768 times into a table and looked up
 * per pixel: equal to the last bit and quick. A patch's rows are contiguous in the output, the
 * patches follow in merge order: blocks of merge x merge in raster order, raster inside a block. */
#include "vision/patch.h"
#include "vision/resize.h"
#include "vision/share.h"
#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define MAX_PATCH 1024
#define MAX_MERGE 64

static int check_spec(const struct image_spec *s, struct err *err)
{
    if (s->patch_size < 1 || s->patch_size > MAX_PATCH || s->merge_size < 1 ||
        s->merge_size > MAX_MERGE)
        return err_set(err, -EINVAL,
                       "patch_size %d and merge_size %d are not usable, expected 1..%d and 1..%d",
                       s->patch_size, s->merge_size, MAX_PATCH, MAX_MERGE);
    if (!isfinite(s->rescale))
        return err_set(err, -EINVAL, "rescale_factor %g is not a usable number", s->rescale);
    for (int c = 0; c < 3; c++)
        if (!isfinite(s->mean[c]) || !isfinite(s->std[c]) || s->std[c] == 0.0f)
            return err_set(err, -EINVAL,
                           "image_mean %g and image_std %g of channel %d are not usable",
                           s->mean[c], s->std[c], c);
    return 0;
}

static void make_table(const struct image_spec *s, float table[3][256])
{
    /* The reference multiplies by the double 1/255 that preprocessor_config.json spells out; its
     * float neighbour stands in image_spec and would differ in the last bit of some values. */
    double scale = s->rescale == (float)(1.0 / 255.0) ? 1.0 / 255.0 : (double)s->rescale;
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++) {
            float f = (float)(v * scale);
            table[c][v] = (f - s->mean[c]) / s->std[c];
        }
}

static uint64_t rotl(uint64_t v, int n)
{
    return v << n | v >> (64 - n);
}

/* A fast non-cryptographic hash: four lanes of multiply-rotate over 8-byte words, folded with the
 * size. Equal pictures of one size are what it tells apart from others; no enemy is assumed, a
 * picture is only ever compared with the same user's own screen. */
static uint64_t hash_picture(const uint8_t *p, size_t n, int w, int h)
{
    const uint64_t k1 = 0x9e3779b97f4a7c15u, k2 = 0xd6e8feb86659fd93u;
    uint64_t lane[4] = {k1, k2, k1 ^ (uint64_t)w, k2 ^ (uint64_t)h};
    size_t i = 0;

    for (; i + 32 <= n; i += 32)
        for (int l = 0; l < 4; l++) {
            uint64_t word;
            memcpy(&word, p + i + (size_t)l * 8, 8);
            lane[l] = rotl(lane[l] ^ (word * k1), 29) * k2;
        }
    uint64_t sum = (uint64_t)w << 32 ^ (uint64_t)h ^ n;
    for (; i < n; i++)
        sum = rotl(sum ^ (p[i] * k1), 11) * k2;
    for (int l = 0; l < 4; l++)
        sum = rotl(sum ^ lane[l], 31) * k1;
    sum ^= sum >> 32;
    sum *= k2;
    return sum ^ sum >> 29;
}

static void cut_one(const uint8_t *src, size_t stride, int side, float table[3][256], float *dst)
{
    size_t plane = (size_t)side * (size_t)side;
    float *r = dst, *g = dst + plane, *b = dst + 2 * plane;

    for (int y = 0; y < side; y++) {
        const uint8_t *s = src + (size_t)y * stride;
        for (int x = 0; x < side; x++, s += 3) {
            *r++ = table[0][s[0]];
            *g++ = table[1][s[1]];
            *b++ = table[2][s[2]];
        }
    }
}

struct cut {
    const struct frame *resized;
    float table[3][256];
    struct patches *p;
};

/* Rows of blocks. */
static void cut_rows(void *user, int begin, int end)
{
    struct cut *c = user;
    const struct patches *p = c->p;
    int merge = p->merge_size, side = p->patch_size;
    size_t stride = (size_t)c->resized->w * 3, n_cols = (size_t)patches_n_cols(p);
    float *dst = p->rows + (size_t)begin * (size_t)merge * (size_t)p->grid_w * n_cols;

    for (int by = begin * merge; by < end * merge; by += merge)
        for (int bx = 0; bx < p->grid_w; bx += merge)
            for (int y = by; y < by + merge; y++)
                for (int x = bx; x < bx + merge; x++) {
                    cut_one(c->resized->rgb + (size_t)y * (size_t)side * stride +
                                (size_t)x * (size_t)side * 3,
                            stride, side, c->table, dst);
                    dst += n_cols;
                }
}

int patch_cut(const struct frame *resized, const struct image_spec *spec, struct patches *ret,
              struct err *err)
{
    int rc = check_spec(spec, err);
    if (rc < 0)
        return rc;
    int side = spec->patch_size, merge = spec->merge_size, block = side * merge;
    if (!resized->rgb || resized->w < 1 || resized->h < 1 || resized->w % block ||
        resized->h % block)
        return err_set(err, -EINVAL,
                       "the picture is %d x %d pixels, both sides must be multiples of %d",
                       resized->w, resized->h, block);

    size_t n_pixels = (size_t)resized->w * (size_t)resized->h, n_bytes;
    if (mem_mul(&n_bytes, n_pixels, 3 * sizeof(float)))
        return err_set(err, -EOVERFLOW, "a picture of %d x %d pixels is too large to cut",
                       resized->w, resized->h);
    struct patches p = {.grid_t = 1,
                        .grid_h = resized->h / side,
                        .grid_w = resized->w / side,
                        .n_temporal = 1,
                        .patch_size = side,
                        .merge_size = merge};
    p.rows = mem_aligned(n_bytes);
    p.hash = hash_picture(resized->rgb, n_pixels * 3, resized->w, resized->h);

    struct cut c = {.resized = resized, .p = &p};
    make_table(spec, c.table);
    share_rows(p.grid_h / merge, 1, (long long)n_bytes, cut_rows, &c);
    *ret = p;
    return 0;
}

int patch_from_frame(const struct frame *f, const struct image_spec *spec, struct patches *ret,
                     int *ret_w, int *ret_h, struct err *err)
{
    AUTO(frame_done) struct frame small = {0};
    int w, h;
    int rc = resize_size(f->w, f->h, spec, &w, &h, err);
    if (rc < 0)
        return rc;
    if ((rc = resize_bicubic(f, w, h, &small, err)) < 0)
        return rc;
    if ((rc = patch_cut(&small, spec, ret, err)) < 0)
        return rc;
    if (ret_w)
        *ret_w = w;
    if (ret_h)
        *ret_h = h;
    return 0;
}
