#!/usr/bin/env python3
"""Makes tests/golden/gguf/: small GGUF files of random weights and what others compute with them.

    python3 tools/goldens/gguf_files.py LLAMA_CPP_SOURCE LLAMA_CPP_BUILD OUTPUT_DIR

types.gguf   one tensor of every type that is read, with gguf-py's dequantisation beside it ("NAME.f32")
vl.gguf, mmproj-vl.gguf
             a Qwen2.5-VL, converted by llama.cpp's own convert_hf_to_gguf.py, Q8_0 and F16
text.gguf    a plain Qwen2, of all the types that llama-quantize writes
expected.json
             for both: token ids (llama.cpp), logits and greedy text (llama.cpp on the file and on its
             dequantised f32 twin; transformers on the dequantised weights, for pictures and a whole text too)

llama.cpp must be built (targets llama, llama-quantize); its source comes inside llama-cpp-python's sdist, whose
llama_cpp package must be importable, as must gguf, transformers==4.57.1 and torch.
"""
import ctypes
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Config,
                          Qwen2ForCausalLM)

import gguf
from gguf import GGMLQuantizationType as Q
from gguf import quants

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
           "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]
N_BASE = 320  # bytes and merges
N_TOKENS = N_BASE + len(SPECIAL)
N_VOCAB = 352
END, START, STOP, SEE, SEEN, _, IMAGE, VIDEO = range(N_BASE, N_TOKENS)
EPS = 1e-5
CERTAIN = 0.001  # a greedy step counts when the two best logits are further apart, of the largest
N_GREEDY = 64
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+"
           r"[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

ANSWER = "It is [12, 34, 56, 78], the button."
PROMPTS = ["Hello", "The quick brown fox jumps over the lazy dog.", "1 + 1 =", "Click the OK button.",
           "Où est la bibliothèque ?", "def main():\n    return 0\n", "  two  spaces  ", "a\r\nb\n\nc",
           "你好，世界", "Привет", "don't WE'LL I'm", "x" * 40, "🙂🙃", "[{\"action\": \"click\"}]",
           "Tab\tand newline\n", "Zürich Straße", "3.14159", "hello hello hello", "The end",
           "Set the city to London and press the button."]


