#include "client/question.h"

#include "client/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* A terminal is opened anew, so that reading it without waiting is nobody else's business: Ctrl+C
 * drops a line that poll() has promised, and a read that waits would keep the stop from going
 * out. */
void question_open(struct question *q)
{
    int fd = isatty(STDIN_FILENO)
                 ? open("/proc/self/fd/0", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
                 : -1;

    *q = (struct question){.open = true, .fd = fd >= 0 ? fd : STDIN_FILENO};
}

json_t *question_params(const json_t *verdict)
{
    if (strcmp(cli_text(verdict, "verdict"), "confirm") != 0)
        return NULL;
    return json_pack("{s:O, s:O, s:O}", "task", json_object_get(verdict, "task"), "step",
                     json_object_get(verdict, "step"), "hash", json_object_get(verdict, "hash"));
}

void question_ask(struct question *q, struct rpc *r, json_t *params)
{
    question_drop(q, r);
    q->pending = params;
    r->ws.wake_fd[1] = q->fd;
    /* What was typed before the question is no answer to it. The agent itself may have typed it,
     * into this very terminal. */
    tcflush(q->fd, TCIFLUSH);
    fputs("     approve? [y/N] ", stderr);
    fflush(stderr);
}

int question_answer(struct question *q, struct rpc *r, struct err *err)
{
    char line[64];
    ssize_t n = read(q->fd, line, sizeof(line) - 1);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0; /* Ctrl+C took back what had been typed */
    json_t *params = q->pending;
    bool yes = n > 0 && (line[0] == 'y' || line[0] == 'Y');
    q->pending = NULL;
    r->ws.wake_fd[1] = -1;
    if (!params)
        return 0;
    return rpc_send(r, yes ? "approve" : "deny", params, err);
}

void question_drop(struct question *q, struct rpc *r)
{
    if (q->pending)
        fputc('\n', stderr); /* the line of the question was left without an answer */
    json_decref(q->pending);
    q->pending = NULL;
    r->ws.wake_fd[1] = -1;
}

void question_close(struct question *q, struct rpc *r)
{
    question_drop(q, r);
    if (q->open && q->fd != STDIN_FILENO)
        close(q->fd);
    q->open = false;
}
