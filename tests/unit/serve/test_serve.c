/* The door from outside: a forked child runs the real loop over a fake agent, and this process
 * speaks to it through plain sockets, well and badly. The child must survive everything and end
 * with 0 on SIGTERM (so the sanitizers' reports fail the test too). */
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "serve/loop.h"
#include "tests/unit/serve/fake_agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" /* RFC 6455, 1.3 */
#define LONG_MS 20000

static char runtime_dir[64];
static pid_t daemon_pid;
static int port;
static char token[65];

static void read_daemon_json(void)
{
    AUTO_FREE char *path = file_runtime_path("daemon.json");
    for (int i = 0; i < 1000; i++) {
        json_t *j = json_load_file(path, 0, NULL);
        const char *t;
        int pid;
        if (j && json_unpack(j, "{s:i, s:s, s:i}", "port", &port, "token", &t, "pid", &pid) == 0 &&
            pid == daemon_pid) {
            snprintf(token, sizeof token, "%s", t);
            json_decref(j);
            return;
        }
        json_decref(j);
        usleep(10000);
    }
    fail_msg("no daemon.json");
}

static int start_port; /* of struct loop_options */

static int daemon_start(void **state)
{
    snprintf(runtime_dir, sizeof runtime_dir, "/tmp/deskhand-serve-XXXXXX");
    assert_non_null(mkdtemp(runtime_dir));
    setenv("XDG_RUNTIME_DIR", runtime_dir, 1);
    daemon_pid = fork();
    if (daemon_pid == 0) {
        struct loop_options o = {.port = start_port, .no_browser_approval = true};
        struct loop *l = NULL;
        struct err err = {0};
        signal(SIGPIPE, SIG_IGN);
        int rc = loop_open(&o, &l, &err);
        if (rc == 0)
            rc = loop_run(l, &err);
        loop_close(l);
        if (rc < 0)
            fprintf(stderr, "child: %s\n", err.text);
        exit(rc < 0 || fake_counts.n_closed != 1 ? 1 : 0);
    }
    read_daemon_json();
    return 0;
}

static int daemon_wait(void)
{
    int status = -1;
    assert_int_equal(waitpid(daemon_pid, &status, 0), daemon_pid);
    daemon_pid = 0;
    return status;
}

static int daemon_end(void **state)
{
    int status = 0;
    if (daemon_pid) {
        kill(daemon_pid, SIGTERM);
        status = daemon_wait();
    }
    AUTO_FREE char *json = file_runtime_path("daemon.json");
    AUTO_FREE char *lock = file_runtime_path("deskhandd.lock");
    AUTO_FREE char *dir = file_runtime_path(NULL);
    bool gone = access(json, F_OK) < 0;
    unlink(lock);
    rmdir(dir);
    rmdir(runtime_dir);
    if (status != 0)
        fprintf(stderr, "the daemon ended with status %x\n", status);
    return status == 0 && gone ? 0 : -1;
}

static int taken_fd;

/* The usual port belongs to someone else: this process, or whoever has it already. */
static int daemon_start_beside_another(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7413)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    taken_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* As the daemon does: connections that another left in TIME_WAIT keep neither from listening. */
    int one = 1;
    setsockopt(taken_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(taken_fd, (struct sockaddr *)&a, sizeof a) == 0)
        assert_int_equal(listen(taken_fd, 1), 0);
    else
        assert_int_equal(errno, EADDRINUSE);
    start_port = LOOP_PORT_USUAL;
    return daemon_start(state);
}

static int daemon_end_beside_another(void **state)
{
    close(taken_fd);
    start_port = 0;
    return daemon_end(state);
}

static int rcvbuf; /* of the next connections, 0: the system's */

static int dial(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (rcvbuf > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void put(int fd, const void *data, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t k = send(fd, (const char *)data + at, n - at, MSG_NOSIGNAL);
        if (k <= 0)
            return; /* the daemon hung up, which the caller looks at by reading */
        at += (size_t)k;
    }
}

/* Exactly n bytes; false at the end of the stream. The daemon's silence fails the test. */
static bool get(int fd, void *data, size_t n)
{
    for (size_t at = 0; at < n;) {
        struct pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, LONG_MS) <= 0)
            fail_msg("the daemon neither speaks nor hangs up");
        ssize_t k = recv(fd, (char *)data + at, n - at, 0);
        if (k <= 0)
            return false;
        at += (size_t)k;
    }
    return true;
}

