/* Sentences for errors of the world, an abort for errors of ours. See err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
        err->code = code;
    }
    return code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    if (!err)
        return -EIO;
    char inner[sizeof err->text];
    memcpy(inner, err->text, sizeof inner);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof err->text)
        snprintf(err->text + n, sizeof err->text - (size_t)n, ": %s", inner);
    return err->code;
}

static struct {
    void (*run)(void *);
    void *user;
} hooks[4];
static int n_hooks;

void check_on_fail(void (*hook)(void *), void *user)
{
    if (n_hooks < 4) {
        hooks[n_hooks].run = hook;
        hooks[n_hooks].user = user;
        n_hooks++;
    }
}

_Noreturn void check_failed(const char *cond, const char *file, int line, const char *func)
{
    fprintf(stderr, "deskhand: bug: %s is false at %s:%d (%s)\n", cond, file, line, func);
    int n = n_hooks;
    n_hooks = 0; /* a hook that fails too must not run us again */
    for (int i = 0; i < n; i++)
        hooks[i].run(hooks[i].user);
    abort();
}
