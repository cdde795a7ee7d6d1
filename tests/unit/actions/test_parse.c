/* The parser: every shape that is read, every content that is refused, and no crash on any. */
#include "actions/action.h"
#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define W 1000
#define H 700

/* A text and the action it must be, as action_json() writes it. */
struct shape {
    const char *text, *json;
};

static void check_shape(const struct shape *s)
{
    struct action a;
    struct err err = {0};
    if (action_parse(s->text, strlen(s->text), W, H, &a, &err) != 0)
        fail_msg("%s\n  refused: %s", s->text, err.text);
    struct str out = {0};
    action_json(&a, true, &out);
    if (strcmp(str_cstr(&out), s->json) != 0)
        fail_msg("%s\n  read as  %s\n  expected %s", s->text, str_cstr(&out), s->json);
    str_done(&out);
    action_done(&a);
}

#define CLICK "{\"action\": \"click\", \"start_point\": [120, 48]}"
#define PRESS "{\"action\": \"press\", \"keys\": [\"ctrl\", \"s\"]}"

static const struct shape official[] = {
    {CLICK, CLICK},
    {"{\"action\": \"drag\", \"start_point\": [1,2], \"end_point\": [3,4]}",
     "{\"action\": \"drag\", \"start_point\": [1, 2], \"end_point\": [3, 4]}"},
    {"{\"action\": \"input\", \"text\": \"text\"}", "{\"action\": \"input\", \"text\": \"text\"}"},
    {"{\"action\": \"input\", \"start_point\": [5, 6], \"text\": \"Ada\"}",
     "{\"action\": \"input\", \"start_point\": [5, 6], \"text\": \"Ada\"}"},
    {PRESS, PRESS},
    {"{\"action\": \"wait\"}", "{\"action\": \"wait\"}"},
    {"{\"action\": \"finished\", \"status\": \"success\"}",
     "{\"action\": \"finished\", \"status\": \"success\"}"},
    {"{\"action\": \"call_user\"}", "{\"action\": \"call_user\"}"},
    {"{\"action\": \"scroll\", \"direction\": \"down\"}",
     "{\"action\": \"scroll\", \"direction\": \"down\"}"},
    {"{\"action\": \"scroll\", \"direction\": \"up\", \"scroll_distance\": 5}",
     "{\"action\": \"scroll\", \"direction\": \"up\", \"scroll_distance\": 5}"},
    {"{\"action\": \"open\", \"app\": \"Files\"}", "{\"action\": \"open\", \"app\": \"Files\"}"},
    {"{\"action\": \"longpress\", \"start_point\": [9, 8]}",
     "{\"action\": \"longpress\", \"start_point\": [9, 8]}"},
    {"{\"action\": \"hover\"}", "{\"action\": \"hover\"}"},
    {"{\"action\": \"select\", \"text\": \"Blue\"}",
     "{\"action\": \"select\", \"text\": \"Blue\"}"},
    {"{\"action\": \"appswitch\", \"app\": \"Mail\"}",
     "{\"action\": \"appswitch\", \"app\": \"Mail\"}"},
};

