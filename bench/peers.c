/* Takes turns: Deskhand in a child process of its own, then llama.cpp's and ik_llama.cpp's programs
 * on the same file, with as many threads. Every number of Deskhand comes from bench_measure(),
 * theirs from what their programs print about themselves: llama-bench (reading, writing) and
 * llama-mtmd-cli (the vision tower). Loading counts for nobody, and everyone has done the work once
 * before it is timed: ours a run, theirs their own warm-up. A step of theirs is the tower's time, and
 * that of a prompt and a reply of as many tokens as ours; cutting the screenshot counts only for
 * ours. */
#include "bench/peers.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "bench/bench.h"
#include "vision/png.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ROUNDS 25
#define SCREEN_W 1280
#define SCREEN_H 720

enum kind { SEE, READ, WRITE, STEP };

static const struct row {
    const char *name;
    enum kind kind;
    const char *file, *weights;
    int n_prompt, n_reply;
    const char *goal;
    bool bf16_tower; /* theirs; of a step it is always, because that is their fastest */
} rows[] = { /* named by their weights and ours */
    {"vision tower, F16 / bf16", SEE, "q8_0", "as is", 0, 1, "3 times llama.cpp"},
    {"vision tower, F16 / int8", SEE, "q8_0", "int8", 0, 1, "5.5 times llama.cpp"},
    {"vision tower, BF16 / bf16", SEE, "q8_0", "as is", 0, 1, "", true},
    {"prefill 512, BF16", READ, "bf16", "as is", 512, 1, ""},
    {"prefill 512, Q8_0 / int8", READ, "q8_0", "int8", 512, 1, "2.7 and 1.7 times"},
    {"prefill 512, Q4_K_M / int4", READ, "q4_k_m", "int4", 512, 1, "2.7 and 1.7 times"},
    {"prefill 2048, BF16", READ, "bf16", "as is", 2048, 1, ""},
    {"prefill 2048, Q8_0 / int8", READ, "q8_0", "int8", 2048, 1, "2.7 and 1.7 times"},
    {"prefill 2048, Q4_K_M / int4", READ, "q4_k_m", "int4", 2048, 1, "2.7 and 1.7 times"},
    {"decode, Q4_0 / int4", WRITE, "q4_0", "int4", 32, 64, "90 % of reading"},
    {"decode, Q8_0 / int8", WRITE, "q8_0", "int8", 32, 64, "90 % of reading"},
    {"decode, BF16", WRITE, "bf16", "as is", 32, 32, ""},
    {"GUI step, Q4_0 / int4", STEP, "q4_0", "int4", 1496, 100, "3 and 2.5 times"},
    {"GUI step, Q4_K_M / int4", STEP, "q4_k_m", "int4", 1496, 100, "3 and 2.5 times"},
};

struct ours {
    struct bench_result b;
    struct vlm_info info;
    struct err err;
    int rc;
};

struct peers {
    const struct peers_options *o;
    char picture[32]; /* a screenshot for them */
    FILE *out;
};

