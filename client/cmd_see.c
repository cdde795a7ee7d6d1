/* ground, ask, shot: one question about the screen, one answer. They wait behind a running step, so
 * the time limit is generous. */
#include "client/cli.h"

#include "base/file.h"

#include <string.h>

#define ANSWER_US (10 * 60 * 1000000LL)

/* Prints the result as JSON and returns true when that was asked for. */
static bool as_json(const struct cli *c, const json_t *result)
{
    if (!c->json)
        return false;
    json_t *j = json_pack("{s:O}", "result", (json_t *)result);
    cli_put_json(stdout, j);
    json_decref(j);
    return true;
}

static int ask_daemon(const struct cli *c, const char *method, const char *key, struct rpc *r,
                      json_t **ret)
{
    json_t *params = json_pack("{s:s}", key, c->arg);
    if (!params)
        return cli_fail(c, CLI_USAGE, "the text is not valid UTF-8");
    cli_add_choices(c, params);
    if (c->zoom)
        json_object_set_new(params, "zoom", json_true());
    return cli_call(c, true, method, params, ANSWER_US, r, ret);
}

int cmd_ground(const struct cli *c)
{
    struct rpc r;
    json_t *result = NULL;
    int rc = ask_daemon(c, "ground", "target", &r, &result);
    if (rc)
        return rc;
    if (!as_json(c, result))
        printf("%ld,%ld\n", cli_int(result, "x"), cli_int(result, "y"));
    json_decref(result);
    rpc_close(&r);
    return CLI_OK;
}

int cmd_ask(const struct cli *c)
{
    struct rpc r;
    json_t *result = NULL;
    int rc = ask_daemon(c, "ask", "question", &r, &result);
    if (rc)
        return rc;
    if (!as_json(c, result)) {
        const char *s = cli_text(result, "text");
        for (;; s++) { /* line by line: an answer may have several */
            size_t n = strcspn(s, "\n");
            struct str b = {0};
            str_printable(&b, s, n, 1 << 20);
            puts(str_cstr(&b));
            str_done(&b);
            s += n;
            if (!*s)
                break;
        }
    }
    json_decref(result);
    rpc_close(&r);
    return CLI_OK;
}

int cmd_shot(const struct cli *c)
{
    struct rpc r;
    struct err err = {0};
    json_t *result = NULL;
    json_t *params = json_pack("{s:b}", "cursor", c->cursor);
    int rc = cli_call(c, true, "screenshot", params, ANSWER_US, &r, &result);
    if (rc)
        return rc;
    uint8_t *png = NULL;
    size_t n = 0;
    if (rpc_get(&r, cli_text(result, "url"), 256u << 20, &png, &n, &err) < 0)
        rc = cli_fail(c, CLI_UNREACHABLE, "%s", err.text);
    else if (n < 8 || memcmp(png, "\x89PNG\r\n\x1a\n", 8) != 0)
        rc = cli_fail(c, CLI_UNREACHABLE, "the daemon sent something that is not a PNG");
    else if (strcmp(c->arg, "-") == 0)
        rc = fwrite(png, 1, n, stdout) == n ? 0
                                            : cli_fail(c, CLI_FAILED, "cannot write the output");
    else if (file_write(c->arg, png, n, 0644, &err) < 0)
        rc = cli_fail(c, CLI_FAILED, "%s", err.text);
    else if (!as_json(c, result))
        printf("%s: %ld x %ld\n", c->arg, cli_int(result, "w"), cli_int(result, "h"));
    free(png);
    json_decref(result);
    rpc_close(&r);
    return rc;
}