static const struct shape shapes[] = {
    /* around it */
    {"```json\n" CLICK "\n```", CLICK},
    {"```json\n[" CLICK "]\n```", CLICK},
    {"```\n" CLICK "\n```", CLICK},
    {"```json\n" CLICK, CLICK},
    {"[" CLICK ", {\"action\": \"wait\"}]", CLICK},
    {"[" CLICK, CLICK},
    {"I will click {the button} now.\n" CLICK " Then I wait.", CLICK},
    {"Looking at [OK] and {x: 3}: " CLICK, CLICK},
    {"<think>\nmaybe {\"action\": \"wait\"}\n</think>\n\n" CLICK, CLICK},
    {"reasoning</think> more </think>" CLICK, CLICK},
    {"<think></think>```json\n" CLICK "```", CLICK},
    {"{\"action\": \"wait\"}\n```json\n" CLICK "\n```", CLICK},
    {"\xef\xbb\xbf" CLICK, CLICK},
    {"{{\"action\": \"click\", \"start_point\": [120, 48]}}", CLICK},
    /* punctuation */
    {"{'action': 'click', 'start_point': [120, 48]}", CLICK},
    {"{'action': 'click', 'start_point': (120, 48), 'text': None}", CLICK},
    {"{\"action\": \"click\", \"start_point\": [120, 48,],}", CLICK},
    {"{action: \"click\", start_point: [120, 48]}", CLICK},
    {"{\"action\"\xef\xbc\x9a\"click\"\xef\xbc\x8c\"start_point\"\xef\xbc\x9a\xef\xbc\xbb"
     "120\xef\xbc\x8c"
     "48\xef\xbc\xbd}",
     CLICK},
    {"\xef\xbd\x9b\xe2\x80\x9c"
     "action\xe2\x80\x9d\xef\xbc\x9a\xe2\x80\x9cwait\xe2\x80\x9d\xef\xbd\x9d",
     "{\"action\": \"wait\"}"},
    {"{\n\t\"action\"  :\"click\",\r\n \"start_point\":[ 120 ,48 ]\n}", CLICK},
    /* keys */
    {"{\"action_name\": \"click\", \"start_point\": [120, 48]}", CLICK},
    {"{\"start_point\": [120, 48], \"action\": \"click\"}", CLICK},
    {"{\"Action\": \"LEFT-CLICK\", \"Start Point\": [120, 48]}", CLICK},
    {"{\"thought\": \"a {b\", \"action\": \"click\", \"start_point\": [120, 48], \"label\": \"x\"}",
     CLICK},
    {"{\"action\": \"click\", \"start_point\": [120, 48], \"end_point\": null, \"text\": null}",
     CLICK},
    {"{\"name\": \"computer_use\", \"arguments\": {\"action\": \"left_click\", "
     "\"coordinate\": [120, 48]}}",
     CLICK},
    {"{\"name\": \"click\", \"arguments\": {\"start_point\": [120, 48]}}", CLICK},
    {"{\"action\": \"click\", \"parameters\": {\"point\": [120, 48]}}", CLICK},
    {"{\"action\": {\"type\": \"click\", \"position\": [120, 48]}}", CLICK},
    /* places */
    {"{\"action\": \"click\", \"bbox_2d\": [100, 40, 140, 56]}", CLICK},
    {"{\"action\": \"click\", \"point_2d\": [120, 48]}", CLICK},
    {"{\"action\": \"click\", \"start_point\": [[120, 48]]}", CLICK},
    {"{\"action\": \"click\", \"start_point\": {\"x\": 120, \"y\": 48}}", CLICK},
    {"{\"action\": \"click\", \"start_point\": [\"120\", \"48\"]}", CLICK},
    {"{\"action\": \"click\", \"start_box\": \"<|box_start|>(120,48)<|box_end|>\"}", CLICK},
    {"{\"action\": \"click\", \"point\": \"<point>120 48</point>\"}", CLICK},
    {"{\"action\": \"click\", \"start_point\": [1.2e2, 48.0]}", CLICK},
    {"{\"action\": \"click\", \"start_point\": [0.5, 699.25]}",
     "{\"action\": \"click\", \"start_point\": [0.5, 699.25]}"},
    {"{\"action\": \"click\", \"start_point\": [0, 0]}",
     "{\"action\": \"click\", \"start_point\": [0, 0]}"},
    /* key chords */
    {"{\"action\": \"press\", \"keys\": \"ctrl+s\"}", PRESS},
    {"{\"action\": \"press\", \"keys\": [\"ctrl+s\"]}", PRESS},
    {"{\"action\": \"hotkey\", \"key\": \"ctrl s\"}", PRESS},
    {"{\"action\": \"key\", \"text\": \"ctrl-s\"}", PRESS},
    {"{\"action\": \"press\", \"keys\": [\" ctrl \", \"s\"]}", PRESS},
    {"{\"action\": \"press\", \"keys\": \"ctrl++\"}",
     "{\"action\": \"press\", \"keys\": [\"ctrl\", \"+\"]}"},
    {"{\"action\": \"press\", \"keys\": [\"+\"]}", "{\"action\": \"press\", \"keys\": [\"+\"]}"},
    {"{\"action\": \"press\", \"keys\": [\"-\"]}", "{\"action\": \"press\", \"keys\": [\"-\"]}"},
    {"{\"action\": \"press\", \"keys\": \"page down\"}",
     "{\"action\": \"press\", \"keys\": [\"pagedown\"]}"},
    {"{\"action\": \"press\", \"keys\": [\" \"]}",
     "{\"action\": \"press\", \"keys\": [\"space\"]}"},
    {"{\"action\": \"press\", \"keys\": [5]}", "{\"action\": \"press\", \"keys\": [\"5\"]}"},
    /* text */
    {"{\"action\": \"type\", \"content\": \"a\nb\"}",
     "{\"action\": \"input\", \"text\": \"a\\nb\"}"},
    {"{\"action\": \"input\", \"text\": 42}", "{\"action\": \"input\", \"text\": \"42\"}"},
    {"{'action': 'input', 'text': \"it's\"}", "{\"action\": \"input\", \"text\": \"it's\"}"},
    {"{'action': 'input', 'text': 'it\\'s \\x41'}",
     "{\"action\": \"input\", \"text\": \"it's A\"}"},
    {"{\"action\": \"input\", \"text\": \"\\u00e4\\ud83d\\ude00\\/\"}",
     "{\"action\": \"input\", \"text\": \"\xc3\xa4\xf0\x9f\x98\x80/\"}"},
    {"{\"action\": \"input\", \"text\": \"```json {}\"}",
     "{\"action\": \"input\", \"text\": \"```json {}\"}"},
    {"{\"action\": \"input\", \"text\": \"<think>\"}",
     "{\"action\": \"input\", \"text\": \"<think>\"}"},
    {"{\"action\": \"input\", \"text\": \"\xef\xbc\x9a\"}",
     "{\"action\": \"input\", \"text\": \"\xef\xbc\x9a\"}"},
    /* names that carry a field */
    {"{\"action\": \"scroll_down\"}", "{\"action\": \"scroll\", \"direction\": \"down\"}"},
    {"{\"action\": \"press_enter\"}", "{\"action\": \"press\", \"keys\": [\"enter\"]}"},
    {"{\"action\": \"terminate\", \"status\": \"success\", \"start_point\": [1, 2]}",
     "{\"action\": \"finished\", \"status\": \"success\"}"},
};

