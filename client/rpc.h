/* JSON-RPC 2.0 over the daemon's websocket, from the asker's side. One thread. */
#ifndef DESKHAND_CLIENT_RPC_H
#define DESKHAND_CLIENT_RPC_H

#include "client/ws.h"

#include <jansson.h>

struct rpc {
    struct ws ws;
    int port;
    char token[65];
    int last_id;
    /* A notification of docs/protocol.md (borrowed), also while a call waits. */
    void (*on_note)(void *user, const char *method, const json_t *params);
    void *user;
};

/* Where the daemon is: daemon.json, which is checked strictly (regular file, ours, nobody else may
 * read it, port and token of the right form). -ENOENT when there is none. */
struct daemon_place {
    int port;
    char token[65];
    long pid;
};
int daemon_place_read(const char *path, struct daemon_place *ret, struct err *err);
int daemon_place_parse(const char *text, size_t n, struct daemon_place *ret, struct err *err);

int rpc_open(struct rpc *r, const struct daemon_place *place, struct err *err);
void rpc_close(struct rpc *r);

/* Sends a request; `params` is taken (may be NULL). Returns its id or a negative errno. */
int rpc_send(struct rpc *r, const char *method, json_t *params, struct err *err);
/* Waits for one message and handles it: notifications go to on_note. A reply is returned in
 * *ret_reply (new reference, NULL for a notification) with its id. Errors as ws_recv(). */
int rpc_step(struct rpc *r, int64_t timeout_us, json_t **ret_reply, int *ret_id, struct err *err);
/* Request and reply. On a JSON-RPC error returns -EREMOTEIO with its sentence, and its code in
 * *ret_code (which is 0 otherwise; may be NULL). *ret_result is a new reference. */
int rpc_call(struct rpc *r, const char *method, json_t *params, int64_t timeout_us,
             json_t **ret_result, int *ret_code, struct err *err);
/* Splits a reply into result or error, as rpc_call() does. Takes `reply`. */
int rpc_result(json_t *reply, json_t **ret_result, int *ret_code, struct err *err);

/* HTTP GET of a URL path of the protocol with the token; at most `max` bytes, heap. */
int rpc_get(struct rpc *r, const char *url_path, size_t max, uint8_t **ret, size_t *ret_n,
            struct err *err);

#endif
