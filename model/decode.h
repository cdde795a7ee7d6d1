/* One reply on its way: from a row of logits to the next token, with the grammar, the thought's
 * budget, stop strings and the text. The engine (or a batch of replies) runs the model between. */
#ifndef DESKHAND_MODEL_DECODE_H
#define DESKHAND_MODEL_DECODE_H

#include "model/bpe.h"
#include "model/config.h"
#include "model/sample.h"
#include "model/think.h"
#include "model/vlm.h"
#include "model/writer.h"

#define DECODE_MAX_FORCED 16

struct decoder {
    const struct bpe *bpe;
    const struct vlm_config *config;
    const struct vlm_request *r;
    struct sampler sampler;
    struct writer writer;
    struct think think;
    int n_think;                       /* tokens of the thought */
    int32_t forced[DECODE_MAX_FORCED]; /* the rest of the thought's closing */
    int n_forced;
    bool closed; /* the closing was tried */
    char state[GRAMMAR_MAX_STATE] __attribute__((aligned(16)));
    char next[GRAMMAR_MAX_STATE] __attribute__((aligned(16))); /* after the last allowed token */
    struct vlm_reply reply; /* the numbers that belong to decoding; text at decoder_take() */
    int cap_tokens;
};

int decoder_init(struct decoder *d, const struct bpe *bpe, const struct vlm_config *c,
                 const struct vlm_request *r, struct err *err);
void decoder_done(struct decoder *d);

/* The token that follows logits [n_vocab] (rows beyond the tokenizer are overwritten); -1 when the
 * reply ends. */
int decoder_choose(struct decoder *d, float *logits, int32_t *ret_id, struct err *err);
/* Takes the token that was chosen; false when the reply is over (reply.stop says why). */
bool decoder_accept(struct decoder *d, int32_t id, const float *logits);
/* Closes the text after the last token and gives the reply away: ret is zeroed or has the numbers
 * of the prompt. */
void decoder_take(struct decoder *d, struct vlm_reply *ret);

#endif
