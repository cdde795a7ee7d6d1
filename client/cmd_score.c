/* deskhand model perplexity: how well a model expects the answers of a data set, in ms-swift's
 * JSONL: a line is
 * {"messages": [{"role", "content"}], "images": [...], "objects": {"ref", "bbox", "bbox_type",
 * "image_id"}}, with <image>, <ref-object> and <bbox> in the contents. Every assistant's turn is an
 * answer to all before it.
 *
 * Boxes are scaled to the picture as the model sees it and written [x1, y1, x2, y2], the way
 * MiMo-VL says them. Digits inside brackets are counted apart: the loss of grounding.
 *
 * A file that does not begin with { is a plain text, scored as llama.cpp's perplexity does. */
#include "client/cli.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/vlm.h"
#include "vision/jpeg.h"
#include "vision/patch.h"
#include "vision/png.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES ((size_t)64 << 20)
#define PARTS_MAX 256
#define TURNS_MAX 64
#define WINDOW 512 /* tokens of a plain text; llama-perplexity's own default */

struct loss {
    double sum;
    long n;
};

struct totals {
    struct loss all, digits;
    long answers;
};

struct picture {
    struct patches patches;
    int w, h, seen_w, seen_h; /* in the file, and as the model sees it */
};

/* One line of the file as a conversation. */
struct sample {
    json_t *row;
    const char *dir;
    struct picture *pictures;
    int n_pictures, next_picture, next_ref, next_box;
    struct vlm_part parts[PARTS_MAX];
    char *texts[PARTS_MAX]; /* owned */
    int n_parts;
    struct vlm_message turns[TURNS_MAX];
    int n_turns;
};

static void sample_done(struct sample *s)
{
    for (int i = 0; i < s->n_pictures; i++)
        patches_done(&s->pictures[i].patches);
    for (int i = 0; i < s->n_parts; i++)
        free(s->texts[i]);
    free(s->pictures);
}

static int read_picture(const char *path, struct frame *ret, struct err *err)
{
    AUTO_FREE char *data = NULL;
    size_t n;
    int r = file_read(path, 256u << 20, &data, &n, err);

    if (r < 0)
        return r;
    return n > 2 && memcmp(data, "\xff\xd8", 2) == 0
               ? jpeg_read_mem((const uint8_t *)data, n, ret, err)
               : png_read_mem((const uint8_t *)data, n, ret, err);
}

static int load_pictures(struct vlm *m, struct sample *s, struct err *err)
{
    json_t *list = json_object_get(s->row, "images"), *one;
    size_t i;
    int r = 0;

    if (json_array_size(list))
        s->pictures = mem_zalloc(sizeof(*s->pictures) * json_array_size(list));
    json_array_foreach(list, i, one)
    {
        struct picture *p = &s->pictures[i];
        struct frame f = {0};
        const char *name =
            json_string_value(json_is_object(one) ? json_object_get(one, "path") : one);
        if (!name)
            return err_set(err, -EINVAL, "images[%zu] is no path", i);
        AUTO_FREE char *path = name[0] == '/' ? mem_strdup(name) : file_join(s->dir, name);
        if ((r = read_picture(path, &f, err)) < 0)
            return r;
        p->w = f.w;
        p->h = f.h;
        r = patch_from_frame(&f, vlm_image_spec(m), &p->patches, &p->seen_w, &p->seen_h, err);
        frame_done(&f);
        if (r < 0)
            return r;
        s->n_pictures++;
    }
    return 0;
}

static int add_part(struct sample *s, struct vlm_part part, char *owned, struct err *err)
{
    if (s->n_parts == PARTS_MAX) {
        free(owned);
        return err_set(err, -E2BIG, "more than %d parts", PARTS_MAX);
    }
    s->texts[s->n_parts] = owned;
    s->parts[s->n_parts++] = part;
    return 0;
}

static int add_text(struct sample *s, struct str *text, struct err *err)
{
    if (!text->n)
        return 0;
    char *t = str_take(text);
    return add_part(s, (struct vlm_part){.kind = VLM_TEXT, .text = t}, t, err);
}

