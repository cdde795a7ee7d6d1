/* The keyboard map: where a character is, and lending spare keycodes to those that are nowhere.
 *
 * XKB says for each key, group and level which keysym it gives, and each key type says which sets
 * of modifiers select which level. Instead of knowing about Shift and AltGr, find() tries every
 * subset of the type's own modifiers that contains those locked now (Caps, Num) and takes the
 * level where the wanted character is with the fewest keys to hold. That covers layouts that
 * nobody here has seen. A locked Caps that the type does not consume makes clients upcase the
 * keysym themselves, so find() does the same before it compares.
 *
 * A missing character gets a keycode that has no symbols at all: small letters and capitals as an
 * alphabetic pair, others alone, in one group, so no group or modifier changes their meaning. All
 * bindings of a text are one XkbSetMap request: clients that refetch the map on the notification
 * never see a half-done or already reverted one. */
#include "actions/hand_priv.h"

#include "base/mem.h"

#include <X11/keysym.h>
#include <errno.h>
#include <string.h>
#include <xkbcommon/xkbcommon.h>

#define MAP_PARTS                                                                                  \
    (XkbKeyTypesMask | XkbKeySymsMask | XkbModifierMapMask | XkbKeyActionsMask | XkbVirtualModsMask)

/* X keycode, type, two levels: the part of the US layout that dry mode needs. */
static const struct {
    uint8_t keycode, type;
    uint32_t sym[2];
} us_keys[] = {
    {9, 0, {XK_Escape}}, {10, 1, {'1', '!'}}, {11, 1, {'2', '@'}}, {12, 1, {'3', '#'}},
    {13, 1, {'4', '$'}}, {14, 1, {'5', '%'}}, {15, 1, {'6', '^'}}, {16, 1, {'7', '&'}},
    {17, 1, {'8', '*'}}, {18, 1, {'9', '('}}, {19, 1, {'0', ')'}}, {20, 1, {'-', '_'}},
    {21, 1, {'=', '+'}}, {22, 0, {XK_BackSpace}}, {23, 0, {XK_Tab}}, {24, 2, {'q', 'Q'}},
    {25, 2, {'w', 'W'}}, {26, 2, {'e', 'E'}}, {27, 2, {'r', 'R'}}, {28, 2, {'t', 'T'}},
    {29, 2, {'y', 'Y'}}, {30, 2, {'u', 'U'}}, {31, 2, {'i', 'I'}}, {32, 2, {'o', 'O'}},
    {33, 2, {'p', 'P'}}, {34, 1, {'[', '{'}}, {35, 1, {']', '}'}}, {36, 0, {XK_Return}},
    {37, 0, {XK_Control_L}}, {38, 2, {'a', 'A'}}, {39, 2, {'s', 'S'}}, {40, 2, {'d', 'D'}},
    {41, 2, {'f', 'F'}}, {42, 2, {'g', 'G'}}, {43, 2, {'h', 'H'}}, {44, 2, {'j', 'J'}},
    {45, 2, {'k', 'K'}}, {46, 2, {'l', 'L'}}, {47, 1, {';', ':'}}, {48, 1, {'\'', '"'}},
    {49, 1, {'`', '~'}}, {50, 0, {XK_Shift_L}}, {51, 1, {'\\', '|'}}, {52, 2, {'z', 'Z'}},
    {53, 2, {'x', 'X'}}, {54, 2, {'c', 'C'}}, {55, 2, {'v', 'V'}}, {56, 2, {'b', 'B'}},
    {57, 2, {'n', 'N'}}, {58, 2, {'m', 'M'}}, {59, 1, {',', '<'}}, {60, 1, {'.', '>'}},
    {61, 1, {'/', '?'}}, {62, 0, {XK_Shift_R}}, {63, 0, {XK_KP_Multiply}}, {64, 0, {XK_Alt_L}},
    {65, 0, {XK_space}}, {66, 0, {XK_Caps_Lock}}, {67, 0, {XK_F1}}, {68, 0, {XK_F2}},
    {69, 0, {XK_F3}}, {70, 0, {XK_F4}}, {71, 0, {XK_F5}}, {72, 0, {XK_F6}}, {73, 0, {XK_F7}},
    {74, 0, {XK_F8}}, {75, 0, {XK_F9}}, {76, 0, {XK_F10}}, {77, 0, {XK_Num_Lock}},
    {78, 0, {XK_Scroll_Lock}}, {82, 0, {XK_KP_Subtract}}, {86, 0, {XK_KP_Add}},
    {92, 0, {XK_ISO_Level3_Shift}}, {95, 0, {XK_F11}}, {96, 0, {XK_F12}},
    {104, 0, {XK_KP_Enter}}, {105, 0, {XK_Control_R}}, {106, 0, {XK_KP_Divide}},
    {107, 0, {XK_Print}}, {108, 0, {XK_Alt_R}}, {110, 0, {XK_Home}}, {111, 0, {XK_Up}},
    {112, 0, {XK_Prior}}, {113, 0, {XK_Left}}, {114, 0, {XK_Right}}, {115, 0, {XK_End}},
    {116, 0, {XK_Down}}, {117, 0, {XK_Next}}, {118, 0, {XK_Insert}}, {119, 0, {XK_Delete}},
    {127, 0, {XK_Pause}}, {133, 0, {XK_Super_L}}, {134, 0, {XK_Super_R}}, {135, 0, {XK_Menu}},
};
static const struct {
    uint8_t keycode, mods;
} us_mods[] = {
    {50, ShiftMask}, {62, ShiftMask}, {66, LockMask},  {37, ControlMask}, {105, ControlMask},
    {64, Mod1Mask},  {108, Mod1Mask}, {77, Mod2Mask},  {133, Mod4Mask},   {134, Mod4Mask},
    {92, Mod5Mask},
};

