#!/bin/sh
# tests/run.sh BUILD: every suite in BUILD, then a reduced set under ASan + UBSan and the threads
# under TSan in builds beside it. The last line is "N passed, N failed".
set -u
build="$1"
passed=0 failed=0 skipped=0

# Runs meson test and adds up its own summary.
suite() {
    dir="$1"
    shift
    meson test -C "$dir" --no-rebuild --print-errorlogs "$@" 2>&1 | tee "$dir/suite.log"
    n() { sed -n "s/^$1: *\([0-9]*\) *$/\1/p" "$dir/suite.log" | tail -n 1; }
    passed=$((passed + $(n Ok || echo 0)))
    failed=$((failed + $(n Fail || echo 0) + $(n Timeout || echo 0) + $(n 'Unexpected Pass' || echo 0)))
    skipped=$((skipped + $(n Skipped || echo 0)))
    grep -q '^Ok: ' "$dir/suite.log" || failed=$((failed + 1))
}

sanitized() {
    dir="$build-$1"
    [ -f "$dir/build.ninja" ] || meson setup "$dir" -Db_sanitize="$2" -Db_lundef=false \
        >"$dir.log" 2>&1 || { cat "$dir.log"; failed=$((failed + 1)); return; }
    ninja -C "$dir" >"$dir.log" 2>&1 || { cat "$dir.log"; failed=$((failed + 1)); return; }
    shift 2
    suite "$dir" "$@"
}

suite "$build" --num-processes 1
sanitized asan address,undefined --suite quick --num-processes 2 --timeout-multiplier 5
sanitized tsan thread --suite threads --num-processes 1 --timeout-multiplier 10

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
