/* The deskhand.v1 clients: JSON-RPC 2.0, one message a text frame. A message is checked here for
 * form and handed to the agent, which answers now or later; notifications are written once and
 * shared by all queues. A client that does not read holds nobody up: its queue has a ceiling and a
 * clock, and past either it is dropped. */
#include "agent/text.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "serve/serve.h"

#include <stdio.h>
#include <string.h>

#define MESSAGE_MAX ((size_t)256 << 10)
#define QUEUE_BYTES_MAX ((size_t)4 << 20)
#define STALL_US 5000000
#define BAD_MAX 20
#define KEEP_BYTES ((size_t)16 << 10) /* a bigger receive buffer is given back after its message */

#define CODE_PARSE (-32700)
#define CODE_INVALID (-32600)
#define CODE_PARAMS (-32602)
#define CODE_FAILED 1003
#define CODE_REFUSED 1004

/* A text shared by the queues it is in. The room before it is for the frame's header, which is
 * the same for all. */
struct text {
    int n_refs;
    size_t n;
    uint8_t data[]; /* LWS_PRE, then the text */
};

struct item {
    struct item *next;
    struct text *text;
};

struct client {
    struct client *next;
    struct loop *loop;
    struct lws *wsi;
    enum auth_who who;
    struct str in;
    bool too_long, is_binary;
    int n_bad;
    struct item *first, **last;
    size_t n_queued;
    lws_sorted_usec_list_t stall_sul;
    bool dropped;     /* lws will close it from the loop; queue nothing more */
    bool ends_daemon; /* asked for shutdown: ends once its answer is out */
};

struct ws_session {
    struct client *client;
    enum auth_who who;
};

size_t ws_session_size(void)
{
    return sizeof(struct ws_session);
}

static void text_unref(struct text *t)
{
    if (--t->n_refs == 0)
        free(t);
}

static struct text *text_new(json_t *j)
{
    char *s = json_dumps(j, JSON_COMPACT);
    if (!s)
        return NULL;
    size_t n = strlen(s);
    struct text *t = mem_alloc(sizeof *t + LWS_PRE + n);
    t->n_refs = 1;
    t->n = n;
    memcpy(t->data + LWS_PRE, s, n);
    free(s);
    return t;
}

static void drop(struct client *c, const char *why)
{
    if (c->dropped)
        return;
    log_warn("a client is disconnected: %s", why);
    c->dropped = true;
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_KILLED_BY_PARENT, LWS_TO_KILL_ASYNC);
}

static void on_stall(lws_sorted_usec_list_t *sul)
{
    struct client *c = lws_container_of(sul, struct client, stall_sul);
    drop(c, "it has not read for 5 s");
}

static void enqueue(struct client *c, struct text *t)
{
    if (c->dropped)
        return;
    if (c->n_queued + t->n > QUEUE_BYTES_MAX) {
        drop(c, "more than 4 MiB wait for it");
        return;
    }
    struct item *i = mem_zalloc(sizeof *i);
    i->text = t;
    t->n_refs++;
    if (!c->first)
        lws_sul_schedule(c->loop->lws, 0, &c->stall_sul, on_stall, STALL_US);
    *c->last = i;
    c->last = &i->next;
    c->n_queued += t->n;
    lws_callback_on_writable(c->wsi);
}

static void pop(struct client *c)
{
    struct item *i = c->first;
    c->first = i->next;
    if (!c->first)
        c->last = &c->first;
    c->n_queued -= i->text->n;
    text_unref(i->text);
    free(i);
}

static void send_json(struct client *c, json_t *j)
{
    struct text *t = text_new(j);
    json_decref(j);
    if (t) {
        enqueue(c, t);
        text_unref(t);
    }
}

/* `params` and `result` are given away. */
static json_t *notification(const char *method, json_t *params)
{
    return json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params);
}

void ws_notify(struct loop *l, const char *method, json_t *params)
{
    if (!l->clients)
        return;
    json_t *j = notification(method, json_incref(params));
    struct text *t = text_new(j);
    json_decref(j);
    if (!t)
        return;
    for (struct client *c = l->clients; c; c = c->next)
        enqueue(c, t);
    text_unref(t);
}

