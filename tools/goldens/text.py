#!/usr/bin/env python3
"""Makes tests/golden/text_*.json: what llama.cpp and transformers make of a real text model's GGUF.

    python3 tools/goldens/text.py MODELS NAME OUTPUT.json

MODELS is the folder of text_models.py --f32. Of each of 20 prompts, half of them in the file's own chat
template, the token ids (llama.cpp), a sample of the logits behind it and 64 greedy steps with the
distance of the two best logits: of llama.cpp on the exact values in f32, and of llama.cpp on the file as
it is, where it rounds activations to eight bits. transformers' logits on the exact values are printed
beside them.

Needs what gguf_files.py needs, and jinja2.
"""
import json
import os
import pathlib
import sys

import gguf
import jinja2
import numpy as np
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from gguf_files import Llama, N_GREEDY, dequantised, flat, hf_state

STRIDE = 1009  # of the logits that are kept
SYSTEM = "You are a helpful assistant."
PLAIN = [
    "The history of the printing press begins in",
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "#include <stdio.h>\n\nint main(int argc, char **argv)\n{\n",
    "{\"name\": \"Ada Lovelace\", \"born\": 1815, \"works\": [",
    "Es war einmal ein alter König, der hatte drei Töchter. Die jüngste",
    "中国的首都是北京，",
    "Жили-были старик со старухой.",
    "1, 1, 2, 3, 5, 8, 13,",
    "# Installation\n\nFirst, install the dependencies:\n\n```sh\n",
    "Call me Ishmael. Some years ago—never mind how long precisely—",
]
ASKED = [
    "Write a short story about a lighthouse keeper who finds a letter.",
    "Explain how a hash table works.",
    "Write a Python function that checks whether a string is a palindrome, and explain it.",
    "What are the differences between TCP and UDP?",
    "Translate into French, then explain the grammar: The cat that I saw yesterday was black.",
    "List ten animals that live in the sea, one sentence about each.",
    "Why is the sky blue? 🌈",
    "Write a shell script that renames all .txt files of a folder to .md.",
    "请介绍一下长城的历史。",
    "A train leaves at 9:40 and arrives at 13:05. How long does it travel? Think step by step.",
]


def chat(template, question):
    def refuse(text):
        raise ValueError(text)

    env = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    env.globals["raise_exception"] = refuse
    return env.from_string(template).render(
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}],
        add_generation_prompt=True, bos_token="", eos_token="")


def hugging_face(reader, path):
    """The independent third: transformers on the file's exact values."""
    get = lambda key: reader.fields["qwen2." + key].contents()
    state = hf_state(dequantised(path))
    tied = "lm_head.weight" not in state
    model = Qwen2ForCausalLM(Qwen2Config(
        hidden_size=get("embedding_length"), intermediate_size=get("feed_forward_length"),
        num_hidden_layers=get("block_count"), num_attention_heads=get("attention.head_count"),
        num_key_value_heads=get("attention.head_count_kv"), rms_norm_eps=get("attention.layer_norm_rms_epsilon"),
        rope_theta=get("rope.freq_base"), max_position_embeddings=get("context_length"),
        vocab_size=len(state["model.embed_tokens.weight"]), tie_word_embeddings=tied)).float().eval()
    missing, unknown = model.load_state_dict(state, strict=False)
    assert not unknown and set(missing) <= {"lm_head.weight"}, (missing, unknown)
    return model


def steps_json(steps):
    return dict(greedy=[i for i, _ in steps], margins=[float("%.4g" % m) for _, m in steps])


def main():
    models, name, out = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    path = models / (name + ".gguf")
    torch.set_num_threads(2)
    r = gguf.GGUFReader(path)
    texts = r.fields["tokenizer.ggml.tokens"].contents()
    types = r.fields["tokenizer.ggml.token_type"].contents()
    n_tokens = max(i for i, t in enumerate(types) if t != gguf.TokenType.UNUSED) + 1
    ends = [i for i, t in enumerate(texts) if t in ("<|im_end|>", "<|endoftext|>")]
    template = r.fields["tokenizer.chat_template"].contents()
    own = Llama(path, n_tokens, ends)
    exact = Llama(models / (name + "-f32.gguf"), n_tokens, ends)
    hf = hugging_face(r, path)
    cases = []
    for text, question in [(p, None) for p in PLAIN] + [(chat(template, q), q) for q in ASKED]:
        ids = own.tokenize(text)
        logits, steps = exact.logits(ids, N_GREEDY)
        _, rough = own.logits(ids, N_GREEDY)
        largest = float(np.abs(logits).max())
        with torch.no_grad():
            other = hf(input_ids=torch.tensor([ids])).logits[0, -1].numpy()
        same = next((i for i, (a, b) in enumerate(zip(steps, rough)) if a[0] != b[0]), len(steps))
        print("%-24.24r %3d tokens, %2d greedy; transformers' logits off by %.2g of the largest; "
              "llama.cpp on the file itself: %2d tokens the same" %
              (question or text, len(ids), len(steps), np.abs(other - logits).max() / largest, same),
              file=sys.stderr, flush=True)
        cases.append(dict(prompt=text, question=question, ids=ids, largest=largest,
                          logits=flat(logits[::STRIDE]), f32=steps_json(steps), file=steps_json(rough)))
    json.dump(dict(file=path.name, bytes=os.path.getsize(path), system=SYSTEM, stride=STRIDE, cases=cases),
              open(out, "w"), separators=(",", ":"))


if __name__ == "__main__":
    main()
