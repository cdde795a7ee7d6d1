/* Several looks at one picture, each a little different, and what most of them say. A small model
 * sees the same button in one place and not in the next, a few pixels on; its mistakes scatter and
 * its right answers do not. Small letters it reads better enlarged: some looks are closer ones at
 * what was found, and where most have not found one place, each part of the picture is looked at.
 * A look counts as much as the model was sure of what it said, and what those that agree weigh says
 * how sure the answer is. Any thread. */
#ifndef DESKHAND_AGENT_VOTE_H
#define DESKHAND_AGENT_VOTE_H

#include "agent/look.h"
#include "base/err.h"
#include "base/flow.h"
#include "vision/place.h"

#define VOTE_AGAIN_MAX 2 /* at what was found in a part */
#define VOTE_BALLOTS_MAX (LOOK_MAX + (1 + VOTE_AGAIN_MAX) * LOOK_PARTS_MAX)
/* Answers whose points lie nearer than this in both directions, in pixels of the screen, mean the
 * same: less than a token of the picture (28). */
#define VOTE_NEAR 24
/* Ahead of all else by so much, in thousandths of a vote, an answer is right 99 times of 100. */
#define VOTE_SURE 1500

/* What one look said: all of it but its points, and where on the screen these are. */
struct ballot {
    char *said;    /* NULL: nothing that can be used */
    bool gives_up; /* the target is not there */
    bool points;   /* at[0] is somewhere */
    int weight;    /* thousandths of a vote */
    struct screen_pt at[3];
};

struct vote {
    int n_looks; /* at most so many, and the parts */
    struct ballot ballots[VOTE_BALLOTS_MAX];
    int n;
    unsigned followed; /* bit i: there was a closer look at ballot i's point, or it is one */
    int n_parts, part;  /* of the picture; those looked at */
    int n_whole;        /* ballots before the first part's */
    int found, n_again; /* the last part's ballot, and the looks at what it found */
};

struct tally {
    int look; /* the first of those that agree: its words are the answer's */
    int n_agree, n_looks;
    int sure; /* what those that agree weigh, in percent of the votes of all looks */
    /* The mean of their points: an action's start and end; a box's centre, first and last pixel. */
    struct screen_pt at[3];
};

/* How many looks vote at most: as asked, else (0) as the checkpoint says, else one. */
int vote_looks(int asked, int by_checkpoint);
/* A zeroed vote on the picture `f`. */
void vote_begin(struct vote *v, int n_looks, const struct frame *f);
/* The same picture as the next look sees it, where the vote is not over: the first is the picture
 * itself, then it is moved by some pixels, its edge repeated, or larger, or it is what lies around
 * a point that was found (inside f->screen), enlarged, or a part. Its `screen` says what it shows.
 * -ENOTSUP when the picture is not in the screen's own pixels. */
int vote_frame(struct vote *v, const struct frame *f, struct frame *ret, struct err *err);
/* Adds what the next look said of the picture that lies so, and the natural logarithm of the
 * probability with which the model said it: it counts as so much of a vote, a tenth at least (a
 * box, which has two points, as the root of it). A point outside of `inside` makes it nothing.
 * is_box: a grounding answer, else an action. */
void vote_add(struct vote *v, const char *text, size_t n, double logprob, bool is_box,
              const struct place *place, struct rect inside);
/* True when it is over: two looks or more agree, by VOTE_SURE ahead of what else was said; or more
 * than half of n_looks agree, or so many have been cast; where no such many have found the target
 * in one place, once they have or each part was looked at. What weighs most wins. A place at which
 * two or more have found the target weighs as if half a look more had (two that miss it seldom miss
 * it in the same place), and comes before that it is not there where a part's look is one of them
 * (most parts do not have it). Of as much what was said first. */
bool vote_count(const struct vote *v, struct tally *ret);
void vote_done(struct vote *v);

#endif