def write_tokenizer(out):
    """Byte-level BPE of a few merges, in the shape of Qwen2's."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(__import__("tokenizers").Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    corpus = [p for p in PROMPTS] * 3 + ["the button then this that there other", "press click and"]
    t.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=N_BASE, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False))
    assert t.get_vocab_size() == N_BASE
    t.add_special_tokens(SPECIAL)
    t.save(str(out / "tokenizer.json"))
    json.dump({"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "bos_token": None,
               "pad_token": "<|endoftext|>", "unk_token": None, "add_prefix_space": False,
               "clean_up_tokenization_spaces": False, "model_max_length": 4096,
               "added_tokens_decoder": {str(N_BASE + i): {"content": s, "special": True, "lstrip": False,
                                                          "rstrip": False, "normalized": False,
                                                          "single_word": False}
                                        for i, s in enumerate(SPECIAL)}},
              open(out / "tokenizer_config.json", "w"))


def vl_config():
    return dict(
        architectures=["Qwen2_5_VLForConditionalGeneration"], model_type="qwen2_5_vl",
        image_token_id=IMAGE, video_token_id=VIDEO, vision_start_token_id=SEE,
        vision_end_token_id=SEEN, tie_word_embeddings=False, hidden_size=128,
        intermediate_size=256, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        hidden_act="silu", max_position_embeddings=4096, rms_norm_eps=EPS, rope_theta=640000.0,
        rope_scaling=dict(type="mrope", mrope_section=[8, 12, 12]), vocab_size=N_VOCAB,
        use_sliding_window=False, eos_token_id=STOP, bos_token_id=END,
        vision_config=dict(
            model_type="qwen2_5_vl", depth=3, hidden_size=64, intermediate_size=96, num_heads=2,
            hidden_act="silu", in_channels=3, in_chans=3, out_hidden_size=128, patch_size=14,
            spatial_patch_size=14, spatial_merge_size=2, temporal_patch_size=2, window_size=112,
            fullatt_block_indexes=[2], tokens_per_second=2))


def text_config():
    return dict(
        architectures=["Qwen2ForCausalLM"], model_type="qwen2", hidden_size=256,
        intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1,
        hidden_act="silu", max_position_embeddings=2048, rms_norm_eps=1e-6, rope_theta=10000.0,
        vocab_size=N_VOCAB, use_sliding_window=False, eos_token_id=STOP, bos_token_id=END,
        tie_word_embeddings=True)


def randomise(model, seed):
    """Weights that make every part of the network matter."""
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        scale = 0.3 if p.ndim == 1 else 1.6 / p.shape[-1] ** 0.5 if "embed_tokens" not in name else 0.5
        w = torch.randn(p.shape, generator=g) * scale
        if p.ndim == 1 and "weight" in name:
            w = 1 + w
        if "patch_embed" in name or "visual" in name and ("attn.proj" in name or "down_proj" in name):
            w = w * 0.01  # small values before the norms, so that their epsilon shows
        p.data.copy_(w)


def write_checkpoint(out, model, config):
    out.mkdir()
    write_tokenizer(out)
    json.dump(config, open(out / "config.json", "w"))
    json.dump({"eos_token_id": [STOP, END]}, open(out / "generation_config.json", "w"))
    json.dump(dict(image_processor_type="Qwen2VLImageProcessor", patch_size=14, merge_size=2, temporal_patch_size=2,
                   min_pixels=3136, max_pixels=100352, image_mean=[0.48145466, 0.4578275, 0.40821073],
                   image_std=[0.26862954, 0.26130258, 0.27577711]),
              open(out / "preprocessor_config.json", "w"))
    state = {k.replace("model.language_model.", "model.").replace("model.visual.", "visual."):
             v.contiguous() for k, v in model.state_dict().items()
             if not (k == "lm_head.weight" and config.get("tie_word_embeddings"))}
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})


def convert(source, folder, out, *options):
    """llama.cpp's own converter; only the hash by which it knows a tokenizer is answered for it."""
    code = ("import sys; sys.path.insert(0, %r); sys.path.insert(0, %r + '/gguf-py'); "
            "import convert_hf_to_gguf as c; from conversion import base; "
            "base.TextModel.get_vocab_base_pre = lambda *a: 'qwen2'; c.main()" % (source, source))
    subprocess.run([sys.executable, "-c", code, str(folder), "--outfile", str(out), *options],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL if not os.environ.get("LOUD") else None, cwd=source)


def dequantised(path):
    """Every tensor in f32, in numpy's order of dimensions."""
    r = gguf.GGUFReader(path)
    return {t.name: np.array(quants.dequantize(t.data, t.tensor_type), dtype=np.float32).reshape(
        list(reversed(t.shape.tolist()))) for t in r.tensors}


def copy_values(r, w, name_of=lambda key: key, other={}):
    """The metadata of a file, under other names (None: not at all) and with other values where they are given."""
    for f in r.fields.values():
        if f.name == "general.architecture" or f.name.startswith("GGUF.") or not name_of(f.name):
            continue
        kind = f.types[0]
        w.add_key_value(name_of(f.name), other.get(f.name, f.contents()), kind,
                        sub_type=f.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)


def twin(path, out):
    """The same file with every tensor in f32."""
    r = gguf.GGUFReader(path)
    w = gguf.GGUFWriter(out, r.fields["general.architecture"].contents())
    copy_values(r, w)
    for name, data in dequantised(path).items():
        w.add_tensor(name, data)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


