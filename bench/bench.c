/* Times one step of the agent stage by stage: a drawn screen is resized, cut, encoded, read with a
 * prompt of about 300 tokens, and answered. Medians, because a desktop is never quiet; the
 * machine's own limits are measured in the same run, so the numbers can be judged anywhere. */
#include "bench/bench.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/source.h"
#include "vision/patch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define N_TEXT 300 /* tokens of the prompt that are no picture */

enum { RESIZE, VISION, PREFILL, DECODE, STEP, SECOND, WARM, N_STAGES };
/* What a run says beside its times. */
enum { DECODE_GB_S, DECODE_SHARE, F32, BF16, INT8, READING, N_RATES };

void bench_draw(struct frame *f, uint32_t seed)
{
    for (int y = 0; y < f->h; y++) {
        for (int x = 0; x < f->w; x++) {
            uint8_t *p = f->rgb + ((size_t)y * (size_t)f->w + (size_t)x) * 3;
            uint32_t box = (uint32_t)(x / 160 * 7 + y / 120 * 13) + seed;
            bool mark =
                y % 20 > 8 && x % 8 < 5 && ((uint32_t)(x / 8 * 31 + y / 20 * 17) + seed) % 3;
            p[0] = mark ? 20 : (uint8_t)(200 + box % 50);
            p[1] = mark ? 20 : (uint8_t)(190 + box * 3 % 60);
            p[2] = mark ? 30 : (uint8_t)(180 + box * 5 % 70);
        }
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof(*v), compare);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* The share of this process' anonymous memory that lies on 2 MiB pages. */
static double large_pages_share(void)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "re");
    char line[128];
    double all = 0, large = 0, n;

    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "Anonymous: %lf", &n) == 1)
            all = n;
        else if (sscanf(line, "AnonHugePages: %lf", &n) == 1)
            large = n;
    }
    if (f)
        fclose(f);
    return all > 0 ? large / all : 0;
}

/* Multiplications and additions of the vision tower on n patches, window attention left out where
 * it is small: 64 keys a query. */
static double vision_flops(const struct vlm_config *c, double n)
{
    double d = c->vit.d_model, m = c->vit.d_ff, unit = c->vit.merge_size * c->vit.merge_size;
    double side = c->vit.window_size / c->vit.patch_size, full = c->vit.n_full;
    double linear = d * (4 * d + 3 * m) * c->vit.depth;
    double keys = full * n + (c->vit.depth - full) * side * side;
    double merger = (d * unit) * (d * unit + c->d_model) / unit;
    double patch = 3.0 * c->vit.patch_size * c->vit.patch_size * d;

    return 2 * n * (linear + 2 * keys * d + merger + patch);
}

static double lm_flops(const struct vlm_config *c, double n)
{
    double q = (double)c->n_heads * c->d_head, kv = (double)c->n_kv_heads * c->d_head;
    double layer = c->d_model * (2 * q + 2 * kv) + 3.0 * c->d_model * c->d_ff + q * n;

    double last = c->d_model * (q + 2 * kv); /* after its keys and values only one row goes on */

    return 2 * n * (layer * (c->n_layers - 1) + last);
}

static void endless_start(const void *data, void *state)
{
}

static bool endless_step(const void *data, void *state, uint8_t byte)
{
    return true;
}

static bool endless_end(const void *data, const void *state)
{
    return false;
}

const struct grammar bench_endless = {
    .state_size = 1, .start = endless_start, .step = endless_step, .may_end = endless_end};

/* The words of a step: what goes before the picture and what comes behind it. */
struct words {
    struct str system, user;
};

static void words_done(struct words *w)
{
    str_done(&w->system);
    str_done(&w->user);
}

struct step {
    struct patches p;
    struct vlm_part system, user[2];
    struct vlm_message messages[2];
    struct vlm_request request;
};

static int step_init(struct step *s, struct vlm *m, const struct frame *screen, struct words *w,
                     int max_tokens, struct bench_result *ret, struct err *err)
{
    *s = (struct step){0};
    int r = patch_from_frame(screen, vlm_image_spec(m), &s->p, &ret->w, &ret->h, err);

    s->system = (struct vlm_part){VLM_TEXT, str_cstr(&w->system), NULL};
    s->user[0] = (struct vlm_part){VLM_IMAGE, NULL, &s->p};
    s->user[1] = (struct vlm_part){VLM_TEXT, str_cstr(&w->user), NULL};
    s->messages[0] = (struct vlm_message){"system", &s->system, 1};
    s->messages[1] = (struct vlm_message){"user", s->user, 2};
    s->request = (struct vlm_request){.messages = s->messages, .n_messages = 2,
                                      .max_tokens = max_tokens, .n_draft = -1,
                                      .grammar = &bench_endless};
    return r;
}

