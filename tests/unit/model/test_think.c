/* Thinking: where a thought begins and ends, how "no thought" is said, and that a budget closes the
 * thought with the tokens the model would have written, also under the grammar of actions. */
#include "actions/action.h"
#include "actions/grammar.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/think.h"
#include "model/vlm.h"
#include "tests/unit/model/turn.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *nano_dir, *tiny_dir;
static struct vlm *nano;

static struct vlm *open_dir(const char *dir, enum vlm_no_think how)
{
    return turn_model(dir, &(struct vlm_options){.n_threads = 2, .no_think = how, .n_ctx = 1024});
}

static int setup(void **state)
{
    nano = open_dir(nano_dir, VLM_NO_THINK_AUTO);
    return 0;
}

static int teardown(void **state)
{
    vlm_close(nano);
    return 0;
}

static void tags_are_found_in_any_cut(void **state)
{
    static const struct {
        const char *text;
        enum think_place place;
    } rows[] = {
        {"", THINK_BEFORE},
        {" \n<thi", THINK_BEFORE},
        {"<think>", THINK_INSIDE},
        {"\n <think>a < b </thin </ /think>", THINK_INSIDE},
        {"<think><</think>", THINK_AFTER},
        {"<think></</think>x", THINK_AFTER},
        {"<think>\n</think>\n\n{}", THINK_AFTER},
        {"well <think>", THINK_AFTER},
        {"<<think>", THINK_AFTER},
        {"<thinking>", THINK_AFTER},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        size_t n = strlen(rows[i].text);
        for (size_t cut = 0; cut <= n; cut++) {
            struct think t = {0};
            think_feed(&t, rows[i].text, cut);
            think_feed(&t, rows[i].text + cut, n - cut);
            if (t.place != rows[i].place)
                fail_msg("\"%s\" cut at %zu ends in place %d", rows[i].text, cut, t.place);
        }
    }
}

/* The prompt as text, control tokens written out. */
static char *prompt_of(struct vlm *m, const struct vlm_request *r)
{
    AUTO_FREE int32_t *ids = NULL, *pos = NULL;
    struct err err = {0};
    int n;

    if (vlm_prompt(m, r, &ids, &pos, &n, &err) < 0)
        fail_msg("%s", err.text);
    return vlm_detokenize(m, ids, n, false);
}

#define SYSTEM "<|im_start|>system\nYou are MiMo, an AI assistant developed by Xiaomi.<|im_end|>\n"

static void no_thought_is_said_in_the_words_of_the_release(void **state)
{
    static const struct {
        enum vlm_no_think how;
        const char *last, *prefill, *prompt;
    } rows[] = {
        {VLM_NO_THINK_NONE, "Go", NULL, "Go<|im_end|>\n<|im_start|>assistant\n"},
        {VLM_NO_THINK_SUFFIX, "Go", NULL, "Go /no_think<|im_end|>\n<|im_start|>assistant\n"},
        {VLM_NO_THINK_SUFFIX, "Go /no_think", NULL,
         "Go /no_think<|im_end|>\n<|im_start|>assistant\n"},
        {VLM_NO_THINK_PREFILL, "Go", NULL,
         "Go<|im_end|>\n<|im_start|>assistant\n<think>\n</think>\n\n"},
        {VLM_NO_THINK_PREFILL, "Go", "Yes",
         "Go<|im_end|>\n<|im_start|>assistant\n<think>\n</think>\n\nYes"},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct vlm *m = open_dir(tiny_dir, rows[i].how);
        struct vlm_part a = {VLM_TEXT, "Hi", NULL}, b = {VLM_TEXT, "Hello", NULL},
                        c = {VLM_TEXT, rows[i].last, NULL};
        struct vlm_message messages[] = {{"user", &a, 1}, {"assistant", &b, 1}, {"user", &c, 1}};
        struct vlm_request r = {.messages = messages,
                                .n_messages = 3,
                                .prefill = rows[i].prefill,
                                .think = VLM_THINK_OFF};
        char want[512];
        snprintf(want, sizeof(want),
                 SYSTEM "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
                        "<|im_start|>user\n%s",
                 rows[i].prompt);
        AUTO_FREE char *got = prompt_of(m, &r);
        assert_string_equal(got, want);
        /* and when a thought is welcome nothing changes */
        r.think = VLM_THINK_FREE;
        AUTO_FREE char *free_prompt = prompt_of(m, &r);
        assert_true(strcmp(rows[i].last, "Go") != 0 || !strstr(free_prompt, "think"));
        vlm_close(m);
    }
}

static void the_word_comes_behind_a_picture(void **state)
{
    struct vlm *m = open_dir(tiny_dir, VLM_NO_THINK_SUFFIX);
    struct patches p = {1, 2, 2, 1, 4, 2, 0, mem_aligned(sizeof(float) * 4 * 48), 1};
    struct vlm_part parts[] = {{VLM_TEXT, "Look", NULL}, {VLM_IMAGE, NULL, &p}};
    struct vlm_message message = {"user", parts, 2};
    struct vlm_request r = {.messages = &message, .n_messages = 1, .think = VLM_THINK_OFF};

    AUTO_FREE char *got = prompt_of(m, &r);
    assert_non_null(strstr(got, "<|vision_end|> /no_think<|im_end|>\n"));
    patches_done(&p);
    vlm_close(m);
}

