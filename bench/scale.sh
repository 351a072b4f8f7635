#!/bin/sh
# scale.sh BUILD [ROWS [FOLDER]] - how select scales over processes: one read of ROWS x 512 f32 (2 KiB each) by
#
#     threads 1, 2      one process, the whole pool                the peaks that processes are held against
#     strong  1, 2      processes of one thread, --shard I/2       the same pool for all
#     weak    1, 2      processes of one thread                    half the pool for each
#
# from the page cache; the median of five rounds, whole commands from start to end.  Wants a quiet machine; under two minutes.
set -eu
build=$(realpath "$1") rows=${2:-524288} where=${3:-.}
work=$(mktemp -d "$where/scale-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
sluice=$build/sluice
half=$((rows / 2))
"$build"/tests/tool_make npy whole.npy rows="$rows" width=512
"$build"/tests/tool_make npy half.npy rows="$half" width=512
"$build"/tests/tool_make labels labels.csv rows="$half" every=$((half / 100))
"$sluice" train half.npy --labels labels.csv --l2 1 --out head.safetensors --quiet
cat whole.npy half.npy >/dev/null

# One process: scan POOL THREADS [options]
scan() {
    pool=$1 threads=$2
    shift 2
    "$sluice" select "$pool" --head head.safetensors --same-ids --strategy margin,entropy -k 1000 --threads "$threads" --devices cpu \
        --ranks off --quiet --force --fresh "$@"
}
threads_1() { scan whole.npy 1 --out a; }
threads_2() { scan whole.npy 2 --out a; }
strong_1() { scan whole.npy 1 --out a.part --shard 0/1; }
strong_2() { scan whole.npy 1 --out a.part --shard 0/2 & scan whole.npy 1 --out b.part --shard 1/2; wait; }
weak_1() { scan half.npy 1 --out a; }
weak_2() { scan half.npy 1 --out a & scan half.npy 1 --out b; wait; }

echo "$(grep -m 1 'model name' /proc/cpuinfo | cut -d: -f2-), $(nproc) CPUs; $rows x 512 f32 from the page cache"
printf '%-10s %10s %10s\n' way seconds GB/s
for way in threads_1 threads_2 strong_1 strong_2 weak_1 weak_2; do
    case $way in weak_1) read=$half ;; *) read=$rows ;; esac
    for round in 1 2 3 4 5; do
        rm -rf a b a.* b.*
        began=$(date +%s.%N)
        $way
        echo "$began $(date +%s.%N) $round"
    done | awk '{ print $2 - $1 }' | sort -n | sed -n 3p |
        awk -v way=$way -v bytes=$((read * 2048)) '{ printf "%-10s %10.3f %10.2f\n", way, $1, bytes / $1 / 1e9 }'
done
