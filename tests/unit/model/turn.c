/* See turn.h. A picture here is what the engine gets: rows of floats, cut already, so that these
 * tests need no vision/. */
#include "tests/unit/model/turn.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct vlm *turn_model(const char *path, const struct vlm_options *o)
{
    struct vlm *m = NULL;
    struct err err = {0};

    if (vlm_open(path, o, &m, &err) < 0)
        fail_msg("%s", err.text);
    return m;
}

bool turn_has_bf16(const char *path)
{
    struct vlm *m = NULL;
    bool has = vlm_open(path, &(struct vlm_options){.precision = "bf16"}, &m, NULL) == 0;

    vlm_close(m);
    return has;
}

struct vlm_reply turn_reply(struct vlm *m, const struct vlm_request *r)
{
    struct vlm_reply y = {0};
    struct err err = {0};

    if (vlm_generate(m, r, &y, &err) < 0)
        fail_msg("%s", err.text);
    return y;
}

static size_t rows_new(struct patches *p)
{
    size_t n = (size_t)(p->grid_t * p->grid_h * p->grid_w) * (size_t)patches_n_cols(p);

    p->rows = mem_aligned(n * sizeof(float));
    return n;
}

struct patches turn_noise(int h, int w, int patch_size, uint32_t seed)
{
    struct patches p = {.grid_t = 1, .grid_h = h, .grid_w = w, .n_temporal = 1,
                        .patch_size = patch_size, .merge_size = 2, .hash = 1000 + seed};
    size_t n = rows_new(&p);

    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p.rows[i] = (float)(seed >> 8) / (float)(1 << 22) - 2.0f;
    }
    return p;
}

struct patches turn_formula(int t, int h, int w, int n_temporal, int salt, float seconds)
{
    struct patches p = {.grid_t = t, .grid_h = h, .grid_w = w, .n_temporal = n_temporal,
                        .patch_size = 4, .merge_size = 2, .second_per_grid = seconds,
                        .hash = (uint64_t)(salt + 1) << 8 ^ (uint64_t)n_temporal};
    size_t n = rows_new(&p);

    for (size_t i = 0; i < n; i++)
        p.rows[i] = (float)((double)((i * 7919 + (size_t)salt * 104729) % 1009) / 504.0 - 1.0);
    return p;
}

void turn_init(struct turn *t, struct patches picture, const char *text)
{
    *t = (struct turn){.picture = picture};
    t->parts[0] = (struct vlm_part){VLM_IMAGE, NULL, &t->picture};
    t->parts[1] = (struct vlm_part){VLM_TEXT, text, NULL};
    t->message = (struct vlm_message){"user", t->parts, 2};
    t->r = (struct vlm_request){.messages = &t->message, .n_messages = 1, .max_tokens = 24};
}

void turn_done(struct turn *t)
{
    patches_done(&t->picture);
}

void turn_mixed_init(struct turn_mixed *t)
{
    *t = (struct turn_mixed){.a = turn_formula(1, 10, 22, 1, 1, 0),
                             .b = turn_formula(1, 4, 6, 1, 2, 0),
                             .video = turn_formula(3, 4, 6, 2, 3, 1.5f)};
    t->system = (struct vlm_part){VLM_TEXT, "Be brief.", NULL};
    t->parts[0] = (struct vlm_part){VLM_IMAGE, NULL, &t->a};
    t->parts[1] = (struct vlm_part){VLM_TEXT, "one, ", NULL};
    t->parts[2] = (struct vlm_part){VLM_IMAGE, NULL, &t->b};
    t->parts[3] = (struct vlm_part){VLM_TEXT, "two, ", NULL};
    t->parts[4] = (struct vlm_part){VLM_VIDEO, NULL, &t->video};
    t->parts[5] = (struct vlm_part){VLM_TEXT, "what moves?", NULL};
    t->messages[0] = (struct vlm_message){"system", &t->system, 1};
    t->messages[1] = (struct vlm_message){"user", t->parts, 6};
    t->r = (struct vlm_request){.messages = t->messages, .n_messages = 2, .max_tokens = 24};
}

void turn_mixed_done(struct turn_mixed *t)
{
    patches_done(&t->a);
    patches_done(&t->b);
    patches_done(&t->video);
}
