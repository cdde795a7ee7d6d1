/* The mirror of gguf.c, for files of our own making: nothing here is a stranger's. */
#include "model/gguf_write.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ALIGN 32
#define KEYS_MAX ((size_t)1 << 30)

enum { V_U32 = 4, V_I32 = 5, V_F32 = 6, V_BOOL = 7, V_STRING = 8, V_ARRAY = 9 };

static const uint8_t type_ids[] = {
    [TENSOR_F32] = 0,   [TENSOR_F16] = 1,   [TENSOR_Q4_0] = 2,  [TENSOR_Q4_1] = 3,
    [TENSOR_Q5_0] = 6,  [TENSOR_Q5_1] = 7,  [TENSOR_Q8_0] = 8,  [TENSOR_Q2_K] = 10,
    [TENSOR_Q3_K] = 11, [TENSOR_Q4_K] = 12, [TENSOR_Q5_K] = 13, [TENSOR_Q6_K] = 14,
    [TENSOR_I8] = 24,   [TENSOR_BF16] = 30,
};

static void put(struct str *b, uint64_t v, int width)
{
    for (int i = 0; i < width; i++)
        str_putc(b, (char)(v >> 8 * i));
}

static void put_text(struct str *b, const char *s, size_t n)
{
    put(b, n, 8);
    str_add(b, s, n);
}

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static void key(struct gguf_out *w, const char *name, uint32_t type)
{
    put_text(&w->keys, name, strlen(name));
    put(&w->keys, type, 4);
    w->n_keys++;
}

static void list(struct gguf_out *w, const char *name, uint32_t type, size_t n)
{
    key(w, name, V_ARRAY);
    put(&w->keys, type, 4);
    put(&w->keys, n, 8);
}

void gguf_out_init(struct gguf_out *w)
{
    *w = (struct gguf_out){.keys = {.max = KEYS_MAX}, .tensors = {.max = KEYS_MAX}};
}

void gguf_out_done(struct gguf_out *w)
{
    str_done(&w->keys);
    str_done(&w->tensors);
    if (w->f) {
        fclose(w->f);
        unlink(w->part);
    }
    free(w->path);
    free(w->part);
    *w = (struct gguf_out){0};
}

void gguf_out_int(struct gguf_out *w, const char *name, uint32_t v)
{
    key(w, name, V_U32);
    put(&w->keys, v, 4);
}

void gguf_out_float(struct gguf_out *w, const char *name, float v)
{
    key(w, name, V_F32);
    put(&w->keys, bits_of(v), 4);
}

void gguf_out_bool(struct gguf_out *w, const char *name, bool v)
{
    key(w, name, V_BOOL);
    put(&w->keys, v, 1);
}

void gguf_out_string(struct gguf_out *w, const char *name, const char *v)
{
    key(w, name, V_STRING);
    put_text(&w->keys, v, strlen(v));
}

void gguf_out_ints(struct gguf_out *w, const char *name, const int *v, size_t n)
{
    list(w, name, V_I32, n);
    for (size_t i = 0; i < n; i++)
        put(&w->keys, (uint32_t)v[i], 4);
}

void gguf_out_floats(struct gguf_out *w, const char *name, const float *v, size_t n)
{
    list(w, name, V_F32, n);
    for (size_t i = 0; i < n; i++)
        put(&w->keys, bits_of(v[i]), 4);
}

void gguf_out_texts(struct gguf_out *w, const char *name, size_t n)
{
    list(w, name, V_STRING, n);
}

void gguf_out_text(struct gguf_out *w, const char *s, size_t n)
{
    put_text(&w->keys, s, n);
}

void gguf_out_tensor(struct gguf_out *w, const char *name, enum tensor_dtype d,
                     const int64_t *shape, int rank)
{
    size_t n = 1;

    put_text(&w->tensors, name, strlen(name));
    put(&w->tensors, (uint64_t)rank, 4);
    for (int i = rank; i-- > 0;) {
        put(&w->tensors, (uint64_t)shape[i], 8);
        n *= (size_t)shape[i];
    }
    put(&w->tensors, type_ids[d], 4);
    put(&w->tensors, w->offset, 8);
    w->offset += (tensor_bytes(d, n) + ALIGN - 1) / ALIGN * ALIGN;
    w->n_tensors++;
}

int gguf_out_open(struct gguf_out *w, const char *path, struct err *err)
{
    AUTO(str_done) struct str head = {0}, part = {0};
    int r;

    if (w->keys.overflow || w->tensors.overflow)
        return err_set(err, -EFBIG, "the metadata of %s would be larger than 1 GiB", path);
    str_printf(&part, "%s.part", path);
    w->path = mem_strdup(path);
    w->part = str_take(&part);
    w->f = fopen(w->part, "we");
    if (!w->f)
        return err_set(err, -errno, "cannot write %s: %s", w->part, strerror(errno));
    str_puts(&head, "GGUF");
    put(&head, 3, 4);
    put(&head, w->n_tensors, 8);
    put(&head, w->n_keys, 8);
    w->offset = head.n + w->keys.n + w->tensors.n;
    if ((r = gguf_out_data(w, head.s, head.n, err)) < 0 ||
        (r = gguf_out_data(w, w->keys.s, w->keys.n, err)) < 0 ||
        (r = gguf_out_data(w, w->tensors.s, w->tensors.n, err)) < 0)
        return r;
    return gguf_out_end_tensor(w, err);
}

int gguf_out_data(struct gguf_out *w, const void *data, size_t n, struct err *err)
{
    if (n && fwrite(data, 1, n, w->f) != n)
        return err_set(err, -errno, "cannot write %s: %s", w->part, strerror(errno));
    return 0;
}

int gguf_out_end_tensor(struct gguf_out *w, struct err *err)
{
    static const char zeros[ALIGN];
    off_t at = ftello(w->f);

    return at < 0 ? err_set(err, -errno, "cannot write %s: %s", w->part, strerror(errno))
                  : gguf_out_data(w, zeros, (size_t)((ALIGN - at % ALIGN) % ALIGN), err);
}

int gguf_out_close(struct gguf_out *w, struct err *err)
{
    bool bad = fflush(w->f) != 0 || fsync(fileno(w->f)) < 0;

    bad |= fclose(w->f) != 0;
    w->f = NULL;
    if (!bad && rename(w->part, w->path) == 0)
        return 0;
    int code = -errno;
    unlink(w->part);
    return err_set(err, code, "cannot write %s: %s", w->path, strerror(-code));
}
