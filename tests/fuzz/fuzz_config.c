/* model/config.c. The input is config.json, preprocessor_config.json and generation_config.json
 * with lines "---" between. What is accepted must keep the promises that the engine builds on. */
#include "tests/fuzz/fuzz.h"
#include "model/config.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const names[] = {"config.json", "preprocessor_config.json",
                                        "generation_config.json"};
    struct vlm_config c;
    struct err err = {0};
    for (int i = 0; i < 3; i++) {
        struct fuzz_part p = fuzz_next(&data, &n);
        fuzz_put(names[i], p.s, p.n);
    }
    if (config_read(fuzz_dir(), &c, &err) < 0) {
        CHECK(err.code < 0 && *err.text);
        return 0;
    }
    CHECK(c.d_model > 0 && c.d_ff > 0 && c.n_layers > 0 && c.n_vocab > 0 && c.n_ctx > 0);
    CHECK(c.n_heads > 0 && c.n_kv_heads > 0 && c.n_heads % c.n_kv_heads == 0);
    CHECK(c.d_head >= 2 && c.d_head % 2 == 0);
    CHECK(c.mrope_section[0] + c.mrope_section[1] + c.mrope_section[2] == c.d_head / 2);
    CHECK(c.rms_eps > 0 && isfinite(c.rms_eps) && isfinite(c.rope_theta) && c.rope_theta >= 1);
    CHECK(c.vit.depth > 0 && c.vit.n_heads > 0 && c.vit.d_model % (4 * c.vit.n_heads) == 0);
    CHECK(c.vit.patch_size > 0 && c.vit.merge_size > 0 && c.vit.temporal_patch_size > 0);
    CHECK(c.vit.window_size >= c.vit.patch_size * c.vit.merge_size);
    for (int i = 0; i < c.vit.n_full; i++)
        CHECK(c.vit.full[i] >= 0 && c.vit.full[i] < c.vit.depth);
    CHECK(c.image.patch_size == c.vit.patch_size && c.image.merge_size == c.vit.merge_size);
    CHECK(c.image.min_pixels >= 0 && c.image.max_pixels >= c.image.min_pixels);
    for (int i = 0; i < 3; i++)
        CHECK(isfinite(c.image.mean[i]) && c.image.std[i] > 0);
    CHECK(c.n_eos >= 1);
    for (int i = 0; i < c.n_eos; i++)
        CHECK(c.eos[i] >= 0 && c.eos[i] < c.n_vocab);
    return 0;
}
