/* From what the model wrote to one action.
 *
 * Three steps: answer_start() finds where the answer begins (after the reasoning, inside a json
 * fence if there is one), find_object() reads the first object there that names an action, and
 * fill() checks it against its row of the table. Tolerant in form, strict in content: where two
 * readings are possible the answer is an error with the byte position, which the agent can show
 * to the model, never a guess. */
#include "actions/action.h"
#include "actions/read.h"
#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#define MAX_KEY_NAME 32
#define MAX_DISTANCE 100 /* wheel clicks */

/* How fields are spelled. One spelling may stand for several fields ("text" is the text of an
 * input and the chord of a press): the action's row decides, and it must decide uniquely. */
static const struct {
    const char *name;
    unsigned fields;
} spellings[] = {
    /* the official ones, in the order of enum action_field */
    {"start_point", FIELD_START},
    {"end_point", FIELD_END},
    {"text", FIELD_TEXT | FIELD_APP | FIELD_STATUS | FIELD_KEYS},
    {"keys", FIELD_KEYS},
    {"direction", FIELD_DIRECTION},
    {"scroll_distance", FIELD_DISTANCE},
    {"app", FIELD_APP},
    {"status", FIELD_STATUS},
    /* what models write instead */
    {"point", FIELD_START},
    {"point_2d", FIELD_START},
    {"coordinate", FIELD_START},
    {"coordinates", FIELD_START},
    {"position", FIELD_START},
    {"bbox_2d", FIELD_START},
    {"bbox", FIELD_START},
    {"box_2d", FIELD_START},
    {"start", FIELD_START},
    {"start_box", FIELD_START},
    {"start_coordinate", FIELD_START},
    {"end", FIELD_END},
    {"end_box", FIELD_END},
    {"end_coordinate", FIELD_END},
    {"content", FIELD_TEXT},
    {"input_text", FIELD_TEXT},
    {"value", FIELD_TEXT},
    {"option", FIELD_TEXT},
    {"question", FIELD_TEXT},
    {"message", FIELD_TEXT | FIELD_STATUS},
    {"key", FIELD_KEYS},
    {"hotkey", FIELD_KEYS},
    {"scroll_direction", FIELD_DIRECTION},
    {"distance", FIELD_DISTANCE},
    {"scroll_amount", FIELD_DISTANCE},
    {"clicks", FIELD_DISTANCE},
    {"app_name", FIELD_APP},
    {"application", FIELD_APP},
    {"program", FIELD_APP},
};

static const char *const action_keys[] = {"action", "action_name", "action_type"};
static const char *const wrapper_keys[] = {"arguments", "parameters", "params", "args",
                                           "action_input"};

static const char *find(const char *s, size_t n, const char *what)
{
    return n ? memmem(s, n, what, strlen(what)) : NULL;
}

/* The last occurrence, or NULL. */
static const char *find_last(const char *s, size_t n, const char *what)
{
    const char *last = NULL;
    for (const char *p = s; (p = find(p, n - (size_t)(p - s), what)); p++)
        last = p;
    return last;
}

/* Is text[pos] inside a readable object that starts at or after `from`? A fence or a tag there is
 * part of a string. */
static bool inside_object(const char *text, size_t n, size_t from, size_t pos)
{
    struct read_doc d = {0};
    bool inside = false;
    for (size_t at = from; at < pos && !inside; at++) {
        if (text[at] != '{' || !read_is_object(text, n, at))
            continue;
        int node = read_value(text, n, at, &d, NULL);
        if (node < 0)
            break;
        inside = d.nodes[node].end > pos;
        at = MAX(d.nodes[node].end, at + 1) - 1;
    }
    read_done(&d);
    return inside;
}

