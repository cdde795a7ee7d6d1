"""Makes tests/golden/model.json, what transformers does with a checkpoint in float32:

    python3 tools/goldens/model.py data/nano > tests/golden/model.json

Resized pictures and patches (checksums), features behind the merger (some rows), prompts, M-RoPE
indices, logits and greedy text. tests/golden/test_model.c compares; it draws the same pictures by
the same formula (screen.h), so none is stored.
"""
import hashlib
import json
import os
import sys
import zlib

import numpy as np
import torch
import transformers
from PIL import Image
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor

SIZES = [(420, 308), (448, 336), (333, 217), (641, 479), (29, 57), (800, 600), (1024, 768),
         (1280, 800), (300, 900), (1366, 768)]
N_GREEDY = 24
# A greedy step counts as certain when the two best logits are further apart than this.
CERTAIN = 0.02
# Every so many logits are stored.
STRIDE = 4

AGENT = """You are a GUI agent. You will be provided with a screenshot, a goal, and your action \
history. You need to perform the next action to complete the task.

## Action Space
{"action": "click", "start_point": [x,y]}
{"action": "drag", "start_point": [x,y], "end_point": [x,y]}
{"action": "input", "text": "text"}
{"action": "press", "keys": [key1, key2, ...]}
{"action": "wait"}
{"action": "finished", "status": "status"}

## Goal
%s

## Previous Actions
%s

Now, output the next action in json format [{"action": "{action_name}"}, ...]."""
GROUND = ('Locate UI components that match the command: "%s". Output a JSON in the format '
          '[{"bbox_2d": [...], "label": "{the_whole_command}"}, ...].')
GOALS = ["Press the OK button.", "Enter \"Maria Schulz\" as the name and submit the form.",
         "Open the file menu.", "Set the city to Zürich.", "Close the window.", "Search for tea.",
         "Tick \"Remember me\" and sign in.", "Go to the second tab.", "Скачать файл 你好 😀",
         "Cancel the dialog."]


