/* On a terminal the reasoning streams dim and a step ends in one line:
 *
 *       3  click at 120,40               confirmed     "field Name" changed  0.42 s
 *
 * Elsewhere the same lines come without escapes and without the stream. All text from the model and
 * the screen is escaped: a window title cannot write to the terminal. */
#include "client/progress.h"

#include "base/str.h"
#include "client/cli.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 65536

void progress_done(struct progress *p)
{
    free(p->text);
    p->text = NULL;
}

void progress_break(struct progress *p)
{
    if (p->streaming)
        fputs("\033[0m\n", p->out);
    p->streaming = false;
}

/* Escapes everything but the line feeds, which reasoning has by right. */
static void stream(struct progress *p, const char *s)
{
    if (!p->streaming)
        fputs("\033[2m", p->out);
    p->streaming = true;
    for (;;) {
        size_t n = strcspn(s, "\n");
        struct str b = {0};
        str_printable(&b, s, n, 65536);
        fputs(str_cstr(&b), p->out);
        str_done(&b);
        if (!s[n])
            break;
        fputc('\n', p->out);
        s += n + 1;
    }
}

void progress_step(FILE *out, long step, const char *describe, const json_t *effect)
{
    long total = cli_int(json_object_get(effect, "timing"), "total_us");
    fprintf(out, "%3ld  ", step);
    struct str b = {0};
    str_printable(&b, describe, strlen(describe), 150);
    fprintf(out, "%-28s  ", str_cstr(&b));
    str_reset(&b);
    str_printable(&b, cli_text(effect, "effect"), strlen(cli_text(effect, "effect")), 32);
    fprintf(out, "%-12s  ", b.n ? b.s : "-");
    str_done(&b);
    cli_put(out, cli_text(effect, "evidence"));
    if (total > 0)
        fprintf(out, "  %.2f s", (double)total / 1e6);
    fputc('\n', out);
}

static void note_verdict(struct progress *p, const json_t *params)
{
    if (strcmp(cli_text(params, "verdict"), "allow") == 0)
        return;
    progress_break(p);
    fprintf(p->out, "     %s: ", strcmp(cli_text(params, "verdict"), "deny") == 0 ? "denied"
                                                                                   : "to confirm");
    fputs(p->describe, p->out);
    fputs(": ", p->out);
    cli_put(p->out, cli_text(params, "reason"));
    fputc('\n', p->out);
    if (strcmp(cli_text(params, "verdict"), "confirm") != 0)
        return;
    /* all that a yes would be for */
    const char *title = cli_text(params, "window_title"), *class = cli_text(params, "window_class");
    if (p->text)
        fprintf(p->out, "     text: %s\n", p->text);
    if (title[0] || class[0]) {
        fputs("     window: ", p->out);
        cli_put(p->out, title);
        fputs(" (", p->out);
        cli_put(p->out, class);
        fputs(")\n", p->out);
    }
}

static void note_state(struct progress *p, const json_t *params)
{
    const char *reason = cli_text(params, "reason");
    progress_break(p);
    fputs("     ", p->out);
    cli_put(p->out, cli_text(params, "state"));
    if (reason[0])
        fputs(": ", p->out);
    cli_put(p->out, reason);
    fputc('\n', p->out);
}

void progress_note(struct progress *p, const char *method, const json_t *params)
{
    if (p->json) {
        json_t *j = json_pack("{s:s, s:O}", "method", method, "params", (json_t *)params);
        if (j)
            cli_put_json(p->out, j);
        json_decref(j);
        return;
    }
    if (strcmp(method, "token") == 0) {
        if (p->tty)
            stream(p, cli_text(params, "text"));
    } else if (strcmp(method, "action") == 0) {
        struct str b = {0};
        const char *d = cli_text(params, "describe");
        str_printable(&b, d, strlen(d), 120);
        snprintf(p->describe, sizeof(p->describe), "%s", str_cstr(&b));
        str_done(&b);
        free(p->text);
        const char *text = cli_text(json_object_get(params, "action"), "text");
        str_printable(&b, text, strlen(text), TEXT_MAX);
        p->text = text[0] ? str_take(&b) : NULL;
        str_done(&b);
        progress_break(p);
    } else if (strcmp(method, "verdict") == 0) {
        note_verdict(p, params);
    } else if (strcmp(method, "effect") == 0) {
        progress_break(p);
        progress_step(p->out, cli_int(params, "step"), p->describe, params);
    } else if (strcmp(method, "notice") == 0) {
        progress_break(p);
        fputs("     ", p->out);
        cli_put(p->out, cli_text(params, "text"));
        fputc('\n', p->out);
    } else if (strcmp(method, "state") == 0 && strcmp(cli_text(params, "state"), "running") != 0 &&
               strcmp(cli_text(params, "state"), "approval") != 0) {
        note_state(p, params);
    }
    fflush(p->out);
}
