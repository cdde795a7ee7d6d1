/* A locked queue and the only place that starts threads besides the CPU backend's pool. */
#include "base/mailbox.h"
#include "base/err.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

struct letter {
    struct letter *next;
    void *msg;
};

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct letter *first, **last;
    bool closed;
    void (*wake)(void *);
    void *user;
};

struct mailbox *mailbox_new(void (*wake)(void *user), void *user)
{
    struct mailbox *m = mem_zalloc(sizeof *m);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->filled, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&m->lock, NULL);
    m->last = &m->first;
    m->wake = wake;
    m->user = user;
    return m;
}

void mailbox_free(struct mailbox *m, void (*drop)(void *msg))
{
    if (!m)
        return;
    void *msg;
    while ((msg = mailbox_take(m)))
        (drop ? drop : free)(msg);
    pthread_cond_destroy(&m->filled);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void mailbox_put(struct mailbox *m, void *msg)
{
    CHECK(msg);
    struct letter *l = mem_zalloc(sizeof *l);
    l->msg = msg;
    pthread_mutex_lock(&m->lock);
    *m->last = l;
    m->last = &l->next;
    pthread_cond_signal(&m->filled);
    pthread_mutex_unlock(&m->lock);
    if (m->wake)
        m->wake(m->user);
}

static void *pop(struct mailbox *m)
{
    struct letter *l = m->first;
    if (!l)
        return NULL;
    m->first = l->next;
    if (!m->first)
        m->last = &m->first;
    void *msg = l->msg;
    free(l);
    return msg;
}

void *mailbox_take(struct mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    void *msg = pop(m);
    pthread_mutex_unlock(&m->lock);
    return msg;
}

void *mailbox_wait(struct mailbox *m, int64_t timeout_us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    if (timeout_us > 0) {
        until.tv_sec += timeout_us / 1000000;
        until.tv_nsec += timeout_us % 1000000 * 1000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
    }
    pthread_mutex_lock(&m->lock);
    while (!m->first && !m->closed) {
        int rc = timeout_us < 0 ? pthread_cond_wait(&m->filled, &m->lock)
                                : pthread_cond_timedwait(&m->filled, &m->lock, &until);
        if (rc == ETIMEDOUT)
            break;
    }
    void *msg = pop(m);
    pthread_mutex_unlock(&m->lock);
    return msg;
}

void mailbox_close(struct mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    m->closed = true;
    pthread_cond_broadcast(&m->filled);
    pthread_mutex_unlock(&m->lock);
}

struct thread {
    pthread_t id;
    void (*fn)(void *);
    void *user;
};

static void *run(void *p)
{
    struct thread *t = p;
    t->fn(t->user);
    return NULL;
}

struct thread *thread_start(const char *name, void (*fn)(void *), void *user)
{
    struct thread *t = mem_zalloc(sizeof *t);
    t->fn = fn;
    t->user = user;
    CHECK(pthread_create(&t->id, NULL, run, t) == 0);
    pthread_setname_np(t->id, name);
    return t;
}

void thread_join(struct thread *t)
{
    if (!t)
        return;
    pthread_join(t->id, NULL);
    free(t);
}
