/* Starts Xvfb with -displayfd: the server picks a free display itself and writes its number into
 * our pipe once it listens, so two tests running side by side never meet and nobody polls. The
 * kernel ends the server when the test process dies (PR_SET_PDEATHSIG), so a failed assertion
 * leaves nothing behind. */
#include "tests/x11/xvfb.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_TIMEOUT_MS 20000
#define MAX_EXTRA 16

static void run_server(int fd, int w, int h, int depth, const char *const *extra, pid_t parent)
{
    char fd_text[16], screen[48];
    const char *args[MAX_EXTRA + 12];
    int n = 0;

    snprintf(fd_text, sizeof(fd_text), "%d", fd);
    snprintf(screen, sizeof(screen), "%dx%dx%d", w, h, depth);
    args[n++] = "Xvfb";
    args[n++] = "-displayfd";
    args[n++] = fd_text;
    args[n++] = "-screen";
    args[n++] = "0";
    args[n++] = screen;
    args[n++] = "-nolisten";
    args[n++] = "tcp";
    args[n++] = "-noreset";
    for (int i = 0; extra && extra[i] && i < MAX_EXTRA; i++)
        args[n++] = extra[i];
    args[n] = NULL;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, 0);
        dup2(null, 1);
        if (!getenv("XVFB_VERBOSE"))
            dup2(null, 2);
    }
    execvp("Xvfb", (char *const *)args);
    _exit(127);
}

/* The number and a newline; false when the server ended or took too long. */
static bool read_display(int fd, char *ret, size_t cap)
{
    size_t n = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (n + 1 < cap) {
        int rc = poll(&p, 1, START_TIMEOUT_MS);
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc <= 0)
            return false;
        ssize_t got = read(fd, ret + n, cap - 1 - n);
        if (got <= 0)
            return false;
        n += (size_t)got;
        ret[n] = '\0';
        char *end = strchr(ret, '\n');
        if (end) {
            *end = '\0';
            return end > ret;
        }
    }
    return false;
}

bool xvfb_start(struct xvfb *x, int w, int h, int depth, const char *const *extra)
{
    int fds[2];
    char number[12];

    *x = (struct xvfb){0};
    if (pipe2(fds, O_CLOEXEC) < 0) {
        perror("xvfb: pipe2");
        return false;
    }
    pid_t parent = getpid();
    x->pid = fork();
    if (x->pid == 0) {
        fcntl(fds[1], F_SETFD, 0);
        run_server(fds[1], w, h, depth, extra, parent);
    }
    close(fds[1]);
    bool ok = x->pid > 0 && read_display(fds[0], number, sizeof(number));
    close(fds[0]);
    if (!ok) {
        fprintf(stderr, "xvfb: Xvfb did not start with a %dx%dx%d screen (is it installed?)\n", w,
                h, depth);
        xvfb_kill(x);
        return false;
    }
    snprintf(x->display, sizeof(x->display), ":%s", number);
    return true;
}

void xvfb_use(const struct xvfb *x)
{
    setenv("DISPLAY", x->display, 1);
}

static void end_server(struct xvfb *x, int sig)
{
    if (x->pid <= 0)
        return;
    kill(x->pid, sig);
    for (int i = 0; i < 200; i++) {
        if (waitpid(x->pid, NULL, sig == SIGKILL ? 0 : WNOHANG) == x->pid) {
            x->pid = 0;
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    }
    kill(x->pid, SIGKILL);
    waitpid(x->pid, NULL, 0);
    x->pid = 0;
}

void xvfb_stop(struct xvfb *x)
{
    end_server(x, SIGTERM);
}

void xvfb_kill(struct xvfb *x)
{
    end_server(x, SIGKILL);
}

/* libxdo 3 leaks one XkbDescRec a connection; its frame is seen by the slow unwinder only */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "fast_unwind_on_malloc=0";
}
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libxdo\n";
}
