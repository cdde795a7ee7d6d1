/* The command line, exit codes, progress lines and doctor's output, as a script or a person gets
 * them. */
#include "client/cli.h"
#include "client/doctor.h"
#include "client/progress.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int parse(struct cli *c, const char *name, ...)
{
    char *argv[16];
    int n = 0;
    va_list ap;
    va_start(ap, name);
    while (n < 16 && (argv[n] = va_arg(ap, char *)))
        n++;
    va_end(ap);
    struct err err = {0};
    int rc = cli_parse(command_find(name), n, argv, c, &err);
    assert_true((rc == 0) == (err.text[0] == 0));
    return rc;
}

static void test_options(void **state)
{
    struct cli c;
    assert_int_equal(parse(&c, "do", "--max-steps", "7", "open it", "--json",
                           "--max-seconds=2.5", NULL), 0);
    assert_true(c.json && c.max_steps == 7 && c.max_seconds > 2.4 && c.max_seconds < 2.6);
    assert_string_equal(c.arg, "open it");
    assert_int_equal(parse(&c, "do", "--", "--json", NULL), 0);
    assert_string_equal(c.arg, "--json");
    assert_false(c.json);
    assert_int_equal(parse(&c, "do", "--approve=ask", "x", NULL), 0);
    assert_int_equal(c.approve, CLI_APPROVE_ASK);

    assert_true(parse(&c, "do", NULL) < 0);
    assert_true(parse(&c, "do", "", NULL) < 0);
    assert_true(parse(&c, "do", "open", "it", NULL) < 0);
    assert_true(parse(&c, "do", "x", "--max-steps", NULL) < 0);
    assert_true(parse(&c, "do", "x", "--max-steps", "0", NULL) < 0);
    assert_true(parse(&c, "do", "x", "--max-steps=3x", NULL) < 0);
    assert_true(parse(&c, "do", "x", "--max-seconds=nan", NULL) < 0);
    assert_true(parse(&c, "do", "x", "--approve=yes", NULL) < 0);
    assert_true(parse(&c, "do", "x", "--yes", NULL) < 0);
    assert_true(parse(&c, "do", "x", "--json=1", NULL) < 0);
    assert_true(parse(&c, "stop", "--model=x", NULL) < 0);
    assert_true(parse(&c, "stop", "now", NULL) < 0);
}