/* The folder's real path names the release, also from inside a Hugging Face cache. */
static void the_release_is_known_by_its_name(void **state)
{
    static const struct {
        const char *path;
        bool suffix, prefill;
    } rows[] = {
        {"MiMo-VL-7B-RL-2508", true, false},
        {"models--XiaomiMiMo--MiMo-VL-7B-SFT-2508/snapshots/abc", true, false},
        {"mimo-vl-7b-sft", false, true},
        {"nano", false, false},
        {"other-2508", false, false},
    };
    static const char *const files[] = {"config.json", "generation_config.json",
                                        "preprocessor_config.json", "tokenizer.json",
                                        "model.safetensors"};
    char top[] = "/tmp/vlm_think_XXXXXX";
    struct err err = {0};

    assert_non_null(mkdtemp(top));
    AUTO_FREE char *real = realpath(tiny_dir, NULL);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        AUTO_FREE char *dir = file_join(top, rows[i].path);
        if (file_mkdirs(dir, 0700, &err) < 0)
            fail_msg("%s", err.text);
        for (size_t k = 0; k < N_ELEMENTS(files); k++) {
            AUTO_FREE char *from = file_join(real, files[k]);
            AUTO_FREE char *to = file_join(dir, files[k]);
            assert_int_equal(symlink(from, to), 0);
        }
        struct vlm *m = open_dir(dir, VLM_NO_THINK_AUTO);
        struct vlm_part part = {VLM_TEXT, "Go", NULL};
        struct vlm_message message = {"user", &part, 1};
        struct vlm_request r = {.messages = &message, .n_messages = 1, .think = VLM_THINK_OFF};
        AUTO_FREE char *got = prompt_of(m, &r);
        assert_int_equal(strstr(got, " /no_think<|im_end|>") != NULL, rows[i].suffix);
        assert_int_equal(strstr(got, "<think>\n</think>\n\n") != NULL, rows[i].prefill);
        vlm_close(m);
    }
    AUTO_FREE char *command = NULL;
    assert_true(asprintf(&command, "rm -r %s", top) > 0);
    assert_int_equal(system(command), 0);
}

/* Anything, without an end. */
static void ramble_start(const void *data, void *state) {}

static bool ramble_step(const void *data, void *state, uint8_t byte)
{
    return true;
}

static bool ramble_end(const void *data, const void *state)
{
    return false;
}

static const struct grammar ramble = {0, NULL, ramble_start, ramble_step, ramble_end, ramble_end};

/* A thought that is cut and goes on is the same as a prompt that ends where it was closed. False:
 * the text is not read back as the tokens that were said, so that the two cannot be compared. */
static bool closes_as_if_prompted(const char *prefill, int budget, int n_draft)
{
    struct vlm_part part = {VLM_TEXT, "Where is the button?", NULL};
    struct vlm_message message = {"user", &part, 1};
    struct vlm_request r = {.messages = &message,
                            .n_messages = 1,
                            .prefill = prefill,
                            .grammar = &ramble,
                            .max_tokens = 60,
                            .max_think_tokens = budget,
                            .n_draft = n_draft,
                            .logprobs = true};
    struct err err = {0};
    struct vlm_reply a = turn_reply(nano, &r), b;
    AUTO_FREE int32_t *ids = NULL;
    bool same = a.think_cut;
    int n;

    if (a.think_cut) {                                   /* otherwise the model closed it in time */
        assert_in_range(a.n_think, budget, budget + 10); /* the closing's own tokens on top */
        char *close = strstr(a.text, "</think>\n\n");
        assert_non_null(close);
        size_t n_head = (size_t)(close - a.text) + strlen("</think>\n\n");
        assert_int_equal(vlm_tokenize(nano, a.text, n_head, false, &ids, &n, &err), 0);
        for (int i = 0; i < n && same; i++)
            same = i < a.n_generated && ids[i] == a.tokens[i].id;
        AUTO_FREE char *head = mem_strndup(a.text, n_head);
        AUTO_FREE char *whole = NULL;
        assert_true(asprintf(&whole, "%s%s", prefill, head) > 0);
        r.prefill = whole;
        r.max_tokens = 60 - n;
        if (same) {
            b = turn_reply(nano, &r);
            assert_false(b.think_cut);
            assert_string_equal(b.text, a.text + n_head);
            vlm_reply_done(&b);
        }
    } else {
        assert_true(a.n_think < budget);
    }
    vlm_reply_done(&a);
    return same;
}