static void reads_official(void **state)
{
    for (size_t i = 0; i < N_ELEMENTS(official); i++)
        check_shape(&official[i]);
}

static void reads_shapes(void **state)
{
    for (size_t i = 0; i < N_ELEMENTS(shapes); i++)
        check_shape(&shapes[i]);
}

static void reads_every_alias(void **state)
{
    for (int k = 0; k < N_ACTION_KINDS; k++) {
        const struct action_row *row = &action_table[k];
        assert_int_equal(row->kind, k);
        assert_string_equal(row->name, action_kind_name((enum action_kind)k));
        for (size_t i = 0; i < N_ELEMENTS(row->aliases) && row->aliases[i]; i++) {
            char text[256];
            snprintf(text, sizeof text,
                     "{\"action\": \"%s\"%s%s%s%s%s}", row->aliases[i],
                     row->required & FIELD_START ? ", \"start_point\": [1, 2]" : "",
                     row->required & FIELD_END ? ", \"end_point\": [1, 2]" : "",
                     row->required & FIELD_TEXT ? ", \"text\": \"x\"" : "",
                     row->required & FIELD_KEYS ? ", \"keys\": [\"a\"]" : "",
                     row->required & FIELD_APP ? ", \"app\": \"x\"" : "");
            struct action a;
            struct err err = {0};
            if (action_parse(text, strlen(text), W, H, &a, &err) != 0)
                fail_msg("%s: %s", text, err.text);
            assert_int_equal(a.kind, k);
            action_done(&a);
        }
    }
}

