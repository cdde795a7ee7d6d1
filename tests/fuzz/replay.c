/* Runs a fuzz target over the files of folders, each file also cut short at many places and with
 * single bytes changed, always in the same way: the committed corpus as a plain test, with no
 * libFuzzer in it. */
#include "tests/fuzz/fuzz.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define VARIANTS 80

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* On heap of exactly the size, so that a sanitizer sees a read past the end. */
static void one(const char *data, size_t n)
{
    uint8_t *copy = mem_alloc(n ? n : 1);
    memcpy(copy, data, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static int file(const char *path)
{
    static const char marks[] = "0-9{}[]\",:\\\xff";
    AUTO_FREE char *data = NULL;
    size_t n;
    struct err err = {0};
    if (file_read(path, 1 << 20, &data, &n, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    one(data, n);
    uint32_t seed = (uint32_t)n;
    for (int i = 0; i < VARIANTS && n; i++) {
        one(data, next(&seed) % n);
        size_t at = next(&seed) % n;
        char kept = data[at];
        data[at] = i % 2 ? (char)next(&seed) : marks[next(&seed) % (sizeof marks - 1)];
        one(data, n);
        data[at] = kept;
    }
    return 0;
}

static int folder(const char *path)
{
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort), rc = 0, n_files = 0;
    if (n < 0) {
        fprintf(stderr, "cannot list %s\n", path);
        return -1;
    }
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            AUTO_FREE char *f = file_join(path, names[i]->d_name);
            if (file(f) < 0)
                rc = -1;
            n_files++;
        }
        free(names[i]);
    }
    free(names);
    printf("%d files of %s\n", n_files, path);
    return n_files ? rc : -1;
}

int main(int argc, char **argv)
{
    int rc = argc > 1 ? 0 : 1;
    one("", 0);
    for (int i = 1; i < argc; i++)
        if (folder(argv[i]) < 0)
            rc = 1;
    return rc;
}
