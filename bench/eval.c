/* The files of an evaluation, the counts and the table. One section for each way of asking; in it a
 * line for each category, each kind of program and each size of screen, with the interval that
 * holds the true share with 95 % (Wilson's, which is right for few rows and for shares near 0 and 1
 * too). */
#include "bench/eval.h"
#include "bench/eval_row.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CATEGORIES_MAX 64
#define FILE_MAX ((size_t)64 << 20)
#define FILES_MAX 64

struct category {
    char name[64];
    int n, right;
};

struct section {
    struct category all, rows[CATEGORIES_MAX];
    int n_rows;
};

struct eval {
    struct vlm *model;
    const struct eval_options *o;
    FILE *out;
    struct section sections[N_EVAL_KINDS];
};

static void add(struct category *c, bool right)
{
    c->n++;
    c->right += right;
}

static void count(struct section *s, const char *prefix, const char *name, bool right)
{
    char full[sizeof s->rows->name];
    int i = 0;
    snprintf(full, sizeof full, "%s%.50s", prefix, name);
    while (i < s->n_rows && strcmp(s->rows[i].name, full) != 0)
        i++;
    if (i == CATEGORIES_MAX)
        return;
    if (i == s->n_rows)
        snprintf(s->rows[s->n_rows++].name, sizeof full, "%s", full);
    add(&s->rows[i], right);
}

/* Wilson's interval of a share. */
static void interval(const struct category *c, double *ret_low, double *ret_high)
{
    double z = 1.959964, n = c->n ? c->n : 1, p = c->right / n, d = 1 + z * z / n;
    double middle = (p + z * z / (2 * n)) / d;
    double half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d;
    *ret_low = c->n ? fmax(0, middle - half) : 0;
    *ret_high = c->n ? fmin(1, middle + half) : 1;
}

static void tell(struct eval *e, const struct eval_row *r, const struct eval_verdict *v,
                 const struct str *said)
{
    AUTO(str_done) struct str line = {0};
    const char *asks = eval_row_asks(r);
    str_printf(&line, "%s %zu \"", v->right ? "hit " : "miss", r->number);
    str_printable(&line, asks, strlen(asks), 200);
    str_puts(&line, "\"");
    if (v->points)
        str_printf(&line, " at %d,%d", v->at.x, v->at.y);
    str_puts(&line, ": ");
    str_printable(&line, str_cstr(said), said->n, 200);
    fprintf(e->out, "%s\n", line.s);
}

static int one(struct eval *e, const struct eval_row *r, struct err *err)
{
    static const char *const keys[] = {"data_type", "data_source", "size"};
    static const char *const prefixes[] = {"", "on ", "at "};
    static const char *const sure[] = {"0 to 19 %", "20 to 39 %", "40 to 59 %", "60 to 79 %",
                                       "80 to 100 %"};
    struct section *s = &e->sections[r->kind];
    struct eval_verdict v = {0};
    AUTO(str_done) struct str said = {0};
    int rc = eval_row_judge(r, &v, &said, err);
    if (rc < 0)
        return rc;
    add(&s->all, v.right);
    for (size_t i = 0; i < N_ELEMENTS(keys); i++) {
        const char *name = json_string_value(json_object_get(r->json, keys[i]));
        if (!name && i == 0)
            name = json_string_value(json_object_get(r->json, "ui_type")); /* ScreenSpot-Pro */
        if (name || i == 0)
            count(s, prefixes[i], name ? name : "other", v.right);
    }
    if (v.tally.n_looks)
        count(s, "sure: ", sure[CLAMP(v.tally.sure / 20, 0, 4)], v.right);
    if (v.is_step)
        count(s, "its ", "kind", v.kind);
    if (v.has_point)
        count(s, "its ", "point", v.point);
    if (v.has_text)
        count(s, "its ", "text, exact", v.text);
    if (e->o->verbose)
        tell(e, r, &v, &said);
    return 0;
}