/* A text and a part of the sentence that refuses it. */
static const struct shape refused[] = {
    {"", "no action"},
    {"I click the button.", "no action"},
    {"{}", "no action"},
    {"```json\n```", "no action"},
    {"[]", "no action"},
    {"{\"bbox_2d\": [1, 2, 3, 4]}", "no action"},
    {"Action: click(start_box='(1,2)')", "no action"},
    {"<think>{\"action\": \"wait\"}", "not closed by </think>"},
    {"{\"action\": \"\"}", "no action \"\" (byte 11)"},
    {"{\"action\": \"swipe\", \"start_point\": [1, 2]}", "no action \"swipe\" (byte 11)"},
    {"{\"action\": 3}", "not a string"},
    {"{\"action\": \"click\"}", "click at byte 0 lacks its \"start_point\""},
    {"ab {\"action\": \"click\"}", "click at byte 3 lacks its \"start_point\""},
    {"{\"action\": \"drag\", \"start_point\": [1, 2]}", "lacks its \"end_point\""},
    {"{\"action\": \"input\"}", "lacks its \"text\""},
    {"{\"action\": \"press\"}", "lacks its \"keys\""},
    {"{\"action\": \"scroll\"}", "lacks its \"direction\""},
    {"{\"action\": \"click\", \"start_point\": []}", "needs two numbers"},
    {"{\"action\": \"click\", \"start_point\": \"\"}", "needs two numbers"},
    {"{\"action\": \"click\", \"start_point\": [1]}", "needs two numbers"},
    {"{\"action\": \"click\", \"start_point\": [1, 2, 3]}", "needs two numbers"},
    {"{\"action\": \"click\", \"start_point\": [1, 2, 3, 4, 5]}", "more than four"},
    {"{\"action\": \"click\", \"start_point\": [1, \"b\"]}", "a number was expected"},
    {"{\"action\": \"click\", \"start_point\": [[1, 2], [3, 4]]}", "not several"},
    {"{\"action\": \"click\", \"start_point\": [1000, 2]}", "outside the image of 1000x700"},
    {"{\"action\": \"click\", \"start_point\": [999.99999999, 2]}", "outside the image"},
    {"{\"action\": \"click\", \"start_point\": [1, 700]}", "outside the image"},
    {"{\"action\": \"click\", \"start_point\": [-1, 2]}", "outside the image"},
    {"{\"action\": \"click\", \"start_point\": [1e999, 2]}", "not finite"},
    {"{\"action\": \"click\", \"start_point\": [NaN, 2]}", "expected a value at byte 36"},
    {"{\"action\": \"click\", \"start_point\": [12px, 2]}", "expected a value at byte 36"},
    {"{\"action\": \"click\", \"bbox_2d\": [10, 2, 3, 4]}", "wrong order"},
    {"{\"action\": \"click\", \"bbox_2d\": [10, 2, 1300, 4]}", "leaves the image"},
    {"{\"action\": \"click\", \"start_point\": [1, 2], \"start_point\": [3, 4]}", "given twice"},
    {"{\"action\": \"click\", \"start_point\": [1, 2], \"point\": [3, 4]}", "given twice"},
    {"{\"action\": \"click\", \"action\": \"wait\", \"start_point\": [1, 2]}", "named twice"},
    {"{\"action\": \"click\", \"start_point\": [1, 2], \"end_point\": [3, 4]}",
     "click takes no \"end_point\""},
    {"{\"action\": \"press\", \"keys\": [\"a\"], \"start_point\": [1, 2]}", "takes no"},
    {"{\"action\": \"press\", \"keys\": []}", "key names were expected"},
    {"{\"action\": \"press\", \"keys\": [\"\"]}", "empty key name"},
    {"{\"action\": \"press\", \"keys\": \"ctrl+\"}", "ends with a separator"},
    {"{\"action\": \"press\", \"keys\": \"ctrl++\u064b\"}", "lacks a + after the key +"},
    {"{\"action\": \"press\", \"keys\": [\"a\", [\"b\"]]}", "a key name was expected"},
    {"{\"action\": \"press\", \"keys\": [1,2,3,4,5,6,7]}", "more than 6 keys"},
    {"{\"action\": \"input\", \"text\": \"\"}", "is empty"},
    {"{\"action\": \"input\", \"text\": [\"a\"]}", "a text was expected"},
    {"{\"action\": \"input\", \"text\": \"a\\u0000b\"}", "no usable character"},
    {"{\"action\": \"input\", \"text\": \"a\\u001bb\"}", "control character 0x1b"},
    {"{\"action\": \"input\", \"text\": \"\\ud83d\"}", "surrogate"},
    {"{\"action\": \"input\", \"text\": \"\xff\"}", "malformed UTF-8"},
    {"{\"action\": \"input\", \"text\": \"\\q\"}", "unknown escape"},
    {"{\"action\": \"input\", \"text\": \"abc", "string that starts at byte 28"},
    {"{\"action\": \"input\", \"text\": ", "the text ends at byte 28"},
    {"{\"action\": \"click\", \"start_point\": [120, 4", "the text ends at byte 42"},
    {"{\"action\": \"click\" \"start_point\": [1, 2]}", "expected \",\" or \"}\" at byte 19"},
    {"{\"action\": \"click\", \"start_point\": [1 2]}", "expected \",\" or \"]\""},
    {"{\"action\": \"input\", \"text\": \"say \"hi\"\"}", "expected \",\" or \"}\""},
    {"{\"action\": \"scroll\", \"direction\": \"north\"}", "must be up, down, left or right"},
    {"{\"action\": \"scroll\", \"direction\": \"up\", \"distance\": 1000}", "wheel clicks"},
    {"{\"action\": \"click\", \"arguments\": \"{}\"}", "must be an object"},
    /* what is broken on the outside is not searched for something whole on the inside */
    {"{\"plan\": \"a\"b\", \"steps\": [{\"action\": \"wait\"}]}", "expected \",\" or \"}\""},
};

