/* Several looks at one picture, each a little different, and what most of them say. A small model
 * sees the same button in one place and not in the next, a few pixels on; its mistakes scatter and
 * its right answers do not. Small letters it reads better enlarged: some looks are closer ones at
 * what was found. How many agree also says how sure an answer is. Any thread. */
#ifndef DESKHAND_AGENT_VOTE_H
#define DESKHAND_AGENT_VOTE_H

#include "base/err.h"
#include "base/flow.h"
#include "vision/place.h"

#define VOTE_LOOKS_MAX 7
/* Answers whose points lie nearer than this in both directions, in pixels of the screen, mean the
 * same: less than a token of the picture (28). */
#define VOTE_NEAR 24

/* What one look said: all of it but its points, and where on the screen these are. */
struct ballot {
    char *said;    /* NULL: nothing that can be used */
    bool gives_up; /* the target is not there */
    bool points;   /* at[0] is somewhere */
    struct screen_pt at[3];
};

struct vote {
    struct ballot ballots[VOTE_LOOKS_MAX];
    int n;
    unsigned followed; /* bit i: there was a closer look at ballot i's point, or it is one */
};

struct tally {
    int look; /* the first of those that agree: its words are the answer's */
    int n_agree, n_looks;
    /* The mean of their points: an action's start and end; a box's centre, first and last pixel. */
    struct screen_pt at[3];
};

/* The picture as the next look sees it, after those of which `v` has the ballots, fewer than
 * VOTE_LOOKS_MAX: the first is the picture itself, then it is moved by some pixels, its edge
 * repeated, or larger, or it is what lies around a point that was found (inside f->screen),
 * enlarged. Its `screen` says what it shows. -ENOTSUP when the picture is not in the screen's own
 * pixels. */
int vote_frame(struct vote *v, const struct frame *f, struct frame *ret, struct err *err);

/* How many looks vote at most: as asked, else (0) as the checkpoint says, else one. */
int vote_looks(int asked, int by_checkpoint);
/* Adds what the next look said of the picture that lies so; a point outside of `inside` makes it
 * nothing. is_box: a grounding answer, else an action. */
void vote_add(struct vote *v, const char *text, size_t n, bool is_box, const struct place *place,
              struct rect inside);
/* True when more than half of n_looks agree, or so many have been cast. What most say wins; of as
 * many a place at which two or more have found the target before that it is not there (two that
 * miss it seldom miss it in the same place), else what was said first. */
bool vote_count(const struct vote *v, int n_looks, struct tally *ret);
void vote_done(struct vote *v);

#endif
