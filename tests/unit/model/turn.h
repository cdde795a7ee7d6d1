/* What the engine's tests ask it: a user's turn with pictures of numbers that a seed or a formula
 * gives. What goes wrong ends the test with the engine's own sentence. */
#ifndef DESKHAND_TESTS_MODEL_TURN_H
#define DESKHAND_TESTS_MODEL_TURN_H

#include "model/vlm.h"

struct vlm *turn_model(const char *path, const struct vlm_options *o);
/* Does this CPU compute in bf16? */
bool turn_has_bf16(const char *path);
/* Free what is in it with vlm_reply_done(). */
struct vlm_reply turn_reply(struct vlm *m, const struct vlm_request *r);

/* h x w patches of noise. */
struct patches turn_noise(int h, int w, int patch_size, uint32_t seed);
/* The formula of tools/goldens/tiny.py, in patches of 4. */
struct patches turn_formula(int t, int h, int w, int n_temporal, int salt, float seconds);

/* One picture, then a text. */
struct turn {
    struct patches picture;
    struct vlm_part parts[2];
    struct vlm_message message;
    struct vlm_request r;
};
/* Takes the picture; the text is the caller's. */
void turn_init(struct turn *t, struct patches picture, const char *text);
void turn_done(struct turn *t);

/* The prompt of tools/goldens/tiny.py and lora.py: two pictures, a video and words between them. */
struct turn_mixed {
    struct patches a, b, video;
    struct vlm_part system, parts[6];
    struct vlm_message messages[2];
    struct vlm_request r;
};
void turn_mixed_init(struct turn_mixed *t);
void turn_mixed_done(struct turn_mixed *t);

#endif
