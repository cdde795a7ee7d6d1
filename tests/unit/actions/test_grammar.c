/* The grammar: accepts what the model is taught, refuses what the parser would, never gets stuck,
 * and everything that it lets through is read. */
#include "actions/action.h"
#include "actions/grammar.h"
#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct grammar_limits limits = {1000, 700};

union state {
    uint8_t bytes[GRAMMAR_MAX_STATE];
    uint64_t align;
};

/* How many bytes of the text are accepted; *ret_end: may it end after them. */
static size_t feed(const struct grammar *g, const char *text, bool *ret_end)
{
    union state s;
    g->start(g->data, &s);
    size_t i = 0;
    for (; text[i]; i++)
        if (!g->step(g->data, &s, (uint8_t)text[i]))
            break;
    *ret_end = !text[i] && g->may_end(g->data, &s);
    return i;
}

static const char *const accepted[] = {
    "{\"action\": \"click\", \"start_point\": [120, 48]}",
    "{\"action\": \"click\", \"start_point\": [120,48]}",
    "{\"action\":\"click\",\"start_point\":[120,48]}",
    "{\"action\": \"drag\", \"start_point\": [1,2], \"end_point\": [3,4]}",
    "{\"action\": \"drag\", \"end_point\": [1,2], \"start_point\": [3,4]}",
    "{\"action\": \"input\", \"text\": \"text\"}",
    "{\"action\": \"input\", \"start_point\": [5, 6], \"text\": \"Ada\"}",
    "{\"action\": \"input\", \"text\": \"Ada\", \"start_point\": [5, 6]}",
    "{\"action\": \"press\", \"keys\": [\"ctrl\", \"s\"]}",
    "{\"action\": \"press\", \"keys\": [\"Page_Down\"]}",
    "{\"action\": \"press\", \"keys\": [\"+\", \"\\\"\", \"\xc3\xa4\"]}",
    "{\"action\": \"wait\"}",
    "{\"action\": \"finished\", \"status\": \"success\"}",
    "{\"action\": \"finished\"}",
    "{\"action\": \"finished\", \"status\": \"\"}",
    "{\"action\": \"call_user\"}",
    "{\"action\": \"call_user\", \"text\": \"Which file?\"}",
    "{\"action\": \"scroll\", \"direction\": \"down\"}",
    "{\"action\": \"scroll\", \"direction\": \"up\", \"scroll_distance\": 5}",
    "{\"action\": \"scroll\", \"scroll_distance\": 100, \"direction\": \"up\"}",
    "{\"action\": \"open\", \"app\": \"Files\"}",
    "{\"action\": \"appswitch\", \"app\": \"Mail\"}",
    "{\"action\": \"longpress\", \"start_point\": [9, 8]}",
    "{\"action\": \"hover\"}",
    "{\"action\": \"select\", \"text\": \"Blue\"}",
    "{\"action\": \"double_click\", \"start_point\": [0, 0]}",
    "{\"action\": \"click\", \"start_point\": [999, 699]}",
    "{\"action\": \"click\", \"start_point\": [999.9, 0.5]}",
    "{\"action_name\": \"wait\"}",
    "[{\"action\": \"wait\"}]",
    "```json\n[{\"action\": \"wait\"}]\n```",
    "```json\n{\"action\": \"wait\"}\n```\n",
    "```\n{\"action\": \"wait\"}\n```",
    "<think>\ndone { [ ```\n</think>\n\n{\"action\": \"wait\"}",
    "<think>a</think>```json\n{\"action\": \"wait\"}```",
    "\n\n<think>a</thin</think>[\n  {\n    \"action\": \"wait\"\n  }\n]\n",
    "Click it. {\"action\": \"wait\"}",
    "Ok <b> `x` {\"action\": \"wait\"}",
    "Hm <think>x { y</think>{\"action\": \"wait\"}",
    "rest</think>\n{\"action\": \"wait\"}",
    "{\"action\": \"input\", \"text\": \"\\n\\t\\u00e4\\ud83d\\ude00\\\"\\\\\\/\xf0\x9f\x98\x80\"}",
};