/* Where the answer begins; -EINVAL when the reasoning never ends. */
static int answer_start(const char *text, size_t n, size_t *ret, struct err *err)
{
    const char *close = find_last(text, n, "</think>");
    const char *open = find(text, n, "<think>");
    size_t at = 0;
    if (close)
        at = (size_t)(close - text) + strlen("</think>");
    else if (open && !inside_object(text, n, 0, (size_t)(open - text)))
        return err_set(err, -EINVAL,
                       "the reasoning was not closed by </think> before the text ends at byte %zu",
                       n);
    const char *fence = find(text + at, n - at, "```json");
    if (fence && !inside_object(text, n, at, (size_t)(fence - text)))
        at = (size_t)(fence - text) + strlen("```json");
    *ret = at;
    return 0;
}

/* Keys are compared without regard to case, and "-" or a space equals "_". */
static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        int ca = *a == '-' || *a == ' ' ? '_' : tolower((unsigned char)*a);
        if (ca != *b)
            return false;
    }
    return *a == *b;
}

static bool name_in(const char *s, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (same_name(s, list[i]))
            return true;
    return false;
}

static int child_named(const struct read_doc *d, int object, const char *const *names, size_t n)
{
    for (int c = d->nodes[object].first; c >= 0; c = d->nodes[c].next)
        if (name_in(d->nodes[c].key, names, n) && d->nodes[c].type != READ_NULL)
            return c;
    return -1;
}

static bool names_action(const struct read_doc *d, int object)
{
    static const char *const called[] = {"name"};
    int w = child_named(d, object, wrapper_keys, N_ELEMENTS(wrapper_keys));
    return child_named(d, object, action_keys, N_ELEMENTS(action_keys)) >= 0 ||
           (w >= 0 && d->nodes[w].type == READ_OBJECT &&
            (child_named(d, object, called, 1) >= 0 ||
             child_named(d, w, action_keys, N_ELEMENTS(action_keys)) >= 0));
}

static bool names_box(const struct read_doc *d, int object)
{
    for (int c = d->nodes[object].first; c >= 0; c = d->nodes[c].next)
        for (size_t i = 0; i < N_ELEMENTS(spellings); i++)
            if (spellings[i].fields == FIELD_START && same_name(d->nodes[c].key, spellings[i].name))
                return true;
    return false;
}

/* Reads the first object at or after `at` that `wanted` accepts. Braces in prose are passed over;
 * an object that cannot be read ends the search: what stands inside it is nobody's answer. */
static int find_object(const char *text, size_t n, size_t at,
                       bool (*wanted)(const struct read_doc *, int), const char *what,
                       struct read_doc *d, struct err *err)
{
    while (at < n) {
        uint32_t cp;
        int len = utf8_next(text + at, n - at, &cp);
        if ((cp != '{' && cp != 0xff5b) || !read_is_object(text, n, at)) {
            at += (size_t)len;
            continue;
        }
        int node = read_value(text, n, at, d, err);
        if (node < 0)
            return node;
        if (wanted(d, node))
            return node;
        at = MAX(d->nodes[node].end, at + 1);
    }
    return err_set(err, -EINVAL, "%s in the model's answer (%zu bytes)", what, n);
}

/* Reads "12, 34" out of a string such as "(12,34)" or "<|box_start|>(12,34)<|box_end|>": tags are
 * skipped, then only numbers and their punctuation may stand there. Returns how many, or -1. */
static int numbers_in_string(const char *s, double out[4])
{
    int n = 0;
    while (*s) {
        if (*s == '<') {
            s = strchr(s, '>');
            if (!s)
                return -1;
            s++;
        } else if (strchr("[]() ,", *s)) {
            s++;
        } else if (*s >= '0' && *s <= '9' && n < 4) {
            double v = 0, unit = 1;
            int digits = 0;
            for (; *s >= '0' && *s <= '9'; s++, digits++)
                v = v * 10 + (*s - '0');
            if (*s == '.')
                for (s++; *s >= '0' && *s <= '9'; s++, digits++)
                    v += (*s - '0') * (unit /= 10);
            if (digits > 15 || (*s && !strchr("[]() ,<", *s)))
                return -1;
            out[n++] = v;
        } else {
            return -1;
        }
    }
    return n;
}

