/* ms-swift wants {"messages", "images", "objects"}. Points are not written into the answer: its
 * training scales pictures, and puts the boxes and points of "objects", which are pixels of the
 * picture in the file, where the answer says <bbox>. */
#include "bench/swift.h"
#include "actions/action.h"
#include "agent/prompt.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

static const char *text(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s ? s : "";
}

bool swift_is_good(const json_t *task, size_t i)
{
    const json_t *step = json_array_get(json_object_get(task, "steps"), i);
    if (str_eq(text(json_object_get(step, "action"), "action"), "finished"))
        return str_eq(text(task, "state"), "finished");
    return str_eq(text(step, "effect"), "confirmed");
}

/* The same history as the daemon's prompt had. */
static int add_history(const json_t *steps, size_t n, struct str *out, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *step = json_array_get(steps, i);
        AUTO(action_done) struct action a = {0};
        AUTO(str_done) struct str line = {0};
        AUTO_FREE char *s = json_dumps(json_object_get(step, "action"), JSON_COMPACT);
        int rc = s ? action_parse(s, strlen(s), 0, 0, &a, err)
                   : err_set(err, -EINVAL, "step %zu has no action", i + 1);
        if (rc < 0)
            return rc;
        action_history_json(&a, &line);
        const char *effect = text(step, "effect");
        const char *note = str_eq(effect, "no_effect") ? "No effect. "
                           : str_eq(effect, "refused") ? "Refused. "
                                                       : "";
        str_printf(out, "Step %zu: %s%s.", i, note, str_cstr(&line));
    }
    return 0;
}

/* A point on the screen as one of the picture, which may show a part of the screen. */
static json_t *point_in(const json_t *step, const char *key)
{
    const json_t *p = json_object_get(step, key), *s = json_object_get(step, "screen");
    json_int_t x = json_integer_value(json_array_get(p, 0));
    json_int_t y = json_integer_value(json_array_get(p, 1));
    return json_pack("[I, I]", x - json_integer_value(json_object_get(s, "x")),
                     y - json_integer_value(json_object_get(s, "y")));
}

/* The answer, "<bbox>" for its points, which go to `points`. */
static char *answer(const json_t *step, json_t *points)
{
    static const char *const members[][2] = {{"start_point", "point"}, {"end_point", "end"}};
    AUTO(str_done) struct str out = {0};
    json_t *a = json_copy(json_object_get(step, "action"));
    for (size_t i = 0; i < N_ELEMENTS(members); i++) {
        if (!json_is_array(json_object_get(a, members[i][0])))
            continue;
        json_object_set_new(a, members[i][0], json_string("<bbox>"));
        json_array_append_new(points, point_in(step, members[i][1]));
    }
    AUTO_FREE char *s = json_dumps(a, JSON_PRESERVE_ORDER);
    json_decref(a);
    if (text(step, "why")[0])
        str_printf(&out, "<think>\n%s\n</think>\n\n", text(step, "why"));
    for (const char *c = s; c && *c;) { /* a placeholder stands without quotes */
        if (str_starts(c, "\"<bbox>\"")) {
            str_puts(&out, "<bbox>");
            c += 8;
        } else {
            str_putc(&out, *c++);
        }
    }
    return str_take(&out);
}

static size_t count(const char *s, const char *what)
{
    size_t n = 0;
    for (; (s = strstr(s, what)); s += strlen(what))
        n++;
    return n;
}

json_t *swift_row(const json_t *task, size_t i, const char *image, struct err *err)
{
    const json_t *steps = json_object_get(task, "steps"), *step = json_array_get(steps, i);
    AUTO(str_done) struct str history = {0}, prompt = {0};
    if (add_history(steps, i, &history, err) < 0)
        return NULL;
    str_puts(&prompt, "<image>");
    prompt_agent(text(task, "goal"), str_cstr(&history), &prompt);
    json_t *points = json_array();
    AUTO_FREE char *said = answer(step, points);
    const char *asked = str_cstr(&prompt);
    if (count(said, "<bbox>") != json_array_size(points) || count(asked, "<bbox>") ||
        count(asked, "<image>") != 1 || strstr(said, "<image>")) {
        json_decref(points);
        err_set(err, -EINVAL, "step %zu has a text with <image> or <bbox> in it", i + 1);
        return NULL;
    }
    json_t *row =
        json_pack("{s:[{s:s, s:s}, {s:s, s:s}], s:[s]}", "messages", "role", "user", "content",
                  asked, "role", "assistant", "content", said, "images", image);
    if (row && json_array_size(points))
        json_object_set_new(row, "objects",
                            json_pack("{s:[], s:O, s:s}", "ref", "bbox", points, "bbox_type",
                                      "real"));
    json_decref(points);
    if (!row)
        err_set(err, -EINVAL, "step %zu has a text that is not valid UTF-8", i + 1);
    return row;
}
