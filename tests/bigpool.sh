#!/bin/sh
# bigpool.sh SLUICE PEAK [POOL_MIB MEM_MIB LIMIT_MIB [FOLDER]] - a pool much larger than --mem-mib must not show in the
# memory held: select reads it from the disk and from the page cache below the limit, with the same picks each time.
# At full size: bigpool.sh build/release/sluice build/release/tests/peak 8192 256 400
set -eu
sluice=$1 peak=$2 pool_mib=${3:-1024} mem_mib=${4:-64} limit_mib=${5:-200} where=${6:-.}
work=$(mktemp -d "$where/bigpool-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# A sparse .npy of rows of 512 f32: zeros, and 64 rows of one value each half, which the head is trained on.
rows=$((pool_mib * 512))
{
    printf '\223NUMPY\001\000\166\000'
    printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': ($rows, 512), }"
} > "$work/pool.npy"
truncate -s $((128 + rows * 2048)) "$work/pool.npy"
echo id,label > "$work/labels.csv"
i=0
while [ $i -lt 64 ]; do
    row=$((i * (rows / 64) + i))
    case $((i % 2)) in 0) a='\077' b='\277' label=left ;; *) a='\277' b='\077' label=right ;; esac
    { head -c 1024 /dev/zero | tr '\0' "$a"; head -c 1024 /dev/zero | tr '\0' "$b"; } |
        dd of="$work/pool.npy" bs=2048 seek=$((128 + row * 2048)) oflag=seek_bytes conv=notrunc status=none
    echo "$row,$label" >> "$work/labels.csv"
    i=$((i + 1))
done
"$sluice" train "$work/pool.npy" --labels "$work/labels.csv" --l2 1 --out "$work/head.safetensors" --quiet

for path in default map pread; do
    if [ $path = default ]; then unset SLUICE_READER; else export SLUICE_READER=$path; fi
    echo "$path: $pool_mib MiB with --mem-mib $mem_mib"
    "$peak" "$limit_mib" "$sluice" select "$work/pool.npy" --head "$work/head.safetensors" --labels "$work/labels.csv" \
        --strategy margin,entropy,random -k 1000 --mem-mib "$mem_mib" --out "$work/$path" --quiet
    for strategy in margin entropy random; do
        [ "$(wc -l < "$work/$path/$strategy.csv")" -eq 1001 ] || { echo "$path: $strategy.csv has not 1000 picks"; exit 1; }
        cmp "$work/default/$strategy.csv" "$work/$path/$strategy.csv"
    done
done
