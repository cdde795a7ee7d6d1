/* actions/: the parser of model text, the writers and the decoding grammar. What the grammar lets
 * through to its end the parser must read, and what was read must survive being written. */
#include "tests/fuzz/fuzz.h"
#include "actions/action.h"
#include "actions/grammar.h"
#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define W 1036
#define H 756

static bool walk(struct grammar g, const uint8_t *data, size_t n)
{
    _Alignas(16) char state[GRAMMAR_MAX_STATE];
    CHECK(g.state_size <= sizeof state);
    g.start(g.data, state);
    for (size_t i = 0; i < n; i++) {
        (void)g.is_free(g.data, state);
        if (!g.step(g.data, state, data[i]))
            return false;
    }
    return g.may_end(g.data, state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct grammar_limits limits = {W, H};
    const char *text = (const char *)data;
    struct err err = {0};
    struct action a = {0}, again = {0};
    bool is_complete = walk(grammar_action(&limits), data, n);
    int rc = action_parse(text, n, W, H, &a, &err);
    if (rc < 0)
        CHECK(!is_complete && err.code < 0 && *err.text);
    if (rc == 0) {
        AUTO(str_done) struct str json = {0}, line = {0};
        CHECK(a.kind >= 0 && a.kind < N_ACTION_KINDS);
        if (a.has_start)
            CHECK(a.start.x >= 0 && a.start.x <= W && a.start.y >= 0 && a.start.y <= H);
        if (a.has_end)
            CHECK(a.end.x >= 0 && a.end.x <= W && a.end.y >= 0 && a.end.y <= H);
        action_json(&a, true, &json);
        if (action_parse(json.s, json.n, W, H, &again, &err) < 0)
            CHECK(!"an action that was written cannot be read");
        CHECK(again.kind == a.kind && again.n_keys == a.n_keys);
        CHECK(str_eq(again.text, a.text));
        action_history_json(&a, &line);
        action_describe(&a, &line);
    }
    action_done(&a);
    action_done(&again);

    struct model_pt p;
    float box[4];
    bool is_box = walk(grammar_boxes(&limits), data, n);
    rc = action_parse_box(text, n, W, H, &p, box, &err);
    if (rc == 0)
        CHECK(isfinite(p.x) && isfinite(p.y));
    else
        CHECK(!is_box || rc == -ENOENT);
    free(action_reasoning(text, n));
    return 0;
}
