/* Asks the model about each row of a ScreenSpot file with the same prompt, grammar, parser and mapping
 * as the daemon, and counts hits a category. */
#include "bench/eval.h"
#include "actions/action.h"
#include "actions/grammar.h"
#include "agent/prompt.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/vlm.h"
#include "vision/patch.h"
#include "vision/place.h"
#include "vision/png.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CATEGORIES_MAX 64
#define FILE_MAX ((size_t)64 << 20)

struct category {
    char name[64];
    int n, right;
};

struct eval {
    struct vlm *model;
    const struct eval_options *o;
    FILE *out;
    char *dir; /* of the file */
    struct category rows[CATEGORIES_MAX];
    int n_rows;
    struct category all;
};

static void count(struct eval *e, const char *name, bool right)
{
    int i = 0;
    while (i < e->n_rows && strcmp(e->rows[i].name, name) != 0)
        i++;
    if (i == e->n_rows) {
        if (i == CATEGORIES_MAX)
            return;
        snprintf(e->rows[i].name, sizeof e->rows[i].name, "%s", name);
        e->n_rows++;
    }
    e->rows[i].n++;
    e->rows[i].right += right;
}

static int read_picture(const struct eval *e, const char *name, struct frame *ret, struct err *err)
{
    if (strstr(name, ".."))
        return err_set(err, -EINVAL, "the picture \"%.100s\" lies outside the folder", name);
    AUTO_FREE char *beside = file_join(e->dir, name);
    AUTO_FREE char *images = file_join(e->dir, "images");
    AUTO_FREE char *inside = file_join(images, name);
    return png_read_file(access(beside, F_OK) == 0 ? beside : inside, ret, err);
}

/* What the model points at, in pixels of the picture; false when at nothing. */
static int answer(struct eval *e, const struct frame *f, const char *instruction,
                  struct screen_pt *ret, bool *ret_points, struct str *ret_text, struct err *err)
{
    struct patches patches = {0};
    struct grammar_limits limits;
    AUTO(str_done) struct str prompt = {0};
    int rc = patch_from_frame(f, vlm_image_spec(e->model), &patches, &limits.image_w,
                              &limits.image_h, err);
    if (rc < 0)
        return rc;
    if (e->o->agent)
        prompt_agent(instruction, "", &prompt);
    else
        prompt_ground(instruction, &prompt);
    struct grammar grammar = e->o->agent ? grammar_action(&limits) : grammar_boxes(&limits);
    struct vlm_part parts[2] = {{.kind = VLM_IMAGE, .image = &patches},
                                {.kind = VLM_TEXT, .text = str_cstr(&prompt)}};
    struct vlm_message message = {.role = "user", .parts = parts, .n_parts = 2};
    struct vlm_request request = {
        .messages = &message, .n_messages = 1, .max_tokens = 512, .grammar = &grammar};
    struct vlm_reply reply = {0};
    rc = vlm_generate(e->model, &request, &reply, err);
    patches_done(&patches);
    if (rc < 0)
        return rc;
    str_add(ret_text, reply.text, reply.n_text);

    struct err none = {0};
    struct place place = {limits.image_w, limits.image_h, {0, 0, f->w, f->h}};
    struct model_pt at = {0};
    bool points;
    if (e->o->agent) {
        struct action a = {0};
        points = action_parse(reply.text, reply.n_text, limits.image_w, limits.image_h, &a,
                              &none) == 0 &&
                 a.has_start;
        at = a.start;
        action_done(&a);
    } else {
        float box[4];
        points = action_parse_box(reply.text, reply.n_text, limits.image_w, limits.image_h, &at,
                                  box, &none) == 0;
    }
    *ret_points = points && place_to_screen(&place, at, ret, &none) == 0;
    vlm_reply_done(&reply);
    return 0;
}

