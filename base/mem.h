/* Memory: heap that aborts when the machine has none, checked products for sizes that come from
 * outside, an arena for what lives one step, and scope cleanup. */
#ifndef DESKHAND_BASE_MEM_H
#define DESKHAND_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Never return NULL; for sizes that we computed or bounded ourselves. */
void *mem_alloc(size_t n);
void *mem_zalloc(size_t n);
void *mem_realloc(void *p, size_t n);
char *mem_strdup(const char *s);            /* NULL stays NULL */
char *mem_strndup(const char *s, size_t n); /* stops at a NUL too */

/* 64-byte aligned, zeroed; sized in bytes. Free with free(). Of a large block only what is touched
 * takes memory. */
void *mem_aligned(size_t n);
/* The same on 2 MiB pages where the system gives them: for what is used as a whole. */
void *mem_large(size_t n);

/* True on overflow (and *ret untouched): `if (mem_mul(&n, a, b)) return err_set(...)`. */
static inline bool mem_mul(size_t *ret, size_t a, size_t b)
{
    size_t r;
    if (__builtin_mul_overflow(a, b, &r))
        return true;
    *ret = r;
    return false;
}
static inline bool mem_add(size_t *ret, size_t a, size_t b)
{
    size_t r;
    if (__builtin_add_overflow(a, b, &r))
        return true;
    *ret = r;
    return false;
}

/* Bump allocator over one growing chain of blocks; everything goes at arena_reset(). */
struct arena {
    struct arena_block *head;
};
void *arena_alloc(struct arena *a, size_t n); /* 64-byte aligned, zeroed */
void arena_reset(struct arena *a);            /* keeps nothing */

static inline void mem_free_ptr(void *p)
{
    free(*(void **)p);
}
#define AUTO_FREE __attribute__((cleanup(mem_free_ptr)))
#define AUTO(fn) __attribute__((cleanup(fn)))

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define ROUND_UP(n, m) (((n) + (m)-1) / (m) * (m))
#define CLAMP(v, lo, hi) ((v) < (lo) ? (lo) : (v) > (hi) ? (hi) : (v))

#endif
