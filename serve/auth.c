/* A page in any browser can reach 127.0.0.1, so nothing is trusted for coming from this machine.
 * Host must be ours by exact comparison (against DNS rebinding), Origin too (against pages), and a
 * 256-bit secret must come along: the token from the 0600 file for programs, or a browser's own
 * session, which it gets for a one-time code. A session is not the token: cookies go to every
 * port of 127.0.0.1, and what leaks there ends with the daemon and cannot pose as a program. */
#include "serve/auth.h"

#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static int random_hex(char *ret, size_t n_hex, struct err *err)
{
    uint8_t raw[AUTH_SECRET_HEX / 2];
    size_t n = n_hex / 2, got = 0;
    while (got < n) {
        ssize_t k = getrandom(raw + got, n - got, 0);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return err_set(err, -errno, "the kernel gives no random numbers: %s", strerror(errno));
        got += (size_t)k;
    }
    for (size_t i = 0; i < n; i++)
        snprintf(ret + 2 * i, 3, "%02x", raw[i]);
    explicit_bzero(raw, sizeof raw);
    return 0;
}

bool auth_equal(const char *a, const char *b)
{
    size_t n = strlen(a), k = strlen(b);
    volatile unsigned char diff = n != k;
    for (size_t i = 0; i < n && k > 0; i++)
        diff |= (unsigned char)(a[i] ^ b[i % k]);
    return n > 0 && !diff;
}

int auth_init(struct auth *a, struct err *err)
{
    *a = (struct auth){0};
    return random_hex(a->token, AUTH_SECRET_HEX, err);
}

int auth_renew(struct auth *a, struct err *err)
{
    char token[AUTH_SECRET_HEX + 1];
    int rc = random_hex(token, AUTH_SECRET_HEX, err);
    if (rc < 0)
        return rc;
    memcpy(a->token, token, sizeof token);
    explicit_bzero(token, sizeof token);
    explicit_bzero(a->sessions, sizeof a->sessions);
    explicit_bzero(a->codes, sizeof a->codes);
    return 0;
}

static bool is_ours(const struct auth *a, const char *s, const char *scheme)
{
    static const char *const names[] = {"127.0.0.1", "localhost"};
    for (int i = 0; i < 2; i++) {
        char want[64];
        snprintf(want, sizeof want, "%s%s:%u", scheme, names[i], a->port);
        if (strcmp(s, want) == 0)
            return true;
    }
    return false;
}

int auth_check_source(const struct auth *a, const struct auth_request *r)
{
    if (!r->host || !is_ours(a, r->host, ""))
        return 403;
    if (r->origin && !is_ours(a, r->origin, "http://"))
        return 403;
    return 0;
}

static void strike(struct auth *a, int64_t now_us)
{
    int64_t *oldest = &a->strikes_us[a->n_strikes++ % AUTH_STRIKES_MAX];
    *oldest = now_us;
    int64_t first = a->strikes_us[a->n_strikes % AUTH_STRIKES_MAX]; /* of the latest five */
    if (first && now_us - first <= AUTH_STRIKE_WINDOW_US) {
        a->closed_until_us = now_us + AUTH_CLOSED_US;
        memset(a->strikes_us, 0, sizeof a->strikes_us);
    }
}

static bool is_session(const struct auth *a, const char *secret)
{
    bool found = false;
    for (int i = 0; i < AUTH_SESSIONS_MAX; i++)
        if (a->sessions[i][0] && auth_equal(a->sessions[i], secret))
            found = true;
    return found;
}

/* The value of the cookie "deskhand" in a Cookie header; false when there is none. */
static bool find_cookie(const char *header, char ret[AUTH_SECRET_HEX + 2])
{
    static const char name[] = "deskhand=";
    for (const char *p = header; *p;) {
        p += strspn(p, "; ");
        size_t n = strcspn(p, ";");
        if (n >= sizeof name - 1 && memcmp(p, name, sizeof name - 1) == 0) {
            snprintf(ret, AUTH_SECRET_HEX + 2, "%.*s", (int)(n - (sizeof name - 1)),
                     p + sizeof name - 1);
            return true;
        }
        p += n;
    }
    return false;
}

int auth_check(struct auth *a, const struct auth_request *r, int64_t now_us,
               enum auth_who *ret_who)
{
    char session[AUTH_SECRET_HEX + 2];
    int rc = auth_check_source(a, r);
    if (rc)
        return rc;
    bool offered = false;
    if (r->authorization) {
        offered = true;
        if (str_starts(r->authorization, "Bearer ") &&
            auth_equal(a->token, r->authorization + strlen("Bearer "))) {
            *ret_who = AUTH_PROGRAM;
            return 0;
        }
    } else if (r->cookie && find_cookie(r->cookie, session)) {
        offered = true;
        /* a browser always names the page that opens a websocket */
        if (is_session(a, session) && (r->origin || !r->is_upgrade)) {
            *ret_who = AUTH_BROWSER;
            return 0;
        }
    }
    if (now_us < a->closed_until_us)
        return 429;
    if (offered)
        strike(a, now_us);
    return 401;
}

int auth_code_new(struct auth *a, int64_t now_us, char ret[AUTH_CODE_HEX + 1], struct err *err)
{
    int rc = random_hex(ret, AUTH_CODE_HEX, err);
    if (rc < 0)
        return rc;
    unsigned i = a->n_codes++ % AUTH_CODES_MAX;
    memcpy(a->codes[i].hex, ret, AUTH_CODE_HEX + 1);
    a->codes[i].until_us = now_us + AUTH_CODE_LIFE_US;
    return 0;
}

int auth_code_redeem(struct auth *a, const char *code, int64_t now_us,
                     char ret_session[AUTH_SECRET_HEX + 1])
{
    for (int i = 0; i < AUTH_CODES_MAX; i++) {
        if (!a->codes[i].hex[0] || !auth_equal(a->codes[i].hex, code))
            continue;
        a->codes[i].hex[0] = '\0';
        if (now_us > a->codes[i].until_us)
            break;
        if (random_hex(ret_session, AUTH_SECRET_HEX, NULL) < 0)
            return 500;
        memcpy(a->sessions[a->n_sessions++ % AUTH_SESSIONS_MAX], ret_session,
               AUTH_SECRET_HEX + 1);
        return 0;
    }
    if (now_us < a->closed_until_us)
        return 429;
    strike(a, now_us);
    return 401;
}
