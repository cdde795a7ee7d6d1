/* agent/: the official prompts to the byte, effects from pictures, the history on disk. */
#include "agent/brain.h"
#include "base/file.h"
#include "base/mem.h"

#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Copied by hand from the published evaluation harness of MiMo-VL, not from prompt.c. */
static const char official[] =
    "You are a GUI agent. You will be provided with a screenshot, a goal, and your action history. "
    "You need to perform the next action to complete the task.\n\n## Action Space\n"
    "{\"action\": \"click\", \"start_point\": [x,y]}\n"
    "{\"action\": \"drag\", \"start_point\": [x,y], \"end_point\": [x,y]}\n"
    "{\"action\": \"input\", \"text\": \"text\"}\n"
    "{\"action\": \"press\", \"keys\": [key1, key2, ...]}\n"
    "{\"action\": \"wait\"}\n{\"action\": \"finished\", \"status\": \"status\"}\n\n"
    "## Goal\nClick OK\n\n## Previous Actions\nNone\n\n"
    "Now, output the next action in json format [{\"action\": \"{action_name}\"}, ...].";

static void the_agent_prompt_is_the_official_one(void **state)
{
    struct str s = {0};
    prompt_agent("Click OK", "", &s);
    assert_string_equal(s.s, official);
    str_reset(&s);
    prompt_agent("g", "Step 0: {\"action_name\": \"wait\"}.", &s);
    assert_non_null(
        strstr(s.s, "## Previous Actions\nStep 0: {\"action_name\": \"wait\"}.\n\nNow,"));
    str_done(&s);
}

static void a_quote_cannot_leave_the_grounding_command(void **state)
{
    struct str s = {0};
    prompt_ground("the \"OK\" button", &s);
    assert_string_equal(s.s, "Locate UI components that match the command: \"the 'OK' button\". "
                             "Output a JSON in the format [{\"bbox_2d\": [...], \"label\": "
                             "\"{the_whole_command}\"}, ...].");
    str_done(&s);
}

static void fill(struct frame *f, int x, int y, int w, int h, uint8_t v)
{
    for (int j = y; j < y + h; j++)
        memset(f->rgb + ((size_t)j * (size_t)f->w + (size_t)x) * 3, v, (size_t)w * 3);
}

static struct step screens(enum action_kind kind, int x, int y)
{
    struct step s = {.action = {.kind = kind, .has_start = true, .start_px = {x, y}}};
    frame_alloc(&s.before, 320, 240);
    memset(s.before.rgb, 200, 320 * 240 * 3);
    frame_dup(&s.after, &s.before);
    return s;
}

static void the_same_screen_is_no_effect(void **state)
{
    struct step s = screens(ACTION_CLICK, 100, 100);
    struct effect e;
    effect_check(&s, true, &e);
    assert_int_equal(e.kind, EFFECT_NO_EFFECT);
    fill(&s.after, 0, 0, 2, 1, 203); /* noise below the tolerance */
    effect_check(&s, true, &e);
    assert_int_equal(e.kind, EFFECT_NO_EFFECT);
    step_done(&s);
}

static void a_change_on_a_quiet_screen_confirms(void **state)
{
    struct step s = screens(ACTION_CLICK, 100, 100);
    struct effect e;
    fill(&s.after, 200, 30, 20, 10, 0);
    effect_check(&s, true, &e);
    assert_int_equal(e.kind, EFFECT_CONFIRMED);
    assert_int_equal(e.where.x, 200);
    assert_int_equal(e.where.y, 30);
    assert_int_equal(e.where.w, 20);
    assert_int_equal(e.where.h, 10);
    step_done(&s);
}

static void a_restless_screen_proves_only_what_is_near(void **state)
{
    struct step s = screens(ACTION_CLICK, 40, 200);
    struct effect e;
    fill(&s.after, 250, 10, 20, 10, 0); /* a clock in the corner */
    effect_check(&s, false, &e);
    assert_int_equal(e.kind, EFFECT_UNVERIFIABLE);
    fill(&s.after, 30, 190, 20, 20, 0);
    effect_check(&s, false, &e);
    assert_int_equal(e.kind, EFFECT_CONFIRMED);
    step_done(&s);
}

static void a_blinking_caret_is_no_typed_text(void **state)
{
    struct step s = screens(ACTION_INPUT, 100, 100);
    struct effect e;
    fill(&s.after, 100, 90, 1, 17, 0);
    effect_check(&s, true, &e);
    assert_int_equal(e.kind, EFFECT_NO_EFFECT);
    s.action.kind = ACTION_CLICK; /* which put the caret there */
    effect_check(&s, true, &e);
    assert_int_equal(e.kind, EFFECT_CONFIRMED);
    s.action.kind = ACTION_INPUT;
    fill(&s.after, 104, 92, 6, 9, 0);
    effect_check(&s, true, &e);
    assert_int_equal(e.kind, EFFECT_CONFIRMED);
    step_done(&s);
}

