/* Who may speak: the token, browser sessions, one-time login codes, Host and Origin. Pure decisions
 * over strings; no socket in here. Loop thread. */
#ifndef DESKHAND_SERVE_AUTH_H
#define DESKHAND_SERVE_AUTH_H

#include "base/err.h"

#include <stdint.h>

#define AUTH_SECRET_HEX 64 /* 256 bits */
#define AUTH_CODE_HEX 32
#define AUTH_SESSIONS_MAX 16
#define AUTH_CODES_MAX 8
#define AUTH_CODE_LIFE_US 60000000
#define AUTH_STRIKES_MAX 5
#define AUTH_STRIKE_WINDOW_US 10000000
#define AUTH_CLOSED_US 10000000

enum auth_who { AUTH_NOBODY, AUTH_PROGRAM, AUTH_BROWSER };

struct auth {
    uint16_t port;
    char token[AUTH_SECRET_HEX + 1];
    char sessions[AUTH_SESSIONS_MAX][AUTH_SECRET_HEX + 1]; /* "" free; the oldest is overwritten */
    unsigned n_sessions;
    struct {
        char hex[AUTH_CODE_HEX + 1]; /* "" free */
        int64_t until_us;
    } codes[AUTH_CODES_MAX];
    unsigned n_codes;
    int64_t strikes_us[AUTH_STRIKES_MAX]; /* times of the latest wrong secrets, 0 none */
    unsigned n_strikes;
    int64_t closed_until_us;
};

/* A new token; browser sessions and login codes end, since whoever had the old one may have made
 * them. On failure all stays as it was. */
int auth_renew(struct auth *a, struct err *err);

/* The headers of a request; NULL where it has none. */
struct auth_request {
    const char *host, *origin, *authorization, *cookie;
    bool is_upgrade;
};

/* Draws the token. The port may be set later, before the first check. */
int auth_init(struct auth *a, struct err *err);

/* Host and Origin only: 0 or the HTTP status (403). */
int auth_check_source(const struct auth *a, const struct auth_request *r);
/* All of it: 0 and who it is, or the HTTP status (401, 403, 429). Wrong secrets count as strikes,
 * missing ones do not; a right one is never locked out. */
int auth_check(struct auth *a, const struct auth_request *r, int64_t now_us,
               enum auth_who *ret_who);

/* A new one-time code; the oldest of AUTH_CODES_MAX falls out. */
int auth_code_new(struct auth *a, int64_t now_us, char ret[AUTH_CODE_HEX + 1], struct err *err);
/* Takes a code: 0 and a new browser session for the cookie, or 401, 429, 500. */
int auth_code_redeem(struct auth *a, const char *code, int64_t now_us,
                     char ret_session[AUTH_SECRET_HEX + 1]);

/* Equal texts of equal length, in a time that does not depend on where they differ. */
bool auth_equal(const char *a, const char *b);

#endif
