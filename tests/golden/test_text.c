/* Real, trained text models in GGUF against llama.cpp (tools/goldens/text.py): token ids, logits
 * and the greedy text of 20 prompts, 64 tokens each.
 *
 *   DESKHAND_TEXT_MODELS=FOLDER test_text GOLDEN.json...
 *
 * In f32 on the file's exact values every token must be llama.cpp's; where one is not, the two
 * best logits must have been as good as equal. As the program opens the file by itself, weights in
 * int8, and as llama.cpp does, activations in eight bits, both round: how long these two agree with
 * f32 is only printed. Prompts in the chat template also go through vlm_generate().
 *
 * The models are too large for the tree: without the variable, or without the file in the folder,
 * a model is skipped with a message. */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/engine.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SKIPPED 77    /* meson's word for it */
#define CLOSE 1e-4    /* of the largest logit; test_gguf.c */
#define EVEN 1e-3     /* logits this close, of the largest, have no better one */
#define N_GREEDY 64   /* text.py */

static int n_failed;

static void wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void wrong(const char *fmt, ...)
{
    va_list ap;

    printf("WRONG: ");
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    n_failed++;
}

static int32_t int_at(const json_t *list, int i)
{
    return (int32_t)json_integer_value(json_array_get(list, (size_t)i));
}

static bool forward(struct vlm *m, const int32_t *ids, int n, int past)
{
    struct lm_run run = {&m->seq.cache, n, past, 1};
    AUTO_FREE int32_t *pos = mem_alloc(sizeof(*pos) * 3 * (size_t)n);
    struct err err = {0};

    for (int i = 0; i < n; i++) {
        pos[i] = pos[n + i] = pos[2 * n + i] = past + i;
        lm_embed(&m->lm, ids[i], m->lm.x + (size_t)i * (size_t)m->lm.d);
    }
    if (lm_forward(&m->lm, m->b, &run, 1, pos, n, NULL, &err) < 0 ||
        lm_logits(&m->lm, m->b, n - 1, 1, m->logits, &err) < 0) {
        wrong("%s", err.text);
        return false;
    }
    return true;
}

static int32_t best(const struct vlm *m)
{
    int32_t b = 0;

    for (int32_t t = 1; t < bpe_n_tokens(m->bpe); t++)
        if (m->logits[t] > m->logits[b])
            b = t;
    return b;
}

/* Fills ret [N_GREEDY]; an end token is the last. Returns how many. */
static int greedy(struct vlm *m, int n_prompt, int32_t *ret)
{
    int n = 0;

    while (n < N_GREEDY) {
        ret[n] = best(m);
        if (config_is_eos(&m->config, ret[n++]) || n == N_GREEDY ||
            !forward(m, ret + n - 1, 1, n_prompt + n - 1))
            break;
    }
    return n;
}

static int common(const json_t *list, const int32_t *ids, int n)
{
    int i = 0;

    while (i < n && i < (int)json_array_size(list) && int_at(list, i) == ids[i])
        i++;
    return i;
}

static void check_ids(struct vlm *m, const json_t *row, const int32_t *ids, int n)
{
    json_t *want = json_object_get(row, "ids");
    int same = common(want, ids, n);

    if (same != n || n != (int)json_array_size(want))
        wrong("token %d of %d of the prompt is not llama.cpp's", same, n);
}

/* The same prompt as messages, the same tokens as a reply. */
static void check_reply(struct vlm *m, const json_t *row, const char *system, const int32_t *ids,
                        int n)
{
    const char *question = json_string_value(json_object_get(row, "question"));
    struct vlm_part parts[] = {{VLM_TEXT, system, NULL}, {VLM_TEXT, question, NULL}};
    struct vlm_message messages[] = {{"system", &parts[0], 1}, {"user", &parts[1], 1}};
    struct vlm_request q = {.messages = messages, .n_messages = 2, .max_tokens = N_GREEDY,
                            .logprobs = true};
    struct vlm_reply reply = {0};
    struct err err = {0};
    AUTO_FREE int32_t *prompt = NULL, *pos = NULL;
    int n_prompt, n_text = n - config_is_eos(&m->config, ids[n - 1]);

    if (vlm_prompt(m, &q, &prompt, &pos, &n_prompt, &err) < 0 ||
        vlm_generate(m, &q, &reply, &err) < 0) {
        wrong("%s", err.text);
        return;
    }
    check_ids(m, row, prompt, n_prompt);
    int same = 0;
    while (same < n_text && same < reply.n_generated && reply.tokens[same].id == ids[same])
        same++;
    if (same < n_text)
        wrong("token %d of the reply is another one than step by step", same);
    vlm_reply_done(&reply);
}

static double distance(const struct vlm *m, const json_t *row, int stride)
{
    json_t *list = json_object_get(row, "logits"), *v;
    double worst = 0, largest = json_number_value(json_object_get(row, "largest"));
    size_t i;

    json_array_foreach(list, i, v)
    {
        double d = fabs(json_number_value(v) - (double)m->logits[i * (size_t)stride]);
        worst = d <= worst ? worst : d;
    }
    return worst / largest;
}

