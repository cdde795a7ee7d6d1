/* Several requests at once give the replies that each gives alone, token for token and with the
 * same log probabilities, whatever joins, leaves, fails or has another adapter in between.
 *
 *   test_batch NANO TINY ADAPTERS [int8 | measure]
 *
 * int8: keys and values are kept in it. */
#include "actions/grammar.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/vlm.h"
#include "tests/unit/model/turn.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *nano_dir, *tiny_dir, *lora_dir, *kv;
static struct vlm *m;

#define N 11

static int setup(void **state)
{
    m = turn_model(nano_dir, &(struct vlm_options){.n_threads = 2, .n_ctx = 2048, .kv = kv});
    return 0;
}

static int teardown(void **state)
{
    vlm_close(m);
    return 0;
}

struct ask {
    struct turn turn;
    struct grammar_limits limits;
    struct grammar grammar;
    char text[3000];
};

/* Requests of different kinds and lengths; number 5 has a prompt of several chunks. */
static void ask_init(struct ask *a, int i, int patch_size)
{
    struct vlm_request *r = &a->turn.r;

    memset(a, 0, sizeof(*a));
    snprintf(a->text, sizeof(a->text), "Where is the button number %d?", i);
    for (int k = 0; i == 5 && k < 250; k++)
        snprintf(a->text + strlen(a->text), sizeof(a->text) - strlen(a->text), " row %d", k);
    turn_init(&a->turn, turn_noise(4 + 2 * (i % 3), 6, patch_size, (uint32_t)i + 1), a->text);
    if (i % 4 == 3)
        a->turn.message = (struct vlm_message){"user", &a->turn.parts[1], 1};
    a->limits = (struct grammar_limits){168, 168};
    a->grammar = grammar_action(&a->limits);
    r->logprobs = true;
    r->max_tokens = 8 + 13 * (i % 4);
    r->n_draft = -1;
    r->seed = 7919 * (uint64_t)(i + 1);
    if (i % 3 == 0)
        r->grammar = &a->grammar;
    if (i % 5 == 4) {
        r->temperature = 1.1f;
        r->top_p = 0.9f;
    }
}

static void same(const struct vlm_reply *a, const struct vlm_reply *b)
{
    assert_int_equal(a->n_prompt, b->n_prompt);
    assert_int_equal(a->n_generated, b->n_generated);
    assert_int_equal(a->stop, b->stop);
    for (int i = 0; i < a->n_generated; i++) {
        assert_int_equal(a->tokens[i].id, b->tokens[i].id);
        assert_true(fabsf(a->tokens[i].logprob - b->tokens[i].logprob) <= 1e-4f);
    }
    assert_string_equal(a->text, b->text);
}

static void run(int n_seqs)
{
    struct ask asks[N];
    struct vlm_reply want[N];
    int numbers[N], n_added = 0, n_done = 0;
    struct vlm_batch *b;
    struct err err = {0};

    for (int i = 0; i < N; i++) {
        ask_init(&asks[i], i, 14);
        want[i] = turn_reply(m, &asks[i].turn.r);
    }
    if (vlm_batch_new(m, n_seqs, 0, &b, &err) < 0)
        fail_msg("%s", err.text);
    while (n_done < N) {
        struct vlm_reply got;
        int number, i = 0;
        /* as many as there is room for: later ones join those that write */
        while (n_added < N &&
               (numbers[n_added] = vlm_batch_add(b, &asks[n_added].turn.r, &err)) > 0)
            n_added++;
        assert_true(n_added == N || numbers[n_added] == -EBUSY);
        int r = vlm_batch_next(b, &number, &got, &err);
        if (r != 1)
            fail_msg("%d: %s", r, err.text);
        while (i < n_added && numbers[i] != number)
            i++;
        assert_true(i < n_added);
        same(&want[i], &got);
        vlm_reply_done(&got);
        n_done++;
    }
    int number;
    struct vlm_reply none;
    assert_int_equal(vlm_batch_next(b, &number, &none, &err), 0);
    vlm_batch_free(b);
    for (int i = 0; i < N; i++) {
        vlm_reply_done(&want[i]);
        turn_done(&asks[i].turn);
    }
}

static void replies_are_those_of_separate_runs(void **state)
{
    run(1);
    run(3);
    run(N); /* more than one pass takes */
}

