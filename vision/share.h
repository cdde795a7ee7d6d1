/* Rows of a picture, divided among the machine's cores. Any thread. */
#ifndef DESKHAND_VISION_SHARE_H
#define DESKHAND_VISION_SHARE_H

/* Calls fn(user, begin, end) for ranges that together are 0..n-1, each once, on this thread and,
 * where `n_bytes` of work are worth it, on some of its own; returns when all are done. Ranges begin
 * at multiples of `grain`. */
void share_rows(int n, int grain, long long n_bytes, void (*fn)(void *user, int begin, int end),
                void *user);

#endif
