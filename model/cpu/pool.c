/* The thread pool of the CPU backend. A forward pass is hundreds of short parallel loops, so a
 * thread that has run out of work looks for the next loop for some microseconds before it sleeps.
 * Each thread begins with its own share of the tasks, the same share of the rows in every loop,
 * because rows that another core has just written are slow to read; then it helps with what the
 * others have left, so a slow core does less.
 *
 * A worker joins a loop through `gate` and the caller closes the gate before it waits for those who
 * joined: a worker that the system has put aside, or that sleeps, costs nothing, and nobody can
 * look at the parameters of a loop that is over. */
#include "model/cpu/pool.h"

#include "base/mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#define N_SPINS 4000

/* gate: is a loop open, which one (it may wrap: then a worker misses one), how many joined. */
#define GATE_OPEN 0x80000000u
#define GATE_LOOP 0x7fff0000u
#define GATE_ONE_LOOP 0x00010000u
#define GATE_COUNT 0x0000ffffu

/* The tasks of one thread that nobody has taken yet; a cache line of its own. */
struct share {
    atomic_int next;
    int end;
    char line[64 - sizeof(atomic_int) - sizeof(int)];
};

struct seat {
    struct pool *pool;
    int index;
};

struct pool {
    int n_threads;
    struct share *shares; /* [n_threads asked for]; 0: of the caller */
    struct seat *seats;
    pthread_t *threads;

    void (*fn)(void *ctx, int task);
    void *ctx;
    atomic_uint gate;
    atomic_bool quit;

    pthread_mutex_t mutex;
    pthread_cond_t wake; /* the gate opened, or quit */
    int n_asleep;        /* under mutex */
};

static void relax(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static void work(struct pool *p, int self)
{
    for (int i = 0; i < p->n_threads; i++) {
        struct share *s = &p->shares[(self + i) % p->n_threads];
        for (;;) {
            int t = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed);
            if (t >= s->end)
                break;
            p->fn(p->ctx, t);
        }
    }
}

static bool has_news(struct pool *p, unsigned seen)
{
    unsigned g = atomic_load(&p->gate);

    return atomic_load(&p->quit) || ((g & GATE_OPEN) && (g & GATE_LOOP) != seen);
}

static void wait_for_news(struct pool *p, unsigned seen)
{
    for (int spins = 0; spins < N_SPINS; spins++) {
        if (has_news(p, seen))
            return;
        relax();
    }
    pthread_mutex_lock(&p->mutex);
    p->n_asleep++;
    while (!has_news(p, seen))
        pthread_cond_wait(&p->wake, &p->mutex);
    p->n_asleep--;
    pthread_mutex_unlock(&p->mutex);
}

static void *worker(void *arg)
{
    struct seat *seat = arg;
    struct pool *p = seat->pool;
    unsigned seen = 0;

    for (;;) {
        wait_for_news(p, seen);
        if (atomic_load(&p->quit))
            return NULL;
        unsigned g = atomic_load(&p->gate);
        if (!(g & GATE_OPEN) || !atomic_compare_exchange_strong(&p->gate, &g, g + 1))
            continue; /* closed meanwhile, or another one joined first: look again */
        seen = g & GATE_LOOP;
        work(p, seat->index);
        atomic_fetch_sub(&p->gate, 1);
    }
}

struct pool *pool_new(int n_threads)
{
    struct pool *p = mem_zalloc(sizeof(*p));

    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->threads = mem_zalloc(sizeof(*p->threads) * (size_t)MAX(n_threads, 1));
    p->shares = mem_aligned(sizeof(*p->shares) * (size_t)MAX(n_threads, 1));
    p->seats = mem_zalloc(sizeof(*p->seats) * (size_t)MAX(n_threads, 1));
    for (int i = 0; i < n_threads; i++)
        p->seats[i] = (struct seat){p, i};
    p->n_threads = 1;
    /* Fewer threads than asked for is slower, not wrong. */
    while (p->n_threads < n_threads &&
           pthread_create(&p->threads[p->n_threads], NULL, worker, &p->seats[p->n_threads]) == 0)
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
    free(p->shares);
    free(p->seats);
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
    for (int i = 0; i < p->n_threads; i++) {
        struct share *s = &p->shares[i];
        atomic_store_explicit(&s->next, (int)((int64_t)n_tasks * i / p->n_threads),
                              memory_order_relaxed);
        s->end = (int)((int64_t)n_tasks * (i + 1) / p->n_threads);
    }
    /* The gate is closed and nobody is inside, so only this thread writes it now. */
    atomic_store(&p->gate, ((atomic_load(&p->gate) + GATE_ONE_LOOP) & GATE_LOOP) | GATE_OPEN);
    pthread_mutex_lock(&p->mutex);
    if (p->n_asleep > 0)
        pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->mutex);
    work(p, 0);
    atomic_fetch_and(&p->gate, ~GATE_OPEN);
    for (int spins = 0; atomic_load(&p->gate) & GATE_COUNT; spins++) {
        if (spins < N_SPINS)
            relax();
        else
            sched_yield();
    }
}
