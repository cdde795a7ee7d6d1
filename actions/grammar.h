/* Constrained decoding: after free reasoning, exactly one well-formed action of the table.
 * See struct grammar in base/flow.h. */
#ifndef DESKHAND_ACTIONS_GRAMMAR_H
#define DESKHAND_ACTIONS_GRAMMAR_H

#include "base/flow.h"

struct grammar_limits {
    int image_w, image_h; /* points are kept inside, exclusive upper bound */
};
/* The text may start with <think>...</think> (free until the end tag; without a think tag the
 * free part ends at the first "{", "[" or "```", after 2048 bytes at the latest), then optional
 * whitespace and ```json fence, then one action object (bare or as the only element of a list),
 * then the matching fence end. `limits` must outlive the requests that use the grammar. */
struct grammar grammar_action(const struct grammar_limits *limits);
/* The same for the official grounding answer: a list of {"bbox_2d": [...], "label": "..."}, empty
 * where the target is not there. */
struct grammar grammar_boxes(const struct grammar_limits *limits);

#endif
