/* The agent must not say yes to itself. The dashboard is open in a real Chromium on the controlled
 * screen, a task waits for its answer, and input events press Approve there as the agent's hand
 * would. Then the same window is given to the judge as a target. argv[1] is deskhand. */
#include "tests/apps/driver.h"

#include "base/file.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *program;
static struct driver here, far; /* the controlled screen; another one */
static char profile[2][96];

/* The standard output of a shell command, heap. */
static char *output_of(const char *command)
{
    struct str out = {0};
    char buf[4096];
    size_t n;
    FILE *p = popen(command, "r");
    assert_non_null(p);
    while ((n = fread(buf, 1, sizeof buf, p)) > 0)
        str_add(&out, buf, n);
    pclose(p);
    return str_take(&out);
}

static json_t *deskhand(const char *args)
{
    char command[512];
    snprintf(command, sizeof command, "%s %s --json 2>/dev/null", program, args);
    AUTO_FREE char *out = output_of(command);
    json_t *j = json_loads(out, 0, NULL);
    json_t *result = json_incref(json_object_get(j, "result"));
    json_decref(j);
    return result;
}

static bool state_is(const char *wanted, int tries)
{
    for (int i = 0; i < tries; i++, usleep(100000)) {
        json_t *s = deskhand("status");
        const char *state = json_string_value(json_object_get(s, "state"));
        bool same = state && strcmp(state, wanted) == 0;
        json_decref(s);
        if (same)
            return true;
    }
    return false;
}

static int n_browser_approvals(void)
{
    AUTO_FREE char *path = file_runtime_path("daemon.log");
    AUTO_FREE char *text = NULL;
    size_t size;
    int n = 0;
    assert_int_equal(file_read(path, 1 << 20, &text, &size, NULL), 0);
    for (const char *p = text; (p = strstr(p, "approve by a browser")); p++)
        n++;
    return n;
}

static int daemon_port(void)
{
    AUTO_FREE char *path = file_runtime_path("daemon.json");
    AUTO_FREE char *text = NULL;
    size_t n;
    assert_int_equal(file_read(path, 4096, &text, &n, NULL), 0);
    json_t *j = json_loads(text, 0, NULL);
    int port = (int)json_integer_value(json_object_get(j, "port"));
    json_decref(j);
    assert_true(port > 0);
    return port;
}

/* Logs a Chromium on that screen in and waits for the page. */
static pid_t open_dashboard(struct driver *on, int i)
{
    json_t *login = deskhand("dashboard");
    const char *url = json_string_value(json_object_get(login, "url"));
    assert_non_null(url);
    snprintf(profile[i], sizeof profile[i], "--user-data-dir=%s/chromium", on->dir);
    const char *const argv[] = {"chromium", "--no-sandbox", "--disable-gpu", "--no-first-run",
                                "--disable-background-networking", "--disable-component-update",
                                "--disable-sync", "--password-store=basic", "--window-size=600,420",
                                "--window-position=0,0", profile[i], url, NULL};
    pid_t pid = driver_run(on, argv);
    driver_window(on, "Deskhand dashboard");
    driver_rest(on, 2);
    json_decref(login);
    return pid;
}

/* A task whose first action waits for an answer that nobody on its terminal gives. */
static pid_t start_task(void)
{
    char command[512];
    snprintf(command, sizeof command, "sleep 600 | %s do 'Press Enter' --approve ask", program);
    const char *const argv[] = {"sh", "-c", command, NULL};
    pid_t pid = driver_run(&here, argv);
    assert_true(state_is("approval", 300));
    return pid;
}

/* The page's own focus is on Deny; Approve is before it. */
static void press_approve(struct driver *on)
{
    char command[256];
    int before = n_browser_approvals();
    snprintf(command, sizeof command,
             "DISPLAY=%s xdotool search --onlyvisible --name 'Deskhand dashboard' windowactivate "
             "--sync key shift+Tab key Return", on->x.display);
    for (int i = 0; i < 3 && n_browser_approvals() == before; i++) {
        assert_int_equal(system(command), 0);
        for (int k = 0; k < 30 && n_browser_approvals() == before; k++)
            usleep(100000);
    }
    assert_int_equal(n_browser_approvals(), before + 1);
}

static int setup(void **state)
{
    char dir[128], path[160];
    static const char rules[] = "default: confirm\n";
    static const char *const names[] = {"XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME"};
    driver_desk(&here, 800, 600);
    driver_desk(&far, 800, 600);
    setenv("DISPLAY", here.x.display, 1);
    setenv("DESKHAND_MODEL", DESKHAND_TEST_MODEL, 1);
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        snprintf(dir, sizeof dir, "%s/%zu", here.dir, i);
        assert_int_equal(file_mkdirs(dir, 0700, NULL), 0);
        setenv(names[i], dir, 1);
    }
    snprintf(path, sizeof path, "%s/deskhand", dir);
    assert_int_equal(file_mkdirs(path, 0700, NULL), 0);
    snprintf(path, sizeof path, "%s/deskhand/policies.yaml", dir);
    assert_int_equal(file_write(path, rules, strlen(rules), 0600, NULL), 0);
    return 0;
}