static void refuses(void **state)
{
    for (size_t i = 0; i < N_ELEMENTS(refused); i++) {
        struct action a;
        struct err err = {0};
        const char *t = refused[i].text;
        if (action_parse(t, strlen(t), W, H, &a, &err) == 0)
            fail_msg("%s was accepted", t);
        assert_int_equal(err.code, -EINVAL);
        if (!strstr(err.text, refused[i].json))
            fail_msg("%s\n  refused with \"%s\", expected \"%s\"", t, err.text, refused[i].json);
    }
}

static void refuses_nul_and_long_text(void **state)
{
    struct action a;
    struct err err = {0};
    static const char nul[] = "{\"action\": \"input\", \"text\": \"a\0b\"}";
    assert_int_equal(action_parse(nul, sizeof nul - 1, W, H, &a, &err), -EINVAL);
    assert_non_null(strstr(err.text, "NUL byte in a string at byte 30"));
    for (int over = 0; over < 2; over++) {
        struct str s = {0};
        str_puts(&s, "{\"action\": \"input\", \"text\": \"");
        for (int i = 0; i < ACTION_MAX_TEXT + over; i++)
            str_putc(&s, 'x');
        str_puts(&s, "\"}");
        int rc = action_parse(s.s, s.n, W, H, &a, &err);
        assert_int_equal(rc, over ? -EINVAL : 0);
        if (!rc)
            action_done(&a);
        str_done(&s);
    }
    /* depth and width are bounded */
    struct str deep = {0};
    str_puts(&deep, "{\"action\": ");
    for (int i = 0; i < 100000; i++)
        str_putc(&deep, '[');
    assert_int_equal(action_parse(deep.s, deep.n, W, H, &a, &err), -EINVAL);
    assert_non_null(strstr(err.text, "nest deeper"));
    str_done(&deep);
}

static void finds_reasoning(void **state)
{
    static const struct shape cases[] = {
        {"<think>\n the OK button \n</think>\n" CLICK, "the OK button"},
        {"the button</think>" CLICK, "the button"},
        {"Now the button: [" CLICK "]", "Now the button:"},
        {"Now\n```json\n" CLICK "```", "Now"},
        {CLICK, NULL},
        {"<think></think>" CLICK, NULL},
        {"<think>unfinished", "unfinished"},
    };
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        char *why = action_reasoning(cases[i].text, strlen(cases[i].text));
        if (!str_eq(why, cases[i].json))
            fail_msg("%s: \"%s\"", cases[i].text, why ? why : "(null)");
        free(why);
    }
}

