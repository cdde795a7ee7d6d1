/* deskhand model: looks at checkpoints. Like bench it opens models itself; a daemon is not asked.
 *
 * `verify` catches what a loader cannot: pictures that are silently dropped. It shows the model a
 * red, a green and a blue picture with the same question. Features and logits must differ; and if
 * the model answers with colours at all, every answer must be the right one. */
#include "client/cli.h"

#include "base/mem.h"
#include "base/str.h"
#include "client/verify.h"
#include "model/tool.h"
#include "model/vlm.h"
#include "vision/patch.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define SIDE 224 /* of the control pictures, in pixels */

static bool show_progress;

static void tell(void *user, float share)
{
    static int last = -1;
    int percent = (int)(share * 100);
    if (!show_progress || percent == last)
        return;
    last = percent;
    fprintf(stderr, "\r%s %3d %%%s", (const char *)user, percent, percent == 100 ? "\r\x1b[K" : "");
    fflush(stderr);
}

static void progress_on(const struct cli *c)
{
    show_progress = !c->json && isatty(STDERR_FILENO);
}

int cmd_model(const struct cli *c)
{
    if (c->arg)
        return cli_fail(c, CLI_USAGE, "there is no command \"model %s\": see deskhand help model",
                        c->arg);
    cli_usage(stdout, command_find("model"));
    return CLI_OK;
}

/* info */

static void put_shape(const json_t *shape)
{
    size_t i;
    json_t *n;
    json_array_foreach(shape, i, n)
        printf("%s%lld", i ? " x " : "", (long long)json_integer_value(n));
}

static void put_config(const json_t *j, long n_tokens)
{
    const json_t *v = json_object_get(j, "vision");
    printf("language model   %ld layers of %ld, %ld heads (%ld for keys) of %ld, inner %ld\n",
           cli_int(j, "layers"), cli_int(j, "hidden_size"), cli_int(j, "heads"),
           cli_int(j, "kv_heads"), cli_int(j, "head_dim"), cli_int(j, "intermediate_size"));
    printf("vocabulary       %ld tokens in %ld rows%s; context %ld\n", n_tokens,
           cli_int(j, "vocab"),
           json_is_true(json_object_get(j, "tied_embeddings")) ? ", head tied to them" : "",
           cli_int(j, "context"));
    if (v)
        printf("vision tower     %ld blocks of %ld, %ld heads, inner %ld; patches of %ld, windows "
               "of %ld\n",
               cli_int(v, "depth"), cli_int(v, "hidden_size"), cli_int(v, "heads"),
               cli_int(v, "intermediate_size"), cli_int(v, "patch"), cli_int(v, "window"));
    else
        printf("vision tower     none: a model of text only\n");
}

int cmd_model_info(const struct cli *c)
{
    struct err err = {0};
    json_t *j, *row;
    size_t i;

    if (tool_info(c->arg, c->mmproj, &j, &err) < 0)
        return cli_fail(c, CLI_FAILED, "%s", err.text);
    if (c->json) {
        json_t *all = json_pack("{s:O}", "result", j);
        cli_put_json(stdout, all);
        json_decref(all);
        json_decref(j);
        return CLI_OK;
    }
    printf("%-16s ", cli_text(j, "kind"));
    cli_put(stdout, cli_text(j, "path"));
    if (*cli_text(j, "vision_path")) {
        printf("\n                 ");
        cli_put(stdout, cli_text(j, "vision_path"));
    }
    printf("\n");
    put_config(json_object_get(j, "config"), cli_int(j, "tokens"));
    printf("values           %.1f million in %.1f MB\n",
           (double)json_integer_value(json_object_get(j, "n_values")) / 1e6,
           (double)json_integer_value(json_object_get(j, "bytes")) / 1e6);
    json_array_foreach(json_object_get(j, "types"), i, row) printf(
        "%-16s %5ld tensors, %10.1f million values, %10.1f MB\n", cli_text(row, "type"),
        cli_int(row, "tensors"), (double)json_integer_value(json_object_get(row, "values")) / 1e6,
        (double)json_integer_value(json_object_get(row, "bytes")) / 1e6);
    json_array_foreach(json_object_get(j, "tensors"), i, row)
    {
        if (!c->verbose)
            break;
        printf("%-12s ", cli_text(row, "type"));
        cli_put(stdout, cli_text(row, "name"));
        printf("  ");
        put_shape(json_object_get(row, "shape"));
        printf("\n");
    }
    json_decref(j);
    return CLI_OK;
}