/* What a program writes, both streams together. */
static int run_program(char *const argv[], struct str *ret, struct err *err)
{
    posix_spawn_file_actions_t files;
    char buf[65536];
    int fd[2], status, rc;
    extern char **environ;
    pid_t pid;
    ssize_t n;

    if (pipe2(fd, O_CLOEXEC) < 0)
        return err_set(err, -errno, "No pipe: %s.", strerror(errno));
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, fd[1], 1);
    posix_spawn_file_actions_adddup2(&files, fd[1], 2);
    rc = posix_spawn(&pid, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    close(fd[1]);
    if (rc) {
        close(fd[0]);
        return err_set(err, -rc, "%s does not start: %s.", argv[0], strerror(rc));
    }
    while ((n = read(fd[0], buf, sizeof(buf))) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            str_add(ret, buf, (size_t)n);
    close(fd[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        const char *text = str_cstr(ret);
        return err_set(err, -EIO, "%s failed: ...%.200s", argv[0],
                       text + (ret->n > 200 ? ret->n - 200 : 0));
    }
    return 0;
}

double peers_parse(const char *text, const char *before)
{
    const char *at = NULL;
    char *end;

    for (const char *p = text; (p = strstr(p, before)); p++)
        at = p + strlen(before);
    if (!at)
        return -1;
    double v = strtod(at, &end);
    return end == at || !(v > 0) || v > 1e15 ? -1 : v;
}

/* Seconds for the picture. Their versions say it in different words. */
static int their_tower(struct peers *p, const char *bin, const char *file, const char *tower,
                       int n_threads, double *ret, struct err *err)
{
    static const char *const words[] = {"batch encoding done in ", "slice encoded in "};
    AUTO_FREE char *program = file_join(bin, "llama-mtmd-cli");
    AUTO_FREE char *mmproj = file_join(p->o->shapes, tower);
    AUTO(str_done) struct str text = {0};
    char threads[16];
    snprintf(threads, sizeof(threads), "%d", n_threads);
    char *argv[] = {program, (char *)"-m", (char *)file, (char *)"--mmproj", mmproj,
                    (char *)"--image", p->picture, (char *)"-p", (char *)"x", (char *)"-n",
                    (char *)"1", (char *)"-t", threads, (char *)"-c", (char *)"4096",
                    (char *)"--chat-template", (char *)"chatml", NULL};
    int r = run_program(argv, &text, err);
    for (size_t i = 0; i < N_ELEMENTS(words) && r == 0; i++) {
        double ms = peers_parse(str_cstr(&text), words[i]);
        if (ms > 0) {
            *ret = ms / 1e3;
            return 0;
        }
    }
    return r < 0 ? r : err_set(err, -EIO, "%s does not say how long the picture took.", program);
}

/* Seconds for a prompt, a reply, or one after the other. */
static int their_text(struct peers *p, bool is_ik, const char *file, int n_prompt, int n_reply,
                      int n_threads, double *ret, struct err *err)
{
    AUTO_FREE char *program = file_join(is_ik ? p->o->ik : p->o->llama, "llama-bench");
    AUTO(str_done) struct str text = {0};
    char threads[16], prompt[16], reply[16], both[32];
    snprintf(threads, sizeof(threads), "%d", n_threads);
    bool is_both = n_prompt && n_reply;
    snprintf(prompt, sizeof(prompt), "%d", is_both ? 0 : n_prompt);
    snprintf(reply, sizeof(reply), "%d", is_both ? 0 : n_reply);
    snprintf(both, sizeof(both), "%d,%d", n_prompt, n_reply);
    char *argv[24] = {program, (char *)"-m", (char *)file, (char *)"-t", threads, (char *)"-r",
                      (char *)"1", (char *)"-o", (char *)"json", (char *)"-p", prompt, (char *)"-n",
                      reply};
    int n = 13;
    if (is_both) {
        argv[n++] = (char *)"-pg";
        argv[n++] = both;
    }
    if (is_ik) { /* weights in its own order, its fastest way */
        argv[n++] = (char *)"-rtr";
        argv[n++] = (char *)"1";
    }
    int r = run_program(argv, &text, err);
    double ns = r < 0 ? 0 : peers_parse(str_cstr(&text), "\"avg_ns\": ");
    if (ns < 0)
        r = err_set(err, -EIO, "%s writes no \"avg_ns\".", program);
    *ret = ns / 1e9;
    return r;
}

/* In a child, so that every row starts with a fresh process and its peak memory is its own. */
static int measure_ours(const struct peers_options *o, const struct row *row, const char *file,
                        struct ours *ret, struct err *err)
{
    struct bench_options b = {.w = SCREEN_W, .h = SCREEN_H, .n_runs = row->kind == WRITE ? 3 : 1,
                              .n_threads = o->n_threads, .weights = row->weights,
                              .max_tokens = row->n_reply,
                              .n_prompt = row->kind == STEP ? 0 : row->n_prompt};
    int fd[2];
    size_t n = 0;
    ssize_t got;

    fflush(NULL);
    if (pipe2(fd, O_CLOEXEC) < 0)
        return err_set(err, -errno, "No pipe: %s.", strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        struct ours mine = {0};
        mine.rc = bench_measure(file, &b, &mine.b, &mine.info, &mine.err);
        _exit(write(fd[1], &mine, sizeof(mine)) == sizeof(mine) ? 0 : 1);
    }
    close(fd[1]);
    while (pid > 0 && n < sizeof(*ret) &&
           ((got = read(fd[0], (char *)ret + n, sizeof(*ret) - n)) > 0 ||
            (got < 0 && errno == EINTR)))
        n += got > 0 ? (size_t)got : 0;
    close(fd[0]);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    if (n < sizeof(*ret))
        return err_set(err, -EIO, "The measurement of \"%s\" ended early.", row->name);
    if (ret->rc == 0 && ret->b.n_generated < row->n_reply)
        return err_set(err, -EIO, "The model ended its turn after %d of %d tokens.",
                       ret->b.n_generated, row->n_reply);
    return ret->rc < 0 ? err_set(err, ret->rc, "%s", ret->err.text) : 0;
}

/* Rows that count tokens a second are kept as seconds for all of them until they are printed. */
static double our_seconds(const struct row *row, const struct ours *u)
{
    switch (row->kind) {
    case SEE:
        return u->b.vision_ms / 1e3;
    case READ:
        return row->n_prompt / u->b.prefill_tokens_s;
    case WRITE:
        return row->n_reply / u->b.decode_tokens_s;
    case STEP:
        break;
    }
    return u->b.step_ms / 1e3;
}

static int their_seconds(struct peers *p, bool is_ik, const struct row *row, const char *file,
                         int n_threads, double *ret, struct err *err)
{
    double tower = 0, text = 0;
    int r = 0;

    if (row->kind == SEE || row->kind == STEP)
        r = their_tower(p, is_ik ? p->o->ik : p->o->llama, file,
                        row->bf16_tower || row->kind == STEP ? "tower_bf16.gguf" : "mmproj.gguf",
                        n_threads, &tower, err);
    if (r == 0 && row->kind != SEE)
        r = their_text(p, is_ik, file, row->kind == WRITE ? 0 : row->n_prompt,
                       row->kind == READ ? 0 : row->n_reply, n_threads, &text, err);
    *ret = tower + text;
    return r;
}

static void put_number(FILE *out, const struct row *row, double seconds)
{
    if (row->kind == READ || row->kind == WRITE)
        fprintf(out, "%.1f t/s", (row->kind == READ ? row->n_prompt : row->n_reply) / seconds);
    else
        fprintf(out, "%.2f s", seconds);
}

/* What of the machine the row used: its products or its memory. */
static void put_share(FILE *out, const struct row *row, const struct ours *u)
{
    const struct backend_peaks *m = &u->b.machine;
    double peak = strcmp(row->weights, "as is") != 0 ? m->int8_gops
                  : m->bf16_gflops > 0              ? m->bf16_gflops
                                                    : m->f32_gflops;

    if (row->kind == SEE)
        fprintf(out, "%.0f of %.0f GOP/s", u->b.vision_gflops, peak);
    else if (row->kind == READ)
        fprintf(out, "%.0f of %.0f GOP/s", u->b.prefill_gflops, peak);
    else if (row->kind == WRITE)
        fprintf(out, "%.1f of %.1f GB/s, %.0f %%; %.0f %% on 2 MiB pages", u->b.decode_gb_s,
                m->read_gb_s, 100 * u->b.decode_share, 100 * u->b.on_large_pages);
    else
        fprintf(out, "vision %.2f, prompt %.2f, reply %.2f s", u->b.vision_ms / 1e3,
                u->b.prefill_ms / 1e3, u->b.decode_ms / 1e3);
}

static void put_row(const struct peers *p, const struct row *row, const struct ours *u, double us,
                    double llama, double ik)
{
    FILE *out = p->out;

    if (p->o->json) {
        fprintf(out, "{\"row\": \"%s\", \"deskhand_s\": %.4f, \"llama_s\": %.4f, \"ik_s\": %.4f, "
                "\"decode_gb_s\": %.2f, \"read_gb_s\": %.2f, \"peak_mb\": %.0f}\n",
                row->name, us, llama, ik, u->b.decode_gb_s, u->b.machine.read_gb_s, u->b.peak_mb);
        return;
    }
    fprintf(out, "| %s | ", row->name);
    put_number(out, row, us);
    fprintf(out, " | ");
    put_number(out, row, llama);
    fprintf(out, " | %.2f | ", llama / us);
    if (p->o->ik) {
        put_number(out, row, ik);
        fprintf(out, " | %.2f | ", ik / us);
    }
    fprintf(out, "%s | ", row->goal);
    put_share(out, row, u);
    fprintf(out, " |\n");
    if (row->kind == STEP)
        fprintf(
            out,
            "| second step, same words, other screen | %.2f s, %d of %d prefix tokens computed "
            "twice |\n"
            "| peak memory | %.0f MB = weights %.0f + keys and values of %d tokens %.0f + %.0f |\n",
            u->b.second_ms / 1e3, u->b.n_prefix_again, u->b.n_prefix, u->b.peak_mb,
            (double)u->info.weight_bytes / 1e6, u->b.n_prompt + u->b.n_generated,
            (double)u->info.kv_bytes / 1e6 / u->info.n_ctx * (u->b.n_prompt + u->b.n_generated),
            u->b.peak_mb - (double)u->info.weight_bytes / 1e6 -
                (double)u->info.kv_bytes / 1e6 / u->info.n_ctx *
                    (u->b.n_prompt + u->b.n_generated));
    fflush(out);
}

static int run_row(struct peers *p, const struct row *row, struct err *err)
{
    char name[32];
    snprintf(name, sizeof(name), "%s.gguf", row->file);
    AUTO_FREE char *file = file_join(p->o->shapes, name);
    double us[MAX_ROUNDS], llama[MAX_ROUNDS], ik[MAX_ROUNDS] = {0};
    int n = p->o->n_rounds ? p->o->n_rounds : 3, r = 0;
    struct ours u = {0};

    if (access(file, R_OK) < 0) {
        fprintf(p->out, "| %s | not measured: no %s |\n", row->name, file);
        return 0;
    }
    for (int i = 0; i < n && r == 0; i++) {
        if ((r = measure_ours(p->o, row, file, &u, err)) < 0)
            return r;
        us[i] = our_seconds(row, &u);
        if ((r = their_seconds(p, false, row, file, u.info.n_threads, &llama[i], err)) == 0 &&
            p->o->ik)
            r = their_seconds(p, true, row, file, u.info.n_threads, &ik[i], err);
    }
    if (r == 0)
        put_row(p, row, &u, bench_median(us, n), bench_median(llama, n), bench_median(ik, n));
    return r;
}

static int draw_picture(struct peers *p, struct err *err)
{
    struct frame f = {0};
    int r = frame_alloc(&f, SCREEN_W, SCREEN_H);

    if (r < 0)
        return err_set(err, r, "No memory for a screen.");
    snprintf(p->picture, sizeof(p->picture), "/tmp/deskhand-XXXXXX.png");
    int fd = mkstemps(p->picture, 4);
    if (fd < 0) {
        r = err_set(err, -errno, "No temporary file: %s.", strerror(errno));
    } else {
        close(fd);
        bench_draw(&f, 0);
        r = png_write_file(&f, p->picture, err);
    }
    frame_done(&f);
    return r;
}

static int put_head(struct peers *p, struct err *err)
{
    struct backend *b;
    struct backend_peaks m;
    int r = backend_cpu_open(NULL, NULL, p->o->n_threads, &b, err);

    if (r < 0 || p->o->json)
        return r;
    b->measure(b, &m);
    fprintf(
        p->out,
        "%d threads reach %.0f GFLOP/s in f32, %.0f in bf16, %.0f GOP/s in int8, and read memory "
        "at %.1f GB/s.\nMedians of %d.\n\n",
        b->n_threads, m.f32_gflops, m.bf16_gflops, m.int8_gops, m.read_gb_s,
        p->o->n_rounds ? p->o->n_rounds : 3);
    fprintf(p->out,
            "| what | Deskhand | llama.cpp | ratio |%s goal | of the machine |\n"
            "|---|---|---|---|%s---|---|\n",
            p->o->ik ? " ik_llama.cpp | ratio |" : "", p->o->ik ? "---|---|" : "");
    b->close(b);
    return 0;
}

int peers_run(const struct peers_options *o, FILE *out, struct err *err)
{
    struct peers p = {.o = o, .out = out};
    int r, n = 0;

    if (o->n_rounds < 0 || o->n_rounds > MAX_ROUNDS)
        return err_set(err, -EINVAL, "%d rounds asked for; expected 1 to %d.", o->n_rounds,
                       MAX_ROUNDS);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        n += !o->rows || str_starts(rows[i].name, o->rows);
    if (n == 0)
        return err_set(err, -EINVAL, "No row begins with \"%s\"; the first is \"%s\".", o->rows,
                       rows[0].name);
    r = draw_picture(&p, err);
    if (r == 0)
        r = put_head(&p, err);
    for (size_t i = 0; i < N_ELEMENTS(rows) && r == 0; i++)
        if (!o->rows || str_starts(rows[i].name, o->rows))
            r = run_row(&p, &rows[i], err);
    if (*p.picture)
        unlink(p.picture);
    return r;
}
