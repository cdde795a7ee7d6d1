/* Shows Athena windows that gen_xaw.py describes and tells where every widget and every character
 * of it is.
 *
 * One line of standard input, parts separated by tabs, is one step; values are strings, converted
 * as those of a resource file are, with "\n" for a new line:
 *
 *     window TITLE                      begins a window
 *     add CLASS NAME PARENT [RESOURCE VALUE]...
 *     focus NAME | popup MENU BUTTON    once it is shown: keyboard focus there, that menu open
 * below its button show                              answered by one line of JSON, in pixels of the
 * screen close                             ends the window
 *
 * Positions come from the widgets' own records (Xaw's "P" headers) and the measures of their fonts,
 * not from the picture. Build: cc -O1 -o xaw_window xaw_window.c -lXaw -lXmu -lXt -lX11 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <X11/IntrinsicP.h>
#include <X11/Shell.h>
#include <X11/ShellP.h>
#include <X11/StringDefs.h>
#include <X11/Xaw/AsciiText.h>
#include <X11/Xaw/Box.h>
#include <X11/Xaw/Command.h>
#include <X11/Xaw/Dialog.h>
#include <X11/Xaw/Form.h>
#include <X11/Xaw/LabelP.h>
#include <X11/Xaw/ListP.h>
#include <X11/Xaw/MenuButton.h>
#include <X11/Xaw/Paned.h>
#include <X11/Xaw/Scrollbar.h>
#include <X11/Xaw/SimpleMenP.h>
#include <X11/Xaw/SmeBSBP.h>
#include <X11/Xaw/SmeLine.h>
#include <X11/Xaw/TextP.h>
#include <X11/Xaw/TextSink.h>
#include <X11/Xaw/TextSrc.h>
#include <X11/Xaw/Toggle.h>
#include <X11/Xaw/Viewport.h>

#define MAX_WIDGETS 256
#define MAX_PARTS 64

static const struct {
    const char *name;
    WidgetClass *class;
} classes[] = {
    {"Form", &formWidgetClass},
    {"Box", &boxWidgetClass},
    {"Paned", &panedWidgetClass},
    {"Viewport", &viewportWidgetClass},
    {"Command", &commandWidgetClass},
    {"Toggle", &toggleWidgetClass},
    {"Label", &labelWidgetClass},
    {"MenuButton", &menuButtonWidgetClass},
    {"AsciiText", &asciiTextWidgetClass},
    {"List", &listWidgetClass},
    {"Scrollbar", &scrollbarWidgetClass},
    {"Dialog", &dialogWidgetClass},
    {"SimpleMenu", &simpleMenuWidgetClass},
    {"SmeBSB", &smeBSBObjectClass},
    {"SmeLine", &smeLineObjectClass},
};

static XtAppContext app;
static Display *dpy;
static Widget shell, widgets[MAX_WIDGETS];
static int n_widgets, n_windows;
static bool mapped, focused, late;

static Widget find(const char *name)
{
    for (int i = 0; i < n_widgets; i++)
        if (!strcmp(XtName(widgets[i]), name))
            return widgets[i];
    return shell;
}

static void on_event(Widget w, XtPointer p, XEvent *e, Boolean *go_on)
{
    (void)w, (void)p, (void)go_on;
    mapped |= e->type == MapNotify;
    focused |= e->type == FocusIn;
}

static void on_time(XtPointer p, XtIntervalId *id)
{
    (void)p, (void)id;
    late = true;
}

/* Everything the server has to say about what was asked so far is handled, exposures above all. */
static void settle(void)
{
    for (int i = 0; i < 2; i++) {
        XSync(dpy, False);
        while (XtAppPending(app) & XtIMXEvent)
            XtAppProcessEvent(app, XtIMXEvent);
    }
}

static void window(const char *title)
{
    char name[32];
    snprintf(name, sizeof name, "w%d",
             ++n_windows); /* resources of earlier windows stay in the data base */
    shell = XtVaAppCreateShell(name, "Window", topLevelShellWidgetClass, dpy, XtNtitle, title,
                               XtNinput, True, XtNallowShellResize, True, NULL);
    XtAddEventHandler(shell, StructureNotifyMask | FocusChangeMask, False, on_event, NULL);
    n_widgets = 0;
    mapped = focused = false;
}

