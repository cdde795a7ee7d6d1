#!/bin/sh
# tests/apps/adapters.sh BUILD SOURCE: one daemon with two LoRA adapters. Questions that name them, and
# some that name none, are asked one after the other and then all at once: each answer is the same
# both times, and the three kinds differ. A name that is not loaded is refused with those that are.
set -u
build="$1" source="$2"
. "$source/examples/desk.sh"
deskhand="$build/client/deskhand" deskhandd="$build/serve/deskhandd"
failed=0

for tool in Xvfb openbox xprop; do
    command -v "$tool" >/dev/null || { echo "SKIP: $tool is not installed"; exit 77; }
done

fail() {
    echo "FAIL: $*"
    failed=1
}

# ask NAME FILE: NAME "none" names no adapter
ask() {
    if [ "$1" = none ]; then
        timeout 60 "$deskhand" ask --no-start "What is this?" >"$2" 2>&1
    else
        timeout 60 "$deskhand" ask --no-start --adapter "$1" "What is this?" >"$2" 2>&1
    fi || fail "asking with $1: $(cat "$2")"
}

desk_begin 448x336 || exit 1
lora="$source/tests/golden/lora"
desk_run "$deskhandd" --port 0 --threads 2 --together 4 --model "$source/tests/golden/tiny" \
    --adapter "one=$lora/text" --adapter "two=$lora/wide" 2>"$desk_tmp/daemon.log"
for _ in $(seq 300); do
    [ -s "$XDG_RUNTIME_DIR/deskhand/daemon.json" ] && break
    sleep 0.1
done

for name in none one two; do
    ask "$name" "$desk_tmp/$name.alone"
    [ -s "$desk_tmp/$name.alone" ] || fail "no answer with $name"
done
cmp -s "$desk_tmp/one.alone" "$desk_tmp/two.alone" && fail "two adapters give one answer"
cmp -s "$desk_tmp/one.alone" "$desk_tmp/none.alone" && fail "the first adapter changes nothing"
cmp -s "$desk_tmp/two.alone" "$desk_tmp/none.alone" && fail "the second adapter changes nothing"

asking=""
for i in 1 2; do
    for name in one two none; do
        ask "$name" "$desk_tmp/$name.$i" &
        asking="$asking $!"
    done
done
wait $asking # and not for the desktop
for i in 1 2; do
    for name in one two none; do
        cmp -s "$desk_tmp/$name.$i" "$desk_tmp/$name.alone" ||
            fail "$name among others says: $(cat "$desk_tmp/$name.$i")"
    done
done

said="$("$deskhand" ask --no-start --adapter three "What is this?" 2>&1)" &&
    fail "an adapter that is not loaded is taken"
case "$said" in
*'"three"'*"loaded: one, two"*) ;;
*) fail "an adapter that is not loaded: $said" ;;
esac
"$deskhand" shutdown >/dev/null 2>&1 || fail "the daemon did not take its leave: $(cat "$desk_tmp/daemon.log")"
[ "$failed" = 0 ] && echo "ok: six questions at once, answered as alone"
exit "$failed"
