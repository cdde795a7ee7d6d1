/* A task and the questions of several clients share the model: the questions are answered while the
 * step is thought about, and those of a client that leaves are dropped. */
#include "base/mem.h"
#include "tests/apps/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct driver d;

struct client {
    int n_answers, code;
    char text[4096];
};

static void on_reply(void *cookie, json_t *id, json_t *result, int code, const char *message)
{
    struct client *c = cookie;
    const char *text = json_string_value(json_object_get(result, "text"));
    c->n_answers++;
    c->code = code;
    snprintf(c->text, sizeof c->text, "%s", text ? text : message ? message : "");
    json_decref(result);
}

static void ask(struct client *c, const char *method, const char *key, const char *value)
{
    json_t *params = json_pack("{s:s}", key, value), *id = json_integer(1);
    agent_request(d.a, method, params, id, AGENT_PROGRAM, on_reply, c);
    json_decref(params);
    json_decref(id);
}

static struct client clients[3], gone, alone;

static bool all_answered(struct driver *x)
{
    return clients[0].n_answers && clients[1].n_answers && clients[2].n_answers;
}

static bool alone_answered(struct driver *x)
{
    return alone.n_answers;
}

static bool none_left(struct driver *x)
{
    return !x->a->queries;
}

static void questions_join_the_step(void **state)
{
    driver_desk(&d, 448, 336);
    driver_agent(&d, "default: allow\n", 0, 0);
    ask(&alone, "ground", "target", "the button");
    assert_true(driver_until(&d, alone_answered, 60));

    static const char *const methods[][2] = {
        {"start", "goal"}, {"ground", "target"}, {"ask", "question"}};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(driver_ask(&d, AGENT_PROGRAM, methods[i][0],
                                    json_pack("{s:s, s:s}", methods[i][1], "x", "adapter", "mine")),
                         -32602);
        assert_string_equal(d.reply_text, "No adapter is called \"mine\"; loaded: none.");
    }
    assert_int_equal(driver_ask(&d, AGENT_PROGRAM, "start",
                                json_pack("{s:s, s:b}", "goal", "Press the button", "dry_run", 1)),
                     0);
    for (int i = 0; i < 3; i++)
        ask(&clients[i], "ground", "target", "the button");
    for (int i = 0; i < 4; i++)
        ask(&gone, "ask", "question", "What is on this screen?");
    agent_forget(d.a, &gone);
    assert_true(driver_until(&d, all_answered, 60));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(clients[i].n_answers, 1);
        assert_int_equal(clients[i].code, alone.code);
        assert_string_equal(clients[i].text, alone.text);
    }
    assert_true(driver_until(&d, none_left, 60));
    assert_int_equal(gone.n_answers, 0);
    driver_end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(questions_join_the_step)};
    if (!driver_has_programs(NULL))
        return 77;
    return cmocka_run_group_tests_name("together", tests, NULL, NULL);
}