/* The next box of "objects", scaled as the training does. */
static int put_box(struct sample *s, struct str *text, struct err *err)
{
    json_t *objects = json_object_get(s->row, "objects");
    json_t *box = json_array_get(json_object_get(objects, "bbox"), (size_t)s->next_box);
    json_t *of = json_array_get(json_object_get(objects, "image_id"), (size_t)s->next_box);
    bool share = str_eq(json_string_value(json_object_get(objects, "bbox_type")), "norm1");
    size_t n = json_array_size(box);
    json_int_t at = json_is_integer(of) ? json_integer_value(of) : 0;

    s->next_box++;
    if ((n != 2 && n != 4) || at < 0 || at >= s->n_pictures)
        return err_set(err, -EINVAL, "objects.bbox[%d] is no box or point of a picture",
                       s->next_box - 1);
    const struct picture *p = &s->pictures[at];
    for (size_t i = 0; i < n; i++) {
        double v = json_number_value(json_array_get(box, i));
        double scale = share ? (i % 2 ? p->seen_h : p->seen_w)
                             : (i % 2 ? (double)p->seen_h / p->h : (double)p->seen_w / p->w);
        str_printf(text, "%s%.0f", i ? ", " : "[", nearbyint(v * scale));
    }
    str_puts(text, "]");
    return 0;
}

/* A content with its placeholders; pictures become parts, the rest is text. */
static int add_content(struct sample *s, const char *c, struct err *err)
{
    struct str text = {0};
    int r = 0;

    while (*c && r == 0) {
        if (str_starts(c, "<image>")) {
            c += 7;
            if (s->next_picture >= s->n_pictures) {
                r = err_set(err, -EINVAL, "more <image> than pictures");
            } else if ((r = add_text(s, &text, err)) == 0) {
                struct picture *p = &s->pictures[s->next_picture++];
                r = add_part(s, (struct vlm_part){.kind = VLM_IMAGE, .image = &p->patches}, NULL,
                             err);
            }
        } else if (str_starts(c, "<bbox>")) {
            c += 6;
            r = put_box(s, &text, err);
        } else if (str_starts(c, "<ref-object>")) {
            c += 12;
            json_t *refs = json_object_get(json_object_get(s->row, "objects"), "ref");
            const char *ref = json_string_value(json_array_get(refs, (size_t)s->next_ref++));
            if (ref)
                str_puts(&text, ref);
            else
                r = err_set(err, -EINVAL, "more <ref-object> than objects.ref");
        } else if (str_starts(c, "<video>") || str_starts(c, "<audio>")) {
            r = err_set(err, -ENOTSUP, "%.7s is not supported here", c);
        } else {
            str_putc(&text, *c++);
        }
    }
    if (r == 0)
        r = add_text(s, &text, err);
    str_done(&text);
    return r;
}

static void count(struct loss *l, float logprob)
{
    l->sum -= (double)logprob;
    l->n++;
}

/* Adds the tokens of an answer; those with a digit inside brackets to the digits too. */
static void count_answer(const struct vlm *m, const struct vlm_token *t, int n, struct totals *ret)
{
    int depth = 0;

    ret->answers++;
    for (int i = 0; i < n; i++) {
        AUTO_FREE char *s = vlm_detokenize(m, &t[i].id, 1, true);
        bool digit = false;
        for (const char *c = s; *c; c++) {
            depth += *c == '[' || *c == '(';
            depth -= (*c == ']' || *c == ')') && depth > 0;
            digit |= depth > 0 && isdigit((unsigned char)*c);
        }
        count(&ret->all, t[i].logprob);
        if (digit)
            count(&ret->digits, t[i].logprob);
    }
}

/* Every assistant's turn of a line. */
static int score_turns(struct vlm *m, struct sample *s, struct totals *ret, struct err *err)
{
    json_t *list = json_object_get(s->row, "messages"), *one;
    size_t i;
    int r = 0;

    if (!json_array_size(list) || json_array_size(list) > TURNS_MAX)
        return err_set(err, -EINVAL, "messages is no list of 1 to %d", TURNS_MAX);
    json_array_foreach(list, i, one)
    {
        const char *role = json_string_value(json_object_get(one, "role"));
        const char *content = json_string_value(json_object_get(one, "content"));
        int first = s->n_parts;
        if (!role || !content)
            return err_set(err, -EINVAL, "messages[%zu] has no role or no content of text", i);
        if ((r = add_content(s, content, err)) < 0)
            return r;
        bool is_answer = str_eq(role, "assistant");
        if (is_answer && s->n_turns && s->n_parts == first + 1 &&
            s->parts[first].kind == VLM_TEXT) {
            struct vlm_request q = {.messages = s->turns, .n_messages = s->n_turns};
            AUTO_FREE struct vlm_token *t = NULL;
            int n;
            if ((r = vlm_score(m, &q, s->parts[first].text, &t, &n, err)) < 0)
                return r;
            count_answer(m, t, n, ret);
        }
        s->turns[s->n_turns++] = (struct vlm_message){role, s->parts + first, s->n_parts - first};
    }
    return 0;
}

