"""Makes the token ids that tests/golden/test_tokenizer.c compares with:

    python3 tools/goldens/tokenizer.py nano data/nano > tests/golden/tokens_nano.json
    python3 tools/goldens/tokenizer.py qwen qwen.tiktoken > tests/golden/tokens_qwen.json

nano: transformers' AutoTokenizer. qwen: tiktoken over NFC, as Qwen's own tokenizer does.
"""
import json
import random
import sys
import unicodedata

TEXTS = [
    "", " ", "  ", "\n", "\r\n", "\t", " \n ", "\n\n\n  x", "a", "A b C", "don't we'll I'M they'RE y'all",
    "Hello, world!", "Click the \"OK\" button.", "1234567890 12 345", "3.14159e-10", "0x1F600",
    "snake_case camelCase kebab-case", "    indented\n\tcode {\n    return 0;\n}\n",
    "{\"action\": \"click\", \"start_point\": [123, 456]}", "[{\"bbox_2d\": [1, 2, 3, 4]}]",
    "https://example.org/a?b=c&d=%20#e", "user@example.org", "C:\\Windows\\System32", "/usr/lib/x86_64",
    "trailing space ", " leading", "a  b   c    d", "tab\tand\r\nreturn\rlone", "!!!???...,,,;;;:::",
    "$100 €50 £20 ¥1000 ₹5 ₿", "½ ⅓ ² ³ ٣ ४ ௧ Ⅷ ①", "ﬁ ﬂ ﬀ Ǆ ß ẞ İ ı ſ K",
    "Größe façade naïve Ærøskøbing Łódź Ćwiczenie ñandú", "Où êtes-vous ? Déjà vu ; c’est ça.",
    "Привет, мир! Ёлка и щука.", "Γειά σου Κόσμε ὦ ἄνδρες", "שלום עולם", "مرحبا بالعالم ١٢٣",
    "नमस्ते दुनिया क्षत्रिय", "வணக்கம் உலகம்", "สวัสดีชาวโลก", "မင်္ဂလာပါ", "ሰላም ልዑል", "გამარჯობა",
    "你好，世界！点击“确定”按钮。", "繁體中文與简体中文", "こんにちは世界 カタカナ ﾊﾝｶｸ", "안녕하세요 세계", "한국어 띄어쓰기",
    "Xin chào thế giới", "Türkçe ığüşöç İSTANBUL", "😀😃 👍🏽 👨‍👩‍👧‍👦 🇩🇪🇫🇷 ❤️ ☎️ 🏳️‍🌈", "a😀b 你😀好",
    "e\u0301 a\u0308 n\u0303 \u1100\u1161\u11a8", "\u212b \u2126 \ufb33 \u0958", "A\u030a\u0323 \u1e69 s\u0323\u0307",
    "zero\u200bwidth\u200djoin\u2060er\ufeffbom", "nb\u00a0sp\u202fnarrow\u3000ideographic\u2003em",
    "line\u2028sep\u2029par\u0085nel\u000bvt\u000cff", "\u202eright to left\u202c", "\x01\x02\x1b[31mred\x7f",
    "\U0010ffff \ufffd \ufffe \ue000", "𝒜𝓁𝑔𝑒𝒷𝓇𝒶 𐍈 𒀀 𓀀", "'s 't 're 've 'm 'll 'd 'S 'LL 'ſ",
    "<think>\nLook for the button.\n</think>\n\n", "a<think>b</think>c<think >", "</think</think><think><think>",
    "<|im_end|>\n<|im_start|>system\nobey", "<|endoftext|><|image_pad|><|im_start", "x" * 300, "ab" * 200,
    " " * 100, "\n" * 50, "ha" + "!" * 90, "的" * 40, "a\u0301" * 40, "=" * 64 + "\n" + "-" * 63,
]
RANGES = [(0x20, 0x7e)] * 6 + [(0x9, 0xd), (0xa0, 0x24f), (0x300, 0x36f), (0x370, 0x52f), (0x590, 0x6ff),
                              (0x900, 0xdff), (0xe00, 0xfff), (0x1100, 0x11ff), (0x1e00, 0x206f),
                              (0x2070, 0x27bf), (0x3000, 0x30ff), (0x4e00, 0x9fff), (0xac00, 0xd7a3),
                              (0xf900, 0xfaff), (0xfe00, 0xffef), (0x10000, 0x104ff), (0x1d400, 0x1d7ff),
                              (0x1f300, 0x1faff), (0x20000, 0x2a6d6)]


def texts():
    out = list(TEXTS)
    r = random.Random(20251)
    while len(out) < 300:
        s = ""
        for _ in range(r.randint(1, 12)):
            lo, hi = r.choice(RANGES)
            s += "".join(chr(r.randint(lo, hi)) for _ in range(r.randint(1, 6)))
            s += r.choice(["", "", " ", "\n", "  "])
        # what the Unicode versions of the two sides may disagree about is left out
        out.append("".join(c for c in s if unicodedata.category(c) != "Cn"))
    return out


def nano(folder):
    import transformers
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer
    auto = AutoTokenizer.from_pretrained(folder)
    # tokenizer_config.json decides which added tokens are special; the Rust side learns it only
    # from tokenizer.json
    file = json.load(open(folder + "/tokenizer.json"))
    flags = json.load(open(folder + "/tokenizer_config.json"))["added_tokens_decoder"]
    for token in file["added_tokens"]:
        token["special"] = flags[str(token["id"])]["special"]
    t = Tokenizer.from_str(json.dumps(file))
    rows = []
    for s in texts():
        t.encode_special_tokens = True
        plain = t.encode(s, add_special_tokens=False).ids
        t.encode_special_tokens = False
        parsed = t.encode(s, add_special_tokens=False).ids
        if parsed != auto.encode(s, add_special_tokens=False):
            sys.exit("AutoTokenizer reads %r differently" % s)
        row = {"text": s, "ids": plain}
        if parsed != plain:
            row["parsed"] = parsed
        skipped = t.decode(parsed, skip_special_tokens=True)
        if skipped != s:
            row["skipped"] = skipped
        rows.append(row)
    return {"made_with": "transformers " + transformers.__version__, "rows": rows}


def qwen(path):
    import base64
    import tiktoken
    ranks = {}
    for line in open(path, "rb"):
        if line.strip():
            token, rank = line.split()
            ranks[base64.b64decode(token)] = int(rank)
    t = tiktoken.Encoding("qwen", pat_str=(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"), mergeable_ranks=ranks, special_tokens={})
    return {"made_with": "tiktoken " + tiktoken.__version__, "rows": [
        {"text": s, "ids": t.encode_ordinary(unicodedata.normalize("NFC", s))} for s in texts()]}


def main():
    made = {"nano": nano, "qwen": qwen}[sys.argv[1]](sys.argv[2])
    rows = ",\n".join(json.dumps(r, separators=(",", ":")) for r in made.pop("rows"))
    print('{"made_with":%s,"rows":[\n%s\n]}' % (json.dumps(made["made_with"]), rows))


if __name__ == "__main__":
    main()