static int teardown(void **state)
{
    json_decref(deskhand("shutdown"));
    driver_end(&far);
    driver_end(&here);
    return 0;
}

static void a_press_of_approve_on_the_controlled_screen_is_not_taken(void **state)
{
    pid_t browser = open_dashboard(&here, 0);
    pid_t task = start_task();
    press_approve(&here);
    assert_true(state_is("approval", 1)); /* as before */
    json_decref(deskhand("stop"));
    driver_kill(&here, task);
    driver_kill(&here, browser);
}

/* The same press, on a screen that the agent cannot reach. */
static void a_press_of_approve_on_another_screen_is_taken(void **state)
{
    char show[32];
    pid_t browser = open_dashboard(&far, 1);
    pid_t task = start_task();
    json_t *s = deskhand("status");
    snprintf(show, sizeof show, "show %d", (int)json_integer_value(json_object_get(s, "task")));
    json_decref(s);
    press_approve(&far);
    const char *effect = NULL;
    json_t *t = NULL;
    for (int i = 0; i < 100 && !effect; i++, usleep(100000)) {
        json_decref(t);
        t = deskhand(show);
        effect = json_string_value(
            json_object_get(json_array_get(json_object_get(t, "steps"), 0), "effect"));
    }
    assert_non_null(effect);
    assert_string_not_equal(effect, "refused");
    json_decref(t);
    json_decref(deskhand("stop"));
    driver_kill(&here, task);
    driver_kill(&far, browser);
}

static void judged(const char *answer, const char *verdict, const char *rule)
{
    driver_think(&here);
    driver_answer(&here, answer);
    if (strcmp(here.verdict, verdict) != 0 || strcmp(here.rule, rule) != 0)
        fail_msg("%s: %s by \"%s\", expected %s by \"%s\"", answer, here.verdict, here.rule,
                 verdict, rule);
}

static void keys(const char *keys)
{
    char command[160];
    snprintf(command, sizeof command, "DISPLAY=%s xdotool key %s", here.x.display, keys);
    assert_int_equal(system(command), 0);
}

#define OWN "deny", "own-window"

/* The built-in policy, with targets that are exact. */
static void the_dashboard_is_no_target(void **state)
{
    pid_t browser = open_dashboard(&here, 0);
    const char *const xterm[] = {"xterm", "-title", "Shell", "-geometry", "24x8+620+20", NULL};
    driver_run(&here, xterm);
    struct eye_window shell = driver_window(&here, "Shell");
    driver_agent(&here, policy_default_text(), 0, daemon_port());
    struct eye_window page = driver_window(&here, "Deskhand dashboard");
    char text[256];
    int in_x = page.rect.x + page.rect.w / 2, in_y = page.rect.y + page.rect.h - 60;
    int out_x = shell.rect.x + 60, out_y = shell.rect.y + 40;
    assert_true(in_x < shell.rect.x);

    snprintf(text, sizeof text, "{\"action\": \"click\", \"start_point\": [%d, %d]}", in_x, in_y);
    judged(text, OWN);
    snprintf(text, sizeof text,
             "{\"action\": \"drag\", \"start_point\": [%d, %d], \"end_point\": [%d, %d]}", out_x,
             out_y, in_x, in_y);
    judged(text, OWN);
    driver_focus(&here, &page);
    driver_ask(&here, AGENT_PROGRAM, "stop", json_object()); /* three in a row would end it */
    judged("{\"action\": \"press\", \"keys\": [\"Enter\"]}", OWN);
    judged("{\"action\": \"input\", \"text\": \"y\"}", OWN);

    /* another program is a target as ever */
    snprintf(text, sizeof text, "{\"action\": \"click\", \"start_point\": [%d, %d]}", out_x, out_y);
    judged(text, "allow", "");
    driver_think(&here); /* the next step: this one went out */
    assert_string_not_equal(here.effect, "refused");
    driver_ask(&here, AGENT_PROGRAM, "stop", json_object());

    /* another window of the same browser, with a title of its own */
    driver_focus(&here, &page);
    keys("ctrl+n");
    struct eye_window second = driver_window(&here, "New Tab");
    assert_int_not_equal(second.id, page.id);
    driver_focus(&here, &second);
    snprintf(text, sizeof text, "{\"action\": \"click\", \"start_point\": [%d, %d]}",
             second.rect.x + second.rect.w / 2, second.rect.y + second.rect.h / 2);
    judged(text, OWN);
    judged("{\"action\": \"press\", \"keys\": [\"Enter\"]}", OWN);
    driver_ask(&here, AGENT_PROGRAM, "stop", json_object());
    driver_kill(&here, browser);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_press_of_approve_on_the_controlled_screen_is_not_taken),
        cmocka_unit_test(a_press_of_approve_on_another_screen_is_taken),
        cmocka_unit_test(the_dashboard_is_no_target),
    };
    if (argc < 2)
        return 1;
    if (!driver_has_programs("chromium"))
        return 77;
    program = argv[1];
    return cmocka_run_group_tests(tests, setup, teardown);
}
