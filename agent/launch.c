/* ACTION_OPEN and ACTION_APPSWITCH: the two actions that are no input events. A program is started
 * by its bare name from PATH, without a shell and without arguments, so that a model cannot smuggle
 * a command line into it; whether it may at all is the policy's business. */
#include "agent/brain.h"
#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Our environment with another DISPLAY; the array is heap, `room` holds the new entry. */
static char **environment(const char *display, struct str *room)
{
    size_t n = 0, kept = 0;
    while (environ[n])
        n++;
    char **env = mem_zalloc((n + 2) * sizeof *env);
    for (size_t i = 0; i < n; i++)
        if (!display || !str_starts(environ[i], "DISPLAY="))
            env[kept++] = environ[i];
    if (display) {
        str_printf(room, "DISPLAY=%s", display);
        env[kept] = room->s;
    }
    return env;
}

/* The daemon waits for signals in a descriptor and ignores SIGPIPE; a program of the user's gets
 * the signals as it would from a shell, or nobody could end it. */
static void usual_signals(posix_spawnattr_t *attr)
{
    sigset_t none, pipe;
    sigemptyset(&none);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    posix_spawnattr_init(attr);
    posix_spawnattr_setsigmask(attr, &none);
    posix_spawnattr_setsigdefault(attr, &pipe);
    posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

int launch_program(const char *name, const char *display, struct err *err)
{
    if (!name || !*name)
        return err_set(err, -EINVAL, "open names no program");
    char program[64];
    size_t n = strlen(name);
    if (n >= sizeof program)
        return err_set(err, -EINVAL, "the program name has %zu bytes, at most %zu are taken", n,
                       sizeof program - 1);
    for (size_t i = 0; i <= n; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c && !isalnum(c) && !strchr("._+-", c) && c != ' ')
            return err_set(err, -EINVAL, "the program name holds the character 0x%02x; only "
                                         "letters, digits, '.', '_', '+' and '-' are taken", c);
        program[i] = c == ' ' ? '-' : (char)tolower(c);
    }
    if (program[0] == '-' || program[0] == '.')
        return err_set(err, -EINVAL, "the program name begins with '%c'", program[0]);

    /* Twice, so that the program is no child of ours and leaves no zombie. */
    AUTO(str_done) struct str room = {0};
    AUTO_FREE char **env = environment(display, &room);
    posix_spawnattr_t attr;
    usual_signals(&attr);
    pid_t pid = fork();
    if (pid < 0)
        return err_set(err, -errno, "cannot start %s: %s", program, strerror(errno));
    if (pid == 0) {
        setsid();
        pid_t child;
        char *argv[] = {program, NULL};
        _exit(posix_spawnp(&child, program, NULL, &attr, argv, env) == 0 ? 0 : 1);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(err, -ENOENT, "no program named %s could be started", program);
    return 0;
}

int launch_switch(struct agent *a, const char *name, struct err *err)
{
    if (!name || !*name)
        return err_set(err, -EINVAL, "appswitch names no program");
    struct eye_window *list = NULL;
    int n = 0;
    int rc = eye_windows(a->eye, &list, &n, err);
    if (rc < 0)
        return rc;
    rc = -ENOENT;
    for (int i = 0; i < n && rc == -ENOENT; i++)
        if (strcasestr(list[i].class_name, name) || strcasestr(list[i].title, name))
            rc = hand_activate(a->hand, list[i].id, err);
    free(list);
    return rc == -ENOENT ? err_set(err, rc, "no window has \"%.60s\" in its class or title", name)
                         : rc;
}
