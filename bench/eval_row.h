/* One row of an evaluation: read strictly, asked of the model as the daemon asks, judged. */
#ifndef DESKHAND_BENCH_EVAL_ROW_H
#define DESKHAND_BENCH_EVAL_ROW_H

#include "agent/vote.h"
#include "base/err.h"
#include "base/flow.h"
#include "base/str.h"
#include "model/vlm.h"

#include <jansson.h>

enum eval_kind { EVAL_GROUND, EVAL_AGENT, EVAL_STEP, EVAL_QUESTION, N_EVAL_KINDS };

struct eval_row {
    struct vlm *model;
    const char *dir; /* of the file */
    bool whole;      /* of struct eval_options */
    int n_looks;
    json_t *json;
    size_t number;   /* for sentences */
    enum eval_kind kind;
};

/* What was right; "has" members say which of them the row asks at all. */
struct eval_verdict {
    bool right;
    bool is_step, kind, has_point, point, has_text, text;
    struct tally tally; /* of the looks; n_looks 0: it was one */
    bool points;        /* the answer's point, where the row asks for one, is `at` */
    struct screen_pt at;
};

const char *eval_kind_name(enum eval_kind k); /* "grounding prompt", ... */
/* What the row asks, for a line about it. */
const char *eval_row_asks(const struct eval_row *r);
/* `ret_said` gets the model's words. */
int eval_row_judge(const struct eval_row *r, struct eval_verdict *ret, struct str *ret_said,
                   struct err *err);

#endif
