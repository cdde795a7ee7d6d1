/* The engine beside llama.cpp and ik_llama.cpp on the same files: one table of ratios. */
#ifndef DESKHAND_BENCH_PEERS_H
#define DESKHAND_BENCH_PEERS_H

#include "base/err.h"

#include <stdio.h>

struct peers_options {
    const char *llama;  /* folder with llama.cpp's llama-bench and llama-mtmd-cli */
    const char *ik;     /* the same of ik_llama.cpp; NULL: not measured */
    const char *shapes; /* folder with bf16, q8_0, q4_0, q4_k_m, mmproj and tower_bf16 .gguf
                         * (tools/bench/shapes.py) */
    const char *rows;   /* only rows whose name begins so; NULL: all */
    int n_threads;      /* 0: all */
    int n_rounds;       /* numbers are medians of these, the engines in turns; 0: 3 */
    bool json;          /* an object a row instead of a table */
};

/* Rows whose files are not there are left out and said so. */
int peers_run(const struct peers_options *o, FILE *out, struct err *err);

/* For tests: what one of their programs wrote becomes seconds; negative when there is no number in
 * it. */
double peers_parse(const char *text, const char *before);

#endif
