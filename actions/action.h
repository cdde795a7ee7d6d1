/* The action table and the two readers of it: the parser of model text and the writer of history.
 * One row of the table feeds the parser, the decoding grammar, the prompt's action space, the
 * schema and the risk flags. Pure functions, any thread. */
#ifndef DESKHAND_ACTIONS_ACTION_H
#define DESKHAND_ACTIONS_ACTION_H

#include "base/err.h"
#include "base/flow.h"
#include "base/str.h"

enum action_field {
    FIELD_START = 1 << 0,
    FIELD_END = 1 << 1,
    FIELD_TEXT = 1 << 2,
    FIELD_KEYS = 1 << 3,
    FIELD_DIRECTION = 1 << 4,
    FIELD_DISTANCE = 1 << 5,
    FIELD_APP = 1 << 6,    /* held in action.text */
    FIELD_STATUS = 1 << 7, /* held in action.text */
};

struct action_row {
    enum action_kind kind;
    const char *name;       /* as the prompt spells it */
    const char *aliases[8]; /* other spellings models emit, NULL-terminated */
    unsigned required, optional; /* enum action_field */
    bool in_prompt; /* listed in MiMo-VL's official GUI-agent prompt */
    bool touches;   /* sends input events */
    bool types;     /* sends keyboard events: the window with the focus matters */
    bool ends;      /* ends the task */
    const char *help; /* one line */
};
extern const struct action_row action_table[N_ACTION_KINDS];

/* Reads the first action from what the model wrote: fenced or bare JSON, an object or a list
 * (element 0), before or after text, after </think>; keys "action" or "action_name"; bbox_2d as a
 * start point (its centre). Tolerant in form, strict in content: an unknown action, a missing or
 * non-finite number, a text too long, a key too many is -EINVAL with a sentence that names the
 * byte position in `text`. Points must lie inside image_w x image_h (pixels of the resized image;
 * 0 skips the check). */
int action_parse(const char *text, size_t n, int image_w, int image_h, struct action *ret,
                 struct err *err);

/* A grounding answer: bbox_2d or a point in any of the shapes above, as centre point and box. An
 * empty list is -ENOENT: the model says that the target is not there. */
int action_parse_box(const char *text, size_t n, int image_w, int image_h, struct model_pt *ret,
                     float ret_box[4], struct err *err);

/* {"action_name": "click", "start_point": [x, y]} as the official history has it (MiMo-VL
 * reference 2.5: None-valued keys dropped, input's start_point dropped). Points are printed from
 * a->start in model pixels, rounded. */
void action_history_json(const struct action *a, struct str *out);
/* {"action": "click", "start_point": [x, y], ...} complete, for the journal and the protocol;
 * with_text false replaces typed text by its length ("text_length": 5). Reads back to an equal
 * action; "</" in a text is written "<\/" so that no typed tag ends the reasoning. */
void action_json(const struct action *a, bool with_text, struct str *out);
/* One line for people: `click at 120,40`, `type 5 characters`, `press ctrl+s`. */
void action_describe(const struct action *a, struct str *out);
/* The text of the reasoning before the action (inside <think>), trimmed; heap or NULL. */
char *action_reasoning(const char *text, size_t n);

#endif
