/* The plain door: the dashboard's files (compiled in, found by exact name), the login address, and
 * the pictures, which need the same secret as the websocket. The gate stands here for both doors:
 * a websocket upgrade is refused with a proper status before lws speaks a word of it. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "serve/assets.h"
#include "serve/serve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LIVE_QUALITY 70
#define CHUNK ((size_t)32 << 10)
#define HEADER_MAX 8192

/* The body that is on its way. */
struct http_session {
    uint8_t *owned; /* NULL for an asset */
    const uint8_t *body;
    size_t n, at;
};

size_t http_session_size(void)
{
    return sizeof(struct http_session);
}

/* A header as heap text, NULL when the request has none. */
static char *header(struct lws *wsi, enum lws_token_indexes which)
{
    int n = lws_hdr_total_length(wsi, which);
    if (n <= 0 || n > HEADER_MAX)
        return NULL;
    char *s = mem_zalloc((size_t)n + 1);
    if (lws_hdr_copy(wsi, s, n + 1, which) < 0)
        s[0] = '\0';
    return s;
}

enum gate_depth { GATE_SOURCE, GATE_SECRET };

/* 0 or the HTTP status to refuse with. */
static int gate(struct lws *wsi, enum gate_depth depth, bool is_upgrade, enum auth_who *ret_who)
{
    struct loop *l = loop_of(wsi);
    AUTO_FREE char *host = header(wsi, WSI_TOKEN_HOST);
    AUTO_FREE char *origin = header(wsi, WSI_TOKEN_ORIGIN);
    AUTO_FREE char *authorization = header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION);
    AUTO_FREE char *cookie = header(wsi, WSI_TOKEN_HTTP_COOKIE);
    struct auth_request r = {host, origin, authorization, cookie, is_upgrade};
    if (depth == GATE_SOURCE)
        return auth_check_source(&l->auth, &r);
    return auth_check(&l->auth, &r, clock_now_us(), ret_who);
}

int http_gate_upgrade(struct lws *wsi, enum auth_who *ret_who)
{
    return gate(wsi, GATE_SECRET, true, ret_who);
}

static int finish(struct lws *wsi)
{
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int add(struct lws *wsi, const char *name, const char *value, uint8_t **p, uint8_t *end)
{
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name,
                                       (const unsigned char *)value, (int)strlen(value), p, end);
}

/* Status and headers; name and value are one extra header or NULL. */
static int send_head(struct lws *wsi, int status, const char *type, size_t n, const char *name,
                     const char *value)
{
    uint8_t buf[LWS_PRE + 2048], *start = buf + LWS_PRE, *p = start, *end = buf + sizeof buf - 1;
    if (lws_add_http_header_status(wsi, (unsigned)status, &p, end) ||
        add(wsi, "content-type:", type, &p, end) ||
        add(wsi, "cache-control:", "no-store", &p, end) ||
        (name && add(wsi, name, value, &p, end)) ||
        lws_add_http_header_content_length(wsi, n, &p, end) ||
        lws_finalize_write_http_header(wsi, start, &p, end))
        return -1;
    return 0;
}

/* A small answer in one piece. */
static int say(struct lws *wsi, int status, const char *text, const char *name, const char *value)
{
    uint8_t buf[LWS_PRE + 512];
    size_t n = strlen(text);
    CHECK(n < 512);
    if (send_head(wsi, status, "text/plain; charset=utf-8", n, name, value) < 0)
        return -1;
    if (n > 0) {
        memcpy(buf + LWS_PRE, text, n);
        if (lws_write(wsi, buf + LWS_PRE, n, LWS_WRITE_HTTP_FINAL) < 0)
            return -1;
    }
    return finish(wsi);
}

static int refuse(struct lws *wsi, int status)
{
    static const struct {
        int status;
        const char *text;
    } rows[] = {
        {400, "This is not a deskhand.v1 websocket request.\n"},
        {401, "A token is needed: run `deskhand dashboard` for a one-time address.\n"},
        {403, "Host or Origin is not this daemon's own address.\n"},
        {404, "There is nothing under this address.\n"},
        {405, "Only GET is answered here.\n"},
        {429, "Too many wrong tokens; wait ten seconds.\n"},
        {503, "Too many clients.\n"},
    };
    const char *text = "This failed.\n";
    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        if (rows[i].status == status)
            text = rows[i].text;
    if (status == 401)
        return say(wsi, status, text, "www-authenticate:", "Bearer");
    return say(wsi, status, text, NULL, NULL);
}

/* Starts a body; `owned` is given away (NULL for an asset). */
static int send_body(struct lws *wsi, struct http_session *s, const char *type, uint8_t *owned,
                     const uint8_t *body, size_t n)
{
    free(s->owned);
    *s = (struct http_session){owned, body, n, 0};
    if (send_head(wsi, 200, type, n, NULL, NULL) < 0)
        return -1;
    if (n == 0)
        return finish(wsi);
    lws_callback_on_writable(wsi);
    return 0;
}

