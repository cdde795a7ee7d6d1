/* The hand in dry mode: which events an action becomes, in which order, with which pauses. */
#include "actions/hand.h"
#include "base/mem.h"

#include <X11/keysym.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct hand *hand_dry(void)
{
    struct hand_options o = {.dry = true};
    struct hand *h = NULL;
    assert_int_equal(hand_open(&o, &h, NULL), 0);
    return h;
}

/* Plays to the end on an imagined clock; returns how long it took. */
static int64_t play(struct hand *h)
{
    int64_t now = 1000000, next = 0, start = now;
    int n = 0, rc;
    struct err err = {0};
    while ((rc = hand_tick(h, now, &next, &err)) == 1) {
        assert_true(next >= now);
        now = next;
        assert_true(++n < 100000);
    }
    if (rc)
        fail_msg("%s", err.text);
    assert_false(hand_is_busy(h));
    return now - start;
}

static void expect(const struct action *a, const char *log)
{
    struct hand *h = hand_dry();
    struct err err = {0};
    if (hand_begin(h, a, &err))
        fail_msg("%s", err.text);
    play(h);
    assert_string_equal(hand_log(h), log);
    hand_close(h);
}

static struct action at(enum action_kind kind, int x, int y)
{
    return (struct action){.kind = kind, .has_start = true, .start_px = {x, y}};
}

static void test_clicks(void **state)
{
    struct action a = at(ACTION_CLICK, 10, 20);
    expect(&a, "move 10 20\nbutton 1 down\nbutton 1 up\n");
    a.kind = ACTION_RIGHT_CLICK;
    expect(&a, "move 10 20\nbutton 3 down\nbutton 3 up\n");
    a.kind = ACTION_MIDDLE_CLICK;
    expect(&a, "move 10 20\nbutton 2 down\nbutton 2 up\n");
    a.kind = ACTION_DOUBLE_CLICK;
    expect(&a, "move 10 20\nbutton 1 down\nbutton 1 up\nbutton 1 down\nbutton 1 up\n");
    a.kind = ACTION_HOVER;
    expect(&a, "move 10 20\n");
}

static void test_pauses(void **state)
{
    struct hand *h = hand_dry();
    struct action a = at(ACTION_LONGPRESS, 1, 2);
    assert_int_equal(hand_begin(h, &a, NULL), 0);
    int64_t us = play(h);
    assert_in_range(us, 800000, 850000);
    a.kind = ACTION_DOUBLE_CLICK; /* both presses within 120 ms */
    assert_int_equal(hand_begin(h, &a, NULL), 0);
    assert_in_range(play(h), 60000, 140000);
    hand_close(h);
}

static void test_drag(void **state)
{
    struct action a = at(ACTION_DRAG, 0, 100);
    a.has_end = true;
    a.end_px = (struct screen_pt){120, 40};
    expect(&a, "move 0 100\nbutton 1 down\nmove 10 95\nmove 20 90\nmove 30 85\nmove 40 80\n"
               "move 50 75\nmove 60 70\nmove 70 65\nmove 80 60\nmove 90 55\nmove 100 50\n"
               "move 110 45\nmove 120 40\nbutton 1 up\n");
}

static void test_scroll(void **state)
{
    struct action a = at(ACTION_SCROLL, 5, 6);
    a.direction = DIRECTION_DOWN;
    a.distance = 2;
    expect(&a, "move 5 6\nbutton 5 down\nbutton 5 up\nbutton 5 down\nbutton 5 up\n");
    a.direction = DIRECTION_LEFT;
    a.distance = 1;
    expect(&a, "move 5 6\nbutton 6 down\nbutton 6 up\n");
    a.has_start = false;
    a.direction = DIRECTION_UP;
    a.distance = 0; /* the default: three clicks */
    expect(&a,
           "button 4 down\nbutton 4 up\nbutton 4 down\nbutton 4 up\nbutton 4 down\nbutton 4 up\n");
}

static void test_typing(void **state)
{
    char text[] = "aB\n";
    struct action a = {.kind = ACTION_INPUT, .text = text};
    expect(&a, "key 38 down\nkey 38 up\nkey 50 down\nkey 56 down\nkey 56 up\nkey 50 up\n"
               "key 36 down\nkey 36 up\n");
    /* a point: click first */
    a.has_start = true;
    a.start_px = (struct screen_pt){7, 8};
    text[1] = '\0';
    expect(&a, "move 7 8\nbutton 1 down\nbutton 1 up\nkey 38 down\nkey 38 up\n");
}

static void test_scratch(void **state)
{
    /* both cases of a letter share one key; one change before the first key */
    char text[] = "яЯ€я";
    struct action a = {.kind = ACTION_INPUT, .text = text};
    expect(&a, "bind 255 0x6d1\nbind 254 0x20ac\n"
               "key 255 down\nkey 255 up\n"
               "key 50 down\nkey 255 down\nkey 255 up\nkey 50 up\n"
               "key 254 down\nkey 254 up\nkey 255 down\nkey 255 up\n");
}