XkbDescPtr hand_map_us(void)
{
    XkbDescPtr map = XkbAllocKeyboard();
    CHECK(map);
    map->min_key_code = 8;
    map->max_key_code = 255;
    CHECK(XkbAllocClientMap(map, XkbAllClientInfoMask, XkbNumRequiredTypes) == Success);
    CHECK(XkbInitCanonicalKeyTypes(map, XkbAllRequiredTypes, XkbNoModifier) == Success);
    map->map->num_types = XkbNumRequiredTypes;
    /* libX11's canonical ALPHABETIC has its Lock entry in the wrong fields */
    map->map->types[XkbAlphabeticIndex].map[1] =
        (XkbKTMapEntryRec){.active = True, .level = 1, .mods = {LockMask, LockMask, 0}};
    for (size_t i = 0; i < N_ELEMENTS(us_keys); i++) {
        int type = us_keys[i].type, kc = us_keys[i].keycode;
        CHECK(XkbChangeTypesOfKey(map, kc, 1, XkbGroup1Mask, &type, NULL) == Success);
        XkbKeySymEntry(map, kc, 0, 0) = us_keys[i].sym[0];
        if (type != XkbOneLevelIndex)
            XkbKeySymEntry(map, kc, 1, 0) = us_keys[i].sym[1];
    }
    for (size_t i = 0; i < N_ELEMENTS(us_mods); i++)
        map->map->modmap[us_mods[i].keycode] = us_mods[i].mods;
    return map;
}

void hand_map_done(XkbDescPtr map)
{
    if (map)
        XkbFreeKeyboard(map, 0, True);
}

/* A keycode may be lent when it gives nothing and means nothing. */
static bool is_spare(XkbDescPtr map, int kc)
{
    if (map->map->modmap && map->map->modmap[kc])
        return false;
    if (map->server && map->server->key_acts && XkbKeyHasActions(map, kc))
        return false;
    for (int i = 0; i < XkbKeyNumSyms(map, kc); i++)
        if (XkbKeySymsPtr(map, kc)[i] != NoSymbol)
            return false;
    return true;
}

static bool is_ours(const struct hand *h, int kc)
{
    for (int i = 0; i < h->n_spare; i++)
        if (h->spare[i].keycode == kc)
            return true;
    return false;
}

