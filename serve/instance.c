/* flock() on a file of the runtime folder: the kernel gives it back whatever way a daemon ends, so
 * a stale daemon.json never stops a start. The lock's file stays; removing it would let two
 * daemons hold locks on two files of one name. */
#include "serve/instance.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int say_who(struct err *err)
{
    AUTO_FREE char *path = file_runtime_path("daemon.json");
    json_t *j = NULL;
    int pid = 0, port = 0;
    if (json_read(path, 4096, JSON_WANT_OBJECT, 0, &j, NULL) == 0 &&
        json_unpack(j, "{s:i, s:i}", "pid", &pid, "port", &port) == 0)
        err_set(err, -EBUSY, "deskhandd is running already: process %d, port %d", pid, port);
    else
        err_set(err, -EBUSY, "another deskhandd is just starting or ending");
    json_decref(j);
    return -EBUSY;
}

int instance_open(struct instance *in, struct err *err)
{
    *in = (struct instance){.lock_fd = -1};
    AUTO_FREE char *dir = file_runtime_path(NULL);
    AUTO_FREE char *path = file_runtime_path("deskhandd.lock");
    if (!dir || !path)
        return err_set(err, -EACCES, "there is no safe runtime folder; set XDG_RUNTIME_DIR");
    int rc = file_mkdirs(dir, 0700, err);
    if (rc < 0)
        return rc;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set(err, -errno, "cannot open the lock %s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        rc = errno == EWOULDBLOCK ? say_who(err)
                                  : err_set(err, -errno, "cannot lock %s: %s", path,
                                            strerror(errno));
        close(fd);
        return rc;
    }
    in->lock_fd = fd;
    return 0;
}

int instance_publish(struct instance *in, uint16_t port, const char *token, struct err *err)
{
    char text[256];
    char *path = file_runtime_path("daemon.json");
    int n = snprintf(text, sizeof text, "{\"port\": %u, \"token\": \"%s\", \"pid\": %d}\n", port,
                     token, (int)getpid());
    int rc = file_write(path, text, (size_t)n, 0600, err);
    explicit_bzero(text, sizeof text);
    if (rc < 0) {
        free(path);
        return rc;
    }
    free(in->json_path);
    in->json_path = path;
    return 0;
}

void instance_close(struct instance *in)
{
    if (in->json_path)
        unlink(in->json_path);
    free(in->json_path);
    if (in->lock_fd >= 0)
        close(in->lock_fd);
    *in = (struct instance){.lock_fd = -1};
}
