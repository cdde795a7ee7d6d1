/* Tensors of an adapter, sorted by what they do. Names begin with "base_model.model." and go on
 * with the layer's name in either generation of the checkpoint's names; "lora_A" and "lora_B" make
 * a pair, everything else replaces a tensor of the checkpoint (modules_to_save). */
#include "model/lora_file.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/lora_config.h"
#include "model/safetensors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "base_model.model."
#define MODULES_MAX 20000

struct module {
    char *name, *trained_name; /* of the first generation; as in the file */
    struct lora_pair pair;
    bool used;
};

struct saved {
    char *name;
    const struct tensor *t;
    bool used;
};

struct lora_file {
    struct safetensors *st;
    struct lora_config *config;
    struct module *modules;
    int n_modules;
    struct saved *saved;
    int n_saved;
};

void lora_file_close(struct lora_file *f)
{
    if (!f)
        return;
    for (int i = 0; i < f->n_modules; i++) {
        free(f->modules[i].name);
        free(f->modules[i].trained_name);
    }
    for (int i = 0; i < f->n_saved; i++)
        free(f->saved[i].name);
    free(f->modules);
    free(f->saved);
    lora_config_free(f->config);
    safetensors_close(f->st);
    free(f);
}

/* In the first generation's names. */
static char *plain_name(const char *s, size_t n)
{
    static const struct {
        const char *from, *to;
    } rows[] = {{"model.language_model.", "model."}, {"model.visual.", "visual."}};
    struct str out = {0};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        size_t k = strlen(rows[i].from);
        if (n > k && memcmp(s, rows[i].from, k) == 0) {
            str_puts(&out, rows[i].to);
            s += k;
            n -= k;
            break;
        }
    }
    str_add(&out, s, n);
    return str_take(&out);
}

/* The other generation's spelling: an adapter may have been renamed without its expressions. */
static bool is_target(const struct lora_file *f, const struct module *m)
{
    AUTO(str_done) struct str other = {0};

    if (lora_config_targets(f->config, m->trained_name) || lora_config_targets(f->config, m->name))
        return true;
    if (str_starts(m->name, "model."))
        str_printf(&other, "model.language_model.%s", m->name + strlen("model."));
    else
        str_printf(&other, "model.%s", m->name);
    return lora_config_targets(f->config, str_cstr(&other));
}

static int add_pair(struct lora_file *f, const char *name, size_t n, const struct tensor *t,
                    bool is_b, struct err *err)
{
    AUTO_FREE char *plain = plain_name(name, n);
    struct module *m = NULL;

    for (int i = 0; i < f->n_modules && !m; i++)
        if (strcmp(f->modules[i].name, plain) == 0)
            m = &f->modules[i];
    if (!m && f->n_modules >= MODULES_MAX)
        return err_set(err, -E2BIG, "It has more than %d layers.", MODULES_MAX);
    if (!m) {
        f->modules = mem_realloc(f->modules, sizeof(*m) * (size_t)(f->n_modules + 1));
        m = &f->modules[f->n_modules++];
        *m = (struct module){mem_strdup(plain), mem_strndup(name, n), {0}, false};
    }
    if (t->rank != 2 || t->dtype > TENSOR_F16)
        return err_set(
            err, -ENOTSUP,
            "%.120s has a lora_%c of rank %d stored as %s; only linear layers in F32, BF16 "
            "or F16 are supported.",
            m->trained_name, is_b ? 'B' : 'A', t->rank, tensor_dtype_name(t->dtype));
    const struct tensor **slot = is_b ? &m->pair.b : &m->pair.a;
    if (*slot)
        return err_set(err, -EINVAL, "%.120s has two lora_%c.", m->trained_name, is_b ? 'B' : 'A');
    *slot = t;
    return 0;
}

static int add_tensor(struct lora_file *f, const char *full, const struct tensor *t,
                      struct err *err)
{
    static const struct {
        const char *part, *what;
    } foreign[] = {
        {"lora_magnitude_vector", "DoRA"},
        {"lora_embedding_", "LoRA of an embedding"},
        {".lora_A.bias", "a bias in LoRA"},
        {".lora_B.bias", "a bias in LoRA"},
        {".hada_", "LoHa"},
        {".lokr_", "LoKr"},
        {".ia3_l", "IA3"},
        {".oft_", "OFT"},
        {".vera_", "VeRA"},
        {".lora_", "another kind of LoRA"},
    };
    const char *name = full + strlen(PREFIX);
    size_t n = strlen(full);

