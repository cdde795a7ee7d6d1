/* The websocket client against a server thread: framing both ways, fragments, ping, close, and a
 * server that lies. */
#include "client/rpc.h"
#include "client/ws.h"

#include "base/mem.h"
#include "fake_daemon.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND 1000000
static const char token[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/* The example of RFC 6455 section 1.3. */
static void test_accept_key(void **state)
{
    char key[29];
    ws_accept_key("dGhlIHNhbXBsZSBub25jZQ==", key);
    assert_string_equal(key, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void play_echo(struct fake_daemon *d)
{
    static char buf[400000];
    size_t n;
    for (int i = 0; i < 5; i++)
        if (fake_daemon_read(d, buf, sizeof(buf), &n) == 0x81)
            fake_daemon_frame(d, 0x81, buf, n);
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {0, 125, 126, 65535, 300000};
    struct fake_daemon d = {.play = play_echo};
    struct ws w;
    struct err err = {0};
    fake_daemon_start(&d);
    assert_int_equal(ws_open(&w, d.port, token, SECOND, &err), 0);
    for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
        char *text = mem_alloc(sizes[i] + 1);
        memset(text, 'a' + (int)i, sizes[i]);
        struct str got = {0};
        assert_int_equal(ws_send(&w, text, sizes[i], &err), 0);
        assert_int_equal(ws_recv(&w, 5 * SECOND, &got, &err), 0);
        assert_int_equal(got.n, sizes[i]);
        assert_memory_equal(str_cstr(&got), text, sizes[i]);
        str_done(&got);
        free(text);
    }
    ws_close(&w);
    fake_daemon_join(&d);
}

static void play_fragments(struct fake_daemon *d)
{
    char buf[256];
    size_t n;
    fake_daemon_frame(d, 0x01, "one ", 4);
    fake_daemon_frame(d, 0x89, "hi", 2); /* a ping between fragments */
    fake_daemon_frame(d, 0x00, "two ", 4);
    fake_daemon_frame(d, 0x80, "three", 5);
    *(int *)d->user = fake_daemon_read(d, buf, sizeof(buf), &n) == 0x8a && n == 2 &&
                      memcmp(buf, "hi", 2) == 0;
    fake_daemon_frame(d, 0x88, "\x03\xe8", 2);
    fake_daemon_read(d, buf, sizeof(buf), &n);
}

static void test_fragments_ping_close(void **state)
{
    int pong = 0;
    struct fake_daemon d = {.play = play_fragments, .user = &pong};
    struct ws w;
    struct err err = {0};
    struct str got = {0};
    fake_daemon_start(&d);
    assert_int_equal(ws_open(&w, d.port, token, SECOND, &err), 0);
    assert_int_equal(ws_recv(&w, 5 * SECOND, &got, &err), 0);
    assert_string_equal(got.s, "one two three");
    str_done(&got);
    assert_int_equal(ws_recv(&w, 5 * SECOND, &got, &err), -ECONNRESET);
    fake_daemon_join(&d);
    assert_true(pong);
    assert_int_equal(w.fd, -1);
}

struct lie {
    int first_byte;
    const char *raw; /* sent as it is when set */
    size_t n;
    int code;
};

static void play_lie(struct fake_daemon *d)
{
    const struct lie *lie = d->user;
    ssize_t ignored = write(d->fd, lie->raw, lie->n);
    (void)ignored;
    char buf[64];
    size_t n;
    fake_daemon_read(d, buf, sizeof(buf), &n); /* until the client hangs up */
}

static void test_lies(void **state)
{
    static const struct lie lies[] = {
        {0, "\xc1\x01x", 3, -EPROTO},                                /* a reserved bit */
        {0, "\x81\x81\0\0\0\0x", 7, -EPROTO},                        /* masked */
        {0, "\x80\x01x", 3, -EPROTO},                                /* continues nothing */
        {0, "\x01\x01x\x81\x01y", 6, -EPROTO},                       /* text inside a text */
        {0, "\x09\x01x", 3, -EPROTO},                                /* a ping in fragments */
        {0, "\x89\x7e\x00\x80", 4, -EPROTO},                         /* a long ping */
        {0, "\x83\x01x", 3, -EPROTO},                                /* an unknown kind */
        {0, "\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10, -EMSGSIZE}, /* 2^64-1 bytes */
    };
    for (size_t i = 0; i < N_ELEMENTS(lies); i++) {
        struct lie lie = lies[i];
        struct fake_daemon d = {.play = play_lie, .user = &lie};
        struct ws w;
        struct err err = {0};
        struct str got = {0};
        fake_daemon_start(&d);
        assert_int_equal(ws_open(&w, d.port, token, SECOND, &err), 0);
        int rc = ws_recv(&w, 2 * SECOND, &got, &err);
        if (rc != lie.code)
            print_error("lie %zu: %d %s\n", i, rc, err.text);
        assert_int_equal(rc, lie.code);
        assert_int_equal(w.fd, -1);
        str_done(&got);
        fake_daemon_join(&d);
    }
}

static void test_upgrade_refused(void **state)
{
    static const struct {
        struct fake_daemon d;
        int code;
    } cases[] = {
        {{.status_line = "401 Unauthorized"}, -EACCES}, {{.status_line = "429 Slow"}, -EACCES},
        {{.status_line = "200 OK"}, -EPROTO},           {{.protocol = "chat"}, -EPROTO},
        {{.bad_accept = 1}, -EPROTO},
    };
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct fake_daemon d = cases[i].d;
        struct ws w;
        struct err err = {0};
        fake_daemon_start(&d);
        assert_int_equal(ws_open(&w, d.port, token, SECOND, &err), cases[i].code);
        assert_true(strlen(err.text) > 10);
        fake_daemon_join(&d);
    }
}

static void test_wake(void **state)
{
    int pipe_fd[2];
    struct fake_daemon d = {.play = play_echo};
    struct ws w;
    struct err err = {0};
    struct str got = {0};
    assert_int_equal(pipe(pipe_fd), 0);
    fake_daemon_start(&d);
    assert_int_equal(ws_open(&w, d.port, token, SECOND, &err), 0);
    assert_int_equal(ws_recv(&w, 20000, &got, &err), -ETIMEDOUT);
    w.wake_fd[1] = pipe_fd[0];
    assert_int_equal(write(pipe_fd[1], "x", 1), 1);
    assert_int_equal(ws_recv(&w, -1, &got, &err), -EINTR);
    assert_int_equal(w.woken, 1);
    assert_true(w.fd >= 0);
    ws_close(&w);
    fake_daemon_join(&d);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
}

static void play_rpc(struct fake_daemon *d)
{
    char buf[512];
    size_t n;
    fake_daemon_read(d, buf, sizeof(buf), &n);
    fake_daemon_text(d, "{\"jsonrpc\":\"2.0\",\"method\":\"notice\",\"params\":{\"text\":\"hm\"}}");
    fake_daemon_text(d, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"x\":5}}");
    fake_daemon_read(d, buf, sizeof(buf), &n);
    fake_daemon_text(d, "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":1004,\"message\":"
                        "\"no\\u001b[31m\"}}");
    fake_daemon_read(d, buf, sizeof(buf), &n);
    fake_daemon_text(d, "[1,2]");
}

static void count_note(void *user, const char *method, const json_t *params)
{
    ++*(int *)user;
}

static void test_rpc(void **state)
{
    struct fake_daemon d = {.play = play_rpc};
    struct rpc r;
    struct err err = {0};
    json_t *result = NULL;
    int code, notes = 0;
    fake_daemon_start(&d);
    struct daemon_place place = {.port = d.port};
    memcpy(place.token, token, sizeof(token));
    assert_int_equal(rpc_open(&r, &place, &err), 0);
    r.on_note = count_note;
    r.user = &notes;
    assert_int_equal(rpc_call(&r, "status", NULL, SECOND, &result, &code, &err), 0);
    assert_int_equal(json_integer_value(json_object_get(result, "x")), 5);
    assert_int_equal(notes, 1);
    json_decref(result);
    assert_int_equal(rpc_call(&r, "start", json_pack("{s:s}", "goal", "g"), SECOND, &result, &code,
                              &err), -EREMOTEIO);
    assert_int_equal(code, 1004);
    assert_null(strchr(err.text, '\033'));
    assert_int_equal(rpc_call(&r, "status", NULL, SECOND, &result, &code, &err), -EPROTO);
    rpc_close(&r);
    fake_daemon_join(&d);
}

static void test_daemon_json(void **state)
{
    static const char *const bad[] = {
        "", "[]", "{", "null", "{\"port\": 7413}", "{\"port\": \"7413\", \"token\": \"%s\"}",
        "{\"port\": 0, \"token\": \"%s\"}", "{\"port\": 70000, \"token\": \"%s\"}",
        "{\"port\": 99999999999999999999, \"token\": \"%s\"}",
        "{\"port\": 1, \"token\": \"abc\"}", "{\"port\": 1, \"token\": 5}",
        "{\"port\": 1, \"token\": \"%s\\r\\n\"}",
        "{\"port\": 1, \"port\": 2, \"token\": \"%s\"}",
    };
    char text[512];
    struct daemon_place p;
    struct err err = {0};
    for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
        const char *at = strstr(bad[i], "%s");
        snprintf(text, sizeof(text), "%.*s%s%s", at ? (int)(at - bad[i]) : (int)strlen(bad[i]),
                 bad[i], at ? token : "", at ? at + 2 : "");
        assert_int_equal(daemon_place_parse(text, strlen(text), &p, &err), -EINVAL);
    }
    snprintf(text, sizeof(text), "{\"port\": 7413, \"token\": \"%s\", \"pid\": 12}", token);
    assert_int_equal(daemon_place_parse(text, strlen(text), &p, &err), 0);
    assert_int_equal(p.port, 7413);
    assert_string_equal(p.token, token);
    assert_int_equal(p.pid, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept_key), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_fragments_ping_close), cmocka_unit_test(test_lies),
        cmocka_unit_test(test_upgrade_refused), cmocka_unit_test(test_wake),
        cmocka_unit_test(test_rpc), cmocka_unit_test(test_daemon_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
