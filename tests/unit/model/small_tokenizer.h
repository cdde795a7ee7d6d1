/* A byte-level tokenizer.json with a handful of merges, for tests: ids 0..255 are the bytes, then
 * the merges' tokens, then the added ones. */
#ifndef DESKHAND_TESTS_MODEL_SMALL_TOKENIZER_H
#define DESKHAND_TESTS_MODEL_SMALL_TOKENIZER_H

#include "base/str.h"

#define SMALL_REGEX                                                                                \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}|"               \
    " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define SMALL_SPLIT                                                                                \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"        \
    "\"" SMALL_REGEX "\"},\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\","    \
    "\"add_prefix_space\":false,\"use_regex\":false}]}"

enum {
    SMALL_AA = 256, /* "aa" */
    SMALL_A4,
    SMALL_A8,
    SMALL_IN,
    SMALL_ING,      /* " ing" needs the merge of the space below */
    SMALL_SPACE_ING,
    SMALL_IM_START,
    SMALL_IM_END,
    SMALL_VISION_START,
    SMALL_VISION_END,
    SMALL_IMAGE_PAD,
    SMALL_THINK,
    SMALL_THINK_END,
    SMALL_N
};

#define SMALL_MERGES "[\"a a\",[\"aa\",\"aa\"],\"aaaa aaaa\",\"i n\",[\"in\",\"g\"],\"\u0120 ing\"]"
#define SMALL_ADDED                                                                                \
    "[{\"id\":262,\"content\":\"<|im_start|>\",\"special\":true},"                                 \
    "{\"id\":263,\"content\":\"<|im_end|>\",\"special\":true},"                                    \
    "{\"id\":264,\"content\":\"<|vision_start|>\",\"special\":true},"                              \
    "{\"id\":265,\"content\":\"<|vision_end|>\",\"special\":true},"                                \
    "{\"id\":266,\"content\":\"<|image_pad|>\",\"special\":true},"                                 \
    "{\"id\":267,\"content\":\"<think>\",\"special\":false},"                                      \
    "{\"id\":268,\"content\":\"</think>\",\"special\":false}]"

/* Each part may be replaced to break it. */
struct small_tokenizer {
    const char *merges, *added, *split, *normalizer;
    int without_byte; /* -1: all are there */
};
#define SMALL_TOKENIZER                                                                            \
    ((struct small_tokenizer){SMALL_MERGES, SMALL_ADDED, SMALL_SPLIT, "null", -1})

static inline void small_tokenizer_json(struct small_tokenizer t, struct str *out)
{
    int next = 256;
    str_puts(out, "{\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (int b = 0; b < 256; b++) {
        bool plain = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        int cp = plain ? b : next++;
        if (b != t.without_byte)
            str_printf(out, "\"\\u%04x\":%d,", (unsigned)cp, b);
    }
    str_puts(out,
             "\"aa\":256,\"aaaa\":257,\"aaaaaaaa\":258,\"in\":259,\"ing\":260,\"\u0120ing\":261}");
    str_printf(out, ",\"merges\":%s},\"normalizer\":%s,\"pre_tokenizer\":%s,\"added_tokens\":%s}",
               t.merges, t.normalizer, t.split, t.added);
}

#endif
