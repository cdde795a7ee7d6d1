/* Reads the header of a GGUF file:
 *
 *     "GGUF", version, number of tensors, number of keys
 *     keys:     name, type, value (a number, a text, a list of either)
 *     tensors:  name, dimensions (innermost first), type, offset
 *     data, each tensor at a multiple of general.alignment
 *
 * The file is a stranger's. A cursor that never passes the end reads it once at opening; counts are
 * held against the bytes that are left before anything is allocated by them; what is refused is
 * said with its name. Files of the other byte order (version 0x03000000) are refused. */
#include "model/gguf.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 1024
#define RANK_MAX 4

enum value_type {
    V_U8,
    V_I8,
    V_U16,
    V_I16,
    V_U32,
    V_I32,
    V_F32,
    V_BOOL,
    V_STRING,
    V_ARRAY,
    V_U64,
    V_I64,
    V_F64,
    N_VALUE_TYPES
};

/* Bytes of a number, 0 for the others. */
static const uint8_t widths[N_VALUE_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/* The types of tensors by their numbers. Those without a size can not be stepped over either. */
static const struct {
    uint32_t id;
    const char *name;
    enum tensor_dtype dtype;
} tensor_types[] = {
    {0, "F32", TENSOR_F32},       {1, "F16", TENSOR_F16},        {2, "Q4_0", TENSOR_Q4_0},
    {3, "Q4_1", TENSOR_Q4_1},     {6, "Q5_0", TENSOR_Q5_0},      {7, "Q5_1", TENSOR_Q5_1},
    {8, "Q8_0", TENSOR_Q8_0},     {9, "Q8_1", TENSOR_OTHER},     {10, "Q2_K", TENSOR_Q2_K},
    {11, "Q3_K", TENSOR_Q3_K},    {12, "Q4_K", TENSOR_Q4_K},     {13, "Q5_K", TENSOR_Q5_K},
    {14, "Q6_K", TENSOR_Q6_K},    {15, "Q8_K", TENSOR_OTHER},    {16, "IQ2_XXS", TENSOR_OTHER},
    {17, "IQ2_XS", TENSOR_OTHER}, {18, "IQ3_XXS", TENSOR_OTHER}, {19, "IQ1_S", TENSOR_OTHER},
    {20, "IQ4_NL", TENSOR_OTHER}, {21, "IQ3_S", TENSOR_OTHER},   {22, "IQ2_S", TENSOR_OTHER},
    {23, "IQ4_XS", TENSOR_OTHER}, {24, "I8", TENSOR_I8},         {25, "I16", TENSOR_OTHER},
    {26, "I32", TENSOR_OTHER},    {27, "I64", TENSOR_OTHER},     {28, "F64", TENSOR_OTHER},
    {29, "IQ1_M", TENSOR_OTHER},  {30, "BF16", TENSOR_BF16},     {34, "TQ1_0", TENSOR_OTHER},
    {35, "TQ2_0", TENSOR_OTHER},  {39, "MXFP4", TENSOR_OTHER},
};

struct value {
    char *key;
    enum value_type type;
    enum value_type of; /* of a list's elements */
    uint64_t n;         /* bytes of a text, elements of a list */
    const uint8_t *data;
};

struct entry {
    char *name;
    struct tensor t;
    uint64_t offset, bytes;
};

struct gguf {
    char *path;
    const uint8_t *map;
    size_t n;
    struct value *values; /* sorted by key after opening */
    size_t n_values;
    struct entry *entries; /* sorted by name after opening */
    size_t n_entries;
};

const char *gguf_path(const struct gguf *g)
{
    return g->path;
}

void gguf_close(struct gguf *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n_values; i++)
        free(g->values[i].key);
    for (size_t i = 0; i < g->n_entries; i++)
        free(g->entries[i].name);
    free(g->values);
    free(g->entries);
    if (g->map)
        file_unmap(g->map, g->n);
    free(g->path);
    free(g);
}

void gguf_drop_pages(const struct gguf *g)
{
    file_drop_pages(g->map, g->n);
}

/* reading */

struct cursor {
    const struct gguf *g;
    const uint8_t *at, *end;
    struct err *err;
    int rc; /* the first failure; later reads give 0 */
};