static void send_error(struct client *c, json_t *id, int code, const char *text)
{
    send_json(c,
              json_pack("{s:s, s:O, s:{s:i, s:o}}", "jsonrpc", "2.0", "id", id ? id : json_null(),
                        "error", "code", code, "message", text_json(text)));
}

static void send_result(struct client *c, json_t *id, json_t *result)
{
    send_json(c, json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id, "result", result));
}

/* id is NULL for a request that wants no answer (a JSON-RPC notification). */
static void on_reply(void *cookie, json_t *id, json_t *result, int code, const char *text)
{
    struct client *c = cookie;
    if (!id)
        json_decref(result);
    else if (code)
        send_error(c, id, code, text ? text : "it failed");
    else
        send_result(c, id, result ? result : json_object());
}

static void login_code(struct client *c, json_t *id)
{
    char code[AUTH_CODE_HEX + 1], url[128];
    struct err err = {0};
    if (c->who != AUTH_PROGRAM) {
        on_reply(c, id, NULL, CODE_REFUSED,
                 "only a program that holds the token may log others in");
        return;
    }
    if (auth_code_new(&c->loop->auth, clock_now_us(), code, &err) < 0) {
        on_reply(c, id, NULL, CODE_FAILED, err.text);
        return;
    }
    snprintf(url, sizeof url, "http://127.0.0.1:%u/login?code=%s", c->loop->auth.port, code);
    on_reply(c, id, json_pack("{s:s}", "url", url), 0, NULL);
}

static void reload(struct client *c, json_t *params, json_t *id)
{
    bool new_token = json_is_true(json_object_get(params, "new_token"));
    struct err err = {0};
    if (c->who != AUTH_PROGRAM) /* the agent could have changed the file and pressed the button */
        on_reply(c, id, NULL, CODE_REFUSED, "only a program that holds the token may reload");
    else if (loop_reload(c->loop, new_token, &err) < 0)
        on_reply(c, id, NULL, CODE_FAILED, err.text);
    else
        on_reply(c, id, json_object(), 0, NULL);
}

static void dispatch(struct client *c, const char *method, json_t *params, json_t *id)
{
    struct loop *l = c->loop;
    bool is_approval = str_eq(method, "approve") || str_eq(method, "deny");
    if (str_eq(method, "login_code")) {
        login_code(c, id);
        return;
    }
    if (str_eq(method, "reload")) {
        reload(c, params, id);
        return;
    }
    if (str_eq(method, "shutdown")) {
        log_info("a client asked for the end");
        c->ends_daemon = true;
        on_reply(c, id, json_object(), 0, NULL);
        lws_callback_on_writable(c->wsi);
        return;
    }
    if (str_eq(method, "approve") && c->who == AUTH_BROWSER && l->no_browser_approval) {
        on_reply(c, id, NULL, CODE_REFUSED,
                 "this daemon takes no approvals from browsers, only from programs");
        return;
    }
    if (is_approval)
        log_info("%s by a %s", method, c->who == AUTH_BROWSER ? "browser" : "program");
    agent_request(l->agent, method, params, id,
                  c->who == AUTH_BROWSER ? AGENT_BROWSER : AGENT_PROGRAM, on_reply, c);
    loop_agent_soon(l);
}