HF = [("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("attn_norm", "input_layernorm"),
      ("ffn_norm", "post_attention_layernorm"), ("attn_output", "self_attn.o_proj"),
      ("attn_q", "self_attn.q_proj"), ("attn_k", "self_attn.k_proj"), ("attn_v", "self_attn.v_proj"),
      ("ffn_gate", "mlp.gate_proj"), ("ffn_up", "mlp.up_proj"), ("ffn_down", "mlp.down_proj")]
VISION = [("attn_out", "attn.proj"), ("ln1", "norm1"), ("ln2", "norm2"), ("ffn_gate", "mlp.gate_proj"),
          ("ffn_up", "mlp.up_proj"), ("ffn_down", "mlp.down_proj")]


def hf_state(text, vision=None):
    """Back to Hugging Face's names, from the files' own values."""
    state = {}
    for name, w in text.items():
        name = "lm_head.weight" if name == "output.weight" else name
        name = name.replace("blk.", "model.layers.")
        for a, b in HF:
            name = name.replace(a + ".", b + ".")
        state[name] = torch.from_numpy(w)
    for name, w in (vision or {}).items():
        if ".attn_q." in name:
            w = np.concatenate([w, vision[name.replace("attn_q", "attn_k")],
                                vision[name.replace("attn_q", "attn_v")]])
            name = name.replace("attn_q", "attn.qkv")
        if ".attn_k." in name or ".attn_v." in name or name == "v.patch_embd.weight.1":
            continue
        if name == "v.patch_embd.weight":
            w = np.stack([w, vision["v.patch_embd.weight.1"]], axis=2)
            name = "visual.patch_embed.proj.weight"
        for a, b in [("v.blk.", "visual.blocks."), ("v.post_ln.", "visual.merger.ln_q."),
                     ("mm.", "visual.merger.mlp.")]:
            name = name.replace(a, b) if name.startswith(a) else name
        for a, b in VISION:
            name = name.replace("." + a + ".", "." + b + ".")
        state[name] = torch.from_numpy(np.ascontiguousarray(w))
    return state


def write_types(path):
    """Random blocks, the floats among them harmless, and their values after gguf-py."""
    rng = np.random.default_rng(7)
    w = gguf.GGUFWriter(path, "types")
    halves = {Q.Q8_0: [0], Q.Q4_0: [0], Q.Q4_1: [0, 2], Q.Q5_0: [0], Q.Q5_1: [0, 2], Q.Q2_K: [80, 82],
              Q.Q3_K: [108], Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208]}
    for t, at in halves.items():
        values, size = gguf.GGML_QUANT_SIZES[t]
        n = 1024 // values
        raw = rng.integers(0, 256, (n, size), dtype=np.uint8)
        for k in at:
            raw[:, k:k + 2] = (rng.standard_normal(n) / 50).astype("<f2").view(np.uint8).reshape(n, 2)
        raw = raw.reshape(2, -1)
        w.add_tensor(t.name.lower(), raw, raw_dtype=t)
        w.add_tensor(t.name.lower() + ".f32", quants.dequantize(raw, t).astype(np.float32))
    x = rng.standard_normal((3, 40)).astype(np.float32)
    x[0, :4] = [0, -0.0, 1e-7, 65504]
    w.add_tensor("f32", x)
    w.add_tensor("f32.f32", x)
    w.add_tensor("f16", x.astype(np.float16))
    w.add_tensor("f16.f32", x.astype(np.float16).astype(np.float32))
    b = quants.quantize(x, Q.BF16)
    w.add_tensor("bf16", b, raw_dtype=Q.BF16)
    w.add_tensor("bf16.f32", quants.dequantize(b, Q.BF16).astype(np.float32))
    # What a quantiser of ours is held against.
    x = rng.standard_normal((4, 256)).astype(np.float32) * np.array([[1], [30], [0.01], [0]], np.float32)
    x[3] = 0  # not -0, of which numpy's min and max are free to choose
    w.add_tensor("plain.f32", x)
    for t in [Q.F16, Q.BF16, Q.Q8_0, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1]:
        w.add_tensor("plain." + t.name.lower(), quants.quantize(x, t), raw_dtype=t)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


