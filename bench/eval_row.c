/* Asks the model about one row with the same prompts, grammars, parser and mapping as the daemon,
 * and says what of the answer is right. A row's coordinates are pixels of its picture; what the
 * model saw may be a part of it, scaled, so every point passes through vision/place.c both ways. */
#include "bench/eval_row.h"
#include "actions/action.h"
#include "actions/grammar.h"
#include "agent/prompt.h"
#include "base/file.h"
#include "base/mem.h"
#include "vision/patch.h"
#include "vision/place.h"
#include "vision/png.h"
#include "vision/resize.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define N_TOKENS 512
#define N_TOKENS_QUESTION 64
#define SIDE_MAX 100000 /* of a box or point in a row */

/* The picture, what the model was shown of it, and what came of it. */
struct seen {
    struct frame frame;
    struct place place;    /* of the first look: what the prompt counts in */
    struct place answered; /* of the look whose words count */
    struct tally tally;    /* n_agree 0: no vote was held, or no answer could be used */
    bool points;           /* the answer's point lies on the picture, there: */
    struct screen_pt at;
};

const char *eval_kind_name(enum eval_kind k)
{
    static const char *const names[N_EVAL_KINDS] = {
        [EVAL_GROUND] = "grounding prompt",
        [EVAL_AGENT] = "agent's prompt",
        [EVAL_STEP] = "next step",
        [EVAL_QUESTION] = "questions",
    };
    return names[k];
}

static const char *text_of(const struct eval_row *r, const char *key)
{
    return json_string_value(json_object_get(r->json, key));
}

const char *eval_row_asks(const struct eval_row *r)
{
    const char *keys[N_EVAL_KINDS] = {"instruction", "instruction", "goal", "question"};
    const char *s = text_of(r, keys[r->kind]);
    return s ? s : "";
}

/* reading */

static int read_numbers(const struct eval_row *r, const json_t *list, const char *name, size_t n,
                        double *ret, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        json_t *v = json_array_get(list, i);
        if (json_array_size(list) != n || !json_is_number(v) ||
            !(fabs(json_number_value(v)) <= SIDE_MAX))
            return err_set(err, -EINVAL, "row %zu: %s must be %s numbers of at most %d%s",
                           r->number, name, n == 2 ? "two" : "four", SIDE_MAX,
                           strcmp(name, "bbox") == 0 ? ", or null" : "");
        ret[i] = json_number_value(v);
    }
    return 0;
}

/* As x1, y1, x2, y2. */
static int read_box(const struct eval_row *r, const json_t *list, double ret[4], struct err *err)
{
    int rc = read_numbers(r, list, "bbox", 4, ret, err);
    if (rc == 0 && !json_object_get(r->json, "img_size")) {
        ret[2] += ret[0];
        ret[3] += ret[1];
    }
    return rc;
}

static bool inside(const double b[4], struct screen_pt p)
{
    return p.x >= b[0] && p.x <= b[2] && p.y >= b[1] && p.y <= b[3];
}

static int read_picture(const struct eval_row *r, struct frame *ret, struct err *err)
{
    const char *name = text_of(r, "img_filename");
    if (!name)
        return err_set(err, -EINVAL, "row %zu lacks img_filename", r->number);
    if (strstr(name, ".."))
        return err_set(err, -EINVAL, "the picture \"%.100s\" lies outside the folder", name);
    AUTO_FREE char *beside = file_join(r->dir, name);
    AUTO_FREE char *images = file_join(r->dir, "images");
    AUTO_FREE char *inner = file_join(images, name);
    return png_read_file(access(beside, F_OK) == 0 ? beside : inner, ret, err);
}

/* The part around the window, as eye_around() has it. */
static struct rect part_of(const struct frame *f, const double w[4], const struct vlm_info *info)
{
    int x = (int)CLAMP(w[0], 0, f->w - 1), y = (int)CLAMP(w[1], 0, f->h - 1);
    int pw = (int)CLAMP(w[2], 1, f->w - x), ph = (int)CLAMP(w[3], 1, f->h - y);

