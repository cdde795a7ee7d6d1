#!/usr/bin/env python3
"""Times one step of the agent, from taking the picture to the first input event, with Deskhand and with
transformers on the same screen, in turns, and prints medians and ratios.

usage: compare_transformers.py BUILD MODEL [--runs N] [--threads N] [--precision P]
                               [--weights W]

The screen is a 1280 x 800 Xvfb with a dialog that is another one in each run, so that nothing seen
before helps. Both see the whole screen; a second line says how long Deskhand takes as it comes, where a
small model is shown the window and not the screen (docs/cli.md), each with one look. Deskhand's time is what its daemon reports, `first_event_us`: capture, resizing, vision,
prompt, reply, parsing, policy, first event. transformers' time is Pillow's screen grab, the image
processor, the tokenizer and generate() with its KV cache and default attention; sending an event is not
counted for it. It runs in float32, which is what from_pretrained() gives, and in bfloat16, what the
checkpoint is stored in.

Needs Xvfb, zenity, xdotool, torch, transformers 4.57, Pillow. MODEL is a folder in Hugging Face layout."""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time

import torch
from PIL import ImageGrab
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor

NAMES = ["Name", "Email", "City", "Phone", "Street", "Company", "Title", "Country", "Street 2", "Note"]
PROMPT = """You are a GUI agent. You will be provided with a screenshot, a goal, and your action \
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
None

Now, output the next action in json format [{"action": "{action_name}"}, ...]."""
TURN = """<|im_start|>system
You are MiMo, an AI assistant developed by Xiaomi.<|im_end|>
<|im_start|>user
<|vision_start|>%s<|vision_end|>%s<|im_end|>
<|im_start|>assistant
"""


