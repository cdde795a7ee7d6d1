/* Continuous batching (Yu et al. 2022, "Orca"): the unit of scheduling is one token of everybody,
 * not one request. A request that comes while others write has its prompt read chunk by chunk
 * between their tokens and then joins them; one that ends leaves its place at once.
 *
 * Rows of one pass have the same adapter, and are so few that each gets the numbers it has alone
 * (BACKEND_FEW_ROWS); more sequences take more passes. Rows that nobody needs carry guesses. */
#include "model/engine.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/kv.h"

#include <errno.h>
#include <string.h>

#define SEQS_MAX 64
#define FLAGS 1024 /* a cancel that comes so many requests late would find another */

enum member_state { FREE, READING, WRITING, DONE };

struct member {
    enum member_state state;
    int number;
    const struct vlm_request *r;
    struct seq seq;
    struct prompt prompt;
    struct speech speech;
    struct vlm_reply reply; /* numbers of the prompt */
    int rc;                 /* of a request that failed */
    struct err err;
    int64_t began_us; /* of writing, 0 before */
};

struct vlm_batch {
    struct vlm *m;
    struct member *members;
    int n, last_number;
    /* Cancelled requests by number: a member may have another one when the cancel comes. */
    atomic_bool cancelled[FLAGS];
};

int vlm_batch_new(struct vlm *m, int n_seqs, int n_ctx, struct vlm_batch **ret, struct err *err)
{
    if (n_seqs < 1 || n_seqs > SEQS_MAX)
        return err_set(err, -EINVAL, "%d sequences asked for; expected 1 to %d.", n_seqs, SEQS_MAX);
    if (n_ctx < 0 || n_ctx > m->lm.n_ctx)
        return err_set(err, -EINVAL,
                       "%d tokens of context asked for; the model was opened with %d.", n_ctx,
                       m->lm.n_ctx);
    struct vlm_batch *b = mem_zalloc(sizeof(*b));
    b->m = m;
    b->n = n_seqs;
    b->members = mem_zalloc(sizeof(*b->members) * (size_t)n_seqs);
    for (int i = 0; i < n_seqs; i++)
        seq_init(&b->members[i].seq, m, n_ctx ? n_ctx : m->lm.n_ctx);
    *ret = b;
    return 0;
}

static void leave(struct member *k)
{
    speech_done(&k->speech);
    prompt_done(&k->prompt);
    k->state = FREE;
}

void vlm_batch_free(struct vlm_batch *b)
{
    if (!b)
        return;
    for (int i = 0; i < b->n; i++) {
        if (b->members[i].state != FREE)
            leave(&b->members[i]);
        seq_done(&b->members[i].seq, b->m);
    }
    free(b->members);
    free(b);
}

/* The free cache that already holds most of the prompt. */
static struct member *choose(struct vlm_batch *b, const struct prompt *p)
{
    struct member *best = NULL;
    int most = -1;

    for (int i = 0; i < b->n; i++) {
        struct member *k = &b->members[i];
        if (k->state != FREE)
            continue;
        int n = kv_common(k->seq.keys, k->seq.n_keys, p->keys, p->n);
        if (n > most) {
            most = n;
            best = k;
        }
    }
    return best;
}

static atomic_bool *flag_of(struct vlm_batch *b, int number)
{
    return &b->cancelled[number % FLAGS];
}

int vlm_batch_add(struct vlm_batch *b, const struct vlm_request *r, struct err *err)
{
    struct prompt p;
    struct speech speech = {0};
    bool full = true;
    int e;

    for (int i = 0; i < b->n; i++)
        full &= b->members[i].state != FREE;
    if (full)
        return err_set(err, -EBUSY, "All %d sequences are taken.", b->n);
    if ((e = adapter_use(b->m, r->lora, r->lora_scale, err)) < 0 ||
        (e = prompt_build(b->m, r, &p, err)) < 0)
        return e;
    struct member *k = choose(b, &p);
    if (p.n >= k->seq.cache.n_ctx) {
        e = err_set(err, -E2BIG, "The prompt has %d tokens; a sequence of this batch holds %d.",
                    p.n, k->seq.cache.n_ctx);
        prompt_done(&p);
        return e;
    }
    if ((e = decoder_init(&speech.decoder, b->m->bpe, &b->m->config, r, err)) < 0) {
        speech_done(&speech);
        prompt_done(&p);
        return e;
    }
    speech.seq = &k->seq;
    k->state = READING;
    k->number = ++b->last_number;
    k->r = r;
    k->prompt = p;
    k->speech = speech;
    k->reply = (struct vlm_reply){0};
    k->rc = 0;
    k->began_us = 0;
    atomic_store(flag_of(b, k->number), false);
    engine_reuse(&k->seq, &k->prompt, &k->reply);
    return k->number;
}

void vlm_batch_cancel(struct vlm_batch *b, int number)
{
    if (number > 0)
        atomic_store(flag_of(b, number), true);
}

/* A failure is that request's own; cancelled is no failure. */
static void fail(struct member *k, int rc, const struct err *err)
{
    k->rc = rc == -ECANCELED ? 0 : rc;
    k->err = *err;
    k->speech.decoder.reply.stop = VLM_STOP_CANCELLED;
    k->state = DONE;
}

