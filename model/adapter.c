/* The engine's adapters: opened with the model, found by name for a request, put on when it asks
 * for another one than the last. What the caches hold is marked with the adapter that made it. */
#include "model/engine.h"

#include "base/mem.h"
#include "base/str.h"
#include "model/kv.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define ADAPTERS_MAX 64

static int name_of(const struct vlm_adapter *o, char *ret, size_t n, struct err *err)
{
    const char *s = o->name ? o->name : o->dir;
    size_t end = strlen(s), from;

    while (!o->name && end > 1 && s[end - 1] == '/')
        end--;
    from = o->name ? 0 : end;
    while (from > 0 && s[from - 1] != '/')
        from--;
    if (end == from || end - from >= n)
        return err_set(err, -EINVAL,
                       "\"%.80s\" is no name for an adapter: expected 1 to %zu bytes.", s, n - 1);
    memcpy(ret, s + from, end - from);
    ret[end - from] = 0;
    return 0;
}

int adapter_merged(struct vlm *m, const struct vlm_options *o, struct err *err)
{
    for (int i = 0; i < o->n_adapters; i++) {
        if (!o->adapters[i].merge)
            continue;
        if (m->merged)
            return err_set(err, -EINVAL, "Two adapters are to be merged; only one can be.");
        int r = lora_file_open(o->adapters[i].dir, &m->merged, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static struct lora *find(const struct vlm *m, const char *name)
{
    for (int i = 0; i < m->n_adapters; i++)
        if (strcmp(lora_name(m->adapters[i]), name) == 0)
            return m->adapters[i];
    return NULL;
}

static int open_one(struct vlm *m, const struct vlm_adapter *o, struct err *err)
{
    struct load l = {.src = m->src, .b = m->b};
    struct lora *a;
    char name[64];
    int r = name_of(o, name, sizeof(name), err);

    if (r < 0)
        return r;
    if (find(m, name))
        return err_set(err, -EEXIST, "Two adapters are called %s; give one another name.", name);
    if ((r = lora_open(o->dir, name, m->b, &a, err)) < 0)
        return r;
    m->adapters[m->n_adapters++] = a;
    l.adapt = a;
    if ((m->config.vit.depth && (r = vit_adapt(&m->vit, &m->config, &l, err)) < 0) ||
        (r = lm_adapt(&m->lm, &m->config, &l, err)) < 0 || (r = lora_adapted(a, err)) < 0)
        err_wrap(err, "Adapter %s", o->dir);
    return r;
}

int adapter_open_all(struct vlm *m, const struct vlm_options *o, struct err *err)
{
    const char *unused = m->merged ? lora_file_unused(m->merged) : NULL;
    int r = 0;

    if (unused)
        return err_set(err, -EINVAL,
                       "The merged adapter changes %.120s; this model has no such layer.", unused);
    if (o->n_adapters < 0 || o->n_adapters > ADAPTERS_MAX)
        return err_set(err, -EINVAL, "%d adapters; at most %d can be loaded.", o->n_adapters,
                       ADAPTERS_MAX);
    m->adapters = mem_zalloc(sizeof(*m->adapters) * (size_t)(o->n_adapters + 1));
    for (int i = 0; i < o->n_adapters && r == 0; i++)
        if (!o->adapters[i].merge)
            r = open_one(m, &o->adapters[i], err);
    return r;
}

void adapter_close_all(struct vlm *m)
{
    if (m->attached)
        lora_detach(m->attached);
    for (int i = 0; i < m->n_adapters; i++)
        lora_close(m->adapters[i]);
    free(m->adapters);
}

int vlm_check_adapter(const struct vlm *m, const char *name, struct err *err)
{
    AUTO(str_done) struct str all = {0};

    if (!name || !*name || find(m, name))
        return 0;
    for (int i = 0; i < m->n_adapters; i++)
        str_printf(&all, "%s%s", i ? ", " : "", lora_name(m->adapters[i]));
    return err_set(err, -ENOENT, "No adapter is called \"%.60s\"; loaded: %.300s.", name,
                   m->n_adapters ? str_cstr(&all) : "none");
}

int adapter_use(struct vlm *m, const char *name, float scale, struct err *err)
{
    int r = vlm_check_adapter(m, name, err);

    if (r < 0)
        return r;
    struct lora *a = name && *name ? find(m, name) : NULL;
    scale = scale == 0 ? 1 : scale;
    if (!isfinite(scale))
        return err_set(err, -EINVAL, "The adapter's scale is no number.");
    if (a == m->attached && (!a || scale == m->attached_scale))
        return 0;
    if (m->attached)
        lora_detach(m->attached);
    if (a)
        lora_attach(a, scale);
    m->attached = a;
    m->attached_scale = scale;
    m->salt = a ? kv_salt(name, scale) : 0;
    return 0;
}

uint64_t adapter_vision_salt(const struct vlm *m)
{
    return m->attached && lora_is_visual(m->attached) ? m->salt : 0;
}
