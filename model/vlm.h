/* The whole engine from outside: a MiMo-VL (Qwen2.5-VL architecture) checkpoint that reads
 * pictures and text and writes text. Nobody outside model/ includes another header of it.
 *
 * Threads: vlm_generate() runs on one thread at a time (the inference worker); vlm_cancel() and
 * the const getters from any. Every number comes from the checkpoint's files and is checked. */
#ifndef DESKHAND_MODEL_VLM_H
#define DESKHAND_MODEL_VLM_H

#include "base/err.h"
#include "base/flow.h"

#include <stdatomic.h>

struct vlm;

/* How this checkpoint is told to answer without a thought. AUTO looks at the folder's real path:
 * "2508" in a name with "MiMo-VL" is SUFFIX, another "MiMo-VL" is PREFILL, anything else NONE. */
enum vlm_no_think {
    VLM_NO_THINK_AUTO,
    VLM_NO_THINK_SUFFIX,  /* " /no_think" as the last characters of the last user message */
    VLM_NO_THINK_PREFILL, /* the reply begins behind "<think>\n</think>\n\n" */
    VLM_NO_THINK_NONE     /* it never thinks, or cannot be told: the prompt stays as it is */
};

/* A LoRA adapter in a folder as PEFT writes it. */
struct vlm_adapter {
    const char *dir;
    const char *name; /* what vlm_request.lora calls it; NULL: the folder's name */
    bool merge;       /* into the weights while they are loaded: always on, costs nothing later */
};

struct vlm_options {
    int n_threads;       /* 0: the number of CPUs this process may use */
    const char *backend; /* NULL or "auto": the best of "generic", "avx2", "avx512", "avx512bf16" */
    /* What the sides of a matrix product are rounded to: "f32" (not at all), "bf16", NULL or
     * "auto": bf16 where the CPU has it, as the checkpoints themselves are trained in it. */
    const char *precision;
    /* How weights are kept: "as is" (in the precision), "int8", "int4" (the language model's; the
     * vision tower's and the head's as int8). model/quant.h; docs/quantization.md says what it
     * costs. NULL: as they are in the file; for a GGUF model of quantised types, unless the
     * precision is said, as int8, or as they are packed there. */
    const char *weights;
    /* How keys and values are kept: "as is" (in the precision), NULL: so, or "int8" (a scale for
     * each row of a head; half of bf16, which must be the precision). */
    const char *kv;
    int n_ctx;           /* tokens of KV cache; 0: max_position_embeddings, at most 16384 */
    enum vlm_no_think no_think;
    const char *mmproj;  /* the vision tower of a GGUF model, NULL: the *mmproj*.gguf beside it */
    const struct vlm_adapter *adapters; /* several may be loaded; at most one merged */
    int n_adapters;
    /* May be NULL. Called from vlm_open's thread, share 0..1. */
    void (*on_progress)(void *user, float share);
    void *user;
};

/* `path` is a folder in Hugging Face layout (config.json, *.safetensors, tokenizer.json,
 * preprocessor_config.json, generation_config.json), a folder with a GGUF model, or its file. */
int vlm_open(const char *path, const struct vlm_options *o, struct vlm **ret, struct err *err);
void vlm_close(struct vlm *m);

const struct image_spec *vlm_image_spec(const struct vlm *m);

struct vlm_info {
    char name[128];    /* folder name */
    char backend[32];  /* "avx512" ... */
    int64_t n_params;
    int n_layers, d_model, n_vocab, n_ctx;
    int vit_depth, vit_d_model; /* 0: a model of text only */
    int view_w, view_h; /* pixels of the largest screen that it was trained on, 0: not said */
    int looks; /* so often it should see a screen before it acts (agent/vote.h), 0: not said */
    int n_threads;
    size_t weight_bytes;
    size_t token_bytes; /* of these, read for each token that is written: the language model's */
    size_t kv_bytes;    /* of the keys and values of n_ctx positions */
};
void vlm_info(const struct vlm *m, struct vlm_info *ret);
/* Would a request be served with this adapter? NULL or "": yes. Else -ENOENT, with the names there
 * are. */
int vlm_check_adapter(const struct vlm *m, const char *name, struct err *err);

/* One message is a list of parts in order; pictures stay owned by the caller and must live until
 * vlm_generate returns. A video has n_temporal of vlm_image_spec() and second_per_grid: the seconds
 * from one pair of frames to the next. Of these the positions take whole seconds only, as
 * transformers 4.57.1 does (its get_rope_index makes the number an integer before it multiplies by
 * tokens_per_second; older ones and vLLM keep the fraction). */
enum vlm_part_kind { VLM_TEXT, VLM_IMAGE, VLM_VIDEO };
struct vlm_part {
    enum vlm_part_kind kind;
    const char *text;             /* UTF-8 */
    const struct patches *image;
};
struct vlm_message {
    const char *role; /* "system", "user", "assistant" */
    const struct vlm_part *parts;
    int n_parts;
};

enum vlm_stop {
    VLM_STOP_EOS,       /* the model ended its turn */
    VLM_STOP_LENGTH,    /* max_tokens or the context is full */
    VLM_STOP_CANCELLED, /* vlm_cancel() */
    VLM_STOP_STRING     /* one of the stop strings appeared (not included in the text) */
};

enum vlm_think {
    VLM_THINK_FREE, /* as the model likes */
    VLM_THINK_OFF   /* the way of vlm_options.no_think */
};

