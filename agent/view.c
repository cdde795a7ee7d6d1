/* What the model is shown. A large model sees the whole screen. A small one was trained on small
 * screens: scaled down, the letters of a large screen are lost to it, and in full size it has never
 * seen one. So where the screen is larger than its checkpoint says, it is shown the window that the
 * task is about with its menus, unscaled, at least as much as it was trained on.
 *
 * That window is the one with the focus, unless it is the terminal or the dashboard where the task
 * was asked for: then it is the topmost other one. */
#include "agent/brain.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

#define SIDE_MIN_W 448 /* where the checkpoint says nothing */
#define SIDE_MIN_H 336

static const char *const kind_names[] = {
    [VIEW_AUTO] = "auto", [VIEW_SCREEN] = "screen", [VIEW_WINDOW] = "window"};

int view_read(json_t *params, struct view *ret, struct err *err)
{
    const char *kind = json_string_value(json_object_get(params, "view"));
    const char *name = json_string_value(json_object_get(params, "window"));
    json_t *asker = json_object_get(params, "asker");
    struct view v = {0};

    if (kind) {
        size_t i = 0;
        while (i < N_ELEMENTS(kind_names) && strcmp(kind, kind_names[i]) != 0)
            i++;
        if (i == N_ELEMENTS(kind_names))
            return err_set(err, -EINVAL, "view is \"%.40s\", expected auto, screen or window",
                           kind);
        v.kind = (enum view_kind)i;
    }
    if (name) {
        if (!*name || strlen(name) >= sizeof v.name)
            return err_set(err, -EINVAL, "window has %zu bytes, expected 1 to %zu", strlen(name),
                           sizeof v.name - 1);
        snprintf(v.name, sizeof v.name, "%s", name);
    }
    if (json_is_integer(asker) && json_integer_value(asker) > 0 &&
        json_integer_value(asker) <= UINT32_MAX)
        v.asker = (uint32_t)json_integer_value(asker);
    *ret = v;
    return 0;
}

static bool is_meant(const struct agent *a, const struct view *v, const struct eye_window *w)
{
    if (!w->id || w->id == v->asker || judge_is_ours(a, w))
        return false;
    return !v->name[0] || strcasestr(w->class_name, v->name) || strcasestr(w->title, v->name);
}

/* ret->id is 0 when there is none. */
static int find_window(struct agent *a, const struct view *v, struct eye_window *ret,
                       bool *ret_has_focus, struct err *err)
{
    AUTO_FREE struct eye_window *list = NULL;
    int n = 0;
    int rc = eye_window_focus(a->eye, ret, err);
    if (rc < 0)
        return rc;
    *ret_has_focus = is_meant(a, v, ret);
    if (*ret_has_focus)
        return 0;
    *ret = (struct eye_window){0};
    rc = eye_windows(a->eye, &list, &n, err);
    for (int i = n - 1; i >= 0 && rc == 0 && !ret->id; i--)
        if (is_meant(a, v, &list[i]))
            *ret = list[i];
    return rc;
}

static int no_window(const struct view *v, struct err *err)
{
    return err_set(err, -ENOENT, "no window has \"%.60s\" in its class or title", v->name);
}

int view_raise(struct agent *a, const struct view *v, struct err *err)
{
    struct eye_window w;
    bool has_focus;
    int rc;
    if (!v->name[0] && !v->asker)
        return 0;
    rc = find_window(a, v, &w, &has_focus, err);
    if (rc < 0 || has_focus)
        return rc;
    if (!w.id)
        return v->name[0] ? no_window(v, err) : 0;
    return hand_activate(a->hand, w.id, err);
}

/* A rectangle of the trained size in the middle, for when there is no window at all. */
static struct rect middle(const struct frame *whole, int min_w, int min_h)
{
    int w = MIN(min_w, whole->w), h = MIN(min_h, whole->h);

    return (struct rect){whole->screen.x + (whole->w - w) / 2, whole->screen.y + (whole->h - h) / 2,
                         w, h};
}

/* The part to show; where the window has closed, the place where it was. */
static int choose_part(struct agent *a, struct view *v, const struct frame *whole,
                       const struct vlm_info *info, struct rect *ret, struct err *err)
{
    int min_w = info->view_w ? info->view_w : SIDE_MIN_W;
    int min_h = info->view_h ? info->view_h : SIDE_MIN_H;
    struct eye_window w;
    bool has_focus;
    int rc = find_window(a, v, &w, &has_focus, err);
    if (rc < 0)
        return rc;
    if (!w.id && v->name[0] && !v->last.w)
        return no_window(v, err);
    rc = w.id ? eye_around(a->eye, w.id, min_w, min_h, ret, err) : -ENOENT;
    if (rc == -ENOENT || rc == -ERANGE) /* it has closed just now, or lies on another output */
        *ret = v->last.w ? v->last : middle(whole, min_w, min_h);
    else if (rc < 0)
        return rc;
    v->last = *ret;
    return 0;
}

int view_choose(struct agent *a, struct view *v, const struct frame *whole, struct rect *ret,
                struct err *err)
{
    struct vlm_info info;
    worker_info(a->worker, &info);
    bool is_large = info.view_w && (whole->w > info.view_w || whole->h > info.view_h);
    if (v->kind == VIEW_WINDOW || (v->kind == VIEW_AUTO && is_large))
        return choose_part(a, v, whole, &info, ret, err);
    *ret = whole->screen;
    return 0;
}

void view_cut(const struct frame *whole, struct rect *part, struct frame *ret)
{
    if (frame_cut(whole, *part, ret) == 0)
        return;
    *part = whole->screen; /* it has just changed its size */
    frame_dup(ret, whole);
}