class Llama:
    """What is needed of llama.cpp, through the bindings of llama-cpp-python."""

    def __init__(self, path, n_tokens=N_TOKENS, ends=(STOP, END), n_threads=1):
        import llama_cpp as l
        self.l, self.n_tokens, self.ends, self.n_threads = l, n_tokens, ends, n_threads
        l.llama_backend_init()
        p = l.llama_model_default_params()
        p.n_gpu_layers = 0
        self.model = l.llama_load_model_from_file(str(path).encode(), p)
        assert self.model, path
        self.vocab = l.llama_model_get_vocab(self.model)

    def tokenize(self, text):
        raw = text.encode()
        buf = (self.l.llama_token * (len(raw) + 8))()
        n = self.l.llama_tokenize(self.vocab, raw, len(raw), buf, len(buf), False, True)
        assert n >= 0
        return list(buf[:n])

    def logits(self, ids, n_greedy):
        """Logits behind the prompt, and (id, margin) of greedy steps."""
        l = self.l
        p = l.llama_context_default_params()
        p.n_ctx, p.n_batch = 512, 512
        p.n_threads = p.n_threads_batch = self.n_threads
        p.type_k = p.type_v = 0  # f32
        p.flash_attn_type = 0
        ctx = l.llama_new_context_with_model(self.model, p)
        out, steps, feed = None, [], list(ids)
        n_vocab = l.llama_vocab_n_tokens(self.vocab)
        for _ in range(n_greedy + 1):
            arr = (l.llama_token * len(feed))(*feed)
            assert l.llama_decode(ctx, l.llama_batch_get_one(arr, len(feed))) == 0
            x = np.ctypeslib.as_array(l.llama_get_logits_ith(ctx, -1), (n_vocab,)).copy()
            out = x.copy() if out is None else out
            x[self.n_tokens:] = -np.inf
            a, b = np.sort(x)[-2:]
            best = int(x.argmax())
            steps.append((best, float(b - a)))
            if best in self.ends:
                break
            feed = [best]
        l.llama_free(ctx)
        return out, steps[:n_greedy]


def certain(steps, largest):
    ids = []
    for best, margin in steps:
        if margin < CERTAIN * largest:
            break
        ids.append(best)
    return ids


def rows(n, columns, salt):
    """The formula of test_gguf.c."""
    i = np.arange(n * columns, dtype=np.int64)
    return torch.from_numpy(((i * 7919 + salt * 104729) % 1009 / 504.0 - 1.0).astype(np.float32)
                            .reshape(n, columns))


def flat(t):
    return [float(f"{v:.7g}") for v in np.asarray(t, dtype=np.float64).flatten()]


def text_cases(path, f32_path, model):
    own, f32 = Llama(path), Llama(f32_path)
    cases = []
    for p in PROMPTS:
        ids = own.tokenize(p)
        exact, steps = f32.logits(ids, N_GREEDY)
        rough, _ = own.logits(ids, 0)
        with torch.no_grad():
            hf = model(input_ids=torch.tensor([ids])).logits[0, -1].numpy()
        largest = float(np.abs(exact).max())
        print("%-20.20r %3d tokens; largest %.3f; transformers off %.2g, the file itself %.2g; certain %d"
              % (p, len(ids), largest, np.abs(hf - exact).max() / largest,
                 np.abs(rough - exact).max() / largest, len(certain(steps, largest))), file=sys.stderr)
        cases.append(dict(prompt=p, ids=ids, logits=flat(exact), rough=flat(rough[::8]), largest=largest,
                          greedy=certain(steps, largest)))
    return cases


def picture_case(model):
    columns = 3 * 14 * 14
    a = rows(10 * 12, columns, 1)
    still = a.view(-1, 3, 1, 196).expand(-1, 3, 2, 196).reshape(len(a), -1)
    grid = torch.tensor([[1, 10, 12]])
    text = lambda s: list(s.encode())
    with torch.no_grad():
        features = model.model.visual(still, grid_thw=grid)
    return dict(grid=[10, 12], features=flat(features), largest=float(features.abs().max())), still, grid


def score_case(model, llama, still, grid):
    """The logarithms of the probabilities of an answer's tokens and of the end of its turn."""
    ids = llama.tokenize("<|im_start|>system\nYou are MiMo, an AI assistant developed by Xiaomi.<|im_end|>\n"
                         "<|im_start|>user\n<|vision_start|>") + [IMAGE] * 30
    ids += llama.tokenize("<|vision_end|>What is it?<|im_end|>\n<|im_start|>assistant\n")
    answer = llama.tokenize(ANSWER + "<|im_end|>")
    x = torch.tensor([ids + answer])
    with torch.no_grad():
        logits = model(input_ids=x, pixel_values=still, image_grid_thw=grid,
                       attention_mask=torch.ones_like(x)).logits[0].double()
    p = torch.log_softmax(logits[len(ids) - 1:-1], -1)
    return dict(answer=ANSWER, ids=answer, logprobs=flat([p[i, t] for i, t in enumerate(answer)]))


