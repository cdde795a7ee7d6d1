/* From a text or a chord to key events. First the wishes are listed (want), which needs no X. Only
 * when their turn comes, after the click into the field, the keyboard is looked at: which group is
 * active, what is locked, what is missing. Everything missing that fits into the spare keycodes is
 * bound at once and the wishes up to the first one that did not fit become events; the rest looks
 * again, so that a text with more strange characters than spare keycodes goes in batches.
 *
 * Locked modifiers are lived with where the layout allows it (find() computes with them) and
 * taken away for the length of the text only if characters would be out of reach otherwise. */
#include "actions/hand_priv.h"

#include "base/mem.h"

#include <X11/keysym.h>
#include <errno.h>
#include <string.h>
#include <xkbcommon/xkbcommon.h>

static void want_add(struct hand *h, struct want w)
{
    if (!(h->n_want & (h->n_want - 1))) /* grows at powers of two */
        h->want = mem_realloc(h->want, MAX(h->n_want * 2, 1) * sizeof(*h->want));
    h->want[h->n_want++] = w;
}

int hand_want_text(struct hand *h, const char *text, struct err *err)
{
    size_t n = text ? strlen(text) : 0;
    if (!n)
        return err_set(err, -EINVAL, "there is no text to type");
    if (n > ACTION_MAX_TEXT)
        return err_set(err, -EINVAL, "the text has %zu bytes, at most %d can be typed at once", n,
                       ACTION_MAX_TEXT);
    if (!utf8_valid(text, n))
        return err_set(err, -EINVAL, "the text to type is not valid UTF-8");
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t at = i;
        i += (size_t)utf8_next(text + i, n - i, &cp);
        if (cp == '\r' && text[i] == '\n')
            continue;
        if (cp == '\n' || cp == '\r')
            want_add(h, (struct want){.sym = XK_Return});
        else if (cp == '\t')
            want_add(h, (struct want){.sym = XK_Tab});
        else if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
            return err_set(err, -EINVAL, "the text has the control character U+%04X at byte %zu, "
                                         "which cannot be typed", cp, at);
        else
            want_add(h, (struct want){.cp = cp});
    }
    return 0;
}

static bool is_modifier_sym(uint32_t sym)
{
    return (sym >= XK_Shift_L && sym <= XK_Hyper_R && sym != XK_Caps_Lock &&
            sym != XK_Shift_Lock) ||
           sym == XK_ISO_Level3_Shift || sym == XK_ISO_Level5_Shift || sym == XK_Mode_switch;
}

static int want_key(struct hand *h, const char *name, size_t n, struct err *err)
{
    char one[48];
    if (n >= sizeof(one) || !n)
        return err_set(err, -EINVAL, "a key name has %zu bytes; 1 to %zu are possible", n,
                       sizeof(one) - 1);
    memcpy(one, name, n);
    one[n] = '\0';
    uint32_t sym = hand_keysym(one);
    if (!sym) {
        struct str s = {0};
        str_printable(&s, one, n, 40);
        err_set(err, -EINVAL, "there is no key named \"%s\"", str_cstr(&s));
        str_done(&s);
        return -EINVAL;
    }
    if (h->n_want >= ACTION_MAX_KEYS * 2)
        return err_set(err, -EINVAL, "a chord of more than %d keys", ACTION_MAX_KEYS * 2);
    for (size_t i = 0; i < h->n_want; i++)
        if (h->want[i].sym == sym)
            return err_set(err, -EINVAL, "the key \"%s\" is twice in the chord", one);
    want_add(h, (struct want){.sym = sym});
    return 0;
}