/* A text and how many of its bytes are good. -1: all, but it may not end there. */
static const struct {
    const char *text;
    int good;
} rejected[] = {
    {"{\"action\": \"swipe", 13},
    {"{\"action\": \"clock", 14},
    {"{\"action\": \"click\"}", 18},
    {"{\"action\": \"clic\"", 16},
    {"{\"start_point", 2},
    {"{\"action\": \"click\", \"text\": \"a\"}", 31},
    {"{\"action\": \"click\", \"end_point", 21},
    {"{\"action\": \"wait\",", 17},
    {"{\"action\": \"wait\" \"", 18},
    {"{\"action\": \"click\", \"start_point\": [1000", 39},
    {"{\"action\": \"click\", \"start_point\": [01", 37},
    {"{\"action\": \"click\", \"start_point\": [-", 36},
    {"{\"action\": \"click\", \"start_point\": [1,700", 40},
    {"{\"action\": \"click\", \"start_point\": [1]", 37},
    {"{\"action\": \"click\", \"start_point\": [1,2,", 39},
    {"{\"action\": \"click\", \"start_point\": [1.]", 38},
    {"{\"action\": \"click\", \"start_point\": [1.25", 39},
    {"{\"action\": \"click\", \"start_point\": [1 2", 38},
    {"{\"action\": \"click\", \"start_point\": [1,2], \"start", 43},
    {"{\"action\": \"press\", \"keys\": []", 29},
    {"{\"action\": \"press\", \"keys\": [\"\"", 30},
    {"{\"action\": \"press\", \"keys\": [\"ctrl+", 34},
    {"{\"action\": \"press\", \"keys\": [\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",", 52},
    {"{\"action\": \"input\", \"text\": \"\"", 29},
    {"{\"action\": \"input\", \"text\": \"a\nb", 30},
    {"{\"action\": \"input\", \"text\": \"\\q", 30},
    {"{\"action\": \"input\", \"text\": \"\\u0000", 34},
    {"{\"action\": \"input\", \"text\": \"\\u001b", 33},
    {"{\"action\": \"input\", \"text\": \"\\u007f", 34},
    {"{\"action\": \"input\", \"text\": \"\\udc00", 32},
    {"{\"action\": \"input\", \"text\": \"\\ud83d\"", 35},
    {"{\"action\": \"input\", \"text\": \"\\ud83d\\u0041", 37},
    {"{\"action\": \"input\", \"text\": \"\xff", 29},
    {"{\"action\": \"input\", \"text\": \"\xc3\"", 30},
    {"{\"action\": \"input\", \"text\": \"\xe0\x80", 30},
    {"{\"action\": \"input\", \"text\": \"\xed\xa0", 30},
    {"{\"action\": \"input\", \"text\": \"</think>", 36},
    {"{\"action\": \"scroll\", \"direction\": \"upp", 37},
    {"{\"action\": \"scroll\", \"direction\": \"up\", \"scroll_distance\": 101", 61},
    {"{\"action\": \"wait\"}x", 18},
    {"{\"action\": \"wait\"}]", 18},
    {"[{\"action\": \"wait\"},", 19},
    {"[]", 1},
    {"</think>ok", 8},
    {"```jso{", 6},
    {"{\"action\": \"wait\"", -1},
    {"[{\"action\": \"wait\"}", -1},
    {"```json\n{\"action\": \"wait\"}", -1},
    {"<think>", -1},
    {"just words", -1},
    {"", -1},
};

static void accepts(void **state)
{
    struct grammar g = grammar_action(&limits);
    assert_true(g.state_size <= GRAMMAR_MAX_STATE);
    for (size_t i = 0; i < N_ELEMENTS(accepted); i++) {
        bool end;
        size_t n = feed(&g, accepted[i], &end);
        if (!end)
            fail_msg("%s: stopped at byte %zu of %zu", accepted[i], n, strlen(accepted[i]));
        struct action a;
        struct err err = {0};
        if (action_parse(accepted[i], strlen(accepted[i]), 1000, 700, &a, &err) != 0)
            fail_msg("%s: %s", accepted[i], err.text);
        action_done(&a);
    }
}

static void rejects(void **state)
{
    struct grammar g = grammar_action(&limits);
    for (size_t i = 0; i < N_ELEMENTS(rejected); i++) {
        bool end;
        size_t n = feed(&g, rejected[i].text, &end);
        size_t want = rejected[i].good < 0 ? strlen(rejected[i].text) : (size_t)rejected[i].good;
        if (end || n != want)
            fail_msg("%s: stopped at %zu, expected %zu", rejected[i].text, n, want);
    }
}

static void accepts_boxes(void **state)
{
    struct grammar g = grammar_boxes(&limits);
    static const struct {
        const char *text;
        int good; /* -2: complete */
    } cases[] = {
        {"[{\"bbox_2d\": [10, 20, 30, 40], \"label\": \"OK\"}]", -2},
        {"```json\n[\n\t{\"bbox_2d\": [0, 0, 1000, 700], "
         "\"label\": \"the \\\"x\\\"\"}\n]\n```",
         -2},
        {"[{\"bbox_2d\": [10,20,30,40], \"label\": \"\"}, {\"bbox_2d\": [1,2,3,4]}]", -2},
        {"<think>x</think>{\"bbox_2d\": [10, 20, 30, 40]}", -2},
        {"[{\"bbox_2d\": [10, 20, 9,", 23}, /* 9 may become 90 */
        {"[{\"bbox_2d\": [500, 20, 3", 23},
        {"[{\"bbox_2d\": [500, 20, 50,", 25},
        {"[{\"bbox_2d\": [500, 20, 1001", 26},
        {"[{\"bbox_2d\": [999, 20, 4", 23},
        {"[{\"bbox_2d\": [10, 20, 30]", 24},
        {"[{\"label", 3},
        {"[{\"bbox_2d\": [1.", 15},
    };
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        bool end;
        size_t n = feed(&g, cases[i].text, &end);
        if (cases[i].good == -2 ? !end : end || n != (size_t)cases[i].good)
            fail_msg("%s: stopped at %zu, expected %d", cases[i].text, n, cases[i].good);
    }
}