    return place_grow((struct rect){x, y, pw, ph}, info->view_w, info->view_h, f->screen);
}

static int look(const struct eval_row *r, struct seen *ret, struct err *err)
{
    AUTO(frame_done) struct frame whole = {0};
    json_t *window = json_object_get(r->json, "window");
    struct vlm_info info;
    double w[4];
    int rc = read_picture(r, &whole, err);
    if (rc == 0 && window)
        rc = read_numbers(r, window, "window", 4, w, err);
    if (rc < 0)
        return rc;
    whole.screen = (struct rect){0, 0, whole.w, whole.h};
    vlm_info(r->model, &info);
    if (window && !r->whole && info.view_w && (whole.w > info.view_w || whole.h > info.view_h)) {
        rc = frame_cut(&whole, part_of(&whole, w, &info), &ret->frame);
        if (rc < 0)
            return err_set(err, rc, "row %zu: cannot cut the picture to its window", r->number);
    } else {
        ret->frame = whole;
        whole = (struct frame){0};
    }
    ret->place.screen = ret->frame.screen;
    return resize_size(ret->frame.w, ret->frame.h, vlm_image_spec(r->model), &ret->place.image_w,
                       &ret->place.image_h, err);
}

/* asking */

/* One look, of those that vote or alone: the picture and the words about it. */
static int ask_once(const struct eval_row *r, const struct frame *f, const char *prompt, bool votes,
                    struct place *ret_place, struct vlm_reply *ret, struct err *err)
{
    struct patches patches = {0};
    struct grammar_limits limits;
    int rc = patch_from_frame(f, vlm_image_spec(r->model), &patches, &limits.image_w,
                              &limits.image_h, err);
    if (rc < 0)
        return rc;
    *ret_place = (struct place){limits.image_w, limits.image_h, f->screen};
    struct grammar grammar =
        r->kind == EVAL_GROUND ? grammar_boxes(&limits) : grammar_action(&limits);
    struct vlm_part parts[2] = {{.kind = VLM_IMAGE, .image = &patches},
                                {.kind = VLM_TEXT, .text = prompt}};
    struct vlm_message message = {.role = "user", .parts = parts, .n_parts = 2};
    struct vlm_request request = {.messages = &message, .n_messages = 1};
    request.max_tokens = r->kind == EVAL_QUESTION ? N_TOKENS_QUESTION : N_TOKENS;
    request.grammar = r->kind == EVAL_QUESTION ? NULL : &grammar;
    request.logprobs = votes;
    rc = vlm_generate(r->model, &request, ret, err);
    patches_done(&patches);
    return rc;
}

/* As agent/worker.c: looks until most of them agree. */
static int ask(const struct eval_row *r, struct seen *s, const char *prompt, struct str *ret_said,
               struct err *err)
{
    AUTO(vote_done) struct vote vote = {0};
    struct vlm_reply replies[VOTE_BALLOTS_MAX] = {0};
    struct place places[VOTE_BALLOTS_MAX];
    struct vlm_info info;
    vlm_info(r->model, &info);
    int n_looks = r->kind == EVAL_QUESTION ? 1 : vote_looks(r->n_looks, info.looks);
    int n = 0, rc = 0;
    vote_begin(&vote, n_looks, &s->frame);
    while (rc == 0) {
        AUTO(frame_done) struct frame f = {0};
        rc = vote_frame(&vote, &s->frame, &f, err);
        if (rc == 0)
            rc = ask_once(r, &f, prompt, n_looks > 1, &places[n], &replies[n], err);
        if (rc < 0)
            break;
        n++;
        if (n_looks == 1)
            break;
        vote_add(&vote, replies[n - 1].text, replies[n - 1].n_text, replies[n - 1].logprob,
                 r->kind == EVAL_GROUND, &places[n - 1], s->frame.screen);
        if (vote_count(&vote, &s->tally))
            break;
    }
    if (rc == 0) {
        s->answered = places[s->tally.look];
        str_add(ret_said, replies[s->tally.look].text, replies[s->tally.look].n_text);
    }
    for (int i = 0; i < n; i++)
        vlm_reply_done(&replies[i]);
    return rc;
}

