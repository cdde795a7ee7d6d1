/* What the files of this folder share; nobody outside includes it. Loop thread. */
#ifndef DESKHAND_SERVE_SERVE_H
#define DESKHAND_SERVE_SERVE_H

#include "agent/agent.h"
#include "serve/auth.h"
#include "serve/instance.h"

#include <libwebsockets.h>

#define WS_PROTOCOL "deskhand.v1"
#define CLIENTS_MAX 64

struct client;

struct loop {
    struct lws_context *lws;
    struct lws_vhost *vhost;
    struct agent *agent;
    struct auth auth;
    struct instance instance;
    struct client *clients;
    int n_clients;
    bool no_browser_approval;
    bool stop;

    lws_sorted_usec_list_t agent_sul, watchdog_sul, adopt_sul;
    int64_t watchdog_us;
    struct lws *x_wsi, *signal_wsi; /* raw descriptors that the loop watches */
    uint64_t x_inode;               /* of the socket x_wsi watches */
    char csp[256];
    struct lws_protocol_vhost_options csp_header;
    struct lws_protocols protocols[4];
};

/* http.c: plain requests, and the gate that both doors go through. */
int http_callback(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t n);
size_t http_session_size(void);
/* Host, Origin and secret of a websocket upgrade: 0 or the HTTP status. */
int http_gate_upgrade(struct lws *wsi, enum auth_who *ret_who);

/* ws.c: the deskhand.v1 clients. */
int ws_callback(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t n);
size_t ws_session_size(void);
/* A notification to every client. */
void ws_notify(struct loop *l, const char *method, json_t *params);

/* loop.c */
struct loop *loop_of(struct lws *wsi);
void loop_agent_soon(struct loop *l); /* a request may have given the agent something to do */
/* The policy is read again, daemon.json written again; with a new token if wanted. */
int loop_reload(struct loop *l, bool new_token, struct err *err);
void loop_end(struct loop *l);

#endif