class Desk:
    """A private screen with one dialog on it and a daemon that looks at it."""

    def __init__(self, build, model, threads, precision, weights):
        self.client = os.path.join(build, "client", "deskhand")
        self.folder = tempfile.mkdtemp()
        self.env = dict(os.environ, NO_AT_BRIDGE="1", XDG_RUNTIME_DIR=self.folder + "/run",
                        XDG_STATE_HOME=self.folder + "/state", XDG_CONFIG_HOME=self.folder + "/config")
        os.mkdir(self.folder + "/run", 0o700)
        r, w = os.pipe()
        self.server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(w), "-screen", "0", "1280x800x24", "-nolisten", "tcp"],
            pass_fds=[w], stderr=subprocess.DEVNULL)
        os.close(w)
        self.display = self.env["DISPLAY"] = ":" + os.read(r, 16).decode().strip()
        self.wm = self.start("openbox") if shutil.which("openbox") else None
        self.dialog = None
        self.daemon = self.start(
            os.path.join(build, "serve", "deskhandd"), "--port", "0", "--looks", "1", "--model", model,
            *(["--threads", str(threads)] if threads else []), "--precision", precision,
            *(["--weights", weights] if weights else []))
        for _ in range(100):
            if os.path.exists(self.folder + "/run/deskhand/daemon.json"):
                break
            time.sleep(0.1)

    def start(self, *command):
        return subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def show(self, i):
        self.hide()
        title = "Contact %d" % i
        entries = [e for k in range(2 + i % 3) for e in ("--add-entry", NAMES[(i + k) % len(NAMES)])]
        self.dialog = self.start("zenity", "--forms", "--title", title, "--text",
                                 "Enter contact %d" % i, *entries)
        for _ in range(100):
            if subprocess.run(["xdotool", "search", "--onlyvisible", "--name", title], env=self.env,
                              capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        time.sleep(1.5)  # its drawing is no one's time
        return "Click the field %s." % NAMES[i % len(NAMES)]

    def hide(self):
        if self.dialog:
            self.dialog.kill()
            self.dialog.wait()
            self.dialog = None

    def step(self, goal, view):
        """The daemon's timing of one step."""
        out = subprocess.run([self.client, "do", "--no-start", "--json", "--max-steps", "1", "--view",
                              view, goal],
                             env=self.env, capture_output=True, text=True).stdout
        for line in out.splitlines():
            timing = re.search(r'"timing":\s*(\{[^}]*\})', line)
            if timing:
                return json.loads(timing.group(1))
        raise SystemExit("deskhand did no step: " + out)

    def end(self):
        self.hide()
        for p in [self.daemon, self.wm, self.server]:
            if p:
                p.terminate()
                p.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Transformers:
    def __init__(self, folder, dtype):
        self.tok = AutoTokenizer.from_pretrained(folder)
        self.proc = Qwen2VLImageProcessor.from_pretrained(folder)
        self.model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=dtype).eval()

    def step(self, display, goal, n_tokens):
        """As many tokens as Deskhand wrote: without its grammar the reply may ramble on."""
        start = time.perf_counter()
        image = ImageGrab.grab(xdisplay=display)
        pixels = self.proc(images=[image], return_tensors="pt")
        n = int(pixels["image_grid_thw"].prod()) // 4
        text = TURN % ("<|image_pad|>" * n, PROMPT % goal)
        ids = self.tok(text, return_tensors="pt")["input_ids"]
        ready = time.perf_counter()
        with torch.no_grad():
            out = self.model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False,
                pixel_values=pixels["pixel_values"].to(self.model.dtype),
                image_grid_thw=pixels["image_grid_thw"],
                min_new_tokens=n_tokens, max_new_tokens=n_tokens)
        self.tok.decode(out[0, ids.shape[1]:])
        return (time.perf_counter() - start) * 1e3, (ready - start) * 1e3


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("build")
    ap.add_argument("model")
    ap.add_argument("--runs", type=int, default=5)
    ap.add_argument("--threads", type=int, default=0)
    ap.add_argument("--precision", default="auto")
    ap.add_argument("--weights", default="")
    a = ap.parse_args()
    threads = a.threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    others = {"float32": Transformers(a.model, torch.float32),
              "bfloat16": Transformers(a.model, torch.bfloat16)}
    times = {"float32": [], "bfloat16": []}
    timings = {"screen": [], "auto": []}
    ready = []
    desk = Desk(a.build, a.model, threads, a.precision, a.weights)
    try:
        for i in range(a.runs + 1):  # the first one only warms up
            goal = desk.show(i)
            timing = desk.step(goal, "screen")
            if "first_event_us" not in timing:
                continue  # the reply held no action that sends an event
            for name, other in others.items():
                ms, prepare = other.step(desk.display, goal, timing["n_generated"])
                if i:
                    times[name].append(ms)
                    ready.append(prepare)
            if i:
                timings["screen"].append(timing)
                timings["auto"].append(desk.step(goal, "auto"))
    finally:
        desk.end()
    if not timings["screen"]:
        raise SystemExit("deskhand sent no event in any run: nothing to compare")
    print("%d threads, 1280 x 800, medians of %d runs, %.0f tokens written" %
          (threads, len(ready) // 2, statistics.median(t["n_generated"] for t in timings["screen"])))
    mine = {}
    for view, label in (("screen", "deskhand"), ("auto", "deskhand, as it comes")):
        of = [t for t in timings[view] if "first_event_us" in t]
        if of:
            mine[view] = statistics.median(t["first_event_us"] for t in of) / 1e3
            print("%-22s %6.0f ms: capture %.1f, resize %.1f, vision %.1f, prompt %.1f, reply %.1f ms" %
                  (label, mine[view], *(statistics.median(t[k] for t in of) / 1e3 for k in
                   ("capture_us", "cut_us", "vision_us", "prefill_us", "decode_us"))))
    for name in others:
        theirs = statistics.median(times[name])
        print("transformers, %-8s %6.0f ms (%.0f of it before generate): %s" %
              (name, theirs, statistics.median(ready),
               ", ".join("%.1f times %s" % (theirs / ms, "deskhand" if view == "screen" else
                                            "deskhand as it comes") for view, ms in mine.items())))


if __name__ == "__main__":
    main()
