/* base/: text, checked sizes, the mailbox between two threads, whole-file writes. */
#include "base/err.h"
#include "base/file.h"
#include "base/flow.h"
#include "base/json.h"
#include "base/mailbox.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void utf8_refuses_what_the_standard_refuses(void **state)
{
    static const struct {
        const char *s;
        bool ok;
    } rows[] = {
        {"plain", true},     {"gr\xc3\xbc\xc3\x9f", true}, {"\xf0\x9f\x98\x80", true},
        {"\xc0\xaf", false}, {"\xe0\x80\xaf", false},      {"\xed\xa0\x80", false},
        {"\xf4\x90\x80\x80", false}, {"\xc3", false},      {"\x80", false},
        {"\xef\xbf\xbd", true}, /* a real U+FFFD is text */
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        assert_int_equal(utf8_valid(rows[i].s, strlen(rows[i].s)), rows[i].ok);
    for (uint32_t cp = 1; cp < 0x110000; cp += 7) {
        char b[4];
        uint32_t back;
        int n = utf8_put(b, cp);
        assert_int_equal(utf8_next(b, (size_t)n, &back), n);
        assert_int_equal(back, cp >= 0xd800 && cp < 0xe000 ? 0xfffd : cp);
    }
}

static void printable_hides_escapes_and_bidi(void **state)
{
    struct str b = {0};
    const char *evil = "a\x1b[2Jb\xe2\x80\xae""c\n\xff";
    str_printable(&b, evil, strlen(evil), 100);
    assert_string_equal(b.s, "a\\u{1b}[2Jb\\u{202e}c\\n\\xff");
    str_reset(&b);
    str_printable(&b, "abcdef", 6, 3);
    assert_string_equal(b.s, "abc…");
    str_done(&b);
}

static void a_buffer_stops_at_its_ceiling(void **state)
{
    struct str b = {.max = 10};
    str_puts(&b, "12345678");
    str_puts(&b, "901");
    assert_true(b.overflow);
    assert_string_equal(b.s, "12345678");
    str_done(&b);
}

static void products_are_checked(void **state)
{
    size_t n = 7;
    assert_true(mem_mul(&n, SIZE_MAX / 2, 3));
    assert_int_equal(n, 7);
    assert_false(mem_mul(&n, 6, 7));
    assert_int_equal(n, 42);
}

static void files_are_replaced_whole(void **state)
{
    char dir[] = "/tmp/deskhand-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    AUTO_FREE char *path = file_join(dir, "x/y");
    AUTO_FREE char *sub = file_join(dir, "x");
    struct err err = {0};
    assert_int_equal(file_mkdirs(sub, 0700, &err), 0);
    assert_int_equal(file_write(path, "secret", 6, 0600, &err), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    char *data;
    size_t n;
    assert_int_equal(file_read(path, 100, &data, &n, &err), 0);
    assert_string_equal(data, "secret");
    free(data);
    assert_int_equal(file_read(path, 5, &data, &n, &err), -EFBIG);
    assert_non_null(strstr(err.text, "6 bytes"));
    assert_int_equal(file_read(dir, 5, &data, &n, &err), -EINVAL);
    unlink(path);
    rmdir(sub);
    rmdir(dir);
}

#define N_LETTERS 20000

static void give(void *user)
{
    for (int i = 0; i < N_LETTERS; i++) {
        int *n = mem_alloc(sizeof *n);
        *n = i;
        mailbox_put(user, n);
    }
}

static void letters_arrive_once_and_in_order(void **state)
{
    struct mailbox *m = mailbox_new(NULL, NULL);
    struct thread *t = thread_start("giver", give, m);
    for (int i = 0; i < N_LETTERS; i++) {
        int *n = mailbox_wait(m, 10000000);
        assert_non_null(n);
        assert_int_equal(*n, i);
        free(n);
    }
    thread_join(t);
    assert_null(mailbox_wait(m, 1000));
    mailbox_close(m);
    assert_null(mailbox_wait(m, -1));
    mailbox_free(m, NULL);
}

static void frames_have_sane_sizes(void **state)
{
    struct frame f = {0};
    assert_int_equal(frame_alloc(&f, 0, 5), -EINVAL);
    assert_int_equal(frame_alloc(&f, 5, 40000), -EINVAL);
    assert_int_equal(frame_alloc(&f, 5, 4), 0);
    frame_done(&f);
}

static size_t resident_pages(void)
{
    size_t all = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%zu %zu", &all, &resident), 2);
    fclose(f);
    return resident;
}

/* Zeroes also where the memory was used before, and nothing is taken that is not touched. */
static void large_aligned_memory_is_zeroed_and_lazy(void **state)
{
    size_t n = (size_t)64 << 20, page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t k = 0; k < 40; k++) {
        size_t some = ((size_t)1 << 20) + 64 * k * 37;
        uint8_t *p = mem_aligned(some);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < some; i++)
            if (p[i])
                fail_msg("byte %zu of %zu is %d", i, some, p[i]);
        memset(p, 0xa5, some);
        free(p);
    }
    size_t before = resident_pages();
    uint8_t *p = mem_aligned(n);
    p[n / 2] = 1;
    assert_true(resident_pages() - before < n / page / 2);
    free(p);
}

static void json_files_are_bounded_and_of_one_kind(void **state)
{
    char path[] = "/tmp/deskhand-json-XXXXXX";
    static const struct {
        const char *text, *part; /* of the sentence; NULL: it is fine */
        enum json_want want;
        size_t flags;
    } rows[] = {{"{\"a\": 1}", NULL, JSON_WANT_OBJECT, 0},
                {"[1]", NULL, JSON_WANT_ARRAY, 0},
                {"[1]", "is not a JSON object", JSON_WANT_OBJECT, 0},
                {"{}", "is not a JSON list", JSON_WANT_ARRAY, 0},
                {"{\n\"a\": }", "line 2", JSON_WANT_OBJECT, 0},
                {"", "line 1", JSON_WANT_OBJECT, 0},
                {"{\"a\": 1, \"a\": 2}", "duplicate", JSON_WANT_OBJECT, JSON_REJECT_DUPLICATES},
                {"{\"a\": \"0123456789012345678901234567890\"}", "more than the 32",
                 JSON_WANT_OBJECT, 0}};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct err err = {0};
        json_t *j = NULL;
        assert_int_equal(file_write(path, rows[i].text, strlen(rows[i].text), 0600, &err), 0);
        int rc = json_read(path, 32, rows[i].want, rows[i].flags, &j, &err);
        assert_int_equal(rc == 0, !rows[i].part);
        if (rows[i].part && (!strstr(err.text, rows[i].part) || !strstr(err.text, path)))
            fail_msg("%s", err.text);
        assert_int_equal(j != NULL, rc == 0);
        json_decref(j);
    }
    unlink(path);
    assert_int_equal(json_read(path, 32, JSON_WANT_OBJECT, 0, &(json_t *){NULL}, NULL), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_refuses_what_the_standard_refuses),
        cmocka_unit_test(printable_hides_escapes_and_bidi),
        cmocka_unit_test(a_buffer_stops_at_its_ceiling),
        cmocka_unit_test(products_are_checked),
        cmocka_unit_test(files_are_replaced_whole),
        cmocka_unit_test(letters_arrive_once_and_in_order),
        cmocka_unit_test(frames_have_sane_sizes),
        cmocka_unit_test(json_files_are_bounded_and_of_one_kind),
        cmocka_unit_test(large_aligned_memory_is_zeroed_and_lazy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