def screen(w, h, seed):
    """Must stay equal to golden_screen() in tests/golden/screen.h."""
    def below(n):
        nonlocal seed
        seed = (seed * 1664525 + 1013904223) & 0xffffffff
        return (seed >> 16) % n

    a = np.empty((h, w, 3), np.uint8)
    a[:] = [160 + below(96) for _ in range(3)]
    for _ in range(24):
        x, y = below(w), below(h)
        x2, y2 = min(w, x + 8 + below(w // 3 + 1)), min(h, y + 6 + below(h // 8 + 1))
        face = [below(256) for _ in range(3)]
        ink = [below(128) for _ in range(3)]
        yy, xx = np.mgrid[y:y2, x:x2]
        edge = (xx == x) | (yy == y) | (xx == x2 - 1) | (yy == y2 - 1)
        inside = (xx > x + 3) & (xx < x2 - 4) & (yy > y + 2) & (yy < y2 - 3)
        letters = inside & ((xx * 7 ^ (yy * 13 + xx // 5 * 29)) % 5 < 2)
        a[y:y2, x:x2] = face
        a[y:y2, x:x2][edge | letters] = ink
    return a


def render(messages, prefill):
    """MiMo's chat template, written from its description; <|image_pad|> is expanded later."""
    s = ""
    if messages[0]["role"] != "system":
        s = "<|im_start|>system\nYou are MiMo, an AI assistant developed by Xiaomi.<|im_end|>\n"
    for m in messages:
        s += "<|im_start|>" + m["role"] + "\n"
        for part in m["content"]:
            s += part["text"] if "text" in part else "<|vision_start|><|image_pad|><|vision_end|>"
        s += "<|im_end|>\n"
    return s + "<|im_start|>assistant\n" + prefill


def cases():
    for i in range(len(SIZES)):
        picture, goal = {"picture": i}, {"text": AGENT % (GOALS[i], "None")}
        yield [{"role": "user", "content": [picture, goal]}], ""
        yield [{"role": "user", "content": [picture, {"text": GROUND % GOALS[i]}]}], ""
        yield [{"role": "system", "content": [{"text": "Answer with yes or no."}]},
               {"role": "user", "content": [picture, {"text": "Is there a button "},
                                            {"text": "that says Cancel?"}]}], ""
        done = 'Step 0: {"action": "click", "start_point": [%d, %d]}.' % (40 + i, 60 + 3 * i)
        yield [{"role": "user", "content": [picture, {"text": AGENT % (GOALS[i], done)}]}], \
            "<think>\n</think>\n"
        yield [{"role": "user", "content": [picture, goal]},
               {"role": "assistant", "content": [{"text": '{"action": "wait"}'}]},
               {"role": "user", "content": [{"picture": (i + 1) % 5}, {"text": "And now?"}]}], "The "
    yield [{"role": "user", "content": [{"text": "What can you do?"}]}], ""


def numbers(values):
    return [float("%.6g" % v) for v in values]


def crc(a):
    return zlib.crc32(np.ascontiguousarray(a).tobytes())


def main():
    folder = sys.argv[1]
    torch.set_num_threads(2)
    weights = open(os.path.join(folder, "model.safetensors"), "rb").read()
    tok = AutoTokenizer.from_pretrained(folder)
    proc = Qwen2VLImageProcessor.from_pretrained(folder)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()
    pad = tok.convert_tokens_to_ids("<|image_pad|>")
    eos = model.generation_config.eos_token_id
    eos = set(eos if isinstance(eos, list) else [eos])
    flags = json.load(open(os.path.join(folder, "tokenizer_config.json")))["added_tokens_decoder"]
    control = {int(i) for i, t in flags.items() if t["special"]}

    print('{"made_with":"transformers %s, torch %s",' % (transformers.__version__,
                                                         torch.__version__))
    print('"weights":{"bytes":%d,"crc32":%d,"sha256":"%s"},"stride":%d,"pictures":[' %
          (len(weights), zlib.crc32(weights), hashlib.sha256(weights).hexdigest(), STRIDE))
    seen = []
    for i, (w, h) in enumerate(SIZES):
        a = screen(w, h, i + 1)
        out = proc(images=[Image.fromarray(a)], return_tensors="pt")
        grid = out["image_grid_thw"]
        _, gh, gw = grid[0].tolist()
        resized = np.asarray(Image.fromarray(a).resize((gw * 14, gh * 14), Image.BICUBIC))
        rows = out["pixel_values"].numpy().reshape(gh * gw, 3, 2, 196)[:, :, 0]
        with torch.no_grad():
            f = model.model.visual(out["pixel_values"], grid_thw=grid).float()
        n = f.shape[0]
        pick = sorted({0, n // 3, n * 4 // 5, n - 1})
        seen.append((out["pixel_values"], grid, n))
        print(json.dumps({
            "w": w, "h": h, "crc": crc(a), "grid": [gh, gw], "resized": crc(resized),
            "patches": crc(rows.astype("<f4")), "largest": float(f.abs().max()),
            "features": [{"row": r, "values": numbers(f[r].tolist())} for r in pick],
        }, separators=(",", ":")) + ("," if i + 1 < len(SIZES) else ""))
    print('],"cases":[')
    first = True
    for messages, prefill in cases():
        used = [seen[p["picture"]] for m in messages for p in m["content"] if "picture" in p]
        ids, k = [], 0
        for t in tok.encode(render(messages, prefill), add_special_tokens=False):
            ids += [t] * (used[k][2] if t == pad else 1)
            k += t == pad
        t = torch.tensor([ids])
        extra = {"attention_mask": torch.ones_like(t)}
        if used:
            extra["pixel_values"] = torch.cat([u[0] for u in used])
            extra["image_grid_thw"] = torch.cat([u[1] for u in used])
        pos, _ = model.model.get_rope_index(t, extra.get("image_grid_thw"), None,
                                            attention_mask=extra["attention_mask"])
        model.model.rope_deltas = None
        with torch.no_grad():
            g = model.generate(input_ids=t, do_sample=False, max_new_tokens=N_GREEDY,
                               return_dict_in_generate=True, output_logits=True, **extra)
        new = g.sequences[0, len(ids):].tolist()
        logits = g.logits[0][0]
        sure = 0
        for step in g.logits:
            best = step[0].topk(2).values
            if best[0] - best[1] < CERTAIN:
                break
            sure += 1
        ended = bool(new) and new[-1] in eos
        said = new[:-1] if ended else new
        print(("" if first else ",") + json.dumps({
            "messages": messages, "prefill": prefill, "n": len(ids),
            "ids": crc(np.array(ids, "<i4")), "pos": crc(pos[:, 0].numpy().astype("<i4")),
            "last_pos": pos[:, 0, -1].tolist(), "largest": float(logits.abs().max()),
            "best": int(logits.argmax()), "logits": numbers(logits[::STRIDE].tolist()),
            "text": tok.decode([t for t in said[:sure] if t not in control],
                               clean_up_tokenization_spaces=False),
            "whole": sure >= len(new), "ended": ended,
        }, separators=(",", ":")))
        first = False
    print("]}")


if __name__ == "__main__":
    main()
