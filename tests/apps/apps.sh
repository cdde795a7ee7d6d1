#!/bin/sh
# tests/apps/apps.sh BUILD SOURCE CASE: one sentence, one real program, its own output as the judge.
#
# Exit 0: the machinery worked, and the line "HIT case" or "MISS case: ..." says whether the model
# did the task; a miss is the model's, printed with what it answered, and counted in the README's
# table. Exit 1: the machinery failed (no daemon, no steps, a crash). Exit 77: the program is not
# installed.
set -u
build="$1" source="$2" case="$3"
. "$source/examples/desk.sh"
export DESKHAND_MODEL="${DESKHAND_MODEL:-$source/data/nano}"
deskhand="$build/client/deskhand"

need() { command -v "$1" >/dev/null 2>&1 || { echo "SKIP $case: $1 is not installed"; exit 77; }; }
need Xvfb
need openbox
need xdotool
[ -x "$deskhand" ] || { echo "no $deskhand"; exit 1; }

# Each case sets goal, starts its program, and defines result(): what the program itself says.
case_zenity() {
    need zenity
    goal="Fill in the form: Name Grace, Email grace@navy.mil, Phone 5551906, then press OK"
    want="Grace|grace@navy.mil|5551906"
    desk_run zenity --forms --title Contact --text "Enter the contact" --add-entry Name \
        --add-entry Email --add-entry Phone >"$desk_tmp/out" 2>/dev/null
    desk_window Contact
    result() { cat "$desk_tmp/out"; }
}
case_tk() {
    need wish
    goal="Type Turing in the Name field and click Save"
    want="Turing"
    cat >"$desk_tmp/form.tcl" <<T
wm title . Editor
label .l -text Name
entry .e -width 24
button .b -text Save -command {set f [open $desk_tmp/out w]; puts \$f [.e get]; close \$f}
grid .l .e -padx 8 -pady 8
grid .b -columnspan 2 -pady 8
T
    desk_run wish "$desk_tmp/form.tcl"
    desk_window Editor
    result() { cat "$desk_tmp/out" 2>/dev/null; }
}
case_xterm() {
    need xterm
    goal="Type touch made and press Enter"
    want="made"
    desk_run env -C "$desk_tmp" xterm -fa DejaVuSansMono -fs 11 -geometry 60x16 -title Shell -e sh
    desk_window Shell
    result() { ls "$desk_tmp/made" >/dev/null 2>&1 && echo made; }
}
case_calculator() {
    need galculator
    need xclip
    goal="Click 7, click +, click 5 and click ="
    want="12"
    desk_run galculator >/dev/null 2>&1
    desk_window galculator
    result() {
        xdotool search --name galculator windowactivate >/dev/null 2>&1
        xdotool key ctrl+c >/dev/null 2>&1
        timeout 2 xclip -o -selection clipboard 2>/dev/null
    }
}
case_chromium() {
    need chromium
    goal="Type Hopper in the Name field and click Send"
    want="Sent Hopper"
    cat >"$desk_tmp/page.html" <<'H'
<!doctype html><title>Form</title><style>body{font:16px sans-serif;margin:40px}</style>
<label>Name <input id=n></label> <button id=b>Send</button>
<script>document.getElementById('b').onclick =
    () => { document.title = 'Sent ' + document.getElementById('n').value; };</script>
H
    desk_run chromium --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --disable-quic --password-store=basic \
        --user-data-dir="$desk_tmp/chromium" --window-size=600,400 --window-position=0,0 \
        --app="file://$desk_tmp/page.html" >/dev/null 2>&1
    desk_window Form
    result() { xdotool search --name 'Sent' getwindowname 2>/dev/null; }
}

size=448x336
[ "$case" = calculator ] && size=448x448 # its window is 380 pixels tall
desk_begin "${APPS_SIZE:-$size}"
case_"$case" || exit 1
"$deskhand" do "$goal" --max-steps 10 --max-seconds 120 >"$desk_tmp/do.log" 2>&1
code=$?
case "$code" in
0 | 1 | 4 | 5 | 7) ;;
*)
    echo "FAIL $case: deskhand do ended with $code"
    cat "$desk_tmp/do.log"
    exit 1
    ;;
esac
"$deskhand" show 1 >"$desk_tmp/steps" 2>&1 || { cat "$desk_tmp/steps"; exit 1; }
# what was confirmed is also a training set: a picture for each row, no more
"$deskhand" export 1 --swift "$desk_tmp/set" >"$desk_tmp/exported" 2>&1 &&
    [ "$(wc -l <"$desk_tmp/set/train.jsonl")" = "$(find "$desk_tmp/set/images" -type f | wc -l)" ] ||
    { echo "FAIL $case: the steps cannot be exported"; cat "$desk_tmp/exported"; exit 1; }
for _ in $(seq 20); do # the program may still be at it: a browser changes its title when it likes
    got="$(result | head -n 1)"
    [ "$got" = "$want" ] && break
    sleep 0.2
done
if [ -n "${APPS_OUT:-}" ]; then
    mkdir -p "$APPS_OUT/$case"
    cp "$desk_tmp"/state/deskhand/task/1/*.png "$desk_tmp/steps" "$APPS_OUT/$case/" 2>/dev/null
fi
"$deskhand" shutdown >/dev/null 2>&1
if [ "$got" = "$want" ]; then
    echo "HIT $case: $got"
else
    echo "MISS $case: wanted '$want', got '$got'; the model's steps:"
    cat "$desk_tmp/steps"
fi
exit 0