/* files */

static int run_rows(struct eval *e, struct eval_row *r, bool both, json_t *row, struct err *err)
{
    r->json = row;
    r->kind = json_object_get(row, "question") ? EVAL_QUESTION
              : json_object_get(row, "goal")   ? EVAL_STEP
              : e->o->agent                    ? EVAL_AGENT
                                               : EVAL_GROUND;
    int rc = one(e, r, err);
    if (rc == 0 && both && r->kind == EVAL_GROUND) {
        r->kind = EVAL_AGENT;
        rc = one(e, r, err);
    }
    return rc;
}

static int run_list(struct eval *e, struct eval_row *r, bool both, const char *path,
                    const char *text, size_t n, struct err *err)
{
    json_t *list, *row;
    int rc = json_parse(text, n, path, JSON_WANT_ARRAY, 0, &list, err);
    if (rc < 0)
        return rc;
    json_array_foreach(list, r->number, row)
    {
        if (rc < 0 || (e->o->limit && r->number >= (size_t)e->o->limit))
            break;
        rc = run_rows(e, r, both, row, err);
    }
    json_decref(list);
    return rc;
}

static int run_lines(struct eval *e, struct eval_row *r, bool both, const char *path, char *text,
                     struct err *err)
{
    char *rest = NULL;
    int rc = 0;
    for (char *line = strtok_r(text, "\n", &rest); line && rc == 0;
         line = strtok_r(NULL, "\n", &rest), r->number++) {
        json_t *row = NULL;
        if (e->o->limit && r->number >= (size_t)e->o->limit)
            break;
        rc = json_parse(line, strlen(line), "it", JSON_WANT_OBJECT, 0, &row, err);
        rc = rc < 0 ? err_wrap(err, "%s, row %zu", path, r->number)
                    : run_rows(e, r, both, row, err);
        json_decref(row);
    }
    return rc;
}

static bool ends(const char *s, const char *with)
{
    size_t n = strlen(s), m = strlen(with);
    return n >= m && strcmp(s + n - m, with) == 0;
}

static int run_file(struct eval *e, const char *path, bool both, struct err *err)
{
    const char *slash = strrchr(path, '/');
    AUTO_FREE char *dir = slash ? mem_strndup(path, (size_t)(slash - path)) : mem_strdup(".");
    AUTO_FREE char *text = NULL;
    struct eval_row r = {.model = e->model, .dir = *dir ? dir : "/", .whole = e->o->whole,
                         .n_looks = (int)e->o->n_looks};
    size_t n;
    int rc = file_read(path, FILE_MAX, &text, &n, err);
    if (rc < 0)
        return rc;
    return ends(path, ".jsonl") ? run_lines(e, &r, both, path, text, err)
                                : run_list(e, &r, both, path, text, n, err);
}

static int by_text(const void *x, const void *y)
{
    return strcmp(*(char *const *)x, *(char *const *)y);
}

/* All of a folder, by name. */
static int run_folder(struct eval *e, const char *path, struct err *err)
{
    char *names[FILES_MAX];
    int n = 0, rc = 0;
    DIR *d = opendir(path);
    if (!d)
        return err_set(err, -errno, "cannot open the folder %s: %s", path, strerror(errno));
    for (struct dirent *f; (f = readdir(d)) && n < FILES_MAX;)
        if (ends(f->d_name, ".json") || ends(f->d_name, ".jsonl"))
            names[n++] = mem_strdup(f->d_name);
    closedir(d);
    qsort(names, (size_t)n, sizeof *names, by_text);
    if (n == 0)
        rc = err_set(err, -ENOENT, "the folder %s has no .json and no .jsonl file", path);
    for (int i = 0; i < n; i++) {
        AUTO_FREE char *file = file_join(path, names[i]);
        if (rc == 0)
            rc = run_file(e, file, true, err);
        free(names[i]);
    }
    return rc;
}

/* the report */

