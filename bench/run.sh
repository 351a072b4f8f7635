#!/bin/sh
# run.sh BUILD - every bench, one after the other; each prints the machine's limit measured in its own run.
set -eu
build=$1
echo "$(grep -m 1 'model name' /proc/cpuinfo | cut -d: -f2-), $(nproc) CPUs, commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
for bench in "$build"/bench/bench_*; do
    [ -x "$bench" ] || continue
    echo "== $(basename "$bench")"
    "$bench"
done
