/* Actions as text. The history lines are what CPython 3.11 prints for
 * json.dumps({...}, ensure_ascii=False) of the same dictionaries. */
#include "actions/action.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HI ((char *)"Ada \"L\" \\ \xc3\xa4\n\t")

static struct action sample(enum action_kind kind)
{
    struct action a = {.kind = kind};
    switch (kind) {
    case ACTION_DRAG:
        a.has_end = true;
        a.end = (struct model_pt){300.5f, 20};
        a.has_start = true;
        a.start = (struct model_pt){120, 48.4f};
        break;
    case ACTION_PRESS:
        a.keys[a.n_keys++] = (char *)"ctrl";
        a.keys[a.n_keys++] = (char *)"s";
        break;
    case ACTION_SCROLL: a.direction = DIRECTION_DOWN; break;
    case ACTION_WAIT:
    case ACTION_CALL_USER: break;
    case ACTION_FINISHED: a.text = (char *)"success"; break;
    case ACTION_OPEN:
    case ACTION_APPSWITCH: a.text = (char *)"xterm"; break;
    case ACTION_INPUT: a.text = HI; /* fall through */
    default:
        a.has_start = true;
        a.start = (struct model_pt){120, 48};
    }
    return a;
}

static const struct {
    enum action_kind kind;
    const char *history, *json, *line;
} cases[] = {
    {ACTION_CLICK, "{\"action_name\": \"click\", \"start_point\": [120, 48]}",
     "{\"action\": \"click\", \"start_point\": [120, 48]}", "click at 120,48"},
    {ACTION_DOUBLE_CLICK, "{\"action_name\": \"double_click\", \"start_point\": [120, 48]}",
     "{\"action\": \"double_click\", \"start_point\": [120, 48]}", "double-click at 120,48"},
    {ACTION_HOVER, "{\"action_name\": \"hover\", \"start_point\": [120, 48]}",
     "{\"action\": \"hover\", \"start_point\": [120, 48]}", "hover over 120,48"},
    {ACTION_DRAG,
     "{\"action_name\": \"drag\", \"start_point\": [120, 48], \"end_point\": [301, 20]}",
     "{\"action\": \"drag\", \"start_point\": [120, 48.4000015], \"end_point\": [300.5, 20]}",
     "drag from 120,48 to 301,20"},
    {ACTION_SCROLL, "{\"action_name\": \"scroll\", \"direction\": \"down\"}",
     "{\"action\": \"scroll\", \"direction\": \"down\"}", "scroll down"},
    {ACTION_INPUT,
     "{\"action_name\": \"input\", \"text\": \"Ada \\\"L\\\" \\\\ \xc3\xa4\\n\\t\"}",
     "{\"action\": \"input\", \"start_point\": [120, 48], "
     "\"text\": \"Ada \\\"L\\\" \\\\ \xc3\xa4\\n\\t\"}",
     "type 13 characters at 120,48"},
    {ACTION_PRESS, "{\"action_name\": \"press\", \"keys\": [\"ctrl\", \"s\"]}",
     "{\"action\": \"press\", \"keys\": [\"ctrl\", \"s\"]}", "press ctrl+s"},
    {ACTION_OPEN, "{\"action_name\": \"open\", \"app\": \"xterm\"}",
     "{\"action\": \"open\", \"app\": \"xterm\"}", "open \"xterm\""},
    {ACTION_WAIT, "{\"action_name\": \"wait\"}", "{\"action\": \"wait\"}", "wait"},
    {ACTION_FINISHED, "{\"action_name\": \"finished\", \"status\": \"success\"}",
     "{\"action\": \"finished\", \"status\": \"success\"}", "finished: success"},
    {ACTION_CALL_USER, "{\"action_name\": \"call_user\"}", "{\"action\": \"call_user\"}",
     "call the user"},
};

static void writes_all_three(void **state)
{
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct action a = sample(cases[i].kind);
        struct str s = {0};
        action_history_json(&a, &s);
        assert_string_equal(str_cstr(&s), cases[i].history);
        str_reset(&s);
        action_json(&a, true, &s);
        assert_string_equal(str_cstr(&s), cases[i].json);
        str_reset(&s);
        action_describe(&a, &s);
        assert_string_equal(str_cstr(&s), cases[i].line);
        str_done(&s);
    }
}

static void hides_typed_text(void **state)
{
    struct action a = sample(ACTION_INPUT);
    struct str s = {0};
    action_json(&a, false, &s);
    assert_string_equal(str_cstr(&s), "{\"action\": \"input\", \"start_point\": [120, 48], "
                                      "\"text_length\": 13}");
    str_reset(&s);
    a = sample(ACTION_FINISHED);
    action_json(&a, false, &s);
    assert_string_equal(str_cstr(&s), "{\"action\": \"finished\", \"status\": \"success\"}");
    str_done(&s);
}

static void splits_tags_only_outside_history(void **state)
{
    struct action a = {.kind = ACTION_INPUT, .text = (char *)"</think>"};
    struct str s = {0};
    action_json(&a, true, &s);
    assert_string_equal(str_cstr(&s), "{\"action\": \"input\", \"text\": \"<\\/think>\"}");
    str_reset(&s);
    action_history_json(&a, &s);
    assert_string_equal(str_cstr(&s), "{\"action_name\": \"input\", \"text\": \"</think>\"}");
    str_done(&s);
}

static void describes_safely(void **state)
{
    struct action a = {.kind = ACTION_OPEN, .text = (char *)"x\x1b[31m"};
    struct str s = {0};
    action_describe(&a, &s);
    assert_null(strchr(str_cstr(&s), 0x1b));
    str_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_all_three),
        cmocka_unit_test(hides_typed_text),
        cmocka_unit_test(splits_tags_only_outside_history),
        cmocka_unit_test(describes_safely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
