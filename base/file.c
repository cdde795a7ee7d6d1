/* Whole files in and out, maps, XDG places. See file.h. */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int file_read(const char *path, size_t max, char **ret_data, size_t *ret_n, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
    struct stat st;
    int rc = 0;
    if (fstat(fd, &st) < 0)
        rc = err_set(err, -errno, "cannot stat %s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        rc = err_set(err, -EINVAL, "%s is not a regular file", path);
    else if ((uint64_t)st.st_size > max)
        rc = err_set(err, -EFBIG, "%s has %lld bytes, more than the %zu allowed", path,
                     (long long)st.st_size, max);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    size_t n = (size_t)st.st_size, got = 0;
    char *data = mem_alloc(n + 1);
    while (got < n) {
        ssize_t k = read(fd, data + got, n - got);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0) {
            rc = err_set(err, k < 0 ? -errno : -EIO, "cannot read %s: %s", path,
                         k < 0 ? strerror(errno) : "it became shorter while being read");
            break;
        }
        got += (size_t)k;
    }
    close(fd);
    if (rc < 0) {
        free(data);
        return rc;
    }
    data[n] = 0;
    *ret_data = data;
    if (ret_n)
        *ret_n = n;
    return 0;
}

int file_write(const char *path, const void *data, size_t n, mode_t mode, struct err *err)
{
    struct str tmp = {0};
    str_printf(&tmp, "%s.tmp-%d", path, (int)getpid());
    AUTO_FREE char *name = str_take(&tmp);
    unlink(name);
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return err_set(err, -errno, "cannot create %s: %s", name, strerror(errno));
    const char *p = data;
    int rc = 0;
    for (size_t done = 0; done < n && rc == 0;) {
        ssize_t k = write(fd, p + done, n - done);
        if (k < 0 && errno != EINTR)
            rc = err_set(err, -errno, "cannot write %s: %s", name, strerror(errno));
        else if (k > 0)
            done += (size_t)k;
    }
    if (close(fd) < 0 && rc == 0)
        rc = err_set(err, -errno, "cannot close %s: %s", name, strerror(errno));
    if (rc == 0 && rename(name, path) < 0)
        rc = err_set(err, -errno, "cannot rename %s to %s: %s", name, path, strerror(errno));
    if (rc < 0)
        unlink(name);
    return rc;
}

int file_mkdirs(const char *path, mode_t mode, struct err *err)
{
    AUTO_FREE char *p = mem_strdup(path);
    for (char *c = p + 1; *c; c++) {
        if (*c != '/')
            continue;
        *c = 0;
        if (mkdir(p, 0755) < 0 && errno != EEXIST)
            return err_set(err, -errno, "cannot create folder %s: %s", p, strerror(errno));
        *c = '/';
    }
    if (mkdir(p, mode) < 0 && errno != EEXIST)
        return err_set(err, -errno, "cannot create folder %s: %s", p, strerror(errno));
    return 0;
}

int file_map(const char *path, const uint8_t **ret_data, size_t *ret_n, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
        close(fd);
        return err_set(err, -EINVAL, "%s is empty or not a regular file", path);
    }
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    int saved = errno;
    close(fd);
    if (p == MAP_FAILED)
        return err_set(err, -saved, "cannot map %s: %s", path, strerror(saved));
    *ret_data = p;
    *ret_n = (size_t)st.st_size;
    return 0;
}

void file_unmap(const uint8_t *data, size_t n)
{
    if (data)
        munmap((void *)data, n);
}

void file_drop_pages(const uint8_t *data, size_t n)
{
    if (data)
        madvise((void *)data, n, MADV_DONTNEED); /* a wish */
}

char *file_join(const char *dir, const char *name)
{
    struct str s = {0};
    size_t n = strlen(dir);
    str_puts(&s, dir);
    if (name) {
        if (!n || dir[n - 1] != '/')
            str_putc(&s, '/');
        str_puts(&s, name);
    }
    return str_take(&s);
}

static char *xdg_path(const char *var, const char *home_rest, const char *name)
{
    const char *base = getenv(var), *home = getenv("HOME");
    AUTO_FREE char *dir = NULL;
    if (base && base[0] == '/') {
        dir = file_join(base, "deskhand");
    } else if (home && home[0] == '/' && home_rest) {
        AUTO_FREE char *under = file_join(home, home_rest);
        dir = file_join(under, "deskhand");
    } else {
        struct str s = {0};
        str_printf(&s, "/tmp/deskhand-%u", (unsigned)getuid());
        dir = str_take(&s);
    }
    return file_join(dir, name);
}

char *file_runtime_path(const char *name)
{
    return xdg_path("XDG_RUNTIME_DIR", NULL, name);
}

char *file_state_path(const char *name)
{
    return xdg_path("XDG_STATE_HOME", ".local/state", name);
}

char *file_config_path(const char *name)
{
    return xdg_path("XDG_CONFIG_HOME", ".config", name);
}