static void reads_boxes(void **state)
{
    static const struct {
        const char *text;
        float x, y;
    } cases[] = {
        {"[{\"bbox_2d\": [10, 20, 30, 60], \"label\": \"OK\"}]", 20, 40},
        {"<think>x [1, 2, 3, 4]</think>```json\n[{\"bbox_2d\": [10, 20, 30, 60]}]\n```", 20, 40},
        {"{{\"bbox_2d\": [10, 20, 30, 60], \"label\": \"a\"}}", 20, 40},
        {"{'point_2d': [10, 20]}", 10, 20},
        {"{\"x\": 1} {\"point\": [10, 20]}", 10, 20},
        {"The button is at [10, 20, 30, 60].", 20, 40},
        {"It is at (10, 20)", 10, 20},
    };
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct model_pt p;
        float box[4];
        struct err err = {0};
        if (action_parse_box(cases[i].text, strlen(cases[i].text), W, H, &p, box, &err) != 0)
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_float_equal(p.x, cases[i].x, 0);
        assert_float_equal(p.y, cases[i].y, 0);
        assert_true(box[0] <= p.x && p.x <= box[2] && box[1] <= p.y && p.y <= box[3]);
    }
    static const char *const bad[] = {"", "nothing", "[1, 2, 3]", "{\"bbox_2d\": [1, 2, 3]}",
                                      "[{\"bbox_2d\": [1, 2, 3000, 4]}]", "{\"bbox_2d\": [1, 2"};
    for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
        struct model_pt p;
        float box[4];
        struct err err = {0};
        assert_int_equal(action_parse_box(bad[i], strlen(bad[i]), W, H, &p, box, &err), -EINVAL);
        assert_true(err.text[0]);
    }
    static const char *const none[] = {"[]", "<think>not found</think>\n\n```json\n[ ]\n```"};
    for (size_t i = 0; i < N_ELEMENTS(none); i++) {
        struct model_pt p;
        float box[4];
        struct err err = {0};
        assert_int_equal(action_parse_box(none[i], strlen(none[i]), W, H, &p, box, &err), -ENOENT);
        assert_non_null(strstr(err.text, "nothing on the screen"));
    }
}

/* random actions */

static uint64_t seed;
static uint32_t rnd(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % n;
}

static char *random_text(void)
{
    static const char *const bits[] = {"a", "Z", "0", " ", "\"", "\\", "\n", "\t", "/", "<", "'",
                                       "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "{", "}",
                                       "</think>", "```json", "<think>", "\xef\xbc\x9a"};
    struct str s = {0};
    for (int n = 1 + (int)rnd(20); n > 0; n--)
        str_puts(&s, bits[rnd(N_ELEMENTS(bits))]);
    return str_take(&s);
}

static struct model_pt random_point(void)
{
    float f = rnd(3) ? 0 : (float)rnd(100) / 100;
    return (struct model_pt){(float)rnd(W - 1) + f, (float)rnd(H - 1) + f};
}

static void random_action(struct action *a)
{
    static const char *const keys[] = {"ctrl", "alt", "s", "F4", "+", "-", "Enter", "\"", "\\",
                                       "\xc3\xa4", "Page_Down"};
    *a = (struct action){.kind = (enum action_kind)rnd(N_ACTION_KINDS)};
    const struct action_row *row = &action_table[a->kind];
    unsigned fields = row->required | (row->optional & rnd(256));
    if (fields & FIELD_START) {
        a->has_start = true;
        a->start = random_point();
    }
    if (fields & FIELD_END) {
        a->has_end = true;
        a->end = random_point();
    }
    if (fields & (FIELD_TEXT | FIELD_APP | FIELD_STATUS))
        a->text = random_text();
    if (fields & FIELD_KEYS)
        for (int n = 1 + (int)rnd(ACTION_MAX_KEYS); n > 0; n--)
            a->keys[a->n_keys++] = mem_strdup(keys[rnd(N_ELEMENTS(keys))]);
    if (fields & FIELD_DIRECTION)
        a->direction = (enum direction)(1 + rnd(4));
    if (fields & FIELD_DISTANCE)
        a->distance = (float)(1 + rnd(100));
}