/* `begin`, prose up to n bytes, then `end`; how many bytes of it all are refused. */
static size_t refuses(size_t n, const char *begin, const char *end)
{
    struct grammar g = grammar_action(&limits);
    AUTO(str_done) struct str s = {0};
    bool may_end;
    str_puts(&s, begin);
    while (s.n < n)
        str_puts(&s, "blah ");
    s.n = n;
    s.s[n] = 0;
    str_puts(&s, end);
    return s.n - feed(&g, str_cstr(&s), &may_end);
}

static void prose_without_end_must_answer(void **state)
{
    assert_int_equal(refuses(2048, "", "{\"action\": \"wait\"}"), 0);
    assert_int_equal(refuses(2048, "", "[{\"action\": \"wait\"}]"), 0);
    assert_int_equal(refuses(2048, "", "x"), 1);
    assert_int_equal(refuses(2048, "", "<think>"), 7);
    assert_int_equal(refuses(9000, "<think>", "</think>{\"action\": \"wait\"}"),
                     0); /* the engine's */
    assert_int_equal(refuses(9000, "well <think>", "</think>{\"action\": \"wait\"}"), 0);
}

static void is_free_only_inside_reasoning(void **state)
{
    struct grammar g = grammar_action(&limits);
    union state s;
    g.start(g.data, &s);
    assert_false(g.is_free(g.data, &s));
    for (const char *c = "<think>a"; *c; c++)
        g.step(g.data, &s, (uint8_t)*c);
    assert_true(g.is_free(g.data, &s));
    g.step(g.data, &s, '<');
    assert_false(g.is_free(g.data, &s));
    g.step(g.data, &s, 'x');
    assert_true(g.is_free(g.data, &s));
    for (const char *c = "</think>"; *c; c++)
        g.step(g.data, &s, (uint8_t)*c);
    assert_false(g.is_free(g.data, &s));
}

static uint64_t seed;
static uint32_t rnd(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % n;
}

/* Walks the grammar at random, preferring bytes that end things once the text is long. */
static void walk(const struct grammar *g, struct str *out)
{
    union state s, t;
    g->start(g->data, &s);
    for (int i = 0;; i++) {
        if (i > 40000)
            fail_msg("no end in sight: %.200s", str_cstr(out));
        if (g->may_end(g->data, &s) && rnd(4) == 0)
            return;
        uint8_t ok[256];
        int n = 0;
        for (int b = 0; b < 256; b++) {
            memcpy(&t, &s, g->state_size);
            if (g->step(g->data, &t, (uint8_t)b))
                ok[n++] = (uint8_t)b;
        }
        if (n == 0) {
            if (!g->may_end(g->data, &s))
                fail_msg("a dead end: %s", str_cstr(out));
            return;
        }
        uint8_t b = ok[rnd((uint32_t)n)];
        /* leave the free part and strings soon, and mind the interesting bytes */
        static const char *const likes = "{\"}]\\u<`,";
        const char *like = &likes[rnd(9)];
        for (int k = 0; k < n && rnd(3); k++)
            if (ok[k] == (uint8_t)*like)
                b = ok[k];
        g->step(g->data, &s, b);
        str_putc(out, (char)b);
    }
}

