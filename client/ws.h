/* The client's end of a websocket (RFC 6455) over one blocking-looking socket: connect, send text,
 * receive text. One thread; nothing is shared. */
#ifndef DESKHAND_CLIENT_WS_H
#define DESKHAND_CLIENT_WS_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

#define WS_MAX_MESSAGE (16u << 20) /* bytes of one message from the daemon */

struct ws {
    int fd;             /* -1 when closed */
    int wake_fd[2];     /* further descriptors that end a wait (-1: none) */
    int woken;          /* which one did, as an index into wake_fd */
    struct str in;      /* bytes read and not yet consumed */
    struct str message; /* fragments of the message in the making */
    int message_opcode; /* 0 while there is none */
};

/* Connects to 127.0.0.1:port, upgrades /ws with the bearer token and subprotocol deskhand.v1.
 * -EACCES: the daemon refused the token; -ECONNREFUSED: nobody listens; -EPROTO: something else
 * answered. */
int ws_open(struct ws *w, int port, const char *token, int64_t timeout_us, struct err *err);
/* The same upgrade over a connected socket, which is taken over also on failure. */
int ws_upgrade(struct ws *w, int fd, int port, const char *token, int64_t timeout_us,
               struct err *err);
int ws_send(struct ws *w, const char *text, size_t n, struct err *err);
/* One whole text message into `ret`. Pings are answered on the way. -ETIMEDOUT, -EINTR when a
 * wake_fd is readable, -ECONNRESET when the daemon closed. timeout_us < 0: for ever. */
int ws_recv(struct ws *w, int64_t timeout_us, struct str *ret, struct err *err);
void ws_close(struct ws *w);

/* base64(SHA1(key + the RFC's GUID)): what Sec-WebSocket-Accept must say. */
void ws_accept_key(const char *key, char ret[29]);

/* TCP to 127.0.0.1:port; the socket or a negative errno. */
int ws_tcp(int port, int64_t timeout_us, struct err *err);
/* Sends all or fails; gives up after 10 s. */
int ws_write_all(int fd, const void *data, size_t n, struct err *err);

#endif