/* The tokens of the prompt without the picture's, and those before the picture. */
static int count_words(struct vlm *m, const struct step *s, int *ret_text, int *ret_prefix,
                       struct err *err)
{
    int32_t *pad = NULL, *ids = NULL, *pos = NULL;
    int n_pad, n, r;

    if ((r = vlm_tokenize(m, "<|image_pad|>", 13, true, &pad, &n_pad, err)) == 0 &&
        (r = vlm_prompt(m, &s->request, &ids, &pos, &n, err)) == 0) {
        int at = 0;
        while (at < n && ids[at] != pad[0])
            at++;
        *ret_prefix = at;
        *ret_text = n - patches_n_tokens(&s->p);
    }
    free(pad);
    free(ids);
    free(pos);
    return r;
}

/* A third of the words before the picture; run: so that no step begins as an earlier one. */
static int write_words(struct vlm *m, const struct frame *screen, int run, struct words *w,
                       struct bench_result *ret, struct err *err)
{
    int n_text = 0, n_prefix = 0, r = 0;

    str_printf(&w->system, "%d. You work on a desktop. ", run);
    for (int i = 0; n_text < N_TEXT && r == 0; i++) {
        struct step s;
        str_printf(n_prefix < N_TEXT / 3 ? &w->system : &w->user, "Step %d: click OK. ", i);
        if ((r = step_init(&s, m, screen, w, 1, ret, err)) == 0)
            r = count_words(m, &s, &n_text, &n_prefix, err);
        patches_done(&s.p);
    }
    ret->n_prefix = n_prefix;
    return r;
}

static int one_step(struct vlm *m, struct frame *screen, int run, int max_tokens,
                    struct bench_result *ret, double ms[N_STAGES], struct err *err)
{
    AUTO(words_done) struct words w = {0};
    struct vlm_reply reply;
    struct step s;
    int r;

    bench_draw(screen, (uint32_t)run * 2);
    if ((r = write_words(m, screen, run, &w, ret, err)) < 0)
        return r;
    /* The second round sees another screen, the third the same one again. */
    static const int stages[] = {STEP, SECOND, WARM};
    for (int i = 0; i < 3 && r == 0; i++) {
        if (i == 1)
            bench_draw(screen, (uint32_t)run * 2 + 1);
        int64_t start = clock_now_us();
        r = step_init(&s, m, screen, &w, max_tokens, ret, err);
        int64_t cut = clock_now_us();
        if (r == 0 && (r = vlm_generate(m, &s.request, &reply, err)) == 0) {
            ms[stages[i]] = (double)(clock_now_us() - start) / 1e3;
            if (i == 0) {
                ms[RESIZE] = (double)(cut - start) / 1e3;
                ms[VISION] = (double)reply.vision_us / 1e3;
                ms[PREFILL] = (double)reply.prefill_us / 1e3;
                ms[DECODE] = (double)reply.decode_us / 1e3;
                ret->n_prompt = reply.n_prompt;
                ret->n_visual = reply.n_visual;
                ret->n_generated = reply.n_generated;
                ret->n_patches = s.p.grid_t * s.p.grid_h * s.p.grid_w;
            } else if (i == 1) {
                ret->n_prefix_again = MAX(0, ret->n_prefix - reply.n_reused);
            }
            vlm_reply_done(&reply);
        }
        patches_done(&s.p);
    }
    return r;
}

int bench_words(struct vlm *m, int n_tokens, int run, struct str *ret, int *ret_n, struct err *err)
{
    int32_t *ids;
    int n = 0, r;

    for (int i = 0; n < n_tokens; i++) {
        str_printf(ret, "%c%d the ", 'a' + (run + i) % 26, run * 7 + i);
        if (i % 16 == 15) {
            if ((r = vlm_tokenize(m, ret->s, ret->n, false, &ids, &n, err)) < 0)
                return r;
            free(ids);
        }
    }
    *ret_n = n;
    return 0;
}

