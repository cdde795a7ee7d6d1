/* A private X server for one test program: Xvfb on a free display, gone when the test ends however
 * it ends. Not for product code. */
#ifndef DESKHAND_TESTS_X11_XVFB_H
#define DESKHAND_TESTS_X11_XVFB_H

#include <stdbool.h>
#include <sys/types.h>

struct xvfb {
    pid_t pid;
    char display[16]; /* ":7" */
};

/* Starts a server with one screen of w x h at `depth` (24 is usual) and waits until it takes
 * connections. `extra` are more Xvfb arguments, NULL-terminated, may be NULL. On failure prints why
 * to stderr and returns false. Does not touch $DISPLAY: see xvfb_use(). */
bool xvfb_start(struct xvfb *x, int w, int h, int depth, const char *const *extra);
/* setenv DISPLAY for this process and its children. */
void xvfb_use(const struct xvfb *x);
/* Ends the server; fine to call twice. xvfb_kill() is the crash: SIGKILL, waits for its end. */
void xvfb_stop(struct xvfb *x);
void xvfb_kill(struct xvfb *x);

/* a sanitizer's quarantine grows by itself; leaks it reports on its own */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED 0
#endif

#endif
