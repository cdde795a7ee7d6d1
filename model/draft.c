/* The longest ending of what was said that was said before, at its latest place, tells what comes
 * next. The text of an agent repeats itself: the JSON of the last action, keys from the action
 * space in the prompt, words of the goal. A linear search of some thousand numbers costs nothing
 * beside a token. */
#include "model/draft.h"

#include "base/mem.h"

#include <string.h>

#define LONGEST 4
#define SHORTEST 2

void draft_done(struct draft *d)
{
    free(d->ids);
    *d = (struct draft){0};
}

void draft_add(struct draft *d, const int32_t *ids, int n)
{
    if (n == 0)
        return;
    if (d->n + n > d->cap) {
        d->cap = MAX(2 * d->cap, d->n + n + 256);
        d->ids = mem_realloc(d->ids, sizeof(*d->ids) * (size_t)d->cap);
    }
    memcpy(d->ids + d->n, ids, sizeof(*ids) * (size_t)n);
    d->n += n;
}

void draft_keep(struct draft *d, int n)
{
    if (n >= d->n)
        return;
    memmove(d->ids, d->ids + d->n - n, sizeof(*d->ids) * (size_t)n);
    d->n = n;
}

int draft_guess(const struct draft *d, int max, int32_t *ret)
{
    int best = 0, at = 0;

    for (int end = d->n - 1; end >= SHORTEST && best < LONGEST; end--) {
        int n = 0;
        while (n < LONGEST && n < end && d->ids[end - 1 - n] == d->ids[d->n - 1 - n])
            n++;
        if (n > best) {
            best = n;
            at = end;
        }
    }
    if (best < SHORTEST)
        return 0;
    int n = MIN(MIN(max, d->n_want ? d->n_want : DRAFT_MAX), d->n - at);
    memcpy(ret, d->ids + at, sizeof(*ret) * (size_t)n);
    return n;
}

void draft_learn(struct draft *d, int n_right, int n_guessed)
{
    if (n_guessed > 0)
        d->n_want = CLAMP(n_right == n_guessed ? 2 * n_guessed : n_right + 1, 1, DRAFT_MAX);
}