/* Where on the picture the answer's point is: where most looks agree. */
static bool placed(struct seen *s, struct model_pt p)
{
    struct err none = {0};
    s->points = s->tally.n_agree || place_to_screen(&s->answered, p, &s->at, &none) == 0;
    if (s->tally.n_agree)
        s->at = s->tally.at[0];
    return s->points;
}

static int judge_target(const struct eval_row *r, struct seen *s, struct eval_verdict *ret,
                        struct str *ret_said, struct err *err)
{
    const char *instruction = text_of(r, "instruction");
    json_t *bbox = json_object_get(r->json, "bbox");
    AUTO(str_done) struct str prompt = {0};
    AUTO(action_done) struct action a = {0};
    struct model_pt point = {0};
    struct err none = {0};
    double b[4] = {0};
    float box[4];
    bool points;
    if (!instruction || !bbox)
        return err_set(err, -EINVAL, "row %zu lacks instruction or bbox", r->number);
    int rc = json_is_null(bbox) ? 0 : read_box(r, bbox, b, err);
    if (rc < 0)
        return rc;
    if (r->kind == EVAL_AGENT)
        prompt_agent(instruction, "", &prompt);
    else
        prompt_ground(instruction, &prompt);
    rc = ask(r, s, str_cstr(&prompt), ret_said, err);
    if (rc < 0)
        return rc;
    int w = s->answered.image_w, h = s->answered.image_h;
    if (r->kind == EVAL_AGENT) {
        points = action_parse(str_cstr(ret_said), ret_said->n, w, h, &a, &none) == 0 && a.has_start;
        point = a.start;
    } else {
        points = action_parse_box(str_cstr(ret_said), ret_said->n, w, h, &point, box, &none) == 0;
    }
    points = points && placed(s, point);
    ret->right = json_is_null(bbox) ? !points : points && inside(b, s->at);
    return 0;
}

/* An action of a row: read by the parser of the model's own words. */
static int read_action(const struct eval_row *r, const json_t *j, struct action *ret,
                       struct err *err)
{
    struct err why = {0};
    AUTO_FREE char *text = json_dumps(j, JSON_COMPACT);
    if (!text || action_parse(text, strlen(text), 0, 0, ret, &why) < 0)
        return err_set(err, -EINVAL, "row %zu: history has no action: %.200s", r->number, why.text);
    return 0;
}

static int add_history(const struct eval_row *r, const struct seen *s, struct str *out,
                       struct err *err)
{
    json_t *list = json_object_get(r->json, "history"), *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        AUTO(action_done) struct action a = {0};
        AUTO(str_done) struct str line = {0};
        int rc = read_action(r, one, &a, err);
        if (rc < 0)
            return rc;
        struct screen_pt p = {(int)lrintf(a.start.x), (int)lrintf(a.start.y)};
        rc = a.has_start ? place_to_model(&s->place, p, &a.start, err) : 0;
        if (rc < 0)
            return rc;
        action_history_json(&a, &line);
        str_printf(out, "Step %zu: %s.", i, str_cstr(&line));
    }
    return 0;
}

/* The same keys in the same order, letter case aside. */
static bool same_keys(const struct action *a, const json_t *keys)
{
    bool same = (size_t)a->n_keys == json_array_size(keys);
    for (int i = 0; i < a->n_keys && same; i++) {
        const char *k = json_string_value(json_array_get(keys, (size_t)i));
        same = k && strcasecmp(a->keys[i], k) == 0;
    }
    return same;
}