static void test_scratch_goes_back_after_a_pause(void **state)
{
    struct hand *h = hand_dry();
    char text[] = "я";
    struct action a = {.kind = ACTION_INPUT, .text = text};
    assert_int_equal(hand_begin(h, &a, NULL), 0);
    int64_t now = 1000000 + play(h), next = 0;
    assert_int_equal(hand_tick(h, now, &next, NULL), 1);
    assert_true(next > now + 1900000);
    assert_null(strstr(hand_log(h), "restore"));
    assert_int_equal(hand_tick(h, next, &next, NULL), 0);
    assert_non_null(strstr(hand_log(h), "restore 1\n"));
    hand_close(h);
}

/* More distinct characters than spare keycodes: several batches, none lost. */
static void test_batches(void **state)
{
    struct str text = {0};
    for (uint32_t cp = 0x4e00; cp < 0x4e00 + 400; cp++) {
        char b[4];
        str_add(&text, b, (size_t)utf8_put(b, cp));
    }
    struct hand *h = hand_dry();
    struct action a = {.kind = ACTION_INPUT, .text = text.s};
    assert_int_equal(hand_begin(h, &a, NULL), 0);
    play(h);
    /* replay the log: each key pressed must be bound to the next character at that moment */
    uint32_t bound[256] = {0}, want = 0x4e00;
    for (const char *p = hand_log(h); *p; p = strchr(p, '\n') + 1) {
        int kc;
        unsigned sym;
        char dir[8];
        if (sscanf(p, "bind %d 0x%x", &kc, &sym) == 2)
            bound[kc] = sym;
        else if (sscanf(p, "key %d %7s", &kc, dir) == 2 && !strcmp(dir, "down"))
            assert_int_equal(bound[kc], 0x1000000 + want++);
    }
    assert_int_equal(want, 0x4e00 + 400);
    hand_close(h);
    str_done(&text);
}

static void chord(const char *k1, const char *k2, const char *k3, const char *log)
{
    struct action a = {.kind = ACTION_PRESS};
    const char *k[3] = {k1, k2, k3};
    for (int i = 0; i < 3 && k[i]; i++)
        a.keys[a.n_keys++] = mem_strdup(k[i]);
    expect(&a, log);
    action_done(&a);
}

static void test_chords(void **state)
{
    chord("ctrl", "s", NULL, "key 37 down\nkey 39 down\nkey 39 up\nkey 37 up\n");
    chord("Ctrl", "Shift", "T",
          "key 37 down\nkey 50 down\nkey 28 down\nkey 28 up\nkey 50 up\nkey 37 up\n");
    chord("ctrl", "A", NULL, "key 37 down\nkey 38 down\nkey 38 up\nkey 37 up\n");
    chord("ctrl+shift+t", NULL, NULL,
          "key 37 down\nkey 50 down\nkey 28 down\nkey 28 up\nkey 50 up\nkey 37 up\n");
    chord("ctrl", "+", NULL,
          "key 50 down\nkey 37 down\nkey 21 down\nkey 21 up\nkey 37 up\nkey 50 up\n");
    chord("ctrl++", NULL, NULL,
          "key 50 down\nkey 37 down\nkey 21 down\nkey 21 up\nkey 37 up\nkey 50 up\n");
    chord("Enter", NULL, NULL, "key 36 down\nkey 36 up\n");
    chord("super", NULL, NULL, "key 133 down\nkey 133 up\n");
    chord("Q", NULL, NULL, "key 50 down\nkey 24 down\nkey 24 up\nkey 50 up\n");
    chord("alt", "F4", NULL, "key 64 down\nkey 70 down\nkey 70 up\nkey 64 up\n");
}

