/* What a second step can take over from the first, and why not more. The official order is picture,
 * then text: with another picture only the tokens before it are still right. */
#include "base/mem.h"
#include "model/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *dir;
static struct vlm *m;

static int setup(void **state)
{
    struct vlm_options o = {.n_threads = 2, .precision = "f32", .n_ctx = 1024};
    struct err err = {0};

    if (vlm_open(dir, &o, &m, &err) < 0)
        fail_msg("%s", err.text);
    return 0;
}

static int teardown(void **state)
{
    vlm_close(m);
    return 0;
}

struct step {
    struct patches picture;
    struct vlm_part parts[2];
    struct vlm_message message;
    struct vlm_request r;
};

static void step_init(struct step *s, uint32_t seed, const char *text)
{
    memset(s, 0, sizeof(*s));
    s->picture = (struct patches){1, 8, 12, 1, 14, 2, 0, NULL, 4000 + seed};
    size_t n = (size_t)(8 * 12) * (size_t)patches_n_cols(&s->picture);
    s->picture.rows = mem_aligned(sizeof(float) * n);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        s->picture.rows[i] = (float)(seed >> 8) / (float)(1 << 22) - 2.0f;
    }
    s->parts[0] = (struct vlm_part){VLM_IMAGE, NULL, &s->picture};
    s->parts[1] = (struct vlm_part){VLM_TEXT, text, NULL};
    s->message = (struct vlm_message){"user", s->parts, 2};
    s->r = (struct vlm_request){.messages = &s->message, .n_messages = 1, .max_tokens = 4};
}

static struct vlm_reply generate(const struct vlm_request *r)
{
    struct vlm_reply y;
    struct err err = {0};

    if (vlm_generate(m, r, &y, &err) < 0)
        fail_msg("%s", err.text);
    vlm_reply_done(&y);
    return y;
}

/* Index of the first difference of two prompts, where a picture's tokens count as different when
 * the pictures are. */
static int first_difference(const struct step *a, const struct step *b, int *ret_picture)
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
    struct step a, b, c;
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
    patches_done(&a.picture);
    patches_done(&b.picture);
    patches_done(&c.picture);
}

/* Keys of position `pos` in a layer, in the f32 backends' panels. */
static void keys_of(int layer, int pos, float *ret)
{
    const struct kv_store *kv = &m->seq.cache.layers[layer];
    const float *k = kv->k;

    for (int j = 0; j < kv->d_head; j++)
        ret[j] =
            k[(size_t)(pos - pos % 32) * (size_t)kv->d_head + (size_t)j * 32 + (size_t)(pos % 32)];
}

/* The same words at the same positions behind two pictures: in the first layer their keys are
 * equal, because these know only the word and its place; from the second on each has seen the
 * picture. So no key behind a changed picture may be kept, whatever the text. */
static void words_behind_another_picture_have_other_keys(void **state)
{
    struct step a, b;
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
    patches_done(&a.picture);
    patches_done(&b.picture);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_before_the_first_change_is_taken_over),
        cmocka_unit_test(words_behind_another_picture_have_other_keys),
    };

    if (argc != 2)
        return 2;
    dir = argv[1];
    return cmocka_run_group_tests_name("reuse", tests, setup, teardown);
}
