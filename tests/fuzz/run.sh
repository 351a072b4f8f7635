#!/bin/sh
# run.sh BUILD SECONDS [NAME...] - libFuzzer on each parser for SECONDS; finds are kept in BUILD/fuzz/NAME.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
seconds=$2
shift 2
# shellcheck disable=SC2046 # names of formats have no spaces
[ $# -gt 0 ] || set -- $(cd "$here/corpus" && ls)
failed=
for name in "$@"; do
    found=$build/fuzz/$name
    mkdir -p "$found/crashes"
    echo "fuzz: $name, $seconds s"
    log=$found/log
    if "$build/tests/search_$name" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
        -artifact_prefix="$found/crashes/" -print_final_stats=1 "$found" "$here/corpus/$name" > "$log" 2>&1; then
        grep -E 'number_of_executed_units|new_units_added' "$log"
    else
        tail -n 30 "$log"
        failed="$failed $name"
    fi
done
[ -z "$failed" ] || { echo "fuzz: failed:$failed (inputs in $build/fuzz/NAME/crashes)"; exit 1; }
