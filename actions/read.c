/* The tolerant reader: recursive descent over bytes into a flat array of nodes.
 *
 * The idea: tolerance is a property of punctuation, never of content. next_punct() folds the
 * full-width and typographic forms of brackets, colons, commas and quotes into their ASCII
 * letters, so the grammar below it is plain JSON plus a few Python habits. Inside a string
 * nothing is folded. Depth, nodes and therefore time are bounded; the text is never modified. */
#include "actions/read.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct reader {
    const char *text;
    size_t n, pos;
    struct read_doc *doc;
    struct err *err;
};

void read_done(struct read_doc *d)
{
    for (int i = 0; i < d->n_nodes; i++) {
        free(d->nodes[i].s);
        free(d->nodes[i].key);
    }
    free(d->nodes);
    *d = (struct read_doc){0};
}

static uint32_t peek(const struct reader *r, int *ret_len)
{
    if (r->pos >= r->n) {
        *ret_len = 0;
        return 0;
    }
    uint32_t cp;
    *ret_len = utf8_next(r->text + r->pos, r->n - r->pos, &cp);
    return cp;
}

static void skip_space(struct reader *r)
{
    for (;;) {
        int len;
        uint32_t cp = peek(r, &len);
        if (!len || !(cp == ' ' || cp == '\t' || cp == '\n' || cp == '\r' || cp == 0xa0 ||
                      cp == 0x3000 || cp == 0xfeff))
            return;
        r->pos += (size_t)len;
    }
}

/* The next punctuation mark folded to ASCII, 0 for anything else or the end. */
static char next_punct(const struct reader *r, int *ret_len)
{
    switch (peek(r, ret_len)) {
    case '{': case 0xff5b: return '{';
    case '}': case 0xff5d: return '}';
    case '[': case 0xff3b: case 0x3010: return '[';
    case ']': case 0xff3d: case 0x3011: return ']';
    case '(': case 0xff08: return '(';
    case ')': case 0xff09: return ')';
    case ':': case 0xff1a: return ':';
    case ',': case 0xff0c: return ',';
    default: return 0;
    }
}

static bool take_punct(struct reader *r, char want)
{
    skip_space(r);
    int len;
    if (next_punct(r, &len) != want)
        return false;
    r->pos += (size_t)len;
    return true;
}

/* The quote that closes what opens here, 0 when no string starts here. */
static uint32_t closing_quote(const struct reader *r, int *ret_len)
{
    uint32_t cp = peek(r, ret_len);
    switch (cp) {
    case '"': case '\'': case 0xff02: return cp;
    case 0x201c: return 0x201d;
    case 0x2018: return 0x2019;
    default: return 0;
    }
}

static int fail_expected(struct reader *r, const char *what)
{
    skip_space(r);
    if (r->pos >= r->n)
        return err_set(r->err, -EINVAL, "the text ends at byte %zu where %s was expected", r->n,
                       what);
    struct str near = {0};
    str_printable(&near, r->text + r->pos, MIN(r->n - r->pos, 24), 16);
    err_set(r->err, -EINVAL, "expected %s at byte %zu but found \"%s\"", what, r->pos,
            str_cstr(&near));
    str_done(&near);
    return -EINVAL;
}

static int read_hex(struct reader *r, int n_digits, uint32_t *ret)
{
    uint32_t v = 0;
    for (int i = 0; i < n_digits; i++) {
        char c = r->pos + (size_t)i < r->n ? r->text[r->pos + (size_t)i] : 0;
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return err_set(r->err, -EINVAL, "the escape at byte %zu needs %d hexadecimal digits",
                           r->pos, n_digits);
        v = v << 4 | (uint32_t)d;
    }
    r->pos += (size_t)n_digits;
    *ret = v;
    return 0;
}