/* verify */

struct pictures {
    struct patches p[VERIFY_COLOURS];
    float *features[VERIFY_COLOURS], *logits[VERIFY_COLOURS];
    char *answer[VERIFY_COLOURS];
    int n_features, n_logits;
};

static void pictures_done(struct pictures *s)
{
    for (int i = 0; i < VERIFY_COLOURS; i++) {
        patches_done(&s->p[i]);
        free(s->features[i]);
        free(s->logits[i]);
        free(s->answer[i]);
    }
}

static int draw(struct vlm *m, struct pictures *s, struct err *err)
{
    int r = 0;
    for (int i = 0; i < VERIFY_COLOURS && r == 0; i++) {
        struct frame f = {0};
        if ((r = frame_alloc(&f, SIDE, SIDE)) < 0)
            return err_set(err, r, "cannot draw a picture");
        for (int k = 0; k < SIDE * SIDE; k++)
            memcpy(f.rgb + 3 * k, verify_colours[i].rgb, 3);
        r = patch_from_frame(&f, vlm_image_spec(m), &s->p[i], NULL, NULL, err);
        frame_done(&f);
    }
    return r;
}

static int ask(struct vlm *m, struct pictures *s, struct err *err)
{
    static const char question[] =
        "What colour is this picture? Answer with one word: red, green or blue.";
    struct vlm_info info;
    int r = 0;

    vlm_info(m, &info);
    s->n_features = patches_n_tokens(&s->p[0]) * info.d_model;
    s->n_logits = info.n_vocab;
    for (int i = 0; i < VERIFY_COLOURS && r == 0; i++) {
        struct vlm_part parts[] = {{VLM_IMAGE, NULL, &s->p[i]}, {VLM_TEXT, question, NULL}};
        struct vlm_message message = {"user", parts, 2};
        struct vlm_request q = {.messages = &message,
                                .n_messages = 1,
                                .max_tokens = 24,
                                .prefill = "<think>\n</think>\n\n"};
        struct vlm_reply reply = {0};
        if ((r = vlm_encode_image(m, &s->p[i], &s->features[i], err)) < 0 ||
            (r = vlm_logits(m, &q, &s->logits[i], err)) < 0 ||
            (r = vlm_generate(m, &q, &reply, err)) < 0)
            break;
        s->answer[i] = mem_strdup(reply.text);
        vlm_reply_done(&reply);
    }
    return r;
}

/* The verdict is added to the faults. */
static json_t *judge(const struct pictures *s, json_t *faults)
{
    double features = verify_apart(s->features, s->n_features);
    double logits = verify_apart(s->logits, s->n_logits);
    bool named = verify_judge(features, logits, s->answer, faults);
    json_t *answers = json_array();

    for (int i = 0; i < VERIFY_COLOURS; i++)
        json_array_append_new(answers, json_string(s->answer[i]));
    return json_pack("{s:f, s:f, s:o, s:b}", "features_apart", isfinite(features) ? features : 0.0,
                     "logits_apart", isfinite(logits) ? logits : 0.0, "answers", answers, "named",
                     named);
}

static int check_pictures(const struct cli *c, json_t *j, struct err *err)
{
    struct vlm_options o = {.n_threads = (int)c->threads,
                            .mmproj = c->mmproj,
                            .n_ctx = 0,
                            .on_progress = tell,
                            .user = (void *)"loading"};
    struct pictures s = {0};
    struct vlm *m;
    int r = vlm_open(c->arg, &o, &m, err);

    if (r < 0)
        return r;
    if ((r = draw(m, &s, err)) == 0 && (r = ask(m, &s, err)) == 0)
        json_object_set_new(j, "pictures", judge(&s, json_object_get(j, "faults")));
    pictures_done(&s);
    vlm_close(m);
    return r;
}