static uint64_t little(const uint8_t *p, int width)
{
    uint64_t v = 0;
    for (int i = width; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static const uint8_t *take(struct cursor *c, uint64_t n, const char *what)
{
    if (c->rc == 0 && n > (uint64_t)(c->end - c->at))
        c->rc = err_set(c->err, -EINVAL,
                        "%s is truncated or its header lies: %s at byte %zu wants %llu bytes, %zu "
                        "are left",
                        c->g->path, what, (size_t)(c->at - c->g->map), (unsigned long long)n,
                        (size_t)(c->end - c->at));
    if (c->rc < 0)
        return NULL;
    const uint8_t *p = c->at;
    c->at += n;
    return p;
}

static uint64_t take_int(struct cursor *c, int width, const char *what)
{
    const uint8_t *p = take(c, (uint64_t)width, what);
    return p ? little(p, width) : 0;
}

/* A key or a tensor's name: short, without control characters. Heap, NULL after a failure. */
static char *take_name(struct cursor *c, const char *what)
{
    uint64_t n = take_int(c, 8, what);
    if (c->rc == 0 && (n < 1 || n > NAME_MAX_BYTES))
        c->rc = err_set(c->err, -EINVAL, "%s: %s at byte %zu has %llu bytes, expected 1 to %d",
                        c->g->path, what, (size_t)(c->at - c->g->map), (unsigned long long)n,
                        NAME_MAX_BYTES);
    const uint8_t *p = take(c, n, what);
    for (uint64_t i = 0; p && i < n; i++) {
        if (p[i] < 32 || p[i] == 127) {
            c->rc =
                err_set(c->err, -EINVAL, "%s: %s at byte %zu holds the control character 0x%02x",
                        c->g->path, what, (size_t)(p - c->g->map), p[i]);
            return NULL;
        }
    }
    return p ? mem_strndup((const char *)p, (size_t)n) : NULL;
}

static void take_list(struct cursor *c, struct value *v)
{
    uint64_t of = take_int(c, 4, "the type of a list");
    v->n = take_int(c, 8, "the length of a list");
    if (c->rc < 0)
        return;
    if (of >= N_VALUE_TYPES || of == V_ARRAY) {
        c->rc =
            err_set(c->err, -EINVAL, "%s: %.80s is a list of the type %llu, which is not supported",
                    c->g->path, v->key, (unsigned long long)of);
        return;
    }
    v->of = (enum value_type)of;
    v->data = c->at;
    uint64_t least = of == V_STRING ? 8 : widths[of];
    if (v->n > (uint64_t)(c->end - c->at) / least) {
        c->rc =
            err_set(c->err, -EINVAL,
                    "%s is truncated or its header lies: %.80s has %llu elements, %zu bytes are "
                    "left",
                    c->g->path, v->key, (unsigned long long)v->n, (size_t)(c->end - c->at));
        return;
    }
    if (of != V_STRING)
        take(c, v->n * widths[of], v->key);
    for (uint64_t i = 0; of == V_STRING && i < v->n && c->rc == 0; i++)
        take(c, take_int(c, 8, "a text of a list"), "a text of a list");
}

/* The key is in v even when the value is bad: the caller frees it. */
static void take_value(struct cursor *c, struct value *v)
{
    v->key = take_name(c, "a key");
    uint64_t type = take_int(c, 4, "the type of a value");
    if (c->rc < 0)
        return;
    if (type >= N_VALUE_TYPES) {
        c->rc = err_set(c->err, -EINVAL, "%s: %.80s has the type %llu, which is not known",
                        c->g->path, v->key, (unsigned long long)type);
        return;
    }
    v->type = (enum value_type)type;
    if (type == V_ARRAY) {
        take_list(c, v);
        return;
    }
    v->n = type == V_STRING ? take_int(c, 8, v->key) : widths[type];
    v->data = take(c, v->n, v->key);
}

static int find_type(const struct gguf *g, uint32_t id, const char *name, enum tensor_dtype *ret,
                     struct err *err)
{
    char known[32];
    snprintf(known, sizeof(known), "number %u", id);
    for (size_t i = 0; i < N_ELEMENTS(tensor_types); i++) {
        if (tensor_types[i].id != id)
            continue;
        snprintf(known, sizeof(known), "%s", tensor_types[i].name);
        *ret = tensor_types[i].dtype;
        if (*ret != TENSOR_OTHER)
            return 0;
    }
    return err_set(err, -ENOTSUP,
                   "%s: tensor %.80s has the type %s; supported are F32, F16, BF16, Q8_0, Q4_0, "
                   "Q4_1, Q5_0, Q5_1 and Q2_K to Q6_K",
                   g->path, name, known);
}

static void take_tensor(struct cursor *c, struct entry *e)
{
    e->name = take_name(c, "a tensor's name");
    uint64_t rank = take_int(c, 4, "a tensor's rank"), dims[RANK_MAX], values = 1;
    if (c->rc < 0)
        return;
    if (rank < 1 || rank > RANK_MAX) {
        c->rc = err_set(c->err, -EINVAL, "%s: tensor %.80s has %llu dimensions, expected 1 to %d",
                        c->g->path, e->name, (unsigned long long)rank, RANK_MAX);
        return;
    }
    for (uint64_t i = 0; i < rank; i++) {
        dims[i] = take_int(c, 8, "a tensor's dimension");
        if (c->rc == 0 && (dims[i] < 1 || __builtin_mul_overflow(values, dims[i], &values) ||
                           values > INT64_MAX / 4))
            c->rc = err_set(c->err, -EINVAL, "%s: tensor %.80s has an impossible dimension %llu",
                            c->g->path, e->name, (unsigned long long)dims[i]);
        e->t.shape[rank - 1 - i] = (int64_t)dims[i];
    }
    e->t.rank = (int)rank;
    uint32_t type = (uint32_t)take_int(c, 4, "a tensor's type");
    e->offset = take_int(c, 8, "a tensor's offset");
    if (c->rc < 0 || (c->rc = find_type(c->g, type, e->name, &e->t.dtype, c->err)) < 0)
        return;
    uint64_t block = (uint64_t)tensor_block_values(e->t.dtype);
    if (dims[0] % block)
        c->rc =
            err_set(c->err, -EINVAL,
                    "%s: tensor %.80s has rows of %llu values, no multiple of %s's block of %llu",
                    c->g->path, e->name, (unsigned long long)dims[0], tensor_dtype_name(e->t.dtype),
                    (unsigned long long)block);
    e->bytes = values / block * (uint64_t)tensor_block_bytes(e->t.dtype);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct value *)a)->key, ((const struct value *)b)->key);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int by_offset(const void *a, const void *b)
{
    uint64_t x = ((const struct entry *)a)->offset, y = ((const struct entry *)b)->offset;
    return x < y ? -1 : x > y;
}

