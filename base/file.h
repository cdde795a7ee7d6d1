/* Files and the places of the XDG base directories. Sizes are bounded by the caller. */
#ifndef DESKHAND_BASE_FILE_H
#define DESKHAND_BASE_FILE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads a whole regular file of at most `max` bytes; *ret_data is heap, NUL-terminated. */
int file_read(const char *path, size_t max, char **ret_data, size_t *ret_n, struct err *err);
/* Writes to a temporary beside `path` with `mode` and renames it over: readers see all or
 * nothing. */
int file_write(const char *path, const void *data, size_t n, mode_t mode, struct err *err);
/* mkdir -p; only the last part gets `mode`, the others 0755. */
int file_mkdirs(const char *path, mode_t mode, struct err *err);
/* Maps a whole file read-only. Unmap with file_unmap(). An empty file is an error. */
int file_map(const char *path, const uint8_t **ret_data, size_t *ret_n, struct err *err);
void file_unmap(const uint8_t *data, size_t n);
/* Of a mapping: what has been read leaves this process, and is read again when it is wanted. */
void file_drop_pages(const uint8_t *data, size_t n);

/* "$XDG_xxx/deskhand/name" with the specification's fallbacks; heap. Runtime falls back to
 * /tmp/deskhand-UID (0700, checked to be ours). `name` may be NULL for the folder itself. */
char *file_runtime_path(const char *name);
char *file_state_path(const char *name);
char *file_config_path(const char *name);
char *file_join(const char *dir, const char *name);

#endif