struct answer {
    int status;
    struct str head;
    char *body;
    size_t n;
};

static void answer_done(struct answer *a)
{
    str_done(&a->head);
    free(a->body);
}

static void read_answer(int fd, struct answer *r)
{
    *r = (struct answer){0};
    char c;
    while (r->head.n < 8192 && get(fd, &c, 1)) {
        str_putc(&r->head, c);
        if (r->head.n > 4 && memcmp(r->head.s + r->head.n - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    sscanf(str_cstr(&r->head), "HTTP/1.%*d %d", &r->status);
    const char *cl = strcasestr(str_cstr(&r->head), "content-length:");
    r->n = cl ? (size_t)atol(cl + 15) : 0;
    r->body = mem_zalloc(r->n + 1);
    if (r->n > 0 && !get(fd, r->body, r->n))
        r->n = 0;
}

/* `extra`: header lines, each with its line end; %P would be the port, so callers format. */
static void http(const char *method, const char *target, const char *extra, struct answer *r)
{
    AUTO(str_done) struct str q = {0};
    int fd = dial();
    str_printf(&q, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n", method, target, port, extra);
    put(fd, q.s, q.n);
    read_answer(fd, r);
    close(fd);
}

static int http_status(const char *method, const char *target, const char *extra)
{
    AUTO(answer_done) struct answer r;
    http(method, target, extra, &r);
    return r.status;
}

/* The upgrade with freely chosen lines. 101 leaves the socket in *ret_fd. */
static int upgrade(const char *target, const char *lines, int *ret_fd)
{
    AUTO(str_done) struct str q = {0};
    AUTO(answer_done) struct answer r;
    int fd = dial();
    str_printf(&q,
               "GET %s HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
               target, lines);
    put(fd, q.s, q.n);
    read_answer(fd, &r);
    if (r.status == 101) {
        assert_non_null(strstr(r.head.s, ACCEPT));
        assert_non_null(strstr(r.head.s, "deskhand.v1"));
        if (ret_fd)
            *ret_fd = fd;
        else
            close(fd);
    } else {
        close(fd);
    }
    return r.status;
}

#define LINES_MAX 2048
static const char *lines(char *buf, const char *host, const char *origin, const char *auth,
                         bool protocol)
{
    AUTO(str_done) struct str b = {0};
    str_puts(&b, host);
    str_puts(&b, origin);
    str_puts(&b, auth);
    if (protocol)
        str_puts(&b, "Sec-WebSocket-Protocol: deskhand.v1\r\n");
    assert_true(b.n < LINES_MAX);
    memcpy(buf, b.s, b.n + 1);
    return buf;
}

static char host_line[64], bearer_line[128];

static void good_lines(void)
{
    snprintf(host_line, sizeof host_line, "Host: 127.0.0.1:%d\r\n", port);
    snprintf(bearer_line, sizeof bearer_line, "Authorization: Bearer %s\r\n", token);
}

static int ws_open(void)
{
    char buf[LINES_MAX];
    int fd = -1;
    good_lines();
    assert_int_equal(upgrade("/ws", lines(buf, host_line, "", bearer_line, true), &fd), 101);
    return fd;
}

static int ws_open_with(int receive_buffer)
{
    rcvbuf = receive_buffer;
    int fd = ws_open();
    rcvbuf = 0;
    return fd;
}

static void ws_frame(int fd, int first_byte, const void *data, size_t n)
{
    uint8_t head[14] = {(uint8_t)first_byte, 0};
    const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    size_t k = 2;
    if (n < 126) {
        head[1] = (uint8_t)(0x80 | n);
    } else if (n < 65536) {
        head[1] = 0x80 | 126;
        head[k++] = (uint8_t)(n >> 8);
        head[k++] = (uint8_t)n;
    } else {
        head[1] = 0x80 | 127;
        for (int i = 7; i >= 0; i--)
            head[k++] = (uint8_t)((uint64_t)n >> (8 * i));
    }
    memcpy(head + k, mask, 4);
    uint8_t *m = mem_alloc(n + 1);
    for (size_t i = 0; i < n; i++)
        m[i] = ((const uint8_t *)data)[i] ^ mask[i % 4];
    put(fd, head, k + 4);
    put(fd, m, n);
    free(m);
}

static void ws_send(int fd, const char *text)
{
    ws_frame(fd, 0x81, text, strlen(text));
}

/* One frame, heap, *ret_op its opcode; NULL when the connection ended. */
static char *ws_recv(int fd, int *ret_op, size_t *ret_n)
{
    uint8_t h[2], more[8];
    if (!get(fd, h, 2))
        return NULL;
    size_t n = h[1] & 0x7f;
    if (n >= 126) {
        size_t k = n == 126 ? 2 : 8;
        if (!get(fd, more, k))
            return NULL;
        n = 0;
        for (size_t i = 0; i < k; i++)
            n = n << 8 | more[i];
    }
    assert_true(n < (32u << 20));
    char *s = mem_zalloc(n + 1);
    if (n > 0 && !get(fd, s, n)) {
        free(s);
        return NULL;
    }
    *ret_op = h[0] & 0xf;
    if (ret_n)
        *ret_n = n;
    return s;
}

static json_t *ws_json(int fd)
{
    int op;
    AUTO_FREE char *s = ws_recv(fd, &op, NULL);
    if (!s || op != 1)
        return NULL;
    return json_loads(s, 0, NULL);
}

/* Reads on until a notification `method` (or the answer, method NULL). */
static json_t *ws_until(int fd, const char *method)
{
    for (json_t *j; (j = ws_json(fd)); json_decref(j)) {
        if (str_eq(json_string_value(json_object_get(j, "method")), method))
            return j;
    }
    return NULL;
}

static int ws_code(int fd, const char *message)
{
    ws_send(fd, message);
    json_t *j = ws_until(fd, NULL);
    assert_non_null(j);
    int code = (int)json_integer_value(json_object_get(json_object_get(j, "error"), "code"));
    json_decref(j);
    return code;
}

static void notice_arrives(int fd, const char *text)
{
    for (;;) {
        json_t *j = ws_until(fd, "notice");
        assert_non_null(j);
        json_t *p = json_object_get(j, "params");
        bool found = str_eq(json_string_value(json_object_get(p, "text")), text);
        json_decref(j);
        if (found)
            return;
    }
}

/* The close code of a connection that the daemon ends; 0 when it just ended. */
static int ws_close_code(int fd)
{
    int op;
    size_t n;
    for (char *s; (s = ws_recv(fd, &op, &n)); free(s)) {
        if (op == 8) {
            int code = n >= 2 ? (uint8_t)s[0] << 8 | (uint8_t)s[1] : 1005;
            free(s);
            return code;
        }
    }
    return 0;
}

static void alive(void)
{
    int fd = ws_open();
    assert_int_equal(ws_code(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}"), 0);
    close(fd);
}

static void test_files(void **state)
{
    struct stat st;
    AUTO_FREE char *path = file_runtime_path("daemon.json");
    AUTO_FREE char *dir = file_runtime_path(NULL);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(strspn(token, "0123456789abcdef"), 64);
}

static void test_second_instance(void **state)
{
    struct loop_options o = {.port = 0};
    struct loop *l = NULL;
    struct err err = {0};
    char want[64];
    assert_int_equal(loop_open(&o, &l, &err), -EBUSY);
    assert_null(l);
    snprintf(want, sizeof want, "process %d, port %d", (int)daemon_pid, port);
    assert_non_null(strstr(err.text, want));
    alive();
}

static void test_usual_port_is_taken(void **state)
{
    assert_int_not_equal(port, 7413);
    alive();
}

static void test_only_loopback(void **state)
{
    /* another address of this host's loopback net reaches a wildcard socket, but not ours */
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(0x7f000002);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), -1);
    close(fd);
}

static void test_upgrade_gate(void **state)
{
    char b[LINES_MAX], origin[128], wrong[256], target[256];
    good_lines();
    assert_int_equal(upgrade("/ws", lines(b, host_line, "", bearer_line, true), NULL), 101);
    snprintf(origin, sizeof origin, "Origin: http://127.0.0.1:%d\r\n", port);
    assert_int_equal(upgrade("/ws", lines(b, host_line, origin, bearer_line, true), NULL), 101);

    assert_int_equal(upgrade("/ws", lines(b, host_line, "", "", true), NULL), 401);
    snprintf(wrong, sizeof wrong, "Authorization: Bearer %064d\r\n", 0);
    assert_int_equal(upgrade("/ws", lines(b, host_line, "", wrong, true), NULL), 401);
    snprintf(target, sizeof target, "/ws?token=%s", token);
    assert_int_equal(upgrade(target, lines(b, host_line, "", "", true), NULL), 401);
    /* the token itself is not a browser session */
    snprintf(wrong, sizeof wrong, "Cookie: deskhand=%s\r\n", token);
    assert_int_equal(upgrade("/ws", lines(b, host_line, origin, wrong, true), NULL), 401);

    static const char *const origins[] = {"http://evil.example", "null", "http://127.0.0.1",
                                          "http://127.0.0.1:1", "http://localhost.evil.example"};
    for (size_t i = 0; i < N_ELEMENTS(origins); i++) {
        snprintf(origin, sizeof origin, "Origin: %s\r\n", origins[i]);
        assert_int_equal(upgrade("/ws", lines(b, host_line, origin, bearer_line, true), NULL), 403);
    }
    snprintf(origin, sizeof origin, "Origin: http://127.0.0.1:%d.evil.example\r\n", port);
    assert_int_equal(upgrade("/ws", lines(b, host_line, origin, bearer_line, true), NULL), 403);
    snprintf(origin, sizeof origin, "Host: rebound.example:%d\r\n", port);
    assert_int_equal(upgrade("/ws", lines(b, origin, "", bearer_line, true), NULL), 403);
    assert_int_equal(upgrade("/ws", lines(b, "Host: 127.0.0.1\r\n", "", bearer_line, true), NULL),
                     403);

    assert_int_equal(upgrade("/ws", lines(b, host_line, "", bearer_line, false), NULL), 400);
    assert_int_equal(upgrade("/", lines(b, host_line, "", bearer_line, true), NULL), 400);
    snprintf(wrong, sizeof wrong, "%sSec-WebSocket-Protocol: http\r\n", bearer_line);
    assert_int_equal(upgrade("/ws", lines(b, host_line, "", wrong, false), NULL), 400);
    alive();
}

/* Five wrong tokens close the door for wrong ones; the right one still passes. */
static void test_backoff(void **state)
{
    for (int i = 0; i < 6; i++)
        http_status("GET", "/shot/1.png", "Authorization: Bearer no\r\n");
    assert_int_equal(http_status("GET", "/shot/1.png", "Authorization: Bearer no\r\n"), 429);
    alive();
}

static void test_login(void **state)
{
    char cookie[256], both[LINES_MAX], b[LINES_MAX], origin[128];
    int fd = ws_open();
    ws_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"login_code\"}");
    json_t *j = ws_until(fd, NULL);
    const char *url = json_string_value(json_object_get(json_object_get(j, "result"), "url"));
    assert_non_null(url);
    const char *path = strstr(url, "/login?code=");
    assert_non_null(path);
    AUTO(answer_done) struct answer r;
    http("GET", path, "", &r);
    assert_int_equal(r.status, 200);
    const char *set = strcasestr(str_cstr(&r.head), "set-cookie: deskhand=");
    assert_non_null(set);
    assert_non_null(strstr(set, "HttpOnly"));
    assert_non_null(strstr(set, "SameSite=Strict"));
    snprintf(cookie, sizeof cookie, "Cookie: other=1; deskhand=%.64s\r\n", strchr(set, '=') + 1);
    assert_null(strstr(cookie, token));
    assert_int_equal(http_status("GET", path, ""), 401);
    json_decref(j);
    close(fd);

    assert_int_equal(http_status("GET", "/shot/1.png", cookie), 200);
    good_lines();
    snprintf(origin, sizeof origin, "Origin: http://localhost:%d\r\n", port);
    snprintf(both, sizeof both, "%s", cookie);
    /* a browser names its page; a cookie without an Origin is nobody's */
    assert_int_equal(upgrade("/ws", lines(b, host_line, "", both, true), NULL), 401);
    assert_int_equal(upgrade("/ws", lines(b, host_line, origin, both, true), &fd), 101);
    assert_int_equal(ws_code(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}"), 0);
    assert_int_equal(ws_code(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"login_code\"}"), 1004);
    assert_int_equal(ws_code(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"reload\"}"), 1004);
    assert_int_equal(ws_code(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"approve\"}"), 1004);
    close(fd);
}

static void test_http(void **state)
{
    static const char *const want[] = {
        "content-security-policy: default-src 'self'", "frame-ancestors 'none'",
        "x-content-type-options: nosniff", "referrer-policy: no-referrer",
        "cache-control: no-store"};
    AUTO(answer_done) struct answer r;
    AUTO(answer_done) struct answer pic;
    http("GET", "/no-such-file", "", &r);
    assert_int_equal(r.status, 404);
    for (size_t i = 0; i < N_ELEMENTS(want); i++)
        assert_non_null(strcasestr(str_cstr(&r.head), want[i]));
    assert_null(strcasestr(str_cstr(&r.head), "access-control"));

    assert_int_equal(http_status("POST", "/", "Content-Length: 0\r\n"), 405);
    assert_int_equal(http_status("GET", "/shot/1.png", ""), 401);
    assert_int_equal(http_status("GET", "/task/1/1-before.png", ""), 401);
    assert_int_equal(http_status("GET", "/live.jpg", ""), 401);
    good_lines();
    assert_int_equal(http_status("GET", "/shot/2.png", bearer_line), 404);
    assert_int_equal(http_status("GET", "/live.jpg", bearer_line), 200);
    http("GET", "/shot/1.png", bearer_line, &pic);
    assert_int_equal(pic.status, 200);
    assert_int_equal(pic.n, FAKE_PICTURE_BYTES);
    for (size_t i = 0; i < pic.n; i++)
        if ((uint8_t)pic.body[i] != (uint8_t)(i * 31 + i / 257))
            fail_msg("byte %zu of the picture is wrong", i);

    static const char *const paths[] = {"/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
                                        "/..%2f..%2fetc%2fpasswd", "//etc/passwd",
                                        "/index.html/../../serve/auth.c", "/shot/../daemon.json"};
    for (size_t i = 0; i < N_ELEMENTS(paths); i++) {
        int status = http_status("GET", paths[i], bearer_line);
        assert_true(status == 404 || status == 403 || status == 400 || status == 0);
    }
    alive();
}

static void test_rpc(void **state)
{
    int fd = ws_open();
    json_t *j = ws_json(fd);
    assert_string_equal(json_string_value(json_object_get(j, "method")), "state");
    json_decref(j);
    assert_int_equal(ws_code(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nothing\"}"), -32601);
    assert_int_equal(ws_code(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}"), -32600);
    assert_int_equal(ws_code(fd, "{\"id\":1,\"method\":\"status\"}"), -32600);
    assert_int_equal(ws_code(fd, "[]"), -32600);
    assert_int_equal(ws_code(fd, "7"), -32600);
    assert_int_equal(ws_code(fd, "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"status\"}"), -32600);
    assert_int_equal(
        ws_code(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\",\"params\":[]}"), -32602);
    assert_int_equal(ws_code(fd, "{\"jsonrpc\""), -32700);
    assert_int_equal(ws_code(fd, "{\"a\":1,\"a\":2}"), -32700);
    /* no id: done, but not answered; the next answer is the next request's */
    ws_send(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"status\"}");
    ws_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":\"mark\",\"method\":\"status\"}");
    j = ws_until(fd, NULL);
    assert_string_equal(json_string_value(json_object_get(j, "id")), "mark");
    json_decref(j);
    close(fd);
}

/* The connection ends with 1009, or the code is lost because bytes were still coming. */
static void too_large(int fd)
{
    int code = ws_close_code(fd);
    assert_true(code == 1009 || code == 0);
}

static void test_frames(void **state)
{
    int fd = ws_open(), op;
    ws_frame(fd, 0x01, "{\"jsonrpc\":\"2.0\",", 17);
    ws_frame(fd, 0x89, "hello", 5); /* a ping between two fragments */
    ws_frame(fd, 0x00, "\"id\":3,", 7);
    ws_frame(fd, 0x80, "\"method\":\"status\"}", 18);
    bool pong = false, answer = false;
    while (!pong || !answer) {
        AUTO_FREE char *s = ws_recv(fd, &op, NULL);
        assert_non_null(s);
        pong |= op == 10 && strcmp(s, "hello") == 0;
        answer |= op == 1 && strstr(s, "\"id\":3") != NULL;
    }
    assert_int_equal(ws_code(fd, ""), -32700);
    ws_frame(fd, 0x82, "{}", 2);
    json_t *j = ws_until(fd, NULL);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(j, "error"), "code")), -32700);
    json_decref(j);
    close(fd);

    /* as large as allowed, then too large: whole, and in fragments */
    AUTO_FREE char *big = mem_alloc(10u << 20);
    memset(big, ' ', 10u << 20);
    fd = ws_open();
    static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"status\"}";
    memcpy(big, request, sizeof request - 1);
    ws_frame(fd, 0x81, big, 256u << 10);
    j = ws_until(fd, NULL);
    assert_int_equal(json_integer_value(json_object_get(j, "id")), 4);
    json_decref(j);
    close(fd);
    fd = ws_open();
    ws_frame(fd, 0x81, big, (256u << 10) + 1);
    too_large(fd);
    close(fd);
    fd = ws_open();
    ws_frame(fd, 0x81, big, 10u << 20);
    too_large(fd);
    close(fd);
    fd = ws_open();
    for (int i = 0; i < 300; i++)
        ws_frame(fd, i ? 0x00 : 0x01, big, 1024);
    too_large(fd);
    close(fd);
    alive();
}