/* After the backslash. */
static int read_escape(struct reader *r, struct str *out)
{
    size_t at = r->pos - 1;
    if (r->pos >= r->n)
        return err_set(r->err, -EINVAL, "the text ends inside an escape at byte %zu", at);
    char c = r->text[r->pos++];
    static const char plain[] = "\"\"\\\\//''b\bf\fn\nr\rt\t";
    for (size_t i = 0; i + 1 < sizeof plain; i += 2)
        if (plain[i] == c) {
            str_putc(out, plain[i + 1]);
            return 0;
        }
    uint32_t cp, low;
    int rc;
    switch (c) {
    case 'x': rc = read_hex(r, 2, &cp); break;
    case 'u': rc = read_hex(r, 4, &cp); break;
    case 'U': rc = read_hex(r, 8, &cp); break;
    default:
        return err_set(r->err, -EINVAL, "unknown escape (backslash, byte 0x%02x) at byte %zu",
                       (unsigned)(uint8_t)c, at);
    }
    if (rc < 0)
        return rc;
    if (cp >= 0xd800 && cp < 0xdc00) {
        if (r->n - r->pos < 2 || r->text[r->pos] != '\\' || r->text[r->pos + 1] != 'u')
            return err_set(r->err, -EINVAL, "half a surrogate pair at byte %zu", at);
        r->pos += 2;
        rc = read_hex(r, 4, &low);
        if (rc < 0)
            return rc;
        if (low < 0xdc00 || low > 0xdfff)
            return err_set(r->err, -EINVAL, "half a surrogate pair at byte %zu", at);
        cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
    }
    if (cp == 0 || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
        return err_set(r->err, -EINVAL, "the escape at byte %zu is no usable character (U+%04X)",
                       at, (unsigned)cp);
    char utf8[4];
    str_add(out, utf8, (size_t)utf8_put(utf8, cp));
    return 0;
}

static int read_quoted(struct reader *r, char **ret, size_t *ret_n)
{
    size_t at = r->pos;
    int len;
    uint32_t close = closing_quote(r, &len);
    r->pos += (size_t)len;
    struct str out = {.max = 64 * 1024};
    for (;;) {
        uint32_t cp = peek(r, &len);
        int rc = 0;
        if (!len)
            rc = err_set(r->err, -EINVAL, "the text ends inside the string that starts at byte %zu",
                         at);
        else if (cp == 0)
            rc = err_set(r->err, -EINVAL, "a NUL byte in a string at byte %zu", r->pos);
        else if (cp == 0xfffd && len == 1)
            rc = err_set(r->err, -EINVAL, "malformed UTF-8 in a string at byte %zu", r->pos);
        else if (out.overflow)
            rc = err_set(r->err, -EINVAL, "the string at byte %zu is longer than 65536 bytes", at);
        if (rc < 0) {
            str_done(&out);
            return rc;
        }
        size_t from = r->pos;
        r->pos += (size_t)len;
        if (cp == close)
            break;
        if (cp != '\\') {
            str_add(&out, r->text + from, (size_t)len);
        } else if ((rc = read_escape(r, &out)) < 0) {
            str_done(&out);
            return rc;
        }
    }
    *ret_n = out.n;
    *ret = str_take(&out);
    return 0;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* A key: quoted, or a bare word. */
static int read_key(struct reader *r, char **ret)
{
    skip_space(r);
    int len;
    size_t n;
    if (closing_quote(r, &len))
        return read_quoted(r, ret, &n);
    size_t from = r->pos;
    while (r->pos < r->n && is_word(r->text[r->pos]))
        r->pos++;
    if (r->pos == from)
        return fail_expected(r, "a key");
    *ret = mem_strndup(r->text + from, r->pos - from);
    return 0;
}

static int new_node(struct reader *r, enum read_type type)
{
    struct read_doc *d = r->doc;
    if (d->n_nodes == READ_MAX_NODES)
        return err_set(r->err, -EINVAL, "more than %d values at byte %zu", READ_MAX_NODES, r->pos);
    if (d->n_nodes == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 32;
        d->nodes = mem_realloc(d->nodes, (size_t)d->cap * sizeof *d->nodes);
    }
    d->nodes[d->n_nodes] =
        (struct read_node){.type = type, .pos = r->pos, .first = -1, .next = -1};
    return d->n_nodes++;
}

/* Digits by hand and not strtod(): the locale must not matter and the text has no terminator. */
static int read_number(struct reader *r)
{
    size_t at = r->pos;
    char buf[64];
    size_t n = 0;
    while (r->pos < r->n && n < sizeof buf - 1 &&
           (is_word(r->text[r->pos]) || strchr("+-.", r->text[r->pos])) && r->text[r->pos])
        buf[n++] = r->text[r->pos++];
    buf[n] = 0;
    const char *p = buf;
    bool neg = *p == '-';
    if (*p == '-')
        p++;
    double v = 0, scale = 1;
    const char *digits = p;
    for (; *p >= '0' && *p <= '9'; p++)
        v = v * 10 + (*p - '0');
    bool ok = p > digits;
    if (ok && *p == '.') {
        const char *frac = ++p;
        for (; *p >= '0' && *p <= '9'; p++) {
            v = v * 10 + (*p - '0');
            scale *= 10;
        }
        ok = p > frac;
    }
    int exp10 = 0;
    if (ok && (*p == 'e' || *p == 'E')) {
        p++;
        bool eneg = *p == '-';
        if (*p == '-' || *p == '+')
            p++;
        const char *e = p;
        for (; *p >= '0' && *p <= '9'; p++)
            exp10 = MIN(exp10 * 10 + (*p - '0'), 10000);
        ok = p > e;
        exp10 = eneg ? -exp10 : exp10;
    }
    if (!ok || *p) {
        r->pos = at;
        return fail_expected(r, "a value");
    }
    v = v / scale * (exp10 ? pow(10, exp10) : 1);
    if (!isfinite(v))
        return err_set(r->err, -EINVAL, "the number at byte %zu is not finite", at);
    int node = new_node(r, READ_NUMBER);
    if (node >= 0) {
        r->doc->nodes[node].pos = at;
        r->doc->nodes[node].end = r->pos;
        r->doc->nodes[node].number = neg ? -v : v;
    }
    return node;
}

static int read_word(struct reader *r)
{
    static const struct {
        const char *word;
        enum read_type type;
        double number;
    } words[] = {{"null", READ_NULL, 0}, {"None", READ_NULL, 0},  {"true", READ_BOOL, 1},
                 {"True", READ_BOOL, 1}, {"false", READ_BOOL, 0}, {"False", READ_BOOL, 0}};
    for (size_t i = 0; i < N_ELEMENTS(words); i++) {
        size_t len = strlen(words[i].word);
        if (r->n - r->pos < len || memcmp(r->text + r->pos, words[i].word, len) != 0 ||
            (r->n - r->pos > len && is_word(r->text[r->pos + len])))
            continue;
        int node = new_node(r, words[i].type);
        r->pos += len;
        if (node >= 0) {
            r->doc->nodes[node].number = words[i].number;
            r->doc->nodes[node].end = r->pos;
        }
        return node;
    }
    return fail_expected(r, "a value");
}

static int read_any(struct reader *r, int depth);

/* After "[" or "(" or "{": the children up to `close`. Adds them to `parent`. */
static int read_children(struct reader *r, int parent, char close, bool keyed, int depth)
{
    int last = -1;
    while (!take_punct(r, close)) {
        if (last >= 0 && !take_punct(r, ','))
            return fail_expected(r, keyed ? "\",\" or \"}\"" : "\",\" or \"]\"");
        if (last >= 0 && take_punct(r, close))
            break; /* a trailing comma */
        char *key = NULL;
        if (keyed) {
            int rc = read_key(r, &key);
            if (rc < 0)
                return rc;
            if (!take_punct(r, ':')) {
                free(key);
                return fail_expected(r, "\":\" after a key");
            }
        }
        int child = read_any(r, depth + 1);
        if (child < 0) {
            free(key);
            return child;
        }
        r->doc->nodes[child].key = key;
        if (last < 0)
            r->doc->nodes[parent].first = child;
        else
            r->doc->nodes[last].next = child;
        last = child;
    }
    r->doc->nodes[parent].end = r->pos;
    return parent;
}

static int read_any(struct reader *r, int depth)
{
    skip_space(r);
    if (depth > READ_MAX_DEPTH)
        return err_set(r->err, -EINVAL, "values nest deeper than %d at byte %zu", READ_MAX_DEPTH,
                       r->pos);
    int len, node;
    if (closing_quote(r, &len)) {
        node = new_node(r, READ_STRING);
        if (node < 0)
            return node;
        char *s;
        size_t n;
        int rc = read_quoted(r, &s, &n);
        if (rc < 0)
            return rc;
        struct read_node *v = &r->doc->nodes[node];
        v->s = s;
        v->n = n;
        v->end = r->pos;
        return node;
    }
    char c = next_punct(r, &len);
    if (c == '[' || c == '(') {
        node = new_node(r, READ_LIST);
        r->pos += (size_t)len;
        return node < 0 ? node : read_children(r, node, c == '[' ? ']' : ')', false, depth);
    }
    if (c == '{') {
        size_t at = r->pos;
        r->pos += (size_t)len;
        skip_space(r);
        if (next_punct(r, &len) == '{') { /* {{ ... }}, as one official prompt spells its example */
            node = read_any(r, depth + 1);
            if (node >= 0 && !take_punct(r, '}'))
                return fail_expected(r, "a second \"}\"");
            return node;
        }
        node = new_node(r, READ_OBJECT);
        if (node < 0)
            return node;
        r->doc->nodes[node].pos = at;
        return read_children(r, node, '}', true, depth);
    }
    char first = r->pos < r->n ? r->text[r->pos] : 0;
    bool number = first == '-' || (first >= '0' && first <= '9');
    return number ? read_number(r) : read_word(r);
}

int read_value(const char *text, size_t n, size_t pos, struct read_doc *d, struct err *err)
{
    struct reader r = {text, n, pos, d, err};
    return read_any(&r, 0);
}

bool read_is_object(const char *text, size_t n, size_t pos)
{
    /* a key is short; looking no further keeps a text of many braces linear */
    struct reader r = {text, pos + MIN(n - pos, 256), pos, NULL, NULL};
    if (!take_punct(&r, '{'))
        return false;
    take_punct(&r, '{');
    char *key = NULL;
    if (read_key(&r, &key) < 0)
        return false;
    free(key);
    return take_punct(&r, ':');
}