static void add(char **part, int n)
{
    WidgetClass class = NULL;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (!strcmp(classes[i].name, part[1]))
            class = *classes[i].class;
    if (!class || n_widgets == MAX_WIDGETS) {
        fprintf(
            stderr,
            "xaw_window: %s %s cannot be added, expected a known class and at most %d widgets\n",
            part[1], part[2], MAX_WIDGETS);
        exit(1);
    }
    XrmDatabase db = XtScreenDatabase(XtScreen(shell));
    Arg list = {"list", (XtArgVal)NULL};
    for (int i = 4; i + 1 < n; i += 2) {
        char spec[128];
        if (!strcmp(part[i],
                    "list")) { /* the one resource that has no converter: items, one a line */
            String *items = calloc(1000, sizeof *items);
            int k = 0;
            for (char *s = strtok(strdup(part[i + 1]), "\n"); s && k < 999; s = strtok(NULL, "\n"))
                items[k++] = s;
            list.value = (XtArgVal)items;
            continue;
        }
        /* a text's source and sink are objects of their own and have some of its resources */
        bool inner = class == asciiTextWidgetClass &&
                     strstr("string editType font foreground background", part[i]);
        const char *sep = inner ? "*" : ".";
        snprintf(spec, sizeof spec, "%s*%s%s%s", XtName(shell), part[2], sep, part[i]);
        XrmPutStringResource(&db, spec, part[i + 1]);
    }
    Widget parent = find(part[3]);
    Widget w = class == simpleMenuWidgetClass
                   ? XtCreatePopupShell(part[2], class, parent, NULL, 0)
                   : XtCreateManagedWidget(part[2], class, parent, &list, list.value != 0);
    widgets[n_widgets++] = w;
}

static void popup(Widget menu, Widget button)
{
    Position x, y;
    XtRealizeWidget(menu);
    XtTranslateCoords(button, 0, (Position)button->core.height, &x, &y);
    XtMoveWidget(menu, x, y);
    XtPopup(menu, XtGrabNone);
    settle();
}

/* A widget's box on the screen with its border; those without a window are placed by their
 * parent's. */
static void box_of(Widget w, int box[4])
{
    Widget base = XtIsWidget(w) ? w : XtParent(w);
    Window child;
    int b = XtIsWidget(w) ? w->core.border_width : 0;
    XTranslateCoordinates(dpy, XtWindow(base), DefaultRootWindow(dpy), 0, 0, &box[0], &box[1],
                          &child);
    if (base != w) {
        box[0] += w->core.x;
        box[1] += w->core.y;
    }
    box[2] = box[0] + w->core.width + b;
    box[3] = box[1] + w->core.height + b;
    box[0] -= b;
    box[1] -= b;
}

static void put_string(const char *s, int n)
{
    putchar('"');
    for (int i = 0; i < n; i++)
        if (s[i] == '"' || s[i] == '\\')
            printf("\\%c", s[i]);
        else
            putchar((unsigned char)s[i] < 32 || (unsigned char)s[i] > 126 ? ' ' : s[i]);
    putchar('"');
}

static bool first_word;

/* One line of text: its characters' middles, and the height of the middle of its small letters. */
static void word(const char *s, int n, XFontStruct *font, int x, int base)
{
    if (n <= 0)
        return;
    printf(first_word ? "[" : ",[");
    first_word = false;
    put_string(s, n);
    printf(",[");
    for (int i = 0; i < n; i++)
        printf("%s%.1f", i ? "," : "",
               x + (XTextWidth(font, s, i) + XTextWidth(font, s, i + 1)) / 2.0);
    printf("],%.1f]", base - font->ascent * 0.36);
}

static void text_words(TextWidget t, int x, int y)
{
    XFontStruct *font;
    XtVaGetValues(t->text.sink, XtNfont, &font, NULL);
    XawTextPosition end = t->text.lastPos;
    for (int i = 0; i < t->text.lt.lines; i++) {
        XawTextPosition from = t->text.lt.info[i].position, to = t->text.lt.info[i + 1].position,
                        at = from;
        char line[512];
        int n = 0;
        if (from >= end)
            break;
        to = to > end ? end : to;
        while (at < to && n < (int)sizeof line - 1) {
            XawTextBlock b;
            XawTextPosition next = XawTextSourceRead(t->text.source, at, &b, (int)(to - at));
            if (next <= at || b.length <= 0)
                break;
            for (int k = 0; k < b.length && n < (int)sizeof line - 1; k++)
                line[n++] = b.ptr[k];
            at = next;
        }
        while (n && line[n - 1] == '\n')
            n--;
        word(line, n, font, x + t->text.left_margin, y + t->text.lt.info[i].y + font->ascent);
    }
}

static void words_of(Widget w, const int box[4])
{
    int x = box[0] + (XtIsWidget(w) ? w->core.border_width : 0),
        y = box[1] + (XtIsWidget(w) ? w->core.border_width : 0);
    if (XtIsSubclass(w, labelWidgetClass)) {
        LabelPart *l = &((LabelWidget)w)->label;
        int base = y + l->label_y + l->font->max_bounds.ascent;
        for (const char *s = l->label; s && *s;) {
            int n = (int)strcspn(s, "\n");
            word(s, n, l->font, x + l->label_x, base);
            base += l->font->max_bounds.ascent + l->font->max_bounds.descent;
            s += n + (s[n] == '\n');
        }
    } else if (XtIsSubclass(w, textWidgetClass)) {
        text_words((TextWidget)w, x, y);
    } else if (XtIsSubclass(w, smeBSBObjectClass)) {
        SmeBSBPart *e = &((SmeBSBObject)w)->sme_bsb;
        int n = (int)strlen(e->label), left = e->left_margin,
            high = e->font->max_bounds.ascent + e->font->max_bounds.descent;
        if (e->justify != XtJustifyLeft) {
            int spare = w->core.width - XTextWidth(e->font, e->label, n);
            left = e->justify == XtJustifyRight ? spare - e->right_margin
                                                : (spare + e->left_margin - e->right_margin) / 2;
        }
        word(e->label, n, e->font, x + left,
             y + (w->core.height - high) / 2 + e->font->max_bounds.ascent);
    } else if (XtIsSubclass(w, listWidgetClass)) {
        ListPart *l = &((ListWidget)w)->list;
        for (int i = 0; i < l->nitems; i++) {
            int row = l->vertical_cols ? i % l->nrows : i / l->ncols,
                col = l->vertical_cols ? i / l->nrows : i % l->ncols;
            word(l->list[i], (int)strlen(l->list[i]), l->font,
                 x + l->internal_width + col * l->col_width + l->column_space / 2,
                 y + l->internal_height + row * l->row_height + l->row_space / 2 +
                     l->font->max_bounds.ascent);
        }
    }
}