static void test_garbage(void **state)
{
    int fd = ws_open();
    for (int i = 0; i < 20; i++)
        ws_send(fd, "garbage \x01\x02");
    assert_int_equal(ws_close_code(fd), 1008);
    close(fd);

    unsigned seed = 12345;
    for (int round = 0; round < 60; round++) {
        uint8_t noise[700];
        for (size_t i = 0; i < sizeof noise; i++) {
            seed = seed * 1103515245u + 12345u;
            noise[i] = (uint8_t)(seed >> 16);
        }
        fd = round % 2 ? ws_open() : dial();
        put(fd, noise, sizeof noise);
        close(fd);
    }
    alive();
}

static void test_many(void **state)
{
    enum { N = 50 };
    int fds[N];
    for (int i = 0; i < N; i++)
        fds[i] = ws_open();
    ws_send(fds[0], "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"later\"}");
    for (int i = 0; i < N; i++)
        notice_arrives(fds[i], "due");
    ws_send(fds[1], "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"damage\"}");
    for (int i = 0; i < N; i++)
        notice_arrives(fds[i], "damage");
    for (int i = 0; i < N; i++)
        close(fds[i]);
}

static void test_wake(void **state)
{
    int fd = ws_open();
    for (int i = 0; i < 20; i++) {
        ws_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"knock\"}");
        notice_arrives(fd, "knocked");
    }
    close(fd);
}

