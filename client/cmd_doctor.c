/* deskhand doctor: what this machine has and lacks, one line each, and what to do about it.
 *
 * The X server is asked directly (a round trip an extension); the model's files are looked at, not
 * loaded; the policy is reported by a running daemon, which refuses to start with a bad one. */
#include "client/doctor.h"

#include "base/file.h"
#include "base/mem.h"
#include "client/cli.h"
#include "model/tool.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <xcb/xcb.h>

static const char *const level_names[] = {"OK", "WARN", "FAIL"};

void doctor_add(struct doctor *d, enum doctor_level level, const char *what, const char *fmt, ...)
{
    va_list ap;
    if (d->n == DOCTOR_MAX)
        return;
    struct doctor_row *r = &d->rows[d->n++];
    r->level = level;
    r->what = what;
    va_start(ap, fmt);
    vsnprintf(r->text, sizeof(r->text), fmt, ap);
    va_end(ap);
}

int doctor_print(const struct doctor *d, FILE *out, bool json)
{
    int code = CLI_OK;
    for (int i = 0; i < d->n; i++) {
        const struct doctor_row *r = &d->rows[i];
        if (r->level == DOCTOR_FAIL)
            code = CLI_FAILED;
        if (json) {
            json_t *j = json_pack("{s:s, s:s, s:s}", "check", r->what, "level",
                                  level_names[r->level], "text", r->text);
            if (j)
                cli_put_json(out, j);
            json_decref(j);
            continue;
        }
        fprintf(out, "%-4s  %-10s  ", level_names[r->level], r->what);
        cli_put(out, r->text);
        fputc('\n', out);
    }
    return code;
}

static const struct extension {
    const char *name, *what;
    enum doctor_level missing;
    const char *advice;
} extensions[] = {
    {"XTEST", "xtest", DOCTOR_FAIL, "the hand cannot click or type: use an X server with XTEST"},
    {"MIT-SHM", "shm", DOCTOR_WARN, "capture falls back to GetImage and is slower (remote?)"},
    {"DAMAGE", "damage", DOCTOR_WARN, "settling is judged by comparing whole pictures instead"},
    {"RANDR", "randr", DOCTOR_WARN, "outputs cannot be told apart: the whole screen is used"},
    {"XFIXES", "xfixes", DOCTOR_WARN, "the mouse pointer cannot be drawn into screenshots"},
    {"XKEYBOARD", "xkb", DOCTOR_FAIL, "text cannot be typed safely: use an X server with XKB"},
};

static void check_extensions(struct doctor *d, xcb_connection_t *x)
{
    for (size_t i = 0; i < N_ELEMENTS(extensions); i++) {
        const struct extension *e = &extensions[i];
        xcb_query_extension_reply_t *r = xcb_query_extension_reply(
            x, xcb_query_extension(x, (uint16_t)strlen(e->name), e->name), NULL);
        if (r && r->present)
            doctor_add(d, DOCTOR_OK, e->what, "%s is there", e->name);
        else
            doctor_add(d, e->missing, e->what, "no %s: %s", e->name, e->advice);
        free(r);
    }
}

/* A keycode without any symbol can be lent to a letter that is on no key. */
static void check_keycodes(struct doctor *d, xcb_connection_t *x)
{
    const xcb_setup_t *s = xcb_get_setup(x);
    int n_codes = s->max_keycode - s->min_keycode + 1, spare = 0;
    xcb_get_keyboard_mapping_reply_t *r = xcb_get_keyboard_mapping_reply(
        x, xcb_get_keyboard_mapping(x, s->min_keycode, (uint8_t)n_codes), NULL);
    if (!r) {
        doctor_add(d, DOCTOR_FAIL, "keycodes", "the X server gives no keyboard map");
        return;
    }
    const xcb_keysym_t *sym = xcb_get_keyboard_mapping_keysyms(r);
    int have = xcb_get_keyboard_mapping_keysyms_length(r), per = r->keysyms_per_keycode;
    for (int i = 0; i < n_codes; i++) {
        bool used = false;
        for (int k = 0; k < per && i * per + k < have; k++)
            used |= sym[i * per + k] != 0;
        spare += !used;
    }
    free(r);
    if (spare)
        doctor_add(d, DOCTOR_OK, "keycodes", "%d spare keycodes for letters that are on no key",
                   spare);
    else
        doctor_add(d, DOCTOR_WARN, "keycodes", "no spare keycode: only letters of the layout can "
                                               "be typed; use a plainer keyboard model");
}

