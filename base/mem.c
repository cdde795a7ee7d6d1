/* Heap that aborts on exhaustion, and the step arena. See mem.h. */
#include "base/mem.h"
#include "base/err.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *must(void *p, size_t n)
{
    if (!p && n) {
        fprintf(stderr, "deskhand: out of memory asking for %zu bytes\n", n);
        abort();
    }
    return p;
}

void *mem_alloc(size_t n)
{
    return must(malloc(n ? n : 1), n);
}

void *mem_zalloc(size_t n)
{
    return must(calloc(1, n ? n : 1), n);
}

void *mem_realloc(void *p, size_t n)
{
    return must(realloc(p, n ? n : 1), n);
}

char *mem_strdup(const char *s)
{
    return s ? mem_strndup(s, strlen(s)) : NULL;
}

char *mem_strndup(const char *s, size_t n)
{
    if (!s)
        return NULL;
    n = strnlen(s, n);
    char *r = mem_alloc(n + 1);
    memcpy(r, s, n);
    r[n] = 0;
    return r;
}

#define LARGE_PAGE ((size_t)2 << 20)
#define LAZY_MIN ((size_t)1 << 20) /* bytes from which on whole pages are left to the kernel */

/* Whole pages inside a large block go back to the kernel, which gives zeroed ones when they are
 * first touched: a cache with room for a long context costs what it holds. */
static void zero(uint8_t *p, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), head = -(uintptr_t)p & (page - 1);
    size_t inner = n >= LAZY_MIN ? (n - head) & ~(page - 1) : 0;
    if (!inner || madvise(p + head, inner, MADV_DONTNEED) < 0) {
        memset(p, 0, n);
        return;
    }
    memset(p, 0, head);
    memset(p + head + inner, 0, n - head - inner);
}

void *mem_aligned(size_t n)
{
    n = n ? (n + 63) & ~(size_t)63 : 64;
    void *p = must(aligned_alloc(64, n), n);
    zero(p, n);
    return p;
}

void *mem_large(size_t n)
{
    if (n < LARGE_PAGE)
        return mem_aligned(n);
    n = (n + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);
    void *p = must(aligned_alloc(LARGE_PAGE, n), n);
    madvise(p, n, MADV_HUGEPAGE); /* a wish */
    zero(p, n);
    return p;
}

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(64) uint8_t data[];
};

void *arena_alloc(struct arena *a, size_t n)
{
    n = (n + 63) & ~(size_t)63;
    struct arena_block *b = a->head;
    if (!b || b->size - b->used < n) {
        size_t size = MAX(n, (size_t)1 << 20);
        b = mem_aligned(sizeof *b + size);
        b->size = size;
        b->next = a->head;
        a->head = b;
    }
    void *p = b->data + b->used;
    b->used += n;
    return p;
}

void arena_reset(struct arena *a)
{
    while (a->head) {
        struct arena_block *next = a->head->next;
        free(a->head);
        a->head = next;
    }
}
