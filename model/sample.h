/* Choosing the next token from logits. Deterministic for a seed. */
#ifndef DESKHAND_MODEL_SAMPLE_H
#define DESKHAND_MODEL_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

struct sampler {
    float temperature; /* 0: greedy */
    float top_p;       /* 0 or 1: off */
    uint64_t state;    /* of the random numbers; the seed at first */
    int n;             /* size of the vocabulary */
    int32_t *heap;     /* [n], owned */
};
void sampler_init(struct sampler *s, int n_vocab, float temperature, float top_p, uint64_t seed);
void sampler_done(struct sampler *s);

/* `allowed` may be NULL (everything is); it is asked for candidates in order of their logits.
 * Returns -1 when nothing is allowed. Logits that are not finite are never chosen. */
int32_t sampler_next(struct sampler *s, const float *logits,
                     bool (*allowed)(void *user, int32_t id), void *user);

/* The logarithm of the probability that logits [n] give `id`; those that are not finite have none. */
float sample_logprob(const float *logits, int n, int32_t id);

#endif
