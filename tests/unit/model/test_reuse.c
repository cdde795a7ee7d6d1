/* What a second step can take over from the first, and why not more. The official order is picture,
 * then text: with another picture only the tokens before it are still right.
 *
 *   test_reuse NANO [int8]
 *
 * int8: keys and values are kept in it. */
#include "base/mem.h"
#include "model/engine.h"
#include "tests/unit/model/turn.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *dir, *kv;
static struct vlm *m;

static struct vlm *new_model(int n_ctx)
{
    return turn_model(dir, &(struct vlm_options){.n_threads = 2,
                                                 .precision = kv ? "bf16" : "f32",
                                                 .n_ctx = n_ctx,
                                                 .kv = kv});
}

static int setup(void **state)
{
    m = new_model(1024);
    return 0;
}

static int teardown(void **state)
{
    vlm_close(m);
    return 0;
}

static void step_init(struct turn *t, uint32_t seed, const char *text)
{
    turn_init(t, turn_noise(8, 12, 14, seed), text);
    t->r.max_tokens = 4;
}

/* Its numbers only. */
static struct vlm_reply generate(const struct vlm_request *r)
{
    struct vlm_reply y = turn_reply(m, r);

    vlm_reply_done(&y);
    return y;
}

/* Index of the first difference of two prompts, where a picture's tokens count as different when
 * the pictures are. */
static int first_difference(const struct turn *a, const struct turn *b, int *ret_picture)
{
    AUTO_FREE int32_t *ia = NULL, *ib = NULL, *pa = NULL, *pb = NULL;
    struct err err = {0};
    int na, nb, i = 0, pad = -1;

    if (vlm_prompt(m, &a->r, &ia, &pa, &na, &err) < 0 ||
        vlm_prompt(m, &b->r, &ib, &pb, &nb, &err) < 0)
        fail_msg("%s", err.text);
    for (int k = 1; k < na && pad < 0; k++)
        if (ia[k] == ia[k - 1] && ia[k] == ia[k + 1])
            pad = k - 1;
    *ret_picture = pad;
    while (i < na && i < nb && ia[i] == ib[i] && !(i == pad && a->picture.hash != b->picture.hash))
        i++;
    return i;
}

static void all_before_the_first_change_is_taken_over(void **state)
{
    struct turn a, b, c;
    int picture;

    step_init(&a, 1, "Goal: open the file. Previous actions: none.");
    step_init(&b, 2, "Goal: open the file. Previous actions: one.");
    step_init(&c, 2, "Goal: open the file. Previous actions: one. Then another one.");
    generate(&a.r);

    /* another screenshot: what is before it, and the tokens of the picture's frame */
    struct vlm_reply y = generate(&b.r);
    int same = first_difference(&a, &b, &picture);
    assert_int_equal(y.n_reused, same);
    assert_int_equal(y.n_reused, picture);
    assert_true(picture > 10);
    assert_int_equal(y.n_visual, 24);

    /* the same screenshot, a longer history: the picture and the text up to the change */
    y = generate(&c.r);
    same = first_difference(&b, &c, &picture);
    assert_int_equal(y.n_reused, same);
    assert_true(y.n_reused > picture + 24);
    assert_int_equal(y.n_visual, 0);

    /* the first screenshot again: its features are still there, its keys are not */
    y = generate(&a.r);
    assert_int_equal(y.n_reused, picture);
    assert_int_equal(y.n_visual, 0);
    assert_int_equal(y.n_visual_reused, 24);
    turn_done(&a);
    turn_done(&b);
    turn_done(&c);
}

/* Keys of position `pos` in a layer: in the f32 backends' panels, or as bytes with a scale. */
static void keys_of(int layer, int pos, float *ret)
{
    const struct kv_store *s = &m->seq.cache.layers[layer];
    size_t d = (size_t)s->d_head, at = (size_t)pos;

    for (size_t j = 0; j < d; j++)
        ret[j] = s->k_scale ? (float)((const int8_t *)s->k)[at * d + j] * s->k_scale[at]
                            : ((const float *)s->k)[(at - at % 32) * d + j * 32 + at % 32];
}

/* The same words at the same positions behind two pictures: in the first layer their keys are
 * equal, because these know only the word and its place; from the second on each has seen the
 * picture. So no key behind a changed picture may be kept, whatever the text. */