/* With guesses, alone and beside others, they are the same and cost fewer passes. */
static void guesses_change_no_token(void **state)
{
    struct ask a[3];
    struct vlm_reply want[3], got;
    struct vlm_batch *b;
    struct err err = {0};
    int number, n_accepted = 0;

    for (int i = 0; i < 3; i++) {
        ask_init(&a[i], 3 * i, 14); /* those with the grammar, which repeat the prompt's words */
        a[i].turn.r.max_tokens = 60;
        a[i].turn.r.temperature = 0;
        want[i] = turn_reply(m, &a[i].turn.r);
        a[i].turn.r.n_draft = 7;
    }
    assert_int_equal(vlm_batch_new(m, 3, 1024, &b, &err), 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++) {
            number = vlm_batch_add(b, &a[i].turn.r, &err);
            assert_true(number > 0);
            if (round == 1)
                continue;
            assert_int_equal(vlm_batch_next(b, &number, &got, &err), 1);
            same(&want[i], &got);
            n_accepted += got.n_accepted;
            vlm_reply_done(&got);
        }
        while (round == 1 && vlm_batch_next(b, &number, &got, &err) == 1) {
            same(&want[number - 4], &got);
            assert_true(got.n_accepted <= got.n_drafted);
            n_accepted += got.n_accepted;
            vlm_reply_done(&got);
        }
    }
    assert_true(n_accepted > 0);
    vlm_batch_free(b);
    for (int i = 0; i < 3; i++) {
        vlm_reply_done(&want[i]);
        turn_done(&a[i].turn);
    }
}

static void an_ended_one_leaves_its_prefix(void **state)
{
    struct ask a;
    struct vlm_reply y;
    struct vlm_batch *b;
    struct err err = {0};
    int number;

    ask_init(&a, 1, 14);
    assert_int_equal(vlm_batch_new(m, 2, 512, &b, &err), 0);
    for (int i = 0; i < 2; i++) {
        assert_true(vlm_batch_add(b, &a.turn.r, &err) > 0);
        assert_int_equal(vlm_batch_next(b, &number, &y, &err), 1);
        assert_int_equal(y.n_reused, i ? y.n_prompt - 1 : 0);
        vlm_reply_done(&y);
    }
    vlm_batch_free(b);
    turn_done(&a.turn);
}

struct canceller {
    struct vlm_batch *b;
    int number;
};

static void cancel(void *user, const char *text, size_t n)
{
    struct canceller *c = user;
    vlm_batch_cancel(c->b, c->number);
}

/* One is cancelled, one fails, one is freed in the middle: the others do not notice. */
static void what_happens_to_one_does_not_touch_the_others(void **state)
{
    struct ask a[4];
    struct vlm_reply want[4], y;
    struct canceller c;
    struct err err = {0};
    int number, r, seen = 0;

    for (int i = 0; i < 4; i++) {
        ask_init(&a[i], i + 1, 14);
        a[i].turn.r.max_tokens = 20 + i;
        want[i] = turn_reply(m, &a[i].turn.r);
    }
    assert_int_equal(vlm_batch_new(m, 4, 1024, &c.b, &err), 0);
    a[1].turn.r.on_text = cancel;
    a[1].turn.r.user = &c;
    for (int i = 0; i < 3; i++) {
        number = vlm_batch_add(c.b, &a[i].turn.r, &err);
        assert_int_equal(number, i + 1);
    }
    c.number = 2;
    a[3].turn.r.lora = "nobody";
    assert_int_equal(vlm_batch_add(c.b, &a[3].turn.r, &err), -ENOENT);
    while ((r = vlm_batch_next(c.b, &number, &y, &err)) == 1) {
        seen |= 1 << number;
        if (number == 2) {
            assert_int_equal(y.stop, VLM_STOP_CANCELLED);
            assert_true(y.n_text <= want[1].n_text);
            assert_memory_equal(y.text, want[1].text, y.n_text);
        } else {
            same(&want[number - 1], &y);
        }
        vlm_reply_done(&y);
    }
    assert_int_equal(r, 0);
    assert_int_equal(seen, 2 | 4 | 8);
    vlm_batch_cancel(c.b, 99);
    a[3].turn.r.lora = NULL;
    assert_true(vlm_batch_add(c.b, &a[3].turn.r, &err) > 0);
    vlm_batch_free(c.b); /* before it was read */
    for (int i = 0; i < 4; i++) {
        vlm_reply_done(&want[i]);
        turn_done(&a[i].turn);
    }
}

static void limits_are_told(void **state)
{
    struct ask a;
    struct vlm_batch *b;
    struct err err = {0};

    assert_int_equal(vlm_batch_new(m, 0, 0, &b, &err), -EINVAL);
    assert_int_equal(vlm_batch_new(m, 2, 1 << 20, &b, &err), -EINVAL);
    assert_int_equal(vlm_batch_new(m, 1, 64, &b, &err), 0);
    ask_init(&a, 5, 14);
    assert_int_equal(vlm_batch_add(b, &a.turn.r, &err), -E2BIG);
    assert_non_null(strstr(err.text, "64"));
    vlm_batch_free(b);
    turn_done(&a.turn);
}

