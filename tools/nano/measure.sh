#!/bin/sh
# Everything that data/nano/SKILL.md says:  sh measure.sh CHECKPOINT BEFORE WINDOWS BUILD OUT
# CHECKPOINT and BEFORE are Hugging Face folders, WINDOWS is the generators', BUILD has the programs.  Then
#     python skill.py OUT "the weights of 0123abc" > ../../data/nano/SKILL.md
# PYTHON needs PyTorch and, for check_hf.py, transformers.  The screens need DISPLAY's 79 to be free.
set -e
new=$1 before=$2 windows=$3 build=$4 out=$5
here=$(dirname "$0") py=${PYTHON:-python3}
mkdir -p "$out"
"$build/client/deskhand" eval "$here/../../tests/eval" --json --model "$new" >"$out/heldout.json"
"$build/client/deskhand" eval "$here/../../tests/eval" --json --looks 1 --model "$new" >"$out/one_look.json"
"$build/client/deskhand" eval "$here/../../tests/eval" --json --model "$before" >"$out/before.json"
"$py" "$here/evaluate.py" "$new" --real "$windows" --n 40 --zenity 20 >"$out/448.txt"
"$py" "$here/evaluate.py" "$new" --n 0 --zenity 20 --seed 777 >"$out/777.txt"
"$py" "$here/evaluate.py" "$new" --real "$windows" --n 16 --zenity 8 --size 644x476 --screen 640x480 --drawn 0 \
    >"$out/640.txt"
for seed in 4242 777; do
    "$py" "$here/evaluate.py" "$before" --n 0 --zenity 20 --seed $seed >"$out/before_$seed.txt"
done
"$py" "$here/evaluate.py" "$before" --n 0 --zenity 8 --screen 640x480 >"$out/before_640.txt"
"$py" "$here/check_hf.py" "$new" >"$out/hf.txt"
cat "$out/hf.txt"