/* The request's sentence of complaint, NULL when it is well formed. */
static const char *complaint(json_t *j, int *ret_code)
{
    json_t *id = json_object_get(j, "id"), *params = json_object_get(j, "params");
    *ret_code = CODE_INVALID;
    if (json_is_array(j))
        return "one message a frame: batches are not taken";
    if (!json_is_object(j))
        return "a request is an object";
    if (!str_eq(json_string_value(json_object_get(j, "jsonrpc")), "2.0"))
        return "jsonrpc must be \"2.0\"";
    if (!json_is_string(json_object_get(j, "method")))
        return "method must be a text";
    if (id && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
        return "id must be a text, a number or null";
    *ret_code = CODE_PARAMS;
    if (params && !json_is_object(params))
        return "params must be an object with named members";
    return NULL;
}

/* False when the client has used up our patience. */
static bool on_message(struct client *c)
{
    json_error_t at;
    int code;
    json_t *j = c->is_binary ? NULL
                             : json_loadb(str_cstr(&c->in), c->in.n,
                                          JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &at);
    if (!j) {
        char text[320];
        snprintf(text, sizeof text, "not JSON: %.200s",
                 c->is_binary ? "a binary frame, where text was expected" : at.text);
        send_error(c, NULL, CODE_PARSE, text);
        return ++c->n_bad < BAD_MAX;
    }
    json_t *id = json_object_get(j, "id");
    const char *text = complaint(j, &code);
    if (text) {
        bool id_ok = json_is_string(id) || json_is_number(id);
        send_error(c, id_ok ? id : NULL, code, text);
        c->n_bad++;
    } else {
        AUTO_FREE char *method = mem_strdup(json_string_value(json_object_get(j, "method")));
        json_t *params = json_incref(json_object_get(j, "params"));
        if (!params)
            params = json_object();
        dispatch(c, method, params, id);
        json_decref(params);
    }
    json_decref(j);
    return c->n_bad < BAD_MAX;
}

static int hang_up(struct client *c, enum lws_close_status code, const char *why)
{
    log_warn("a client is disconnected: %s", why);
    lws_close_reason(c->wsi, code, (unsigned char *)(uintptr_t)why, strlen(why));
    return -1;
}

static int on_receive(struct client *c, const void *in, size_t n)
{
    if (c->dropped)
        return -1;
    if (lws_is_first_fragment(c->wsi)) {
        str_reset(&c->in);
        c->is_binary = lws_frame_is_binary(c->wsi);
    }
    if (c->in.n + n > MESSAGE_MAX)
        return hang_up(c, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "a message is larger than 256 KiB");
    if (n > 0)
        str_add(&c->in, in, n);
    if (!lws_is_final_fragment(c->wsi) || lws_remaining_packet_payload(c->wsi) > 0)
        return 0;
    bool patient = on_message(c);
    if (c->in.cap > KEEP_BYTES)
        str_done(&c->in);
    else
        str_reset(&c->in);
    c->in.max = MESSAGE_MAX + 1;
    if (!patient)
        return hang_up(c, LWS_CLOSE_STATUS_POLICY_VIOLATION, "too many malformed messages");
    return 0;
}

static int on_writeable(struct client *c)
{
    if (c->dropped)
        return -1;
    if (!c->first) {
        lws_sul_cancel(&c->stall_sul);
        if (c->ends_daemon)
            loop_end(c->loop);
        return 0;
    }
    struct text *t = c->first->text;
    if (lws_write(c->wsi, t->data + LWS_PRE, t->n, LWS_WRITE_TEXT) < 0)
        return -1;
    pop(c);
    /* also after the last one: the next call says that lws has nothing left either */
    lws_sul_schedule(c->loop->lws, 0, &c->stall_sul, on_stall, STALL_US);
    lws_callback_on_writable(c->wsi);
    return 0;
}

static void on_greeting(void *user, const char *method, json_t *params)
{
    send_json(user, notification(method, json_incref(params)));
}

static void open_client(struct lws *wsi, struct ws_session *s)
{
    struct loop *l = loop_of(wsi);
    struct client *c = mem_zalloc(sizeof *c);
    c->loop = l;
    c->wsi = wsi;
    c->who = s->who;
    c->last = &c->first;
    c->in.max = MESSAGE_MAX + 1;
    c->next = l->clients;
    l->clients = c;
    l->n_clients++;
    s->client = c;
    agent_greet(l->agent, on_greeting, c);
}

static void close_client(struct client *c)
{
    struct loop *l = c->loop;
    struct client **at = &l->clients;
    if (l->agent)
        agent_forget(l->agent, c);
    lws_sul_cancel(&c->stall_sul);
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    l->n_clients--;
    while (c->first)
        pop(c);
    str_done(&c->in);
    if (c->ends_daemon)
        loop_end(l);
    free(c);
}

int ws_callback(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t n)
{
    struct ws_session *s = user;
    switch (why) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        /* The upgrade passed this gate already with a proper answer; this fence stays should a
         * later lws find another way here. */
        return !s || http_gate_upgrade(wsi, &s->who) != 0;
    case LWS_CALLBACK_ESTABLISHED:
        open_client(wsi, s);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        return s->client ? on_receive(s->client, in, n) : -1;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return s->client ? on_writeable(s->client) : 0;
    case LWS_CALLBACK_CLOSED:
        if (s && s->client)
            close_client(s->client);
        if (s)
            s->client = NULL;
        return 0;
    default:
        return 0;
    }
}