int hand_want_chord(struct hand *h, char *const *keys, int n, struct err *err)
{
    if (n < 1 || n > ACTION_MAX_KEYS)
        return err_set(err, -EINVAL, "a chord of %d keys; 1 to %d are possible", n,
                       ACTION_MAX_KEYS);
    for (int i = 0; i < n; i++) {
        const char *p = keys[i];
        if (!p || !*p)
            return err_set(err, -EINVAL, "key %d of the chord has no name", i + 1);
        /* "ctrl+shift+t" in one string; a plus at the end is the key plus itself */
        for (const char *plus; p[1] && (plus = strchr(p + 1, '+')) && plus[1]; p = plus + 1) {
            int rc = want_key(h, p, (size_t)(plus - p), err);
            if (rc)
                return rc;
        }
        size_t len = strlen(p);
        if (len > 2 && p[len - 1] == '+' && p[len - 2] != '+')
            return err_set(err, -EINVAL, "the chord \"%.40s\" ends in a plus", keys[i]);
        int rc = want_key(h, p, len, err);
        if (rc)
            return rc;
    }
    bool has_mod = false, has_shift = false;
    size_t n_plain = 0;
    for (size_t i = 0; i < h->n_want; i++) {
        uint32_t sym = h->want[i].sym;
        has_mod = has_mod || is_modifier_sym(sym);
        has_shift = has_shift || sym == XK_Shift_L || sym == XK_Shift_R;
        n_plain += !is_modifier_sym(sym);
    }
    /* "ctrl+A" is written for the letter on the key cap: no Shift unless it is named */
    for (size_t i = 0; i < h->n_want; i++)
        if (has_mod && !is_modifier_sym(h->want[i].sym))
            h->want[i].sym = xkb_keysym_to_lower(h->want[i].sym);
    /* one printable key alone is text: locks and layouts must not change what arrives */
    uint32_t cp = n_plain == 1 && h->n_want == 1 ? xkb_keysym_to_utf32(h->want[0].sym) : 0;
    bool keypad = h->want[0].sym >= XK_KP_Space && h->want[0].sym <= XK_KP_Equal;
    h->is_chord = true;
    if (cp >= 0x20 && cp != 0x7f && !keypad) {
        h->want[0] = (struct want){.cp = cp};
        h->is_chord = false;
    }
    return 0;
}

static void add_mods(struct hand *h, unsigned mods, int down)
{
    for (unsigned bit = 1; bit <= 0x80; bit <<= 1)
        if (mods & bit)
            hand_add(h, EVENT_KEY, hand_map_mod_key(h->map, bit), down, h->o.key_delay_us);
}

static void add_group(struct hand *h, int group, int *now)
{
    if (group != *now)
        hand_add(h, EVENT_GROUP, group, 0, h->o.key_delay_us);
    *now = group;
}

/* What the keyboard is doing before the first key. */
struct keyboard {
    int group;
    unsigned locked;
};

static int look(struct hand *h, struct keyboard *ret, struct err *err)
{
    *ret = (struct keyboard){0, 0};
    if (h->o.dry)
        return 0;
    XkbStateRec s;
    memset(&s, 0, sizeof(s));
    if (XkbGetState(h->dpy, XkbUseCoreKbd, &s) != Success || h->dead)
        return h->dead ? hand_x_dead(h, err)
                       : err_set(err, -EIO, "the X server did not tell the keyboard state");
    if (s.latched_mods) /* a sticky Shift waits for the next key: not for ours */
        XkbLatchModifiers(h->dpy, XkbUseCoreKbd, 0xff, 0);
    ret->group = s.group;
    ret->locked = s.locked_mods;
    if (h->saved_group < 0)
        h->saved_group = s.locked_group;
    return 0;
}

/* Marks the lent key at a spot as needed by this text. Returns 1 when it was not yet. */
static int mark_needed(struct hand *h, int keycode)
{
    for (int i = 0; i < h->n_spare; i++)
        if (h->spare[i].keycode == keycode && h->spare[i].used != h->text_no) {
            h->spare[i].used = h->text_no;
            return 1;
        }
    return 0;
}

/* Lists the distinct keysyms that no key gives, up to the first wish for which the lent keys in use
 * and the new ones would be more than `max`. Returns how many; *ret_end: that wish. */
static int missing(struct hand *h, size_t from, const struct keyboard *k, uint32_t *ret_syms,
                   int max, size_t *ret_end)
{
    int n = 0, n_needed = 0;
    size_t i;
    h->text_no++;
    for (i = from; i < h->n_want; i++) {
        const struct want *w = &h->want[i];
        struct spot at;
        if (hand_map_find(h->map, w, k->group, k->locked, &at)) {
            n_needed += mark_needed(h, at.keycode);
            if (n + n_needed > max)
                break;
            continue;
        }
        uint32_t sym = w->sym ? w->sym : xkb_utf32_to_keysym(w->cp);
        uint32_t twin = xkb_keysym_to_lower(sym); /* one key gives both cases */
        bool known = false;
        for (int j = 0; j < n; j++)
            known = known || ret_syms[j] == sym || xkb_keysym_to_lower(ret_syms[j]) == twin;
        if (known)
            continue;
        if (n + n_needed >= max)
            break;
        ret_syms[n++] = sym;
    }
    *ret_end = i;
    return n;
}

