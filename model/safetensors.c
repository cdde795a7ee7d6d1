/* Maps one .safetensors file or the shards of an index and checks every header against its file
 * before a tensor is handed out: lengths, offsets, shapes and types come from outside. */
#include "model/safetensors.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEADER_MAX ((uint64_t)100 << 20)
#define SHARDS_MAX 1000
#define TENSORS_MAX 1000000

struct shard {
    char *name;
    const uint8_t *data;
    size_t n;
};

struct entry {
    char *name;
    struct tensor t;
    size_t bytes;
    int shard;
};

struct safetensors {
    struct shard *shards;
    int n_shards;
    struct entry *entries; /* sorted by name after opening */
    size_t n_entries, cap;
};

static const struct {
    const char *name;
    enum tensor_dtype dtype;
    size_t size;
} dtypes[] = {
    {"F32", TENSOR_F32, 4},   {"BF16", TENSOR_BF16, 2}, {"F16", TENSOR_F16, 2},
    {"F64", TENSOR_OTHER, 8}, {"I64", TENSOR_OTHER, 8}, {"I32", TENSOR_OTHER, 4},
    {"I16", TENSOR_OTHER, 2}, {"I8", TENSOR_OTHER, 1},  {"U8", TENSOR_OTHER, 1},
    {"BOOL", TENSOR_OTHER, 1},
};

static int read_entry(struct safetensors *s, const struct shard *sh, uint64_t begin,
                      const char *name, json_t *j, struct err *err)
{
    const char *dtype = json_string_value(json_object_get(j, "dtype"));
    json_t *shape = json_object_get(j, "shape"), *off = json_object_get(j, "data_offsets");
    struct tensor t = {.dtype = TENSOR_OTHER};
    size_t bytes = 0;
    for (size_t i = 0; dtype && i < N_ELEMENTS(dtypes); i++) {
        if (strcmp(dtype, dtypes[i].name) == 0) {
            t.dtype = dtypes[i].dtype;
            bytes = dtypes[i].size;
        }
    }
    if (!bytes)
        return err_set(err, -ENOTSUP, "%s: tensor %.80s has the type \"%.20s\", which is not known",
                       sh->name, name, dtype ? dtype : "missing");
    if (!json_is_array(shape) || json_array_size(shape) > N_ELEMENTS(t.shape))
        return err_set(err, -EINVAL, "%s: tensor %.80s has no shape of at most %zu dimensions",
                       sh->name, name, N_ELEMENTS(t.shape));
    t.rank = (int)json_array_size(shape);
    for (int i = 0; i < t.rank; i++) {
        json_t *d = json_array_get(shape, (size_t)i);
        if (!json_is_integer(d) || json_integer_value(d) < 0 ||
            mem_mul(&bytes, bytes, (size_t)json_integer_value(d)))
            return err_set(err, -EINVAL, "%s: tensor %.80s has an impossible dimension %d",
                           sh->name, name, i);
        t.shape[i] = json_integer_value(d);
    }
    json_t *lo = json_array_get(off, 0), *hi = json_array_get(off, 1);
    if (json_array_size(off) != 2 || !json_is_integer(lo) || !json_is_integer(hi) ||
        json_integer_value(lo) < 0 || json_integer_value(hi) < json_integer_value(lo))
        return err_set(err, -EINVAL, "%s: tensor %.80s has no valid data_offsets", sh->name, name);
    uint64_t from = (uint64_t)json_integer_value(lo), to = (uint64_t)json_integer_value(hi);
    if (to > sh->n - begin)
        return err_set(
            err, -EINVAL,
            "%s: tensor %.80s ends at byte %llu but the file has %llu bytes of data; it is "
            "truncated or its header lies",
            sh->name, name, (unsigned long long)to, (unsigned long long)(sh->n - begin));
    if (to - from != bytes)
        return err_set(err, -EINVAL,
                       "%s: tensor %.80s has %llu bytes, its type and shape want %zu", sh->name,
                       name, (unsigned long long)(to - from), bytes);
    t.data = sh->data + begin + from;
    if (s->n_entries == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 256;
        s->entries = mem_realloc(s->entries, s->cap * sizeof *s->entries);
    }
    if (s->n_entries >= TENSORS_MAX)
        return err_set(err, -EINVAL, "%s holds more than %d tensors", sh->name, TENSORS_MAX);
    s->entries[s->n_entries++] = (struct entry){mem_strdup(name), t, bytes, s->n_shards - 1};
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->t.data != y->t.data)
        return x->t.data < y->t.data ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* The tensors of a shard must lie one behind the other from the first byte of data to the last:
 * a hole or an overlap is a header that belongs to another file. Entries from `first` on. */
