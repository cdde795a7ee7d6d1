#!/usr/bin/env python3
"""Writes tests/golden/tiny/: a checkpoint of random weights with everything the shipped model lacks
(videos, a head of its own, nested text_config, the newer tensor names, f32 beside bf16, embedding
rows beyond the tokenizer, another epsilon), and what transformers 4.57 computes with it in f32.

usage: tiny.py OUTPUT_DIR"""
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
           "<|image_pad|>", "<|video_pad|>"]
N_TOKENS = 256 + len(SPECIAL)
N_VOCAB = 272
END, START, STOP, SEE, SEEN, IMAGE, VIDEO = range(256, N_TOKENS)


def letters():
    """GPT-2's printable letter of each byte."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table, n = {}, 256
    for b in range(256):
        table[b] = chr(b if b in plain else n)
        n += b not in plain
    return table


def config():
    return dict(
        architectures=["Qwen2_5_VLForConditionalGeneration"], model_type="qwen2_5_vl",
        image_token_id=IMAGE, video_token_id=VIDEO, vision_start_token_id=SEE,
        vision_end_token_id=SEEN, tie_word_embeddings=False,
        text_config=dict(
            model_type="qwen2_5_vl_text", hidden_size=48, intermediate_size=88,
            num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2, head_dim=8,
            hidden_act="silu", max_position_embeddings=2048, rms_norm_eps=1e-5,
            rope_theta=640000.0, rope_scaling=dict(type="mrope", mrope_section=[1, 1, 2]),
            vocab_size=N_VOCAB, use_sliding_window=False, eos_token_id=STOP, bos_token_id=END,
            tie_word_embeddings=False),
        vision_config=dict(
            model_type="qwen2_5_vl", depth=3, hidden_size=40, intermediate_size=72, num_heads=2,
            hidden_act="silu", in_channels=3, out_hidden_size=48, patch_size=4,
            spatial_merge_size=2, temporal_patch_size=2, window_size=32,
            fullatt_block_indexes=[1], tokens_per_second=2))


def write_tokenizer(out):
    vocab = {c: b for b, c in letters().items()}
    added = [dict(id=256 + i, content=s, single_word=False, lstrip=False, rstrip=False,
                  normalized=False, special=True) for i, s in enumerate(SPECIAL)]
    pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+"
               r"[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    split = dict(type="Split", pattern=dict(Regex=pattern), behavior="Isolated", invert=False)
    level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=False, use_regex=False)
    json.dump(dict(version="1.0", added_tokens=added, normalizer=dict(type="NFC"),
                   pre_tokenizer=dict(type="Sequence", pretokenizers=[split, level]),
                   decoder=level, model=dict(type="BPE", vocab=vocab, merges=[])),
              open(out / "tokenizer.json", "w"), ensure_ascii=False)


def rows(n, columns, salt):
    """The formula of test_vlm_tiny.c."""
    i = np.arange(n * columns, dtype=np.int64)
    return torch.from_numpy(((i * 7919 + salt * 104729) % 1009 / 504.0 - 1.0).astype(np.float32)
                            .reshape(n, columns))


def text(s):
    return list(s.encode())


def turn(role, *parts):
    return [START] + text(role + "\n") + [t for p in parts for t in p] + [STOP] + text("\n")


def visual(pad, n):
    return [SEE] + [pad] * n + [SEEN]


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(11)
    c = config()
    json.dump(c, open(out / "config.json", "w"), indent=1)
    json.dump(dict(eos_token_id=[STOP, END]), open(out / "generation_config.json", "w"))
    json.dump(dict(patch_size=4, merge_size=2, temporal_patch_size=2, min_pixels=64,
                   max_pixels=65536, image_mean=[0.5] * 3, image_std=[0.5] * 3),
              open(out / "preprocessor_config.json", "w"))
    write_tokenizer(out)

    model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**c)).float().eval()
    state = {}
    for name, w in model.state_dict().items():
        scale = 0.3 if w.dim() == 1 else 1.5 * w[0].numel() ** -0.5
        w = torch.randn(w.shape) * scale + (1 if "norm" in name or "ln_q" in name else 0)
        if "patch_embed" in name or "visual" in name and ("attn.proj" in name or "down" in name):
            w *= 0.01  # small values before the norms, so that their epsilon shows
        state[name] = (w if "visual" in name else w.bfloat16()).contiguous()
    model.load_state_dict({k: v.float() for k, v in state.items()})
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})

    columns = 3 * 4 * 4
    a, b = rows(10 * 22, columns, 1), rows(4 * 6, columns, 2)
    v = rows(3 * 4 * 6, 2 * columns, 3)
    still = lambda r: r.view(-1, 3, 1, 16).expand(-1, 3, 2, 16).reshape(len(r), -1)
    ga, gb, gv = [1, 10, 22], [1, 4, 6], [3, 4, 6]
    ids = turn("system", text("Be brief."))
    ids += turn("user", visual(IMAGE, 55), text("one, "), visual(IMAGE, 6), text("two, "),
                visual(VIDEO, 18), text("what moves?"))
    ids += [START] + text("assistant\n")
    x = torch.tensor([ids])
    pictures = torch.cat([still(a), still(b)])
    grids = torch.tensor([ga, gb])
    args = dict(input_ids=x, pixel_values=pictures, image_grid_thw=grids, pixel_values_videos=v,
                video_grid_thw=torch.tensor([gv]), second_per_grid_ts=torch.tensor([1.5]),
                attention_mask=torch.ones_like(x))
    with torch.no_grad():
        features = model.model.visual(pictures, grid_thw=grids)
        video = model.model.visual(v, grid_thw=torch.tensor([gv]))
        logits = model(**args).logits[0, -1]
        pos, _ = model.model.get_rope_index(x, grids, torch.tensor([gv]), torch.tensor([1.5]))
        reply = model.generate(**args, max_new_tokens=40, do_sample=False,
                               suppress_tokens=list(range(N_TOKENS, N_VOCAB)))[0, len(ids):]
    flat = lambda t: [float(f"{f:.7g}") for f in t.flatten().tolist()]
    json.dump(dict(ids=ids, pos=pos[:, 0].flatten().tolist(), features=flat(features),
                   video=flat(video), logits=flat(logits), reply=reply.tolist()),
              open(out / "expected.json", "w"))


if __name__ == "__main__":
    main()
