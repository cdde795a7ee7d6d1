/* A real Chromium opens the dashboard against a scripted daemon, driven over its debugging pipe:
 * steps, the overlay's place, hostile text, approval, and the buttons. argv[1] is web/. With
 * WEB_SHOTS=DIR pictures of the page are left there. Skips (77) where there is no Chromium. */
#include "web_server.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int to_browser, from_browser, last_id, n_failed;
static struct str input;
static char session[128];
static pid_t browser;

static void fail(const char *what)
{
    fprintf(stderr, "FAIL: %s\n", what);
    n_failed++;
}

static char *find_browser(void)
{
    static const char *const names[] = {"/usr/bin/chromium", "/usr/bin/chromium-browser",
                                        "/usr/bin/google-chrome"};
    const char *env = getenv("CHROMIUM");
    if (env)
        return mem_strdup(env);
    for (size_t i = 0; i < N_ELEMENTS(names); i++)
        if (access(names[i], X_OK) == 0)
            return mem_strdup(names[i]);
    return NULL;
}

static void start_browser(const char *exe, const char *profile)
{
    int in[2], out[2];
    char dir[256];
    snprintf(dir, sizeof(dir), "--user-data-dir=%s", profile);
    if (pipe(in) < 0 || pipe(out) < 0)
        abort();
    browser = fork();
    if (browser == 0) {
        int r = fcntl(in[0], F_DUPFD, 20), w = fcntl(out[1], F_DUPFD, 20);
        dup2(r, 3);
        dup2(w, 4);
        for (int fd = 5; fd < 40; fd++)
            close(fd);
        setpgid(0, 0);
        dup2(open("/dev/null", O_RDWR), 2);
        execl(exe, exe, "--headless=new", "--no-sandbox", "--disable-gpu",
              "--disable-background-networking", "--disable-component-update", "--disable-sync",
              "--no-first-run", "--remote-debugging-pipe", dir, "about:blank", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_browser = in[1];
    from_browser = out[0];
}

/* One command of the debugging protocol; its result (new reference) or NULL. */
static json_t *cdp(const char *method, json_t *params)
{
    int id = ++last_id;
    json_t *j = json_pack("{s:i, s:s, s:o}", "id", id, "method", method, "params", params);
    if (session[0])
        json_object_set_new(j, "sessionId", json_string(session));
    char *text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    if (write(to_browser, text, strlen(text) + 1) < 0)
        fail("the browser is gone");
    free(text);
    int64_t until = clock_now_us() + 60000000;
    while (clock_now_us() < until) {
        char *end = input.n ? memchr(input.s, 0, input.n) : NULL;
        if (!end) {
            char buf[65536];
            struct pollfd p = {.fd = from_browser, .events = POLLIN};
            ssize_t n = poll(&p, 1, 1000) > 0 ? read(from_browser, buf, sizeof(buf)) : -1;
            if (n == 0)
                break;
            if (n > 0)
                str_add(&input, buf, (size_t)n);
            continue;
        }
        size_t used = (size_t)(end - input.s) + 1;
        j = json_loads(input.s, 0, NULL);
        memmove(input.s, input.s + used, input.n - used);
        input.n -= used;
        if (json_integer_value(json_object_get(j, "id")) == id) {
            json_t *result = json_incref(json_object_get(j, "result"));
            json_decref(j);
            return result;
        }
        json_decref(j);
    }
    return NULL;
}

static bool is_true(const char *expression)
{
    json_t *r = cdp("Runtime.evaluate", json_pack("{s:s, s:b}", "expression", expression,
                                                  "returnByValue", 1));
    bool yes = json_is_true(json_object_get(json_object_get(r, "result"), "value"));
    json_decref(r);
    return yes;
}

/* Until it holds, at most 10 s. */
static void expect(const char *what, const char *expression)
{
    for (int i = 0; i < 100; i++, usleep(100000))
        if (is_true(expression))
            return;
    fail(what);
}

static void expect_asked(const char *method, const char *part)
{
    AUTO_FREE char *text = web_server_asked(method);
    if (!strstr(text, part)) {
        fprintf(stderr, "%s was asked as: %s\n", method, text);
        fail(part);
    }
}

static void resize(int w, int h)
{
    json_decref(cdp("Emulation.setDeviceMetricsOverride",
                    json_pack("{s:i, s:i, s:i, s:b}", "width", w, "height", h, "deviceScaleFactor",
                              1, "mobile", 0)));
}

static void shoot(const char *name)
{
    const char *dir = getenv("WEB_SHOTS");
    if (!dir)
        return;
    json_t *r = cdp("Page.captureScreenshot", json_pack("{s:s}", "format", "png"));
    const char *data = json_string_value(json_object_get(r, "data"));
    AUTO_FREE char *path = file_join(dir, name);
    if (data)
        file_write(path, data, strlen(data), 0644, NULL); /* base64, as it comes */
    json_decref(r);
}

static void check_fits(const char *what)
{
    expect(what, "document.documentElement.scrollWidth <= window.innerWidth");
}

/* The ring's centre on the page against the picture's own box: (640,160) of 800x500. */
#define RING_IS_RIGHT                                                                              \
    "(() => { const i = document.querySelector('#step-1 img'), c = "                               \
    "document.querySelector('#step-1 .point circle.ink'); if (!i || !c) return false; const a = "  \
    "i.getBoundingClientRect(), b = c.getBoundingClientRect(); return a.width > 100 && "           \
    "Math.abs((b.left + b.right) / 2 - a.left - a.width * 640 / 800) < 1.5 && "                    \
    "Math.abs((b.top + b.bottom) / 2 - a.top - a.height * 160 / 500) < 1.5; })()"

#define NOTE(method, params) "{\"jsonrpc\":\"2.0\",\"method\":\"" method "\",\"params\":" params "}"

static void play_task(void)
{
    web_server_say(NOTE("state", "{\"task\":7,\"state\":\"running\",\"reason\":\"\",\"goal\":"
                                 "\"Fill in the form\",\"step\":1}"));
    web_server_say(NOTE("see", "{\"task\":7,\"step\":1,\"url\":\"/task/7/1-before.png\",\"w\":800,"
                               "\"h\":500,\"screen\":{\"x\":0,\"y\":0,\"w\":800,\"h\":500}}"));
    web_server_say(NOTE("token", "{\"task\":7,\"step\":1,\"text\":\"The first field <img src=x "
                                 "onerror=document.title=1>\"}"));
    web_server_say(NOTE("token", "{\"task\":7,\"step\":1,\"text\":\" is the name.\"}"));
    web_server_say(NOTE("action",
                        "{\"task\":7,\"step\":1,\"action\":{\"action\":\"click\"},"
                        "\"describe\":\"click at 640,160 <b>now</b>\",\"point\":[640,160],"
                        "\"end\":null}"));
    web_server_say(NOTE("verdict", "{\"task\":7,\"step\":1,\"verdict\":\"confirm\",\"rule\":\"r\","
                                   "\"reason\":\"The rule asks you\",\"hash\":\"abc123\"}"));
    web_server_say(NOTE("state", "{\"task\":7,\"state\":\"approval\",\"reason\":\"\",\"goal\":"
                                 "\"Fill in the form\",\"step\":1}"));
}

/* Opened when the question stands already: the daemon greets with what this page must know. */
static void check_late(void)
{
    json_decref(cdp("Page.reload", json_object()));
    expect("the page is new", "document.querySelector('#state').textContent === 'idle' && "
                              "document.querySelector('#approval').hidden");
    web_server_say(NOTE("state", "{\"task\":7,\"state\":\"approval\",\"reason\":\"\",\"goal\":"
                                 "\"Fill in the form\",\"step\":3}"));
    web_server_say(NOTE("see", "{\"task\":7,\"step\":3,\"url\":\"/task/7/1-before.png\",\"w\":800,"
                               "\"h\":500,\"screen\":{\"x\":0,\"y\":0,\"w\":800,\"h\":500}}"));
    web_server_say(NOTE("action", "{\"task\":7,\"step\":3,\"action\":{\"action\":\"input\","
                                  "\"text\":\"rm -r <b>all</b>\\nyes\"},\"describe\":\"type 20 "
                                  "characters\",\"point\":null,\"end\":null}"));
    web_server_say(NOTE("verdict", "{\"task\":7,\"step\":3,\"verdict\":\"confirm\",\"rule\":\"r\","
                                   "\"reason\":\"The rule asks you\",\"hash\":\"def456\","
                                   "\"window_class\":\"XTerm\",\"window_title\":\"<i>root</i>\"}"));
    expect("the question", "!document.querySelector('#approval').hidden && document.querySelector("
                           "'#approvalwhat').textContent.includes('type 20')");
    expect("all that a yes would be for",
           "document.querySelector('#approvaltext').textContent === "
           "'rm -r <b>all</b>\\nyes' && "
           "document.querySelector('#approvalwindow').textContent.includes("
           "'<i>root</i>') && !document.querySelector('#approval i, #approval b')");
    shoot("late.b64");
    expect("deny has the focus", "document.activeElement === document.querySelector('#deny')");
    expect("deny", "(document.querySelector('#deny').click(), true)");
    expect_asked("deny", "{\"task\":7,\"step\":3,\"hash\":\"def456\"}");
}

static void check_page(int port)
{
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port);
    json_t *r = cdp("Target.createTarget", json_pack("{s:s}", "url", url));
    r = cdp("Target.attachToTarget",
            json_pack("{s:O, s:b}", "targetId", json_object_get(r, "targetId"), "flatten", 1));
    snprintf(session, sizeof(session), "%s",
             json_string_value(json_object_get(r, "sessionId")) ?
             json_string_value(json_object_get(r, "sessionId")) : "");
    json_decref(r);
    resize(1440, 900);
    expect("connected and idle", "document.querySelector('#state').textContent === 'idle'");
    expect("the live picture", "!document.querySelector('#live').hidden");
    expect("start", "(() => { document.querySelector('#goal').value = 'Fill in'; "
                    "document.querySelector('#go').click(); return true; })()");
    expect_asked("start", "\"goal\":\"Fill in\"");
    play_task();
    expect("the approval", "!document.querySelector('#approval').hidden");
    expect(
        "the step's words, as text",
        "document.querySelector('#step-1 .title').textContent === 'click at 640,160 <b>now</b>'");
    expect("reasoning, as text",
           "document.querySelector('#step-1 .words').textContent.endsWith("
           "' is the name.') && !document.querySelector('#steps img[src=x]')");
    expect("the point at 1440", RING_IS_RIGHT);
    check_fits("no sideways scrolling at 1440");
    shoot("wide.b64");
    resize(390, 844);
    expect("the point at 390", RING_IS_RIGHT);
    check_fits("no sideways scrolling at 390");
    shoot("narrow.b64");
    expect("approve", "(document.querySelector('#approve').click(), true)");
    expect_asked("approve", "{\"task\":7,\"step\":1,\"hash\":\"abc123\"}");
    web_server_say(NOTE("effect", "{\"task\":7,\"step\":1,\"effect\":\"confirmed\",\"evidence\":"
                                  "\"the field changed\",\"timing\":{\"total_us\":420000}}"));
    expect("the effect", "document.querySelector('#step-1 .badge.confirmed') !== null");
    expect("its time",
           "document.querySelector('#step-1 .evidence').textContent.endsWith('0.42 s')");
    web_server_say(NOTE("state", "{\"task\":7,\"state\":\"running\",\"reason\":\"\",\"goal\":\"\","
                                 "\"step\":2}"));
    expect("stop", "!document.querySelector('#stop').disabled && "
                   "(document.querySelector('#stop').click(), true)");
    expect_asked("stop", "dashboard");
    resize(1440, 900);
    json_decref(
        cdp("Emulation.setEmulatedMedia", json_pack("{s:[{s:s, s:s}]}", "features", "name",
                                                    "prefers-color-scheme", "value", "dark")));
    shoot("wide-dark.b64");
    resize(390, 844);
    check_fits("no sideways scrolling in the dark");
    shoot("narrow-dark.b64");
    check_late();
}

int main(int argc, char **argv)
{
    AUTO_FREE char *exe = find_browser();
    char profile[] = "/tmp/deskhand-web-XXXXXX";
    if (!exe) {
        puts("skipped: there is no Chromium here");
        return 77;
    }
    signal(SIGPIPE, SIG_IGN);
    int port = argc > 1 ? web_server_start(argv[1]) : -1;
    if (port < 0 || !mkdtemp(profile))
        return 1;
    start_browser(exe, profile);
    check_page(port);
    kill(-browser, SIGKILL);
    waitpid(browser, NULL, 0);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", profile);
    if (system(command) != 0)
        fail("the profile stays");
    printf("dashboard: %s\n", n_failed ? "failed" : "passed");
    return n_failed ? 1 : 0;
}
