/* A large picture is resized and cut in milliseconds, so a thread that begins now and ends with its
 * rows costs little beside it and needs no pool: vision/ and the engine, which has one, do not know
 * each other. Each row is computed from the same bytes whoever does it. */
#include "vision/share.h"

#include "base/mailbox.h"
#include "base/mem.h"

#include <sched.h>

#define THREADS_MAX 4
#define WORTH_IT (1 << 20) /* bytes: about a millisecond */

struct share {
    void (*fn)(void *user, int begin, int end);
    void *user;
    int begin, end;
};

static void run(void *user)
{
    const struct share *s = user;

    s->fn(s->user, s->begin, s->end);
}

static int n_cores(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

void share_rows(int n, int grain, long long n_bytes, void (*fn)(void *user, int begin, int end),
                void *user)
{
    struct share shares[THREADS_MAX];
    struct thread *threads[THREADS_MAX] = {0};
    int n_grains = (n + grain - 1) / grain;
    int n_shares = n_bytes < WORTH_IT ? 1 : CLAMP(n_cores(), 1, THREADS_MAX);

    n_shares = MAX(1, MIN(n_shares, n_grains));
    for (int i = 0; i < n_shares; i++)
        shares[i] = (struct share){fn, user, n_grains * i / n_shares * grain,
                                   MIN(n, n_grains * (i + 1) / n_shares * grain)};
    for (int i = 1; i < n_shares; i++)
        threads[i] = thread_start("picture", run, &shares[i]);
    run(&shares[0]);
    for (int i = 1; i < n_shares; i++) {
        if (!threads[i])
            run(&shares[i]); /* the system gives no thread: then here */
        thread_join(threads[i]);
    }
}
