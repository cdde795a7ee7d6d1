#!/bin/sh
# Makes every golden again. Usage: tools/goldens/make.sh [PYTHON [qwen.tiktoken]]
# PYTHON needs transformers==4.57.1, torch, pillow and, for the second argument, tiktoken
# (tools/fetch_qwen_vocab.sh gets the file). About four minutes on two cores.
set -eu
cd "$(dirname "$0")/../.."
python=${1:-python3}
made=$(mktemp)
trap 'rm -f "$made"' EXIT

# A golden is replaced only by a complete one.
make()
{
    target=$1
    shift
    echo "$target" >&2
    "$python" -B -W ignore "$@" >"$made"
    cat "$made" >"$target"
}

make tests/golden/tokens_nano.json tools/goldens/tokenizer.py nano data/nano
[ $# -lt 2 ] || make tests/golden/tokens_qwen.json tools/goldens/tokenizer.py qwen "$2"
make tests/unit/vision/golden_resize.h tools/goldens/resize.py
make tests/unit/vision/golden_video.h tools/goldens/video.py # needs qwen_vl_utils==0.0.14
echo tests/golden/tiny >&2
"$python" -B -W ignore tools/goldens/tiny.py tests/golden/tiny
echo tests/golden/lora >&2 # needs peft==0.17.1
"$python" -B -W ignore tools/goldens/lora.py tests/golden/tiny tests/golden/lora
make tests/golden/inputs.json tools/goldens/inputs.py tests/golden/tiny
make tests/golden/model.json tools/goldens/model.py data/nano