static void words_behind_another_picture_have_other_keys(void **state)
{
    struct turn a, b;
    float one[256], two[256];
    int picture;

    step_init(&a, 7, "Exactly the same words.");
    step_init(&b, 8, "Exactly the same words.");
    int same = first_difference(&a, &b, &picture);
    assert_int_equal(same, picture);
    int pos = picture + 24 + 3;
    for (int layer = 0; layer < 3; layer++) {
        generate(&a.r);
        keys_of(layer, pos, one);
        generate(&b.r);
        keys_of(layer, pos, two);
        size_t n = sizeof(float) * (size_t)m->lm.d_head;
        if (layer == 0)
            assert_memory_equal(one, two, n);
        else
            assert_true(memcmp(one, two, n) != 0);
    }
    turn_done(&a);
    turn_done(&b);
}

/* Two screenshots, and the system's words before them. */
struct history {
    struct turn turns[2];
    struct vlm_part system;
    struct vlm_message messages[4];
    struct vlm_request r;
};

static void history_init(struct history *h)
{
    h->system = (struct vlm_part){VLM_TEXT, "You work on a desktop, one step at a time.", NULL};
    step_init(&h->turns[0], 11, "Open the file.");
    step_init(&h->turns[1], 12, "Now save it.");
    h->messages[0] = (struct vlm_message){"system", &h->system, 1};
    h->messages[1] = h->turns[0].message;
    h->messages[2] = (struct vlm_message){"assistant", &h->turns[0].parts[1], 1};
    h->messages[3] = h->turns[1].message;
    h->r = (struct vlm_request){
        .messages = h->messages, .n_messages = 4, .max_tokens = 20, .logprobs = true};
}

static void same_words(struct vlm_reply *a, struct vlm_reply *b)
{
    assert_int_equal(a->n_prompt, b->n_prompt);
    assert_int_equal(a->n_generated, b->n_generated);
    for (int i = 0; i < a->n_generated; i++)
        assert_int_equal(a->tokens[i].id, b->tokens[i].id);
    assert_string_equal(a->text, b->text);
    vlm_reply_done(a);
    vlm_reply_done(b);
}

/* A history that does not fit says so; without its oldest screenshot it does, what was before that
 * is taken over, and the answer is that of an engine which never saw it. */
static void an_old_screenshot_can_go(void **state)
{
    struct vlm *old = m, *fresh;
    struct history h;
    struct vlm_reply y, want;
    struct err err = {0};

    history_init(&h);
    struct vlm_reply whole = turn_reply(m, &h.r); /* fits there */
    h.messages[1] = (struct vlm_message){"user", h.turns[0].parts + 1, 1};
    struct vlm_reply shorter = turn_reply(m, &h.r);
    assert_int_equal(whole.n_prompt - shorter.n_prompt, 24 + 2); /* with its frame */
    assert_in_range(shorter.n_reused, 15, shorter.n_prompt - 24);
    assert_int_equal(shorter.n_visual_reused, 24); /* the other one is known */
    fresh = new_model(1024);
    want = turn_reply(fresh, &h.r);
    assert_int_equal(want.n_reused, 0);
    vlm_close(fresh);

    m = new_model(whole.n_prompt);
    h.messages[1] = h.turns[0].message;
    assert_int_equal(vlm_generate(m, &h.r, &y, &err), -E2BIG);
    h.messages[1] = (struct vlm_message){"user", h.turns[0].parts + 1, 1};
    y = turn_reply(m, &h.r);
    same_words(&y, &want);
    want = turn_reply(m, &h.r);
    assert_int_equal(want.n_reused, want.n_prompt - 1);
    same_words(&shorter, &want);
    vlm_reply_done(&whole);
    vlm_close(m);
    m = old;
    turn_done(&h.turns[0]);
    turn_done(&h.turns[1]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_before_the_first_change_is_taken_over),
        cmocka_unit_test(words_behind_another_picture_have_other_keys),
        cmocka_unit_test(an_old_screenshot_can_go),
    };

    if (argc < 2)
        return 2;
    dir = argv[1];
    kv = argc > 2 ? argv[2] : NULL;
    if (kv && !turn_has_bf16(dir))
        return 77;
    return cmocka_run_group_tests_name("reuse", tests, setup, teardown);
}
