/* The decoding grammar: a byte-level automaton whose whole memory is struct gram, so that the
 * sampler can copy it and try a token on the copy.
 *
 * A text is: reasoning, fence and bracket (optional), one object, their ends. Inside the object the
 * automaton holds the set of names that still match (a bit each) instead of a tree, and for numbers
 * asks before each digit whether some completion stays within the limits: no accepted prefix is a
 * dead end. Everything repeated is bounded (spaces, string bytes, keys, boxes), so a model that
 * rambles runs into the closing quote instead of the token limit. step() is O(1).
 *
 * What it accepts, action_parse() and action_parse_box() read (tests/unit/actions checks it on
 * random walks). */
#include "actions/grammar.h"
#include "actions/action.h"
#include "base/mem.h"

#include <string.h>

#define MAX_SPACES 16
#define MAX_BOXES 16
#define MAX_PROSE 2048 /* bytes before the answer, no thought: the engine bounds those */
#define MAX_DIGITS 7 /* where the limits are unknown */

enum place {
    P_START,      /* before the first visible byte */
    P_FREE,       /* prose without a think tag */
    P_THINK,      /* inside <think> */
    P_GAP,        /* between the reasoning and the answer */
    P_FENCE,      /* after the first "`" of a fence that must follow */
    P_LANGUAGE,   /* after ``` */
    P_OPENED,     /* after "[" */
    P_KEY_OPEN,   /* the object's first key */
    P_KEY,        /* inside a key */
    P_COLON,
    P_VALUE,      /* the value's first byte */
    P_NAME,       /* inside the action's name or a direction */
    P_STRING,     /* inside a string */
    P_KEYS_OPEN,  /* after the "[" of keys, or after a comma there */
    P_KEYS_NEXT,  /* after a key name */
    P_NUMBER_OPEN, /* an element of a point or box, or a distance */
    P_NUMBER,
    P_NUMBER_END, /* spaces after a number */
    P_FIELD_END,  /* after a value: "," or "}" */
    P_NEXT_KEY,   /* after a comma: another key must come */
    P_CLOSED,     /* after the object */
    P_LIST_DONE,  /* after "]" */
    P_FENCE_END,  /* inside the closing fence */
    P_DONE
};

/* The fields of both grammars; the first eight are enum action_field. */
enum { F_ACTION = 1 << 8, F_ACTION_NAME = 1 << 9, F_BBOX = 1 << 10, F_LABEL = 1 << 11 };

static const char *const field_names[] = {
    "start_point",     "end_point", "text",   "keys",   "direction",   "scroll_distance",
    "app",             "status",    "action", "action_name", "bbox_2d", "label",
};
/* Which bytes of decoded text a string field may have. */
static const uint16_t string_limit[] = {[2] = ACTION_MAX_TEXT, [6] = 256, [7] = 1024, [11] = 128};

struct gram {
    uint8_t place;
    uint8_t spaces;   /* in the present run */
    uint8_t open_tag; /* bytes of "<think>" matched */
    uint8_t end_tag;  /* bytes of "</think>" matched */
    uint8_t ticks;    /* backticks in a row */
    uint8_t lang;     /* bytes of "json" matched */
    uint16_t prose; /* bytes before the answer */
    bool fenced, listed;
    bool boxes;
    uint8_t n_boxes;
    uint8_t kind;
    uint16_t allowed, required, seen;
    uint16_t cand; /* names that still match */
    uint8_t pos;   /* bytes of the name matched */
    uint8_t field; /* index of the present field */
    /* numbers */
    uint8_t elem, digits, decimals;
    bool dot;
    uint32_t value, low, high; /* low <= value < high */
    uint32_t corner[2];
    /* strings */
    uint16_t used;  /* decoded bytes */
    uint8_t n_keys;
    bool key_string, key_word;
    uint8_t cont, cont_low, cont_high; /* UTF-8 bytes that must follow, range of the next */
    uint8_t escape;                    /* 1: after "\"; 2..5: hexadecimal digits left + 1 */
    uint16_t hex, surrogate;
    uint8_t pair; /* after a high surrogate: 1 wants "\", 2 wants "u" */
};
_Static_assert(sizeof(struct gram) <= GRAMMAR_MAX_STATE, "the state must fit");
_Static_assert(N_ACTION_KINDS <= 16, "gram.cand has a bit for each");

static bool is_space(uint8_t b)
{
    return b == ' ' || b == '\n' || b == '\t' || b == '\r';
}

/* One more space of a bounded run. */
static bool space(struct gram *g)
{
    return ++g->spaces <= MAX_SPACES;
}

