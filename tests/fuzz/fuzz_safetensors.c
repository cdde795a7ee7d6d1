/* model/safetensors.c. The input is a .safetensors file, or when it begins with "{" an index
 * beside two good shards. Every tensor that is handed out is read to its last byte. */
#include "tests/fuzz/fuzz.h"
#include "model/safetensors.h"

#include <stdio.h>

static const char *const names[] = {"model.x", "visual.y", "lm_head.weight", "x", "y", ""};

static void put_shard(const char *file, const char *tensor)
{
    char data[128] = {0};
    int n = snprintf(data + 8, sizeof data - 8,
                     "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", tensor);
    data[0] = (char)n;
    fuzz_put(file, data, (size_t)n + 12);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct safetensors *s;
    struct err err = {0};
    if (n && data[0] == '{') {
        put_shard("a.safetensors", "x");
        put_shard("b.safetensors", "y");
        fuzz_put("model.safetensors.index.json", data, n);
    } else {
        fuzz_drop("model.safetensors.index.json");
        fuzz_put("model.safetensors", data, n);
    }
    if (safetensors_open(fuzz_dir(), &s, &err) < 0) {
        CHECK(err.code < 0 && *err.text);
        return 0;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct tensor *t = safetensors_find(s, names[i]);
        if (!t || t->dtype == TENSOR_OTHER)
            continue;
        size_t size = t->dtype == TENSOR_F32 ? 4 : 2;
        volatile uint8_t sum = 0;
        for (int k = 0; k < t->rank; k++)
            size *= (size_t)t->shape[k];
        for (size_t k = 0; k < size; k++)
            sum = (uint8_t)(sum + ((const uint8_t *)t->data)[k]);
    }
    safetensors_close(s);
    return 0;
}
