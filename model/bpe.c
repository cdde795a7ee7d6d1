/* Byte-level BPE: NFC, the Split regex (PCRE2), bytes, merges by rank.
 *
 * A piece is merged with a heap of candidate pairs over a linked list, so a hostile run of a
 * million letters costs n log n. bpe_file.c fills the tables. */
#include "model/bpe.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/bpe_table.h"

#include <errno.h>
#include <string.h>
#include <utf8proc.h>

void bpe_close(struct bpe *b)
{
    if (!b)
        return;
    for (int i = 0; i < b->n_tokens; i++)
        free(b->tokens[i].s);
    free(b->tokens);
    free(b->merges);
    free(b->added);
    pcre2_code_free(b->regex);
    free(b);
}

int bpe_n_tokens(const struct bpe *b)
{
    return b->n_tokens;
}

const char *bpe_token(const struct bpe *b, int32_t id, size_t *n)
{
    if (id < 0 || id >= b->n_tokens || !b->tokens[id].s)
        return NULL;
    *n = b->tokens[id].n;
    return b->tokens[id].s;
}

bool bpe_is_special(const struct bpe *b, int32_t id)
{
    return id >= 0 && id < b->n_tokens && b->tokens[id].special;
}

int32_t bpe_find_special(const struct bpe *b, const char *text)
{
    for (int i = 0; i < b->n_added; i++)
        if (strcmp(b->tokens[b->added[i]].s, text) == 0)
            return b->added[i];
    return -1;
}

/* encoding */

static const struct merge *find_merge(const struct bpe *b, int32_t l, int32_t r)
{
    for (size_t i = bpe_slot(b, l, r); b->merges[i].rank >= 0; i = (i + 1) & (b->n_slots - 1))
        if (b->merges[i].left == l && b->merges[i].right == r)
            return &b->merges[i];
    return NULL;
}

struct ids {
    int32_t *v;
    size_t n, cap;
};

static void push(struct ids *o, int32_t id)
{
    if (o->n == o->cap) {
        o->cap = o->cap ? 2 * o->cap : 64;
        o->v = mem_realloc(o->v, o->cap * sizeof *o->v);
    }
    o->v[o->n++] = id;
}

struct node {
    int32_t id;        /* -1 once merged away */
    int32_t prev, next;
};

struct pair {
    int32_t rank, left; /* left: index of the node */
    int32_t l, r;       /* ids when it was found; stale when they differ */
};

static bool before(struct pair a, struct pair b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.left < b.left;
}

static void heap_push(struct pair *h, size_t *n, struct pair p)
{
    size_t i = (*n)++;
    while (i && before(p, h[(i - 1) / 2])) {
        h[i] = h[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h[i] = p;
}

static struct pair heap_pop(struct pair *h, size_t *n)
{
    struct pair top = h[0], last = h[--*n];
    size_t i = 0;
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= *n)
            break;
        if (c + 1 < *n && before(h[c + 1], h[c]))
            c++;
        if (!before(h[c], last))
            break;
        h[i] = h[c];
        i = c;
    }
    h[i] = last;
    return top;
}

static void try_pair(const struct bpe *b, const struct node *nodes, int32_t left, struct pair *heap,
                     size_t *n)
{
    if (left < 0 || nodes[left].next < 0)
        return;
    int32_t l = nodes[left].id, r = nodes[nodes[left].next].id;
    const struct merge *m = l >= 0 && r >= 0 ? find_merge(b, l, r) : NULL;
    if (m)
        heap_push(heap, n, (struct pair){m->rank, left, l, r});
}

static void encode_piece(const struct bpe *b, const char *s, size_t n, struct ids *out)
{
    if (n == 1) {
        if (b->of_byte[(uint8_t)s[0]] >= 0)
            push(out, b->of_byte[(uint8_t)s[0]]);
        return;
    }
    struct node small[64], *nodes = n <= 64 ? small : mem_alloc(n * sizeof *nodes);
    struct pair few[192], *heap = n <= 64 ? few : mem_alloc(3 * n * sizeof *heap);
    size_t n_heap = 0;
    for (size_t i = 0; i < n; i++)
        nodes[i] = (struct node){b->of_byte[(uint8_t)s[i]], (int32_t)i - 1,
                                 i + 1 < n ? (int32_t)i + 1 : -1};
    for (size_t i = 0; i + 1 < n; i++)
        try_pair(b, nodes, (int32_t)i, heap, &n_heap);
    while (n_heap) {
        struct pair p = heap_pop(heap, &n_heap);
        struct node *l = &nodes[p.left];
        if (l->id != p.l || l->next < 0 || nodes[l->next].id != p.r)
            continue;
        int32_t gone = l->next;
        l->id = find_merge(b, p.l, p.r)->into;
        l->next = nodes[gone].next;
        nodes[gone].id = -1;
        if (l->next >= 0)
            nodes[l->next].prev = p.left;
        try_pair(b, nodes, l->prev, heap, &n_heap);
        try_pair(b, nodes, p.left, heap, &n_heap);
    }
    for (int32_t i = 0; i >= 0; i = nodes[i].next)
        if (nodes[i].id >= 0) /* else a byte without a token, bpe_check_bytes() */
            push(out, nodes[i].id);
    if (nodes != small) {
        free(nodes);
        free(heap);
    }
}

