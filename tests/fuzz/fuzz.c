/* See fuzz.h. */
#include "tests/fuzz/fuzz.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_FILES 8

static char folder[512];
static char *files[MAX_FILES];
static int n_files;

static void clean(void)
{
    for (int i = 0; i < n_files; i++)
        fuzz_drop(files[i]);
    rmdir(folder);
}

const char *fuzz_dir(void)
{
    if (!*folder) {
        const char *tmp = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/deskhand-fuzz-XXXXXX", tmp && *tmp ? tmp : "/tmp");
        CHECK(mkdtemp(folder));
        atexit(clean);
    }
    return folder;
}

void fuzz_put(const char *name, const void *data, size_t n)
{
    AUTO_FREE char *path = file_join(fuzz_dir(), name);
    bool known = false;
    for (int i = 0; i < n_files; i++)
        known |= strcmp(files[i], name) == 0;
    if (!known) {
        CHECK(n_files < MAX_FILES);
        files[n_files++] = mem_strdup(name);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK(write(fd, data, n) == (ssize_t)n);
    close(fd);
}

void fuzz_drop(const char *name)
{
    AUTO_FREE char *path = file_join(fuzz_dir(), name);
    unlink(path);
}

struct fuzz_part fuzz_next(const uint8_t **data, size_t *n)
{
    static const char line[] = "\n---\n";
    struct fuzz_part p = {(const char *)*data, *n};
    const uint8_t *at = memmem(*data, *n, line, sizeof line - 1);
    if (at) {
        p.n = (size_t)(at - *data);
        *n -= p.n + sizeof line - 1;
        *data = at + sizeof line - 1;
    } else {
        *data += *n;
        *n = 0;
    }
    return p;
}