static void expand_text(struct hand *h, size_t end, const struct keyboard *k, int64_t settle_us)
{
    int now = k->group;
    size_t first = h->n_ev;
    for (; h->want_at < end; h->want_at++) {
        struct spot at;
        if (!hand_map_find(h->map, &h->want[h->want_at], now, k->locked, &at))
            break; /* the next look binds it */
        add_group(h, at.group, &now);
        add_mods(h, at.mods, 1);
        hand_add(h, EVENT_KEY, at.keycode, 1, h->o.key_delay_us);
        hand_add(h, EVENT_KEY, at.keycode, 0, h->o.key_delay_us);
        add_mods(h, at.mods, 0);
    }
    if (first < h->n_ev)
        h->ev[first].wait_us += settle_us;
}

static int expand_chord(struct hand *h, const struct keyboard *k, int64_t settle_us,
                        struct err *err)
{
    int keycode[ACTION_MAX_KEYS * 2 + 8], n = 0, group = k->group;
    unsigned given = 0, extra = 0;
    size_t first = h->n_ev;
    for (size_t i = 0; i < h->n_want; i++) {
        struct spot at;
        uint32_t sym = h->want[i].sym;
        unsigned bits = 0;
        /* a lock does not change which key is meant by ctrl+c */
        if (!hand_map_find(h->map, &h->want[i], group, k->locked & ~(unsigned)LockMask, &at))
            return err_set(err, -EIO, "the key for keysym 0x%x disappeared from the keyboard", sym);
        if (is_modifier_sym(sym)) {
            bits = hand_map_mods_of(h->map, at.keycode);
            given |= bits;
            at.group = group;
        } else {
            extra |= at.mods;
        }
        if (at.group != group)
            group = at.group;
        keycode[n++] = at.keycode;
    }
    int now = k->group;
    add_group(h, group, &now);
    add_mods(h, extra & ~given, 1);
    for (int i = 0; i < n; i++)
        hand_add(h, EVENT_KEY, keycode[i], 1, h->o.key_delay_us);
    for (int i = n - 1; i >= 0; i--) /* held long enough for programs that poll the keyboard */
        hand_add(h, EVENT_KEY, keycode[i], 0, i == n - 1 ? h->o.press_us : h->o.key_delay_us);
    add_mods(h, extra & ~given, 0);
    h->ev[first].wait_us += settle_us;
    h->want_at = h->n_want;
    return 0;
}

int hand_expand_keys(struct hand *h, struct err *err)
{
    struct keyboard k;
    uint32_t syms[HAND_MAX_SPARE];
    size_t end;
    int64_t settle_us = 0;
    int rc = hand_map_load(h, err);
    if (!rc)
        rc = look(h, &k, err);
    if (rc)
        return rc;

    h->want_group = k.group; /* and stays, whatever others do meanwhile */
    unsigned locks = k.locked & HAND_LOCKS;
    if (locks && !h->is_chord) {
        struct keyboard unlocked = {k.group, k.locked & ~locks};
        int with = missing(h, h->want_at, &k, syms, HAND_MAX_SPARE, &end);
        if (with && missing(h, h->want_at, &unlocked, syms, HAND_MAX_SPARE, &end) < with) {
            k = unlocked;
            hand_add(h, EVENT_LOCKS, (int)locks, 1, 0);
            settle_us = HAND_SETTLE_GROUP_US;
        }
    }
    int n = missing(h, h->want_at, &k, syms, h->n_spare, &end);
    if (n) {
        int bound = 0;
        rc = hand_map_bind(h, syms, n, &bound, err);
        if (rc)
            return rc;
        if (h->is_chord && bound < n)
            return err_set(err, -ENOSPC, "the keyboard map has too few spare keycodes for the "
                                         "chord");
        settle_us = HAND_SETTLE_MAP_US;
    }
    h->holds_locks = !h->is_chord && !h->o.dry;
    h->want_locks = k.locked & HAND_LOCKS;
    if (h->is_chord) {
        rc = expand_chord(h, &k, settle_us, err);
        if (rc)
            return rc;
    } else {
        size_t before = h->want_at;
        expand_text(h, end, &k, settle_us);
        if (h->want_at == before)
            return err_set(err, -EIO, "U+%04X is not on the keyboard and could not be added",
                           h->want[before].cp);
    }
    hand_add(h, EVENT_GROUP, -1, 0, h->o.key_delay_us);
    hand_add(h, EVENT_LOCKS, 0, 0, 0);
    if (h->want_at < h->n_want) {
        /* the programs must have read the last keys before their keycodes mean something else */
        hand_add(h, EVENT_KEYS, 0, 0, HAND_SETTLE_MAP_US);
    }
    return 0;
}
