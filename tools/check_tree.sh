#!/bin/sh
# The arrows of the tree point down: reads the #include lines of every folder and fails on one that
# looks up or sideways. Usage: tools/check_tree.sh ROOT [--self-test]
#
# A new folder is a new line in the table below.
root=${1:?usage: check_tree.sh ROOT}

rules='
base:base
vision:base vision
model:base model
actions:base actions
policies:base policies
agent:base vision model actions policies agent
serve:base vision model actions policies agent serve
bench:base vision model actions agent bench
client:base vision model client bench
'

# Prints "file:line folder" for each #include "folder/..." under the folder $1.
includes()
{
    find "$1" -type f \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' \) |
        LC_ALL=C sort | xargs -r grep -Hn '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' |
        sed -n 's/^\([^:]*:[0-9]*\):.*"\([^"]*\)".*$/\1 \2/p'
}

check()
{
    bad=0
    for row in $(printf '%s' "$rules" | sed 's/ /,/g'); do
        folder=${row%%:*}
        allowed=",${row#*:},"
        [ -d "$1/$folder" ] || continue
        found=$(cd "$1" && includes "$folder" | while read -r place header; do
            case $header in
            ../*) echo "$place: \"$header\": write the path from the root of the tree" ;;
            esac
            to=${header%%/*}
            [ "$to" = "$header" ] && continue
            [ "$to" = .. ] && continue
            case $allowed in
            *",$to,"*) ;;
            *) echo "$place: $folder/ may not include $to/" ;;
            esac
        done)
        if [ -n "$found" ]; then
            printf '%s\n' "$found" >&2
            bad=1
        fi
    done
    # The engine has two doors: outside of model/ only model/vlm.h, and model/tool.h for `deskhand model`.
    found=$(cd "$1" && for folder in agent serve client; do
        [ -d "$folder" ] && includes "$folder"
    done | awk '$2 ~ /^model\// && $2 != "model/vlm.h" && $2 != "model/tool.h" { print $1 ": only model/vlm.h and model/tool.h are open to others" }')
    if [ -n "$found" ]; then
        printf '%s\n' "$found" >&2
        bad=1
    fi
    return $bad
}

if [ "$2" = --self-test ]; then
    # Each of these trees breaks one rule, so the check must fail on it.
    dir=$(mktemp -d) || exit 1
    trap 'rm -rf "$dir"' EXIT
    for row in 'base model/vlm.h' 'vision actions/action.h' 'model vision/png.h' \
        'agent model/lm.h' 'serve client/x.h' 'client agent/agent.h' 'base ../model/vlm.h'; do
        rm -rf "$dir/t"
        mkdir -p "$dir/t/${row%% *}"
        printf '#include "%s"\n' "${row#* }" >"$dir/t/${row%% *}/a.c"
        if check "$dir/t" 2>/dev/null; then
            echo "the check does not see that ${row%% *}/ includes ${row#* }" >&2
            exit 1
        fi
    done
    rm -rf "$dir/t"
    mkdir -p "$dir/t/agent"
    printf '#include "model/vlm.h"\n#include "base/err.h"\n#include <stdio.h>\n' >"$dir/t/agent/a.c"
    check "$dir/t" || exit 1
    exit 0
fi
check "$root"