static void check_display(struct doctor *d, const char *name)
{
    const char *shown = name ? name : getenv("DISPLAY");
    int n;
    if (getenv("WAYLAND_DISPLAY"))
        doctor_add(d, DOCTOR_WARN, "session",
                   "this is a Wayland session: only X11 (XWayland) "
                   "windows can be seen and driven; log in to an X11 session");
    if (!shown || !shown[0]) {
        doctor_add(d, DOCTOR_FAIL, "display", "DISPLAY is not set: run inside an X session or give "
                                              "--display");
        return;
    }
    xcb_connection_t *x = xcb_connect(name, &n);
    if (xcb_connection_has_error(x)) {
        doctor_add(d, DOCTOR_FAIL, "display", "cannot connect to %s: is it running, and does "
                                              "XAUTHORITY allow it?", shown);
    } else {
        xcb_screen_iterator_t it = xcb_setup_roots_iterator(xcb_get_setup(x));
        if (it.rem)
            doctor_add(d, it.data->root_depth >= 24 ? DOCTOR_OK : DOCTOR_WARN, "display",
                       "%s answers, %dx%d, depth %d", shown, it.data->width_in_pixels,
                       it.data->height_in_pixels, it.data->root_depth);
        check_extensions(d, x);
        check_keycodes(d, x);
    }
    xcb_disconnect(x);
}

/* Megabytes that programs may still take; 0 when the kernel does not say. */
static double available_mb(void)
{
    char line[128];
    double kb = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "MemAvailable: %lf", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb / 1024;
}

void doctor_model(struct doctor *d, const char *path)
{
    struct err err = {0};
    json_t *j;
    if (tool_info(path, NULL, &j, &err) < 0) {
        doctor_add(d, DOCTOR_FAIL, "model", "%s: give --model a MiMo-VL folder or a GGUF file",
                   err.text);
        return;
    }
    double mb = (double)json_integer_value(json_object_get(j, "bytes")) / 1e6,
           left = available_mb();
    bool sees = json_object_get(json_object_get(j, "config"), "vision") != NULL;
    const char *kind = cli_text(j, "kind");
    if (!sees)
        doctor_add(d, DOCTOR_FAIL, "model", "%s reads no pictures: put the mmproj file beside it",
                   path);
    else if (left > 0 && mb > left)
        doctor_add(d, DOCTOR_WARN, "model",
                   "%s, %s, has %.0f MB of weights; %.0f MB of memory are free", path, kind, mb,
                   left);
    else
        doctor_add(d, DOCTOR_OK, "model", "%s, %s, %.0f MB of weights", path, kind, mb);
    json_decref(j);
}

/* Returns the running daemon's status or NULL; adds its row. */
static json_t *check_daemon(struct doctor *d)
{
    struct daemon_place place;
    struct err err = {0};
    struct rpc r = {0};
    json_t *status = NULL;
    AUTO_FREE char *path = file_runtime_path("daemon.json");
    if (!path) {
        doctor_add(d, DOCTOR_FAIL, "daemon", "no safe runtime folder: set XDG_RUNTIME_DIR");
    } else if (access(path, F_OK) != 0) {
        doctor_add(d, DOCTOR_WARN, "daemon", "not running: deskhand do starts it");
    } else if (daemon_place_read(path, &place, &err) < 0) {
        doctor_add(d, DOCTOR_FAIL, "daemon", "%s", err.text);
    } else if (rpc_open(&r, &place, &err) < 0 ||
               rpc_call(&r, "status", NULL, 5000000, &status, NULL, &err) < 0) {
        doctor_add(d, DOCTOR_FAIL, "daemon", "%s (if it has died, remove %s)", err.text, path);
    } else {
        doctor_add(d, DOCTOR_OK, "daemon", "version %s on port %d, %s", cli_text(status, "version"),
                   place.port, cli_text(status, "state"));
    }
    rpc_close(&r);
    return status;
}

static void check_policy(struct doctor *d, const json_t *status)
{
    AUTO_FREE char *path = file_config_path("policies.yaml");
    if (status && cli_text(status, "policy")[0])
        doctor_add(d, DOCTOR_OK, "policy", "%s is in force", cli_text(status, "policy"));
    else if (!path || access(path, F_OK) != 0)
        doctor_add(d, DOCTOR_OK, "policy", "no policies.yaml of yours: the built-in default");
    else if (access(path, R_OK) != 0)
        doctor_add(d, DOCTOR_FAIL, "policy", "cannot read %s", path);
    else
        doctor_add(d, DOCTOR_OK, "policy", "%s, checked when the daemon starts", path);
}

int cmd_doctor(const struct cli *c)
{
    struct doctor *d = mem_zalloc(sizeof(*d));
    check_display(d, c->display);
    json_t *status = check_daemon(d);
    const char *dir = c->model ? c->model : cli_text(json_object_get(status, "model"), "dir");
    if (!dir[0])
        dir = access(DESKHAND_MODEL_DIR, F_OK) == 0 ? DESKHAND_MODEL_DIR : DESKHAND_SOURCE_MODEL;
    doctor_model(d, dir);
    check_policy(d, status);
    int code = doctor_print(d, stdout, c->json);
    json_decref(status);
    free(d);
    return code;
}
