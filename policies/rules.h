/* What a policy is in memory; shared by load.c (writes it) and policy.c (reads it) only. */
#ifndef DESKHAND_POLICIES_RULES_H
#define DESKHAND_POLICIES_RULES_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include "policies/policy.h"

#include <pcre2.h>

enum chord_mod {
    CHORD_CTRL = 1 << 0,
    CHORD_ALT = 1 << 1,
    CHORD_SHIFT = 1 << 2,
    CHORD_SUPER = 1 << 3,
    CHORD_ALTGR = 1 << 4,
};

/* One key combination with its spelling removed: "Alt-F4", "alt+f4" and ["F4", "alt"] are equal. */
struct chord {
    unsigned mods; /* enum chord_mod */
    int n_keys;
    char keys[6][32]; /* lower case, the usual name; in a pattern with "*" for any letters */
};
/* Adds one key name or a whole "ctrl+alt+f1" to the chord. False: empty or too many or too long. */
bool chord_add(struct chord *c, const char *name);
/* All modifiers of the pattern are held and each of its keys is pressed. `exact`: no other
 * modifiers or keys. A pattern without keys is about modifiers alone. */
bool chord_matches(const struct chord *pattern, const struct chord *c, bool exact);

struct rule {
    char name[64], reason[256];
    enum verdict_kind verdict;
    unsigned kinds; /* bit per enum action_kind, 0: any */
    pcre2_code *class_re, *title_re, *text_re;
    bool has_region;
    struct rect region; /* root window pixels */
    struct chord *chords;
    int n_chords;
    int min_text, max_text; /* characters, -1: no bound */
    int rate;               /* -1, or matches from the action that exceeds N a minute */
    int step_over;          /* -1, or matches from step N + 1 on */
    int own_window;         /* -1: either, 0, 1 */
    int sure_below;         /* -1, or matches when the model's looks are less sure, in percent */
};

#define POLICY_MAX_RULES 256

struct policy {
    enum verdict_kind fallback;
    struct policy_budget budget;
    struct rule *rules;
    int n_rules;
    pcre2_match_context *limits;
};

#endif