/* New spare keycodes are added, and bindings that another program overwrote are forgotten. */
static void list_spare(struct hand *h)
{
    XkbDescPtr map = h->map;
    for (int i = 0; i < h->n_spare; i++) {
        struct spare *s = &h->spare[i];
        if (!s->sym)
            continue;
        if (XkbKeyNumGroups(map, s->keycode) < 1 ||
            (XkbKeySymEntry(map, s->keycode, 0, 0) != s->sym &&
             !(XkbKeyGroupWidth(map, s->keycode, 0) > 1 &&
               XkbKeySymEntry(map, s->keycode, 1, 0) == s->sym)))
            s->sym = 0;
    }
    /* from the top: keycodes below belong to real keys, and the highest are the least used */
    for (int kc = map->max_key_code; kc >= map->min_key_code; kc--)
        if (h->n_spare < HAND_MAX_SPARE && !is_ours(h, kc) && is_spare(map, kc))
            h->spare[h->n_spare++] =
                (struct spare){.keycode = kc, .width = map->map->key_sym_map[kc].width};
    /* one that came to life with a new layout is no longer ours to lend */
    for (int i = 0; i < h->n_spare; i++)
        if (!h->spare[i].sym && !is_spare(map, h->spare[i].keycode))
            h->spare[i--] = h->spare[--h->n_spare];
}

int hand_map_load(struct hand *h, struct err *err)
{
    if (h->o.dry) {
        if (!h->map)
            h->map = hand_map_us();
    } else {
        XkbDescPtr map = XkbGetMap(h->dpy, MAP_PARTS, XkbUseCoreKbd);
        if (h->dead)
            return hand_x_dead(h, err);
        if (!map || !map->map)
            return err_set(err, -EIO, "the X server did not give the keyboard map");
        hand_map_done(h->map);
        h->map = map;
    }
    list_spare(h);
    return 0;
}

/* The group that a key uses while the keyboard is in `group`. */
static int key_group(XkbDescPtr map, int kc, int group)
{
    int n = XkbKeyNumGroups(map, kc);
    if (n < 1)
        return -1;
    if (group < n)
        return group;
    unsigned info = XkbKeyGroupInfo(map, kc);
    switch (XkbOutOfRangeGroupAction(info)) {
    case XkbClampIntoRange:
        return n - 1;
    case XkbRedirectIntoRange: {
        int to = XkbOutOfRangeGroupNumber(info);
        return to < n ? to : 0;
    }
    default:
        return group % n;
    }
}

static int level_of(XkbKeyTypePtr type, unsigned mods)
{
    for (int i = 0; i < type->map_count; i++)
        if (type->map[i].active && type->map[i].mods.mask == mods)
            return type->map[i].level;
    return 0;
}

static bool gives(uint32_t sym, const struct want *w)
{
    if (w->sym)
        return sym == w->sym;
    if (sym >= XK_KP_Space && sym <= XK_KP_Equal)
        return false; /* the keypad says the same characters but depends on Num Lock */
    return sym != NoSymbol && xkb_keysym_to_utf32(sym) == w->cp;
}

unsigned hand_map_mods_of(XkbDescPtr map, int kc)
{
    return map->map->modmap ? map->map->modmap[kc] : 0;
}

int hand_map_mod_key(XkbDescPtr map, unsigned bit)
{
    static const uint32_t holds[] = {
        XK_Shift_L,          XK_Control_L, XK_ISO_Level3_Shift, XK_ISO_Level5_Shift, XK_Alt_L,
        XK_Super_L,          XK_Meta_L,    XK_Hyper_L,          XK_Shift_R,          XK_Control_R,
        XK_Alt_R,            XK_Super_R,   XK_Mode_switch};
    int best = 0;
    size_t best_rank = N_ELEMENTS(holds);
    for (int kc = map->min_key_code; kc <= map->max_key_code; kc++) {
        if (hand_map_mods_of(map, kc) != bit || XkbKeyNumGroups(map, kc) < 1)
            continue;
        if (map->server && map->server->key_acts) {
            if (!XkbKeyHasActions(map, kc) ||
                XkbKeyActionEntry(map, kc, 0, 0)->type != XkbSA_SetMods)
                continue;
        }
        uint32_t sym = (uint32_t)XkbKeySymEntry(map, kc, 0, 0);
        for (size_t r = 0; r < best_rank; r++)
            if (holds[r] == sym) {
                best = kc;
                best_rank = r;
                break;
            }
    }
    return best;
}