/* Takes the next tokens from its logits. The rows of a pass are shared out evenly. */
static void advance(struct vlm_batch *b, struct member *k, float *logits)
{
    struct err err = {0};
    int n_writers = 0;

    for (int i = 0; i < b->n; i++)
        n_writers += b->members[i].state == WRITING;
    int max_guess = MIN(BACKEND_FEW_ROWS / MAX(n_writers, 1) - 1, DRAFT_MAX);
    int r = speech_take(b->m, &k->speech, logits, max_guess, flag_of(b, k->number), &err);
    if (r < 0)
        fail(k, r, &err);
    else if (r == 0)
        k->state = DONE;
}

static void read_some(struct vlm_batch *b, struct member *k)
{
    struct vlm *m = b->m;
    struct err err = {0};
    int r = adapter_use(m, k->r->lora, k->r->lora_scale, &err);

    m->flag = flag_of(b, k->number);
    if (r == 0)
        r = engine_prefill(m, &k->seq, &k->prompt, m->logits, &k->reply, &err);
    if (r < 0) {
        fail(k, r, &err);
    } else if (r > 0) {
        k->state = WRITING;
        k->began_us = clock_now_us();
        speech_begin(m, &k->speech, &k->prompt);
        advance(b, k, m->logits);
    }
}

static bool same_adapter(const struct vlm_request *a, const struct vlm_request *b)
{
    bool none_a = !a->lora || !*a->lora, none_b = !b->lora || !*b->lora;
    float scale_a = a->lora_scale == 0 ? 1 : a->lora_scale;
    float scale_b = b->lora_scale == 0 ? 1 : b->lora_scale;

    return none_a || none_b ? none_a && none_b : str_eq(a->lora, b->lora) && scale_a == scale_b;
}

/* Those that wait for their prompt to be read need not wait to be cancelled. */
static void drop_cancelled(struct vlm_batch *b)
{
    const struct err none = {0};

    for (int i = 0; i < b->n; i++) {
        struct member *k = &b->members[i];
        if (k->state == READING && atomic_load(flag_of(b, k->number)))
            fail(k, -ECANCELED, &none);
    }
}

/* One pass for n sequences. */
static void write_some(struct vlm_batch *b, struct member **k, int n)
{
    struct vlm *m = b->m;
    struct speech *speeches[BACKEND_FEW_ROWS];
    int n_rows[BACKEND_FEW_ROWS];
    struct err err = {0};
    int r = adapter_use(m, k[0]->r->lora, k[0]->r->lora_scale, &err);
    float *logits = m->logits;

    for (int i = 0; i < n; i++) {
        speeches[i] = &k[i]->speech;
        n_rows[i] = k[i]->speech.n;
    }
    if (r == 0) /* in a shared pass the cancel of one must not touch the others */
        r = speech_step(m, speeches, n, n == 1 ? flag_of(b, k[0]->number) : NULL, &err);
    for (int i = 0; i < n; i++) {
        if (r < 0)
            fail(k[i], r, &err);
        else
            advance(b, k[i], logits);
        logits += (size_t)n_rows[i] * (size_t)m->config.n_vocab;
    }
}

/* Everybody who writes, in groups that can share a pass. */
static void write_all(struct vlm_batch *b)
{
    bool taken[SEQS_MAX] = {false};

    for (int i = 0; i < b->n; i++) {
        struct member *group[BACKEND_FEW_ROWS];
        int n = 0, n_rows = 0;
        for (int j = i; j < b->n; j++) {
            struct member *k = &b->members[j];
            if (k->state != WRITING || taken[j] || n_rows + k->speech.n > BACKEND_FEW_ROWS ||
                (n && !same_adapter(group[0]->r, k->r)))
                continue;
            taken[j] = true;
            group[n++] = k;
            n_rows += k->speech.n;
        }
        if (n)
            write_some(b, group, n);
    }
}

static struct member *oldest(struct vlm_batch *b, enum member_state state)
{
    struct member *k = NULL;

    for (int i = 0; i < b->n; i++)
        if (b->members[i].state == state && (!k || b->members[i].number < k->number))
            k = &b->members[i];
    return k;
}

int vlm_batch_turn(struct vlm_batch *b, int *ret_number, struct vlm_reply *ret, struct err *err)
{
    drop_cancelled(b);
    struct member *k = oldest(b, DONE), *reader = oldest(b, READING);
    if (!k) {
        write_all(b);
        if (reader)
            read_some(b, reader);
        k = oldest(b, DONE);
    }
    if (!k)
        return 0;
    *ret_number = k->number;
    int r = k->rc;
    if (r < 0) {
        err_set(err, r, "%s", k->err.text);
    } else {
        if (k->began_us) {
            k->reply.decode_us = clock_now_us() - k->began_us;
            speech_end(b->m, &k->speech);
        }
        decoder_take(&k->speech.decoder, &k->reply);
        *ret = k->reply;
        r = 1;
    }
    leave(k);
    return r;
}

int vlm_batch_next(struct vlm_batch *b, int *ret_number, struct vlm_reply *ret, struct err *err)
{
    int r = 0;

    while (r == 0 && (oldest(b, DONE) || oldest(b, READING) || oldest(b, WRITING)))
        r = vlm_batch_turn(b, ret_number, ret, err);
    return r;
}
