/* model/gguf.c, and what reads configurations and tokenizers from it. Every tensor that is handed
 * out is read to its last value, every value is asked for as every type. */
#include "tests/fuzz/fuzz.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/bpe.h"
#include "model/config.h"
#include "model/gguf.h"
#include "model/names.h"
#include "model/source.h"

#include <math.h>
#include <string.h>

static const char *const keys[] = {
    "general.architecture", "general.alignment", "n", "f", "b", "s", "list", "texts"};

static volatile double sum; /* so that reading is not left out */

static void read_values(const struct gguf *g)
{
    for (size_t i = 0; i < N_ELEMENTS(keys); i++) {
        struct gguf_list l;
        struct gguf_text t;
        int64_t n;
        double d;
        bool yes;

        if (gguf_int(g, keys[i], -5, 1000, &n, NULL) == 0)
            CHECK(n >= -5 && n <= 1000);
        if (gguf_number(g, keys[i], 0, 1, &d, NULL) == 0)
            CHECK(d >= 0 && d <= 1);
        gguf_bool(g, keys[i], &yes, NULL);
        if (gguf_string(g, keys[i], &t, NULL) == 0)
            for (size_t k = 0; k < t.n; k++)
                sum += t.s[k];
        if (gguf_list(g, keys[i], false, &l, NULL) == 0)
            for (uint64_t k = 0; k < l.n; k++)
                sum += gguf_list_number(&l, k);
        if (gguf_list(g, keys[i], true, &l, NULL) == 0)
            while (l.n) {
                t = gguf_list_next(&l);
                for (size_t k = 0; k < t.n; k++)
                    sum += t.s[k];
            }
    }
}

static void read_tensors(const struct gguf *g)
{
    for (int i = 0; i < gguf_n_tensors(g); i++) {
        const char *name;
        const struct tensor *t = gguf_tensor(g, i, &name);
        size_t rows = 1, width = (size_t)t->shape[t->rank - 1];
        for (int k = 0; k < t->rank - 1; k++)
            rows *= (size_t)t->shape[k];
        CHECK(gguf_find(g, name) == t && width > 0 && rows > 0);
        AUTO_FREE float *x = mem_alloc(width * sizeof *x);
        for (size_t k = 0; k < rows; k++)
            tensor_to_f32(t->dtype, t->data, k * width, width, x);
    }
}

static void read_tokenizer(const struct gguf *g)
{
    static const char text[] = "ab <|im_end|> the\r\n  \xe4\xbd\xa0 12'll";
    struct bpe *b;
    struct err err = {0};
    int32_t *ids;
    int n;
    if (bpe_open_gguf(g, &b, &err) < 0) {
        CHECK(err.code < 0 && *err.text);
        return;
    }
    CHECK(bpe_encode(b, text, sizeof text - 1, true, &ids, &n, &err) == 0);
    for (int i = 0; i < n; i++) {
        size_t len;
        CHECK(bpe_token(b, ids[i], &len));
    }
    free(bpe_decode(b, ids, n, false));
    free(ids);
    bpe_close(b);
}

static void read_config(const struct gguf *g, const struct gguf *vision)
{
    struct vlm_config c;
    struct err err = {0};
    if (config_read_gguf(g, vision, &c, &err) < 0) {
        CHECK(err.code < 0 && *err.text);
        return;
    }
    CHECK(c.d_model > 0 && c.n_layers > 0 && c.n_vocab > 0 && c.n_ctx > 0);
    CHECK(c.n_heads % c.n_kv_heads == 0 && c.d_head >= 2 && c.d_head % 2 == 0);
    CHECK(c.mrope_section[0] + c.mrope_section[1] + c.mrope_section[2] == c.d_head / 2);
    CHECK(c.rms_eps > 0 && isfinite(c.rms_eps) && isfinite(c.rope_theta));
    CHECK(c.n_eos >= 1 && c.image.patch_size > 0 && c.image.max_pixels >= c.image.min_pixels);
    for (int i = 0; i < c.n_eos; i++)
        CHECK(c.eos[i] >= 0 && c.eos[i] < c.n_vocab);
    for (int i = 0; i < c.vit.n_full; i++)
        CHECK(c.vit.full[i] >= 0 && c.vit.full[i] < c.vit.depth);
}