struct total {
    int whole, tokens, of; /* prompts and tokens that are llama.cpp's in f32 */
    double worst;
};

/* Prints one row of the table. */
static void compare(struct vlm *m, const json_t *golden, const json_t *row, bool exact,
                    struct total *t)
{
    const char *prompt = json_string_value(json_object_get(row, "prompt"));
    const char *question = json_string_value(json_object_get(row, "question"));
    json_t *f32 = json_object_get(row, "f32"), *file = json_object_get(row, "file");
    json_t *want = json_object_get(f32, "greedy");
    AUTO(str_done) struct str shown = {0};
    AUTO_FREE int32_t *ids = NULL;
    int32_t said[N_GREEDY];
    struct err err = {0};
    int n, n_want = (int)json_array_size(want);

    if (bpe_encode(m->bpe, prompt, strlen(prompt), true, &ids, &n, &err) < 0) {
        wrong("%s", err.text);
        return;
    }
    check_ids(m, row, ids, n);
    m->seq.n_keys = 0;
    if (!forward(m, ids, n, 0))
        return;
    double off = distance(m, row, (int)json_integer_value(json_object_get(golden, "stride")));
    int n_said = greedy(m, n, said), same = common(want, said, n_said);
    int theirs = 0; /* llama.cpp's on the file as it is, as long as it agrees with f32 */
    for (json_t *list = json_object_get(file, "greedy"); theirs < (int)json_array_size(list) &&
         theirs < n_want && int_at(list, theirs) == int_at(want, theirs);)
        theirs++;
    bool whole = same == n_want && same == n_said;
    double margin = json_number_value(
        json_array_get(json_object_get(f32, "margins"), (size_t)MIN(same, n_want - 1)));
    str_printable(&shown, question ? question : prompt, strlen(question ? question : prompt), 28);
    printf("| %-28s | %3d | %2d of %2d | %.1e | %2d |\n", str_cstr(&shown), n, same, n_want, off,
           theirs);
    if (!whole)
        printf("  at token %d llama.cpp's two best logits are %.2g apart\n", same, margin);
    if (exact && !whole && !(margin < EVEN * json_number_value(json_object_get(row, "largest"))))
        wrong("that is no tie");
    if (exact && !(off < CLOSE))
        wrong("logits are off by %.2g of the largest", off);
    if (question)
        check_reply(m, row, json_string_value(json_object_get(golden, "system")), said, n_said);
    t->whole += whole;
    t->tokens += same;
    t->of += n_want;
    t->worst = fmax(t->worst, off);
}

static void run(const char *path, const json_t *golden, bool exact)
{
    struct vlm_options o = {.n_ctx = 512};
    struct total t = {0};
    struct err err = {0};
    struct vlm *m;
    json_t *row;
    size_t i;

    if (exact) {
        o.precision = "f32";
        o.weights = "as is";
    }
    if (vlm_open(path, &o, &m, &err) < 0) {
        wrong("%s", err.text);
        return;
    }
    printf("\n%s, %s\n| prompt | tokens | greedy tokens equal | logits off | llama.cpp on the file |\n",
           path, exact ? "the file's values in f32" : "as the program opens it");
    json_array_foreach(json_object_get(golden, "cases"), i, row)
        compare(m, golden, row, exact, &t);
    printf("%d of %zu prompts wholly equal to llama.cpp in f32, %d of %d tokens before a first "
           "difference; logits off by at most %.2g of the largest\n", t.whole, i, t.tokens, t.of, t.worst);
    if (i != 20)
        wrong("%zu prompts", i);
    vlm_close(m);
}

/* 0: compared, SKIPPED: the model is not there. */
static int compare_file(const char *folder, const char *golden_path)
{
    json_error_t e;
    struct stat st;
    json_t *golden = json_load_file(golden_path, 0, &e);

    if (!golden) {
        wrong("%s: %s", golden_path, e.text);
        return 0;
    }
    const char *name = json_string_value(json_object_get(golden, "file"));
    AUTO_FREE char *path = file_join(folder, name);
    int rc = SKIPPED;
    if (stat(path, &st) < 0) {
        printf("skipped: %s is not there\n", path);
    } else if (st.st_size != json_integer_value(json_object_get(golden, "bytes"))) {
        wrong("%s is not the file that the golden was made from", path);
        rc = 0;
    } else {
        run(path, golden, true);
        run(path, golden, false);
        rc = 0;
    }
    json_decref(golden);
    return rc;
}

int main(int argc, char **argv)
{
    const char *folder = getenv("DESKHAND_TEXT_MODELS");
    int n_compared = 0;

    if (argc < 2) {
        fprintf(stderr, "usage: DESKHAND_TEXT_MODELS=FOLDER test_text GOLDEN.json...\n");
        return 2;
    }
    if (!folder || !*folder) {
        printf("skipped: DESKHAND_TEXT_MODELS names no folder of models (HACKING.md)\n");
        return SKIPPED;
    }
    for (int i = 1; i < argc; i++)
        n_compared += compare_file(folder, argv[i]) == 0;
    return n_failed ? 1 : n_compared ? 0 : SKIPPED;
}