static int one(struct eval *e, json_t *row, size_t i, struct err *err)
{
    const char *picture = json_string_value(json_object_get(row, "img_filename"));
    const char *instruction = json_string_value(json_object_get(row, "instruction"));
    const char *type = json_string_value(json_object_get(row, "data_type"));
    const char *source = json_string_value(json_object_get(row, "data_source"));
    json_t *bbox = json_object_get(row, "bbox");
    double b[4] = {0};
    if (!type)
        type = json_string_value(json_object_get(row, "ui_type")); /* ScreenSpot-Pro */
    if (!picture || !instruction || !bbox)
        return err_set(err, -EINVAL, "row %zu lacks img_filename, instruction or bbox", i);
    bool absent = json_is_null(bbox);
    for (size_t k = 0; k < 4 && !absent; k++) {
        json_t *v = json_array_get(bbox, k);
        if (json_array_size(bbox) != 4 || !json_is_number(v))
            return err_set(err, -EINVAL, "row %zu: bbox must be four numbers or null", i);
        b[k] = json_number_value(v);
    }
    if (!json_object_get(row, "img_size")) {
        b[2] += b[0];
        b[3] += b[1];
    }
    struct frame f = {0};
    int rc = read_picture(e, picture, &f, err);
    if (rc < 0)
        return rc;
    struct screen_pt at = {0};
    bool points = false;
    AUTO(str_done) struct str text = {0};
    rc = answer(e, &f, instruction, &at, &points, &text, err);
    frame_done(&f);
    if (rc < 0)
        return rc;
    bool right = absent ? !points
                        : points && at.x >= b[0] && at.x <= b[2] && at.y >= b[1] && at.y <= b[3];
    e->all.n++;
    e->all.right += right;
    count(e, type ? type : "other", right);
    if (source) {
        char name[64];
        snprintf(name, sizeof name, "on %.50s", source);
        count(e, name, right);
    }
    if (e->o->verbose) {
        AUTO(str_done) struct str line = {0};
        str_printf(&line, "%s %zu \"", right ? "hit " : "miss", i);
        str_printable(&line, instruction, strlen(instruction), 200);
        str_puts(&line, "\": ");
        str_printable(&line, text.s ? text.s : "", text.n, 200);
        fprintf(e->out, "%s\n", line.s);
    }
    return 0;
}

static int by_name(const void *x, const void *y)
{
    return strcmp(((const struct category *)x)->name, ((const struct category *)y)->name);
}

static void report(struct eval *e, double seconds)
{
    qsort(e->rows, (size_t)e->n_rows, sizeof *e->rows, by_name);
    if (e->o->json) {
        json_t *list = json_object();
        for (int i = 0; i < e->n_rows; i++)
            json_object_set_new(list, e->rows[i].name,
                                json_pack("{s:i, s:i}", "n", e->rows[i].n, "right",
                                          e->rows[i].right));
        json_t *j = json_pack("{s:i, s:i, s:f, s:o}", "n", e->all.n, "right", e->all.right,
                              "seconds", seconds, "categories", list);
        json_dumpf(j, e->out, JSON_ENSURE_ASCII | JSON_COMPACT);
        fputc('\n', e->out);
        json_decref(j);
        return;
    }
    fprintf(e->out, "%-32s %6s %6s %7s\n", "category", "right", "of", "share");
    for (int i = 0; i < e->n_rows; i++)
        fprintf(e->out, "%-32s %6d %6d %6.1f%%\n", e->rows[i].name, e->rows[i].right, e->rows[i].n,
                100.0 * e->rows[i].right / e->rows[i].n);
    fprintf(e->out, "%-32s %6d %6d %6.1f%%   %.2f s a row\n", "all", e->all.right, e->all.n,
            e->all.n ? 100.0 * e->all.right / e->all.n : 0, e->all.n ? seconds / e->all.n : 0);
}

int eval_run(const char *model_dir, const char *path, const struct eval_options *o, FILE *out,
             struct err *err)
{
    AUTO_FREE char *text = NULL;
    size_t n;
    int rc = file_read(path, FILE_MAX, &text, &n, err);
    if (rc < 0)
        return rc;
    json_error_t je;
    json_t *list = json_loadb(text, n, 0, &je);
    if (!json_is_array(list)) {
        json_decref(list);
        return err_set(err, -EINVAL, "%s is not a JSON list of rows (line %d: %s)", path, je.line,
                       je.text);
    }
    struct eval e = {.o = o, .out = out};
    const char *slash = strrchr(path, '/');
    e.dir = slash ? mem_strndup(path, (size_t)(slash - path)) : mem_strdup(".");
    struct vlm_options vo = {.n_threads = o->n_threads};
    rc = vlm_open(model_dir, &vo, &e.model, err);
    int64_t began = clock_now_us();
    size_t i;
    json_t *row;
    json_array_foreach(list, i, row)
    {
        if (rc < 0 || (o->limit && i >= (size_t)o->limit))
            break;
        rc = one(&e, row, i, err);
    }
    if (rc == 0)
        report(&e, (double)(clock_now_us() - began) / 1e6);
    vlm_close(e.model);
    json_decref(list);
    free(e.dir);
    return rc;
}
