/* Key chords without their spelling: modifiers become bits, key names become one lower-case word.
 * Models write "Control", "ctrl_l" and "ctrl"; a rule that knows only one of them is no rule. */
#include "policies/rules.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    unsigned mod;
} modifiers[] = {
    {"ctrl", CHORD_CTRL},   {"control", CHORD_CTRL},         {"ctl", CHORD_CTRL},
    {"alt", CHORD_ALT},     {"option", CHORD_ALT},           {"opt", CHORD_ALT},
    {"shift", CHORD_SHIFT}, {"super", CHORD_SUPER},          {"win", CHORD_SUPER},
    {"meta", CHORD_SUPER},  {"windows", CHORD_SUPER},        {"cmd", CHORD_SUPER},
    {"hyper", CHORD_SUPER}, {"command", CHORD_SUPER},        {"altgr", CHORD_ALTGR},
    {"mod4", CHORD_SUPER},  {"isolevel3shift", CHORD_ALTGR}, {"mod1", CHORD_ALT},
    {"altgraph", CHORD_ALTGR},
};

static const char *const key_aliases[][2] = {
    {"esc", "escape"},          {"return", "enter"},        {"kpenter", "enter"},
    {"del", "delete"},          {"kpdelete", "delete"},     {"ins", "insert"},
    {"bksp", "backspace"},      {"bs", "backspace"},        {"back", "backspace"},
    {"pgup", "pageup"},         {"prior", "pageup"},        {"pgdn", "pagedown"},
    {"pgdown", "pagedown"},     {"next", "pagedown"},       {"spacebar", "space"},
    {" ", "space"},             {"arrowup", "up"},          {"uparrow", "up"},
    {"arrowdown", "down"},      {"downarrow", "down"},      {"arrowleft", "left"},
    {"leftarrow", "left"},      {"arrowright", "right"},    {"rightarrow", "right"},
    {"printscreen", "print"},   {"prtsc", "print"},         {"prtscr", "print"},
    {"sysrq", "print"},         {"sysreq", "print"},        {"plus", "+"},
    {"minus", "-"},
};

/* "ctrl", "control_l", "left ctrl", "ctrlright": the bit, or 0. */
static unsigned modifier_bit(const char *word)
{
    for (size_t i = 0; i < N_ELEMENTS(modifiers); i++) {
        size_t n = strlen(modifiers[i].name);
        const char *rest = word;
        if (strncmp(rest, "left", 4) == 0)
            rest += 4;
        else if (strncmp(rest, "right", 5) == 0)
            rest += 5;
        if (strncmp(rest, modifiers[i].name, n) != 0)
            continue;
        rest += n;
        if (!*rest || strcmp(rest, "l") == 0 || strcmp(rest, "r") == 0 ||
            strcmp(rest, "left") == 0 || strcmp(rest, "right") == 0)
            return modifiers[i].mod;
    }
    return 0;
}

static bool add_one(struct chord *c, const char *s, size_t n)
{
    char word[32];
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        if (n > 1 && (s[i] == '_' || s[i] == '-' || s[i] == ' '))
            continue;
        if (out == sizeof word - 1)
            return false;
        word[out++] = (char)tolower((unsigned char)s[i]);
    }
    word[out] = 0;
    if (!out)
        return false;
    unsigned mod = modifier_bit(word);
    if (mod) {
        c->mods |= mod;
        return true;
    }
    if (c->n_keys == (int)N_ELEMENTS(c->keys))
        return false;
    const char *name = word;
    for (size_t i = 0; i < N_ELEMENTS(key_aliases); i++)
        if (strcmp(word, key_aliases[i][0]) == 0)
            name = key_aliases[i][1];
    memcpy(c->keys[c->n_keys++], name, strlen(name) + 1);
    return true;
}

/* "+" separates always, "-" and a space only after a modifier: "page-down" is one key. */
static size_t word_length(const char *s)
{
    size_t n = strcspn(s + 1, "+- ") + 1; /* "+" alone and "ctrl++" name the plus key */
    char word[16];
    if (!s[n] || s[n] == '+')
        return n;
    snprintf(word, sizeof word, "%.*s", (int)MIN(n, sizeof word - 1), s);
    for (char *c = word; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return modifier_bit(word) ? n : strcspn(s + 1, "+") + 1;
}

bool chord_add(struct chord *c, const char *name)
{
    if (!*name)
        return false;
    while (*name) {
        size_t n = word_length(name);
        if (!add_one(c, name, n))
            return false;
        name += n;
        if (*name && !*++name)
            return false; /* "ctrl+" */
    }
    return true;
}

/* "*" stands for any number of bytes. Linear: on a mismatch only the last star moves. */
static bool glob(const char *p, const char *s)
{
    const char *star = NULL, *back = NULL;
    while (*s) {
        if (*p == '*') {
            star = ++p;
            back = s;
        } else if (*p == *s) {
            p++;
            s++;
        } else if (star) {
            p = star;
            s = ++back;
        } else {
            return false;
        }
    }
    while (*p == '*')
        p++;
    return !*p;
}

bool chord_matches(const struct chord *pattern, const struct chord *c, bool exact)
{
    if ((c->mods & pattern->mods) != pattern->mods)
        return false;
    if (exact && (c->mods != pattern->mods || c->n_keys != pattern->n_keys))
        return false;
    for (int i = 0; i < pattern->n_keys; i++) {
        bool hit = false;
        for (int k = 0; k < c->n_keys && !hit; k++)
            hit = glob(pattern->keys[i], c->keys[k]);
        if (!hit)
            return false;
    }
    return true;
}
