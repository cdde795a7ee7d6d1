# examples/desk.sh: sourced by demo.sh and tests/apps/. Gives a private desktop: an Xvfb with a window
# manager, own XDG folders, and everything ended on exit.
#
#   desk_begin WIDTHxHEIGHT     sets DISPLAY, the XDG folders and $desk_tmp
#   desk_run COMMAND...         starts a program that ends with the desk; its pid is in $!
#   desk_window NAME            waits until a window with that name is there (10 s)

desk_pids=""
desk_tmp=""

desk_end() {
    for p in $desk_pids; do kill "$p" 2>/dev/null; done
    # a browser that is ending may still write
    for _ in 1 2 3; do
        rm -rf "${desk_tmp:-/nonexistent}" 2>/dev/null && break
        sleep 0.3
    done
    return 0
}

desk_run() {
    "$@" &
    desk_pids="$! $desk_pids"
}

desk_begin() {
    desk_tmp="$(mktemp -d)"
    trap desk_end EXIT
    trap 'exit 1' INT TERM
    export XDG_RUNTIME_DIR="$desk_tmp/run" XDG_STATE_HOME="$desk_tmp/state"
    export XDG_CONFIG_HOME="$desk_tmp/config" NO_AT_BRIDGE=1 GTK_THEME=Adwaita
    mkdir -p "$XDG_RUNTIME_DIR" "$XDG_CONFIG_HOME"
    chmod 700 "$XDG_RUNTIME_DIR"
    # -displayfd lets the server choose a free number and tells when it is ready
    mkfifo "$desk_tmp/display"
    Xvfb -displayfd 3 -screen 0 "${1}x24" -nolisten tcp 3>"$desk_tmp/display" \
        2>"$desk_tmp/xvfb.log" &
    desk_pids="$!"
    read -r n <"$desk_tmp/display"
    DISPLAY=":$n"
    export DISPLAY
    desk_run openbox >"$desk_tmp/openbox.log" 2>&1
    # a window that is mapped before the window manager is there would get no focus
    for _ in $(seq 100); do
        xprop -root _NET_SUPPORTING_WM_CHECK 2>/dev/null | grep -q 0x && return 0
        sleep 0.05
    done
    echo "desk: openbox did not come up in 5 s" >&2
    return 1
}

desk_window() {
    for _ in $(seq 100); do
        xdotool search --onlyvisible --name "$1" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    echo "desk: no window named '$1' appeared in 10 s" >&2
    return 1
}
