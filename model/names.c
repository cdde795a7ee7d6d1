/* One table of layers feeds both uses: the walk over a whole network and the translation. "%"
 * stands for the number of a layer. */
#include "model/names.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *hf, *gguf;
} stems[] = {
    {"model.embed_tokens.", "token_embd."},
    {"model.norm.", "output_norm."},
    {"lm_head.", "output."},
    {"model.layers.%.input_layernorm.", "blk.%.attn_norm."},
    {"model.layers.%.post_attention_layernorm.", "blk.%.ffn_norm."},
    {"model.layers.%.self_attn.q_proj.", "blk.%.attn_q."},
    {"model.layers.%.self_attn.k_proj.", "blk.%.attn_k."},
    {"model.layers.%.self_attn.v_proj.", "blk.%.attn_v."},
    {"model.layers.%.self_attn.o_proj.", "blk.%.attn_output."},
    {"model.layers.%.mlp.gate_proj.", "blk.%.ffn_gate."},
    {"model.layers.%.mlp.up_proj.", "blk.%.ffn_up."},
    {"model.layers.%.mlp.down_proj.", "blk.%.ffn_down."},
    {"visual.blocks.%.norm1.", "v.blk.%.ln1."},
    {"visual.blocks.%.norm2.", "v.blk.%.ln2."},
    {"visual.blocks.%.attn.proj.", "v.blk.%.attn_out."},
    {"visual.blocks.%.mlp.gate_proj.", "v.blk.%.ffn_gate."},
    {"visual.blocks.%.mlp.up_proj.", "v.blk.%.ffn_up."},
    {"visual.blocks.%.mlp.down_proj.", "v.blk.%.ffn_down."},
    {"visual.merger.ln_q.", "v.post_ln."},
    {"visual.merger.mlp.0.", "mm.0."},
    {"visual.merger.mlp.2.", "mm.2."},
};

/* Does `name` begin with the stem? *ret_layer: the digits that "%" stood for; *ret_rest: behind it.
 */
static bool match(const char *stem, const char *name, const char **ret_layer, size_t *ret_n,
                  const char **ret_rest)
{
    const char *gap = strchr(stem, '%');
    size_t n = gap ? (size_t)(gap - stem) : strlen(stem);

    *ret_layer = "";
    *ret_n = 0;
    *ret_rest = name + n;
    if (strncmp(stem, name, n) != 0)
        return false;
    if (!gap)
        return true;
    *ret_layer = name + n;
    *ret_n = strspn(*ret_layer, "0123456789");
    *ret_rest = *ret_layer + *ret_n + strlen(gap + 1);
    return *ret_n > 0 && strncmp(*ret_layer + *ret_n, gap + 1, strlen(gap + 1)) == 0;
}

bool names_gguf(const char *name, char ret[NAMES_MAX])
{
    for (size_t i = 0; i < N_ELEMENTS(stems); i++) {
        const char *layer, *rest, *gap = strchr(stems[i].gguf, '%');
        size_t n;
        if (!match(stems[i].hf, name, &layer, &n, &rest))
            continue;
        int len = gap ? snprintf(ret, NAMES_MAX, "%.*s%.*s%s%s", (int)(gap - stems[i].gguf),
                                 stems[i].gguf, (int)n, layer, gap + 1, rest)
                      : snprintf(ret, NAMES_MAX, "%s%s", stems[i].gguf, rest);
        return len < NAMES_MAX;
    }
    return false;
}

struct walk {
    bool (*each)(void *user, const char *name, const int64_t *shape, int rank);
    void *user;
    bool go_on;
};

/* "%d" in the name is the layer; n_in 0: a vector. */
static void tell(struct walk *w, const char *format, int layer, int64_t n_out, int64_t n_in)
{
    char name[NAMES_MAX];
    const char *gap = strstr(format, "%d");
    int64_t shape[] = {n_out, n_in};

    if (gap)
        snprintf(name, sizeof(name), "%.*s%d%s", (int)(gap - format), format, layer, gap + 2);
    else
        snprintf(name, sizeof(name), "%s", format);
    if (w->go_on)
        w->go_on = w->each(w->user, name, shape, n_in ? 2 : 1);
}

