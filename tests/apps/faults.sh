#!/bin/sh
# tests/apps/faults.sh BUILD SOURCE: what breaks around a running daemon, each with one clear
# sentence and nothing lost: the X server dies in the middle of a task and comes back, a second
# daemon, a model folder that is none, a policy that says no.
set -u
build="$1" source="$2"
. "$source/examples/desk.sh"
export DESKHAND_MODEL="$source/data/nano"
deskhand="$build/client/deskhand" deskhandd="$build/serve/deskhandd"
failed=0

for tool in Xvfb openbox xdotool xterm; do
    command -v "$tool" >/dev/null || { echo "SKIP: $tool is not installed"; exit 77; }
done

# expect NAME CODE PATTERN COMMAND...: the exit code and a sentence in what it prints
expect() {
    name="$1" code="$2" pattern="$3"
    shift 3
    out="$("$@" 2>&1)"
    got=$?
    if [ "$got" = "$code" ] && echo "$out" | grep -q "$pattern"; then
        echo "ok: $name"
    else
        echo "FAIL: $name: exit $got (wanted $code), '$pattern' not found in:"
        echo "$out"
        failed=1
    fi
}

# until_true SECONDS COMMAND...: waits for a condition, not for a time
until_true() {
    n=$(($1 * 10))
    shift
    while [ "$n" -gt 0 ]; do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
        n=$((n - 1))
    done
    return 1
}

desk_begin 448x336
number="${DISPLAY#:}"
xvfb="${desk_pids##* }"

mkdir "$desk_tmp/empty"
expect "a folder that is no model" 3 "cannot open $desk_tmp/empty/" \
    "$deskhand" do "Click OK" --model "$desk_tmp/empty"

cp -r "$source/data/nano" "$desk_tmp/short"
chmod -R u+w "$desk_tmp/short"
truncate -s 1000000 "$desk_tmp/short/model.safetensors"
expect "a truncated checkpoint" 3 "truncated" "$deskhand" do "Click OK" --model "$desk_tmp/short"

# keys that change nothing: a policy file decides before anything is sent
mkdir -p "$XDG_CONFIG_HOME/deskhand"
cat >"$XDG_CONFIG_HOME/deskhand/policies.yaml" <<'Y'
default: deny
Y
desk_run xterm -fa DejaVuSansMono -title Shell -e sh
desk_window Shell
expect "a policy that denies everything" 4 "refused" "$deskhand" do "Press Enter" --max-steps 5
"$deskhand" shutdown >/dev/null 2>&1
rm "$XDG_CONFIG_HOME/deskhand/policies.yaml"

expect "the daemon starts by itself" 0 "" "$deskhand" shot "$desk_tmp/a.png"
expect "a second daemon" 3 "running already: process" "$deskhandd" --port 0
cp "$XDG_RUNTIME_DIR/deskhand/daemon.json" "$desk_tmp/daemon.json"

# the display dies while a task waits for the model or the screen
(
    "$deskhand" do "Type hello and press Enter" --max-steps 30 >"$desk_tmp/do.log" 2>&1
    echo $? >"$desk_tmp/do.code"
) &
until_true 10 grep -q . "$desk_tmp/do.log"
kill -9 "$xvfb"
until_true 20 test -s "$desk_tmp/do.code" || { echo "FAIL: the task did not end"; failed=1; }
code="$(cat "$desk_tmp/do.code" 2>/dev/null)"
case "$code" in
3) echo "ok: the task ended with the display's death" ;;
0) echo "ok: the task was done before the display died" ;;
*)
    echo "FAIL: deskhand do ended with '$code' after the display died:"
    cat "$desk_tmp/do.log"
    failed=1
    ;;
esac
expect "the daemon lives without a display" 0 "" "$deskhand" status
expect "a screenshot says why there is none" 3 "not available" "$deskhand" shot "$desk_tmp/b.png"

rm -f "/tmp/.X$number-lock" "/tmp/.X11-unix/X$number"
desk_run Xvfb ":$number" -screen 0 448x336x24 -nolisten tcp 2>"$desk_tmp/xvfb2.log"
until_true 15 "$deskhand" shot "$desk_tmp/c.png" || { echo "FAIL: no reconnect in 15 s"; failed=1; }
[ -s "$desk_tmp/c.png" ] && echo "ok: the display came back"

cmp -s "$desk_tmp/daemon.json" "$XDG_RUNTIME_DIR/deskhand/daemon.json" ||
    { echo "FAIL: it is another daemon than before"; failed=1; }

expect "shutdown" 0 "" "$deskhand" shutdown
until_true 10 test ! -e "$XDG_RUNTIME_DIR/deskhand/daemon.json" ||
    { echo "FAIL: daemon.json is left behind"; failed=1; }
exit "$failed"
