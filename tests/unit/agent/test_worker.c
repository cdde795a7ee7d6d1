/* agent/worker.c: several jobs run together, each as if alone, and a cancel reaches the job that it
 * names, however many wait, and no other. */
#include "agent/prompt.h"
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
static const char *tiny_dir;

static void wake(void *user)
{
}

/* Jobs of every kind, on pictures of their own. */
static uint64_t submit_kind(int i)
{
    static const enum job_kind kinds[] = {JOB_STEP, JOB_GROUND, JOB_ASK, JOB_GROUND};
    struct str text = {0};
    struct job j = {.kind = kinds[i % 4], .max_tokens = 48, .n_looks = i == 4 ? 3 : 1,
                    .zoom = i % 4 == 3};
    if (j.kind == JOB_STEP)
        prompt_agent("Press the button.", i < 4 ? "" : "Step 0: {\"action\": \"wait\"}.", &text);
    else
        prompt_ground("the button", &text);
    j.text = str_take(&text);
    assert_int_equal(frame_alloc(&j.frame, 448, 336 + 28 * (i % 3)), 0);
    for (int y = 0; y < j.frame.h; y++)
        for (int x = 0; x < j.frame.w; x++)
            memset(j.frame.rgb + ((size_t)y * 448 + (size_t)x) * 3,
                   x / 100 == i % 4 && y / 50 == 2 ? 40 : 220, 3);
    j.frame.screen = (struct rect){0, 0, j.frame.w, j.frame.h};
    return worker_submit(w, &j);
}

#define N_JOBS 10

/* Takes news until n jobs have had their last word, in `last` by the order of asking. */
static void collect(const uint64_t *jobs, int n, struct news **last, char *order)
{
    int64_t until = clock_now_us() + 300000000; /* under ThreadSanitizer */
    for (int n_left = n; n_left > 0;) {
        struct news *news = worker_news(w);
        assert_true(clock_now_us() < until);
        if (!news) {
            usleep(1000);
            continue;
        }
        for (int i = 0; i < n && news && news->kind != NEWS_TEXT; i++) {
            if (jobs[i] != news->job)
                continue;
            assert_null(last[i]);
            last[i] = news;
            news = NULL;
            if (order)
                order[n - n_left] = (char)('a' + i);
            n_left--;
        }
        news_free(news);
    }
}

static void jobs_together_answer_as_alone(void **state)
{
    struct news *alone[N_JOBS] = {0}, *together[N_JOBS] = {0};
    uint64_t jobs[N_JOBS];
    for (int i = 0; i < N_JOBS; i++) {
        uint64_t one = submit_kind(i);
        collect(&one, 1, &alone[i], NULL);
    }
    for (int i = 0; i < N_JOBS; i++)
        jobs[i] = submit_kind(i);
    collect(jobs, N_JOBS, together, NULL);
    for (int i = 0; i < N_JOBS; i++) {
        struct news *a = alone[i], *b = together[i];
        assert_int_equal(a->kind, NEWS_DONE);
        assert_int_equal(b->kind, NEWS_DONE);
        assert_string_equal(a->text, b->text);
        assert_int_equal(a->zoomed, b->zoomed);
        assert_memory_equal(&a->screen, &b->screen, sizeof a->screen);
        assert_int_equal(a->timing.n_generated, b->timing.n_generated);
        news_free(a);
        news_free(b);
    }
}

static uint64_t submit(int max_tokens);

/* The random weights of the tiny model never end a turn. */
static void a_short_one_does_not_wait_for_a_long_one(void **state)
{
    struct worker *nano = w;
    struct vlm_options o = {.n_threads = 2};
    struct news *last[3] = {0};
    struct err err = {0};
    char order[4] = "";
    if (worker_open(tiny_dir, &o, 3, wake, NULL, &w, &err) < 0)
        fail_msg("%s", err.text);
    uint64_t jobs[3] = {submit(3000), submit(3000), submit(3)};
    /* the long ones run for as long as nobody ends them, and one ends without the other */
    collect(jobs + 2, 1, last + 2, NULL);
    worker_cancel(w, jobs[1]);
    collect(jobs, 2, last, order);
    assert_string_equal(order, "ba");
    assert_false(last[2]->cancelled);
    assert_int_equal(last[2]->timing.n_generated, 3);
    assert_true(last[1]->cancelled);
    assert_false(last[0]->cancelled);
    assert_true(last[0]->timing.n_generated > last[1]->timing.n_generated);
    assert_memory_equal(last[0]->text, last[1]->text, strlen(last[1]->text));
    for (int i = 0; i < 3; i++)
        news_free(last[i]);
    worker_close(w);
    w = nano;
}

static int setup(void **state)
{
    struct vlm_options o = {.n_threads = 2};
    struct err err = {0};
    if (worker_open(DESKHAND_TEST_MODEL, &o, 0, wake, NULL, &w, &err) < 0)
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
    uint64_t jobs[WORKER_WAITING_MAX - 1];
    struct news *last[N_ELEMENTS(jobs)] = {0};
    for (size_t i = 0; i < N_ELEMENTS(jobs); i++)
        jobs[i] = submit(64);
    for (size_t i = 1; i < N_ELEMENTS(jobs); i++)
        worker_cancel(w, jobs[i]);
    collect(jobs, N_ELEMENTS(jobs), last, NULL);
    for (size_t i = 0; i < N_ELEMENTS(jobs); i++) {
        assert_int_equal(last[i]->kind, NEWS_DONE);
        assert_int_equal(last[i]->cancelled, i > 0);
        news_free(last[i]);
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_together_answer_as_alone),
        cmocka_unit_test(a_short_one_does_not_wait_for_a_long_one),
        cmocka_unit_test(all_that_wait_can_be_cancelled),
        cmocka_unit_test(a_late_cancel_hits_nobody_else),
        cmocka_unit_test(closing_does_not_wait_for_what_waits),
    };
    if (argc != 2)
        return 2;
    tiny_dir = argv[1];
    return cmocka_run_group_tests(tests, setup, NULL);
}
