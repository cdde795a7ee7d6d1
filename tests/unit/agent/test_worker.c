/* agent/worker.c with the shipped model: a cancel reaches the job that it names, however many wait,
 * and no other. */
#include "agent/worker.h"
#include "base/clock.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct worker *w;

static void wake(void *user)
{
}

static int setup(void **state)
{
    struct vlm_options o = {.n_threads = 2};
    struct err err = {0};
    if (worker_open(DESKHAND_TEST_MODEL, &o, wake, NULL, &w, &err) < 0)
        fail_msg("%s", err.text);
    return 0;
}

static uint64_t submit(int max_tokens)
{
    struct job j = {.kind = JOB_ASK, .text = mem_strdup("What is this?"), .max_tokens = max_tokens};
    assert_int_equal(frame_alloc(&j.frame, 112, 112), 0);
    memset(j.frame.rgb, 90, 112 * 112 * 3);
    return worker_submit(w, &j);
}

/* The last word about a job; its kind. */
static enum news_kind wait_for(uint64_t job, bool *ret_cancelled)
{
    int64_t until = clock_now_us() + 60000000;
    for (;;) {
        struct news *n = worker_news(w);
        if (!n) {
            assert_true(clock_now_us() < until);
            usleep(1000);
            continue;
        }
        bool last = n->kind != NEWS_TEXT && n->job == job;
        enum news_kind kind = n->kind;
        *ret_cancelled = n->cancelled;
        news_free(n);
        if (last)
            return kind;
    }
}

static void all_that_wait_can_be_cancelled(void **state)
{
    uint64_t jobs[WORKER_WAITING_MAX - 2];
    bool cancelled;
    uint64_t first = submit(64);
    for (size_t i = 0; i < N_ELEMENTS(jobs); i++)
        jobs[i] = submit(64);
    for (size_t i = 0; i < N_ELEMENTS(jobs); i++)
        worker_cancel(w, jobs[i]);
    assert_int_equal(wait_for(first, &cancelled), NEWS_DONE);
    assert_false(cancelled);
    for (size_t i = 0; i < N_ELEMENTS(jobs); i++) {
        assert_int_equal(wait_for(jobs[i], &cancelled), NEWS_DONE);
        assert_true(cancelled);
    }
    assert_int_equal(worker_n_waiting(w), 0);
}

/* Cancels at every moment of a job; the one after it must be answered all the same. */
static void a_late_cancel_hits_nobody_else(void **state)
{
    bool cancelled;
    for (int i = 0; i < 60; i++) {
        uint64_t first = submit(1), second = submit(1);
        usleep((useconds_t)(i * 400));
        worker_cancel(w, first);
        assert_int_equal(wait_for(second, &cancelled), NEWS_DONE);
        assert_false(cancelled);
    }
}

static void closing_does_not_wait_for_what_waits(void **state)
{
    for (int i = 0; i < 20; i++)
        submit(512);
    usleep(20000);
    int64_t before = clock_now_us();
    worker_close(w);
    assert_true(clock_now_us() - before < 3000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_wait_can_be_cancelled),
        cmocka_unit_test(a_late_cancel_hits_nobody_else),
        cmocka_unit_test(closing_does_not_wait_for_what_waits),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
