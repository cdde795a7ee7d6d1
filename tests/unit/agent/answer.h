/* Waits for a job's last word. */
#ifndef DESKHAND_TESTS_ANSWER_H
#define DESKHAND_TESTS_ANSWER_H

#include "agent/worker.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

/* The answer or the failure; the caller's. Other news is dropped. */
static inline struct news *answer_of(struct worker *w, uint64_t job)
{
    int64_t until = clock_now_us() + 60000000;
    for (;;) {
        struct news *n = worker_news(w);
        assert_true(clock_now_us() < until);
        if (n && n->kind != NEWS_TEXT && n->job == job)
            return n;
        if (!n)
            usleep(1000);
        news_free(n);
    }
}

static inline struct news *good_answer_of(struct worker *w, uint64_t job)
{
    struct news *n = answer_of(w, job);
    if (n->kind != NEWS_DONE)
        fail_msg("%s", n->text);
    return n;
}

#endif
