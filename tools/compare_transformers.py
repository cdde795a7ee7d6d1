#!/usr/bin/env python3
"""Times the step that deskhand-bench times with transformers in f32, beside it, and prints the ratio.

usage: compare_transformers.py DESKHAND_BENCH MODEL [THREADS]

Needs torch and transformers 4.57. The picture's values do not matter for the time; the numbers of
patches, prompt and reply tokens are taken from deskhand-bench's own report."""
import json
import statistics
import subprocess
import sys
import time

import torch
from transformers import Qwen2_5_VLForConditionalGeneration


def main():
    bench, model_dir = sys.argv[1:3]
    threads = sys.argv[3] if len(sys.argv) > 3 else "0"
    ours = json.loads(subprocess.run([bench, model_dir, "1280", "800", threads, "--json"], check=True,
                                     capture_output=True, text=True).stdout)
    torch.set_num_threads(ours["threads"])
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(model_dir, dtype=torch.float32).eval()
    w, h = (side // model.config.vision_config.patch_size for side in ours["image"])
    rows = torch.randn(w * h, 1176)
    grid = torch.tensor([[1, h, w]])
    n_text = ours["prompt_tokens"] - ours["visual_tokens"] - 2
    ids = torch.randint(0, 900, (1, n_text))
    picture = [model.config.vision_start_token_id] + [model.config.image_token_id] * (w * h // 4)
    picture += [model.config.vision_end_token_id]
    ids = torch.cat([ids[:, :20], torch.tensor([picture]), ids[:, 20:]], 1)
    args = dict(input_ids=ids, pixel_values=rows, image_grid_thw=grid,
                attention_mask=torch.ones_like(ids), do_sample=False,
                min_new_tokens=max(1, ours["generated_tokens"]),
                max_new_tokens=max(1, ours["generated_tokens"]))
    times = []
    with torch.no_grad():
        for _ in range(4):
            start = time.perf_counter()
            model.generate(**args)
            times.append((time.perf_counter() - start) * 1e3)
    theirs = statistics.median(times[1:])
    mine = ours["step_ms"] - ours["resize_ms"]
    print(f"deskhand {mine:.0f} ms, transformers {theirs:.0f} ms: {theirs / mine:.2f} times; seen "
          f"before {ours['warm_step_ms']:.1f} ms: {theirs / ours['warm_step_ms']:.1f} times "
          f"({ours['prompt_tokens']} + {ours['generated_tokens']} tokens, {ours['threads']} threads)")


if __name__ == "__main__":
    main()
