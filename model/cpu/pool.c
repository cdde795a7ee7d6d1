/* The thread pool of the CPU backend. A forward pass is hundreds of short parallel loops, so a
 * thread that has run out of work looks for the next loop for some microseconds before it sleeps.
 * Tasks are taken from one atomic counter, so a slow core does less of them.
 *
 * Every worker walks through every loop, also one it finds empty, and pool_run() waits until all
 * have left: so nobody can look at the parameters of a loop that is over. */
#include "model/cpu/pool.h"

#include "base/mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#define N_SPINS 4000

struct pool {
    int n_threads;
    pthread_t *threads;

    void (*fn)(void *ctx, int task);
    void *ctx;
    atomic_int n_tasks;
    atomic_uint loop;    /* which loop is current; changes when one starts */
    atomic_int next;     /* next task of it */
    atomic_int n_inside; /* workers that have not yet left it */
    atomic_bool quit;

    pthread_mutex_t mutex;
    pthread_cond_t wake; /* `loop` changed or quit */
    int n_asleep;        /* under mutex */
};

static void relax(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static void work(struct pool *p)
{
    int n = atomic_load_explicit(&p->n_tasks, memory_order_relaxed);
    for (;;) {
        int t = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (t >= n)
            return;
        p->fn(p->ctx, t);
    }
}

static void *worker(void *arg)
{
    struct pool *p = arg;
    unsigned seen = 0;

    for (;;) {
        int spins = 0;
        while (atomic_load(&p->loop) == seen && !atomic_load(&p->quit)) {
            if (++spins < N_SPINS) {
                relax();
                continue;
            }
            pthread_mutex_lock(&p->mutex);
            p->n_asleep++;
            while (atomic_load(&p->loop) == seen && !atomic_load(&p->quit))
                pthread_cond_wait(&p->wake, &p->mutex);
            p->n_asleep--;
            pthread_mutex_unlock(&p->mutex);
        }
        if (atomic_load(&p->quit))
            return NULL;
        seen = atomic_load_explicit(&p->loop, memory_order_acquire);
        work(p);
        atomic_fetch_sub_explicit(&p->n_inside, 1, memory_order_release);
    }
}

struct pool *pool_new(int n_threads)
{
    struct pool *p = mem_zalloc(sizeof(*p));

    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->threads = mem_zalloc(sizeof(*p->threads) * (size_t)MAX(n_threads, 1));
    p->n_threads = 1;
    /* Fewer threads than asked for is slower, not wrong. */
    while (p->n_threads < n_threads &&
           pthread_create(&p->threads[p->n_threads], NULL, worker, p) == 0)
        p->n_threads++;
    return p;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->mutex);
    atomic_store(&p->quit, true);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->mutex);
    for (int i = 1; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->mutex);
    free(p->threads);
    free(p);
}

int pool_n_threads(const struct pool *p)
{
    return p->n_threads;
}

void pool_run(struct pool *p, int n_tasks, void (*fn)(void *ctx, int task), void *ctx)
{
    if (p->n_threads == 1 || n_tasks == 1) {
        for (int i = 0; i < n_tasks; i++)
            fn(ctx, i);
        return;
    }
    p->fn = fn;
    p->ctx = ctx;
    atomic_store_explicit(&p->n_tasks, n_tasks, memory_order_relaxed);
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->n_inside, p->n_threads - 1, memory_order_relaxed);
    atomic_fetch_add(&p->loop, 1);
    pthread_mutex_lock(&p->mutex);
    if (p->n_asleep > 0)
        pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->mutex);
    work(p);
    /* Every worker passes through the loop, even one that found no task left. */
    for (int spins = 0; atomic_load_explicit(&p->n_inside, memory_order_acquire) > 0; spins++) {
        if (spins < N_SPINS)
            relax();
        else
            sched_yield();
    }
}
