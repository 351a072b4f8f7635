#!/bin/sh
# geometry.sh BUILD [PEERS] - nearest neighbours, k-means and every batch rule, each with its share of the machine's limit, and
# beside faiss, scikit-learn and torch where PEERS (build/peers, made by peers/setup.sh) is there.  Ends in one table.  About
# ten minutes on two CPUs.
set -eu
build=$1 peers=${2:-build/peers}
here=$(dirname "$0")
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export GOMP_SPINCOUNT=1000 # as the program sets it itself

"$build/bench/bench_nearest" --runs 3 | tee "$out/nearest"
"$build/bench/bench_kmeans" --runs 3 | tee "$out/kmeans"
[ ! -x "$peers/bin/python" ] || "$peers/bin/python" "$here/peers/geometry.py" | tee "$out/peers"
"$build/bench/bench_rules" | tee "$out/rules"

echo
echo "$(grep -m 1 'model name' /proc/cpuinfo | cut -d: -f2-), $(nproc) CPUs, commit $(git -C "$here" rev-parse --short HEAD 2>/dev/null || echo unknown)"
awk '
    function peer(work, name) { return (work, name) in other ? sprintf("%.2f", other[work, name]) : "-" }
    function row(work, name, seconds, ratio) {
        printf "| %s | %.2f | %.2f | %s | %s | %s |\n", name, seconds, ratio, peer(work, "faiss"),
               peer(work, "scikit-learn"), peer(work, "torch")
    }
    FILENAME ~ /peers$/ && ($1 == "nearest" || $1 == "kmeans") { other[$1, $2] = $3 }
    FILENAME ~ /nearest$/ && $1 == "nearest" { near = $2; near_ratio = $10 }
    FILENAME ~ /kmeans$/ && $1 == "iteration" { lloyd = $2; lloyd_ratio = $10 }
    FILENAME ~ /rules$/ && $2 ~ /^[0-9]+$/ { name[++n] = $1; seconds[n] = $4; ratio[n] = $7 }
    END {
        print "| case | seconds | time / limit | faiss | scikit-learn | torch |\n|---|---|---|---|---|---|"
        row("nearest", "10 nearest of 5,000, 200k x 512", near, near_ratio)
        row("kmeans", "an iteration, 1,000 of 1M x 128", lloyd, lloyd_ratio)
        for (i = 1; i <= n; i++) row("", name[i], seconds[i], ratio[i])
    }' "$out"/*
