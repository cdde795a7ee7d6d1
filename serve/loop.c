/* libwebsockets' own loop carries everything: clients, the X connection and the signals as raw
 * descriptors, the agent's deadlines as timers. The worker thread knocks through
 * lws_cancel_service(), the only lws call from another thread. Nothing polls: with no client, no
 * task and no damage on the screen the process sleeps. */
#include "serve/loop.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define READOPT_US 200000

static void agent_run(struct loop *l);

struct loop *loop_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

void loop_end(struct loop *l)
{
    l->stop = true;
    lws_cancel_service(l->lws);
}

static void on_agent_time(lws_sorted_usec_list_t *sul)
{
    agent_run(lws_container_of(sul, struct loop, agent_sul));
}

static void on_adopt_time(lws_sorted_usec_list_t *sul)
{
    agent_run(lws_container_of(sul, struct loop, adopt_sul));
}

static void on_watchdog_time(lws_sorted_usec_list_t *sul)
{
    struct loop *l = lws_container_of(sul, struct loop, watchdog_sul);
    sd_notify(0, "WATCHDOG=1");
    lws_sul_schedule(l->lws, 0, sul, on_watchdog_time, l->watchdog_us);
}

/* A descriptor for lws, which closes what it is given. */
static struct lws *adopt(struct loop *l, int fd)
{
    lws_sock_file_fd_type u = {.filefd = fcntl(fd, F_DUPFD_CLOEXEC, 3)};
    if (u.filefd < 0)
        return NULL;
    struct lws *wsi = lws_adopt_descriptor_vhost(l->vhost, LWS_ADOPT_RAW_FILE_DESC, u,
                                                 "deskhand-fd", NULL);
    if (!wsi)
        close(u.filefd);
    return wsi;
}

/* Watches the agent's X connection. A reconnected one may have the old number, so the socket is
 * told apart by its inode. */
static void watch_x(struct loop *l)
{
    struct stat st;
    int fd = agent_fd(l->agent);
    uint64_t inode = fd >= 0 && fstat(fd, &st) == 0 ? (uint64_t)st.st_ino : 0;
    if (l->x_wsi && inode != l->x_inode) {
        lws_set_timeout(l->x_wsi, PENDING_TIMEOUT_KILLED_BY_PARENT, LWS_TO_KILL_ASYNC);
        l->x_wsi = NULL;
    }
    if (inode && !l->x_wsi && lws_dll2_is_detached(&l->adopt_sul.list)) {
        l->x_wsi = adopt(l, fd);
        l->x_inode = inode;
    }
}

static void agent_run(struct loop *l)
{
    if (!l->agent)
        return;
    int64_t now = clock_now_us();
    int64_t next = agent_service(l->agent, now);
    if (next < 0)
        lws_sul_cancel(&l->agent_sul);
    else
        lws_sul_schedule(l->lws, 0, &l->agent_sul, on_agent_time, MAX(next - clock_now_us(), 1));
    watch_x(l);
}

void loop_agent_soon(struct loop *l)
{
    lws_sul_schedule(l->lws, 0, &l->agent_sul, on_agent_time, 1);
}

int loop_reload(struct loop *l, bool new_token, struct err *err)
{
    int rc = new_token ? auth_renew(&l->auth, err) : 0;
    if (rc == 0) /* also when somebody has removed it */
        rc = instance_publish(&l->instance, l->auth.port, l->auth.token, err);
    if (rc == 0 && new_token)
        log_info("a new token is in daemon.json; browsers must log in again");
    if (rc == 0)
        rc = agent_reload(l->agent, err);
    loop_agent_soon(l);
    return rc;
}

/* systemd waits for READY=1 after RELOADING=1, which wants the time of the monotonic clock. */
static void on_hangup(struct loop *l)
{
    struct err err = {0};
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_now_us());
    if (loop_reload(l, false, &err) < 0)
        log_error("%s", err.text);
    sd_notify(0, "READY=1");
}

