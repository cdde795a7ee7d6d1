/* Requests out, replies and notifications in, and pictures by HTTP with the same token.
 *
 * A reply is matched by its id; notifications that arrive while a call waits are not lost but
 * handed to on_note. The HTTP part asks for HTTP/1.0 so that a body is simply "until the server
 * closes". */
#include "client/rpc.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNECT_US 5000000

int daemon_place_parse(const char *text, size_t n, struct daemon_place *ret, struct err *err)
{
    json_t *j;
    int rc = json_parse(text, n, "daemon.json", JSON_WANT_OBJECT, JSON_REJECT_DUPLICATES, &j, err);
    if (rc < 0)
        return rc;
    json_t *port = json_object_get(j, "port"), *token = json_object_get(j, "token");
    struct daemon_place p = {0};
    if (!json_is_integer(port) || json_integer_value(port) < 1 ||
               json_integer_value(port) > 65535) {
        rc = err_set(err, -EINVAL, "daemon.json has no \"port\" between 1 and 65535");
    } else if (!json_is_string(token) || json_string_length(token) != 64 ||
               strspn(json_string_value(token), "0123456789abcdefABCDEF") != 64) {
        rc = err_set(err, -EINVAL, "daemon.json has no \"token\" of 64 hex digits");
    } else {
        p.port = (int)json_integer_value(port);
        memcpy(p.token, json_string_value(token), 65);
        p.pid = (long)json_integer_value(json_object_get(j, "pid"));
        *ret = p;
    }
    json_decref(j);
    return rc;
}

int daemon_place_read(const char *path, struct daemon_place *ret, struct err *err)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return err_set(err, -errno, errno == ENOENT ? "no daemon runs: there is no %s" :
                       "cannot look at %s", path);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
        return err_set(err, -EPERM, "%s is not a file of mode 0600 that belongs to you: remove it",
                       path);
    char *text = NULL;
    size_t n = 0;
    int rc = file_read(path, 4096, &text, &n, err);
    if (rc == 0)
        rc = daemon_place_parse(text, n, ret, err);
    free(text);
    return rc;
}

int rpc_open(struct rpc *r, const struct daemon_place *place, struct err *err)
{
    *r = (struct rpc){.port = place->port};
    memcpy(r->token, place->token, sizeof(r->token));
    return ws_open(&r->ws, r->port, r->token, CONNECT_US, err);
}

void rpc_close(struct rpc *r)
{
    if (r->port)
        ws_close(&r->ws);
    r->port = 0;
}

int rpc_send(struct rpc *r, const char *method, json_t *params, struct err *err)
{
    int id = ++r->last_id;
    json_t *j = json_pack("{s:s, s:i, s:s, s:o*}", "jsonrpc", "2.0", "id", id, "method", method,
                          "params", params);
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    if (!text)
        return err_set(err, -EINVAL, "the request is not valid UTF-8");
    int rc = ws_send(&r->ws, text, strlen(text), err);
    free(text);
    return rc < 0 ? rc : id;
}

int rpc_step(struct rpc *r, int64_t timeout_us, json_t **ret_reply, int *ret_id, struct err *err)
{
    struct str text = {.max = WS_MAX_MESSAGE + 1};
    int rc = ws_recv(&r->ws, timeout_us, &text, err);
    json_t *j = NULL;
    if (rc == 0 && json_parse(str_cstr(&text), text.n, "", JSON_WANT_OBJECT, 0, &j, NULL) < 0)
        rc = err_set(err, -EPROTO, "the daemon sent something that is not a JSON object");
    str_done(&text);
    if (rc < 0)
        return rc;
    const char *method = json_string_value(json_object_get(j, "method"));
    json_t *id = json_object_get(j, "id");
    *ret_reply = NULL;
    if (method) {
        const json_t *params = json_object_get(j, "params");
        if (r->on_note && json_is_object(params))
            r->on_note(r->user, method, params);
        json_decref(j);
    } else if (json_object_get(j, "result") || json_object_get(j, "error")) {
        *ret_id = json_is_integer(id) ? (int)json_integer_value(id) : -1;
        *ret_reply = j;
    } else {
        json_decref(j);
        return err_set(err, -EPROTO, "the daemon sent a message that is neither reply nor "
                                     "notification");
    }
    return 0;
}