static void tell(Widget w, const char *name)
{
    int b[4];
    if (!w || !(XtIsManaged(w) || XtIsSubclass(w, simpleMenuWidgetClass)) ||
        !XtIsRealized(XtIsWidget(w) ? w : XtParent(w)))
        return;
    box_of(w, b);
    printf(",\"%s\":{\"box\":[%d,%d,%d,%d],\"words\":[", name, b[0], b[1], b[2], b[3]);
    first_word = true;
    words_of(w, b);
    printf("]");
    if (XtIsSubclass(w, listWidgetClass)) {
        ListPart *l = &((ListWidget)w)->list;
        printf(",\"cell\":[%d,%d]", l->col_width, l->row_height);
    }
    printf("}");
}

static void show(void)
{
    XtRealizeWidget(shell);
    XtMapWidget(shell);
    late = false;
    XtIntervalId timer = XtAppAddTimeOut(app, 1500, on_time, NULL);
    while (!(mapped && focused) && !late)
        XtAppProcessEvent(app, XtIMAll);
    if (!late)
        XtRemoveTimeOut(timer);
    settle();
}

static void answer(void)
{
    printf("{\"id\":%lu", XtWindow(shell));
    for (int i = 0; i < n_widgets; i++) {
        Widget w = widgets[i];
        char name[80];
        tell(w, XtName(w));
        snprintf(name, sizeof name, "%.60s/bar", XtName(w));
        if (XtIsSubclass(w, textWidgetClass))
            tell(((TextWidget)w)->text.vbar, name);
        else if (XtIsSubclass(w, viewportWidgetClass))
            tell(XtNameToWidget(w, "vertical"), name);
        else if (XtIsSubclass(w, dialogWidgetClass)) {
            snprintf(name, sizeof name, "%.60s/label", XtName(w));
            tell(XtNameToWidget(w, "label"), name);
            snprintf(name, sizeof name, "%.60s/value", XtName(w));
            tell(XtNameToWidget(w, "value"), name);
        }
    }
    puts("}");
    fflush(stdout);
}

/* Parts of a line, "\n" turned into a new line and "\\" into one backslash. */
static int cut(char *line, char **part)
{
    int n = 0;
    for (char *s = strtok(line, "\t"); s && n < MAX_PARTS; s = strtok(NULL, "\t")) {
        char *to = s;
        for (char *from = s; *from; from++)
            if (*from == '\\' && from[1])
                *to++ = *++from == 'n' ? '\n' : *from;
            else
                *to++ = *from;
        *to = 0;
        part[n++] = s;
    }
    return n;
}

int main(int argc, char **argv)
{
    char line[16384], *part[MAX_PARTS], popups[2][80] = {"", ""}, focus[80] = "";
    XtToolkitInitialize();
    app = XtCreateApplicationContext();
    dpy = XtOpenDisplay(app, NULL, "xaw_window", "Window", NULL, 0, &argc, argv);
    if (!dpy) {
        fprintf(stderr, "xaw_window: the X display %s does not open, expected a running X server\n",
                XDisplayName(NULL));
        return 1;
    }
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        int n = cut(line, part);
        if (n == 2 && !strcmp(part[0], "window")) {
            window(part[1]);
            *popups[0] = *focus = 0;
        } else if (n >= 4 && !strcmp(part[0], "add")) {
            add(part, n);
        } else if (n == 2 && !strcmp(part[0], "focus")) {
            snprintf(focus, sizeof focus, "%s", part[1]);
        } else if (n == 3 && !strcmp(part[0], "popup")) {
            snprintf(popups[0], sizeof *popups, "%s", part[1]);
            snprintf(popups[1], sizeof *popups, "%s", part[2]);
        } else if (n == 1 && !strcmp(part[0], "show")) {
            show();
            if (*focus)
                XtSetKeyboardFocus(shell, find(focus));
            if (*popups[0])
                popup(find(popups[0]), find(popups[1]));
            settle();
            answer();
        } else if (n == 1 && !strcmp(part[0], "close")) {
            XtDestroyWidget(shell);
            settle();
        } else {
            fprintf(stderr,
                    "xaw_window: a line of %d parts that begins with %s, expected window, add, "
                    "focus, popup, show or close\n",
                    n, n ? part[0] : "nothing");
            return 1;
        }
    }
    return 0;
}