static void go(struct gram *g, enum place p)
{
    g->place = (uint8_t)p;
    g->spaces = 0;
}

/* Knuth's matcher for a tag whose only "<" is its first byte: a failure restarts at 0 or 1. */
static uint8_t tag_step(const char *tag, uint8_t matched, uint8_t b)
{
    if ((uint8_t)tag[matched] == b)
        return matched + 1;
    return b == '<' ? 1 : 0;
}
static const char open_tag[] = "<think>";
static const char end_tag[] = "</think>";

/* strings */

static void string_open(struct gram *g, bool key)
{
    go(g, P_STRING);
    g->key_string = key;
    g->key_word = false;
    g->used = 0;
    g->cont = g->escape = g->pair = 0;
    g->end_tag = 0;
}

static uint16_t max_string(const struct gram *g)
{
    return g->key_string ? 24 : string_limit[g->field];
}

static bool string_may_close(const struct gram *g)
{
    if (g->cont || g->escape || g->pair)
        return false;
    if (g->used)
        return true;
    /* only what says something to a person may be empty */
    return !g->key_string && (g->field == 7 || g->field == 11 ||
                              (g->field == 2 && (g->kind == ACTION_CALL_USER ||
                                                 g->kind == ACTION_CLICK)));
}

/* May some code unit in [first, last] be escaped? Control characters may not, but for three. */
static bool hex_ok(uint16_t first, uint16_t last, bool low)
{
    static const struct {
        uint16_t from, to;
    } usable[] = {{'\t', '\n'}, {'\r', '\r'}, {0x20, 0x7e}, {0x80, 0xdbff}, {0xe000, 0xffff}};
    if (low)
        return first <= 0xdfff && last >= 0xdc00;
    for (size_t i = 0; i < N_ELEMENTS(usable); i++)
        if (first <= usable[i].to && last >= usable[i].from)
            return true;
    return false;
}

static bool string_hex(struct gram *g, uint8_t b)
{
    int d = b >= '0' && b <= '9'   ? b - '0'
            : b >= 'a' && b <= 'f' ? b - 'a' + 10
            : b >= 'A' && b <= 'F' ? b - 'A' + 10
                                   : -1;
    if (d < 0)
        return false;
    int left = --g->escape - 1; /* digits after this one */
    g->hex = (uint16_t)(g->hex << 4 | d);
    uint16_t first = (uint16_t)(g->hex << 4 * left), last = (uint16_t)(first + (1 << 4 * left) - 1);
    bool low = g->surrogate != 0;
    if (!hex_ok(first, last, low))
        return false;
    if (left)
        return true;
    g->escape = 0;
    if (low) {
        g->surrogate = 0;
    } else if (g->hex >= 0xd800 && g->hex < 0xdc00) {
        g->surrogate = g->hex;
        g->pair = 1;
        return true;
    }
    g->used += 4;
    return true;
}

static bool string_escape(struct gram *g, uint8_t b)
{
    if (g->key_string) {
        if (b != '"' && b != '\\')
            return false;
    } else if (b == 'u') {
        g->escape = 5;
        g->hex = 0;
        return true;
    } else if (!strchr("\"\\/nrt", b) || !b) {
        return false;
    }
    g->escape = 0;
    g->used++;
    return true;
}

/* A byte of a key's name: a word, or one other character. */
static bool key_byte_ok(struct gram *g, uint8_t b)
{
    bool word = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
                b == '_';
    if (!g->used)
        g->key_word = word;
    return g->used ? g->key_word && word : b != ' ';
}

static void string_closed(struct gram *g)
{
    if (g->key_string) {
        g->n_keys++;
        go(g, P_KEYS_NEXT);
    } else {
        go(g, P_FIELD_END);
    }
}

static bool string_step(struct gram *g, uint8_t b)
{
    if (g->cont) {
        if (b < g->cont_low || b > g->cont_high)
            return false;
        g->cont--;
        g->cont_low = 0x80;
        g->cont_high = 0xbf;
        return true;
    }
    if (g->pair) {
        if (b != (g->pair == 1 ? '\\' : 'u'))
            return false;
        g->pair = g->pair == 1 ? 2 : 0;
        if (!g->pair) {
            g->escape = 5;
            g->hex = 0;
        }
        return true;
    }
    if (g->escape == 1)
        return string_escape(g, b);
    if (g->escape)
        return string_hex(g, b);
    if (b == '"') {
        if (!string_may_close(g))
            return false;
        string_closed(g);
        return true;
    }
    int room = max_string(g) - g->used;
    if (b == '\\') {
        if (room < 4 || (g->key_string && g->used))
            return false;
        g->escape = 1;
        g->end_tag = 0;
        return true;
    }
    if (b < 0x20 || b == 0x7f)
        return false;
    int len = b < 0x80 ? 1 : b >= 0xc2 && b < 0xe0 ? 2 : b >= 0xe0 && b < 0xf0 ? 3
              : b >= 0xf0 && b < 0xf5              ? 4
                                                   : 0;
    if (!len || len > room || (g->key_string && !key_byte_ok(g, b)))
        return false;
    /* "</think>" inside a string would end the reasoning for whoever reads the whole text */
    g->end_tag = tag_step(end_tag, g->end_tag, b);
    if (g->end_tag == sizeof end_tag - 1)
        return false;
    g->used += (uint16_t)len;
    g->cont = (uint8_t)(len - 1);
    g->cont_low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
    g->cont_high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
    return true;
}

