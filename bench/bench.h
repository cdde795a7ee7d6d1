/* How fast the engine is on this machine, beside what the machine could do. */
#ifndef DESKHAND_BENCH_BENCH_H
#define DESKHAND_BENCH_BENCH_H

#include "base/err.h"
#include "model/vlm.h"

#include <stdbool.h>
#include <stdio.h>

struct bench_options {
    int w, h;            /* of the screen; 0: 1280 x 800 */
    int n_runs;          /* medians are of these; 0: 5 */
    int n_threads;       /* 0: all */
    const char *backend; /* NULL: the best */
    const char *precision; /* NULL: bf16 where the CPU has it */
    const char *weights; /* NULL: as they are in the file */
    int max_tokens;      /* of the reply; 0: 64 */
    int n_prompt;        /* not 0: a text of about so many tokens instead of a screen */
    bool json;           /* one JSON object instead of a table */
};

/* Medians of n_runs cold steps (nothing reused) and as many warm ones (a screen that was seen). */
struct bench_result {
    int w, h;                    /* of the picture the model sees */
    int n_patches, n_prompt, n_visual, n_generated;
    double resize_ms, vision_ms, prefill_ms, decode_ms, step_ms;
    double warm_step_ms;         /* the same prompt again: features and KV cache are there */
    double prefill_tokens_s, decode_tokens_s;
    double vision_gflops, prefill_gflops; /* floating point operations of the plan over time */
    double peak_gflops;          /* multiply-adds in registers of all threads, measured now */
    double bandwidth_gb_s;       /* reading memory with all threads, measured now */
};
int bench_measure(const char *model_dir, const struct bench_options *o, struct bench_result *ret,
                  struct vlm_info *ret_info, struct err *err);
/* bench_measure() and a report. */
int bench_run(const char *model_dir, const struct bench_options *o, FILE *out, struct err *err);

#endif
