/* A websocket client of the size the protocol needs: text messages, fragments, ping, close.
 *
 * The socket is non-blocking and every wait is a poll with a deadline that also watches the
 * caller's wake descriptors, so that Ctrl+C and an answer on the terminal get through between two
 * messages. What comes in is hostile until checked: masked frames, reserved bits, oversized or
 * fragmented control frames and messages beyond WS_MAX_MESSAGE close the connection with a
 * sentence. */
#include "client/ws.h"

#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OP_CONT = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

#define MAX_REPLY 16384 /* bytes of the HTTP answer to the upgrade */

static int wait_ms(int64_t until_us)
{
    if (until_us < 0)
        return -1;
    int64_t left = until_us - clock_now_us();
    return left <= 0 ? 0 : (int)MIN(left / 1000 + 1, (int64_t)1000000);
}

int ws_tcp(int port, int64_t timeout_us, struct err *err)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(err, -errno, "cannot make a socket: %s", strerror(errno));
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int code = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ? 0 : errno;
    if (code == EINPROGRESS) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        socklen_t n = sizeof(code);
        if (poll(&p, 1, wait_ms(clock_now_us() + timeout_us)) < 1)
            code = ETIMEDOUT;
        else
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &n);
    }
    if (code) {
        close(fd);
        return err_set(err, -code, "nobody answers on 127.0.0.1:%d: %s", port, strerror(code));
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

int ws_write_all(int fd, const void *data, size_t n, struct err *err)
{
    const uint8_t *p = data;
    int64_t until = clock_now_us() + 10000000;
    while (n) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k > 0) {
            p += k;
            n -= (size_t)k;
            continue;
        }
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0 && errno != EAGAIN)
            return err_set(err, -errno, "the daemon closed the connection: %s", strerror(errno));
        struct pollfd w = {.fd = fd, .events = POLLOUT};
        if (poll(&w, 1, wait_ms(until)) == 0)
            return err_set(err, -ETIMEDOUT, "the daemon does not read from its socket");
    }
    return 0;
}

/* Reads what is there into w->in, waiting until `until_us` for the first byte. */
static int fill(struct ws *w, int64_t until_us, struct err *err)
{
    for (;;) {
        struct pollfd p[3] = {{.fd = w->fd, .events = POLLIN},
                              {.fd = w->wake_fd[0], .events = POLLIN},
                              {.fd = w->wake_fd[1], .events = POLLIN}};
        int k = poll(p, 3, wait_ms(until_us));
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return err_set(err, -errno, "poll: %s", strerror(errno));
        for (int i = 0; i < 2; i++)
            if (p[i + 1].revents) {
                w->woken = i;
                return err_set(err, -EINTR, "interrupted");
            }
        if (p[0].revents)
            break;
        if (until_us >= 0 && clock_now_us() >= until_us)
            return err_set(err, -ETIMEDOUT, "the daemon did not answer in time");
    }
    char buf[65536];
    ssize_t n = recv(w->fd, buf, sizeof(buf), 0);
    if (n > 0)
        str_add(&w->in, buf, (size_t)n);
    else if (n == 0)
        return err_set(err, -ECONNRESET, "the daemon closed the connection");
    else if (errno != EAGAIN && errno != EINTR)
        return err_set(err, -errno, "the connection to the daemon broke: %s", strerror(errno));
    return 0;
}

static void consume(struct str *b, size_t n)
{
    memmove(b->s, b->s + n, b->n - n);
    b->n -= n;
    b->s[b->n] = 0;
}

/* The value of an HTTP header in a NUL-terminated head, into ret; false when absent. */
static bool header_value(const char *head, const char *name, char *ret, size_t cap)
{
    size_t n = strlen(name);
    for (const char *p = strstr(head, "\r\n"); p; p = strstr(p, "\r\n")) {
        p += 2;
        if (strncasecmp(p, name, n) != 0 || p[n] != ':')
            continue;
        p += n + 1;
        while (*p == ' ' || *p == '\t')
            p++;
        size_t len = strcspn(p, "\r\n");
        while (len && isspace((unsigned char)p[len - 1]))
            len--;
        if (len >= cap)
            return false;
        memcpy(ret, p, len);
        ret[len] = 0;
        return true;
    }
    return false;
}

