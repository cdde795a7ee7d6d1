/* Adapters from the daemon's options to the answer of a job. */
#include "agent/agent.h"
#include "agent/worker.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

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

static struct news *ask(struct worker *w, const char *lora, float scale)
{
    struct job j = {.kind = JOB_ASK,
                    .text = mem_strdup("What is this?"),
                    .max_tokens = 20,
                    .lora = mem_strdup(lora),
                    .lora_scale = scale};
    int64_t until = clock_now_us() + 60000000;
    assert_int_equal(frame_alloc(&j.frame, 112, 112), 0);
    memset(j.frame.rgb, 90, 112 * 112 * 3);
    uint64_t id = worker_submit(w, &j);
    for (;;) {
        struct news *n = worker_news(w);
        assert_true(clock_now_us() < until);
        if (n && n->kind != NEWS_TEXT && n->job == id)
            return n;
        if (!n)
            usleep(1000);
        news_free(n);
    }
}

static void a_job_names_its_adapter(void **state)
{
    AUTO_FREE char *text = file_join(lora_dir, "text");
    AUTO_FREE char *wide = file_join(lora_dir, "wide");
    struct vlm_adapter adapters[] = {{.dir = text, .name = "mine"}, {.dir = wide}};
    struct vlm_options o = {.n_threads = 2, .adapters = adapters, .n_adapters = 2};
    struct worker *w;
    struct err err = {0};
    if (worker_open(tiny_dir, &o, 0, wake, NULL, &w, &err) < 0)
        fail_msg("%s", err.text);
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
        cmocka_unit_test(options_name_adapters),
    };
    if (argc != 3)
        return 2;
    tiny_dir = argv[1];
    lora_dir = argv[2];
    return cmocka_run_group_tests_name("adapter", tests, NULL, NULL);
}
