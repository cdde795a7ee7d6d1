/* How well a model sees: the share of targets it hits, of next steps it gets right and of questions
 * it answers, over a committed set of screens of real programs. */
#ifndef DESKHAND_BENCH_EVAL_H
#define DESKHAND_BENCH_EVAL_H

#include "base/err.h"

#include <stdbool.h>
#include <stdio.h>

struct eval_options {
    int n_threads;
    int limit;        /* rows of each file, 0: all */
    long n_looks;     /* that vote on targets and steps (agent/vote.h), 0: as the checkpoint says */
    bool agent;       /* targets: ask with the GUI-agent prompt instead of the grounding prompt */
    bool json;        /* one JSON object instead of a table */
    bool verbose;     /* a line a row as well */
    bool whole;       /* never cut a picture to its "window", see below */
    const char *precision, *weights; /* of struct vlm_options */
    const char *lora; /* an adapter merged into the model, NULL: none */
};

/* `path` is a file or a folder, whose *.json and *.jsonl are all taken, targets with both prompts.
 *
 * A .json file is a list of {"img_filename", "instruction", "bbox": [x, y, w, h], "data_type",
 * "data_source"}, ScreenSpot's layout. Rows with "img_size" (ScreenSpot-Pro) have bbox
 * [x1, y1, x2, y2]. "bbox": null is a target that is not there, right when the model points at
 * nothing. Scored as the benchmarks do: the answer's point, or its box's centre, inside the box.
 *
 * A .jsonl file has a row a line, of two kinds (in pixels of the picture, as above):
 * {"img_filename", "goal", "history": [ACTION...], "expect": {"action", "bbox"?, "focused"?,
 * "text"?, "keys"?}, ...}: the next step of a task, right when kind, point, text and keys are;
 * "expect" may be a list of such, one of which must be met. With "focused" an input without a point
 * is right too.
 * {"img_filename", "question", "answers": [TEXT...], ...}: right when the reply is one of them,
 * letter case and a full stop aside.
 *
 * Pictures are PNG files beside the file or in the folder "images" there. "window": [x, y, w, h] is
 * where the window with the focus is: a picture larger than the checkpoint was trained on is cut to
 * it, and no smaller than the trained size, as the daemon does. */
int eval_run(const char *model_dir, const char *path, const struct eval_options *o, FILE *out,
             struct err *err);

#endif