/* A stretch without added tokens: NFC, split, merge. */
static int encode_plain(const struct bpe *b, const char *s, size_t n, struct ids *out,
                        struct err *err)
{
    utf8proc_uint8_t *nfc = NULL;
    if (b->nfc) {
        utf8proc_ssize_t len =
            utf8proc_map((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &nfc,
                         UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        if (len >= 0) {
            s = (const char *)nfc;
            n = (size_t)len;
        }
    }
    pcre2_match_data *md = pcre2_match_data_create(1, NULL);
    size_t at = 0;
    int rc = 0;
    while (at < n) {
        int m = pcre2_match(b->regex, (PCRE2_SPTR)s, n, at, PCRE2_NO_UTF_CHECK, md, NULL);
        if (m == PCRE2_ERROR_NOMATCH) {
            encode_piece(b, s + at, n - at, out);
            break;
        }
        if (m < 0) {
            rc = err_set(err, -EINVAL, "the tokenizer's regex failed on a text of %zu bytes (PCRE2 "
                                       "error %d)", n, m);
            break;
        }
        PCRE2_SIZE *o = pcre2_get_ovector_pointer(md);
        if (o[0] > at)
            encode_piece(b, s + at, o[0] - at, out);
        if (o[1] > o[0])
            encode_piece(b, s + o[0], o[1] - o[0], out);
        else
            encode_piece(b, s + o[0], 1, out); /* an empty match must not stop us */
        at = o[1] > o[0] ? o[1] : o[0] + 1;
    }
    pcre2_match_data_free(md);
    free(nfc);
    return rc;
}

int bpe_encode(const struct bpe *b, const char *text, size_t n, bool parse_special,
               int32_t **ret_ids, int *ret_n, struct err *err)
{
    /* malformed bytes become U+FFFD, so that the regex may trust its input */
    AUTO(str_done) struct str clean = {.max = (size_t)1 << 30};
    if (!utf8_valid(text, n)) {
        for (size_t i = 0; i < n;) {
            uint32_t cp;
            char c[4];
            i += (size_t)utf8_next(text + i, n - i, &cp);
            str_add(&clean, c, (size_t)utf8_put(c, cp));
        }
        text = str_cstr(&clean);
        n = clean.n;
    }
    bool starts[256] = {false};
    for (int i = 0; i < b->n_added; i++)
        starts[(uint8_t)b->tokens[b->added[i]].s[0]] = true;

    struct ids out = {0};
    size_t begin = 0;
    int rc = 0;
    for (size_t i = 0; i <= n && rc == 0; i++) {
        int32_t hit = -1;
        if (i < n && starts[(uint8_t)text[i]]) {
            for (int k = 0; k < b->n_added && hit < 0; k++) {
                const struct token *t = &b->tokens[b->added[k]];
                if ((parse_special || !t->special) && t->n <= n - i &&
                    memcmp(t->s, text + i, t->n) == 0)
                    hit = b->added[k];
            }
        }
        if (hit < 0 && i < n)
            continue;
        if (i > begin)
            rc = encode_plain(b, text + begin, i - begin, &out, err);
        if (hit >= 0) {
            push(&out, hit);
            i += b->tokens[hit].n - 1;
            begin = i + 1;
        }
    }
    if (rc == 0 && out.n > INT32_MAX)
        rc = err_set(err, -EFBIG, "the text has too many tokens");
    if (rc < 0) {
        free(out.v);
        return rc;
    }
    *ret_ids = out.v ? out.v : mem_zalloc(sizeof(int32_t));
    *ret_n = (int)out.n;
    return 0;
}

char *bpe_decode(const struct bpe *b, const int32_t *ids, int n, bool skip_special)
{
    struct str raw = {0}, text = {0};
    for (int i = 0; i < n; i++) {
        size_t len;
        const char *s = bpe_token(b, ids[i], &len);
        if (s && !(skip_special && bpe_is_special(b, ids[i])))
            str_add(&raw, s, len);
    }
    for (size_t i = 0; i < raw.n;) {
        uint32_t cp;
        char c[4];
        i += (size_t)utf8_next(raw.s + i, raw.n - i, &cp);
        str_add(&text, c, (size_t)utf8_put(c, cp));
    }
    str_done(&raw);
    return str_take(&text);
}
