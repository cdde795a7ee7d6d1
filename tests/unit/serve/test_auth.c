/* Who may speak, decided over strings and a made-up clock. */
#include "serve/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND 1000000LL

static char bearer[128];

static struct auth fresh(void)
{
    struct auth a;
    assert_int_equal(auth_init(&a, NULL), 0);
    a.port = 7413;
    snprintf(bearer, sizeof bearer, "Bearer %s", a.token);
    return a;
}

static int check(struct auth *a, const char *authorization, int64_t now_us)
{
    enum auth_who who = AUTH_NOBODY;
    struct auth_request r = {"127.0.0.1:7413", NULL, authorization, NULL, true};
    int rc = auth_check(a, &r, now_us, &who);
    assert_int_equal(who, rc ? AUTH_NOBODY : AUTH_PROGRAM);
    return rc;
}

static void test_token(void **state)
{
    struct auth a = fresh(), b = fresh();
    assert_int_equal(strlen(a.token), 64);
    assert_string_not_equal(a.token, b.token);
    assert_int_equal(check(&b, bearer, SECOND), 0);
    assert_int_equal(check(&a, bearer, SECOND), 401);
    assert_int_equal(check(&b, b.token, SECOND), 401);
    assert_int_equal(check(&b, "Bearer ", SECOND), 401);
    assert_int_equal(check(&b, "", SECOND), 401);
    bearer[strlen(bearer) - 1] = '\0';
    assert_int_equal(check(&b, bearer, 20 * SECOND), 401);
    strcat(bearer, "xy");
    assert_int_equal(check(&b, bearer, 20 * SECOND), 401);
}

static void test_equal(void **state)
{
    assert_true(auth_equal("abc", "abc"));
    assert_false(auth_equal("abc", "abd"));
    assert_false(auth_equal("abc", "ab"));
    assert_false(auth_equal("ab", "abab"));
    assert_false(auth_equal("abab", "ab"));
    assert_false(auth_equal("", ""));
    assert_false(auth_equal("a", ""));
}

static void test_source(void **state)
{
    static const struct {
        const char *host, *origin;
        int status;
    } rows[] = {
        {"127.0.0.1:7413", NULL, 0},
        {"localhost:7413", "http://localhost:7413", 0},
        {"localhost:7413", "http://127.0.0.1:7413", 0},
        {NULL, NULL, 403},
        {"", NULL, 403},
        {"127.0.0.1", NULL, 403},
        {"127.0.0.1:7414", NULL, 403},
        {"127.0.0.1:74130", NULL, 403},
        {"evil.example:7413", NULL, 403},
        {"localhost:7413.evil.example", NULL, 403},
        {"127.0.0.1:7413", "https://127.0.0.1:7413", 403},
        {"127.0.0.1:7413", "http://127.0.0.1:7413/", 403},
        {"127.0.0.1:7413", "http://127.0.0.1:8888", 403},
        {"127.0.0.1:7413", "null", 403},
        {"127.0.0.1:7413", "", 403},
    };
    struct auth a = fresh();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct auth_request r = {rows[i].host, rows[i].origin, bearer, NULL, true};
        assert_int_equal(auth_check_source(&a, &r), rows[i].status);
    }
}

static void test_backoff(void **state)
{
    struct auth a = fresh();
    int64_t t = 100 * SECOND;
    for (int i = 0; i < 5; i++)
        assert_int_equal(check(&a, "Bearer no", t + i), 401);
    assert_int_equal(check(&a, "Bearer no", t + 9 * SECOND), 429);
    assert_int_equal(check(&a, bearer, t + 9 * SECOND), 0); /* the owner is not locked out */
    assert_int_equal(check(&a, "Bearer no", t + 11 * SECOND), 401);

    /* slowly is no attack, and a missing token is not a wrong one */
    a = fresh();
    for (int i = 0; i < 50; i++)
        assert_int_equal(check(&a, "Bearer no", t + i * 3 * SECOND), 401);
    a = fresh();
    for (int i = 0; i < 50; i++)
        assert_int_equal(check(&a, NULL, t), 401);
}

