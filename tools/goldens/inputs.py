#!/usr/bin/env python3
"""Writes what transformers 4.57 computes for prompts of pictures, videos and text in many orders, with
the checkpoint of random weights in tests/golden/tiny: M-RoPE indices and the last logits.

usage: inputs.py TINY_DIR > tests/golden/inputs.json"""
import json
import pathlib
import random
import sys

import torch
from transformers import Qwen2_5_VLForConditionalGeneration

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from tiny import IMAGE, START, VIDEO, rows, text, turn, visual  # noqa: E402

SECONDS = [0.0, 0.5, 0.99, 1.0, 1.5, 1.999, 2.0, 2.4, 7.0]


def cases():
    rnd = random.Random(5)
    yield [{"text": "only words"}]
    yield [{"image": [4, 6]}]
    yield [{"image": [2, 2]}, {"image": [2, 2]}]
    yield [{"text": "a"}, {"image": [6, 2]}, {"text": "b"}, {"image": [2, 8]}, {"text": "c"}]
    for s in SECONDS:
        yield [{"video": [3, 4, 2], "seconds": s}, {"text": "what?"}]
    yield [{"video": [1, 4, 4], "seconds": 1.0}]
    yield [{"video": [5, 2, 2], "seconds": 3.5}, {"video": [2, 6, 4], "seconds": 0.5}, {"text": "x"}]
    for _ in range(12):
        parts = []
        for _ in range(rnd.randint(2, 5)):
            k = rnd.random()
            if k < 0.35:
                parts.append({"text": "".join(rnd.choice("ab c,") for _ in range(rnd.randint(1, 9)))})
            elif k < 0.65:
                parts.append({"image": [2 * rnd.randint(1, 5), 2 * rnd.randint(1, 5)]})
            else:
                parts.append({"video": [rnd.randint(1, 4), 2 * rnd.randint(1, 3), 2 * rnd.randint(1, 3)],
                              "seconds": rnd.choice(SECONDS)})
        yield parts


def main():
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        sys.argv[1], dtype=torch.float32, attn_implementation="eager").eval()
    still = lambda r: r.view(-1, 3, 1, 16).expand(-1, 3, 2, 16).reshape(len(r), -1)
    out = []
    for parts in cases():
        body, pictures, grids, videos, vgrids, seconds = [], [], [], [], [], []
        for i, p in enumerate(parts):
            if "text" in p:
                body.append(text(p["text"]))
            elif "image" in p:
                h, w = p["image"]
                pictures.append(still(rows(h * w, 48, i)))
                grids.append([1, h, w])
                body.append(visual(IMAGE, h * w // 4))
            else:
                t, h, w = p["video"]
                videos.append(rows(t * h * w, 96, i))
                vgrids.append([t, h, w])
                seconds.append(p["seconds"])
                body.append(visual(VIDEO, t * h * w // 4))
        ids = turn("system", text("S")) + turn("user", *body) + [START] + text("assistant\n")
        x = torch.tensor([ids])
        args = dict(attention_mask=torch.ones_like(x))
        g = torch.tensor(grids) if grids else None
        v = torch.tensor(vgrids) if vgrids else None
        s = torch.tensor(seconds) if seconds else None
        if grids:
            args.update(pixel_values=torch.cat(pictures), image_grid_thw=g)
        if vgrids:
            args.update(pixel_values_videos=torch.cat(videos), video_grid_thw=v, second_per_grid_ts=s)
        model.model.rope_deltas = None
        with torch.no_grad():
            pos, _ = model.model.get_rope_index(x, g, v, s, attention_mask=args["attention_mask"])
            logits = model(input_ids=x, **args).logits[0, -1]
        out.append(dict(parts=parts, pos=pos[:, 0].reshape(-1).tolist(),
                        logits=[float("%.7g" % n) for n in logits[::7].tolist()],
                        largest=float("%.7g" % logits.abs().max())))
    print("[" + ",\n".join(json.dumps(o, separators=(",", ":")) for o in out) + "]")


if __name__ == "__main__":
    main()