static bool can_hold(XkbDescPtr map, unsigned mods)
{
    for (unsigned bit = 1; bit <= 0x80; bit <<= 1)
        if ((mods & bit) && !hand_map_mod_key(map, bit))
            return false;
    return true;
}

/* The cheapest way to get `w` from one key in one of its groups. False: none. */
static bool find_on_key(XkbDescPtr map, int kc, int kg, const struct want *w, unsigned locked,
                        unsigned *ret_mods)
{
    XkbKeyTypePtr type = XkbKeyKeyType(map, kc, kg);
    unsigned used = type->mods.mask, base = locked & used;
    bool upcase = (locked & LockMask) && !(used & LockMask), found = false;

    bool any = false;
    for (int l = 0; l < type->num_levels; l++)
        any = any || gives((uint32_t)XkbKeySymEntry(map, kc, l, kg), w);
    if (!any)
        return false;
    for (unsigned m = 0; m <= 0xff; m++) {
        if ((m & ~used) || (m & base) != base)
            continue;
        int level = level_of(type, m);
        if (level >= type->num_levels)
            continue;
        uint32_t sym = (uint32_t)XkbKeySymEntry(map, kc, level, kg);
        if (upcase)
            sym = xkb_keysym_to_upper(sym);
        unsigned hold = m & ~base;
        if (!gives(sym, w) || !can_hold(map, hold))
            continue;
        if (!found || __builtin_popcount(hold) < __builtin_popcount(*ret_mods)) {
            *ret_mods = hold;
            found = true;
        }
    }
    return found;
}

bool hand_map_find(XkbDescPtr map, const struct want *w, int group, unsigned locked,
                   struct spot *ret)
{
    int n_groups = 1;
    for (int kc = map->min_key_code; kc <= map->max_key_code; kc++)
        n_groups = MAX(n_groups, XkbKeyNumGroups(map, kc));
    for (int i = 0; i < n_groups + 1; i++) {
        int g = i ? i - 1 : group; /* the present group first */
        int best = -1, best_kc = 0;
        unsigned best_mods = 0;
        for (int kc = map->min_key_code; kc <= map->max_key_code; kc++) {
            int kg = key_group(map, kc, g);
            unsigned mods = 0;
            if (kg < 0 || !find_on_key(map, kc, kg, w, locked, &mods))
                continue;
            int cost = __builtin_popcount(mods);
            if (best < 0 || cost < best) {
                best = cost;
                best_kc = kc;
                best_mods = mods;
            }
        }
        if (best >= 0) {
            *ret = (struct spot){best_kc, g, best_mods};
            return true;
        }
    }
    return false;
}

/* Sets (sym) or empties (0) one key in the client-side map. */
static int set_key(XkbDescPtr map, int kc, uint32_t sym, XkbMapChangesPtr changes)
{
    uint32_t lower = xkb_keysym_to_lower(sym), upper = xkb_keysym_to_upper(sym);
    bool pair = sym && lower != upper && (sym == lower || sym == upper);
    int type = pair ? XkbAlphabeticIndex : XkbOneLevelIndex;
    if (XkbChangeTypesOfKey(map, kc, sym ? 1 : 0, XkbGroup1Mask, &type, NULL) != Success)
        return -ENOMEM;
    if (sym) {
        XkbKeySymEntry(map, kc, 0, 0) = pair ? lower : sym;
        if (pair)
            XkbKeySymEntry(map, kc, 1, 0) = upper;
    }
    /* the range of the one request, kept by hand: libX11 loses all but the last key */
    if (!changes->num_key_syms) {
        changes->first_key_sym = (KeyCode)kc;
        changes->num_key_syms = 1;
    } else {
        int lo = MIN(changes->first_key_sym, kc);
        int hi = MAX(changes->first_key_sym + changes->num_key_syms - 1, kc);
        changes->first_key_sym = (KeyCode)lo;
        changes->num_key_syms = (unsigned char)(hi - lo + 1);
    }
    changes->changed |= XkbKeySymsMask;
    return 0;
}

static int send_changes(struct hand *h, XkbMapChangesPtr changes)
{
    if (h->o.dry || !changes->num_key_syms)
        return 0;
    h->x_error = 0;
    /* only the keysyms: an unchanged type table or action list must not travel */
    changes->changed = XkbKeySymsMask;
    Bool ok = XkbChangeMap(h->dpy, h->map, changes);
    XSync(h->dpy, False);
    if (h->dead)
        return -EPIPE;
    return ok && !h->x_error ? 0 : -EIO;
}

