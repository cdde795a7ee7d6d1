#!/usr/bin/env python3
"""Makes checkpoints of MiMo-VL-7B's shapes with random weights and fewer layers, for timing only.

    python3 tools/bench/shapes.py LLAMA_CPP_SOURCE LLAMA_CPP_BUILD OUTPUT_DIR [TEXT_LAYERS [VISION_LAYERS]]

OUTPUT_DIR/hf is a folder in Hugging Face layout (bf16); beside it lie the same weights as llama.cpp's
converter and llama-quantize write them: bf16.gguf, q8_0.gguf, q4_0.gguf, q4_k_m.gguf, mmproj.gguf (F16) and
tower_bf16.gguf, the same tower in BF16, which is llama.cpp's and ik_llama.cpp's fastest (not called mmproj,
so that Deskhand finds one tower only). `deskhand bench --vs-llama` reads them.

What differs from the 7B: 4 language layers instead of 36, 8 vision layers (one with full attention)
instead of 32 (four), 32,768 words instead of 151,680. stretch.py makes the whole size of any of the files.
"""
import json
import pathlib
import subprocess
import sys

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "goldens"))
import gguf_files  # noqa: E402: the small tokenizer and the converter's call

N_VOCAB = 32768
D, FF, HEADS, KV, HEAD = 4096, 11008, 32, 8, 128
VD, VFF, VHEADS = 1280, 3456, 16


def tensors(text_layers, vision_layers):
    """Names and shapes."""
    yield "model.embed_tokens.weight", (N_VOCAB, D)
    yield "lm_head.weight", (N_VOCAB, D)
    yield "model.norm.weight", (D,)
    for i in range(text_layers):
        p = "model.layers.%d." % i
        yield p + "input_layernorm.weight", (D,)
        yield p + "post_attention_layernorm.weight", (D,)
        for n, rows in ("q", HEADS * HEAD), ("k", KV * HEAD), ("v", KV * HEAD):
            yield p + "self_attn.%s_proj.weight" % n, (rows, D)
            yield p + "self_attn.%s_proj.bias" % n, (rows,)
        yield p + "self_attn.o_proj.weight", (D, HEADS * HEAD)
        for n in "gate", "up":
            yield p + "mlp.%s_proj.weight" % n, (FF, D)
        yield p + "mlp.down_proj.weight", (D, FF)
    yield "visual.patch_embed.proj.weight", (VD, 3, 2, 14, 14)
    for i in range(vision_layers):
        p = "visual.blocks.%d." % i
        yield p + "norm1.weight", (VD,)
        yield p + "norm2.weight", (VD,)
        for n, rows, cols in (("attn.qkv", 3 * VD, VD), ("attn.proj", VD, VD),
                              ("mlp.gate_proj", VFF, VD), ("mlp.up_proj", VFF, VD),
                              ("mlp.down_proj", VD, VFF)):
            yield p + n + ".weight", (rows, cols)
            yield p + n + ".bias", (rows,)
    yield "visual.merger.ln_q.weight", (VD,)
    yield "visual.merger.mlp.0.weight", (4 * VD, 4 * VD)
    yield "visual.merger.mlp.0.bias", (4 * VD,)
    yield "visual.merger.mlp.2.weight", (D, 4 * VD)
    yield "visual.merger.mlp.2.bias", (D,)


def config(text_layers, vision_layers):
    c = gguf_files.vl_config()
    c.update(hidden_size=D, intermediate_size=FF, num_hidden_layers=text_layers,
             num_attention_heads=HEADS, num_key_value_heads=KV, head_dim=HEAD, vocab_size=N_VOCAB,
             max_position_embeddings=16384,
             rope_scaling=dict(type="mrope", mrope_section=[16, 24, 24]))
    c["vision_config"].update(depth=vision_layers, hidden_size=VD, intermediate_size=VFF,
                              num_heads=VHEADS, out_hidden_size=D,
                              fullatt_block_indexes=list(range(7, vision_layers, 8)))
    return c


def main():
    source, build = sys.argv[1:3]
    out = pathlib.Path(sys.argv[3])
    text_layers = int(sys.argv[4]) if len(sys.argv) > 4 else 4
    vision_layers = int(sys.argv[5]) if len(sys.argv) > 5 else 8
    hf = out / "hf"
    hf.mkdir(parents=True)
    g = torch.Generator().manual_seed(1)
    state = {}
    for name, shape in tensors(text_layers, vision_layers):
        w = torch.empty(shape, dtype=torch.bfloat16)
        if "norm" in name or "ln_q" in name:
            w.fill_(1)
        else:
            w.normal_(0, 0.02, generator=g)
        state[name] = w
    save_file(state, hf / "model.safetensors", metadata={"format": "pt"})
    del state
    gguf_files.write_tokenizer(hf)
    c = config(text_layers, vision_layers)
    json.dump(c, open(hf / "config.json", "w"))
    json.dump({"eos_token_id": c["eos_token_id"]}, open(hf / "generation_config.json", "w"))
    json.dump(dict(image_processor_type="Qwen2VLImageProcessor", patch_size=14, merge_size=2,
                   temporal_patch_size=2, min_pixels=3136, max_pixels=12845056,
                   image_mean=[0.48145466, 0.4578275, 0.40821073],
                   image_std=[0.26862954, 0.26130258, 0.27577711]),
              open(hf / "preprocessor_config.json", "w"))
    gguf_files.convert(source, hf, out / "bf16.gguf", "--outtype", "bf16")
    gguf_files.convert(source, hf, out / "mmproj.gguf", "--outtype", "f16", "--mmproj")
    gguf_files.convert(source, hf, out / "tower_bf16.gguf", "--outtype", "bf16", "--mmproj")
    for kind in "Q8_0", "Q4_0", "Q4_K_M":
        subprocess.run([build + "/bin/llama-quantize", str(out / "bf16.gguf"),
                        str(out / (kind.lower() + ".gguf")), kind, "2"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