static int check_cookie(struct auth *a, const char *cookie, const char *origin, bool is_upgrade)
{
    enum auth_who who = AUTH_NOBODY;
    struct auth_request r = {"127.0.0.1:7413", origin, NULL, cookie, is_upgrade};
    int rc = auth_check(a, &r, 1000 * SECOND, &who);
    assert_int_equal(who, rc ? AUTH_NOBODY : AUTH_BROWSER);
    return rc;
}

static void test_codes(void **state)
{
    static const char origin[] = "http://127.0.0.1:7413";
    struct auth a = fresh();
    char code[AUTH_CODE_HEX + 1], session[AUTH_SECRET_HEX + 1], cookie[256];
    assert_int_equal(auth_code_new(&a, 0, code, NULL), 0);
    assert_int_equal(auth_code_redeem(&a, "", SECOND, session), 401);
    assert_int_equal(auth_code_redeem(&a, code, SECOND, session), 0);
    assert_int_equal(auth_code_redeem(&a, code, SECOND, session), 401);
    assert_string_not_equal(session, a.token);

    snprintf(cookie, sizeof cookie, "deskhand=%s", session);
    assert_int_equal(check_cookie(&a, cookie, origin, true), 0);
    assert_int_equal(check_cookie(&a, cookie, NULL, false), 0);
    assert_int_equal(check_cookie(&a, cookie, NULL, true), 401);
    snprintf(cookie, sizeof cookie, "a=b; deskhand=%s; c", session);
    assert_int_equal(check_cookie(&a, cookie, origin, true), 0);
    snprintf(cookie, sizeof cookie, "xdeskhand=%s", session);
    assert_int_equal(check_cookie(&a, cookie, origin, true), 401);
    snprintf(cookie, sizeof cookie, "deskhand=%s0", session);
    assert_int_equal(check_cookie(&a, cookie, origin, true), 401);

    assert_int_equal(auth_code_new(&a, 0, code, NULL), 0);
    assert_int_equal(auth_code_redeem(&a, code, 61 * SECOND, session), 401);

    /* only the newest codes and sessions are kept */
    char first[AUTH_CODE_HEX + 1];
    a = fresh();
    assert_int_equal(auth_code_new(&a, 0, first, NULL), 0);
    for (int i = 0; i < AUTH_CODES_MAX; i++)
        assert_int_equal(auth_code_new(&a, 0, code, NULL), 0);
    assert_int_equal(auth_code_redeem(&a, first, SECOND, session), 401);
    assert_int_equal(auth_code_redeem(&a, code, SECOND, session), 0);
    snprintf(cookie, sizeof cookie, "deskhand=%s", session);
    for (int i = 0; i < AUTH_SESSIONS_MAX; i++) {
        assert_int_equal(check_cookie(&a, cookie, origin, true), 0);
        assert_int_equal(auth_code_new(&a, 0, code, NULL), 0);
        assert_int_equal(auth_code_redeem(&a, code, SECOND, session), 0);
    }
    assert_int_equal(check_cookie(&a, cookie, origin, true), 401);
}

static void test_renew(void **state)
{
    struct auth a = fresh();
    char old[sizeof a.token], code[AUTH_CODE_HEX + 1], session[AUTH_SECRET_HEX + 1], cookie[256];
    snprintf(old, sizeof old, "%s", a.token);
    assert_int_equal(auth_code_new(&a, 0, code, NULL), 0);
    assert_int_equal(auth_code_redeem(&a, code, SECOND, session), 0);
    assert_int_equal(auth_code_new(&a, 0, code, NULL), 0);
    assert_int_equal(auth_renew(&a, NULL), 0);
    assert_string_not_equal(a.token, old);
    assert_int_equal(strlen(a.token), AUTH_SECRET_HEX);
    snprintf(cookie, sizeof cookie, "deskhand=%s", session);
    assert_int_equal(check_cookie(&a, cookie, NULL, false), 401);
    assert_int_equal(auth_code_redeem(&a, code, SECOND, session), 401);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token),   cmocka_unit_test(test_equal),
        cmocka_unit_test(test_source),  cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_codes),   cmocka_unit_test(test_renew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