static void test_refusals(void **state)
{
    struct hand *h = hand_dry();
    struct err err = {0};
    static const enum action_kind not_input[] = {ACTION_OPEN, ACTION_APPSWITCH, ACTION_WAIT,
                                                 ACTION_FINISHED, ACTION_CALL_USER};
    for (size_t i = 0; i < N_ELEMENTS(not_input); i++) {
        struct action a = {.kind = not_input[i]};
        assert_int_equal(hand_begin(h, &a, &err), -ENOTSUP);
    }
    struct action a = {.kind = ACTION_CLICK}; /* no point */
    assert_int_equal(hand_begin(h, &a, &err), -EINVAL);
    a = at(ACTION_CLICK, -1, 5);
    assert_int_equal(hand_begin(h, &a, &err), -EINVAL);
    assert_string_equal(err.text, "the point -1,5 is outside the screen of 32767x32767");
    a = at(ACTION_DRAG, 1, 5);
    assert_int_equal(hand_begin(h, &a, &err), -EINVAL);
    a = at(ACTION_SCROLL, 1, 5);
    assert_int_equal(hand_begin(h, &a, &err), -EINVAL);
    a.direction = DIRECTION_UP;
    a.distance = 1e9f;
    assert_int_equal(hand_begin(h, &a, &err), -EINVAL);
    a.distance = -0.0f / 0.0f;
    assert_int_equal(hand_begin(h, &a, &err), -EINVAL);
    static const char *const bad[] = {"", "a\x1b[31m", "a\x01", "\xff", "a\xc2\x85"};
    for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
        a = (struct action){.kind = ACTION_INPUT, .text = (char *)bad[i]};
        assert_int_equal(hand_begin(h, &a, &err), -EINVAL);
    }
    a = (struct action){.kind = ACTION_PRESS, .n_keys = 1};
    a.keys[0] = (char *)"hyperspace";
    assert_int_equal(hand_begin(h, &a, &err), -EINVAL);
    assert_string_equal(err.text, "there is no key named \"hyperspace\"");
    a.n_keys = 0;
    assert_int_equal(hand_begin(h, &a, &err), -EINVAL);
    a = at(ACTION_CLICK, 1, 5);
    assert_int_equal(hand_begin(h, &a, &err), 0);
    assert_int_equal(hand_begin(h, &a, &err), -EBUSY);
    assert_string_equal(hand_log(h), "");
    hand_close(h);
}

static void test_stop_releases(void **state)
{
    struct hand *h = hand_dry();
    struct action a = {.kind = ACTION_PRESS, .n_keys = 2};
    a.keys[0] = (char *)"ctrl";
    a.keys[1] = (char *)"shift";
    assert_int_equal(hand_begin(h, &a, NULL), 0);
    int64_t now = 1000000, next;
    for (int i = 0; i < 3; i++) { /* look at the keyboard, ctrl down, shift down */
        assert_int_equal(hand_tick(h, now, &next, NULL), 1);
        now = next;
    }
    assert_string_equal(hand_log(h), "key 37 down\nkey 50 down\n");
    hand_stop(h);
    assert_string_equal(hand_log(h), "key 37 down\nkey 50 down\nkey 50 up\nkey 37 up\n");
    hand_stop(h);
    assert_int_equal(hand_tick(h, now, &next, NULL), 0);
    a = at(ACTION_DRAG, 1, 1);
    a.has_end = true;
    a.end_px = (struct screen_pt){50, 50};
    assert_int_equal(hand_begin(h, &a, NULL), 0);
    for (int i = 0; i < 5; i++) {
        hand_tick(h, now, &next, NULL);
        now = next;
    }
    hand_stop(h);
    const char *log = hand_log(h);
    assert_string_equal(log + strlen(log) - strlen("button 1 up\n"), "button 1 up\n");
    hand_close(h);
}

static void test_key_names(void **state)
{
    static const struct {
        const char *name;
        uint32_t sym;
    } rows[] = {
        {"ctrl", XK_Control_L}, {"Control", XK_Control_L}, {"CTRL", XK_Control_L},
        {"enter", XK_Return}, {"Return", XK_Return}, {"esc", XK_Escape}, {"Escape", XK_Escape},
        {"pagedown", XK_Next}, {"page_down", XK_Next}, {"Page Down", XK_Next},
        {"PgUp", XK_Prior}, {"page-up", XK_Prior}, {"home", XK_Home}, {"end", XK_End},
        {"F1", XK_F1}, {"f24", XK_F24}, {"f25", 0}, {"f0", 0}, {"f1x", 0}, {"super", XK_Super_L},
        {"win", XK_Super_L}, {"meta", XK_Super_L}, {"cmd", XK_Super_L}, {"space", XK_space},
        {" ", XK_space}, {"tab", XK_Tab}, {"delete", XK_Delete}, {"backspace", XK_BackSpace},
        {"ArrowLeft", XK_Left}, {"up", XK_Up}, {"plus", XK_plus}, {"+", XK_plus},
        {"minus", XK_minus}, {"-", XK_minus}, {"a", XK_a}, {"A", XK_A}, {"ä", XK_adiaeresis},
        {"я", XK_Cyrillic_ya}, {"漢", 0x1006f22}, {"KP_7", XK_KP_7}, {"kp_enter", XK_KP_Enter},
        {"", 0}, {"nonsense", 0}, {"\x01", 0}, {"\xff", 0}, {"dead_acute", 0}, {NULL, 0},
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        if (hand_keysym(rows[i].name) != rows[i].sym)
            fail_msg("\"%s\" is 0x%x instead of 0x%x", rows[i].name, hand_keysym(rows[i].name),
                     rows[i].sym);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clicks),
        cmocka_unit_test(test_pauses),
        cmocka_unit_test(test_drag),
        cmocka_unit_test(test_scroll),
        cmocka_unit_test(test_typing),
        cmocka_unit_test(test_scratch),
        cmocka_unit_test(test_scratch_goes_back_after_a_pause),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_chords),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_stop_releases),
        cmocka_unit_test(test_key_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
