/* The ballots and the count. The mean of the points that agree is nearer to the middle of the
 * target than any of them: the errors of cutting a picture into tokens cancel. */
#include "agent/vote.h"

#include "actions/action.h"
#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VOTE 1000 /* what one weighs of which the model is sure */
/* Of a vote, the least that counts: a reply of many words is never probable as a whole. */
#define LEAST 0.1

static bool is_near(struct screen_pt a, struct screen_pt b)
{
    return abs(a.x - b.x) < VOTE_NEAR && abs(a.y - b.y) < VOTE_NEAR;
}

/* Boxes mean the same when their middles do; an action's end, where it has none, is the same. */
static bool agree(const struct ballot *a, const struct ballot *b)
{
    if (!a->said || !b->said || strcmp(a->said, b->said) != 0)
        return false;
    return is_near(a->at[0], b->at[0]) &&
           (strcmp(a->said, "there") == 0 || is_near(a->at[1], b->at[1]));
}

/* Ballots that say the same: how many, and what they weigh. */
struct side {
    int n, weight;
};

/* The side of ballot i, itself too, among those from `first` on. */
static struct side side_of(const struct vote *v, int i, int first)
{
    struct side ret = {0};
    for (int j = first; j < v->n; j++) {
        if (!agree(&v->ballots[i], &v->ballots[j]))
            continue;
        ret.n++;
        ret.weight += v->ballots[j].weight;
    }
    return ret;
}

/* The ballot whose point most have found, of those not followed yet; -1: there is none. */
static int to_follow(const struct vote *v)
{
    int ret = -1, most = 0;
    for (int i = 0; i < v->n; i++) {
        bool is_new = v->ballots[i].points && !(v->followed & 1u << i);
        int n = is_new ? side_of(v, i, 0).n : 0;
        if (n > most) {
            most = n;
            ret = i;
        }
    }
    return ret;
}

void vote_begin(struct vote *v, int n_looks, const struct frame *f)
{
    int n_parts = look_n_parts(f);
    v->n_looks = n_looks;
    v->n_parts = n_looks > 1 && n_parts > 1 ? n_parts : 0;
}

/* The looks at all of the picture have said what they have to say. */
static bool is_seen(const struct vote *v, const struct tally *t)
{
    return v->part || v->n >= v->n_looks || 2 * t->n_agree > v->n_looks;
}

/* The last part's look has found something that was not looked at often enough. */
static bool is_open(const struct vote *v)
{
    return v->part && v->ballots[v->found].points && v->n_again < VOTE_AGAIN_MAX;
}

int vote_frame(struct vote *v, const struct frame *f, struct frame *ret, struct err *err)
{
    struct tally tally;
    int i = v->n, found = -1, rc = place_check_pixels(f, err);
    if (rc < 0)
        return rc;
    vote_count(v, &tally);
    if (i && is_seen(v, &tally)) {
        if (is_open(v))
            return look_near(f, v->ballots[v->found].at[0], v->n_again++, ret, err);
        v->n_whole = v->part ? v->n_whole : i;
        v->found = i;
        v->n_again = 0;
        return look_at_part(f, v->part++, ret, err);
    }
    if (look_is_closer(i))
        found = to_follow(v);
    if (found >= 0) {
        v->followed |= 1u << found | 1u << i;
        return look_closer(f, v->ballots[found].at[0], ret, err);
    }
    return look_whole(f, i, ret, err);
}

static bool place_inside(const struct place *place, struct model_pt p, struct rect inside,
                         struct screen_pt *ret)
{
    struct err none = {0};
    return place_to_screen(place, p, ret, &none) == 0 && rect_has(inside, *ret);
}

static void read_action(const char *text, size_t n, const struct place *place, struct rect inside,
                        struct ballot *ret)
{
    AUTO(action_done) struct action a = {0};
    AUTO(str_done) struct str said = {0};
    struct err none = {0};
    if (action_parse(text, n, place->image_w, place->image_h, &a, &none) < 0 ||
        (a.has_start && !place_inside(place, a.start, inside, &ret->at[0])) ||
        (a.has_end && !place_inside(place, a.end, inside, &ret->at[1])))
        return;
    a.start = a.end = (struct model_pt){0};
    ret->gives_up = a.kind == ACTION_CALL_USER;
    ret->points = a.has_start;
    action_json(&a, true, &said);
    ret->said = str_take(&said);
}