/* A point or a box in its shapes: [x, y], [x1, y1, x2, y2], [[x, y]], {"x":, "y":}, "x, y". */
static int read_place(const struct read_doc *d, int node, int w, int h, struct model_pt *ret,
                      float ret_box[4], struct err *err)
{
    const struct read_node *v = &d->nodes[node];
    size_t at = v->pos;
    double c[4] = {0};
    int n = 0;
    if (v->type == READ_LIST && v->first >= 0 && d->nodes[v->first].type == READ_LIST) {
        if (d->nodes[v->first].next >= 0)
            return err_set(err, -EINVAL, "one place was expected at byte %zu, not several", at);
        v = &d->nodes[v->first];
    }
    if (v->type == READ_STRING) {
        n = numbers_in_string(v->s, c);
    } else if (v->type == READ_LIST || v->type == READ_OBJECT) {
        for (int k = v->first; k >= 0; k = d->nodes[k].next) {
            const struct read_node *e = &d->nodes[k];
            static const char *const xy[] = {"x", "y"};
            if (v->type == READ_OBJECT && (n > 1 || !same_name(e->key, xy[n])))
                return err_set(err, -EINVAL, "a point as an object needs x and y, at byte %zu", at);
            double one[4];
            if (n == 4)
                return err_set(err, -EINVAL, "more than four numbers in the place at byte %zu", at);
            if (e->type == READ_NUMBER)
                c[n++] = e->number;
            else if (e->type == READ_STRING && numbers_in_string(e->s, one) == 1)
                c[n++] = one[0];
            else
                return err_set(err, -EINVAL, "a number was expected in the place at byte %zu",
                               e->pos);
        }
    }
    if (n != 2 && n != 4)
        return err_set(err, -EINVAL,
                       "the place at byte %zu needs two numbers (a point) or four (a box)", at);
    double x = c[0], y = c[1];
    if (n == 4) {
        if (!(c[0] <= c[2] && c[1] <= c[3]))
            return err_set(err, -EINVAL, "the box at byte %zu has its corners in the wrong order",
                           at);
        if (c[0] < 0 || c[1] < 0 || (w > 0 && c[2] > w) || (h > 0 && c[3] > h))
            return err_set(err, -EINVAL,
                           "the box %g,%g,%g,%g at byte %zu leaves the image of %dx%d",
                           c[0], c[1], c[2], c[3], at, w, h);
        x = (c[0] + c[2]) / 2;
        y = (c[1] + c[3]) / 2;
    }
    /* as floats, because that is how they travel: 99.999999999 must not become 100 */
    float fx = (float)x, fy = (float)y;
    if (!isfinite(fx) || !isfinite(fy) || !(x >= 0) || !(y >= 0) || (w > 0 && !(fx < (float)w)) ||
        (h > 0 && !(fy < (float)h)))
        return err_set(err, -EINVAL, "the point %g,%g at byte %zu lies outside the image of %dx%d",
                       x, y, at, w, h);
    *ret = (struct model_pt){fx, fy};
    if (ret_box) {
        const double box[4] = {c[0], c[1], n == 4 ? c[2] : c[0], n == 4 ? c[3] : c[1]};
        for (int i = 0; i < 4; i++)
            ret_box[i] = (float)box[i];
    }
    return 0;
}