static int check_reply(const char *head, const char *key, struct err *err)
{
    char value[128], expected[29];
    if (strncmp(head, "HTTP/1.1 ", 9) != 0)
        return err_set(err, -EPROTO, "what listens there does not speak HTTP: is it deskhandd?");
    int status = atoi(head + 9);
    if (status == 401)
        return err_set(err, -EACCES, "the daemon refused the token of daemon.json: "
                                     "is the file from another daemon?");
    if (status == 429)
        return err_set(err, -EACCES, "the daemon has closed its door after wrong tokens: "
                                     "try again in 10 s");
    if (status != 101)
        return err_set(err, -EPROTO, "the daemon answered the upgrade with HTTP %d, not 101",
                       status);
    ws_accept_key(key, expected);
    if (!header_value(head, "Sec-WebSocket-Accept", value, sizeof(value)) ||
        strcmp(value, expected) != 0)
        return err_set(err, -EPROTO, "the upgrade's Sec-WebSocket-Accept is wrong: "
                                     "what listens there is no websocket server");
    if (!header_value(head, "Sec-WebSocket-Protocol", value, sizeof(value)) ||
        strcmp(value, "deskhand.v1") != 0)
        return err_set(err, -EPROTO, "the server does not speak the deskhand.v1 protocol");
    return 0;
}

static void make_key(char ret[25])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t r[22];
    if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
        memset(r, 0x5a, sizeof(r)); /* a nonce against caches, not a secret */
    for (int i = 0; i < 22; i++)
        ret[i] = digits[r[i] & 63];
    ret[21] = digits[(r[21] & 3) << 4]; /* 128 bits: the last digit carries two */
    ret[22] = ret[23] = '=';
    ret[24] = 0;
}

int ws_upgrade(struct ws *w, int fd, int port, const char *token, int64_t timeout_us,
               struct err *err)
{
    *w = (struct ws){.fd = fd, .wake_fd = {-1, -1}};
    w->in.max = WS_MAX_MESSAGE + 65536 * 2;
    w->message.max = WS_MAX_MESSAGE + 1;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    char key[25];
    make_key(key);
    struct str ask = {0};
    str_printf(&ask,
               "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
               "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Protocol: deskhand.v1\r\nAuthorization: Bearer %s\r\n\r\n",
               port, key, token);
    int rc = ws_write_all(fd, ask.s, ask.n, err);
    str_done(&ask);
    int64_t until = clock_now_us() + timeout_us;
    while (rc == 0) {
        char *end = w->in.n ? strstr(w->in.s, "\r\n\r\n") : NULL;
        if (end) {
            end[2] = 0;
            rc = check_reply(w->in.s, key, err);
            if (rc == 0)
                consume(&w->in, (size_t)(end - w->in.s) + 4);
            break;
        }
        if (w->in.n > MAX_REPLY)
            rc = err_set(err, -EPROTO, "the answer to the upgrade is longer than %d bytes",
                         MAX_REPLY);
        else
            rc = fill(w, until, err);
    }
    if (rc)
        ws_close(w);
    return rc;
}

int ws_open(struct ws *w, int port, const char *token, int64_t timeout_us, struct err *err)
{
    int fd = ws_tcp(port, timeout_us, err);
    if (fd < 0) {
        *w = (struct ws){.fd = -1, .wake_fd = {-1, -1}};
        return fd;
    }
    return ws_upgrade(w, fd, port, token, timeout_us, err);
}

static int send_frame(struct ws *w, int opcode, const char *data, size_t n, struct err *err)
{
    if (w->fd < 0)
        return err_set(err, -ENOTCONN, "there is no connection to the daemon");
    uint8_t head[14], mask[4];
    size_t k = 2;
    head[0] = (uint8_t)(0x80 | opcode);
    if (n < 126) {
        head[1] = (uint8_t)(0x80 | n);
    } else if (n < 65536) {
        head[1] = 0x80 | 126;
        head[2] = (uint8_t)(n >> 8);
        head[3] = (uint8_t)n;
        k = 4;
    } else {
        head[1] = 0x80 | 127;
        for (int i = 0; i < 8; i++)
            head[2 + i] = (uint8_t)((uint64_t)n >> (56 - i * 8));
        k = 10;
    }
    if (getrandom(mask, 4, 0) != 4)
        return err_set(err, -EIO, "the kernel gives no random bytes");
    memcpy(head + k, mask, 4);
    k += 4;
    uint8_t *frame = mem_alloc(k + n);
    memcpy(frame, head, k);
    for (size_t i = 0; i < n; i++)
        frame[k + i] = (uint8_t)data[i] ^ mask[i & 3];
    int rc = ws_write_all(w->fd, frame, k + n, err);
    free(frame);
    return rc;
}

