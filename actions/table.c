/* The action table: one row an action. Names and required fields are MiMo-VL's own (report,
 * appendix D, and the official GUI-agent prompt); the double, right and middle click, and
 * call_user, are Deskhand's for the desktop. Aliases are only spellings that cannot mean anything
 * else: a swipe may be a scroll or a drag, so it is none of them.
 *
 * Adding an action: a kind in base/flow.h, a row here, a test in tests/unit/actions. */
#include "actions/action.h"

const struct action_row action_table[N_ACTION_KINDS] = {
    {ACTION_CLICK, "click", {"left_click", "single_click", "left_single", "tap"},
     FIELD_START, FIELD_TEXT, true, true, false, false, "click once with the left button"},
    {ACTION_DOUBLE_CLICK, "double_click",
     {"doubleclick", "double_tap", "left_double", "dblclick", "double_left_click"},
     FIELD_START, 0, false, true, false, false, "click twice with the left button"},
    {ACTION_RIGHT_CLICK, "right_click", {"rightclick", "right_single", "context_click"},
     FIELD_START, 0, false, true, false, false, "click once with the right button"},
    {ACTION_MIDDLE_CLICK, "middle_click", {"middleclick", "middle_single"},
     FIELD_START, 0, false, true, false, false, "click once with the middle button"},
    {ACTION_LONGPRESS, "longpress", {"long_press", "long_click", "long_tap", "press_and_hold"},
     FIELD_START, 0, false, true, false, false, "hold the left button down at a point"},
    {ACTION_HOVER, "hover", {"mouse_move", "move_mouse", "move_to", "moveto"},
     0, FIELD_START, false, true, false, false, "move the pointer to a point"},
    {ACTION_DRAG, "drag", {"drag_and_drop", "left_click_drag", "drag_to"},
     FIELD_START | FIELD_END, 0, true, true, false, false,
     "press at one point, release at another"},
    {ACTION_SCROLL, "scroll", {NULL},
     FIELD_DIRECTION, FIELD_START | FIELD_DISTANCE, false, true, false, false,
     "turn the wheel so that more above, below, left or right comes into view"},
    {ACTION_INPUT, "input", {"type", "type_text", "input_text", "write", "typewrite", "enter_text"},
     FIELD_TEXT, FIELD_START, true, true, true, false,
     "type text, after a click at the point if one is given"},
    {ACTION_PRESS, "press",
     {"key", "keypress", "key_press", "press_key", "press_keys", "hotkey", "keyboard_shortcut"},
     FIELD_KEYS, 0, true, true, true, false, "press a key or a chord of keys"},
    {ACTION_SELECT, "select", {"select_option"},
     FIELD_TEXT, FIELD_START, false, true, true, false, "choose the option with this text"},
    {ACTION_OPEN, "open", {"open_app", "launch", "launch_app", "open_application"},
     FIELD_APP, 0, false, false, false, false, "start a program"},
    {ACTION_APPSWITCH, "appswitch", {"app_switch", "switch_app", "switch_application"},
     FIELD_APP, 0, false, false, false, false, "bring a program's window to the front"},
    {ACTION_WAIT, "wait", {"sleep"},
     0, 0, true, false, false, false, "do nothing for a moment"},
    {ACTION_FINISHED, "finished", {"finish", "done", "complete", "completed", "terminate"},
     0, FIELD_STATUS, true, false, false, true, "the goal is reached (or cannot be)"},
    {ACTION_CALL_USER, "call_user", {"calluser", "ask_user"},
     0, FIELD_TEXT, false, false, false, true, "hand the task back to the person"},
};