/* A slot for one more keysym: free first, then the one unused for longest; never of this text. */
static struct spare *slot_for(struct hand *h)
{
    struct spare *best = NULL;
    for (int i = 0; i < h->n_spare; i++) {
        struct spare *s = &h->spare[i];
        if (s->used == h->text_no && s->sym)
            continue;
        if (!s->sym)
            return s;
        if (!best || s->used < best->used)
            best = s;
    }
    return best;
}

int hand_map_bind(struct hand *h, const uint32_t *syms, int n, int *ret_n, struct err *err)
{
    XkbMapChangesRec changes;
    memset(&changes, 0, sizeof(changes));
    struct spare *slots[HAND_MAX_SPARE];
    int done = 0;

    if (!h->o.dry && !h->owns_marker) {
        hand_x_mark(h);
        if (!h->owns_marker)
            return err_set(err, -EBUSY, "another Deskhand has lent spare keys on this display; "
                                        "these characters are not on the keyboard");
    }
    while (done < n && done < HAND_MAX_SPARE) {
        struct spare *s = slot_for(h);
        if (!s)
            break;
        s->sym = syms[done];
        s->used = h->text_no;
        slots[done++] = s;
    }
    if (!done)
        return err_set(err, -ENOSPC, "the keyboard map has no spare keycode for U+%04X",
                       xkb_keysym_to_utf32(syms[0]));
    hand_x_mark(h); /* before the change, so that a crash in between leaves its trace */
    for (int i = 0; i < done; i++) {
        if (set_key(h->map, slots[i]->keycode, slots[i]->sym, &changes))
            return err_set(err, -ENOMEM, "no memory for the keyboard map");
        if (h->o.dry)
            str_printf(&h->log, "bind %d 0x%x\n", slots[i]->keycode, slots[i]->sym);
    }
    int rc = send_changes(h, &changes);
    if (rc == -EPIPE)
        return hand_x_dead(h, err);
    if (!rc)
        rc = hand_map_load(h, err); /* the truth: forgets what did not arrive */
    for (int i = 0; !rc && i < done; i++)
        if (!is_ours(h, slots[i]->keycode) || !slots[i]->sym)
            rc = -EIO;
    if (rc) {
        hand_map_restore(h);
        return err_set(err, rc, "the X server did not take %d new keys (X error %d); the text was "
                                "not typed", done, h->x_error);
    }
    *ret_n = done;
    return 0;
}

void hand_map_clear(struct hand *h, const long *keycodes, int n)
{
    XkbMapChangesRec changes;
    memset(&changes, 0, sizeof(changes));
    if (!h->map)
        return;
    for (int i = 0; i < n; i++) {
        int kc = (int)(keycodes[i] & 0xff);
        if (kc < h->map->min_key_code || kc > h->map->max_key_code)
            continue; /* the property is anybody's to write */
        if (hand_map_mods_of(h->map, kc) || XkbKeyNumGroups(h->map, kc) > 1)
            continue;
        set_key(h->map, kc, 0, &changes);
        h->map->map->key_sym_map[kc].width = (unsigned char)CLAMP(keycodes[i] >> 8, 0, 4);
    }
    send_changes(h, &changes);
}

void hand_map_restore(struct hand *h)
{
    long keycodes[HAND_MAX_SPARE] = {0};
    int n = 0;
    for (int i = 0; i < h->n_spare; i++)
        n += h->spare[i].sym != 0;
    if (!n || h->dead)
        return;
    if (!h->o.dry && hand_map_load(h, NULL))
        return;
    /* the load forgot what others have overwritten meanwhile: that is not ours to empty */
    n = 0;
    for (int i = 0; i < h->n_spare; i++)
        if (h->spare[i].sym) {
            keycodes[n++] = h->spare[i].keycode | (long)h->spare[i].width << 8;
            h->spare[i].sym = 0;
        }
    hand_map_clear(h, keycodes, n);
    if (h->o.dry && n)
        str_printf(&h->log, "restore %d\n", n);
    hand_x_mark(h);
}