static int check_coverage(struct safetensors *s, size_t first, const struct shard *sh,
                          uint64_t begin, struct err *err)
{
    const uint8_t *at = sh->data + begin;
    if (s->n_entries > first)
        qsort(s->entries + first, s->n_entries - first, sizeof *s->entries, by_place);
    for (size_t i = first; i < s->n_entries; i++) {
        const struct entry *e = &s->entries[i];
        if (e->t.data != at)
            return err_set(err, -EINVAL,
                           "%s: tensor %.80s begins at byte %zu of the data, expected %zu: tensors "
                           "overlap or leave a hole",
                           sh->name, e->name,
                           (size_t)((const uint8_t *)e->t.data - sh->data - begin),
                           (size_t)(at - sh->data - begin));
        at += e->bytes;
    }
    if (at != sh->data + sh->n)
        return err_set(err, -EINVAL, "%s has %zu bytes behind its last tensor", sh->name,
                       (size_t)(sh->data + sh->n - at));
    return 0;
}

static int open_shard(struct safetensors *s, const char *dir, const char *name, struct err *err)
{
    AUTO_FREE char *path = file_join(dir, name);
    s->shards = mem_realloc(s->shards, (size_t)(s->n_shards + 1) * sizeof *s->shards);
    struct shard *sh = &s->shards[s->n_shards];
    *sh = (struct shard){0};
    int rc = file_map(path, &sh->data, &sh->n, err);
    if (rc < 0)
        return rc;
    sh->name = mem_strdup(name);
    s->n_shards++;
    uint64_t header = 0;
    if (sh->n >= 8)
        for (int i = 7; i >= 0; i--)
            header = header << 8 | sh->data[i];
    if (sh->n < 8 || header > HEADER_MAX || header > sh->n - 8)
        return err_set(err, -EINVAL,
                       "%s is no safetensors file or is truncated: %zu bytes, header length %llu",
                       path, sh->n, (unsigned long long)header);
    json_t *root;
    if ((rc = json_parse((const char *)sh->data + 8, (size_t)header, "its header", JSON_WANT_OBJECT,
                         JSON_REJECT_DUPLICATES, &root, err)) < 0)
        return err_wrap(err, "%s", path);
    size_t first = s->n_entries;
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        if (rc == 0 && strcmp(key, "__metadata__") != 0)
            rc = read_entry(s, sh, 8 + header, key, value, err);
    }
    json_decref(root);
    return rc < 0 ? rc : check_coverage(s, first, sh, 8 + header, err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int open_index(struct safetensors *s, const char *dir, const char *path, json_t **ret_root,
                      json_t **ret_map, struct err *err)
{
    json_t *root;
    int rc = json_read(path, (size_t)64 << 20, JSON_WANT_OBJECT, 0, &root, err);
    if (rc < 0)
        return rc;
    json_t *map = json_object_get(root, "weight_map");
    if (!json_is_object(map))
        rc = err_set(err, -EINVAL, "%s has no weight_map", path);
    const char *key;
    json_t *value;
    json_object_foreach(map, key, value)
    {
        const char *name = json_string_value(value);
        if (rc < 0)
            break;
        if (!name || !*name || strchr(name, '/') || name[0] == '.') {
            rc =
                err_set(err, -EINVAL, "%s: the shard of %.80s is not a plain file name", path, key);
            break;
        }
        bool known = false;
        for (int i = 0; i < s->n_shards; i++)
            known |= strcmp(s->shards[i].name, name) == 0;
        if (!known && s->n_shards >= SHARDS_MAX)
            rc = err_set(err, -EINVAL, "%s names more than %d shards", path, SHARDS_MAX);
        else if (!known && (rc = open_shard(s, dir, name, err)) < 0)
            err_wrap(err, "shard of %.80s", key);
    }
    *ret_root = root;
    *ret_map = map;
    return rc;
}

static const struct entry *find(const struct safetensors *s, const char *name)
{
    struct entry key = {.name = (char *)name};
    return s->n_entries ? bsearch(&key, s->entries, s->n_entries, sizeof key, by_name) : NULL;
}

/* Every tensor of the index is in the shard that it names. */
static int check_index(const struct safetensors *s, json_t *map, struct err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(map, key, value)
    {
        const struct entry *e = find(s, key);
        if (!e || strcmp(s->shards[e->shard].name, json_string_value(value)) != 0)
            return err_set(err, -EINVAL, "the index says that tensor %.80s is in %.80s; it is not",
                           key, json_string_value(value));
    }
    return 0;
}

static int open_all(const char *dir, const char *index, const char *file,
                    struct safetensors **ret, struct err *err)
{
    struct safetensors *s = mem_zalloc(sizeof *s);
    json_t *root = NULL, *map = NULL;
    int rc = index ? open_index(s, dir, index, &root, &map, err) : open_shard(s, dir, file, err);
    if (rc == 0 && s->n_entries) {
        qsort(s->entries, s->n_entries, sizeof *s->entries, by_name);
        for (size_t i = 1; i < s->n_entries && rc == 0; i++)
            if (strcmp(s->entries[i - 1].name, s->entries[i].name) == 0)
                rc = err_set(err, -EINVAL, "tensor %.80s is in two shards", s->entries[i].name);
    }
    if (rc == 0 && map)
        rc = check_index(s, map, err);
    json_decref(root);
    if (rc < 0) {
        safetensors_close(s);
        return rc;
    }
    *ret = s;
    return 0;
}

int safetensors_open(const char *dir, struct safetensors **ret, struct err *err)
{
    AUTO_FREE char *index = file_join(dir, "model.safetensors.index.json");
    return open_all(dir, access(index, F_OK) == 0 ? index : NULL, "model.safetensors", ret, err);
}

int safetensors_open_file(const char *dir, const char *name, struct safetensors **ret,
                          struct err *err)
{
    return open_all(dir, NULL, name, ret, err);
}

void safetensors_drop_pages(const struct safetensors *s)
{
    for (int i = 0; i < s->n_shards; i++)
        file_drop_pages(s->shards[i].data, s->shards[i].n);
}

void safetensors_close(struct safetensors *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->n_shards; i++) {
        file_unmap(s->shards[i].data, s->shards[i].n);
        free(s->shards[i].name);
    }
    for (size_t i = 0; i < s->n_entries; i++)
        free(s->entries[i].name);
    free(s->shards);
    free(s->entries);
    free(s);
}

/* Names are asked for in the first generation ("visual.", "model."); the second one has
 * "model.visual." and "model.language_model.". */
const struct tensor *safetensors_find(const struct safetensors *s, const char *name)
{
    char other[512];
    const struct entry *e = find(s, name);
    if (e)
        return &e->t;
    if (str_starts(name, "visual."))
        snprintf(other, sizeof other, "model.%s", name);
    else if (str_starts(name, "model."))
        snprintf(other, sizeof other, "model.language_model.%s", name + 6);
    else
        return NULL;
    e = find(s, other);
    return e ? &e->t : NULL;
}

int safetensors_count(const struct safetensors *s)
{
    return (int)s->n_entries;
}

const struct tensor *safetensors_at(const struct safetensors *s, int i, const char **ret_name)
{
    *ret_name = s->entries[i].name;
    return &s->entries[i].t;
}