static void on_signal(struct loop *l, int fd)
{
    struct signalfd_siginfo si;
    while (read(fd, &si, sizeof si) == sizeof si) {
        if (si.ssi_signo == SIGHUP) {
            on_hangup(l);
            continue;
        }
        log_info("%s: ending", si.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
        loop_end(l);
    }
}

/* lws reports a hang-up as readable, for ever. The agent gets to see it; should it hold on to the
 * dead socket, the loop lets go (-1) and looks again later instead of spinning. */
static int on_x(struct loop *l, struct lws *wsi)
{
    struct pollfd p = {lws_get_socket_fd(wsi), 0, 0};
    agent_run(l);
    if (wsi != l->x_wsi)
        return 0; /* the agent has another connection already */
    return poll(&p, 1, 0) > 0 ? -1 : 0;
}

/* The raw descriptors: the X connection and the signals. */
static int fd_callback(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in,
                       size_t n)
{
    struct loop *l = loop_of(wsi);
    switch (why) {
    case LWS_CALLBACK_RAW_RX_FILE:
        if (wsi == l->signal_wsi)
            on_signal(l, lws_get_socket_fd(wsi));
        else if (wsi == l->x_wsi)
            return on_x(l, wsi);
        return 0;
    case LWS_CALLBACK_RAW_CLOSE_FILE:
        if (wsi == l->x_wsi && !l->stop) {
            l->x_wsi = NULL;
            lws_sul_schedule(l->lws, 0, &l->adopt_sul, on_adopt_time, READOPT_US);
            loop_agent_soon(l);
        }
        return 0;
    default:
        return 0;
    }
}

static int door_callback(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in,
                         size_t n)
{
    if (why == LWS_CALLBACK_EVENT_WAIT_CANCELLED) {
        agent_run(loop_of(wsi));
        return 0;
    }
    return http_callback(wsi, why, user, in, n);
}

static void on_event(void *user, const char *method, json_t *params)
{
    struct loop *l = user;
    if (strcmp(method, "state") == 0) {
        const char *state = json_string_value(json_object_get(params, "state"));
        sd_notifyf(0, "STATUS=task: %s", state ? state : "unknown");
    }
    ws_notify(l, method, params);
}

/* Any thread. */
static void on_wake(void *user)
{
    struct loop *l = user;
    lws_cancel_service(l->lws);
}

static void on_lws_log(int level, const char *line)
{
    int n = (int)strcspn(line, "\n");
    if (level & LLL_ERR)
        log_warn("libwebsockets: %.*s", n, line);
    else
        log_debug("libwebsockets: %.*s", n, line);
}

static const struct lws_protocol_vhost_options headers[] = {
    {&headers[1], NULL, "x-content-type-options:", "nosniff"},
    {&headers[2], NULL, "x-frame-options:", "DENY"},
    {&headers[3], NULL, "referrer-policy:", "no-referrer"},
    {&headers[4], NULL, "cross-origin-resource-policy:", "same-origin"},
    {NULL, NULL, "cross-origin-opener-policy:", "same-origin"},
};

static int listen_at(struct loop *l, int port, struct lws_protocol_vhost_options *csp,
                     struct err *err)
{
    struct lws_protocols protocols[] = {
        {"http", door_callback, http_session_size(), 0},
        {WS_PROTOCOL, ws_callback, ws_session_size(), 16384},
        {"deskhand-fd", fd_callback, 0, 0},
        {0},
    };
    memcpy(l->protocols, protocols, sizeof protocols);
    *csp = (struct lws_protocol_vhost_options){headers, NULL, "content-security-policy:", l->csp};
    struct lws_context_creation_info info = {
        .port = port,
        .iface = "127.0.0.1",
        .protocols = l->protocols,
        .headers = csp,
        .user = l,
        .options = LWS_SERVER_OPTION_DISABLE_IPV6 | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND,
        .max_http_header_data = 8192,
        .max_http_header_pool = CLIENTS_MAX,
        .timeout_secs = 10,
        .keepalive_timeout = 15,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .vhost_name = "deskhand",
    };
    lws_set_log_level(LLL_ERR | LLL_WARN, on_lws_log);
    l->lws = lws_create_context(&info);
    if (!l->lws)
        return err_set(err, -ENOMEM, "libwebsockets cannot make its context");
    if (port == LOOP_PORT_USUAL)
        info.port = 7413;
    l->vhost = lws_create_vhost(l->lws, &info);
    if (!l->vhost && port == LOOP_PORT_USUAL) {
        info.port = 0; /* another user's daemon, or another display's: clients read daemon.json */
        l->vhost = lws_create_vhost(l->lws, &info);
    }
    if (!l->vhost)
        return err_set(
            err, -EADDRINUSE,
            "cannot listen on 127.0.0.1:%d; is the port taken? --port 0 picks a free one", port);
    l->auth.port = (uint16_t)lws_get_vhost_listen_port(l->vhost);
    snprintf(l->csp, sizeof l->csp,
             "default-src 'self'; connect-src 'self' ws://127.0.0.1:%u ws://localhost:%u; "
             "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'",
             l->auth.port, l->auth.port);
    return 0;
}

static int watch_signals(struct loop *l, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* before any thread starts: all inherit it */
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return err_set(err, -errno, "signalfd: %s", strerror(errno));
    l->signal_wsi = adopt(l, fd);
    close(fd);
    return l->signal_wsi ? 0 : err_set(err, -EIO, "libwebsockets does not take the signals");
}

int loop_open(const struct loop_options *o, struct loop **ret, struct err *err)
{
    struct loop *l = mem_zalloc(sizeof *l);
    struct agent_options ao = o->agent;
    l->instance.lock_fd = -1;
    l->no_browser_approval = o->no_browser_approval;
    int rc = instance_open(&l->instance, err);
    if (rc == 0)
        rc = auth_init(&l->auth, err);
    if (rc == 0)
        rc = listen_at(l, o->port, &l->csp_header, err);
    if (rc == 0)
        rc = watch_signals(l, err);
    if (rc == 0) {
        ao.own_port = l->auth.port;
        ao.on_event = on_event;
        ao.wake = on_wake;
        ao.user = l;
        rc = agent_open(&ao, &l->agent, err);
    }
    if (rc == 0)
        rc = instance_publish(&l->instance, l->auth.port, l->auth.token, err);
    if (rc < 0) {
        loop_close(l);
        return rc;
    }
    *ret = l;
    return 0;
}

int loop_port(const struct loop *l)
{
    return l->auth.port;
}

int loop_run(struct loop *l, struct err *err)
{
    uint64_t usec = 0;
    int rc = 0;
    if (sd_watchdog_enabled(0, &usec) > 0 && usec > 0) {
        l->watchdog_us = MAX((int64_t)(usec / 2), 1000);
        on_watchdog_time(&l->watchdog_sul);
    }
    sd_notifyf(0, "READY=1\nSTATUS=listening on 127.0.0.1:%u", l->auth.port);
    log_info("listening on 127.0.0.1:%u", l->auth.port);
    loop_agent_soon(l);
    while (!l->stop && rc >= 0)
        rc = lws_service(l->lws, 0);
    sd_notify(0, "STOPPING=1");
    return rc < 0 && !l->stop ? err_set(err, -EIO, "the event loop failed") : 0;
}

void loop_close(struct loop *l)
{
    if (!l)
        return;
    struct agent *a = l->agent;
    l->stop = true;
    l->agent = NULL; /* a worker's last knock finds nobody */
    agent_close(a);
    if (l->lws)
        lws_context_destroy(l->lws);
    instance_close(&l->instance);
    explicit_bzero(&l->auth, sizeof l->auth);
    free(l);
}