static bool field_end_step(struct gram *g, uint8_t b)
{
    if (is_space(b))
        return space(g);
    if (b == ',' && g->allowed & ~g->seen) {
        go(g, P_NEXT_KEY);
        return true;
    }
    if (b == '}' && !(g->required & ~g->seen)) {
        g->n_boxes++;
        go(g, P_CLOSED);
        return true;
    }
    return false;
}

/* numbers */

static uint32_t bound(int size)
{
    return size > 0 ? (uint32_t)size : 10000000;
}

static void number_open(struct gram *g, const struct grammar_limits *l)
{
    go(g, P_NUMBER_OPEN);
    g->value = g->low = 0;
    g->digits = g->decimals = 0;
    g->dot = false;
    if (g->field == 5) {
        g->high = 101;
        return;
    }
    g->high = bound(g->elem & 1 ? l->image_h : l->image_w);
    if (g->field == 10 && g->elem >= 2) { /* the second corner is not before the first */
        g->low = g->corner[g->elem - 2];
        g->high++;
    }
}

/* Can digits after `v` still make a number in [low, high)? */
static bool completable(const struct gram *g, uint64_t v)
{
    uint64_t span = 1;
    for (int i = 0; i <= MAX_DIGITS; i++, v *= 10, span *= 10) {
        if (v >= g->high)
            return false;
        if (v + span > g->low)
            return true;
        if (!v)
            return false; /* no leading zeros */
    }
    return false;
}

static bool number_may_end(const struct gram *g)
{
    return g->digits && (!g->dot || g->decimals) && g->value >= g->low;
}

static bool number_step(struct gram *g, const struct grammar_limits *l, uint8_t b)
{
    if (b >= '0' && b <= '9') {
        if (g->dot)
            return ++g->decimals <= 1;
        if (g->digits && !g->value)
            return false;
        uint64_t v = (uint64_t)g->value * 10 + (b - '0');
        if (!completable(g, v))
            return false;
        g->value = (uint32_t)v;
        g->digits++;
        go(g, P_NUMBER);
        return true;
    }
    if (b == '.') {
        /* boxes are whole pixels and distances whole clicks, as the official examples have them */
        if (g->field == 10 || g->field == 5 || g->dot || !g->digits)
            return false;
        g->dot = true;
        return true;
    }
    if (!number_may_end(g))
        return false;
    if (is_space(b)) {
        go(g, P_NUMBER_END);
        return space(g);
    }
    if (g->field == 5) { /* the byte belongs to the object */
        go(g, P_FIELD_END);
        return field_end_step(g, b);
    }
    int n = g->field == 10 ? 4 : 2;
    if (b == ',' && g->elem + 1 < n) {
        if (g->elem < 2)
            g->corner[g->elem] = g->value;
        g->elem++;
        number_open(g, l);
        return true;
    }
    if (b == ']' && g->elem + 1 == n) {
        go(g, P_FIELD_END);
        return true;
    }
    return false;
}

/* the object */

static void object_open(struct gram *g)
{
    go(g, P_KEY_OPEN);
    g->seen = 0;
    g->allowed = g->boxes ? F_BBOX : F_ACTION | F_ACTION_NAME;
    g->required = g->allowed;
}

/* The sets of names that are matched byte by byte; at most 16 each. */
enum name_set { SET_FIELDS, SET_KINDS, SET_DIRECTIONS };

static const char *set_name(enum name_set set, int i)
{
    switch (set) {
    case SET_FIELDS: return i < (int)N_ELEMENTS(field_names) ? field_names[i] : NULL;
    case SET_KINDS: return i < N_ACTION_KINDS ? action_table[i].name : NULL;
    default: return i < DIRECTION_RIGHT ? direction_name((enum direction)(i + 1)) : NULL;
    }
}

