/* Guesses about the next tokens without a second model: what followed the last time these tokens
 * were said, in the prompt or in a reply (prompt lookup decoding, Saxena 2023). */
#ifndef DESKHAND_MODEL_DRAFT_H
#define DESKHAND_MODEL_DRAFT_H

#include <stdint.h>

#define DRAFT_MAX 7 /* tokens of a guess; with the one before it BACKEND_FEW_ROWS */

struct draft {
    int32_t *ids; /* all that was said: earlier replies, the prompt, the reply so far; owned */
    int n, cap;
    int n_want; /* how long the next guess may be: longer after good ones */
};
void draft_done(struct draft *d);
void draft_add(struct draft *d, const int32_t *ids, int n);
/* Keeps only the last n tokens. */
void draft_keep(struct draft *d, int n);
/* A guess of at most `max` tokens behind the last one; 0: none. */
int draft_guess(const struct draft *d, int max, int32_t *ret);
/* n_right of n_guessed tokens came true. */
void draft_learn(struct draft *d, int n_right, int n_guessed);

#endif