struct vlm_request {
    const struct vlm_message *messages;
    int n_messages;
    const char *prefill;  /* beginning of the assistant's turn, may be NULL; not in the reply */
    int max_tokens;       /* 0: 512 */
    const char *lora; /* an adapter of vlm_options; NULL or "": none */
    float lora_scale; /* of what it adds, 0: 1 */
    enum vlm_think think;
    /* A "<think>" of more tokens is closed by the engine ("\n</think>\n\n"), then the model goes
     * on. 0: no limit. Prose without the tag is bounded by max_tokens alone. */
    int max_think_tokens;
    bool logprobs; /* fill reply.tokens and reply.logprob */
    /* Tokens guessed ahead from what was said before and checked in one pass; the reply stays the
     * same. 0: as many as pay in the engine's precision, negative: none. */
    int n_draft;
    float temperature;    /* 0: greedy */
    float top_p;          /* 0 or 1: off */
    uint64_t seed;
    const struct grammar *grammar; /* may be NULL; starts with the first generated byte */
    const char *const *stop;       /* NULL-terminated list, may be NULL */
    /* May be NULL: complete UTF-8 pieces as they come, on the calling thread. */
    void (*on_text)(void *user, const char *text, size_t n);
    void *user;
};

struct vlm_token {
    int32_t id;
    float logprob; /* natural logarithm of the model's own distribution, before temperature and
                      grammar; of a token that closed a thought by force too */
};

struct vlm_reply {
    char *text; /* heap, UTF-8, without the end token */
    size_t n_text;
    enum vlm_stop stop;
    int n_prompt;       /* tokens of the prompt, visual ones included */
    int n_reused;       /* of these, found in the KV cache */
    int n_visual;       /* visual tokens encoded for this call */
    int n_visual_reused; /* visual tokens whose features came from the feature cache */
    int n_generated;
    int n_think;     /* of these, in the thought */
    bool think_cut;  /* the thought was over its budget */
    int n_drafted, n_accepted; /* tokens that were guessed; of these, right ones */
    struct vlm_token *tokens;  /* [n_generated] with request.logprobs, else NULL; heap */
    double logprob; /* of the whole reply, the sum of its tokens'; 0 without request.logprobs */
    int64_t vision_us, prefill_us, decode_us;
};
int vlm_generate(struct vlm *m, const struct vlm_request *r, struct vlm_reply *ret,
                 struct err *err);
void vlm_reply_done(struct vlm_reply *r);

/* Ends the running vlm_generate between two layers or tokens. One-shot: a call that starts later
 * is not affected. Any thread. */
void vlm_cancel(struct vlm *m);

/* Several requests at once: prompts are read in pieces between the steps of those that write, and a
 * step of all that write is one pass through the weights. Each reply is the one vlm_generate()
 * gives, token for token. One thread at a time uses a batch and its model. */
struct vlm_batch;
/* Room for `n_seqs` sequences of n_ctx tokens (0: as the model's). */
int vlm_batch_new(struct vlm *m, int n_seqs, int n_ctx, struct vlm_batch **ret, struct err *err);
void vlm_batch_free(struct vlm_batch *b);
/* Returns a number for the request, which must live until its reply; at any time, also from
 * on_text. -EBUSY: all sequences are taken. */
int vlm_batch_add(struct vlm_batch *b, const struct vlm_request *r, struct err *err);
/* One turn: a pass for all that write, and a piece of one prompt. 1 with a number and its reply
 * when a request is done, negative with a number when that request failed; 0: nothing to report. */
int vlm_batch_turn(struct vlm_batch *b, int *ret_number, struct vlm_reply *ret, struct err *err);
/* Turns until a request is done: 1 with its number and reply; 0 when none is left. Negative with a
 * number when that request failed; the others go on. */
int vlm_batch_next(struct vlm_batch *b, int *ret_number, struct vlm_reply *ret, struct err *err);
/* Ends one request, which then has the reply said so far; a number that is over is ignored. Any
 * thread. */
void vlm_batch_cancel(struct vlm_batch *b, int number);

/* For tests, benchmarks and tools: the tokenizer alone, prompt building, and raw logits. */
int vlm_tokenize(const struct vlm *m, const char *text, size_t n, bool parse_special,
                 int32_t **ret_ids, int *ret_n, struct err *err);
/* Heap string; malformed pieces give U+FFFD. */
char *vlm_detokenize(const struct vlm *m, const int32_t *ids, int n, bool skip_special);
/* Logits of the last prompt position, [n_vocab], heap; and the generated ids instead of text. */
int vlm_logits(struct vlm *m, const struct vlm_request *r, float **ret, struct err *err);
/* Visual features of the plain model after the merger, [n_tokens, d_model], heap. */
int vlm_encode_image(struct vlm *m, const struct patches *p, float **ret, struct err *err);
/* The prompt's token ids (image pads expanded) and M-RoPE indices [3, n], heap. */
int vlm_prompt(const struct vlm *m, const struct vlm_request *r, int32_t **ret_ids,
               int32_t **ret_pos, int *ret_n, struct err *err);

/* How likely the model finds an answer to the request (whose prefill does not count): each of its
 * tokens and the end of the turn, with the logarithm of its probability. *ret: heap, [n]. */
int vlm_score(struct vlm *m, const struct vlm_request *r, const char *answer,
              struct vlm_token **ret, int *ret_n, struct err *err);
/* How likely the plain model finds a text as it is, without a template. It is cut into windows of
 * n_window tokens (4 at least), at most n_max of them (0: all); a rest at the end does not count.
 * Of each window the first half, rounded down, and one more token are read, and the others are in
 * *ret, heap, [n]: each after all before it in its window. So does llama.cpp's llama-perplexity,
 * whose number this can be held against. */
int vlm_score_text(struct vlm *m, const char *text, size_t n_text, int n_window, int n_max,
                   struct vlm_token **ret, int *ret_n, struct err *err);

#endif