static bool name_step(struct gram *g, enum name_set set, uint8_t b)
{
    uint16_t left = 0;
    for (int i = 0; i < 16; i++) {
        if (!(g->cand & 1 << i))
            continue;
        const char *name = set_name(set, i);
        if (name && name[g->pos] && (uint8_t)name[g->pos] == b)
            left |= (uint16_t)(1 << i);
    }
    g->cand = left;
    g->pos++;
    return left != 0;
}

/* The candidate that ends exactly here, or -1. */
static int name_end(const struct gram *g, enum name_set set)
{
    for (int i = 0; i < 16; i++) {
        const char *name = g->cand & 1 << i ? set_name(set, i) : NULL;
        if (name && !name[g->pos])
            return i;
    }
    return -1;
}

static bool value_open(struct gram *g, const struct grammar_limits *l, uint8_t b)
{
    static const char opens[] = {'[', '[', '"', '[', '"', 0, '"', '"', '"', '"', '[', '"'};
    if (g->field == 5) {
        number_open(g, l);
        return number_step(g, l, b);
    }
    if (b != (uint8_t)opens[g->field])
        return false;
    switch (1 << g->field) {
    case FIELD_START:
    case FIELD_END:
    case F_BBOX:
        g->elem = 0;
        number_open(g, l);
        return true;
    case FIELD_KEYS:
        g->n_keys = 0;
        go(g, P_KEYS_OPEN);
        return true;
    case FIELD_DIRECTION:
        g->cand = 0xf;
        g->pos = 0;
        go(g, P_NAME);
        return true;
    case F_ACTION:
    case F_ACTION_NAME:
        g->cand = 0xffff;
        g->pos = 0;
        go(g, P_NAME);
        return true;
    default:
        string_open(g, false);
        return true;
    }
}

static bool name_value_step(struct gram *g, uint8_t b)
{
    bool direction = 1 << g->field == FIELD_DIRECTION;
    enum name_set set = direction ? SET_DIRECTIONS : SET_KINDS;
    if (b != '"')
        return name_step(g, set, b);
    int which = name_end(g, set);
    if (which < 0)
        return false;
    if (!direction) {
        const struct action_row *row = &action_table[which];
        g->kind = (uint8_t)which;
        g->required = (uint16_t)row->required;
        g->allowed = (uint16_t)(row->required | row->optional);
        g->seen = 0;
    }
    go(g, P_FIELD_END);
    return true;
}

static bool key_step(struct gram *g, uint8_t b)
{
    if (b != '"')
        return name_step(g, SET_FIELDS, b);
    int which = name_end(g, SET_FIELDS);
    if (which < 0)
        return false;
    g->field = (uint8_t)which;
    g->seen |= (uint16_t)(1 << which);
    if (which == 10) {
        g->required = F_BBOX;
        g->allowed = F_BBOX | F_LABEL;
    }
    go(g, P_COLON);
    return true;
}

/* Begins the answer: fence, list or object. */
static bool answer_open(struct gram *g, uint8_t b)
{
    if (b == '{') {
        object_open(g);
        return true;
    }
    if (b == '[') {
        g->listed = true;
        go(g, P_OPENED);
        return true;
    }
    return false;
}

static bool closed_step(struct gram *g, uint8_t b)
{
    if (is_space(b))
        return space(g);
    if (g->place == P_CLOSED && g->listed) {
        if (g->boxes && b == ',' && g->n_boxes < MAX_BOXES) {
            go(g, P_OPENED);
            return true;
        }
        if (b == ']') {
            go(g, P_LIST_DONE);
            return true;
        }
        return false;
    }
    if (b == '`' && g->fenced) {
        g->ticks = 1;
        go(g, P_FENCE_END);
        return true;
    }
    return false;
}

/* The reasoning. Every byte is allowed; what it opens is noticed. Prose that goes on for ever must
 * begin its answer at last. */
static bool free_step(struct gram *g, uint8_t b)
{
    if (g->place == P_THINK) {
        g->end_tag = tag_step(end_tag, g->end_tag, b);
        if (g->end_tag == sizeof end_tag - 1)
            go(g, P_GAP);
        return true;
    }
    if (g->prose >= MAX_PROSE)
        return answer_open(g, b);
    g->prose++;
    g->open_tag = tag_step(open_tag, g->open_tag, b);
    g->end_tag = tag_step(end_tag, g->end_tag, b);
    g->ticks = b == '`' ? g->ticks + 1 : 0;
    if (g->open_tag == sizeof open_tag - 1) {
        g->end_tag = 0;
        go(g, P_THINK);
    } else if (g->end_tag == sizeof end_tag - 1) {
        go(g, P_GAP);
    } else if (g->ticks == 3) {
        g->fenced = true;
        g->lang = 0;
        go(g, P_LANGUAGE);
    } else if (!answer_open(g, b)) {
        g->place = is_space(b) && g->place == P_START ? P_START : P_FREE;
    }
    return true;
}

