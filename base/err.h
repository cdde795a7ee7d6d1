/* One sentence for the person who has to act: what failed, which value, what was expected.
 *
 * Functions that can fail because of the world return 0 or a negative errno and fill a
 * `struct err`. Every function accepts NULL for it. Our own bugs go through CHECK() instead. */
#ifndef DESKHAND_BASE_ERR_H
#define DESKHAND_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

struct err {
    int code; /* negative errno, 0 while nothing failed */
    char text[512];
};

/* Writes the sentence and returns `code` (pass a negative errno). `err` may be NULL. */
int err_set(struct err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the sentence that is there and returns its code. */
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A broken promise inside the program: prints the place, runs the hooks (which release held
 * keys and buttons), aborts. Always compiled in. */
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            check_failed(#cond, __FILE__, __LINE__, __func__);                                     \
    } while (0)

_Noreturn void check_failed(const char *cond, const char *file, int line, const char *func);

/* Registers a function to run before CHECK aborts (at most 4). It must be async-signal-safe in
 * spirit: no locks that the failing thread may hold. */
void check_on_fail(void (*hook)(void *), void *user);

#endif
