/* Guessing ahead never changes a reply: steps of the agent with and without it, token by token,
 * free and under the grammar, greedy and drawn.
 *
 *   test_spec NANO [int8 | measure [BACKEND]]
 *
 * int8: keys and values are kept in it. */
#include "actions/grammar.h"
#include "base/clock.h"
#include "base/mem.h"
#include "model/draft.h"
#include "model/vlm.h"
#include "tests/golden/screen.h"
#include "tests/unit/model/turn.h"
#include "vision/patch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *dir, *backend, *kv;
static struct vlm *m;

#define AGENT                                                                                      \
    "You are a GUI agent. You will be provided with a screenshot, a goal, and your action "        \
    "history. You need to perform the next action to complete the task.\n\n## Action Space\n"      \
    "{\"action\": \"click\", \"start_point\": [x,y]}\n{\"action\": \"drag\", \"start_point\": "    \
    "[x,y], \"end_point\": [x,y]}\n{\"action\": \"input\", \"text\": \"text\"}\n{\"action\": "     \
    "\"press\", \"keys\": [key1, key2, ...]}\n{\"action\": \"wait\"}\n{\"action\": \"finished\", " \
    "\"status\": \"status\"}\n\n## Goal\n%s\n\n## Previous Actions\n%s\n\nNow, output the next "   \
    "action in json format [{\"action\": \"{action_name}\"}, ...]."

static const char *const goals[] = {
    "Type \"mountain lake\" into the field Destination and press OK.",
    "Enter Ada Lovelace into the field Name.",
    "Open the file quarterly-report-2024.pdf.",
    "Write Hello world, how are you today? into the message field, then click Send.",
    "Click the button Cancel.",
    "Search for the word 'threshold' in the document.",
};

static int setup(void **state)
{
    m = turn_model(dir, &(struct vlm_options){.n_threads = 2, .backend = backend, .kv = kv});
    return 0;
}

static int teardown(void **state)
{
    vlm_close(m);
    return 0;
}

struct step {
    struct turn turn;
    struct grammar_limits limits;
    struct grammar grammar;
    char text[2048];
};

static void step_init(struct step *s, int i)
{
    struct frame f = golden_screen(420, 308, (uint32_t)i + 1);
    struct patches picture;
    struct err err = {0};

    memset(s, 0, sizeof(*s));
    if (patch_from_frame(&f, vlm_image_spec(m), &picture, &s->limits.image_w, &s->limits.image_h,
                         &err) < 0)
        fail_msg("%s", err.text);
    frame_done(&f);
    snprintf(s->text, sizeof(s->text), AGENT, goals[i % (int)N_ELEMENTS(goals)],
             i % 2 ? "Step 0: {\"action_name\": \"click\", \"start_point\": [120, 61]}."
                     "Step 1: {\"action_name\": \"input\", \"text\": \"mountain lake\"}."
                   : "None");
    s->grammar = grammar_action(&s->limits);
    turn_init(&s->turn, picture, s->text);
    s->turn.r.max_tokens = 120;
    s->turn.r.grammar = &s->grammar;
    s->turn.r.logprobs = true;
}

/* Returns the number of right guesses. */
static int same_either_way(const struct vlm_request *r)
{
    struct vlm_request plain = *r, guessing = *r;

    guessing.n_draft = 7; /* on every backend, whatever its default is */
    plain.n_draft = -1;
    /* The prompt is in the cache for both: many rows together are rounded differently in f32. */
    struct vlm_request first = plain;
    first.max_tokens = 1;
    struct vlm_reply warm = turn_reply(m, &first);
    vlm_reply_done(&warm);
    struct vlm_reply a = turn_reply(m, &plain), b = turn_reply(m, &guessing);
    assert_int_equal(a.n_drafted, 0);
    assert_int_equal(a.n_generated, b.n_generated);
    for (int i = 0; i < a.n_generated; i++) {
        assert_int_equal(a.tokens[i].id, b.tokens[i].id);
        /* to the bit: not even a draw with temperature may fall otherwise */
        if (a.tokens[i].logprob != b.tokens[i].logprob)
            fail_msg("token %d: log probability %.9g and %.9g", i, (double)a.tokens[i].logprob,
                     (double)b.tokens[i].logprob);
    }
    assert_string_equal(a.text, b.text);
    assert_int_equal(a.stop, b.stop);
    assert_int_equal(a.n_think, b.n_think);
    assert_in_range(b.n_accepted, 0, b.n_drafted);
    int n = b.n_accepted;
    vlm_reply_done(&a);
    vlm_reply_done(&b);
    return n;
}

static void guesses_change_no_token_on(const char *name, int n_steps)
{
    struct vlm *old = m;
    struct vlm_options o = {.n_threads = 2, .backend = name, .kv = kv};
    struct err err = {0};
    int n_right = 0;

    int r = vlm_open(dir, &o, &m, &err);
    if (r == -ENOTSUP) /* this CPU has no such instructions */
        return;
    if (r < 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < n_steps; i++) {
        struct step s;
        step_init(&s, i);
        n_right += same_either_way(&s.turn.r); /* greedy, under the grammar */
        s.turn.r.grammar = NULL;
        n_right += same_either_way(&s.turn.r);
        s.turn.r.temperature = 0.8f;
        s.turn.r.top_p = 0.95f;
        s.turn.r.seed = (uint64_t)i + 1;
        n_right += same_either_way(&s.turn.r);
        s.turn.r.grammar = &s.grammar;
        s.turn.r.max_think_tokens = 4;
        n_right += same_either_way(&s.turn.r);
        turn_done(&s.turn);
    }
    assert_true(n_right > 10 * n_steps);
    vlm_close(m);
    m = old;
}