static bool fence_step(struct gram *g, uint8_t b)
{
    if (g->place == P_FENCE) {
        if (b != '`')
            return false;
        if (++g->ticks == 3) {
            g->fenced = true;
            g->lang = 0;
            go(g, P_LANGUAGE);
        }
        return true;
    }
    static const char json[] = "json";
    if (g->lang < 4 && !g->spaces && b == (uint8_t)json[g->lang]) {
        g->lang++;
        return true;
    }
    if (g->lang && g->lang < 4)
        return false;
    return is_space(b) ? space(g) : answer_open(g, b);
}

static bool gram_step(const void *data, void *state, uint8_t b)
{
    const struct grammar_limits *l = data;
    struct gram *g = state;
    switch ((enum place)g->place) {
    case P_START:
    case P_FREE:
    case P_THINK: return free_step(g, b);
    case P_GAP:
        if (is_space(b))
            return space(g);
        if (b == '`') {
            g->ticks = 1;
            go(g, P_FENCE);
            return true;
        }
        return answer_open(g, b);
    case P_FENCE:
    case P_LANGUAGE: return fence_step(g, b);
    case P_OPENED:
        if (b == '{') {
            object_open(g);
            return true;
        }
        if (b == ']' && g->boxes && !g->n_boxes) {
            go(g, P_LIST_DONE);
            return true;
        }
        return is_space(b) && space(g);
    case P_KEY_OPEN:
    case P_NEXT_KEY:
        if (is_space(b))
            return space(g);
        g->cand = g->allowed & (uint16_t)~g->seen;
        g->pos = 0;
        go(g, P_KEY);
        return b == '"';
    case P_KEY: return key_step(g, b);
    case P_COLON:
        if (b == ':') {
            go(g, P_VALUE);
            return true;
        }
        return is_space(b) && space(g);
    case P_VALUE:
        if (is_space(b))
            return space(g);
        return value_open(g, l, b);
    case P_NAME: return name_value_step(g, b);
    case P_STRING: return string_step(g, b);
    case P_KEYS_OPEN:
        if (is_space(b))
            return space(g);
        if (b != '"')
            return false;
        string_open(g, true);
        return true;
    case P_KEYS_NEXT:
        if (is_space(b))
            return space(g);
        if (b == ',' && g->n_keys < ACTION_MAX_KEYS) {
            go(g, P_KEYS_OPEN);
            return true;
        }
        if (b != ']')
            return false;
        go(g, P_FIELD_END);
        return true;
    case P_NUMBER_OPEN:
        if (is_space(b))
            return space(g);
        return b != '.' && number_step(g, l, b);
    case P_NUMBER: return number_step(g, l, b);
    case P_NUMBER_END:
        if (is_space(b))
            return space(g);
        return (b < '0' || b > '9') && b != '.' && number_step(g, l, b);
    case P_FIELD_END: return field_end_step(g, b);
    case P_CLOSED:
    case P_LIST_DONE: return closed_step(g, b);
    case P_FENCE_END:
        if (b != '`')
            return false;
        if (++g->ticks == 3)
            go(g, P_DONE);
        return true;
    case P_DONE: return is_space(b) && space(g);
    }
    return false;
}

static bool gram_may_end(const void *data, const void *state)
{
    const struct gram *g = state;
    return g->place == P_DONE ||
           (!g->fenced && (g->place == P_LIST_DONE || (g->place == P_CLOSED && !g->listed)));
}

/* Only inside <think>, and there only while no end tag is being spelled: elsewhere a token of
 * several bytes could begin allowed and end forbidden. */
static bool gram_is_free(const void *data, const void *state)
{
    const struct gram *g = state;
    return g->place == P_THINK && g->end_tag == 0;
}

static void start_action(const void *data, void *state)
{
    *(struct gram *)state = (struct gram){.place = P_START};
}

static void start_boxes(const void *data, void *state)
{
    *(struct gram *)state = (struct gram){.place = P_START, .boxes = true};
}

struct grammar grammar_action(const struct grammar_limits *limits)
{
    return (struct grammar){sizeof(struct gram), limits,       start_action,
                            gram_step,           gram_may_end, gram_is_free};
}

struct grammar grammar_boxes(const struct grammar_limits *limits)
{
    return (struct grammar){sizeof(struct gram), limits,       start_boxes,
                            gram_step,           gram_may_end, gram_is_free};
}
