/* One way to read JSON from a file: how large it may be is said by who reads, what is wrong with it
 * is said with the line, and what comes back has the kind that was asked for. */
#include "base/json.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>

int json_parse(const char *text, size_t n, const char *where, enum json_want want, size_t flags,
               json_t **ret, struct err *err)
{
    const char *kind = want == JSON_WANT_OBJECT ? "object" : "list";
    json_error_t e;
    json_t *j = json_loadb(text, n, flags, &e);
    if (!j)
        return err_set(err, -EINVAL, "%s is not JSON (line %d: %s); expected a JSON %s", where,
                       e.line, e.text, kind);
    if (want == JSON_WANT_OBJECT ? !json_is_object(j) : !json_is_array(j)) {
        json_decref(j);
        return err_set(err, -EINVAL, "%s is not a JSON %s", where, kind);
    }
    *ret = j;
    return 0;
}

int json_read(const char *path, size_t max, enum json_want want, size_t flags, json_t **ret,
              struct err *err)
{
    AUTO_FREE char *text = NULL;
    size_t n;
    int rc = file_read(path, max, &text, &n, err);
    return rc < 0 ? rc : json_parse(text, n, path, want, flags, ret, err);
}
