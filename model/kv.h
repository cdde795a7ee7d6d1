/* What the KV cache holds, position by position, so that a new prompt reuses the beginning that it
 * shares with the last one. */
#ifndef DESKHAND_MODEL_KV_H
#define DESKHAND_MODEL_KV_H

#include <stdint.h>

/* A text token is its id; a visual token the picture's hash and place in it. `seconds`: of a video,
 * because its positions depend on them; -1 for a picture. */
uint64_t kv_key_text(int32_t id);
uint64_t kv_key_visual(uint64_t picture_hash, int t, int h, int w, int seconds, int index);

/* What marks the positions of an adapter at a scale: keys are combined with it by XOR. Not 0. */
uint64_t kv_salt(const char *adapter, float scale);

/* Length of the common beginning. */
int kv_common(const uint64_t *a, int n_a, const uint64_t *b, int n_b);

#endif