static int n_services(int fd)
{
    ws_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"counts\"}");
    json_t *j = ws_until(fd, NULL);
    int n = (int)json_integer_value(json_object_get(json_object_get(j, "result"), "service"));
    json_decref(j);
    return n;
}

static void test_reconnect(void **state)
{
    int fd = ws_open(), before = n_services(fd);
    for (int i = 0; i < 5; i++) {
        ws_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"reconnect\"}");
        json_decref(ws_until(fd, NULL));
        usleep(300000); /* longer than the loop waits before it takes the new socket */
        ws_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"damage\"}");
        notice_arrives(fd, "damage");
    }
    assert_in_range(n_services(fd) - before, 10, 60);
    close(fd);
}

/* An idle daemon runs its agent as often as it is told to, which is never. */
static void test_idle(void **state)
{
    int fd = ws_open(), before = n_services(fd);
    usleep(500000);
    assert_in_range(n_services(fd) - before, 0, 3);
    close(fd);
}

/* A dead X connection, noticed by the agent or not, costs a look now and then, not a busy loop. */
static void test_dead_display(void **state)
{
    int fd = ws_open(), before = n_services(fd);
    ws_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hang_up\"}");
    json_decref(ws_until(fd, NULL));
    usleep(1000000);
    assert_in_range(n_services(fd) - before, 2, 40);
    ws_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"reconnect\"}");
    json_decref(ws_until(fd, NULL));
    before = n_services(fd);
    usleep(500000);
    assert_in_range(n_services(fd) - before, 0, 6);
    ws_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"damage\"}");
    notice_arrives(fd, "damage");
    close(fd);
}