static int by_name(const void *x, const void *y)
{
    return strcmp(((const struct category *)x)->name, ((const struct category *)y)->name);
}

static json_t *category_json(const struct category *c)
{
    double low, high;
    interval(c, &low, &high);
    return json_pack("{s:i, s:i, s:f, s:f}", "n", c->n, "right", c->right, "low", low, "high",
                     high);
}

static void put_json(struct eval *e, double seconds)
{
    json_t *sections = json_object();
    for (int k = 0; k < N_EVAL_KINDS; k++) {
        struct section *s = &e->sections[k];
        if (!s->all.n)
            continue;
        json_t *j = category_json(&s->all), *list = json_object();
        for (int i = 0; i < s->n_rows; i++)
            json_object_set_new(list, s->rows[i].name, category_json(&s->rows[i]));
        json_object_set_new(j, "categories", list);
        json_object_set_new(sections, eval_kind_name((enum eval_kind)k), j);
    }
    json_t *j = json_pack("{s:f, s:o}", "seconds", seconds, "sections", sections);
    json_dumpf(j, e->out, JSON_ENSURE_ASCII | JSON_COMPACT | JSON_REAL_PRECISION(6));
    fputc('\n', e->out);
    json_decref(j);
}

static void put_category(FILE *out, const struct category *c)
{
    double low, high;
    interval(c, &low, &high);
    fprintf(out, "%-28s %6d %6d %6.1f%%   %5.1f to %5.1f%%\n", c->name, c->right, c->n,
            c->n ? 100.0 * c->right / c->n : 0, 100 * low, 100 * high);
}

static void put_table(struct eval *e, double seconds)
{
    int n = 0;
    for (int k = 0; k < N_EVAL_KINDS; k++) {
        struct section *s = &e->sections[k];
        if (!s->all.n)
            continue;
        fprintf(e->out, "%s%-28s %6s %6s %7s   %s\n", n ? "\n" : "",
                eval_kind_name((enum eval_kind)k), "right", "of", "share", "95 % between");
        for (int i = 0; i < s->n_rows; i++)
            put_category(e->out, &s->rows[i]);
        put_category(e->out, &s->all);
        n += s->all.n;
    }
    if (n)
        fprintf(e->out, "\n%d answers, %.2f s each\n", n, seconds / n);
}

int eval_run(const char *model_dir, const char *path, const struct eval_options *o, FILE *out,
             struct err *err)
{
    struct vlm_adapter adapter = {.dir = o->lora, .merge = true};
    struct vlm_options vo = {.n_threads = o->n_threads,
                             .precision = o->precision,
                             .weights = o->weights,
                             .adapters = &adapter,
                             .n_adapters = o->lora ? 1 : 0};
    struct eval *e = mem_zalloc(sizeof *e);
    struct stat st;
    e->o = o;
    e->out = out;
    int rc = o->n_looks > LOOK_MAX
                 ? err_set(err, -EINVAL, "--looks is %ld, expected 1 to %d", o->n_looks,
                           LOOK_MAX)
             : stat(path, &st) < 0
                 ? err_set(err, -errno, "cannot open %s: %s", path, strerror(errno))
                 : vlm_open(model_dir, &vo, &e->model, err);
    int64_t began = clock_now_us();
    if (rc == 0)
        rc = S_ISDIR(st.st_mode) ? run_folder(e, path, err) : run_file(e, path, false, err);
    for (int k = 0; k < N_EVAL_KINDS; k++) {
        struct section *s = &e->sections[k];
        qsort(s->rows, (size_t)s->n_rows, sizeof *s->rows, by_name);
        snprintf(s->all.name, sizeof s->all.name, "all");
    }
    double seconds = (double)(clock_now_us() - began) / 1e6;
    if (rc == 0 && o->json)
        put_json(e, seconds);
    else if (rc == 0)
        put_table(e, seconds);
    vlm_close(e->model);
    free(e);
    return rc;
}
