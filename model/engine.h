/* The inside of the engine, shared by vlm.c, prompt.c, speech.c and batch.c. */
#ifndef DESKHAND_MODEL_ENGINE_H
#define DESKHAND_MODEL_ENGINE_H

#include "model/bpe.h"
#include "model/chat.h"
#include "model/config.h"
#include "model/decode.h"
#include "model/draft.h"
#include "model/lm.h"
#include "model/lora.h"
#include "model/vit.h"
#include "model/vlm.h"

#define ENGINE_FEATURES 8 /* pictures whose features are kept */
#define ENGINE_TOLD 512   /* tokens of earlier replies that guesses come from */

/* Features of one picture, [n_tokens, d]. */
struct feature {
    uint64_t hash;
    int t, h, w;
    float *rows;
    uint64_t used; /* clock of uses, for throwing out the oldest */
};

/* A sequence's cache and what it holds. */
struct seq {
    struct lm_cache cache;
    uint64_t *keys; /* [cache.n_ctx] */
    int n_keys;
};

struct vlm {
    struct vlm_config config;
    struct source *src;
    struct bpe *bpe;
    struct backend *b;
    struct vit vit;
    struct lm lm;
    char name[128];
    int64_t n_params;
    size_t weight_bytes, token_bytes; /* of vlm_info */

    struct seq seq; /* of vlm_generate() */
    struct feature features[ENGINE_FEATURES];
    uint64_t n_uses;

    struct lora_file *merged; /* its tensors may be in use */
    struct lora **adapters;
    int n_adapters;
    struct lora *attached; /* NULL: the plain model */
    float attached_scale;
    uint64_t salt; /* of the KV cache's keys while it is attached */

    float *logits;     /* [1 + DRAFT_MAX, n_vocab] */
    struct draft told; /* earlier replies */
    atomic_bool cancel;
    const atomic_bool *flag; /* ends the prompt that is read now: &cancel, or that of a batch */
};

void seq_init(struct seq *s, const struct vlm *m, int n_ctx);
void seq_done(struct seq *s, const struct vlm *m);

/* Everything one call knows about its prompt. */
struct prompt {
    int n;
    int32_t *ids;   /* [n] */
    int32_t *pos;   /* [3, n] */
    uint64_t *keys; /* [n] */
    int delta;      /* position of the next token minus its index */
    int n_images;
    struct chat_image *images; /* begin, patches */
    bool *counted;             /* [n_images]: in the reply's numbers already */
};
/* prompt.c */
int prompt_check_patches(const struct vlm *m, const struct patches *p, bool is_video,
                         struct err *err);
int prompt_build(const struct vlm *m, const struct vlm_request *r, struct prompt *ret,
                 struct err *err);
void prompt_done(struct prompt *p);

/* adapter.c */
int adapter_merged(struct vlm *m, const struct vlm_options *o,
                   struct err *err); /* before loading */
int adapter_open_all(struct vlm *m, const struct vlm_options *o, struct err *err); /* after it */
void adapter_close_all(struct vlm *m);
/* name NULL or "": the plain model; scale 0: 1. */
int adapter_use(struct vlm *m, const char *name, float scale, struct err *err);
uint64_t adapter_vision_salt(const struct vlm *m);

/* Keeps of the cache what the prompt begins with. */
void engine_reuse(struct seq *s, const struct prompt *p, struct vlm_reply *stats);
/* Runs the next chunk of what the cache does not hold. 1: it was the last, and `logits` [n_vocab]
 * belong to the prompt's last position; 0: there is more. */
int engine_prefill(struct vlm *m, struct seq *s, const struct prompt *p, float *logits,
                   struct vlm_reply *stats, struct err *err);
/* The whole prompt into m->seq, but for what its cache holds; m->logits are its last position's. */
int engine_prefill_all(struct vlm *m, const struct prompt *p, struct vlm_reply *stats,
                       struct err *err);

/* speech.c: a reply while it is written. */
struct speech {
    struct seq *seq;
    struct decoder decoder;
    struct draft said; /* what it may repeat: earlier replies, the prompt, itself */
    int n_before;      /* tokens of `said` that are not its own */
    int delta;         /* of the prompt */
    int32_t ids[1 + DRAFT_MAX]; /* of the pass: its last token and guesses behind it */
    int n, at;                  /* of these; those before ids[at] came true and are in the cache */
};
/* After the prompt was read; seq and decoder are set. */
void speech_begin(struct vlm *m, struct speech *s, const struct prompt *p);
/* Takes tokens from the rows of the last pass [n, n_vocab] (at first the prompt's one row) as far
 * as they were guessed right. 1: ids, with at most max_guess guesses, wait for the next pass; 0:
 * the reply is over. */
int speech_take(struct vlm *m, struct speech *s, float *rows, int max_guess,
                const atomic_bool *cancel, struct err *err);
/* One pass for the ids of n speeches, BACKEND_FEW_ROWS together at most; their rows are in
 * m->logits, one speech behind the other. */
int speech_step(struct vlm *m, struct speech *const *s, int n, const atomic_bool *cancel,
                struct err *err);
/* What was said may be repeated by the next. */
void speech_end(struct vlm *m, struct speech *s);
void speech_done(struct speech *s);

#endif
