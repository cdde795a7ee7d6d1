/* Times one step of the agent stage by stage: a drawn screen is resized, cut, encoded, read with a
 * prompt of about 300 tokens, and answered. Medians, because a desktop is never quiet; the machine's
 * own limits are measured in the same run, so the numbers can be judged anywhere. */
#include "bench/bench.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/backend.h"
#include "model/source.h"
#include "vision/patch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RUNS 101

enum { RESIZE, VISION, PREFILL, DECODE, STEP, WARM, N_STAGES };

/* Something like windows on a desktop: rectangles and lines of small marks. Each run draws another
 * one, so that nothing is reused that should not be. */
static void draw_screen(struct frame *f, uint32_t seed)
{
    for (int y = 0; y < f->h; y++) {
        for (int x = 0; x < f->w; x++) {
            uint8_t *p = f->rgb + ((size_t)y * (size_t)f->w + (size_t)x) * 3;
            uint32_t box = (uint32_t)(x / 160 * 7 + y / 120 * 13) + seed;
            bool mark = y % 20 > 8 && x % 8 < 5 && ((uint32_t)(x / 8 * 31 + y / 20 * 17) + seed) % 3;
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

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof(*v), compare);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
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

    return 2 * n * layer * c->n_layers;
}

static int one_step(struct vlm *m, struct frame *screen, const char *text, int max_tokens,
                    struct bench_result *ret, double ms[N_STAGES], struct err *err)
{
    struct patches p = {0};
    struct vlm_reply cold, warm;
    int64_t start = clock_now_us();
    int r = patch_from_frame(screen, vlm_image_spec(m), &p, &ret->w, &ret->h, err);

    if (r < 0)
        return r;
    ms[RESIZE] = (double)(clock_now_us() - start) / 1e3;
    struct vlm_part parts[] = {{VLM_IMAGE, NULL, &p}, {VLM_TEXT, text, NULL}};
    struct vlm_message message = {"user", parts, 2};
    struct vlm_request q = {.messages = &message, .n_messages = 1, .max_tokens = max_tokens};
    if ((r = vlm_generate(m, &q, &cold, err)) == 0) {
        ms[STEP] = (double)(clock_now_us() - start) / 1e3;
        ms[VISION] = (double)cold.vision_us / 1e3;
        ms[PREFILL] = (double)cold.prefill_us / 1e3;
        ms[DECODE] = (double)cold.decode_us / 1e3;
        ret->n_prompt = cold.n_prompt;
        ret->n_visual = cold.n_visual;
        ret->n_generated = cold.n_generated;
        ret->n_patches = p.grid_t * p.grid_h * p.grid_w;
        vlm_reply_done(&cold);
        start = clock_now_us();
        if ((r = vlm_generate(m, &q, &warm, err)) == 0) {
            ms[WARM] = (double)(clock_now_us() - start) / 1e3;
            vlm_reply_done(&warm);
        }
    }
    patches_done(&p);
    return r;
}

/* A prompt of text alone; the number of its tokens is in ret. */
static int one_text(struct vlm *m, int n_prompt, int run, int max_tokens, struct bench_result *ret,
                    double ms[N_STAGES], struct err *err)
{
    AUTO(str_done) struct str text = {0};
    struct vlm_part part = {VLM_TEXT, NULL, NULL};
    struct vlm_message message = {"user", &part, 1};
    struct vlm_request q = {.messages = &message, .n_messages = 1, .max_tokens = max_tokens,
                            .n_draft = -1}; /* guesses would be right on nonsense */
    struct vlm_reply reply;
    int32_t *ids;
    int n = 0, r;

    /* Runs differ from the first word on, so nothing is found in the cache. */
    for (int i = 0; n < n_prompt; i++) {
        str_printf(&text, "%c%d the ", 'a' + (run + i) % 26, run * 7 + i);
        if (i % 16 == 15) {
            if ((r = vlm_tokenize(m, text.s, text.n, false, &ids, &n, err)) < 0)
                return r;
            free(ids);
        }
    }
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

int bench_measure(const char *model_dir, const struct bench_options *o, struct bench_result *ret,
                  struct vlm_info *ret_info, struct err *err)
{
    int runs = o->n_runs ? o->n_runs : 5;
    struct vlm_options vo = {.n_threads = o->n_threads, .backend = o->backend,
                             .precision = o->precision, .weights = o->weights};
    struct bench_result res = {0};
    struct vlm_config c;
    struct source *source = NULL;
    struct frame screen = {0};
    struct backend *b;
    struct vlm *m = NULL;
    static double ms[N_STAGES][MAX_RUNS]; /* one benchmark at a time */
    char text[2048] = "";
    int r;

    if (runs < 1 || runs > MAX_RUNS)
        return err_set(err, -EINVAL, "%d runs asked for; expected 1 to %d.", runs, MAX_RUNS);
    if ((r = frame_alloc(&screen, o->w ? o->w : 1280, o->h ? o->h : 800)) < 0)
        return err_set(err, r, "A screen of %d x %d cannot be drawn.", o->w, o->h);
    for (int i = 0; i < 36; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "Step %d: click OK. ", i);
    if ((r = source_open(model_dir, NULL, &source, err)) < 0 ||
        (r = source_config(source, &c, err)) < 0 || (r = vlm_open(model_dir, &vo, &m, err)) < 0)
        goto out;
    for (int i = 0; i <= runs && r == 0; i++) { /* the first one only warms up */
        double one[N_STAGES] = {0};
        int max_tokens = o->max_tokens ? o->max_tokens : 64;
        draw_screen(&screen, (uint32_t)i);
        r = o->n_prompt ? one_text(m, o->n_prompt, i, max_tokens, &res, one, err)
                        : one_step(m, &screen, text, max_tokens, &res, one, err);
        for (int s = 0; s < N_STAGES && i > 0 && r == 0; s++)
            ms[s][i - 1] = one[s];
    }
    if (r < 0)
        goto out;
    vlm_info(m, ret_info);
    res.resize_ms = median(ms[RESIZE], runs);
    res.vision_ms = median(ms[VISION], runs);
    res.prefill_ms = median(ms[PREFILL], runs);
    res.decode_ms = median(ms[DECODE], runs);
    res.step_ms = median(ms[STEP], runs);
    res.warm_step_ms = median(ms[WARM], runs);
    res.prefill_tokens_s = res.n_prompt / res.prefill_ms * 1e3;
    res.decode_tokens_s = res.n_generated / MAX(res.decode_ms, 1e-3) * 1e3;
    res.vision_gflops = o->n_prompt ? 0 : vision_flops(&c, res.n_patches) / res.vision_ms / 1e6;
    res.prefill_gflops = lm_flops(&c, res.n_prompt) / res.prefill_ms / 1e6;
    if ((r = backend_cpu_open(o->backend, o->precision, o->n_threads, &b, err)) == 0) {
        b->measure(b, &res.peak_gflops, &res.bandwidth_gb_s);
        b->close(b);
        *ret = res;
    }
out:
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
                "\"decode_ms\": %.2f, \"step_ms\": %.2f, \"warm_step_ms\": %.2f, "
                "\"prefill_tokens_s\": %.1f, \"decode_tokens_s\": %.1f, \"vision_gflops\": %.1f, "
                "\"prefill_gflops\": %.1f, \"peak_gflops\": %.1f, \"bandwidth_gb_s\": %.1f}\n",
                i.backend, i.n_threads, b.w, b.h, b.n_patches, b.n_prompt, b.n_visual,
                b.n_generated, b.resize_ms, b.vision_ms, b.prefill_ms, b.decode_ms, b.step_ms,
                b.warm_step_ms, b.prefill_tokens_s, b.decode_tokens_s, b.vision_gflops,
                b.prefill_gflops, b.peak_gflops, b.bandwidth_gb_s);
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
    fprintf(out, "decode    %8.1f ms                    %8.0f tokens/s (%d tokens)\n", b.decode_ms,
            b.decode_tokens_s, b.n_generated);
    fprintf(out, "step      %8.1f ms, of a screen seen before %.1f ms\n", b.step_ms,
            b.warm_step_ms);
    fprintf(out, "machine   %8.1f GFLOP/s in this precision, memory %.1f GB/s\n", b.peak_gflops,
            b.bandwidth_gb_s);
    return 0;
}
