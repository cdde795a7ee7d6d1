/* The other end of the wire, written from the RFC and not from client/ws.c. */
#include "fake_daemon.h"

#include "base/mailbox.h"
#include "client/ws.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void put(struct fake_daemon *d, const void *data, size_t n)
{
    const char *p = data;
    while (n) {
        ssize_t k = send(d->fd, p, n, MSG_NOSIGNAL);
        if (k <= 0)
            return;
        p += k;
        n -= (size_t)k;
    }
}

static int get(struct fake_daemon *d, void *data, size_t n)
{
    return recv(d->fd, data, n, MSG_WAITALL) == (ssize_t)n;
}

static void serve(void *user)
{
    struct fake_daemon *d = user;
    d->fd = accept(d->listen_fd, NULL, NULL);
    char head[4096] = "", key[64] = "", accept_key[29], answer[512];
    size_t n = 0;
    while (!strstr(head, "\r\n\r\n") && n < sizeof(head) - 1 && get(d, head + n, 1))
        head[++n] = 0;
    char *k = strstr(head, "Sec-WebSocket-Key: ");
    if (k)
        sscanf(k + 19, "%63s", key);
    ws_accept_key(key, accept_key);
    if (d->bad_accept)
        accept_key[0] ^= 1;
    snprintf(answer, sizeof(answer),
             "HTTP/1.1 %s\r\nupgrade: websocket\r\nConnection: Upgrade\r\n"
             "sec-websocket-accept:  %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
             d->status_line ? d->status_line : "101 Switching Protocols", accept_key,
             d->protocol ? d->protocol : "deskhand.v1");
    put(d, answer, strlen(answer));
    if (d->play)
        d->play(d);
    close(d->fd);
}

void fake_daemon_start(struct fake_daemon *d)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    d->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert(bind(d->listen_fd, (struct sockaddr *)&at, n) == 0 && listen(d->listen_fd, 4) == 0);
    getsockname(d->listen_fd, (struct sockaddr *)&at, &n);
    d->port = ntohs(at.sin_port);
    d->thread = thread_start("fake daemon", serve, d);
}

void fake_daemon_join(struct fake_daemon *d)
{
    thread_join(d->thread);
    close(d->listen_fd);
}

void fake_daemon_frame(struct fake_daemon *d, int first_byte, const void *data, size_t n)
{
    uint8_t head[10] = {(uint8_t)first_byte};
    size_t k = 2;
    if (n < 126) {
        head[1] = (uint8_t)n;
    } else if (n < 65536) {
        head[1] = 126, head[2] = (uint8_t)(n >> 8), head[3] = (uint8_t)n;
        k = 4;
    } else {
        head[1] = 127;
        for (int i = 0; i < 8; i++)
            head[2 + i] = (uint8_t)((uint64_t)n >> (8 * (7 - i)));
        k = 10;
    }
    put(d, head, k);
    put(d, data, n);
}

void fake_daemon_text(struct fake_daemon *d, const char *text)
{
    fake_daemon_frame(d, 0x81, text, strlen(text));
}

int fake_daemon_read(struct fake_daemon *d, char *ret, size_t cap, size_t *ret_n)
{
    uint8_t head[2], more[8], mask[4];
    if (!get(d, head, 2))
        return -1;
    assert(head[1] & 0x80);
    size_t n = head[1] & 0x7f, extra = n == 126 ? 2 : n == 127 ? 8 : 0;
    if (extra) {
        assert(get(d, more, extra));
        n = 0;
        for (size_t i = 0; i < extra; i++)
            n = n << 8 | more[i];
    }
    assert(n < cap && get(d, mask, 4) && (n == 0 || get(d, ret, n)));
    for (size_t i = 0; i < n; i++)
        ret[i] ^= (char)mask[i % 4];
    ret[n] = 0;
    *ret_n = n;
    return head[0];
}
