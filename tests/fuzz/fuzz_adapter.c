/* model/lora_file.c and lora_config.c. The input is adapter_config.json, a line "---", and
 * adapter_model.safetensors. Whatever is handed out is read to its last byte. */
#include "tests/fuzz/fuzz.h"
#include "model/lora_file.h"

static const char *const names[] = {"model.layers.0.self_attn.q_proj", "visual.blocks.0.attn.qkv",
                                    "lm_head", "model.layers.0.mlp.down_proj"};

static void read_all(const struct tensor *t)
{
    volatile uint8_t sum = 0;
    size_t n = t->dtype == TENSOR_F32 ? 4 : 2;

    for (int i = 0; i < t->rank; i++)
        n *= (size_t)t->shape[i];
    for (size_t i = 0; i < n; i++)
        sum = (uint8_t)(sum + ((const uint8_t *)t->data)[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct lora_file *f;
    struct lora_pair pair;
    struct err err = {0};
    struct fuzz_part config = fuzz_next(&data, &n);

    fuzz_put("adapter_config.json", config.s, config.n);
    fuzz_put("adapter_model.safetensors", data, n);
    if (lora_file_open(fuzz_dir(), &f, &err) < 0) {
        CHECK(err.code < 0 && *err.text);
        return 0;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!lora_file_pair(f, names[i], &pair))
            continue;
        CHECK(pair.rank >= 1 && pair.a->rank == 2 && pair.b->rank == 2);
        CHECK(pair.a->shape[0] == pair.rank && pair.b->shape[1] == pair.rank);
        read_all(pair.a);
        read_all(pair.b);
    }
    const struct tensor *t = lora_file_saved(f, "lm_head.weight");
    if (t)
        read_all(t);
    lora_file_unused(f);
    lora_file_close(f);
    return 0;
}
