/* deskhand bench --vs-llama: what the other programs print is read strictly, rows are chosen by
 * name, and a row runs from both ends: Deskhand on a small GGUF model, theirs as scripts that print
 * what llama.cpp and ik_llama.cpp do. */
#include "base/file.h"
#include "base/mem.h"
#include "bench/peers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/deskhand-peers-XXXXXX";

static void script(const char *folder, const char *name, const char *text)
{
    struct err err = {0};
    AUTO_FREE char *in = file_join(dir, folder);
    AUTO_FREE char *path = file_join(in, name);

    assert_int_equal(file_mkdirs(in, 0755, &err), 0);
    assert_int_equal(file_write(path, text, strlen(text), 0755, &err), 0);
}

static void link_model(const char *from, const char *to)
{
    AUTO_FREE char *path = file_join(dir, to);

    assert_int_equal(symlink(from, path), 0);
}

static int make_folder(void **state)
{
    assert_non_null(mkdtemp(dir));
    link_model(DESKHAND_TEST_GGUF "/vl.gguf", "q8_0.gguf");
    link_model(DESKHAND_TEST_GGUF "/mmproj-vl.gguf", "mmproj.gguf");
    script("llama", "llama-mtmd-cli",
           "#!/bin/sh\necho 0.1 I mtmd batch encoding done in 1234000 ms >&2\n");
    script("llama", "llama-bench",
           "#!/bin/sh\necho '[ { \"avg_ns\": 64000000000000, \"avg_ts\": 1 } ]'\n");
    script("ik", "llama-mtmd-cli", "#!/bin/sh\necho 'image slice encoded in 2345000 ms'\n");
    /* Only with its own order of weights. */
    script("ik", "llama-bench",
           "#!/bin/sh\ncase \"$*\" in *'-rtr 1'*) echo '\"avg_ns\": 32000000000000,';; esac\n");
    script("bad", "llama-bench", "#!/bin/sh\necho no such model; exit 3\n");
    script("dumb", "llama-bench", "#!/bin/sh\necho '\"avg_ns\": none'\n");
    return 0;
}

static int remove_folder(void **state)
{
    char command[64];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

static void test_numbers(void **state)
{
    assert_true(peers_parse("x took 5 ms, y took 7.5 ms", "took ") == 7.5);
    assert_true(peers_parse("x took 5 ms", "needed ") < 0);
    assert_true(peers_parse("took ", "took ") < 0);
    assert_true(peers_parse("took nan", "took ") < 0);
    assert_true(peers_parse("took -3", "took ") < 0);
    assert_true(peers_parse("took inf", "took ") < 0);
}

static int run(const char *llama, const char *ik, const char *rows, char **ret_text,
               struct err *err)
{
    size_t n;
    AUTO_FREE char *llama_dir = file_join(dir, llama);
    AUTO_FREE char *ik_dir = file_join(dir, ik ? ik : "");
    FILE *out = open_memstream(ret_text, &n);
    struct peers_options o = {.llama = llama_dir,
                              .ik = ik ? ik_dir : NULL,
                              .shapes = dir,
                              .rows = rows,
                              .n_threads = 1,
                              .n_rounds = 1};
    int r = peers_run(&o, out, err);
    fclose(out);
    return r;
}

static void test_table(void **state)
{
    struct err err = {0};
    AUTO_FREE char *tower = NULL;
    AUTO_FREE char *decode = NULL;

    assert_int_equal(run("llama", "ik", "vision tower, F16 / int8", &tower, &err), 0);
    assert_non_null(strstr(tower, "1 threads reach "));
    assert_non_null(strstr(tower, "| vision tower, F16 / int8 | "));
    assert_non_null(strstr(tower, " | 1234.00 s | "));
    assert_non_null(strstr(tower, " | 2345.00 s | "));
    assert_null(strstr(tower, "BF16"));
    assert_int_equal(run("llama", "ik", "decode", &decode, &err), 0);
    assert_non_null(strstr(decode, "| decode, Q4_0 / int4 | not measured: no "));
    assert_non_null(strstr(decode, " | 0.0 t/s | ")); /* 64 tokens in 64,000 s */
    assert_non_null(strstr(decode, "% on 2 MiB pages"));
}

static void test_refusals(void **state)
{
    static const struct {
        const char *llama, *rows, *says;
    } bad[] = {{"llama", "encode", "No row begins with \"encode\""},
               {"bad", "decode, Q8_0", "failed: ...no such model"},
               {"dumb", "decode, Q8_0", "writes no \"avg_ns\""},
               {"none", "decode, Q8_0", "does not start: No such file"}};

    for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
        struct err err = {0};
        AUTO_FREE char *text = NULL;
        assert_true(run(bad[i].llama, NULL, bad[i].rows, &text, &err) < 0);
        if (!strstr(err.text, bad[i].says))
            fail_msg("\"%s\" does not say \"%s\"", err.text, bad[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