static int send_more(struct lws *wsi, struct http_session *s)
{
    uint8_t buf[LWS_PRE + CHUNK];
    size_t n = MIN(CHUNK, s->n - s->at);
    if (n == 0)
        return 0;
    memcpy(buf + LWS_PRE, s->body + s->at, n);
    s->at += n;
    bool last = s->at == s->n;
    if (lws_write(wsi, buf + LWS_PRE, n, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
        return -1;
    if (last) {
        free(s->owned);
        *s = (struct http_session){0};
        return finish(wsi);
    }
    lws_callback_on_writable(wsi);
    return 0;
}

static int login(struct lws *wsi)
{
    struct loop *l = loop_of(wsi);
    char code[128], session[AUTH_SECRET_HEX + 1], cookie[160];
    const char *v = lws_get_urlarg_by_name(wsi, "code=", code, (int)sizeof code);
    int rc = auth_code_redeem(&l->auth, v ? v : "", clock_now_us(), session);
    if (rc == 401)
        return say(wsi, 401,
                   "This address was used already or is older than a minute.\n"
                   "Run `deskhand dashboard` for a new one.\n",
                   NULL, NULL);
    if (rc)
        return refuse(wsi, rc);
    snprintf(cookie, sizeof cookie, "deskhand=%s; Path=/; HttpOnly; SameSite=Strict", session);
    log_info("a browser logged in");
    /* A page that forwards, not a 303: the browser then asks for "/" as this site itself, whatever
     * program opened the address, and sends the strict cookie along. */
    uint8_t buf[LWS_PRE + 256];
    static const char page[] = "<!doctype html><meta http-equiv=\"refresh\" content=\"0;url=/\">"
                               "<title>Deskhand</title><a href=\"/\">Open the dashboard</a>\n";
    if (send_head(wsi, 200, "text/html; charset=utf-8", sizeof page - 1, "set-cookie:", cookie) < 0)
        return -1;
    memcpy(buf + LWS_PRE, page, sizeof page - 1);
    if (lws_write(wsi, buf + LWS_PRE, sizeof page - 1, LWS_WRITE_HTTP_FINAL) < 0)
        return -1;
    return finish(wsi);
}

static int picture(struct lws *wsi, struct http_session *s, const char *path)
{
    struct loop *l = loop_of(wsi);
    uint8_t *data;
    size_t n;
    struct err err = {0};
    bool live = str_eq(path, "/live.jpg");
    int rc = live ? agent_live_jpeg(l->agent, LIVE_QUALITY, &data, &n, &err)
                  : agent_picture(l->agent, path, &data, &n, &err);
    if (rc == -ENOENT)
        return refuse(wsi, 404);
    if (rc < 0) {
        log_warn("%s", err.text);
        return refuse(wsi, 500);
    }
    return send_body(wsi, s, live ? "image/jpeg" : "image/png", data, data, n);
}

static int request(struct lws *wsi, struct http_session *s)
{
    enum auth_who who;
    char path[256];
    int rc = gate(wsi, GATE_SOURCE, false, &who);
    if (rc)
        return refuse(wsi, rc);
    if (!lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI))
        return say(wsi, 405, "Only GET is answered here.\n", "allow:", "GET");
    if (lws_hdr_copy(wsi, path, sizeof path, WSI_TOKEN_GET_URI) <= 0)
        return refuse(wsi, 404);
    if (str_eq(path, "/login"))
        return login(wsi);
    if (str_starts(path, "/shot/") || str_starts(path, "/task/") || str_eq(path, "/live.jpg")) {
        rc = gate(wsi, GATE_SECRET, false, &who);
        return rc ? refuse(wsi, rc) : picture(wsi, s, path);
    }
    const char *name = str_eq(path, "/") ? "/index.html" : path;
    for (size_t i = 0; i < n_assets; i++)
        if (str_eq(assets[i].path, name))
            return send_body(wsi, s, assets[i].type, NULL, assets[i].data, assets[i].n);
    return refuse(wsi, 404);
}

/* The Sec-WebSocket-Protocol list names deskhand.v1. */
static bool names_protocol(const char *list)
{
    for (const char *p = list; p && *p;) {
        p += strspn(p, ", ");
        size_t n = strcspn(p, ", ");
        if (n == strlen(WS_PROTOCOL) && memcmp(p, WS_PROTOCOL, n) == 0)
            return true;
        p += n;
    }
    return false;
}

/* 0 lets the upgrade go on, 1: answered with a refusal, -1: hang up. */
static int confirm_upgrade(struct lws *wsi, const char *to)
{
    struct loop *l = loop_of(wsi);
    enum auth_who who;
    AUTO_FREE char *protocols = header(wsi, WSI_TOKEN_PROTOCOL);
    AUTO_FREE char *path = header(wsi, WSI_TOKEN_GET_URI);
    int rc = gate(wsi, GATE_SECRET, true, &who);
    if (!rc && (strcasecmp(to, "websocket") != 0 || !str_eq(path, "/ws") ||
                !names_protocol(protocols)))
        rc = 400;
    if (!rc && l->n_clients >= CLIENTS_MAX)
        rc = 503;
    if (!rc)
        return 0;
    if (rc != 400)
        log_warn("a websocket upgrade was refused with %d", rc);
    refuse(wsi, rc);
    return -1; /* the answer is out; the connection has no further use */
}

int http_callback(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t n)
{
    struct http_session *s = user;
    switch (why) {
    case LWS_CALLBACK_HTTP:
        return request(wsi, s);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return s ? send_more(wsi, s) : 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return confirm_upgrade(wsi, in);
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return 1; /* a websocket of another protocol than ours */
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        if (s) {
            free(s->owned);
            *s = (struct http_session){0};
        }
        return 0;
    default:
        return 0;
    }
}