/* Rows of one pass with different adapters, and with none. */
static void adapters_are_not_mixed(void **state)
{
    static const char *const names[] = {NULL, "text", "wide", "saved"};
    char *dirs[4];
    struct vlm_adapter adapters[3];
    struct vlm_options o = {.n_threads = 2, .precision = kv ? "bf16" : "f32", .kv = kv,
                            .adapters = adapters, .n_adapters = 3};
    struct ask a[8];
    struct vlm_reply want[8], y;
    struct vlm_batch *b;
    struct vlm *v;
    struct err err = {0};
    int number, n = 0;

    for (int i = 0; i < 3; i++) {
        dirs[i] = file_join(lora_dir, names[i + 1]);
        adapters[i] = (struct vlm_adapter){.dir = dirs[i]};
    }
    if (vlm_open(tiny_dir, &o, &v, &err) < 0 || vlm_batch_new(v, 8, 512, &b, &err) < 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < 8; i++) {
        ask_init(&a[i], i % 2, 4);
        a[i].turn.r.grammar = NULL;
        a[i].turn.r.temperature = 0;
        a[i].turn.r.max_tokens = 12;
        a[i].turn.r.lora = names[i % 4];
        a[i].turn.r.lora_scale = i < 6 ? 0 : 0.5f;
        want[i] = turn_reply(v, &a[i].turn.r);
    }
    for (int i = 0; i < 8; i++)
        assert_int_equal(vlm_batch_add(b, &a[i].turn.r, &err), i + 1);
    while (vlm_batch_next(b, &number, &y, &err) == 1) {
        same(&want[number - 1], &y);
        vlm_reply_done(&y);
        n++;
    }
    assert_int_equal(n, 8);
    vlm_batch_free(b);
    vlm_close(v);
    for (int i = 0; i < 8; i++) {
        vlm_reply_done(&want[i]);
        turn_done(&a[i].turn);
    }
    for (int i = 0; i < 3; i++)
        free(dirs[i]);
}

static int measure(void)
{
    struct ask a[8];
    struct vlm_reply y;
    struct vlm_batch *b;
    struct err err = {0};
    int number, n_tokens = 0;

    setup(NULL);
    if (vlm_batch_new(m, 8, 1024, &b, &err) < 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < 8; i++) {
        ask_init(&a[i], 8, 14);
        a[i].turn.r.grammar = NULL;
        a[i].turn.r.logprobs = false;
        a[i].turn.r.max_tokens = 200;
        a[i].turn.r.temperature = 1.5f;
        a[i].turn.r.seed = (uint64_t)i;
    }
    for (int round = 0; round < 3; round++) {
        int64_t start = clock_now_us(), alone_us, batch_us;
        n_tokens = 0;
        for (int i = 0; i < 8; i++) {
            y = turn_reply(m, &a[i].turn.r);
            n_tokens += y.n_generated;
            vlm_reply_done(&y);
        }
        alone_us = clock_now_us() - start;
        start = clock_now_us();
        for (int i = 0; i < 8; i++)
            vlm_batch_add(b, &a[i].turn.r, &err);
        while (vlm_batch_next(b, &number, &y, &err) == 1)
            vlm_reply_done(&y);
        batch_us = clock_now_us() - start;
        printf(
            "8 requests, %d tokens: one after the other %.1f ms, together %.1f ms (%.2f times)\n",
            n_tokens, (double)alone_us / 1e3, (double)batch_us / 1e3,
            (double)alone_us / (double)batch_us);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_those_of_separate_runs),
        cmocka_unit_test(guesses_change_no_token),
        cmocka_unit_test(an_ended_one_leaves_its_prefix),
        cmocka_unit_test(what_happens_to_one_does_not_touch_the_others),
        cmocka_unit_test(limits_are_told),
        cmocka_unit_test(adapters_are_not_mixed),
    };

    if (argc < 4)
        return 2;
    nano_dir = argv[1];
    tiny_dir = argv[2];
    lora_dir = argv[3];
    if (argc > 4 && strcmp(argv[4], "measure") == 0)
        return measure();
    kv = argc > 4 ? argv[4] : NULL;
    if (kv && !turn_has_bf16(nano_dir))
        return 77;
    return cmocka_run_group_tests_name("batch", tests, setup, teardown);
}