static void walks_are_read(void **state)
{
    seed = 0xfeedbeef;
    int n_kinds[N_ACTION_KINDS] = {0}, n_empty = 0;
    for (int i = 0; i < 2000; i++) {
        struct grammar_limits l = {1 + (int)rnd(1200), 1 + (int)rnd(1200)};
        struct grammar g = grammar_action(&l);
        struct str s = {0};
        walk(&g, &s);
        struct action a;
        struct err err = {0};
        if (action_parse(str_cstr(&s), s.n, l.image_w, l.image_h, &a, &err) != 0)
            fail_msg("%s\n%s", str_cstr(&s), err.text);
        n_kinds[a.kind]++;
        action_done(&a);
        str_done(&s);

        g = grammar_boxes(&l);
        walk(&g, &s);
        struct model_pt p;
        float box[4];
        int rc = action_parse_box(str_cstr(&s), s.n, l.image_w, l.image_h, &p, box, &err);
        if (rc != 0 && rc != -ENOENT)
            fail_msg("%s\n%s", str_cstr(&s), err.text);
        n_empty += rc == -ENOENT;
        str_done(&s);
    }
    assert_true(n_empty > 0 && n_empty < 1000);
    for (int k = 0; k < N_ACTION_KINDS; k++)
        assert_true(n_kinds[k] > 0);
}

/* What action_json() writes is in the grammar. */
static void accepts_what_is_written(void **state)
{
    seed = 0x5eed;
    struct grammar g = grammar_action(&limits);
    for (int i = 0; i < 5000; i++) {
        struct action a = {.kind = (enum action_kind)rnd(N_ACTION_KINDS)};
        const struct action_row *row = &action_table[a.kind];
        unsigned fields = row->required | (row->optional & rnd(256));
        a.has_start = fields & FIELD_START;
        a.has_end = fields & FIELD_END;
        a.start = (struct model_pt){(float)rnd(1000), (float)rnd(700)};
        a.end = (struct model_pt){(float)rnd(1000), (float)rnd(700)};
        if (fields & (FIELD_TEXT | FIELD_APP | FIELD_STATUS))
            a.text = (char *)(rnd(2) ? "a\"\\\n\xc3\xa4</think>" : "x");
        if (fields & FIELD_KEYS) {
            a.keys[a.n_keys++] = (char *)"ctrl";
            a.keys[a.n_keys++] = (char *)"+";
        }
        if (fields & FIELD_DIRECTION)
            a.direction = DIRECTION_LEFT;
        if (fields & FIELD_DISTANCE)
            a.distance = (float)rnd(101);
        struct str s = {0};
        action_json(&a, true, &s);
        bool end;
        size_t n = feed(&g, str_cstr(&s), &end);
        if (!end)
            fail_msg("%s: stopped at %zu", str_cstr(&s), n);
        str_done(&s);
    }
}

static void bounds_text(void **state)
{
    struct grammar g = grammar_action(&limits);
    union state s;
    g.start(g.data, &s);
    for (const char *c = "{\"action\": \"input\", \"text\": \""; *c; c++)
        assert_true(g.step(g.data, &s, (uint8_t)*c));
    for (int i = 0; i < ACTION_MAX_TEXT; i++)
        assert_true(g.step(g.data, &s, 'x'));
    union state t = s;
    assert_false(g.step(g.data, &t, 'x'));
    assert_true(g.step(g.data, &s, '"'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts),
        cmocka_unit_test(rejects),
        cmocka_unit_test(accepts_boxes),
        cmocka_unit_test(prose_without_end_must_answer),
        cmocka_unit_test(is_free_only_inside_reasoning),
        cmocka_unit_test(walks_are_read),
        cmocka_unit_test(accepts_what_is_written),
        cmocka_unit_test(bounds_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
