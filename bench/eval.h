/* How well a model points: the share of targets it hits in a file of ScreenSpot's layout. */
#ifndef DESKHAND_BENCH_EVAL_H
#define DESKHAND_BENCH_EVAL_H

#include "base/err.h"

#include <stdbool.h>
#include <stdio.h>

struct eval_options {
    int n_threads;
    int limit;    /* rows, 0: all */
    bool agent;   /* ask with the GUI-agent prompt instead of the grounding prompt */
    bool json;    /* one JSON object instead of a table */
    bool verbose; /* a line a row as well */
};

/* `path`: a JSON list of {"img_filename", "instruction", "bbox": [x, y, w, h], "data_type",
 * "data_source"}; pictures are PNG files beside it or in the folder "images" beside it. Rows with
 * "img_size" (ScreenSpot-Pro) have bbox [x1, y1, x2, y2]. "bbox": null is a target that is not
 * there, right when the model points at nothing. Scored as the benchmarks do: the answer's point,
 * or its box's centre, inside the box. */
int eval_run(const char *model_dir, const char *path, const struct eval_options *o, FILE *out,
             struct err *err);

#endif
