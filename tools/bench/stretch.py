#!/usr/bin/env python3
"""Makes a GGUF file of MiMo-VL-7B's whole size from one of few layers, for timing and memory only.

    python3 tools/bench/stretch.py IN.gguf OUT.gguf LAYERS [WORDS]

Layers are repeated in turn, and with WORDS the rows of the embedding and the head too, so any type of weights
goes through as it is. 36 and 151680 for the language model, 32 for the vision tower (mmproj).
"""
import re
import sys

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter

SKIP = "GGUF.", "general.architecture"


def main():
    source, out, n_layers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    n_words = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    r = GGUFReader(source)
    w = GGUFWriter(out, r.fields["general.architecture"].contents())
    for key, field in r.fields.items():
        if key.startswith(SKIP):
            continue
        value = field.contents()
        if key.endswith("block_count"):
            value = n_layers
        elif key == "tokenizer.ggml.tokens" and n_words:
            value = value + ["<|unused_%d|>" % i for i in range(len(value), n_words)]
        elif key == "tokenizer.ggml.token_type" and n_words:
            value = value + [5] * (n_words - len(value))  # unused
        elif key.endswith("vocab_size") and n_words:
            value = n_words
        sub = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        w.add_key_value(key, value, field.types[0], sub_type=sub)
    tensors = {t.name: t for t in r.tensors}
    block = re.compile(r"(v\.)?blk\.(\d+)\.")
    few = 1 + max(int(m.group(2)) for m in map(block.match, tensors) if m)
    plan = [(n, t) for n, t in tensors.items() if not block.match(n)]
    for i in range(n_layers):
        own = [(n, t) for n, t in tensors.items() if block.match(n) and int(block.match(n).group(2)) == i % few]
        plan += [(n.replace("blk.%d." % (i % few), "blk.%d." % i), t) for n, t in own]
    data = []
    for name, t in plan:
        d = t.data
        if n_words and name in ("token_embd.weight", "output.weight"):
            d = np.resize(d, (n_words,) + d.shape[1:])
        data.append(d)
        w.add_tensor_info(name, d.shape, d.dtype, d.nbytes, t.tensor_type if d.dtype == np.uint8 else None)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    for d in data:
        w.write_tensor_data(d)
    w.close()


if __name__ == "__main__":
    main()
