#!/usr/bin/env python3
"""Writes tests/golden/lora/: adapters as PEFT (and ms-swift through it) saves them, for the checkpoint
of random weights in tests/golden/tiny, and what PEFT 0.17 computes with them in f32.

usage: lora.py TINY_DIR OUTPUT_DIR"""
import json
import pathlib
import shutil
import sys
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Qwen2_5_VLForConditionalGeneration

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from tiny import IMAGE, END, START, STOP, VIDEO, rows, text, turn, visual  # noqa: E402

warnings.filterwarnings("ignore")
NAMES = "q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj"
# ms-swift's pattern for transformers from 4.52 on, and before
SWIFT = r"^(model\.language_model(?=\.).*\.(%s))$" % NAMES
SWIFT_OLD = r"^(model(?=\.).*\.(%s))$" % NAMES
N_NEW = 24

CONFIGS = {
    "text": dict(r=4, lora_alpha=8, target_modules=SWIFT),
    "wide": dict(r=8, lora_alpha=16, target_modules="all-linear", use_rslora=True,
                 rank_pattern={"q_proj": 2, r"layers\.1\.mlp\..*": 5, "visual.blocks.0.attn.qkv": 3},
                 alpha_pattern={"k_proj": 40, r"model\.language_model\.layers\.2\..*down_proj": 3}),
    "saved": dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj", "attn.proj"],
                  modules_to_save=["lm_head", "embed_tokens", "merger", "input_layernorm",
                                   "patch_embed"]),
}


def base(folder):
    m = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager")
    return m.eval()


def prompt():
    a, b = rows(10 * 22, 48, 1), rows(4 * 6, 48, 2)
    v = rows(3 * 4 * 6, 2 * 48, 3)
    still = lambda r: r.view(-1, 3, 1, 16).expand(-1, 3, 2, 16).reshape(len(r), -1)
    ids = turn("system", text("Be brief."))
    ids += turn("user", visual(IMAGE, 55), text("one, "), visual(IMAGE, 6), text("two, "),
                visual(VIDEO, 18), text("what moves?"))
    ids += [START] + text("assistant\n")
    x = torch.tensor([ids])
    return x, dict(pixel_values=torch.cat([still(a), still(b)]),
                   image_grid_thw=torch.tensor([[1, 10, 22], [1, 4, 6]]), pixel_values_videos=v,
                   video_grid_thw=torch.tensor([[3, 4, 6]]), second_per_grid_ts=torch.tensor([1.5]),
                   attention_mask=torch.ones_like(x))


def answers(model):
    """Logits of the prompt's last position, and a greedy reply with its log probabilities."""
    x, args = prompt()
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    inner.model.rope_deltas = None
    with torch.no_grad():
        logits = inner(input_ids=x, **args).logits[0, -1]
        inner.model.rope_deltas = None
        g = inner.generate(input_ids=x, do_sample=False, max_new_tokens=N_NEW,
                           suppress_tokens=list(range(263, 272)), eos_token_id=[STOP, END],
                           return_dict_in_generate=True, output_logits=True, **args)
    reply = [t for t in g.sequences[0, x.shape[1]:].tolist() if t not in (STOP, END)]
    probs = [float(torch.log_softmax(s[0, :263].double(), -1)[t])
             for s, t in zip(g.logits, reply)]
    gaps = [float(s[0, :263].topk(2).values.diff().abs()) for s in g.logits]
    assert min(gaps) > 1e-3, gaps
    six = lambda v: [float("%.7g" % n) for n in v]
    return dict(logits=six(logits.tolist()), reply=reply, logprobs=six(probs))


def main():
    tiny, out = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    expected = dict(base=answers(base(tiny)))
    for i, (name, config) in enumerate(CONFIGS.items()):
        torch.manual_seed(100 + i)
        model = get_peft_model(base(tiny), LoraConfig(task_type="CAUSAL_LM", **config)).eval()
        for key, w in model.named_parameters():
            if "lora_A" in key or "lora_B" in key:
                w.data = torch.randn_like(w) * 0.5 / w.shape[1] ** 0.5
            elif "modules_to_save" in key:
                w.data = w.data + torch.randn_like(w) * 0.3 * w.data.std()
        model.save_pretrained(out / name, save_embedding_layers=False)
        # What a program that only has the folder gets.
        again = PeftModel.from_pretrained(base(tiny), out / name).eval()
        expected[name] = answers(again)
        merged = answers(again.merge_and_unload().eval())
        assert merged["reply"] == expected[name]["reply"]
        (out / name / "README.md").unlink(missing_ok=True)
    # The same adapter as written before transformers 4.52.
    old = out / "old"
    shutil.copytree(out / "text", old)
    config = json.load(open(old / "adapter_config.json"))
    config["target_modules"] = SWIFT_OLD
    json.dump(config, open(old / "adapter_config.json", "w"), indent=2, sort_keys=True)
    state = load_file(old / "adapter_model.safetensors")
    save_file({k.replace("model.language_model.", "model."): w for k, w in state.items()},
              old / "adapter_model.safetensors", metadata={"format": "pt"})
    expected["old"] = expected["text"]
    for c in out.glob("*/adapter_config.json"):
        j = json.load(open(c))
        j["base_model_name_or_path"] = "tiny"
        json.dump(j, open(c, "w"), indent=1, sort_keys=True)
    json.dump(expected, open(out / "expected.json", "w"), separators=(",", ":"))


if __name__ == "__main__":
    main()