/* What the daemon's kernel still holds after it hung up; the connection must be over. */
static size_t drain(int fd)
{
    AUTO_FREE char *sink = mem_alloc(1 << 20);
    for (size_t total = 0;;) {
        struct pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, 2000) <= 0)
            fail_msg("the connection is still open after %zu bytes", total);
        ssize_t k = recv(fd, sink, 1 << 20, 0);
        if (k <= 0)
            return total;
        total += (size_t)k;
    }
}

/* 10 MB pile up at once: past the ceiling. */
static void test_piles_up(void **state)
{
    int slow = ws_open();
    ws_send(slow, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"flood\"}");
    usleep(500000);
    assert_in_range(drain(slow), 0, 9000000);
    close(slow);
    alive();
}

/* Less than the ceiling, but more than the kernel takes from a client with a small buffer: the
 * clock ends it. One that waits three seconds and then reads is a slow client, not a dead one. */
static void test_never_reads(void **state)
{
    int dead = ws_open_with(4096), slow = ws_open_with(4096), fd = ws_open();
    ws_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"murmur\"}");
    notice_arrives(fd, "end of murmur");
    usleep(3000000);
    notice_arrives(slow, "end of murmur");
    usleep(3500000);
    assert_in_range(drain(dead), 0, FAKE_MURMUR_BYTES - 1);
    close(dead);
    assert_int_equal(ws_code(slow, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}"), 0);
    close(slow);
    close(fd);
}

