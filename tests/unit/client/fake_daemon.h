/* A websocket server of one connection for the client's tests: it answers the upgrade with an
 * accept key worked out by the test, and plays a script that the test writes. Not for product
 * code. */
#ifndef DESKHAND_TESTS_FAKE_DAEMON_H
#define DESKHAND_TESTS_FAKE_DAEMON_H

#include <stddef.h>
#include <stdint.h>

struct fake_daemon {
    int listen_fd, fd, port;
    /* Runs on its own thread once a client is upgraded. */
    void (*play)(struct fake_daemon *d);
    const char *status_line, *protocol; /* of the upgrade's answer; NULL: the right ones */
    int bad_accept;
    void *user;
    struct thread *thread;
};

void fake_daemon_start(struct fake_daemon *d);
void fake_daemon_join(struct fake_daemon *d);
/* One frame: first byte as given (0x81 is a whole text), length encoded as the RFC says. */
void fake_daemon_frame(struct fake_daemon *d, int first_byte, const void *data, size_t n);
void fake_daemon_text(struct fake_daemon *d, const char *text);
/* One frame from the client, unmasked; its first byte. Asserts that it was masked. */
int fake_daemon_read(struct fake_daemon *d, char *ret, size_t cap, size_t *ret_n);

#endif
