#!/usr/bin/env python3
"""Times Deskhand and llama.cpp on the same files of MiMo-VL-7B's shapes (shapes.py), in turns, and prints the
table of docs/performance.md.

    python3 tools/bench/llama.py DESKHAND_BENCH LLAMA_CPP_BUILD SHAPES_DIR [--threads N] [--rounds N] [--rows ...]

A round runs llama-bench (or llama-mtmd-cli for the vision tower) and then deskhand-bench on the same row;
a row's number is the median of its rounds.
"""
import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile

ROWS = {  # name: file, weights, prompt tokens, reply tokens
    "prefill 512, BF16": ("bf16", "as is", 512, 0),
    "prefill 512, Q8_0 / int8": ("q8_0", "int8", 512, 0),
    "prefill 512, Q4_K_M / int4": ("q4_k_m", "int4", 512, 0),
    "prefill 2048, Q8_0 / int8": ("q8_0", "int8", 2048, 0),
    "decode, BF16": ("bf16", "as is", 64, 32),
    "decode, Q8_0 / int8": ("q8_0", "int8", 64, 32),
    "decode, Q4_0 / int4": ("q4_0", "int4", 64, 32),
    "decode, Q4_K_M / int4": ("q4_k_m", "int4", 64, 32),
    "vision, bf16": ("q8_0", "as is", 0, 0),
    "vision, int8": ("q8_0", "int8", 0, 0),
}


def run(command, **more):
    """Standard output, standard error, processor seconds of the command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    p = subprocess.run(command, capture_output=True, text=True, **more)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if p.returncode:
        sys.exit("%s failed: %s" % (command[0], p.stderr[-2000:]))
    return p.stdout, p.stderr, after.ru_utime - before.ru_utime


def theirs(a, file, n_prompt, n_reply):
    """Tokens a second, or seconds for the picture."""
    model = os.path.join(a.shapes, file + ".gguf")
    if not n_prompt:
        out, err, _ = run([a.llama + "/bin/llama-mtmd-cli", "-m", model, "--mmproj",
                           os.path.join(a.shapes, "mmproj.gguf"), "--image", a.picture, "-p", "x", "-n",
                           "1", "-t", str(a.threads), "-c", "4096", "--no-warmup",
                           "--chat-template", "chatml"])
        return float(re.search(r"encod(?:ed|ing done) in (\d+) ms", out + err).group(1)) / 1e3
    out, _, _ = run([a.llama + "/bin/llama-bench", "-m", model, "-t", str(a.threads), "-o", "json", "-r",
                     "1", "-p", "0" if n_reply else str(n_prompt), "-n", str(n_reply)])
    return json.loads(out)[0]["avg_ts"]


def ours(a, file, weights, n_prompt, n_reply):
    model = os.path.join(a.shapes, file + ".gguf")
    command = [a.bench, "--json", "--runs", "1", "--threads", str(a.threads), "--weights", weights]
    if n_prompt:
        command += ["--prompt", str(n_prompt), "--reply", str(max(1, n_reply)), model]
    else:
        command += ["--reply", "1", model, "1280", "720"]
    r = json.loads(run(command)[0])
    if not n_prompt:
        return r["vision_ms"] / 1e3, r
    # the first token of the reply comes out of the prompt
    return ((r["generated_tokens"] - 1) / r["decode_ms"] * 1e3 if n_reply else r["prefill_tokens_s"]), r


def picture(path):
    import numpy as np
    from PIL import Image
    y, x = np.mgrid[0:720, 0:1280]
    a = np.stack([(x // 160 * 37 + y // 90 * 53) % 256, (x * y // 997) % 256, (x + y) % 256], -1)
    Image.fromarray(a.astype(np.uint8)).save(path)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("bench")
    ap.add_argument("llama")
    ap.add_argument("shapes")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--rows", nargs="*", default=[])
    a = ap.parse_args()
    folder = tempfile.TemporaryDirectory()
    a.picture = os.path.join(folder.name, "screen.png")
    picture(a.picture)
    print("%d threads, medians of %d rounds" % (a.threads, a.rounds))
    print("| what | llama.cpp | Deskhand | ratio | machine |\n|---|---|---|---|---|", flush=True)
    for name, (file, weights, n_prompt, n_reply) in ROWS.items():
        if a.rows and not any(name.startswith(r) for r in a.rows):
            continue
        them, us, peaks = [], [], []
        for _ in range(a.rounds):
            them.append(theirs(a, file, n_prompt, n_reply))
            value, r = ours(a, file, weights, n_prompt, n_reply)
            us.append(value)
            peaks.append((r["peak_gflops"], r["bandwidth_gb_s"]))
        t, u = statistics.median(them), statistics.median(us)
        unit = "t/s" if n_prompt else "s"
        print("| %s | %.2f %s | %.2f %s | %.2f | %.0f GFLOP/s, %.0f GB/s |" %
              (name, t, unit, u, unit, u / t if n_prompt else t / u,
               statistics.median(p[0] for p in peaks), statistics.median(p[1] for p in peaks)),
              flush=True)


if __name__ == "__main__":
    main()
