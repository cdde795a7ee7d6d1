/* One face for the kinds of checkpoints. */
#include "model/source.h"

#include "base/mem.h"
#include "model/safetensors.h"

#include <string.h>

struct source {
    char *dir;
    struct safetensors *st;
};

int source_open(const char *path, struct source **ret, struct err *err)
{
    struct source *s = mem_zalloc(sizeof(*s));
    int r = safetensors_open(path, &s->st, err);

    s->dir = mem_strdup(path);
    if (r < 0) {
        source_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

void source_close(struct source *s)
{
    if (!s)
        return;
    safetensors_close(s->st);
    free(s->dir);
    free(s);
}

int source_config(const struct source *s, struct vlm_config *ret, struct err *err)
{
    return config_read(s->dir, ret, err);
}

int source_tokenizer(const struct source *s, struct bpe **ret, struct err *err)
{
    return bpe_open(s->dir, ret, err);
}

bool source_find(const struct source *s, const char *name, struct source_tensor *ret)
{
    const struct tensor *t = safetensors_find(s->st, name);

    if (!t)
        return false;
    *ret = (struct source_tensor){.rank = t->rank, .n_parts = 1, .parts = {*t}};
    memcpy(ret->shape, t->shape, sizeof(ret->shape));
    return true;
}

void source_to_f32(const struct source_tensor *t, float *ret)
{
    for (int i = 0; i < t->n_parts; i++) {
        const struct tensor *p = &t->parts[i];
        size_t n = 1;
        for (int k = 0; k < p->rank; k++)
            n *= (size_t)p->shape[k];
        tensor_to_f32(p->dtype, p->data, 0, n, ret);
        ret += n;
    }
}
