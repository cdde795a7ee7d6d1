/* A fixed set of threads that share the tasks of one loop. */
#ifndef DESKHAND_MODEL_CPU_POOL_H
#define DESKHAND_MODEL_CPU_POOL_H

struct pool;

struct pool *pool_new(int n_threads); /* the caller counts as one of them */
void pool_free(struct pool *p);
int pool_n_threads(const struct pool *p);
/* Calls fn(ctx, 0..n_tasks-1), each once, in any order, and returns when all are done. One caller
 * at a time; fn must not call pool_run. */
void pool_run(struct pool *p, int n_tasks, void (*fn)(void *ctx, int task), void *ctx);

#endif
