#!/bin/sh
# Gets Qwen's vocabulary (a file of ranks, 2.5 MB) for the tokenizer tests; the program never needs
# it. Usage: tools/fetch_qwen_vocab.sh FOLDER, then
#   DESKHAND_QWEN_TIKTOKEN=FOLDER/qwen.tiktoken meson test -C build golden/tokenizer
set -eu
folder=${1:?usage: fetch_qwen_vocab.sh FOLDER}
sum=b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --no-deps --dest "$work" dashscope==2.0.2
python3 - "$work" "$folder/qwen.tiktoken" <<'PY'
import glob, sys, zipfile
with zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0]) as z:
    open(sys.argv[2], "wb").write(z.read("dashscope/resources/qwen.tiktoken"))
PY
echo "$sum  $folder/qwen.tiktoken" | sha256sum --check --quiet
echo "$folder/qwen.tiktoken"