static void put_loss(const char *name, const struct loss *l)
{
    if (l->n)
        printf("%-12s %8ld tokens  loss %.4f  perplexity %.4f\n", name, l->n, l->sum / (double)l->n,
               exp(l->sum / (double)l->n));
}

static json_t *loss_json(const struct loss *l)
{
    return json_pack("{s:I, s:f}", "tokens", (json_int_t)l->n, "loss",
                     l->n ? l->sum / (double)l->n : 0.0);
}

static int score_line(struct vlm *m, const char *dir, const char *line, size_t n,
                      struct totals *ret, struct err *err)
{
    struct sample s = {.dir = dir};

    int r = json_parse(line, n, "it", JSON_WANT_OBJECT, 0, &s.row, err);
    if (r == 0)
        r = load_pictures(m, &s, err);
    if (r == 0)
        r = score_turns(m, &s, ret, err);
    sample_done(&s);
    json_decref(s.row);
    return r;
}

/* Every line of a data set. */
static int score_lines(const struct cli *c, struct vlm *m, FILE *f, struct totals *ret)
{
    const char *slash = strrchr(c->arg2, '/');
    AUTO_FREE char *dir =
        slash ? mem_strndup(c->arg2, (size_t)(slash - c->arg2) + 1) : mem_strdup(".");
    AUTO_FREE char *line = NULL;
    struct err err = {0};
    size_t cap = 0;
    long number = 0;

    for (ssize_t n; (n = getline(&line, &cap, f)) > 0;) {
        struct totals before = *ret;
        number++;
        if (n == 1)
            continue;
        if (c->limit && number > c->limit)
            break;
        if ((size_t)n > LINE_MAX_BYTES || score_line(m, dir, line, (size_t)n, ret, &err) < 0)
            return cli_fail(c, CLI_FAILED, "%s, line %ld: %s", c->arg2, number,
                            *err.text ? err.text : "it is longer than 64 MiB");
        if (c->verbose && ret->all.n > before.all.n) {
            struct loss l = {ret->all.sum - before.all.sum, ret->all.n - before.all.n};
            printf("line %-7ld %8ld tokens  loss %.4f\n", number, l.n, l.sum / (double)l.n);
        }
    }
    if (!ret->answers)
        return cli_fail(c, CLI_FAILED, "%s holds no answer of an assistant", c->arg2);
    return CLI_OK;
}

static int score_text(const struct cli *c, struct vlm *m, FILE *f, struct totals *ret)
{
    AUTO_FREE struct vlm_token *t = NULL;
    AUTO_FREE char *text = NULL;
    struct err err = {0};
    size_t cap = 0;
    int n;

    ssize_t n_text = getdelim(&text, &cap, '\0', f);
    if (n_text < 0 || (size_t)n_text > LINE_MAX_BYTES)
        return cli_fail(c, CLI_FAILED, "%s is empty, or longer than 64 MiB", c->arg2);
    if (vlm_score_text(m, text, (size_t)n_text, WINDOW, (int)c->limit, &t, &n, &err) < 0)
        return cli_fail(c, CLI_FAILED, "%s: %s", c->arg2, err.text);
    for (int i = 0; i < n; i++)
        count(&ret->all, t[i].logprob);
    return CLI_OK;
}

int cmd_model_perplexity(const struct cli *c)
{
    struct vlm_options o = {.n_threads = (int)c->threads, .mmproj = c->mmproj,
                            .weights = c->weights, .precision = c->precision, .kv = c->kv};
    struct totals t = {0};
    struct err err = {0};
    struct vlm *m;

    FILE *f = fopen(c->arg2, "re");
    if (!f)
        return cli_fail(c, CLI_FAILED, "cannot open %s: %s", c->arg2, strerror(errno));
    if (vlm_open(c->arg, &o, &m, &err) < 0) {
        fclose(f);
        return cli_fail(c, CLI_FAILED, "%s", err.text);
    }
    int first = getc(f);
    ungetc(first, f);
    bool is_text = first != '{';
    int rc = is_text ? score_text(c, m, f, &t) : score_lines(c, m, f, &t);
    fclose(f);
    vlm_close(m);
    if (rc != CLI_OK)
        return rc;
    if (c->json) {
        json_t *j = json_pack("{s:{s:I, s:o, s:o}}", "result", "answers", (json_int_t)t.answers,
                              "all", loss_json(&t.all), "grounding", loss_json(&t.digits));
        cli_put_json(stdout, j);
        json_decref(j);
    } else {
        if (!is_text)
            printf("%ld answers\n", t.answers);
        put_loss("all", &t.all);
        put_loss("coordinates", &t.digits);
    }
    return CLI_OK;
}