static void waiting_proves_nothing(void **state)
{
    struct step s = screens(ACTION_WAIT, 0, 0);
    struct effect e;
    fill(&s.after, 0, 0, 100, 100, 0);
    effect_check(&s, true, &e);
    assert_int_equal(e.kind, EFFECT_UNVERIFIABLE);
    step_done(&s);
}

static void the_history_survives_and_a_dead_daemon_is_told(void **state)
{
    char dir[] = "/tmp/deskhand-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct store *st;
    struct err err = {0};
    assert_int_equal(store_open(dir, &st, &err), 0);
    int64_t t = store_task_add(st, "Klick \"OK\"; DROP TABLE task", "nano", &err);
    assert_true(t > 0);
    json_t *step = json_pack("{s:i, s:s}", "step", 1, "describe", "click at 3,4");
    assert_int_equal(store_step_add(st, t, 1, step, "thought", &err), 0);
    json_decref(step);
    struct frame f;
    assert_int_equal(frame_alloc(&f, 8, 6), 0);
    memset(f.rgb, 77, 8 * 6 * 3);
    assert_int_equal(store_picture_add(st, t, 1, "before", &f, &err), 0);
    frame_done(&f);
    store_close(st); /* as if killed: the task never ended */

    assert_int_equal(store_open(dir, &st, &err), 0);
    json_t *back = store_task(st, t);
    assert_string_equal(json_string_value(json_object_get(back, "state")), "failed");
    assert_string_equal(json_string_value(json_object_get(back, "goal")),
                        "Klick \"OK\"; DROP TABLE task");
    json_t *s = json_array_get(json_object_get(back, "steps"), 0);
    assert_string_equal(json_string_value(json_object_get(s, "answer")), "thought");
    json_decref(back);
    uint8_t *png;
    size_t n;
    assert_int_equal(store_picture_read(st, t, 1, "before", &png, &n, &err), 0);
    assert_memory_equal(png, "\x89PNG", 4);
    free(png);
    assert_int_not_equal(store_picture_read(st, t, 2, "before", &png, &n, &err), 0);
    assert_null(store_task(st, 999));
    store_close(st);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

static void a_history_of_an_older_version_is_taken_over(void **state)
{
    char dir[] = "/tmp/deskhand-test-XXXXXX", path[64], command[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/history.db", dir);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    /* as it was written before tasks had a code */
    assert_int_equal(
        sqlite3_exec(db,
                     "CREATE TABLE task(id INTEGER PRIMARY KEY AUTOINCREMENT, goal TEXT NOT NULL,"
                     " model TEXT, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',"
                     " started_us INTEGER NOT NULL, ended_us INTEGER,"
                     " steps INTEGER NOT NULL DEFAULT 0);"
                     "INSERT INTO task(goal,state,started_us) VALUES('old','finished',1),"
                     " ('cut off','running',2);",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);

    struct store *st;
    struct err err = {0};
    for (int i = 0; i < 2; i++) { /* the second time there is nothing to take over */
        if (store_open(dir, &st, &err) < 0)
            fail_msg("%s", err.text);
        json_t *old = store_task(st, 1), *cut = store_task(st, 2);
        assert_string_equal(json_string_value(json_object_get(old, "goal")), "old");
        assert_string_equal(json_string_value(json_object_get(old, "code")), "");
        assert_string_equal(json_string_value(json_object_get(cut, "state")), "failed");
        assert_string_equal(json_string_value(json_object_get(cut, "code")), "daemon");
        json_decref(old);
        json_decref(cut);
        store_close(st);
    }
    assert_int_equal(store_open(dir, &st, &err), 0);
    int64_t t = store_task_add(st, "new", "nano", &err);
    assert_int_equal(store_task_set(st, t, "paused", "", "", 1, &err), 0);
    json_t *j = store_task(st, t);
    assert_int_equal(json_integer_value(json_object_get(j, "ended")), 0);
    json_decref(j);
    assert_int_equal(store_task_set(st, t, "failed", "budget", "no", 1, &err), 0);
    j = store_task(st, t);
    assert_string_equal(json_string_value(json_object_get(j, "code")), "budget");
    assert_true(json_integer_value(json_object_get(j, "ended")) > 0);
    json_decref(j);
    store_close(st);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

/* The codes of docs/protocol.md, by which scripts and the client decide. */
static void each_end_has_its_code(void **state)
{
    static const char *const codes[N_ENDINGS] = {
        "", "finished", "needs_user", "stopped", "budget", "refused", "no_effect", "unparsed",
        "display", "model"};
    for (int i = 0; i < N_ENDINGS; i++)
        assert_string_equal(ending_code((enum ending)i), codes[i]);
}

static void hostile_bytes_become_json(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"plain \"ä€\"", "plain \"ä€\""},
        {"", ""},
        {"a\xff" "b", "a\xef\xbf\xbd" "b"},
        {"cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
        {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* an overlong NUL */
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        char room[64];
        json_t *j = text_json(rows[i].in);
        assert_string_equal(json_string_value(j), rows[i].out);
        json_decref(j);
        snprintf(room, sizeof room, "%s", rows[i].in);
        text_mend(room, sizeof room);
        assert_string_equal(room, rows[i].out);
    }
    json_t *j = text_json(NULL);
    assert_string_equal(json_string_value(j), "");
    json_decref(j);
    /* mended text is longer: it ends before a letter that does not fit */
    char tight[8] = "abcd\xff\xff";
    text_mend(tight, sizeof tight);
    assert_string_equal(tight, "abcd\xef\xbf\xbd");
    char tighter[6] = "abcd\xff";
    text_mend(tighter, sizeof tighter);
    assert_string_equal(tighter, "abcd");
}

static void a_program_name_is_no_command_line(void **state)
{
    static const char *const bad[] = {"", "sh -c 'x", "a;b", "../x", "/bin/sh", "-x", "a\nb", "$x"};
    struct err err = {0};
    for (size_t i = 0; i < N_ELEMENTS(bad); i++)
        assert_true(launch_program(bad[i], NULL, &err) < 0);
    assert_true(launch_program("deskhand-no-such-program", NULL, &err) < 0);
    assert_int_equal(launch_program("true", NULL, &err), 0);
}

/* Starts a program that consists of `text` and waits until `done` is in the file `out`. Heap. */
static char *started(const char *dir, const char *name, const char *text, const char *out,
                     const char *done)
{
    AUTO_FREE char *script = file_join(dir, name);
    struct err err = {0};
    char *got = NULL;
    size_t n;
    assert_int_equal(file_write(script, text, strlen(text), 0700, &err), 0);
    if (launch_program(name, ":77", &err) < 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < 500; i++, usleep(20000)) {
        free(got);
        got = NULL;
        if (file_read(out, 65536, &got, &n, NULL) == 0 && strstr(got, done))
            return got;
    }
    fail_msg("%s did not write %s", name, done);
    return got;
}

/* The daemon blocks and ignores signals for its own ends, and may control another display than the
 * one it was started on; a program that it starts must notice none of it. */
static void a_started_program_is_free_and_on_the_right_screen(void **state)
{
    char dir[] = "/tmp/deskhand-test-XXXXXX", path[4096], command[64];
    sigset_t set, old;
    assert_non_null(mkdtemp(dir));
    AUTO_FREE char *old_path = mem_strdup(getenv("PATH"));
    AUTO_FREE char *out = file_join(dir, "out"), *status = file_join(dir, "deskhand-status");
    snprintf(path, sizeof path, "%s:%s", dir, old_path);
    setenv("PATH", path, 1);
    setenv("PROBE_OUT", out, 1);
    setenv("DISPLAY", ":1", 1);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, &old);
    signal(SIGPIPE, SIG_IGN);
    char *display = started(dir, "deskhand-probe",
                            "#!/bin/sh\necho \"<$DISPLAY>\" >\"$PROBE_OUT\"\n", out, ">");
    /* a shell unblocks signals itself, so this one is cp copying its own status over its script */
    char *signals = started(dir, "deskhand-status", "#!/bin/cp /proc/self/status\n", status,
                            "SigCgt");
    sigprocmask(SIG_SETMASK, &old, NULL);
    signal(SIGPIPE, SIG_DFL);
    setenv("PATH", old_path, 1);
    assert_string_equal(display, "<:77>\n");
    unsigned long long blocked = 1, ignored = ~0ull;
    assert_int_equal(sscanf(strstr(signals, "SigBlk:"), "SigBlk: %llx", &blocked), 1);
    assert_int_equal(sscanf(strstr(signals, "SigIgn:"), "SigIgn: %llx", &ignored), 1);
    assert_int_equal(blocked, 0);
    assert_false(ignored & 1ull << (SIGPIPE - 1));
    free(display);
    free(signals);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

/* As many actions as a minute can hold must be countable, or a rate rule never speaks. */
static void a_rate_rule_can_count_to_its_limit(void **state)
{
    assert_true(N_ELEMENTS(((struct task *)0)->acts_us) > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_agent_prompt_is_the_official_one),
        cmocka_unit_test(a_quote_cannot_leave_the_grounding_command),
        cmocka_unit_test(the_same_screen_is_no_effect),
        cmocka_unit_test(a_change_on_a_quiet_screen_confirms),
        cmocka_unit_test(a_restless_screen_proves_only_what_is_near),
        cmocka_unit_test(a_blinking_caret_is_no_typed_text),
        cmocka_unit_test(waiting_proves_nothing),
        cmocka_unit_test(the_history_survives_and_a_dead_daemon_is_told),
        cmocka_unit_test(a_history_of_an_older_version_is_taken_over),
        cmocka_unit_test(each_end_has_its_code),
        cmocka_unit_test(hostile_bytes_become_json),
        cmocka_unit_test(a_program_name_is_no_command_line),
        cmocka_unit_test(a_started_program_is_free_and_on_the_right_screen),
        cmocka_unit_test(a_rate_rule_can_count_to_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
