/* Key names as models write them. A table of the words that people use comes first, then single
 * characters of any script, then the X server's own keysym names ("KP_7", "XF86AudioMute").
 * An unknown name is 0, never a guess. */
#include "actions/hand_priv.h"

#include "base/mem.h"

#include <X11/keysym.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <xkbcommon/xkbcommon.h>

/* Lower case, without '_', '-' and ' ' inside. */
static const struct {
    const char *name;
    uint32_t sym;
} names[] = {
    {"ctrl", XK_Control_L}, {"control", XK_Control_L}, {"ctl", XK_Control_L},
    {"leftctrl", XK_Control_L}, {"lctrl", XK_Control_L}, {"ctrlleft", XK_Control_L},
    {"rightctrl", XK_Control_R}, {"rctrl", XK_Control_R}, {"ctrlright", XK_Control_R},
    {"controll", XK_Control_L}, {"controlr", XK_Control_R},
    {"shift", XK_Shift_L}, {"leftshift", XK_Shift_L}, {"lshift", XK_Shift_L},
    {"shiftleft", XK_Shift_L}, {"rightshift", XK_Shift_R}, {"rshift", XK_Shift_R},
    {"shiftright", XK_Shift_R}, {"alt", XK_Alt_L}, {"leftalt", XK_Alt_L}, {"lalt", XK_Alt_L},
    {"altleft", XK_Alt_L}, {"rightalt", XK_Alt_R}, {"ralt", XK_Alt_R}, {"altright", XK_Alt_R},
    {"option", XK_Alt_L}, {"altgr", XK_ISO_Level3_Shift}, {"meta", XK_Super_L},
    {"super", XK_Super_L}, {"superl", XK_Super_L}, {"superr", XK_Super_R}, {"win", XK_Super_L},
    {"windows", XK_Super_L}, {"winleft", XK_Super_L}, {"winright", XK_Super_R},
    {"cmd", XK_Super_L}, {"command", XK_Super_L}, {"hyper", XK_Hyper_L},
    {"enter", XK_Return}, {"return", XK_Return}, {"ret", XK_Return}, {"cr", XK_Return},
    {"newline", XK_Return}, {"esc", XK_Escape}, {"escape", XK_Escape}, {"tab", XK_Tab},
    {"space", XK_space}, {"spacebar", XK_space}, {"backspace", XK_BackSpace},
    {"bksp", XK_BackSpace}, {"back", XK_BackSpace}, {"delete", XK_Delete}, {"del", XK_Delete},
    {"forwarddelete", XK_Delete}, {"insert", XK_Insert}, {"ins", XK_Insert}, {"home", XK_Home},
    {"end", XK_End}, {"pageup", XK_Prior}, {"pgup", XK_Prior}, {"prior", XK_Prior},
    {"pagedown", XK_Next}, {"pgdn", XK_Next}, {"pgdown", XK_Next}, {"next", XK_Next},
    {"up", XK_Up}, {"down", XK_Down}, {"left", XK_Left}, {"right", XK_Right},
    {"arrowup", XK_Up}, {"arrowdown", XK_Down}, {"arrowleft", XK_Left},
    {"arrowright", XK_Right}, {"uparrow", XK_Up}, {"downarrow", XK_Down},
    {"leftarrow", XK_Left}, {"rightarrow", XK_Right}, {"capslock", XK_Caps_Lock},
    {"caps", XK_Caps_Lock}, {"numlock", XK_Num_Lock}, {"scrolllock", XK_Scroll_Lock},
    {"printscreen", XK_Print}, {"prtsc", XK_Print}, {"prtscr", XK_Print}, {"print", XK_Print},
    {"sysrq", XK_Print}, {"pause", XK_Pause}, {"break", XK_Break}, {"menu", XK_Menu},
    {"contextmenu", XK_Menu}, {"apps", XK_Menu}, {"plus", XK_plus}, {"minus", XK_minus},
    {"hyphen", XK_minus}, {"dash", XK_minus}, {"equal", XK_equal}, {"equals", XK_equal},
    {"comma", XK_comma}, {"period", XK_period}, {"dot", XK_period}, {"slash", XK_slash},
    {"backslash", XK_backslash}, {"semicolon", XK_semicolon}, {"colon", XK_colon},
    {"quote", XK_apostrophe}, {"apostrophe", XK_apostrophe}, {"backquote", XK_grave},
    {"backtick", XK_grave}, {"grave", XK_grave}, {"tilde", XK_asciitilde},
    {"underscore", XK_underscore}, {"asterisk", XK_asterisk}, {"star", XK_asterisk},
    {"numpadenter", XK_KP_Enter}, {"volumeup", 0x1008ff13}, {"volumedown", 0x1008ff11},
    {"volumemute", 0x1008ff12}, {"browserback", 0x1008ff26}, {"browserforward", 0x1008ff27},
};

uint32_t hand_keysym(const char *name)
{
    size_t n = name ? strlen(name) : 0;
    uint32_t cp;
    if (!n || n > 40)
        return 0;
    if (utf8_next(name, n, &cp) == (int)n) {
        if (cp == 0xFFFD)
            return 0;
        if (cp == '\n' || cp == '\r')
            return XK_Return;
        if (cp == '\t')
            return XK_Tab;
        return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) ? 0 : xkb_utf32_to_keysym(cp);
    }
    char plain[48];
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (!strchr("_- ", name[i]))
            plain[m++] = (char)tolower((unsigned char)name[i]);
    plain[m] = '\0';
    for (size_t i = 0; i < N_ELEMENTS(names); i++)
        if (!strcmp(names[i].name, plain))
            return names[i].sym;
    if (plain[0] == 'f' && m <= 3 && isdigit((unsigned char)plain[1]) && plain[1] != '0') {
        char *end;
        long f = strtol(plain + 1, &end, 10);
        return *end || f < 1 || f > 24 ? 0 : (uint32_t)(XK_F1 + f - 1);
    }
    if (m == 7 && !strncmp(plain, "numpad", 6) && isdigit((unsigned char)plain[6]))
        return (uint32_t)(XK_KP_0 + plain[6] - '0');
    uint32_t sym = xkb_keysym_from_name(name, XKB_KEYSYM_NO_FLAGS);
    if (!sym)
        sym = xkb_keysym_from_name(name, XKB_KEYSYM_CASE_INSENSITIVE);
    /* dead keys and input-method keys change what comes after them: not keys to press blindly */
    return sym >= 0xfe50 && sym <= 0xfe9f ? 0 : sym;
}
