#!/usr/bin/env bash
# full_disk.sh SLUICE TOOL_MAKE - outputs go to a small tmpfs that is full: exit code 73, the message names the file and the
# cause, nothing is left there; and once there is room the same command is done.  Exit code 77: no tmpfs may be mounted here.
set -u
sluice=$(realpath -e "$1") && make=$(realpath -e "$2") || exit 2
if [ "${3:-}" != inside ]; then
    why=$(unshare -rm sh -c 'mount -t tmpfs -o size=64k none /mnt' 2>&1) || { echo "SKIP: no tmpfs can be mounted: $why"; exit 77; }
    exec unshare -rm "$0" "$sluice" "$make" inside
fi
export LC_ALL=C OMP_NUM_THREADS=1
folder=$(mktemp -d) || exit 1
trap 'umount "$folder/disk"; rm -rf "$folder"' EXIT
cd "$folder" && mkdir disk && mount -t tmpfs -o size=512k none disk || exit 1
failed=0
"$make" npy pool.npy rows=4000 width=16
"$make" labels labels.csv rows=4000 every=5
"$sluice" train pool.npy --labels labels.csv --l2 1 --out head.safetensors --quiet || exit 1

# full NAME ARGUMENTS...: the outputs are named disk/NAME.*
full() {
    local name=$1 code
    shift
    head -c 1048576 /dev/zero >disk/filler 2>/dev/null
    truncate -s -8192 disk/filler # room for a name, not for the data
    "$sluice" "$@" --quiet >/dev/null 2>err
    code=$?
    [ $code = 73 ] || { echo "WRONG: $name: exit code $code"; failed=1; }
    grep -q "'disk/$name.*No space left on device" err || { echo "WRONG: $name: the message does not say so"; failed=1; }
    cat err
    find disk -type f ! -name filler | grep . && { echo "WRONG: $name: files are left"; failed=1; }
    rm -rf disk/filler
    "$sluice" "$@" --quiet >/dev/null || { echo "WRONG: $name: with room it ends with $?"; failed=1; }
    find disk -type f | grep -q . || { echo "WRONG: $name: no output"; failed=1; }
    rm -rf disk/*
}
full picks select pool.npy --head head.safetensors --strategy margin -k 2000 --out disk/picks.csv
full lists select pool.npy --head head.safetensors --strategy margin,entropy -k 2000 --out disk/lists
full scores score pool.npy --head head.safetensors --score margin --out disk/scores.npy
full c convert pool.npy --to npy --type i8 --out disk/c.npy
full wide train pool.npy --labels labels.csv --layers mlp:256,relu,linear --epochs 1 --out disk/wide.safetensors
exit $failed