static void guesses_change_no_token(void **state)
{
    guesses_change_no_token_on(NULL, 12);
    if (kv) /* in bf16 only */
        return;
    guesses_change_no_token_on("avx512", 4);
    guesses_change_no_token_on("avx2", 2);
    guesses_change_no_token_on("generic", 1);
}

/* A reply that ends inside a guess leaves nothing behind that the next one would see. */
static void wrong_guesses_leave_no_trace(void **state)
{
    struct step s;

    step_init(&s, 3);
    for (int n = 5; n < 60; n += 7) {
        s.turn.r.max_tokens = n;
        struct vlm_reply cut = turn_reply(m, &s.turn.r);
        vlm_reply_done(&cut);
        s.turn.r.max_tokens = 120;
        same_either_way(&s.turn.r);
    }
    turn_done(&s.turn);
}

static void a_full_context_ends_guessing(void **state)
{
    struct vlm *old = m;
    struct step s;

    step_init(&s, 0);
    s.turn.r.grammar = NULL;
    s.turn.r.prefill = "{\"action\": \"click\", \"start_point\": [x,y]}\n{\"action\": \"";
    struct vlm_reply whole = turn_reply(m, &s.turn.r);
    int n_ctx = whole.n_prompt + 17;
    vlm_reply_done(&whole);
    m = turn_model(dir, &(struct vlm_options){.n_threads = 2, .n_ctx = n_ctx, .kv = kv});
    s.turn.r.max_tokens = 500;
    same_either_way(&s.turn.r);
    vlm_close(m);
    m = old;
    turn_done(&s.turn);
}

static void the_latest_and_longest_ending_is_guessed_from(void **state)
{
    static const int32_t said[] = {1, 2, 3, 4, 5, 9, 2, 3, 7, 8, 6, 1, 2, 3};
    struct draft d = {0};
    int32_t got[DRAFT_MAX];

    draft_add(&d, said, (int)N_ELEMENTS(said));
    assert_int_equal(draft_guess(&d, 3, got), 3); /* 1 2 3 beats the later 2 3 */
    assert_int_equal(got[0], 4);
    assert_int_equal(got[2], 9);
    draft_learn(&d, 0, 3);
    assert_int_equal(draft_guess(&d, 3, got), 1);
    draft_learn(&d, 1, 1);
    assert_int_equal(draft_guess(&d, 9, got), 2);
    draft_keep(&d, 8); /* 2 3 7 8 6 1 2 3 */
    assert_int_equal(draft_guess(&d, 1, got), 1);
    assert_int_equal(got[0], 7);
    draft_keep(&d, 2);
    assert_int_equal(draft_guess(&d, 7, got), 0);
    draft_done(&d);
    assert_int_equal(draft_guess(&d, 7, got), 0);
}

/* Every round has an engine of its own, so that no reply is guessed from an earlier run of itself.
 */
static int measure(void)
{
    enum { N = 24, ROUNDS = 3 };
    int n_tokens = 0, n_drafted = 0, n_accepted = 0;
    int64_t best[2][N], us[2] = {0, 0};

    for (int k = 0; k < 2 * ROUNDS; k++) {
        setup(NULL);
        for (int i = 0; i < N; i++) {
            struct step s;
            step_init(&s, i);
            s.turn.r.logprobs = false;
            s.turn.r.n_draft = k % 2 ? 7 : -1;
            struct vlm_reply y = turn_reply(m, &s.turn.r);
            best[k % 2][i] = k < 2 ? y.decode_us : MIN(best[k % 2][i], y.decode_us);
            if (k == 1) {
                n_tokens += y.n_generated;
                n_drafted += y.n_drafted;
                n_accepted += y.n_accepted;
            }
            vlm_reply_done(&y);
            turn_done(&s.turn);
        }
        teardown(NULL);
    }
    for (int i = 0; i < N; i++) {
        us[0] += best[0][i];
        us[1] += best[1][i];
    }
    printf("%d tokens: %d guessed, %d right; plain %.1f ms, with guesses %.1f ms (%.2f times)\n",
           n_tokens, n_drafted, n_accepted, (double)us[0] / 1e3, (double)us[1] / 1e3,
           (double)us[0] / (double)us[1]);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guesses_change_no_token),
        cmocka_unit_test(wrong_guesses_leave_no_trace),
        cmocka_unit_test(a_full_context_ends_guessing),
        cmocka_unit_test(the_latest_and_longest_ending_is_guessed_from),
    };

    if (argc < 2)
        return 2;
    dir = argv[1];
    backend = argc > 3 ? argv[3] : NULL;
    if (argc > 2 && strcmp(argv[2], "measure") == 0)
        return measure();
    kv = argc > 2 ? argv[2] : NULL;
    if (kv && !turn_has_bf16(dir))
        return 77;
    return cmocka_run_group_tests_name("spec", tests, setup, teardown);
}