static void test_exit_codes(void **state)
{
    static const struct {
        const char *code, *state;
        int exit;
    } rows[] = {
        {"finished", "finished", 0}, {"no_effect", "failed", 1}, {"unparsed", "failed", 1},
        {"model", "failed", 3},      {"display", "failed", 3},   {"refused", "failed", 4},
        {"needs_user", "needs_user", 5}, {"stopped", "stopped", 6}, {"budget", "failed", 7},
        /* an unknown code falls back to the state */
        {"", "finished", 0},         {"later", "needs_user", 5}, {"later", "stopped", 6},
        {"later", "failed", 1},      {"", "unheard of", 1},
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        assert_int_equal(cli_exit_for_code(rows[i].code, rows[i].state), rows[i].exit);
    assert_int_equal(cli_exit_for_error(0), 3);
    assert_int_equal(cli_exit_for_error(1003), 3);
    assert_int_equal(cli_exit_for_error(1004), 4);
    assert_int_equal(cli_exit_for_error(-32602), 2);
    assert_int_equal(cli_exit_for_error(1001), 1);
}

static char *play(bool tty, bool json)
{
    static const char *const notes[][2] = {
        {"state", "{\"task\":7,\"state\":\"running\"}"},
        {"token", "{\"task\":7,\"step\":3,\"text\":\"The field\\nis\\u001b[2J here\"}"},
        {"action", "{\"task\":7,\"step\":3,\"describe\":\"click at 120,40\"}"},
        {"verdict", "{\"task\":7,\"step\":3,\"verdict\":\"allow\",\"reason\":\"\"}"},
        {"effect", "{\"task\":7,\"step\":3,\"effect\":\"confirmed\",\"evidence\":"
                   "\"\\\"field\\u0007Name\\\" changed\",\"timing\":{\"total_us\":420000}}"},
        {"action", "{\"task\":7,\"step\":4,\"describe\":\"press alt+F4\"}"},
        {"verdict", "{\"task\":7,\"step\":4,\"verdict\":\"deny\",\"reason\":\"closes a window\"}"},
        {"effect", "{\"task\":7,\"step\":4,\"effect\":\"refused\",\"evidence\":\"by rule\"}"},
        {"state", "{\"task\":7,\"state\":\"failed\",\"reason\":\"no\\u202eway\"}"},
    };
    char *text = NULL;
    size_t n = 0;
    struct progress p = {.out = open_memstream(&text, &n), .tty = tty, .json = json};
    for (size_t i = 0; i < N_ELEMENTS(notes); i++) {
        json_t *params = json_loads(notes[i][1], 0, NULL);
        assert_non_null(params);
        progress_note(&p, notes[i][0], params);
        json_decref(params);
    }
    fclose(p.out);
    return text;
}

/* A yes is for all of it, so all of it is shown, and none of it can write to the terminal. */
static void test_question(void **state)
{
    char *text = NULL, long_text[400], expected[600];
    size_t n = 0;
    struct progress p = {.out = open_memstream(&text, &n)};
    memset(long_text, 'x', sizeof(long_text) - 1);
    strcpy(long_text + 380, "; rm -rf ~\x1b[1A");
    json_t *action = json_pack("{s:i, s:i, s:s, s:{s:s, s:s}}", "task", 7, "step", 3, "describe",
                               "type 394 characters", "action", "action", "input", "text",
                               long_text);
    json_t *verdict = json_pack("{s:i, s:i, s:s, s:s, s:s, s:s}", "task", 7, "step", 3, "verdict",
                                "confirm", "reason", "a command", "window_title", "Shell\x1b]0;",
                                "window_class", "XTerm");
    progress_note(&p, "action", action);
    progress_note(&p, "verdict", verdict);
    progress_done(&p);
    fclose(p.out);
    long_text[380] = 0;
    snprintf(expected, sizeof(expected),
             "     to confirm: type 394 characters: a command\n     text: %s; rm -rf ~\\u{1b}[1A\n"
             "     window: Shell\\u{1b}]0; (XTerm)\n", long_text);
    assert_string_equal(text, expected);
    free(text);
    json_decref(action);
    json_decref(verdict);
}

#define PLAIN_STEPS                                                                                \
    "  3  click at 120,40               confirmed     \"field\\u{7}Name\" changed  0.42 s\n"       \
    "     denied: press alt+F4: closes a window\n"                                                 \
    "  4  press alt+F4                  refused       by rule\n"                                   \
    "     failed: no\\u{202e}way\n"

static void test_progress(void **state)
{
    char *plain = play(false, false), *tty = play(true, false), *json = play(false, true);
    assert_string_equal(plain, PLAIN_STEPS);
    assert_string_equal(tty, "\033[2mThe field\nis\\u{1b}[2J here\033[0m\n" PLAIN_STEPS);
    assert_null(strchr(json, '\033'));
    int lines = 0;
    for (char *p = json; *p; p = strchr(p, '\n') + 1, lines++) {
        json_t *j = json_loadb(p, (size_t)(strchr(p, '\n') - p), 0, NULL);
        assert_true(json_is_string(json_object_get(j, "method")));
        json_decref(j);
    }
    assert_int_equal(lines, 9);
    free(plain);
    free(tty);
    free(json);
}

static void test_doctor(void **state)
{
    struct doctor d = {0};
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    doctor_add(&d, DOCTOR_OK, "display", "%s answers", ":1");
    doctor_add(&d, DOCTOR_WARN, "shm", "slow");
    assert_int_equal(doctor_print(&d, out, false), 0);
    doctor_model(&d, "/nonexistent");
    assert_int_equal(doctor_print(&d, out, false), 1);
    fclose(out);
    assert_string_equal(text, "OK    display     :1 answers\nWARN  shm         slow\n"
                              "OK    display     :1 answers\nWARN  shm         slow\n"
                              "FAIL  model       cannot open /nonexistent: No such file or "
                              "directory: give --model a MiMo-VL "
                              "folder or a GGUF file\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options), cmocka_unit_test(test_exit_codes),
        cmocka_unit_test(test_question),
        cmocka_unit_test(test_progress), cmocka_unit_test(test_doctor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