static void read_box(const char *text, size_t n, const struct place *place, struct rect inside,
                     struct ballot *ret)
{
    struct model_pt middle;
    struct err none = {0};
    float box[4];
    int rc = action_parse_box(text, n, place->image_w, place->image_h, &middle, box, &none);
    ret->gives_up = rc == -ENOENT;
    if (ret->gives_up)
        ret->said = mem_strdup("nowhere");
    if (rc < 0)
        return;
    if (place_inside(place, middle, inside, &ret->at[0]) &&
        place_box(place, box, &ret->at[1], &ret->at[2], &none) == 0) {
        ret->said = mem_strdup("there");
        ret->points = true;
    }
}

int vote_looks(int asked, int by_checkpoint)
{
    return CLAMP(asked ? asked : by_checkpoint, 1, LOOK_MAX);
}

void vote_add(struct vote *v, const char *text, size_t n, double logprob, bool is_box,
              const struct place *place, struct rect inside)
{
    struct ballot *b = &v->ballots[v->n++];
    double p = exp(is_box ? logprob / 2 : logprob);
    *b = (struct ballot){.weight = (int)lrint(VOTE * CLAMP(p, LEAST, 1))};
    (is_box ? read_box : read_action)(text, n, place, inside, b);
    if (v->part && !b->points && !b->gives_up) { /* what a part does not show it cannot know */
        free(b->said);
        b->said = NULL;
    }
}

/* The mean of the points of the ballots that say the same as t->look. */
static void mean_points(const struct vote *v, struct tally *t)
{
    int64_t x[3] = {0}, y[3] = {0};
    for (int i = 0; i < v->n; i++) {
        if (!agree(&v->ballots[t->look], &v->ballots[i]))
            continue;
        for (int k = 0; k < 3; k++) {
            x[k] += v->ballots[i].at[k].x;
            y[k] += v->ballots[i].at[k].y;
        }
    }
    for (int k = 0; k < 3 && t->n_agree; k++)
        t->at[k] = (struct screen_pt){(int)(x[k] / t->n_agree), (int)(y[k] / t->n_agree)};
}

/* Two or more looks, one of them at a part, have found ballot i's place. */
static bool is_in_part(const struct vote *v, int i)
{
    return v->part && v->ballots[i].points && side_of(v, i, 0).n >= 2 &&
           side_of(v, i, v->n_whole).n;
}

/* What the heaviest side weighs that is not ballot i's. */
static int rival(const struct vote *v, int i)
{
    int most = 0;
    for (int j = 0; j < v->n; j++)
        if (!agree(&v->ballots[i], &v->ballots[j]))
            most = MAX(most, side_of(v, j, 0).weight);
    return most;
}

bool vote_count(const struct vote *v, struct tally *ret)
{
    int most = 0;
    bool in_part = false;
    struct side lead = {0};
    *ret = (struct tally){.n_looks = v->n};
    for (int i = 0; i < v->n; i++)
        in_part |= is_in_part(v, i);
    for (int i = 0; i < v->n; i++) {
        struct side side = side_of(v, i, 0);
        bool gives_up = v->ballots[i].gives_up;
        int weight = side.weight + (side.n >= 2 && !gives_up ? side.weight / side.n / 2 : 0);
        if (weight > most && !(gives_up && in_part)) {
            most = weight;
            lead = side;
            ret->look = i;
        }
    }
    ret->n_agree = lead.n;
    ret->sure = v->n ? lead.weight * 100 / (VOTE * v->n) : 0;
    mean_points(v, ret);
    const struct ballot *b = &v->ballots[ret->look];
    bool is_most = 2 * ret->n_agree > v->n_looks;
    bool unsure = ret->n_agree && (b->gives_up || (b->points && !is_most));
    if (ret->n_agree >= 2 && !b->gives_up && !v->part &&
        lead.weight - rival(v, ret->look) >= VOTE_SURE)
        return true;
    return is_seen(v, ret) && !(unsure && (v->part < v->n_parts || is_open(v)));
}

void vote_done(struct vote *v)
{
    for (int i = 0; i < v->n; i++)
        free(v->ballots[i].said);
    *v = (struct vote){0};
}