#define RELOAD "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"reload\"}"

/* The policy is read again; a mistake in it is said. The second of the fake agent's fails. */
static void test_reload(void **state)
{
    char old[sizeof token], b[LINES_MAX];
    AUTO_FREE char *path = file_runtime_path("daemon.json");
    int fd = ws_open();
    snprintf(old, sizeof old, "%s", token);
    assert_int_equal(ws_code(fd, RELOAD), 0);
    assert_int_equal(ws_code(fd, RELOAD), 1003);

    assert_int_equal(unlink(path), 0);
    assert_int_equal(kill(daemon_pid, SIGHUP), 0);
    read_daemon_json(); /* it comes back */
    assert_string_equal(token, old);
    assert_int_equal(ws_code(fd, RELOAD), 0);

    assert_int_equal(ws_code(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"reload\","
                                 "\"params\":{\"new_token\":true}}"), 0);
    good_lines(); /* still the old one */
    assert_int_equal(upgrade("/ws", lines(b, host_line, "", bearer_line, true), NULL), 401);
    read_daemon_json();
    assert_string_not_equal(token, old);
    alive();
    assert_int_equal(ws_code(fd, RELOAD), 0); /* who is inside stays */
    close(fd);
}

static void test_shutdown(void **state)
{
    int fd = ws_open();
    ws_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"shutdown\"}");
    json_t *j = ws_until(fd, NULL);
    assert_int_equal(json_integer_value(json_object_get(j, "id")), 9);
    json_decref(j);
    assert_int_equal(daemon_wait(), 0);
    close(fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, daemon_start, daemon_end)
    const struct CMUnitTest tests[] = {
        T(test_files),
        T(test_second_instance),
        cmocka_unit_test_setup_teardown(test_usual_port_is_taken, daemon_start_beside_another,
                                        daemon_end_beside_another),
        T(test_only_loopback),
        T(test_upgrade_gate),
        T(test_backoff),
        T(test_login),
        T(test_http),
        T(test_rpc),
        T(test_frames),
        T(test_garbage),
        T(test_many),
        T(test_wake),
        T(test_reconnect),
        T(test_dead_display),
        T(test_idle),
        T(test_piles_up),
        T(test_never_reads),
        T(test_reload),
        T(test_shutdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
