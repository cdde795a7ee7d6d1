#!/bin/sh
# examples/demo.sh BUILD [OUT]: the main job on a real program. A stock `zenity --forms` dialog is
# filled from one sentence by the shipped model and submitted; what zenity prints is compared with
# what was asked for. OUT (default: demo-out) gets the pictures of every step and the step log.
# Runs on its own Xvfb unless DEMO_HERE=1 asks for the present display.
set -u
build="$1"
out="${2:-demo-out}"
. "$(dirname "$0")/desk.sh"
goal="${DEMO_GOAL:-Fill in the form: First name Ada, Last name Lovelace, City London, then press OK}"
want="${DEMO_WANT:-Ada|Lovelace|London}"
rm -rf "$out"
mkdir -p "$out"

if [ -n "${DEMO_HERE:-}" ] && [ -n "${DISPLAY:-}" ]; then
    desk_tmp="$(mktemp -d)"
    trap desk_end EXIT
    export XDG_STATE_HOME="$desk_tmp/state" XDG_RUNTIME_DIR="$desk_tmp/run" # a daemon of its own
    mkdir -m 700 "$XDG_RUNTIME_DIR"
else
    desk_begin "${DEMO_SIZE:-448x336}"
fi
deskhand="$build/client/deskhand"

zenity --forms --title "New contact" --text "Enter the contact" --add-entry "First name" \
    --add-entry "Last name" --add-entry "City" >"$desk_tmp/zenity.out" 2>/dev/null &
zenity=$!
desk_pids="$zenity $desk_pids"
desk_window "New contact" || exit 1

echo "goal: $goal"
"$deskhand" do "$goal" --max-steps 12
code=$?
"$deskhand" show 1 >"$out/steps.txt" 2>&1
cp "$desk_tmp"/state/deskhand/task/1/*.png "$out/" 2>/dev/null
"$deskhand" shot "$out/end.png" >/dev/null 2>&1
"$deskhand" shutdown >/dev/null 2>&1

for _ in $(seq 20); do
    kill -0 "$zenity" 2>/dev/null || break
    sleep 0.1
done
got="$(cat "$desk_tmp/zenity.out")"
echo "zenity printed: ${got:-(nothing)}"
echo "expected:       $want"
echo "pictures and step log: $out/"
if [ "$got" = "$want" ]; then
    echo "demo: the main job is done"
    exit 0
fi
echo "demo: the model missed (deskhand do ended with $code)"
exit 1