static void a_budget_closes_the_thought(void **state)
{
    static const char *const prefills[] = {"<think>\nI see", "<think>\nThe goal", "<think>",
                                           "<think>\nFirst I should click"};
    int n = 0;

    for (size_t i = 0; i < N_ELEMENTS(prefills); i++)
        for (int budget = 1; budget < 12; budget += 2)
            for (int guess = -1; guess <= 0; guess++)
                n += closes_as_if_prompted(prefills[i], budget, guess);
    assert_true(n >= 4);

    struct vlm_part part = {VLM_TEXT, "Where is the button?", NULL};
    struct vlm_message message = {"user", &part, 1};
    struct vlm_request r = {
        .messages = &message, .n_messages = 1, .prefill = "<think>", .max_tokens = 20};
    struct vlm_reply y = turn_reply(nano, &r);
    assert_false(y.think_cut); /* no budget */
    vlm_reply_done(&y);
}

/* The grammar of actions behind one that insists on a thought and never lets the model end it. */
struct babble {
    struct grammar action;
};

struct babble_state {
    int at;
    char inner[GRAMMAR_MAX_STATE - 16] __attribute__((aligned(16)));
};

static void babble_start(const void *data, void *state)
{
    const struct babble *b = data;
    struct babble_state *s = state;
    s->at = 0;
    b->action.start(b->action.data, s->inner);
}

static bool babble_step(const void *data, void *state, uint8_t byte)
{
    const struct babble *b = data;
    struct babble_state *s = state;
    if (s->at < 7 && byte != (uint8_t) "<think>"[s->at])
        return false;
    s->at++;
    return b->action.step(b->action.data, s->inner, byte);
}

static bool babble_end(const void *data, const void *state)
{
    const struct babble *b = data;
    return b->action.may_end(b->action.data, ((const struct babble_state *)state)->inner);
}

static bool babble_free(const void *data, const void *state)
{
    return false;
}

static void an_action_follows_the_longest_thought(void **state)
{
    struct grammar_limits limits = {420, 308};
    struct babble b = {grammar_action(&limits)};
    struct grammar g = {
        sizeof(struct babble_state), &b, babble_start, babble_step, babble_end, babble_free};
    struct vlm_part part = {VLM_TEXT, "Click OK.", NULL};
    struct vlm_message message = {"user", &part, 1};
    int n_cut = 0;

    assert_true(b.action.state_size <= sizeof(((struct babble_state *)0)->inner));
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct vlm_request r = {.messages = &message,
                                .n_messages = 1,
                                .max_tokens = 400,
                                .max_think_tokens = 8,
                                .grammar = &g,
                                .seed = seed,
                                .temperature = 1.6f};
        struct vlm_reply y = turn_reply(nano, &r);
        struct action action = {0};
        struct err err = {0};
        assert_memory_equal(y.text, "<think>", 7);
        if (y.stop != VLM_STOP_EOS) /* a random answer may be long */
            assert_int_equal(y.stop, VLM_STOP_LENGTH);
        else if (action_parse(y.text, y.n_text, limits.image_w, limits.image_h, &action, &err) < 0)
            fail_msg("%s: %s", err.text, y.text);
        assert_in_range(y.n_think, 1, 8 + 12);
        n_cut += y.think_cut;
        action_done(&action);
        vlm_reply_done(&y);
    }
    assert_true(n_cut >= 2);
}

/* A grammar with no place for the closing is not broken by it. */
static bool digits_step(const void *data, void *state, uint8_t byte)
{
    int *n = state;
    return byte >= '0' && byte <= '9' && ++*n < 1000;
}

static void digits_start(const void *data, void *state)
{
    *(int *)state = 0;
}

static bool digits_end(const void *data, const void *state)
{
    return *(const int *)state >= 20;
}

static void a_grammar_without_thoughts_stays_obeyed(void **state)
{
    struct grammar g = {sizeof(int), NULL, digits_start, digits_step, digits_end, babble_free};
    struct vlm_part part = {VLM_TEXT, "Count.", NULL};
    struct vlm_message message = {"user", &part, 1};
    struct vlm_request r = {.messages = &message,
                            .n_messages = 1,
                            .prefill = "<think>",
                            .max_tokens = 40,
                            .max_think_tokens = 3,
                            .grammar = &g};

    struct vlm_reply y = turn_reply(nano, &r);
    assert_false(y.think_cut);
    assert_int_equal(strspn(y.text, "0123456789"), y.n_text);
    assert_true(y.n_text >= 20);
    vlm_reply_done(&y);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_are_found_in_any_cut),
        cmocka_unit_test(no_thought_is_said_in_the_words_of_the_release),
        cmocka_unit_test(the_word_comes_behind_a_picture),
        cmocka_unit_test(the_release_is_known_by_its_name),
        cmocka_unit_test(a_budget_closes_the_thought),
        cmocka_unit_test(an_action_follows_the_longest_thought),
        cmocka_unit_test(a_grammar_without_thoughts_stays_obeyed),
    };

    if (argc != 3)
        return 2;
    nano_dir = argv[1];
    tiny_dir = argv[2];
    return cmocka_run_group_tests_name("think", tests, setup, teardown);
}
