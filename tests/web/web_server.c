/* One thread a connection, because a browser opens several at once. The websocket plays the
 * protocol's part of a daemon: it answers every request with an empty result (status with a real
 * one) and keeps the requests for the test to look at. The page's policy header is as strict as the
 * daemon's. */
#include "web_server.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mailbox.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/ws.h"
#include "vision/png.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *root;
static int page_fd = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *asked[64];
static int n_asked;

static void put(int fd, const void *data, size_t n)
{
    const char *p = data;
    while (n) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0)
            return;
        p += k;
        n -= (size_t)k;
    }
}

static void answer(int fd, const char *type, const void *data, size_t n)
{
    char head[512];
    int k =
        snprintf(head, sizeof(head),
                 "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n"
                 "Content-Security-Policy: default-src 'self'; frame-ancestors 'none'\r\n\r\n",
                 type ? "200 OK" : "404 Not Found", type ? type : "text/plain", n);
    put(fd, head, (size_t)k);
    put(fd, data, n);
}

/* A grey desktop of 800x500 with a white dialog and three fields. */
static void answer_picture(int fd)
{
    struct frame f = {0};
    uint8_t *png = NULL;
    size_t n = 0;
    frame_alloc(&f, 800, 500);
    for (int y = 0; y < 500; y++)
        for (int x = 0; x < 800; x++) {
            bool dialog = x > 200 && x < 600 && y > 100 && y < 400;
            bool field = x > 320 && x < 570 && y > 140 && (y - 140) % 70 < 36 && y < 340;
            memset(f.rgb + (y * 800 + x) * 3, dialog ? (field ? 255 : 225) : 90 + y / 8, 3);
        }
    png_write_mem(&f, &png, &n, NULL);
    answer(fd, "image/png", png, n);
    free(png);
    frame_done(&f);
}

static bool get(int fd, void *data, size_t n)
{
    return n == 0 || recv(fd, data, n, MSG_WAITALL) == (ssize_t)n;
}

void web_server_say(const char *text)
{
    size_t n = strlen(text), k = n < 126 ? 2 : 4;
    uint8_t head[4] = {0x81, (uint8_t)(n < 126 ? n : 126), (uint8_t)(n >> 8), (uint8_t)n};
    pthread_mutex_lock(&lock);
    if (page_fd >= 0) {
        put(page_fd, head, k);
        put(page_fd, text, n);
    }
    pthread_mutex_unlock(&lock);
}

static void reply(const char *text, size_t n)
{
    json_t *j = json_loadb(text, n, 0, NULL);
    const char *method = json_string_value(json_object_get(j, "method"));
    char out[512];
    snprintf(out, sizeof(out), "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":%s}",
             (int)json_integer_value(json_object_get(j, "id")),
             method && strcmp(method, "status") == 0
                 ? "{\"version\":\"9.9\",\"state\":\"idle\",\"model\":{\"name\":\"nano\"},"
                   "\"screen\":{\"x\":0,\"y\":0,\"w\":800,\"h\":500},\"display\":\":7\"}"
                 : "{}");
    pthread_mutex_lock(&lock);
    if (n_asked < (int)N_ELEMENTS(asked))
        asked[n_asked++] = mem_strndup(text, n);
    pthread_mutex_unlock(&lock);
    web_server_say(out);
    json_decref(j);
}

static void play_daemon(int fd, const char *key)
{
    char accept_key[29], head[512], text[65536];
    uint8_t h[2], len[2], mask[4];
    ws_accept_key(key, accept_key);
    int k = snprintf(head, sizeof(head),
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
                     "Sec-WebSocket-Protocol: deskhand.v1\r\n\r\n", accept_key);
    put(fd, head, (size_t)k);
    pthread_mutex_lock(&lock);
    page_fd = fd;
    pthread_mutex_unlock(&lock);
    web_server_say("{\"jsonrpc\":\"2.0\",\"method\":\"state\",\"params\":"
                   "{\"task\":0,\"state\":\"idle\",\"reason\":\"\",\"goal\":\"\",\"step\":0}}");
    while (get(fd, h, 2) && (h[0] & 15) == 1) {
        size_t n = h[1] & 0x7f;
        if (n == 126 && get(fd, len, 2))
            n = (size_t)len[0] << 8 | len[1];
        if (n >= sizeof(text) || !get(fd, mask, 4) || !get(fd, text, n))
            break;
        for (size_t i = 0; i < n; i++)
            text[i] ^= (char)mask[i % 4];
        reply(text, n);
    }
}

static void connection(void *user)
{
    int fd = (int)(intptr_t)user;
    char head[16384] = "", path[256] = "", key[64] = "";
    size_t n = 0;
    while (n < sizeof(head) - 1 && !strstr(head, "\r\n\r\n") && get(fd, head + n, 1))
        head[++n] = 0;
    sscanf(head, "GET %255[^ ?]", path);
    char *k = strcasestr(head, "Sec-WebSocket-Key: ");
    if (k)
        sscanf(k + 19, "%63s", key);
    if (key[0]) {
        play_daemon(fd, key);
    } else if (strcmp(path, "/live.jpg") == 0 || str_starts(path, "/task/")) {
        answer_picture(fd);
    } else if (path[0]) {
        AUTO_FREE char *file = file_join(root, strcmp(path, "/") == 0 ? "index.html" : path + 1);
        AUTO_FREE char *data = NULL;
        size_t len = 0;
        const char *type = strstr(path, ".js")    ? "text/javascript"
                           : strstr(path, ".css") ? "text/css"
                           : strstr(path, ".svg") ? "image/svg+xml"
                                                  : "text/html";
        bool ok = !strstr(path, "..") && file_read(file, 1 << 20, &data, &len, NULL) == 0;
        answer(fd, ok ? type : NULL, ok ? data : "", ok ? len : 0);
    }
    shutdown(fd, SHUT_RDWR);
    pthread_mutex_lock(&lock);
    if (page_fd == fd)
        page_fd = -1;
    pthread_mutex_unlock(&lock);
    close(fd);
}

static void accept_all(void *user)
{
    int listen_fd = (int)(intptr_t)user, fd;
    while ((fd = accept(listen_fd, NULL, NULL)) >= 0)
        thread_start("web", connection, (void *)(intptr_t)fd);
}

int web_server_start(const char *web_dir)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    root = web_dir;
    if (bind(fd, (struct sockaddr *)&at, n) < 0 || listen(fd, 32) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &n) < 0)
        return -1;
    thread_start("web accept", accept_all, (void *)(intptr_t)fd);
    return ntohs(at.sin_port);
}

char *web_server_asked(const char *method)
{
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "\"method\":\"%s\"", method);
    for (int i = 0; i < 200; i++, usleep(50000)) {
        pthread_mutex_lock(&lock);
        char *found = NULL;
        for (int k = 0; k < n_asked && !found; k++)
            if (strstr(asked[k], wanted))
                found = mem_strdup(asked[k]);
        pthread_mutex_unlock(&lock);
        if (found)
            return found;
    }
    return mem_strdup("");
}