/* Tensors lie one behind the other from the first byte of data, each padded to the alignment: a
 * hole or an overlap is a header that belongs to another file. */
static int place_tensors(struct gguf *g, uint64_t begin, uint64_t align, struct err *err)
{
    uint64_t room = begin < g->n ? g->n - begin : 0, at = 0;

    if (g->n_entries)
        qsort(g->entries, g->n_entries, sizeof(*g->entries), by_offset);
    for (size_t i = 0; i < g->n_entries; i++) {
        struct entry *e = &g->entries[i];
        if (e->offset != at)
            return err_set(
                err, -EINVAL,
                "%s: tensor %.80s begins at byte %llu of the data, expected %llu: tensors "
                "overlap or leave a hole",
                g->path, e->name, (unsigned long long)e->offset, (unsigned long long)at);
        if (at > room || e->bytes > room - at)
            return err_set(
                err, -EINVAL,
                "%s: tensor %.80s wants bytes %llu to %llu of the data, but the file has "
                "%llu; it is truncated or its header lies",
                g->path, e->name, (unsigned long long)at, (unsigned long long)(at + e->bytes),
                (unsigned long long)room);
        e->t.data = g->map + begin + at;
        at += e->bytes;
        at += (align - at % align) % align;
    }
    return 0;
}

static int find_alignment(const struct gguf *g, int64_t *ret, struct err *err)
{
    *ret = 32;
    if (!gguf_has(g, "general.alignment"))
        return 0;
    int r = gguf_int(g, "general.alignment", 1, 1 << 20, ret, err);
    if (r == 0 && (*ret & (*ret - 1)))
        r = err_set(err, -EINVAL, "%s: general.alignment is %lld, expected a power of two", g->path,
                    (long long)*ret);
    return r;
}

