/* What the fuzz targets share: the entry that libFuzzer calls, and a folder for readers that want
 * files. */
#ifndef DESKHAND_TESTS_FUZZ_H
#define DESKHAND_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The process's own empty folder under $TMPDIR, removed at exit with what was put there. */
const char *fuzz_dir(void);
/* Writes a file into it (not atomically: nobody else looks). */
void fuzz_put(const char *name, const void *data, size_t n);
void fuzz_drop(const char *name);

/* Cuts the next part off, up to a line "---" or the end: several files in one input. */
struct fuzz_part {
    const char *s;
    size_t n;
};
struct fuzz_part fuzz_next(const uint8_t **data, size_t *n);

#endif