static int read_text(const char *text, const struct read_node *v, bool may_be_empty, char **ret,
                     struct err *err)
{
    if (v->type == READ_NUMBER) { /* {"text": 42}: the digits as written */
        *ret = mem_strndup(text + v->pos, v->end - v->pos);
        return 0;
    }
    if (v->type != READ_STRING)
        return err_set(err, -EINVAL, "a text was expected at byte %zu", v->pos);
    if (v->n > ACTION_MAX_TEXT)
        return err_set(err, -EINVAL, "the text at byte %zu has %zu bytes, at most %d are allowed",
                       v->pos, v->n, ACTION_MAX_TEXT);
    if (!v->n && !may_be_empty)
        return err_set(err, -EINVAL, "the text at byte %zu is empty", v->pos);
    for (size_t i = 0; i < v->n; i++) {
        unsigned char c = (unsigned char)v->s[i];
        if ((c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7f)
            return err_set(err, -EINVAL,
                           "the text at byte %zu contains the control character 0x%02x", v->pos,
                           c);
    }
    *ret = mem_strdup(v->s);
    return 0;
}

static int add_key(struct action *a, const char *s, size_t n, size_t at, struct err *err)
{
    while (n && (*s == ' ' || *s == '\t'))
        s++, n--;
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
        n--;
    if (!n)
        return err_set(err, -EINVAL, "an empty key name at byte %zu", at);
    if (n > MAX_KEY_NAME)
        return err_set(err, -EINVAL, "the key name at byte %zu has %zu bytes, at most %d", at, n,
                       MAX_KEY_NAME);
    if (a->n_keys == ACTION_MAX_KEYS)
        return err_set(err, -EINVAL, "more than %d keys at byte %zu", ACTION_MAX_KEYS, at);
    char *name = mem_alloc(n + 1);
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f) {
            free(name);
            return err_set(err, -EINVAL, "a control character in the key name at byte %zu", at);
        }
        if (s[i] != ' ') /* "page down" is pagedown */
            name[out++] = s[i];
    }
    name[out] = 0;
    a->keys[a->n_keys++] = name;
    return 0;
}

static bool is_modifier(const char *s, size_t n)
{
    static const char *const mods[] = {"ctrl", "control", "shift", "alt",    "super", "win",
                                       "meta", "cmd",     "altgr", "option", "command"};
    for (size_t i = 0; i < N_ELEMENTS(mods); i++)
        if (strlen(mods[i]) == n && strncasecmp(s, mods[i], n) == 0)
            return true;
    return false;
}

/* One string may hold a chord: "ctrl+s", "ctrl s", "ctrl-s", "ctrl++". Spaces and dashes separate
 * only after a modifier, because "page down" is one key. */
static int add_chord(struct action *a, const char *s, size_t at, struct err *err)
{
    while (*s == ' ' && s[1])
        s++;
    if (strcmp(s, " ") == 0)
        s = "space";
    for (;;) {
        size_t n = strcspn(s, "+");
        size_t word = strcspn(s, "+- ");
        if (word < n && word && is_modifier(s, word) && s[word + 1])
            n = word;
        if (n == 0 && *s == '+') /* the plus key itself */
            n = 1;
        int rc = add_key(a, s, n, at, err);
        if (rc < 0)
            return rc;
        s += n;
        if (!*s)
            return 0;
        if (!strchr("+- ", *s)) /* after the plus key */
            return err_set(err, -EINVAL, "the key chord at byte %zu lacks a + after the key +", at);
        s++; /* the separator */
        while (*s == ' ')
            s++;
        if (!*s)
            return err_set(err, -EINVAL, "the key chord at byte %zu ends with a separator", at);
    }
}