static int read_header(struct gguf *g, struct err *err)
{
    struct cursor c = {.g = g, .at = g->map, .end = g->map + g->n, .err = err};
    const uint8_t *magic = take(&c, 4, "the magic number");
    uint64_t version = take_int(&c, 4, "the version");
    uint64_t n_tensors = take_int(&c, 8, "the number of tensors");
    uint64_t n_values = take_int(&c, 8, "the number of keys");

    if (magic && memcmp(magic, "GGUF", 4) != 0)
        return err_set(err, -EINVAL, "%s is no GGUF file", g->path);
    if (c.rc < 0)
        return c.rc;
    if (version != 2 && version != 3)
        return err_set(err, -ENOTSUP, "%s has the GGUF version %llu%s; supported are 2 and 3",
                       g->path, (unsigned long long)version,
                       version & 0xffff ? "" : " (it is of the other byte order)");
    uint64_t left = (uint64_t)(c.end - c.at);
    /* The smallest key takes 8 + 1 + 4 + 1 bytes, the smallest tensor 8 + 1 + 4 + 8 + 4 + 8. */
    if (n_values > left / 14 || n_tensors > left / 33)
        return err_set(
            err, -EINVAL,
            "%s is truncated or its header lies: %llu keys and %llu tensors in %zu bytes", g->path,
            (unsigned long long)n_values, (unsigned long long)n_tensors, g->n);
    g->values = mem_zalloc(sizeof(*g->values) * MAX((size_t)n_values, 1));
    for (uint64_t i = 0; i < n_values && c.rc == 0; i++) {
        take_value(&c, &g->values[i]);
        g->n_values++;
    }
    if (c.rc < 0)
        return c.rc;
    qsort(g->values, g->n_values, sizeof(*g->values), by_key);
    for (size_t i = 1; i < g->n_values; i++)
        if (strcmp(g->values[i - 1].key, g->values[i].key) == 0)
            return err_set(err, -EINVAL, "%s has the key %.80s twice", g->path, g->values[i].key);

    g->entries = mem_zalloc(sizeof(*g->entries) * MAX((size_t)n_tensors, 1));
    for (uint64_t i = 0; i < n_tensors && c.rc == 0; i++) {
        take_tensor(&c, &g->entries[i]);
        g->n_entries++;
    }
    int64_t align;
    if (c.rc < 0 || (c.rc = find_alignment(g, &align, err)) < 0)
        return c.rc;
    uint64_t begin = (uint64_t)(c.at - g->map);
    begin += ((uint64_t)align - begin % (uint64_t)align) % (uint64_t)align;
    int r = place_tensors(g, begin, (uint64_t)align, err);
    if (r < 0)
        return r;
    if (g->n_entries)
        qsort(g->entries, g->n_entries, sizeof(*g->entries), by_name);
    for (size_t i = 1; i < g->n_entries; i++)
        if (strcmp(g->entries[i - 1].name, g->entries[i].name) == 0)
            return err_set(err, -EINVAL, "%s has the tensor %.80s twice", g->path,
                           g->entries[i].name);
    return 0;
}

int gguf_open(const char *path, struct gguf **ret, struct err *err)
{
    struct gguf *g = mem_zalloc(sizeof(*g));
    int r = file_map(path, &g->map, &g->n, err);

    g->path = mem_strdup(path);
    if (r == 0)
        r = read_header(g, err);
    if (r < 0) {
        gguf_close(g);
        return r;
    }
    *ret = g;
    return 0;
}

/* looking up */

static const struct value *find(const struct gguf *g, const char *key)
{
    struct value want = {.key = (char *)key};
    return g->n_values ? bsearch(&want, g->values, g->n_values, sizeof(want), by_key) : NULL;
}

bool gguf_has(const struct gguf *g, const char *key)
{
    return find(g, key) != NULL;
}

static int need(const struct gguf *g, const char *key, const struct value **ret, struct err *err)
{
    *ret = find(g, key);
    return *ret ? 0 : err_set(err, -ENOENT, "%s lacks the key %s", g->path, key);
}

bool gguf_text_is(struct gguf_text t, const char *s)
{
    return strlen(s) == t.n && memcmp(s, t.s, t.n) == 0;
}

/* False when it is no integer, or larger than int64_t holds. */
static bool as_int(enum value_type type, const uint8_t *p, int64_t *ret)
{
    switch (type) {
    case V_U8:
    case V_U16:
    case V_U32:
    case V_U64: {
        uint64_t v = little(p, widths[type]);
        *ret = (int64_t)v;
        return v <= INT64_MAX;
    }
    case V_I8:
        *ret = (int8_t)p[0];
        return true;
    case V_I16:
        *ret = (int16_t)little(p, 2);
        return true;
    case V_I32:
        *ret = (int32_t)little(p, 4);
        return true;
    case V_I64:
        *ret = (int64_t)little(p, 8);
        return true;
    default:
        return false;
    }
}