static int judge_against(const struct eval_row *r, struct seen *s, const struct action *a,
                         const json_t *expect, struct eval_verdict *ret, struct err *err)
{
    const char *kind = json_string_value(json_object_get(expect, "action"));
    json_t *text = json_object_get(expect, "text"), *keys = json_object_get(expect, "keys");
    json_t *bbox = json_object_get(expect, "bbox");
    struct eval_verdict v = {.is_step = true, .has_point = bbox, .has_text = text};
    double b[4];
    int rc = bbox ? read_box(r, bbox, b, err) : 0;
    if (rc < 0)
        return rc;
    if (!kind)
        return err_set(err, -EINVAL, "row %zu: expect has no action", r->number);
    v.kind = a && strcmp(action_kind_name(a->kind), kind) == 0;
    if (bbox)
        v.point = a && (a->has_start ? placed(s, a->start) && inside(b, s->at)
                                     : json_is_true(json_object_get(expect, "focused")));
    if (text)
        v.text = a && str_eq(a->text, json_string_value(text));
    v.right = v.kind && (!bbox || v.point) && (!text || v.text) && (!keys || same_keys(a, keys));
    if (v.right || !ret->is_step)
        *ret = v;
    return 0;
}

static int judge_step(const struct eval_row *r, struct seen *s, struct eval_verdict *ret,
                      struct str *ret_said, struct err *err)
{
    const char *goal = text_of(r, "goal");
    json_t *expect = json_object_get(r->json, "expect"), *one;
    AUTO(str_done) struct str history = {0}, prompt = {0};
    AUTO(action_done) struct action a = {0};
    struct err none = {0};
    size_t i;
    if (!goal || (!json_is_object(expect) && !json_array_size(expect)))
        return err_set(err, -EINVAL, "row %zu lacks goal or expect", r->number);
    int rc = add_history(r, s, &history, err);
    if (rc < 0)
        return rc;
    prompt_agent(goal, str_cstr(&history), &prompt);
    rc = ask(r, s, str_cstr(&prompt), ret_said, err);
    if (rc < 0)
        return rc;
    bool read = action_parse(str_cstr(ret_said), ret_said->n, s->answered.image_w,
                             s->answered.image_h, &a, &none) == 0;
    if (json_is_object(expect))
        return judge_against(r, s, read ? &a : NULL, expect, ret, err);
    json_array_foreach(expect, i, one)
    {
        if ((rc = judge_against(r, s, read ? &a : NULL, one, ret, err)) < 0 || ret->right)
            return rc;
    }
    return 0;
}

/* Without spaces around it and a full stop behind. */
static size_t trimmed(const char **s)
{
    size_t n;
    while (isspace((unsigned char)**s))
        (*s)++;
    n = strlen(*s);
    while (n && (isspace((unsigned char)(*s)[n - 1]) || (*s)[n - 1] == '.'))
        n--;
    return n;
}

static int judge_question(const struct eval_row *r, struct seen *s, struct eval_verdict *ret,
                          struct str *ret_said, struct err *err)
{
    const char *question = text_of(r, "question"), *said;
    json_t *answers = json_object_get(r->json, "answers"), *one;
    size_t i, n;
    if (!question || !json_array_size(answers))
        return err_set(err, -EINVAL, "row %zu lacks question or answers", r->number);
    int rc = ask(r, s, question, ret_said, err);
    if (rc < 0)
        return rc;
    said = str_cstr(ret_said);
    n = trimmed(&said);
    json_array_foreach(answers, i, one)
    {
        const char *want = json_string_value(one);
        if (!want)
            return err_set(err, -EINVAL, "row %zu: answers must be texts", r->number);
        size_t n_want = trimmed(&want);
        ret->right |= n == n_want && strncasecmp(said, want, n) == 0;
    }
    return 0;
}

int eval_row_judge(const struct eval_row *r, struct eval_verdict *ret, struct str *ret_said,
                   struct err *err)
{
    struct seen s = {0};
    struct eval_verdict v = {0};
    int rc = look(r, &s, err);
    if (rc == 0 && r->kind == EVAL_STEP)
        rc = judge_step(r, &s, &v, ret_said, err);
    else if (rc == 0 && r->kind == EVAL_QUESTION)
        rc = judge_question(r, &s, &v, ret_said, err);
    else if (rc == 0)
        rc = judge_target(r, &s, &v, ret_said, err);
    frame_done(&s.frame);
    v.tally = s.tally;
    v.points = s.points;
    v.at = s.at;
    if (rc == 0)
        *ret = v;
    return rc;
}