static int read_keys(const struct read_doc *d, int node, struct action *a, struct err *err)
{
    const struct read_node *v = &d->nodes[node];
    if (v->type == READ_STRING)
        return add_chord(a, v->s, v->pos, err);
    if (v->type == READ_NUMBER && v->number >= 0 && v->number <= 9 &&
        v->number == floor(v->number)) {
        char digit = (char)('0' + (int)v->number);
        return add_key(a, &digit, 1, v->pos, err);
    }
    if (v->type != READ_LIST || v->first < 0)
        return err_set(err, -EINVAL, "key names were expected at byte %zu", v->pos);
    for (int k = v->first; k >= 0; k = d->nodes[k].next) {
        if (d->nodes[k].type != READ_STRING && d->nodes[k].type != READ_NUMBER)
            return err_set(err, -EINVAL, "a key name was expected at byte %zu", d->nodes[k].pos);
        int rc = read_keys(d, k, a, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_direction(const struct read_node *v, struct action *a, struct err *err)
{
    if (v->type == READ_STRING)
        for (int i = DIRECTION_UP; i <= DIRECTION_RIGHT; i++)
            if (strcasecmp(v->s, direction_name((enum direction)i)) == 0) {
                a->direction = (enum direction)i;
                return 0;
            }
    return err_set(err, -EINVAL, "the direction at byte %zu must be up, down, left or right",
                   v->pos);
}

static int read_distance(const struct read_node *v, struct action *a, struct err *err)
{
    if (v->type != READ_NUMBER || !(v->number >= 0) || !(v->number <= MAX_DISTANCE))
        return err_set(err, -EINVAL,
                       "the scroll distance at byte %zu must be 0 to %d wheel clicks", v->pos,
                       MAX_DISTANCE);
    a->distance = (float)v->number;
    return 0;
}

static int read_field(const char *text, const struct read_doc *d, int node, unsigned field, int w,
                      int h, struct action *a, struct err *err)
{
    const struct read_node *v = &d->nodes[node];
    switch (field) {
    case FIELD_START:
        a->has_start = true;
        return read_place(d, node, w, h, &a->start, NULL, err);
    case FIELD_END:
        a->has_end = true;
        return read_place(d, node, w, h, &a->end, NULL, err);
    case FIELD_TEXT:
        return read_text(text, v, a->kind == ACTION_CALL_USER || a->kind == ACTION_CLICK, &a->text,
                         err);
    case FIELD_APP: return read_text(text, v, false, &a->text, err);
    case FIELD_STATUS: return read_text(text, v, true, &a->text, err);
    case FIELD_KEYS: return read_keys(d, node, a, err);
    case FIELD_DIRECTION: return read_direction(v, a, err);
    default: return read_distance(v, a, err);
    }
}

/* The official name: the first rows of `spellings` stand in the order of enum action_field. */
static const char *field_name(unsigned field)
{
    return spellings[__builtin_ctz(field)].name;
}

/* All fields of one object; `seen` gathers over an outer object and its "arguments". */
static int fill(const char *text, const struct read_doc *d, int object,
                const struct action_row *row, int w, int h, unsigned *seen, struct action *a,
                struct err *err)
{
    const unsigned known = row->required | row->optional;
    for (int c = d->nodes[object].first; c >= 0; c = d->nodes[c].next) {
        const struct read_node *v = &d->nodes[c];
        if (v->type == READ_NULL || name_in(v->key, action_keys, N_ELEMENTS(action_keys)))
            continue;
        size_t i = 0;
        while (i < N_ELEMENTS(spellings) && !same_name(v->key, spellings[i].name))
            i++;
        if (i == N_ELEMENTS(spellings))
            continue; /* a thought, a label: not ours */
        unsigned field = spellings[i].fields & known;
        if (!field) {
            if (!row->touches)
                continue;
            return err_set(err, -EINVAL, "%s takes no \"%s\", found at byte %zu", row->name,
                           spellings[i].name, v->pos);
        }
        if (*seen & field)
            return err_set(err, -EINVAL, "\"%s\" of %s is given twice, again at byte %zu",
                           field_name(field), row->name, v->pos);
        *seen |= field;
        int rc = read_field(text, d, c, field, w, h, a, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Aliases that carry a field in their name. */
static const struct {
    const char *name;
    enum action_kind kind;
    enum direction direction;
    const char *key;
} preset_names[] = {
    {"scroll_up", ACTION_SCROLL, DIRECTION_UP, NULL},
    {"scroll_down", ACTION_SCROLL, DIRECTION_DOWN, NULL},
    {"scroll_left", ACTION_SCROLL, DIRECTION_LEFT, NULL},
    {"scroll_right", ACTION_SCROLL, DIRECTION_RIGHT, NULL},
    {"press_enter", ACTION_PRESS, DIRECTION_NONE, "enter"},
};

/* The row of an action name; fills what the name itself says. */
static const struct action_row *row_by_name(const char *name, unsigned *seen, struct action *a)
{
    for (int k = 0; k < N_ACTION_KINDS; k++) {
        const struct action_row *row = &action_table[k];
        bool hit = same_name(name, row->name);
        for (size_t i = 0; !hit && i < N_ELEMENTS(row->aliases) && row->aliases[i]; i++)
            hit = same_name(name, row->aliases[i]);
        if (hit)
            return row;
    }
    for (size_t i = 0; i < N_ELEMENTS(preset_names); i++) {
        if (!same_name(name, preset_names[i].name))
            continue;
        if (preset_names[i].direction) {
            a->direction = preset_names[i].direction;
            *seen |= FIELD_DIRECTION;
        }
        if (preset_names[i].key) {
            a->keys[a->n_keys++] = mem_strdup(preset_names[i].key);
            *seen |= FIELD_KEYS;
        }
        return &action_table[preset_names[i].kind];
    }
    return NULL;
}

/* Which node holds the action's name, and which objects hold its fields. Shapes:
 *   {"action": "click", ...}     {"action": {"type": "click", ...}}
 *   {"action": "click", "arguments": {...}}     {"name": "click", "arguments": {...}}
 *   {"name": "computer_use", "arguments": {"action": "click", ...}} */
static int locate_name(const struct read_doc *d, int object, int *ret_inner, struct err *err)
{
    static const char *const called[] = {"name"};
    static const char *const typed[] = {"action", "action_name", "action_type", "type", "name"};
    int inner = child_named(d, object, wrapper_keys, N_ELEMENTS(wrapper_keys));
    if (inner >= 0 && d->nodes[inner].type != READ_OBJECT)
        return err_set(err, -EINVAL, "\"%s\" at byte %zu must be an object", d->nodes[inner].key,
                       d->nodes[inner].pos);
    int outer_name = child_named(d, object, action_keys, N_ELEMENTS(action_keys));
    int inner_name = inner >= 0 ? child_named(d, inner, action_keys, N_ELEMENTS(action_keys)) : -1;
    if (outer_name >= 0 && inner_name >= 0)
        return err_set(err, -EINVAL, "the action is named twice, at byte %zu and at byte %zu",
                       d->nodes[outer_name].pos, d->nodes[inner_name].pos);
    int name = outer_name >= 0 ? outer_name : inner_name;
    if (name < 0)
        name = child_named(d, object, called, 1);
    if (name >= 0 && d->nodes[name].type == READ_OBJECT && inner < 0) {
        inner = name;
        name = child_named(d, inner, typed, N_ELEMENTS(typed));
    }
    if (name < 0 || d->nodes[name].type != READ_STRING)
        return err_set(err, -EINVAL, "the action's name at byte %zu is not a string",
                       d->nodes[name < 0 ? object : name].pos);
    *ret_inner = inner;
    return name;
}

static int read_action(const char *text, const struct read_doc *d, int object, int w, int h,
                       struct action *a, struct err *err)
{
    int inner = -1, name = locate_name(d, object, &inner, err);
    if (name < 0)
        return name;
    /* a second name in the same object would make the first one a guess */
    for (int c = d->nodes[name].next; c >= 0; c = d->nodes[c].next)
        if (name_in(d->nodes[c].key, action_keys, N_ELEMENTS(action_keys)) &&
            d->nodes[c].type != READ_NULL)
            return err_set(err, -EINVAL, "the action is named twice, again at byte %zu",
                           d->nodes[c].pos);
    unsigned seen = 0;
    const struct action_row *row = row_by_name(d->nodes[name].s, &seen, a);
    if (!row) {
        struct str shown = {0};
        str_printable(&shown, d->nodes[name].s, d->nodes[name].n, 40);
        err_set(err, -EINVAL, "there is no action \"%s\" (byte %zu)", str_cstr(&shown),
                d->nodes[name].pos);
        str_done(&shown);
        return -EINVAL;
    }
    a->kind = row->kind;
    int rc = fill(text, d, object, row, w, h, &seen, a, err);
    if (rc == 0 && inner >= 0)
        rc = fill(text, d, inner, row, w, h, &seen, a, err);
    if (rc < 0)
        return rc;
    unsigned missing = row->required & ~seen;
    if (missing)
        return err_set(err, -EINVAL, "%s at byte %zu lacks its \"%s\"", row->name,
                       d->nodes[object].pos, field_name(missing & -missing));
    return 0;
}

int action_parse(const char *text, size_t n, int image_w, int image_h, struct action *ret,
                 struct err *err)
{
    size_t at;
    int rc = answer_start(text, n, &at, err);
    if (rc < 0)
        return rc;
    struct read_doc d = {0};
    struct action a = {0};
    rc = find_object(text, n, at, names_action, "no action was found", &d, err);
    if (rc >= 0)
        rc = read_action(text, &d, rc, image_w, image_h, &a, err);
    read_done(&d);
    if (rc < 0) {
        action_done(&a);
        return rc;
    }
    a.why = action_reasoning(text, n);
    *ret = a;
    return 0;
}

/* The official metric also takes a bare [x1, y1, x2, y2] from a grounding answer. */
static int find_bare_box(const char *text, size_t n, size_t at, struct read_doc *d)
{
    for (; at < n; at++) {
        if (text[at] != '[' && text[at] != '(')
            continue;
        int node = read_value(text, n, at, d, NULL);
        if (node < 0)
            continue;
        int count = 0;
        bool numbers = true;
        for (int c = d->nodes[node].first; c >= 0; c = d->nodes[c].next, count++)
            numbers = numbers && d->nodes[c].type == READ_NUMBER;
        if (numbers && (count == 2 || count == 4))
            return node;
    }
    return -1;
}

/* "[]" is all there is of an answer. */
static bool is_empty_list(const char *text, size_t n, size_t at)
{
    const char *open = memchr(text + at, '[', n - at);
    if (!open)
        return false;
    size_t i = (size_t)(open - text) + 1;
    while (i < n && isspace((unsigned char)text[i]))
        i++;
    return i < n && text[i] == ']';
}

int action_parse_box(const char *text, size_t n, int image_w, int image_h, struct model_pt *ret,
                     float ret_box[4], struct err *err)
{
    size_t at;
    int rc = answer_start(text, n, &at, err);
    if (rc < 0)
        return rc;
    struct read_doc d = {0};
    struct err first = {0};
    int node = find_object(text, n, at, names_box, "no box or point was found", &d, &first);
    bool is_bare = !memchr(text + at, '{', n - at);
    int place = -1;
    if (node >= 0) {
        for (int c = d.nodes[node].first; c >= 0 && place < 0; c = d.nodes[c].next)
            for (size_t i = 0; i < N_ELEMENTS(spellings); i++)
                if (spellings[i].fields == FIELD_START &&
                    same_name(d.nodes[c].key, spellings[i].name))
                    place = c;
    } else if (is_bare) {
        place = find_bare_box(text, n, at, &d);
    }
    if (place < 0 && is_bare && is_empty_list(text, n, at))
        rc = err_set(err, -ENOENT, "the model sees nothing on the screen that matches");
    else if (place < 0)
        rc = err_set(err, -EINVAL, "%s", first.text);
    else
        rc = read_place(&d, place, image_w, image_h, ret, ret_box, err);
    read_done(&d);
    return rc;
}

char *action_reasoning(const char *text, size_t n)
{
    const char *open = find(text, n, "<think>");
    const char *close = find_last(text, n, "</think>");
    size_t from = 0, to = n;
    if (open && !close && inside_object(text, n, 0, (size_t)(open - text)))
        open = NULL;
    if (open && (!close || open < close))
        from = (size_t)(open - text) + strlen("<think>");
    if (close) {
        to = (size_t)(close - text);
    } else if (!open) {
        for (to = 0; to < n; to++)
            if ((text[to] == '{' && read_is_object(text, n, to)) ||
                (n - to >= 3 && memcmp(text + to, "```", 3) == 0))
                break;
        while (to > 0 && (isspace((unsigned char)text[to - 1]) || text[to - 1] == '['))
            to--;
    }
    while (from < to && isspace((unsigned char)text[from]))
        from++;
    while (to > from && isspace((unsigned char)text[to - 1]))
        to--;
    return to > from ? mem_strndup(text + from, to - from) : NULL;
}