def text_loss(model, llama):
    """Of the text of test_gguf.c, the way llama-perplexity counts: the second half of each 512 tokens."""
    ids = llama.tokenize("".join("The quick brown fox jumps over %d lazy dogs.\n" % i for i in range(120)))
    loss = []
    for at in range(0, len(ids) - 511, 512):
        x = torch.tensor(ids[at:at + 512])
        with torch.no_grad():
            p = torch.log_softmax(model(input_ids=x[None]).logits[0].double(), -1)
        loss += [-float(p[i - 1, x[i]]) for i in range(257, 512)]
    return sum(loss) / len(loss)


def main():
    source, build, out = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    write_types(out / "types.gguf")
    quantize = build / "bin" / "llama-quantize"
    run = lambda *a: subprocess.run([str(x) for x in a], check=True, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        vl = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**vl_config())).float().eval()
        randomise(vl, 1)
        write_checkpoint(tmp / "vl", vl, vl_config())
        convert(source, tmp / "vl", tmp / "vl.gguf", "--outtype", "f32")
        convert(source, tmp / "vl", out / "mmproj-vl.gguf", "--outtype", "f16", "--mmproj")
        run(quantize, tmp / "vl.gguf", out / "vl.gguf", "Q8_0", 1)

        text = Qwen2ForCausalLM(Qwen2Config(**text_config())).float().eval()
        randomise(text, 2)
        write_checkpoint(tmp / "text", text, text_config())
        convert(source, tmp / "text", tmp / "text.gguf", "--outtype", "f32")
        types = {"blk.0.attn_q": "q2_k", "blk.0.attn_k": "q3_k", "blk.0.attn_v": "q4_k",
                 "blk.0.attn_output": "q5_k", "blk.0.ffn_gate": "q6_k", "blk.0.ffn_up": "q4_0",
                 "blk.0.ffn_down": "q4_1", "blk.1.attn_q": "q5_0", "blk.1.attn_k": "q5_1",
                 "blk.1.attn_v": "q8_0", "blk.1.attn_output": "bf16", "blk.1.ffn_gate": "f16"}
        options = [x for k, v in types.items() for x in ("--tensor-type", k + "=" + v)]
        run(quantize, *options, "--token-embedding-type", "q6_k", tmp / "text.gguf", out / "text.gguf",
            "Q4_K_M", 1)

        twin(out / "vl.gguf", tmp / "vl32.gguf")
        twin(out / "text.gguf", tmp / "text32.gguf")
        vl_own = hf_state(dequantised(out / "vl.gguf"), dequantised(out / "mmproj-vl.gguf"))
        state = {(k if k == "lm_head.weight" else k.replace("model.", "model.language_model.", 1)
                  if k.startswith("model.") else "model." + k): v for k, v in vl_own.items()}
        vl.load_state_dict(state)
        text.load_state_dict(hf_state(dequantised(out / "text.gguf")), strict=False)
        picture, still, grid = picture_case(vl)
        l = Llama(out / "vl.gguf")
        ids = l.tokenize("<|im_start|>user\n<|vision_start|>") + [IMAGE] * 30
        ids += l.tokenize("<|vision_end|>What is it?<|im_end|>\n<|im_start|>assistant\n")
        x = torch.tensor([ids])
        with torch.no_grad():
            picture["logits"] = flat(vl(input_ids=x, pixel_values=still, image_grid_thw=grid,
                                        attention_mask=torch.ones_like(x)).logits[0, -1])
        picture["ids"] = ids
        score = score_case(vl, l, still, grid)
        expected = dict(score=score, text_loss=text_loss(text, Llama(out / "text.gguf")), vl=text_cases(out / "vl.gguf", tmp / "vl32.gguf", vl),
                        text=text_cases(out / "text.gguf", tmp / "text32.gguf", text), picture=picture)
        json.dump(expected, open(out / "expected.json", "w"), separators=(",", ":"))


if __name__ == "__main__":
    main()