static void put_verdict(const json_t *j)
{
    const json_t *p = json_object_get(j, "pictures"), *faults = json_object_get(j, "faults");
    size_t i;
    json_t *row;

    printf("%ld tensors of the configuration looked for, their shapes and values checked\n",
           cli_int(j, "tensors"));
    if (json_array_size(json_object_get(j, "unused")))
        printf("%zu tensors have no use here\n", json_array_size(json_object_get(j, "unused")));
    if (!json_is_true(json_object_get(j, "reads_pictures")))
        printf("no vision tower: pictures not checked\n");
    else if (p)
        printf(
            "red, green and blue pictures: features at least %.2g apart, logits %.2g; colours %s\n",
            json_number_value(json_object_get(p, "features_apart")),
            json_number_value(json_object_get(p, "logits_apart")),
            json_is_true(json_object_get(p, "named"))
                ? "named"
                : "not named (this model does not answer such questions)");
    json_array_foreach(faults, i, row)
    {
        printf("FAULT  ");
        cli_put(stdout, json_string_value(row));
        printf("\n");
    }
    printf(json_array_size(faults) ? "%zu faults\n" : "no fault found\n", json_array_size(faults));
}

int cmd_model_verify(const struct cli *c)
{
    struct tool_progress p = {tell, (void *)"checking"};
    struct err err = {0};
    json_t *j;

    progress_on(c);
    if (tool_check(c->arg, c->mmproj, &p, &j, &err) < 0)
        return cli_fail(c, CLI_FAILED, "%s", err.text);
    json_t *faults = json_object_get(j, "faults");
    /* A model with holes cannot be asked. */
    if (!json_array_size(faults) && json_is_true(json_object_get(j, "reads_pictures")) &&
        check_pictures(c, j, &err) < 0) {
        json_decref(j);
        return cli_fail(c, CLI_FAILED, "%s", err.text);
    }
    size_t n_faults = json_array_size(faults);
    if (c->json) {
        json_t *all = json_pack("{s:O}", "result", j);
        cli_put_json(stdout, all);
        json_decref(all);
    } else {
        put_verdict(j);
    }
    json_decref(j);
    return n_faults ? CLI_FAILED : CLI_OK;
}

/* quantize */

/* With --lora the adapter is merged into what is written. */
int cmd_model_quantize(const struct cli *c)
{
    struct tool_progress p = {tell, (void *)"writing"};
    struct err err = {0};

    if (!c->type)
        return cli_fail(c, CLI_USAGE, "deskhand model quantize wants --type, q8_0 for example");
    const char *const types[] = {c->type, c->vision_type};
    for (size_t i = 0; i < N_ELEMENTS(types); i++)
        if (types[i] && !tool_is_type(types[i]))
            return cli_fail(c, CLI_USAGE,
                            "the type \"%s\" cannot be written: see deskhand help model "
                            "quantize",
                            types[i]);
    progress_on(c);
    if (tool_convert(c->arg, c->mmproj, c->type, c->vision_type, c->lora, c->arg2, &p, &err) < 0)
        return cli_fail(c, CLI_FAILED, "%s", err.text);
    if (c->json) {
        json_t *j = json_pack("{s:{s:s}}", "result", "path", c->arg2);
        cli_put_json(stdout, j);
        json_decref(j);
    } else {
        cli_put(stdout, c->arg2);
        printf("\n");
    }
    return CLI_OK;
}

int cmd_model_merge(const struct cli *c)
{
    struct cli with = *c;

    if (!c->lora)
        return cli_fail(c, CLI_USAGE,
                        "deskhand model merge-lora wants --lora, the adapter's folder");
    if (!c->type)
        with.type = "bf16";
    return cmd_model_quantize(&with);
}