    if (!str_starts(full, PREFIX) || n <= strlen(PREFIX))
        return err_set(err, -EINVAL, "Tensor %.120s does not begin with " PREFIX ".", full);
    n -= strlen(PREFIX);
    size_t k = strlen(".lora_A.weight");
    if (n > k && strcmp(name + n - k, ".lora_A.weight") == 0)
        return add_pair(f, name, n - k, t, false, err);
    if (n > k && strcmp(name + n - k, ".lora_B.weight") == 0)
        return add_pair(f, name, n - k, t, true, err);
    for (size_t i = 0; i < N_ELEMENTS(foreign); i++)
        if (strstr(name, foreign[i].part))
            return err_set(err, -ENOTSUP, "Tensor %.120s belongs to %s, which is not supported.",
                           full, foreign[i].what);
    if (t->dtype > TENSOR_F16)
        return err_set(err, -ENOTSUP, "Tensor %.120s is stored as %s; expected F32, BF16 or F16.",
                       full, tensor_dtype_name(t->dtype));
    f->saved = mem_realloc(f->saved, sizeof(*f->saved) * (size_t)(f->n_saved + 1));
    f->saved[f->n_saved++] = (struct saved){plain_name(name, n), t, false};
    return 0;
}

static int check_module(const struct lora_file *f, struct module *m, struct err *err)
{
    struct lora_pair *p = &m->pair;

    if (!p->a || !p->b)
        return err_set(err, -EINVAL, "%.120s has no lora_%c.", m->trained_name, p->a ? 'B' : 'A');
    int rank = lora_config_rank(f->config, m->trained_name, &p->scale);
    if (p->a->shape[0] != rank || p->b->shape[1] != rank)
        return err_set(err, -EINVAL,
                       "%.120s has tensors of rank %lld and %lld; adapter_config.json says %d.",
                       m->trained_name, (long long)p->a->shape[0], (long long)p->b->shape[1], rank);
    if (!is_target(f, m))
        return err_set(err, -EINVAL, "%.120s has tensors but target_modules does not name it.",
                       m->trained_name);
    p->rank = rank;
    return 0;
}

static int read_all(struct lora_file *f, const char *dir, struct err *err)
{
    AUTO_FREE char *config = file_join(dir, "adapter_config.json");
    AUTO_FREE char *weights = file_join(dir, "adapter_model.safetensors");
    AUTO_FREE char *pickle = file_join(dir, "adapter_model.bin");
    int r = lora_config_read(config, &f->config, err);

    if (r < 0)
        return r;
    if (access(weights, F_OK) != 0 && access(pickle, F_OK) == 0)
        return err_set(err, -ENOTSUP,
                       "%s is a Python pickle, which can run programs; save it as safetensors.",
                       pickle);
    if ((r = safetensors_open_file(dir, "adapter_model.safetensors", &f->st, err)) < 0)
        return r;
    for (int i = 0; i < safetensors_count(f->st) && r == 0; i++) {
        const char *name;
        const struct tensor *t = safetensors_at(f->st, i, &name);
        r = add_tensor(f, name, t, err);
    }
    for (int i = 0; i < f->n_modules && r == 0; i++)
        r = check_module(f, &f->modules[i], err);
    if (r == 0 && f->n_modules + f->n_saved == 0)
        r = err_set(err, -EINVAL, "%s is empty.", weights);
    return r;
}

int lora_file_open(const char *dir, struct lora_file **ret, struct err *err)
{
    struct lora_file *f = mem_zalloc(sizeof(*f));
    int r = read_all(f, dir, err);

    if (r < 0) {
        err_wrap(err, "Adapter %s", dir);
        lora_file_close(f);
        return r;
    }
    *ret = f;
    return 0;
}

bool lora_file_pair(struct lora_file *f, const char *module, struct lora_pair *ret)
{
    for (int i = 0; i < f->n_modules; i++) {
        if (strcmp(f->modules[i].name, module) == 0) {
            f->modules[i].used = true;
            *ret = f->modules[i].pair;
            return true;
        }
    }
    return false;
}

const struct tensor *lora_file_saved(struct lora_file *f, const char *name)
{
    for (int i = 0; i < f->n_saved; i++) {
        if (strcmp(f->saved[i].name, name) == 0) {
            f->saved[i].used = true;
            return f->saved[i].t;
        }
    }
    return NULL;
}

const char *lora_file_unused(const struct lora_file *f)
{
    for (int i = 0; i < f->n_modules; i++)
        if (!f->modules[i].used)
            return f->modules[i].name;
    for (int i = 0; i < f->n_saved; i++)
        if (!f->saved[i].used)
            return f->saved[i].name;
    return NULL;
}
