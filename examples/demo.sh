#!/bin/sh
# examples/demo.sh BUILD [OUT]: the main job on a real program. A stock `zenity --forms` dialog is
# filled from one sentence by the shipped model and submitted; what zenity prints is compared with
# what was asked for. OUT (default: demo-out) gets the pictures of every step and the step log.
set -u
build="$1"
out="${2:-demo-out}"
goal="Fill in the form: First name Ada, Last name Lovelace, City London, then press OK"
want="Ada|Lovelace|London"
rm -rf "$out"
mkdir -p "$out"
tmp="$(mktemp -d)"
pids=""
trap 'for p in $pids; do kill "$p" 2>/dev/null; done; rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM

export XDG_RUNTIME_DIR="$tmp/run" XDG_STATE_HOME="$tmp/state" XDG_CONFIG_HOME="$tmp/config"
mkdir -p "$XDG_RUNTIME_DIR" "$XDG_CONFIG_HOME"
chmod 700 "$XDG_RUNTIME_DIR"

if [ -z "${DISPLAY:-}" ] || [ -n "${DEMO_XVFB:-}" ]; then
    # -displayfd lets the server choose a free number and tells when it is ready
    mkfifo "$tmp/display"
    Xvfb -displayfd 3 -screen 0 "${DEMO_SIZE:-640x480}x24" -nolisten tcp 3>"$tmp/display" \
        2>"$tmp/xvfb.log" &
    pids="$pids $!"
    read -r n <"$tmp/display"
    DISPLAY=":$n"
    export DISPLAY
    openbox >"$tmp/openbox.log" 2>&1 &
    pids="$pids $!"
fi

export NO_AT_BRIDGE=1 GTK_THEME=Adwaita
zenity --forms --title "New contact" --text "Enter the contact" \
    --add-entry "First name" --add-entry "Last name" --add-entry "City" >"$tmp/zenity.out" &
zenity=$!
pids="$pids $zenity"
for i in $(seq 100); do
    xdotool search --name "New contact" >/dev/null 2>&1 && break
    sleep 0.1
done

echo "goal: $goal"
"$build/client/deskhand" do "$goal" --max-steps 10
code=$?
"$build/client/deskhand" show 1 >"$out/steps.txt" 2>&1
cp "$tmp"/state/deskhand/task/1/*.png "$out/" 2>/dev/null
"$build/client/deskhand" shot "$out/end.png" >/dev/null 2>&1

got=""
for i in $(seq 30); do
    kill -0 "$zenity" 2>/dev/null || break
    sleep 0.1
done
got="$(cat "$tmp/zenity.out")"
"$build/client/deskhand" shutdown >/dev/null 2>&1
echo "zenity printed: ${got:-(nothing)}"
echo "expected:       $want"
echo "pictures and step log: $out/"
[ "$got" = "$want" ] && [ "$code" = 0 ] && echo "demo: the main job is done" && exit 0
echo "demo: the model missed (deskhand do ended with $code)"
exit 1