int rpc_result(json_t *reply, json_t **ret_result, int *ret_code, struct err *err)
{
    json_t *e = json_object_get(reply, "error");
    int rc = 0;
    if (ret_code)
        *ret_code = 0;
    if (e) {
        const char *text = json_string_value(json_object_get(e, "message"));
        int code = (int)json_integer_value(json_object_get(e, "code"));
        struct str safe = {0};
        text = text ? text : "the daemon reports an error without a sentence";
        str_printable(&safe, text, strlen(text), 480);
        if (ret_code)
            *ret_code = code;
        rc = err_set(err, -EREMOTEIO, "%s", str_cstr(&safe));
        str_done(&safe);
    } else if (ret_result) {
        *ret_result = json_incref(json_object_get(reply, "result"));
    }
    json_decref(reply);
    return rc;
}

int rpc_call(struct rpc *r, const char *method, json_t *params, int64_t timeout_us,
             json_t **ret_result, int *ret_code, struct err *err)
{
    int64_t until = timeout_us < 0 ? -1 : clock_now_us() + timeout_us;
    if (ret_code)
        *ret_code = 0;
    int id = rpc_send(r, method, params, err), got = 0;
    if (id < 0)
        return id;
    for (;;) {
        json_t *reply;
        int rc = rpc_step(r, until < 0 ? -1 : MAX(until - clock_now_us(), (int64_t)0), &reply, &got,
                          err);
        if (rc < 0)
            return err_wrap(err, "%s", method), rc;
        if (reply && got == id)
            return rpc_result(reply, ret_result, ret_code, err);
        json_decref(reply);
    }
}

/* Reads until the server closes. */
static int read_all(int fd, size_t max, struct str *b, struct err *err)
{
    int64_t until = clock_now_us() + 30000000;
    char buf[65536];
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = until - clock_now_us();
        if (left <= 0 || poll(&p, 1, (int)(left / 1000 + 1)) == 0)
            return err_set(err, -ETIMEDOUT, "the daemon did not send the picture within 30 s");
        ssize_t n = recv(fd, buf, sizeof(buf), 0);
        if (n == 0)
            return 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0)
            return err_set(err, -errno, "the connection to the daemon broke: %s", strerror(errno));
        if (b->n + (size_t)n > max)
            return err_set(err, -EMSGSIZE, "the daemon sent more than %zu bytes", max);
        str_add(b, buf, (size_t)n);
    }
}

int rpc_get(struct rpc *r, const char *url_path, size_t max, uint8_t **ret, size_t *ret_n,
            struct err *err)
{
    if (url_path[0] != '/' || strcspn(url_path, " \r\n\t") != strlen(url_path))
        return err_set(err, -EPROTO, "the daemon named a picture without a proper path");
    int fd = ws_tcp(r->port, CONNECT_US, err);
    if (fd < 0)
        return fd;
    struct str b = {.max = max + 65536};
    str_printf(&b, "GET %s HTTP/1.0\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n\r\n",
               url_path, r->port, r->token);
    int rc = ws_write_all(fd, b.s, b.n, err);
    str_reset(&b);
    if (rc == 0)
        rc = read_all(fd, max + 16384, &b, err);
    close(fd);
    char *body = rc == 0 && b.n ? memmem(b.s, b.n, "\r\n\r\n", 4) : NULL;
    if (rc == 0 && (!body || strncmp(b.s, "HTTP/1.", 7) != 0 || strlen(b.s) < 12))
        rc = err_set(err, -EPROTO, "the daemon's answer for %s is not HTTP", url_path);
    if (rc == 0 && atoi(b.s + 9) != 200)
        rc = err_set(err, -EPROTO, "the daemon answered HTTP %d for %s", atoi(b.s + 9), url_path);
    if (rc == 0) {
        body += 4;
        *ret_n = b.n - (size_t)(body - b.s);
        *ret = mem_alloc(*ret_n + 1);
        memcpy(*ret, body, *ret_n);
    }
    str_done(&b);
    return rc;
}
