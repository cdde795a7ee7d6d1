/* Adapters from the daemon's options to the answer of a job. */
#include "agent/agent.h"
#include "agent/worker.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "tests/unit/agent/answer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *tiny_dir, *lora_dir;

static void wake(void *user) {}

static uint64_t submit(struct worker *w, const char *lora, float scale, int max_tokens)
{
    struct job j = {.kind = JOB_ASK,
                    .text = mem_strdup("What is this?"),
                    .max_tokens = max_tokens,
                    .lora = mem_strdup(lora),
                    .lora_scale = scale};
    assert_int_equal(frame_alloc(&j.frame, 112, 112), 0);
    memset(j.frame.rgb, 90, 112 * 112 * 3);
    return worker_submit(w, &j);
}

static struct news *ask(struct worker *w, const char *lora, float scale)
{
    return answer_of(w, submit(w, lora, scale, 20));
}

static struct worker *worker_with_two(int n_together)
{
    AUTO_FREE char *text = file_join(lora_dir, "text");
    AUTO_FREE char *wide = file_join(lora_dir, "wide");
    struct vlm_adapter adapters[] = {{.dir = text, .name = "mine"}, {.dir = wide}};
    struct vlm_options o = {.n_threads = 2, .adapters = adapters, .n_adapters = 2};
    struct worker *w = NULL;
    struct err err = {0};
    if (worker_open(tiny_dir, &o, n_together, wake, NULL, &w, &err) < 0)
        fail_msg("%s", err.text);
    return w;
}

static void a_job_names_its_adapter(void **state)
{
    struct worker *w = worker_with_two(0);
    struct news *plain = ask(w, NULL, 0), *mine = ask(w, "mine", 0), *other = ask(w, "wide", 0);
    struct news *again = ask(w, NULL, 0), *scaled = ask(w, "wide", 0.01f),
                *none = ask(w, "text", 0);
    assert_int_equal(plain->kind, NEWS_DONE);
    assert_int_equal(mine->kind, NEWS_DONE);
    assert_string_equal(plain->text, again->text);
    assert_string_not_equal(plain->text, mine->text);
    assert_string_not_equal(plain->text, other->text);
    assert_string_not_equal(scaled->text, other->text);
    assert_int_equal(none->kind, NEWS_FAILED);
    assert_int_equal(none->code, -ENOENT);
    assert_non_null(strstr(none->text, "mine, wide"));
    news_free(plain);
    news_free(mine);
    news_free(other);
    news_free(again);
    news_free(scaled);
    news_free(none);
    worker_close(w);
}

enum { N_JOBS = 6, N_TOKENS = 150 };

/* Submits jobs with the adapters in turn, the first `n_at_once` before anything is read, and takes
 * their answers. Returns how often a piece of one came between two pieces of another. */
static int answers_of(struct worker *w, int n, int n_at_once, char *ret_texts[])
{
    static const char *const names[] = {"mine", "wide", NULL};
    uint64_t ids[N_JOBS], last = 0;
    bool seen[N_JOBS] = {false};
    int64_t until = clock_now_us() + 60000000;
    int n_submitted = 0, n_done = 0, n_changes = 0;
    while (n_done < n) {
        while (n_submitted < n && n_submitted - n_done < n_at_once) {
            ids[n_submitted] = submit(w, names[n_submitted % 3], 0, N_TOKENS);
            n_submitted++;
        }
        struct news *news = worker_news(w);
        assert_true(clock_now_us() < until);
        if (!news) {
            usleep(500);
            continue;
        }
        int i = 0;
        while (i < n_submitted && ids[i] != news->job)
            i++;
        assert_true(i < n_submitted);
        if (news->kind == NEWS_TEXT) {
            n_changes += seen[i] && news->job != last;
            seen[i] = true;
            last = news->job;
        } else {
            assert_int_equal(news->kind, NEWS_DONE);
            assert_in_range(news->timing.n_generated, 20, N_TOKENS);
            ret_texts[i] = mem_strdup(news->text);
            n_done++;
        }
        news_free(news);
    }
    return n_changes;
}

/* Two with each adapter and two with none write a piece each in turn, and none takes on anything of
 * another's. */
static void adapters_write_side_by_side(void **state)
{
    static const int at_once[] = {2, 4, N_JOBS};
    char *alone[N_JOBS] = {0}, *texts[N_JOBS];
    struct worker *w = worker_with_two(N_JOBS);
    assert_int_equal(answers_of(w, N_JOBS, 1, alone), 0);
    for (int i = 3; i < N_JOBS; i++)
        assert_string_equal(alone[i], alone[i - 3]);
    assert_string_not_equal(alone[0], alone[1]);
    assert_string_not_equal(alone[0], alone[2]);
    assert_string_not_equal(alone[1], alone[2]);
    for (size_t k = 0; k < N_ELEMENTS(at_once); k++) {
        assert_true(answers_of(w, N_JOBS, at_once[k], texts) > 40);
        for (int i = 0; i < N_JOBS; i++) {
            assert_string_equal(texts[i], alone[i]);
            free(texts[i]);
        }
    }
    for (int i = 0; i < N_JOBS; i++)
        free(alone[i]);
    worker_close(w);
}

static int open_with(const char *const *adapters, int n, struct err *err)
{
    char state[] = "/tmp/deskhand-adapter-XXXXXX";
    struct agent_options o = {
        .model_dir = tiny_dir, .display = ":65000", .n_threads = 1, .n_adapters = n};
    struct agent *a = NULL;
    assert_non_null(mkdtemp(state));
    o.state_dir = state;
    for (int i = 0; i < n; i++)
        o.adapters[i] = adapters[i];
    int rc = agent_open(&o, &a, err);
    if (rc == 0)
        agent_close(a);
    AUTO_FREE char *command = NULL;
    assert_true(asprintf(&command, "rm -r %s", state) > 0);
    assert_int_equal(system(command), 0);
    return rc;
}

static void options_name_adapters(void **state)
{
    AUTO_FREE char *text = file_join(lora_dir, "text");
    char named[512], twice[512];
    struct err err = {0};
    snprintf(named, sizeof named, "x=%s/text", lora_dir);
    snprintf(twice, sizeof twice, "x=%s/wide", lora_dir);
    const char *good[] = {named, text}, *bad[] = {named, twice}, *gone[] = {"x=/nowhere"};
    if (open_with(good, 2, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(open_with(bad, 2, &err) < 0);
    assert_non_null(strstr(err.text, "called x"));
    assert_true(open_with(gone, 1, &err) < 0);
    assert_non_null(strstr(err.text, "/nowhere/adapter_config.json"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_names_its_adapter),
        cmocka_unit_test(adapters_write_side_by_side),
        cmocka_unit_test(options_name_adapters),
    };
    if (argc != 3)
        return 2;
    tiny_dir = argv[1];
    lora_dir = argv[2];
    return cmocka_run_group_tests_name("adapter", tests, NULL, NULL);
}
