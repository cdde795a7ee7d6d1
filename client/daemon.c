/* The way to the daemon: its place is in daemon.json; when there is none and the command may, one
 * is started beside this program's own executable, detached, and waited for until it answers.
 *
 * A daemon that dies on the way has its last words in daemon.log, which are shown: "no such model"
 * helps, "could not connect" does not. */
#include "client/cli.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_US 120000000 /* a 16 GB checkpoint on a slow disk */

static int try_open(struct rpc *r, struct err *err)
{
    struct daemon_place place;
    char *path = file_runtime_path("daemon.json");
    if (!path)
        return err_set(err, -ENOENT, "there is no safe runtime folder: set XDG_RUNTIME_DIR");
    int rc = daemon_place_read(path, &place, err);
    free(path);
    return rc ? rc : rpc_open(r, &place, err);
}

/* "…/deskhandd" next to this executable, or in the build folder beside it, or the name for
 * $PATH. */
static char *find_daemon(void)
{
    static const char *const beside[] = {"deskhandd", "../serve/deskhandd"};
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash = n > 0 ? (self[n] = 0, strrchr(self, '/')) : NULL;
    for (size_t i = 0; slash && i < N_ELEMENTS(beside); i++) {
        slash[0] = 0;
        char *path = file_join(self, beside[i]);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return mem_strdup("deskhandd");
}

static _Noreturn void become_daemon(const struct cli *c, const char *exe, int log_fd)
{
    const char *argv[16];
    char threads[24], looks[24];
    int n = 0;
    argv[n++] = exe;
    if (c->model)
        argv[n++] = "--model", argv[n++] = c->model;
    if (c->lora)
        argv[n++] = "--lora", argv[n++] = c->lora;
    if (c->display)
        argv[n++] = "--display", argv[n++] = c->display;
    if (c->policy)
        argv[n++] = "--policy", argv[n++] = c->policy;
    if (c->threads) {
        snprintf(threads, sizeof(threads), "%ld", c->threads);
        argv[n++] = "--threads", argv[n++] = threads;
    }
    if (c->looks) {
        snprintf(looks, sizeof(looks), "%ld", c->looks);
        argv[n++] = "--looks", argv[n++] = looks;
    }
    argv[n] = NULL;
    setsid();
    int null_fd = open("/dev/null", O_RDONLY);
    dup2(null_fd, 0);
    dup2(log_fd, 1);
    dup2(log_fd, 2);
    execvp(exe, (char **)argv);
    dprintf(2, "cannot run %s: %s\n", exe, strerror(errno));
    _exit(127);
}

/* The last line of the log, without the "<3>" that journals take for the level. */
static char *last_words(const char *log_path)
{
    char *text = NULL;
    size_t n = 0;
    if (file_read(log_path, 1 << 20, &text, &n, NULL) < 0)
        return mem_strdup("it left no message");
    while (n && text[n - 1] == '\n')
        text[--n] = 0;
    char *line = memrchr(text, '\n', n);
    line = line ? line + 1 : text;
    if (line[0] == '<' && line[1] && line[2] == '>')
        line += 3;
    char *level = strstr(line, "error: ");
    if (level) /* the sentence without time and level */
        line = level + 7;
    char *ret = mem_strdup(line[0] ? line : "it left no message");
    free(text);
    return ret;
}

static int start_daemon(const struct cli *c, struct rpc *r, struct err *err)
{
    AUTO_FREE char *exe = find_daemon();
    AUTO_FREE char *log_path = file_runtime_path("daemon.log");
    AUTO_FREE char *dir = file_runtime_path(NULL);
    if (!dir || !log_path)
        return err_set(err, -ENOENT, "there is no safe runtime folder: set XDG_RUNTIME_DIR");
    if (file_mkdirs(dir, 0700, err) < 0)
        return err->code;
    int log_fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log_fd < 0)
        return err_set(err, -errno, "cannot write %s: %s", log_path, strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        become_daemon(c, exe, log_fd);
    close(log_fd);
    if (pid < 0)
        return err_set(err, -errno, "cannot fork: %s", strerror(errno));
    int64_t until = clock_now_us() + START_US;
    while (clock_now_us() < until) {
        int status;
        if (try_open(r, err) == 0)
            return 0;
        if (waitpid(pid, &status, WNOHANG) == pid) {
            AUTO_FREE char *words = last_words(log_path);
            return err_set(err, -ECHILD, "the daemon did not start: %s", words);
        }
        usleep(50000);
    }
    kill(pid, SIGTERM);
    return err_set(err, -ETIMEDOUT, "the daemon did not answer within %d s: see %s",
                   START_US / 1000000, log_path);
}

int cli_connect(const struct cli *c, bool start, struct rpc *ret)
{
    struct err err = {0};
    int rc = try_open(ret, &err);
    if (rc == 0) {
        if (c->model || c->lora || c->policy || c->display || c->threads || c->looks)
            fputs("deskhand: a daemon runs already: --model, --lora, --display, --policy, "
                  "--threads and --looks are not used\n",
                  stderr);
        return 0;
    }
    bool absent = rc == -ENOENT || rc == -ECONNREFUSED;
    if (absent && start && !c->no_start)
        rc = start_daemon(c, ret, &err);
    else if (absent)
        err_set(&err, rc, "no daemon runs: start one with deskhandd");
    return rc == 0 ? 0 : cli_fail(c, CLI_UNREACHABLE, "%s", err.text);
}

int cli_call(const struct cli *c, bool start, const char *method, json_t *params,
             int64_t timeout_us, struct rpc *ret_rpc, json_t **ret_result)
{
    int rc = cli_connect(c, start, ret_rpc), code = 0;
    struct err err = {0};
    if (rc) {
        json_decref(params);
        return rc;
    }
    rc = rpc_call(ret_rpc, method, params, timeout_us, ret_result, &code, &err);
    if (rc == 0)
        return 0;
    rpc_close(ret_rpc);
    return cli_fail(c, cli_exit_for_error(code), "%s", err.text);
}