/* A prompt of text alone; the number of its tokens is in ret. */
static int one_text(struct vlm *m, int n_prompt, int run, int max_tokens, struct bench_result *ret,
                    double ms[N_STAGES], struct err *err)
{
    AUTO(str_done) struct str text = {0};
    struct vlm_part part = {VLM_TEXT, NULL, NULL};
    struct vlm_message message = {"user", &part, 1};
    struct vlm_request q = {.messages = &message, .n_messages = 1, .max_tokens = max_tokens,
                            .n_draft = -1, .grammar = &bench_endless};
    struct vlm_reply reply;
    int n, r;

    if ((r = bench_words(m, n_prompt, run, &text, &n, err)) < 0)
        return r;
    part.text = str_cstr(&text);
    int64_t start = clock_now_us();
    if ((r = vlm_generate(m, &q, &reply, err)) < 0)
        return r;
    ms[STEP] = (double)(clock_now_us() - start) / 1e3;
    ms[PREFILL] = (double)reply.prefill_us / 1e3;
    ms[DECODE] = (double)reply.decode_us / 1e3;
    ret->n_prompt = reply.n_prompt - reply.n_reused;
    ret->n_generated = reply.n_generated;
    vlm_reply_done(&reply);
    return 0;
}

/* The machine is measured right after each run: on one that others use too, it is another one a
 * minute later. */
static void rate(struct backend *b, const struct vlm_info *info, const struct bench_result *res,
                 const double ms[N_STAGES], int run, double rates[N_RATES][BENCH_RUNS_MAX])
{
    struct backend_peaks m;

    b->measure(b, &m);
    rates[DECODE_GB_S][run] = (res->n_generated - 1) / MAX(ms[DECODE], 1e-3) *
                              (double)info->token_bytes / 1e6;
    rates[DECODE_SHARE][run] = rates[DECODE_GB_S][run] / m.read_gb_s;
    rates[F32][run] = m.f32_gflops;
    rates[BF16][run] = m.bf16_gflops;
    rates[INT8][run] = m.int8_gops;
    rates[READING][run] = m.read_gb_s;
}

int bench_measure(const char *model_dir, const struct bench_options *o, struct bench_result *ret,
                  struct vlm_info *ret_info, struct err *err)
{
    int runs = o->n_runs ? o->n_runs : 5;
    struct vlm_options vo = {.n_threads = o->n_threads, .backend = o->backend,
                             .precision = o->precision, .weights = o->weights, .kv = o->kv};
    struct bench_result res = {0};
    struct vlm_config c;
    struct source *source = NULL;
    struct frame screen = {0};
    struct backend *b = NULL;
    struct vlm *m = NULL;
    struct rusage use;
    /* one benchmark at a time */
    static double ms[N_STAGES][BENCH_RUNS_MAX], rates[N_RATES][BENCH_RUNS_MAX];
    int r;

    if (runs < 1 || runs > BENCH_RUNS_MAX)
        return err_set(err, -EINVAL, "%d runs asked for; expected 1 to %d.", runs, BENCH_RUNS_MAX);
    if ((r = frame_alloc(&screen, o->w ? o->w : 1280, o->h ? o->h : 800)) < 0)
        return err_set(err, r, "A screen of %d x %d cannot be drawn.", o->w, o->h);
    if ((r = source_open(model_dir, NULL, &source, err)) < 0 ||
        (r = source_config(source, &c, err)) < 0 || (r = vlm_open(model_dir, &vo, &m, err)) < 0 ||
        (r = backend_open(o->backend, o->precision, o->n_threads, &b, err)) < 0)
        goto out;
    vlm_info(m, ret_info);
    for (int i = 0; i <= runs && r == 0; i++) {
        double one[N_STAGES] = {0};
        int max_tokens = o->max_tokens ? o->max_tokens : 64;
        r = o->n_prompt ? one_text(m, o->n_prompt, i, max_tokens, &res, one, err)
                        : one_step(m, &screen, i, max_tokens, &res, one, err);
        if (r < 0 || i == 0)
            continue;
        for (int s = 0; s < N_STAGES; s++)
            ms[s][i - 1] = one[s];
        res.peak_mb =
            getrusage(RUSAGE_SELF, &use) == 0 ? MAX(res.peak_mb, (double)use.ru_maxrss / 1e3) : 0;
        res.on_large_pages = large_pages_share();
        rate(b, ret_info, &res, one, i - 1, rates);
    }
    if (r < 0)
        goto out;
    res.resize_ms = bench_median(ms[RESIZE], runs);
    res.vision_ms = bench_median(ms[VISION], runs);
    res.prefill_ms = bench_median(ms[PREFILL], runs);
    res.decode_ms = bench_median(ms[DECODE], runs);
    res.step_ms = bench_median(ms[STEP], runs);
    res.second_ms = bench_median(ms[SECOND], runs);
    res.warm_ms = bench_median(ms[WARM], runs);
    res.prefill_tokens_s = res.n_prompt / res.prefill_ms * 1e3;
    res.decode_tokens_s = (res.n_generated - 1) / MAX(res.decode_ms, 1e-3) * 1e3;
    res.decode_gb_s = bench_median(rates[DECODE_GB_S], runs);
    res.decode_share = bench_median(rates[DECODE_SHARE], runs);
    res.machine =
        (struct backend_peaks){bench_median(rates[F32], runs), bench_median(rates[BF16], runs),
                               bench_median(rates[INT8], runs), bench_median(rates[READING], runs)};
    res.vision_gflops = o->n_prompt ? 0 : vision_flops(&c, res.n_patches) / res.vision_ms / 1e6;
    res.prefill_gflops = lm_flops(&c, res.n_prompt) / res.prefill_ms / 1e6;
    *ret = res;
out:
    if (b)
        b->close(b);
    vlm_close(m);
    source_close(source);
    frame_done(&screen);
    return r;
}

