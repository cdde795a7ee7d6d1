/* Actions as text: the official history line, the journal's JSON, and a line for people.
 * Written by hand and not through jansson because the history must match Python's json.dumps
 * byte for byte (", " and ": " as separators, order of keys as inserted, UTF-8 left as it is). */
#include "actions/action.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

/* Python's json.dumps(ensure_ascii=False). `split_tags` writes "</" as "<\/", the same string in
 * JSON, so that a typed "</think>" cannot end the reasoning for a reader of the whole text. */
static void put_json_string(struct str *out, const char *s, bool split_tags)
{
    str_putc(out, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        switch (c) {
        case '"': str_puts(out, "\\\""); break;
        case '\\': str_puts(out, "\\\\"); break;
        case '\n': str_puts(out, "\\n"); break;
        case '\r': str_puts(out, "\\r"); break;
        case '\t': str_puts(out, "\\t"); break;
        case '\b': str_puts(out, "\\b"); break;
        case '\f': str_puts(out, "\\f"); break;
        default:
            if (c < 0x20)
                str_printf(out, "\\u%04x", c);
            else
                str_putc(out, (char)c);
        }
        if (split_tags && c == '<' && s[1] == '/') {
            str_puts(out, "\\/");
            s++;
        }
    }
    str_putc(out, '"');
}

/* Integers without a point, everything else so that it reads back to the same float. */
static void put_number(struct str *out, double v, bool rounded)
{
    if (rounded)
        v = floor(v + 0.5);
    if (v == floor(v) && fabs(v) < 1e9)
        str_printf(out, "%lld", (long long)v);
    else
        str_printf(out, "%.9g", v);
}

static void put_point(struct str *out, const char *key, struct model_pt p, bool rounded)
{
    str_printf(out, ", \"%s\": [", key);
    put_number(out, (double)p.x, rounded);
    str_puts(out, ", ");
    put_number(out, (double)p.y, rounded);
    str_putc(out, ']');
}

static const char *text_key(const struct action_row *row)
{
    unsigned f = row->required | row->optional;
    return f & FIELD_APP ? "app" : f & FIELD_STATUS ? "status" : "text";
}

static size_t count_characters(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void put_fields(const struct action *a, bool history, bool with_text, struct str *out)
{
    const struct action_row *row = &action_table[a->kind];
    if (a->has_start && !(history && a->kind == ACTION_INPUT))
        put_point(out, "start_point", a->start, history);
    if (a->has_end)
        put_point(out, "end_point", a->end, history);
    if (a->text && !with_text && row->types) {
        str_printf(out, ", \"text_length\": %zu", count_characters(a->text));
    } else if (a->text) {
        str_printf(out, ", \"%s\": ", text_key(row));
        put_json_string(out, a->text, !history);
    }
    if (a->n_keys) {
        str_puts(out, ", \"keys\": [");
        for (int i = 0; i < a->n_keys; i++) {
            if (i)
                str_puts(out, ", ");
            put_json_string(out, a->keys[i], !history);
        }
        str_putc(out, ']');
    }
    if (a->direction != DIRECTION_NONE)
        str_printf(out, ", \"direction\": \"%s\"", direction_name(a->direction));
    if (a->distance > 0) {
        str_puts(out, ", \"scroll_distance\": ");
        put_number(out, (double)a->distance, false);
    }
    str_putc(out, '}');
}

void action_history_json(const struct action *a, struct str *out)
{
    str_printf(out, "{\"action_name\": \"%s\"", action_table[a->kind].name);
    put_fields(a, true, true, out);
}

void action_json(const struct action *a, bool with_text, struct str *out)
{
    str_printf(out, "{\"action\": \"%s\"", action_table[a->kind].name);
    put_fields(a, false, with_text, out);
}

static void put_shown(struct str *out, const char *prefix, const char *s)
{
    str_puts(out, prefix);
    str_printable(out, s, strlen(s), 80);
}

static void put_at(struct str *out, const char *word, struct model_pt p)
{
    str_printf(out, "%s%lld,%lld", word, (long long)floorf(p.x + 0.5f),
               (long long)floorf(p.y + 0.5f));
}

void action_describe(const struct action *a, struct str *out)
{
    static const char *const verbs[N_ACTION_KINDS] = {
        [ACTION_CLICK] = "click",
        [ACTION_DOUBLE_CLICK] = "double-click",
        [ACTION_RIGHT_CLICK] = "right-click",
        [ACTION_MIDDLE_CLICK] = "middle-click",
        [ACTION_LONGPRESS] = "long press",
        [ACTION_HOVER] = "hover",
        [ACTION_DRAG] = "drag",
        [ACTION_SCROLL] = "scroll",
        [ACTION_INPUT] = "type",
        [ACTION_PRESS] = "press",
        [ACTION_SELECT] = "select",
        [ACTION_OPEN] = "open",
        [ACTION_APPSWITCH] = "switch to",
        [ACTION_WAIT] = "wait",
        [ACTION_FINISHED] = "finished",
        [ACTION_CALL_USER] = "call the user",
    };
    str_puts(out, verbs[a->kind]);
    switch (a->kind) {
    case ACTION_INPUT: {
        size_t n = a->text ? count_characters(a->text) : 0;
        str_printf(out, " %zu character%s", n, n == 1 ? "" : "s");
        break;
    }
    case ACTION_PRESS:
        for (int i = 0; i < a->n_keys; i++)
            put_shown(out, i ? "+" : " ", a->keys[i]);
        break;
    case ACTION_SCROLL:
        str_printf(out, " %s", direction_name(a->direction));
        if (a->distance > 0)
            str_printf(out, " by %g", (double)a->distance);
        break;
    case ACTION_SELECT:
    case ACTION_OPEN:
    case ACTION_APPSWITCH:
        put_shown(out, " \"", a->text ? a->text : "");
        str_putc(out, '"');
        break;
    case ACTION_FINISHED:
    case ACTION_CALL_USER:
        if (a->text && *a->text)
            put_shown(out, ": ", a->text);
        break;
    default: break;
    }
    if (a->has_start)
        put_at(out, a->has_end ? " from " : a->kind == ACTION_HOVER ? " over " : " at ", a->start);
    if (a->has_end)
        put_at(out, " to ", a->end);
}