int ws_send(struct ws *w, const char *text, size_t n, struct err *err)
{
    return send_frame(w, OP_TEXT, text, n, err);
}

/* One frame out of w->in, when it is complete: 1 and its parts, 0 for "need more", or an error. */
static int next_frame(struct ws *w, int *ret_opcode, bool *ret_fin, size_t *ret_at, size_t *ret_n,
                      struct err *err)
{
    const uint8_t *p = (const uint8_t *)w->in.s;
    if (w->in.n < 2)
        return 0;
    uint64_t n = p[1] & 0x7f;
    size_t at = n == 126 ? 4 : n == 127 ? 10 : 2;
    int opcode = p[0] & 15;
    bool fin = p[0] & 0x80;
    if (p[0] & 0x70)
        return err_set(err, -EPROTO, "the daemon set reserved bits in a frame (0x%02x)", p[0]);
    if (p[1] & 0x80)
        return err_set(err, -EPROTO, "the daemon sent a masked frame");
    if (opcode >= 8 && (n > 125 || !fin))
        return err_set(err, -EPROTO, "the daemon sent a long or fragmented control frame");
    if (w->in.n < at)
        return 0;
    if (at > 2) {
        n = 0;
        for (size_t i = 2; i < at; i++)
            n = n << 8 | p[i];
    }
    if (n > WS_MAX_MESSAGE)
        return err_set(err, -EMSGSIZE, "the daemon announced a frame of %llu bytes, more than %u",
                       (unsigned long long)n, WS_MAX_MESSAGE);
    if (w->in.n - at < n)
        return 0;
    *ret_opcode = opcode;
    *ret_fin = fin;
    *ret_at = at;
    *ret_n = (size_t)n;
    return 1;
}

/* Takes one data frame into the message; 1 when the message is complete. */
static int take_data(struct ws *w, int opcode, bool fin, const char *data, size_t n,
                     struct err *err)
{
    if ((opcode == OP_CONT) != (w->message_opcode != 0))
        return err_set(err, -EPROTO, "the daemon sent fragments out of order");
    if (opcode != OP_CONT)
        w->message_opcode = opcode;
    str_add(&w->message, data, n);
    if (w->message.overflow)
        return err_set(err, -EMSGSIZE, "the daemon sent a message of more than %u bytes",
                       WS_MAX_MESSAGE);
    return fin;
}

int ws_recv(struct ws *w, int64_t timeout_us, struct str *ret, struct err *err)
{
    int64_t until = timeout_us < 0 ? -1 : clock_now_us() + timeout_us;
    int opcode = 0, rc;
    bool fin = false;
    size_t at = 0, n = 0;
    for (;;) {
        if (w->fd < 0)
            return err_set(err, -ENOTCONN, "there is no connection to the daemon");
        rc = next_frame(w, &opcode, &fin, &at, &n, err);
        if (rc == 0) {
            rc = fill(w, until, err);
            if (rc == -EINTR || rc == -ETIMEDOUT)
                return rc;
        } else if (rc > 0) {
            rc = 0;
            if (opcode <= OP_BINARY) {
                rc = take_data(w, opcode, fin, w->in.s + at, n, err);
            } else if (opcode == OP_PING) {
                rc = send_frame(w, OP_PONG, w->in.s + at, n, err);
            } else if (opcode == OP_CLOSE) {
                send_frame(w, OP_CLOSE, w->in.s + at, MIN(n, (size_t)2), NULL);
                rc = err_set(err, -ECONNRESET, "the daemon closed the connection");
            } else if (opcode != OP_PONG) {
                rc = err_set(err, -EPROTO, "the daemon sent a frame of unknown kind %d", opcode);
            }
            consume(&w->in, at + n);
        }
        if (rc < 0) {
            ws_close(w);
            return rc;
        }
        if (rc == 0)
            continue;
        bool text = w->message_opcode == OP_TEXT;
        w->message_opcode = 0;
        if (text)
            str_add(ret, str_cstr(&w->message), w->message.n);
        str_reset(&w->message);
        if (text)
            return 0;
    }
}

void ws_close(struct ws *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    str_done(&w->in);
    str_done(&w->message);
    w->message_opcode = 0;
}