static void put(struct str *b, uint64_t v, int width)
{
    for (int i = 0; i < width; i++)
        str_putc(b, (char)(v >> 8 * i));
}

static void put_text(struct str *b, const char *s)
{
    put(b, strlen(s), 8);
    str_puts(b, s);
}

static bool find_one(void *user, const char *name, const int64_t *shape, int rank)
{
    struct source_tensor t;
    size_t n = 1;

    if (!source_find(user, name, &t))
        return true;
    for (int i = 0; i < t.rank; i++)
        n *= (size_t)t.shape[i];
    for (int i = 0; i < t.n_parts; i++)
        if (t.parts[i].dtype == TENSOR_OTHER)
            return true;
    AUTO_FREE float *x = mem_alloc(n * sizeof *x);
    source_to_f32(&t, x);
    return true;
}

/* As a model of text, and as a vision tower of one: every tensor is looked for and read. */
static void read_source(const char *text, const char *vision)
{
    struct source *s;
    struct vlm_config c;
    struct err err = {0};

    if (source_open(text, vision, &s, &err) < 0) {
        CHECK(err.code < 0 && *err.text);
        return;
    }
    if (source_config(s, &c, &err) == 0)
        names_walk(&c, find_one, s);
    source_close(s);
}

/* The smallest language model, for vision towers to belong to. */
static const struct gguf *text_model(void)
{
    static const struct {
        const char *key;
        uint32_t type, v;
    } rows[] = {{"qwen2.embedding_length", 4, 2},
                {"qwen2.feed_forward_length", 4, 1},
                {"qwen2.block_count", 4, 1},
                {"qwen2.attention.head_count", 4, 1},
                {"qwen2.context_length", 4, 8},
                {"qwen2.attention.layer_norm_rms_epsilon", 6, 0x358637bd}};
    static struct gguf *g;
    AUTO(str_done) struct str b = {0};
    AUTO_FREE char *path = file_join(fuzz_dir(), "text.gguf");

    if (g)
        return g;
    str_puts(&b, "GGUF");
    put(&b, 3, 4);
    put(&b, 1, 8);
    put(&b, N_ELEMENTS(rows) + 2, 8);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        put_text(&b, rows[i].key);
        put(&b, rows[i].type, 4);
        put(&b, rows[i].v, 4);
    }
    put_text(&b, "general.architecture");
    put(&b, 8, 4);
    put_text(&b, "qwen2");
    put_text(&b, "tokenizer.ggml.tokens");
    put(&b, 9, 4);
    put(&b, 8, 4);
    put(&b, 1, 8);
    put_text(&b, "<|im_end|>");
    put_text(&b, "token_embd.weight");
    put(&b, 2, 4);
    put(&b, 2, 8);
    put(&b, 1, 8);
    put(&b, 0, 4);
    put(&b, 0, 8);
    while (b.n % 32)
        str_putc(&b, 0);
    put(&b, 0, 8);
    fuzz_put("text.gguf", b.s, b.n);
    struct vlm_config c;
    struct err err = {0};
    CHECK(gguf_open(path, &g, &err) == 0);
    CHECK(config_read_gguf(g, NULL, &c, &err) == 0);
    return g;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    AUTO_FREE char *path = file_join(fuzz_dir(), "m.gguf");
    struct gguf *g;
    struct err err = {0};
    fuzz_put("m.gguf", data, n);
    if (gguf_open(path, &g, &err) < 0) {
        CHECK(err.code < 0 && *err.text);
        return 0;
    }
    read_values(g);
    read_tensors(g);
    read_tokenizer(g);
    read_config(g, NULL);
    read_config(text_model(), g);
    read_source(path, NULL);
    read_source(gguf_path(text_model()), path);
    gguf_close(g);
    return 0;
}
