/* Many steps of the whole line (capture, engine, parser, policy, dry hand, journal) must not make
 * the process grow. DESKHAND_SOAK_STEPS sets how many (1000 takes some minutes); the default is
 * enough to see a leak of one picture. */
#include "agent/agent.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/x11/xvfb.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static int wake_fd;
static int n_steps;
static bool ended;

static void wake(void *user)
{
    uint64_t one = 1;
    assert_int_equal(write(wake_fd, &one, sizeof one), sizeof one);
}

static void on_event(void *user, const char *method, json_t *params)
{
    const char *state = json_string_value(json_object_get(params, "state"));
    if (strcmp(method, "effect") == 0)
        n_steps++;
    if (strcmp(method, "state") == 0 && strcmp(state, "running") != 0)
        ended = true;
}

static void on_reply(void *cookie, json_t *id, json_t *result, int code, const char *text)
{
    if (code)
        fail_msg("%s", text);
    json_decref(result);
}

static long rss_kb(void)
{
    long pages = 0, skip;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &skip, &pages), 2);
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void run_task(struct agent *a, int i)
{
    char goal[128];
    snprintf(goal, sizeof goal, "Click button %d, then type text %d and press Enter", i, i * 7919);
    json_t *params = json_pack("{s:s, s:b, s:i}", "goal", goal, "dry_run", 1, "max_steps", 8);
    ended = false;
    agent_request(a, "start", params, NULL, AGENT_PROGRAM, on_reply, NULL);
    json_decref(params);
    int64_t deadline = clock_now_us() + 120000000;
    while (!ended) {
        int64_t now = clock_now_us(), next = agent_service(a, now);
        assert_true(now < deadline);
        struct pollfd fds[] = {{.fd = wake_fd, .events = POLLIN},
                               {.fd = agent_fd(a), .events = POLLIN}};
        int wait_ms = next < 0 ? 1000 : next > now ? (int)((next - now + 999) / 1000) : 0;
        poll(fds, 2, MIN(wait_ms, 1000));
        uint64_t n;
        if (fds[0].revents && read(wake_fd, &n, sizeof n) < 0)
            fail();
    }
}

static void steps_do_not_grow_the_process(void **state)
{
    const char *wanted = getenv("DESKHAND_SOAK_STEPS");
    int n = wanted ? atoi(wanted) : 60;
    struct xvfb x;
    assert_true(xvfb_start(&x, 448, 336, 24, NULL));
    char dir[] = "/tmp/deskhand-soak-XXXXXX";
    assert_non_null(mkdtemp(dir));
    wake_fd = eventfd(0, EFD_CLOEXEC);
    struct agent_options o = {.model_dir = DESKHAND_TEST_MODEL,
                              .display = x.display,
                              .state_dir = dir,
                              .dry_run = true,
                              .on_event = on_event,
                              .wake = wake};
    struct agent *a;
    struct err err = {0};
    if (agent_open(&o, &a, &err) < 0)
        fail_msg("%s", err.text);
    int i = 0;
    while (n_steps < n / 3) /* caches fill */
        run_task(a, i++);
    /* Flat, however many steps: one leaked 448x336 picture a step would be 440 KiB each. What grows
     * once (a buffer for the first larger look, pages that the kernel joins) grows no more. */
    long grown = 4096;
    for (int round = 0; round < (SANITIZED ? 1 : 3) && grown >= 4096; round++) {
        long before = rss_kb();
        int from = n_steps;
        while (n_steps < from + n * 2 / 3)
            run_task(a, i++);
        grown = rss_kb() - before;
        printf("%d steps in %d tasks: %ld KiB, %+ld KiB over the last %d steps\n", n_steps, i,
               rss_kb(), grown, n_steps - from);
    }
    assert_true(SANITIZED || grown < 4096);
    agent_close(a);
    close(wake_fd);
    xvfb_stop(&x);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps_do_not_grow_the_process)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
