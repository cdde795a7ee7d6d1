/* How fast the engine is on this machine, beside what the machine could do. */
#ifndef DESKHAND_BENCH_BENCH_H
#define DESKHAND_BENCH_BENCH_H

#include "base/err.h"
#include "base/flow.h"
#include "base/str.h"
#include "model/backend.h"
#include "model/vlm.h"

#include <stdbool.h>
#include <stdio.h>

#define BENCH_RUNS_MAX 101

struct bench_options {
    int w, h;            /* of the screen; 0: 1280 x 800 */
    int n_runs;          /* medians are of these, BENCH_RUNS_MAX at most; 0: 5 */
    int n_threads;       /* 0: all */
    const char *backend; /* NULL: the best */
    const char *precision; /* NULL: bf16 where the CPU has it */
    const char *weights; /* NULL: as they are in the file */
    const char *kv;      /* of struct vlm_options */
    int max_tokens;      /* of the reply; 0: 64 */
    int n_prompt;        /* not 0: a text of about so many tokens instead of a screen */
    bool json;           /* one JSON object instead of a table */
};

/* Medians of n_runs cold steps (nothing reused), as many second ones (the same words about another
 * screen) and warm ones (a screen that was seen). No tokens are guessed: on nonsense guesses are
 * right. */
struct bench_result {
    int w, h;                    /* of the picture the model sees */
    int n_patches, n_prompt, n_visual, n_generated;
    double resize_ms, vision_ms, prefill_ms, decode_ms, step_ms;
    /* Tokens before the picture; of these, computed by the second step too. */
    int n_prefix, n_prefix_again;
    double second_ms, warm_ms;
    double prefill_tokens_s;
    double decode_tokens_s;      /* of all but the first token, which comes out of the prompt */
    double decode_gb_s;          /* weights read by that */
    double decode_share;         /* of what reading alone reached right after each run */
    double vision_gflops, prefill_gflops; /* floating point operations of the plan over time */
    double peak_mb;              /* of memory that was resident, weights and all */
    double on_large_pages; /* the share of memory that lies on 2 MiB pages */
    struct backend_peaks machine; /* medians of what was measured after each run */
};
int bench_measure(const char *model_dir, const struct bench_options *o, struct bench_result *ret,
                  struct vlm_info *ret_info, struct err *err);
/* bench_measure() and a report. */
int bench_run(const char *model_dir, const struct bench_options *o, FILE *out, struct err *err);

/* Draws something like windows on a desktop; every seed is another picture. */
void bench_draw(struct frame *f, uint32_t seed);
double bench_median(double *v, int n); /* sorts v */
/* A text of at least n_tokens; numbers of runs give texts that differ from the first word on. */
int bench_words(struct vlm *m, int n_tokens, int run, struct str *ret, int *ret_n, struct err *err);
/* Any text that does not end, so that a reply has as many tokens as were asked for. */
extern const struct grammar bench_endless;

#endif
