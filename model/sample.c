/* Greedy, or temperature with the nucleus of Holtzman et al. 2019 (top-p). Candidates come from a
 * heap in order of their logits, so that a grammar which refuses most tokens is asked about few of
 * them. The nucleus is that of the unrestricted distribution: a grammar only takes away from it,
 * and when it takes everything the best allowed token is chosen. Equal logits: lower id first. */
#include "model/sample.h"

#include "base/mem.h"

#include <math.h>

void sampler_init(struct sampler *s, int n_vocab, float temperature, float top_p, uint64_t seed)
{
    *s = (struct sampler){temperature, top_p > 0 && top_p < 1 ? top_p : 1, seed, n_vocab, NULL};
    s->heap = mem_alloc(sizeof(int32_t) * (size_t)n_vocab);
}

void sampler_done(struct sampler *s)
{
    free(s->heap);
    s->heap = NULL;
}

/* splitmix64 */
static double uniform(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

static bool before(const float *l, int32_t a, int32_t b)
{
    return l[a] > l[b] || (l[a] == l[b] && a < b);
}

static void sift(int32_t *heap, int n, const float *l, int i)
{
    for (;;) {
        int c = 2 * i + 1;
        if (c >= n)
            return;
        if (c + 1 < n && before(l, heap[c + 1], heap[c]))
            c++;
        if (!before(l, heap[c], heap[i]))
            return;
        int32_t t = heap[i];
        heap[i] = heap[c];
        heap[c] = t;
        i = c;
    }
}

static int32_t pop(int32_t *heap, int *n, const float *l)
{
    int32_t top = heap[0];

    heap[0] = heap[--*n];
    sift(heap, *n, l, 0);
    return top;
}

int32_t sampler_next(struct sampler *s, const float *logits,
                     bool (*allowed)(void *user, int32_t id), void *user)
{
    int n = 0;

    for (int32_t i = 0; i < s->n; i++)
        if (isfinite(logits[i]))
            s->heap[n++] = i;
    for (int i = n / 2 - 1; i >= 0; i--)
        sift(s->heap, n, logits, i);
    if (!(s->temperature > 0)) {
        while (n > 0) {
            int32_t id = pop(s->heap, &n, logits);
            if (!allowed || allowed(user, id))
                return id;
        }
        return -1;
    }
    if (n == 0)
        return -1;

    double top = logits[s->heap[0]], total = 0, seen = 0, kept = 0;
    for (int i = 0; i < n; i++)
        total += exp((logits[s->heap[i]] - top) / s->temperature);
    /* Reservoir: each allowed candidate replaces the choice with its share of what was kept, which
     * is one draw from the renormalised nucleus without storing it. */
    int32_t choice = -1;
    while (n > 0) {
        if (seen >= s->top_p * total && choice >= 0)
            break;
        int32_t id = pop(s->heap, &n, logits);
        double w = exp((logits[id] - top) / s->temperature);
        bool inside = seen < s->top_p * total;
        seen += w;
        if (allowed && !allowed(user, id))
            continue;
        if (!inside)
            return choice >= 0 ? choice : id;
        kept += w;
        if (choice < 0 || uniform(&s->state) * kept < w)
            choice = id;
    }
    return choice;
}

float sample_logprob(const float *logits, int n, int32_t id)
{
    double top = -INFINITY, sum = 0;

    for (int i = 0; i < n; i++)
        if (isfinite(logits[i]))
            top = fmax(top, (double)logits[i]);
    for (int i = 0; i < n; i++)
        if (isfinite(logits[i]))
            sum += exp((double)logits[i] - top);
    return isfinite(logits[id]) ? (float)((double)logits[id] - top - log(sum)) : -INFINITY;
}
