/* What several answers at once are worth: the same number of requests one after the other, and
 * together. */
#ifndef DESKHAND_BENCH_TOGETHER_H
#define DESKHAND_BENCH_TOGETHER_H

#include "bench/bench.h"

#define TOGETHER_MAX 8

/* Tokens written a second, prompts included; medians of n_runs rounds. */
struct together {
    int n; /* requests */
    double alone_s, together_s;
};
/* For 1, 2, 4 ... requests up to n_most, each of a text of at least o->n_prompt tokens (0: 64) and
 * o->max_tokens: up to TOGETHER_MAX rows in ret, whose number is returned. */
int together_measure(const char *model_dir, const struct bench_options *o, int n_most,
                     struct together *ret, struct vlm_info *ret_info, struct err *err);
/* together_measure() and a report. */
int together_run(const char *model_dir, const struct bench_options *o, int n_most, FILE *out,
                 struct err *err);

#endif
