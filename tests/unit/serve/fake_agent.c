/* A stand-in for agent/ behind agent/agent.h, for the tests of serve/ alone: it answers a few
 * requests, knocks from another thread, owns a socket in the place of the X connection. */
#include "tests/unit/serve/fake_agent.h"

#include "base/clock.h"
#include "base/mailbox.h"
#include "base/mem.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct agent {
    struct agent_options o;
    struct mailbox *news;
    struct thread *knocker;
    int x[2]; /* [0] is "the X connection", [1] the other end */
    int64_t due_us;
    int lingering[8], n_lingering, n_reconnects;
};

struct fake_counts fake_counts;

/* Puts a burst of messages and wakes the loop for each. */
static void knock(void *user)
{
    struct agent *a = user;
    for (int i = 0; i < FAKE_KNOCKS; i++) {
        int *n = mem_alloc(sizeof *n);
        *n = i;
        mailbox_put(a->news, n);
    }
}

/* Later than the service that follows every request: only the watched descriptor tells. */
static void damage(void *user)
{
    struct agent *a = user;
    usleep(50000);
    CHECK(write(a->x[1], "d", 1) == 1);
}

int agent_open(const struct agent_options *o, struct agent **ret, struct err *err)
{
    struct agent *a = mem_zalloc(sizeof *a);
    a->o = *o;
    a->news = mailbox_new(o->wake, o->user);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a->x) < 0)
        CHECK(!"socketpair");
    memset(&fake_counts, 0, sizeof fake_counts);
    *ret = a;
    return 0;
}

void agent_close(struct agent *a)
{
    if (!a)
        return;
    thread_join(a->knocker);
    mailbox_free(a->news, NULL);
    close(a->x[0]);
    if (a->x[1] >= 0)
        close(a->x[1]);
    while (a->n_lingering > 0)
        close(a->lingering[--a->n_lingering]);
    fake_counts.n_closed++;
    free(a);
}

static void notice(struct agent *a, const char *text, int n)
{
    json_t *p = json_pack("{s:s, s:s, s:i}", "level", "info", "text", text, "n", n);
    a->o.on_event(a->o.user, "notice", p);
    json_decref(p);
}

int64_t agent_service(struct agent *a, int64_t now_us)
{
    char byte;
    fake_counts.n_service++;
    for (int *n; (n = mailbox_take(a->news));) {
        if (*n == FAKE_KNOCKS - 1)
            notice(a, "knocked", *n);
        free(n);
    }
    while (recv(a->x[0], &byte, 1, MSG_DONTWAIT) == 1)
        notice(a, "damage", byte);
    if (a->due_us && now_us >= a->due_us) {
        a->due_us = 0;
        notice(a, "due", 0);
    }
    return a->due_us ? a->due_us : -1;
}

int agent_fd(const struct agent *a)
{
    return a->x[0];
}

void agent_request(struct agent *a, const char *method, json_t *params, json_t *id,
                   enum agent_asker asker, agent_reply_fn *reply, void *cookie)
{
    if (strcmp(method, "status") == 0) {
        reply(cookie, id, json_pack("{s:s, s:s}", "version", "0", "state", "idle"), 0, NULL);
    } else if (strcmp(method, "knock") == 0) {
        thread_join(a->knocker);
        a->knocker = thread_start("knock", knock, a);
        reply(cookie, id, json_object(), 0, NULL);
    } else if (strcmp(method, "damage") == 0) {
        thread_join(a->knocker);
        a->knocker = thread_start("damage", damage, a);
        reply(cookie, id, json_object(), 0, NULL);
    } else if (strcmp(method, "reconnect") == 0) {
        /* the display goes and comes back, likely under the same number; every second time the
         * other end stays, so that nothing but the new socket tells */
        close(a->x[0]);
        if (a->n_lingering < (int)N_ELEMENTS(a->lingering) && ++a->n_reconnects % 2 == 0)
            a->lingering[a->n_lingering++] = a->x[1];
        else if (a->x[1] >= 0)
            close(a->x[1]);
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a->x) == 0);
        reply(cookie, id, json_object(), 0, NULL);
    } else if (strcmp(method, "hang_up") == 0) {
        /* the display goes and the agent does not notice */
        close(a->x[1]);
        a->x[1] = -1;
        reply(cookie, id, json_object(), 0, NULL);
    } else if (strcmp(method, "later") == 0) {
        a->due_us = clock_now_us() + 50000;
        reply(cookie, id, json_object(), 0, NULL);
    } else if (strcmp(method, "flood") == 0) {
        char *big = mem_zalloc(100001);
        memset(big, 'x', 100000);
        for (int i = 0; i < 100; i++)
            notice(a, big, i);
        free(big);
        reply(cookie, id, json_object(), 0, NULL);
    } else if (strcmp(method, "murmur") == 0) {
        char *big = mem_zalloc(100001);
        memset(big, 'x', 100000);
        for (int i = 0; i < FAKE_MURMUR_BYTES / 100000; i++)
            notice(a, big, i);
        free(big);
        notice(a, "end of murmur", 0);
        reply(cookie, id, json_object(), 0, NULL);
    } else if (strcmp(method, "counts") == 0) {
        reply(cookie, id, json_pack("{s:i}", "service", fake_counts.n_service), 0, NULL);
    } else if (strcmp(method, "approve") == 0) {
        reply(cookie, id, json_object(), 0, NULL);
    } else {
        reply(cookie, id, NULL, -32601, "there is no such method");
    }
}

int agent_reload(struct agent *a, struct err *err)
{
    return ++fake_counts.n_reloads == 2
               ? err_set(err, -EINVAL, "line 3 is wrong: \xff" /* no UTF-8 */)
               : 0;
}

void agent_greet(struct agent *a, void (*tell)(void *user, const char *method, json_t *params),
                 void *user)
{
    json_t *state = agent_state(a);
    tell(user, "state", state);
    json_decref(state);
}

void agent_forget(struct agent *a, void *cookie)
{
    fake_counts.n_forgotten++;
}

/* A "picture" larger than one chunk and than a socket buffer, so that sending takes turns. */
int agent_picture(struct agent *a, const char *url_path, uint8_t **ret, size_t *ret_n,
                  struct err *err)
{
    if (strcmp(url_path, "/shot/1.png") != 0)
        return err_set(err, -ENOENT, "there is no such picture");
    *ret_n = FAKE_PICTURE_BYTES;
    *ret = mem_alloc(*ret_n);
    for (size_t i = 0; i < *ret_n; i++)
        (*ret)[i] = (uint8_t)(i * 31 + i / 257);
    return 0;
}

int agent_live_jpeg(struct agent *a, int quality, uint8_t **ret, size_t *ret_n, struct err *err)
{
    *ret = (uint8_t *)mem_strdup("jpeg");
    *ret_n = 4;
    return 0;
}

json_t *agent_state(const struct agent *a)
{
    return json_pack("{s:i, s:s, s:s, s:s, s:i}", "task", 0, "state", "idle", "reason", "", "goal",
                     "", "step", 0);
}