static void walk_vision(const struct vlm_config *c, struct walk *w)
{
    int64_t d = c->vit.d_model, f = c->vit.d_ff, p = c->vit.patch_size;
    int64_t wide = d * c->vit.merge_size * c->vit.merge_size;
    int64_t shape[] = {d, 3, c->vit.temporal_patch_size, p, p};

    if (w->go_on)
        w->go_on = w->each(w->user, "visual.patch_embed.proj.weight", shape, 5);
    for (int i = 0; i < c->vit.depth; i++) {
        tell(w, "visual.blocks.%d.norm1.weight", i, d, 0);
        tell(w, "visual.blocks.%d.attn.qkv.weight", i, 3 * d, d);
        tell(w, "visual.blocks.%d.attn.qkv.bias", i, 3 * d, 0);
        tell(w, "visual.blocks.%d.attn.proj.weight", i, d, d);
        tell(w, "visual.blocks.%d.attn.proj.bias", i, d, 0);
        tell(w, "visual.blocks.%d.norm2.weight", i, d, 0);
        tell(w, "visual.blocks.%d.mlp.gate_proj.weight", i, f, d);
        tell(w, "visual.blocks.%d.mlp.gate_proj.bias", i, f, 0);
        tell(w, "visual.blocks.%d.mlp.up_proj.weight", i, f, d);
        tell(w, "visual.blocks.%d.mlp.up_proj.bias", i, f, 0);
        tell(w, "visual.blocks.%d.mlp.down_proj.weight", i, d, f);
        tell(w, "visual.blocks.%d.mlp.down_proj.bias", i, d, 0);
    }
    tell(w, "visual.merger.ln_q.weight", 0, d, 0);
    tell(w, "visual.merger.mlp.0.weight", 0, wide, wide);
    tell(w, "visual.merger.mlp.0.bias", 0, wide, 0);
    tell(w, "visual.merger.mlp.2.weight", 0, c->d_model, wide);
    tell(w, "visual.merger.mlp.2.bias", 0, c->d_model, 0);
}

void names_walk(const struct vlm_config *c,
                bool (*each)(void *user, const char *name, const int64_t *shape, int rank),
                void *user)
{
    struct walk w = {each, user, true};
    int64_t d = c->d_model, f = c->d_ff, q = (int64_t)c->n_heads * c->d_head;
    int64_t kv = (int64_t)c->n_kv_heads * c->d_head;

    if (c->vit.depth)
        walk_vision(c, &w);
    tell(&w, "model.embed_tokens.weight", 0, c->n_vocab, d);
    for (int i = 0; i < c->n_layers; i++) {
        tell(&w, "model.layers.%d.input_layernorm.weight", i, d, 0);
        tell(&w, "model.layers.%d.self_attn.q_proj.weight", i, q, d);
        tell(&w, "model.layers.%d.self_attn.q_proj.bias", i, q, 0);
        tell(&w, "model.layers.%d.self_attn.k_proj.weight", i, kv, d);
        tell(&w, "model.layers.%d.self_attn.k_proj.bias", i, kv, 0);
        tell(&w, "model.layers.%d.self_attn.v_proj.weight", i, kv, d);
        tell(&w, "model.layers.%d.self_attn.v_proj.bias", i, kv, 0);
        tell(&w, "model.layers.%d.self_attn.o_proj.weight", i, d, q);
        tell(&w, "model.layers.%d.post_attention_layernorm.weight", i, d, 0);
        tell(&w, "model.layers.%d.mlp.gate_proj.weight", i, f, d);
        tell(&w, "model.layers.%d.mlp.up_proj.weight", i, f, d);
        tell(&w, "model.layers.%d.mlp.down_proj.weight", i, d, f);
    }
    tell(&w, "model.norm.weight", 0, d, 0);
    if (!c->tie_embeddings)
        tell(&w, "lm_head.weight", 0, c->n_vocab, d);
}