int bench_run(const char *model_dir, const struct bench_options *o, FILE *out, struct err *err)
{
    struct bench_result b;
    struct vlm_info i;
    int r = bench_measure(model_dir, o, &b, &i, err);

    if (r < 0)
        return r;
    if (o->json) {
        fprintf(out,
                "{\"backend\": \"%s\", \"threads\": %d, \"image\": [%d, %d], \"patches\": %d, "
                "\"prompt_tokens\": %d, \"visual_tokens\": %d, \"generated_tokens\": %d, "
                "\"resize_ms\": %.2f, \"vision_ms\": %.2f, \"prefill_ms\": %.2f, "
                "\"decode_ms\": %.2f, \"step_ms\": %.2f, \"second_step_ms\": %.2f, "
                "\"warm_step_ms\": %.2f, \"prefix_tokens\": %d, \"prefix_tokens_again\": %d, "
                "\"prefill_tokens_s\": %.1f, \"decode_tokens_s\": %.1f, \"decode_gb_s\": %.1f, "
                "\"decode_share\": %.3f, "
                "\"vision_gflops\": %.1f, \"prefill_gflops\": %.1f, \"peak_mb\": %.0f, "
                "\"on_large_pages\": %.3f, \"f32_gflops\": %.1f, \"bf16_gflops\": %.1f, "
                "\"int8_gops\": %.1f, \"read_gb_s\": %.1f}\n",
                i.backend, i.n_threads, b.w, b.h, b.n_patches, b.n_prompt, b.n_visual,
                b.n_generated, b.resize_ms, b.vision_ms, b.prefill_ms, b.decode_ms, b.step_ms,
                b.second_ms, b.warm_ms, b.n_prefix, b.n_prefix_again, b.prefill_tokens_s,
                b.decode_tokens_s, b.decode_gb_s, b.decode_share, b.vision_gflops, b.prefill_gflops,
                b.peak_mb, b.on_large_pages, b.machine.f32_gflops, b.machine.bf16_gflops,
                b.machine.int8_gops, b.machine.read_gb_s);
        return 0;
    }
    fprintf(out, "backend   %s, %d threads\n", i.backend, i.n_threads);
    if (!o->n_prompt) {
        fprintf(out, "picture   %d x %d, %d patches, %d visual tokens\n", b.w, b.h, b.n_patches,
                b.n_visual);
        fprintf(out, "resize    %8.1f ms\n", b.resize_ms);
        fprintf(out, "vision    %8.1f ms  %8.1f GFLOP/s\n", b.vision_ms, b.vision_gflops);
    }
    fprintf(out, "prefill   %8.1f ms  %8.1f GFLOP/s  %8.0f tokens/s (%d tokens)\n", b.prefill_ms,
            b.prefill_gflops, b.prefill_tokens_s, b.n_prompt);
    fprintf(
        out,
        "decode    %8.1f ms  %8.1f GB/s     %8.1f tokens/s (%d tokens), %.0f %% of reading alone\n",
        b.decode_ms, b.decode_gb_s, b.decode_tokens_s, b.n_generated, 100 * b.decode_share);
    if (!o->n_prompt)
        fprintf(out,
                "step      %8.1f ms; with another screen %.1f ms (%d of %d prefix tokens computed "
                "twice); the same again %.1f ms\n",
                b.step_ms, b.second_ms, b.n_prefix_again, b.n_prefix, b.warm_ms);
    fprintf(
        out,
        "memory    %8.0f MB at most: weights %.0f, keys and values up to %.0f; %.0f %% on 2 MiB "
        "pages\n",
        b.peak_mb, (double)i.weight_bytes / 1e6, (double)i.kv_bytes / 1e6, 100 * b.on_large_pages);
    fprintf(out,
            "machine   %8.0f GFLOP/s in f32, %.0f in bf16, %.0f GOP/s in int8, reads %.1f GB/s\n",
            b.machine.f32_gflops, b.machine.bf16_gflops, b.machine.int8_gops, b.machine.read_gb_s);
    return 0;
}
