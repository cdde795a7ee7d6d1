/* What the answers to three control pictures say about a model. */
#ifndef DESKHAND_CLIENT_VERIFY_H
#define DESKHAND_CLIENT_VERIFY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { VERIFY_COLOURS = 3 };
extern const struct verify_colour {
    const char *name;
    uint8_t rgb[3];
} verify_colours[VERIFY_COLOURS];

/* The smallest distance between two of the vectors, [n] each, as a share of the largest value. NAN
 * when one holds a value that is not finite. */
double verify_apart(float *const v[VERIFY_COLOURS], int n);

/* Adds a sentence to `faults` when pictures do not reach the answer, or when a model that answers
 * with colours (at least two answers name one) names a wrong one. Returns whether it answers with
 * colours. */
bool verify_judge(double features, double logits, char *const answers[VERIFY_COLOURS],
                  json_t *faults);

#endif
