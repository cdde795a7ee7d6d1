/* Judges the control pictures of `deskhand model verify`: plain numbers and texts in, sentences
 * out. */
#include "client/verify.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const struct verify_colour verify_colours[VERIFY_COLOURS] = {
    {"red", {220, 20, 20}}, {"green", {20, 180, 40}}, {"blue", {20, 50, 220}}};

static double apart(const float *a, const float *b, int n)
{
    double most = 0, worst = 0;
    for (int i = 0; i < n; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i]))
            return (double)NAN;
        most = fmax(most, fmax(fabs((double)a[i]), fabs((double)b[i])));
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
    }
    return most > 0 ? worst / most : 0;
}

double verify_apart(float *const v[VERIFY_COLOURS], int n)
{
    double least = INFINITY;
    for (int i = 0; i < VERIFY_COLOURS; i++) {
        double d = apart(v[i], v[(i + 1) % VERIFY_COLOURS], n);
        if (isnan(d))
            return d;
        least = fmin(least, d);
    }
    return least;
}

/* The one colour that an answer names, -1 for none or several. */
static int named(const char *answer)
{
    int found = -1;
    for (int i = 0; i < VERIFY_COLOURS; i++) {
        if (!strcasestr(answer, verify_colours[i].name))
            continue;
        if (found >= 0)
            return -1;
        found = i;
    }
    return found;
}

static void fault(json_t *faults, const char *text)
{
    json_t *j = json_string(text);
    json_array_append_new(faults, j ? j : json_string("colours are named wrongly"));
}

bool verify_judge(double features, double logits, char *const answers[VERIFY_COLOURS],
                  json_t *faults)
{
    int n_named = 0, n_right = 0;
    char text[300];

    for (int i = 0; i < VERIFY_COLOURS; i++) {
        n_named += named(answers[i]) >= 0;
        n_right += named(answers[i]) == i;
    }
    if (!(features > 1e-4))
        fault(faults,
              "a red, a green and a blue picture have the same features, or features that are no "
              "numbers");
    else if (!(logits > 1e-5))
        fault(faults, "the answer does not depend on the picture: its features are dropped");
    else if (n_named >= 2 && n_right < VERIFY_COLOURS) {
        snprintf(
            text, sizeof(text),
            "a red, a green and a blue picture were answered \"%.60s\", \"%.60s\" and \"%.60s\"",
            answers[0], answers[1], answers[2]);
        fault(faults, text);
    }
    return n_named >= 2;
}