static void assert_same(const struct action *a, const struct action *b, const char *text)
{
    bool same = a->kind == b->kind && a->has_start == b->has_start && a->has_end == b->has_end &&
                a->start.x == b->start.x && a->start.y == b->start.y && a->end.x == b->end.x &&
                a->end.y == b->end.y && a->direction == b->direction &&
                a->distance == b->distance && str_eq(a->text, b->text) && a->n_keys == b->n_keys;
    for (int i = 0; same && i < a->n_keys; i++)
        same = str_eq(a->keys[i], b->keys[i]);
    if (!same)
        fail_msg("not the same action again: %s", text);
}

static void survives_round_trip(void **state)
{
    seed = 0x1234567;
    for (int i = 0; i < 20000; i++) {
        struct action a, b;
        struct str s = {0};
        struct err err = {0};
        random_action(&a);
        if (rnd(2))
            str_puts(&s, "<think>reasons {\"action\": [</think>\n");
        action_json(&a, true, &s);
        if (action_parse(s.s, s.n, W, H, &b, &err) != 0)
            fail_msg("%s: %s", s.s, err.text);
        assert_same(&a, &b, s.s);
        action_done(&a);
        action_done(&b);
        str_done(&s);
    }
}

/* Bytes changed, removed, doubled, cut and spliced: no crash, and success means a valid action. */
static void survives_mutation(void **state)
{
    seed = 0xdead5eed;
    static const char spice[] = "{}[]()\"'\\,:<>`0e-.\n\xef\xbc\x9a\xe2\x80\x9c\x00\xff";
    for (int i = 0; i < 200000; i++) {
        const char *src = rnd(2) ? shapes[rnd(N_ELEMENTS(shapes))].text
                                 : refused[rnd(N_ELEMENTS(refused))].text;
        char *buf = mem_alloc(1024);
        size_t n = MIN(strlen(src), (size_t)700);
        memcpy(buf, src, n);
        for (int m = 1 + (int)rnd(4); m > 0 && n > 1; m--) {
            size_t at = rnd((uint32_t)n);
            switch (rnd(4)) {
            case 0: buf[at] = spice[rnd(sizeof spice - 1)]; break;
            case 1: memmove(buf + at, buf + at + 1, n - at - 1); n--; break;
            case 2: memmove(buf + at + 1, buf + at, n - at); n++; break;
            default: n = at + 1; break;
            }
        }
        char *exact = mem_alloc(n); /* so that a read past the end is seen */
        memcpy(exact, buf, n);
        struct action a;
        struct err err = {0};
        int rc = action_parse(exact, n, W, H, &a, &err);
        if (rc == 0) {
            assert_true(!a.has_start || (a.start.x >= 0 && a.start.x < W && a.start.y >= 0 &&
                                         a.start.y < H));
            assert_true(!a.text || (strlen(a.text) <= ACTION_MAX_TEXT &&
                                    utf8_valid(a.text, strlen(a.text))));
            action_done(&a);
        } else {
            assert_int_equal(err.code, rc);
        }
        struct model_pt p;
        float box[4];
        if (action_parse_box(exact, n, W, H, &p, box, NULL) == 0)
            assert_true(isfinite(p.x) && isfinite(p.y) && p.x < W && p.y < H);
        free(exact);
        free(buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_official),
        cmocka_unit_test(reads_shapes),
        cmocka_unit_test(reads_every_alias),
        cmocka_unit_test(refuses),
        cmocka_unit_test(refuses_nul_and_long_text),
        cmocka_unit_test(finds_reasoning),
        cmocka_unit_test(reads_boxes),
        cmocka_unit_test(survives_round_trip),
        cmocka_unit_test(survives_mutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