static double as_number(enum value_type type, const uint8_t *p)
{
    int64_t i;
    float f;
    double d;
    uint32_t u4 = type == V_F32 ? (uint32_t)little(p, 4) : 0;
    uint64_t u8 = type == V_F64 ? little(p, 8) : 0;

    if (type == V_F32) {
        memcpy(&f, &u4, 4);
        return (double)f;
    }
    if (type == V_F64) {
        memcpy(&d, &u8, 8);
        return d;
    }
    if (type == V_BOOL)
        return p[0] != 0;
    return as_int(type, p, &i) ? (double)i : (double)NAN;
}

int gguf_int(const struct gguf *g, const char *key, int64_t lo, int64_t hi, int64_t *ret,
             struct err *err)
{
    const struct value *v;
    int64_t i;
    int r = need(g, key, &v, err);

    if (r < 0)
        return r;
    if (!as_int(v->type, v->data, &i) || i < lo || i > hi)
        return err_set(err, -EINVAL, "%s: %s must be an integer from %lld to %lld", g->path, key,
                       (long long)lo, (long long)hi);
    *ret = i;
    return 0;
}

int gguf_number(const struct gguf *g, const char *key, double lo, double hi, double *ret,
                struct err *err)
{
    const struct value *v;
    int r = need(g, key, &v, err);

    if (r < 0)
        return r;
    double d = v->type == V_STRING || v->type == V_ARRAY || v->type == V_BOOL
                   ? (double)NAN
                   : as_number(v->type, v->data);
    if (!(d >= lo && d <= hi))
        return err_set(err, -EINVAL, "%s: %s must be a number from %g to %g", g->path, key, lo, hi);
    *ret = d;
    return 0;
}

int gguf_string(const struct gguf *g, const char *key, struct gguf_text *ret, struct err *err)
{
    const struct value *v;
    int r = need(g, key, &v, err);

    if (r < 0)
        return r;
    if (v->type != V_STRING)
        return err_set(err, -EINVAL, "%s: %s must be a text", g->path, key);
    *ret = (struct gguf_text){(const char *)v->data, (size_t)v->n};
    return 0;
}

int gguf_bool(const struct gguf *g, const char *key, bool *ret, struct err *err)
{
    const struct value *v;
    int r = need(g, key, &v, err);

    if (r < 0)
        return r;
    if (v->type != V_BOOL)
        return err_set(err, -EINVAL, "%s: %s must be true or false", g->path, key);
    *ret = v->data[0] != 0;
    return 0;
}

int gguf_list(const struct gguf *g, const char *key, bool texts, struct gguf_list *ret,
              struct err *err)
{
    const struct value *v;
    int r = need(g, key, &v, err);

    if (r < 0)
        return r;
    if (v->type != V_ARRAY || (v->of == V_STRING) != texts)
        return err_set(err, -EINVAL, "%s: %s must be a list of %s", g->path, key,
                       texts ? "texts" : "numbers");
    *ret = (struct gguf_list){v->n, (int)v->of, widths[v->of], v->data};
    return 0;
}

double gguf_list_number(const struct gguf_list *l, uint64_t i)
{
    return as_number((enum value_type)l->type, l->data + i * (uint64_t)l->width);
}

struct gguf_text gguf_list_next(struct gguf_list *l)
{
    CHECK(l->n > 0 && l->type == V_STRING);
    struct gguf_text t = {(const char *)l->data + 8, (size_t)little(l->data, 8)};
    l->data += 8 + t.n;
    l->n--;
    return t;
}

int gguf_n_tensors(const struct gguf *g)
{
    return (int)g->n_entries;
}

const struct tensor *gguf_tensor(const struct gguf *g, int i, const char **ret_name)
{
    *ret_name = g->entries[i].name;
    return &g->entries[i].t;
}

const struct tensor *gguf_find(const struct gguf *g, const char *name)
{
    struct entry want = {.name = (char *)name};
    const struct entry *e =
        g->n_entries ? bsearch(&want, g->entries, g->n_entries, sizeof(want), by_name) : NULL;
    return e ? &e->t : NULL;
}
