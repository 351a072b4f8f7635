#!/usr/bin/env bash
# fault.sh SLUICE TOOL_MAKE SHIM COMMAND - a small run of select, score, train, convert or simulate, or of kept_select and
# kept_score, which write a checkpoint after every block, again and again, while its
# n-th write, fsync, rename, open, read or allocation fails (failing_calls.c), for every n (of many allocations ever fewer).
# Whatever fails, afterwards
#     the exit code is that of the cause, and 0 only where the output is there;
#     each output is absent or whole, and no temporary file is left;
#     the message names a file and the cause, or says that memory ran out;
#     the same command without the fault gives the output of an undisturbed run.
set -u
sluice=$(realpath -e "$1") && make=$(realpath -e "$2") && shim=$(realpath -e "$3") || exit 2
command=$4
export LC_ALL=C OMP_NUM_THREADS=1 GOMP_SPINCOUNT=1000 SLUICE_READER=pread
unset SLUICE_CPU SLUICE_PLUGIN_DIR "${!SLURM_@}"
folder=$(mktemp -d) || exit 1
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failed=0 runs=0
keep=(--checkpoint kept --checkpoint-s 0.001 --mem-mib 1)
also='' rows=300
# Large enough that there is a checkpoint after some milliseconds; that it cannot be written is a warning.
case $command in kept_*) also="0 " rows=60000 ;; esac

"$make" npy pool.npy rows=$rows width=4
"$make" labels labels.csv rows=$rows every=$((rows / 60))
"$sluice" train pool.npy --labels labels.csv --l2 1 --out head.safetensors --quiet || exit 1
case $command in
select) run() { "$sluice" select pool.npy --head head.safetensors --strategy margin,entropy,kcenter -k 5 --out out --quiet; } ;;
kept_select) run() { "$sluice" select pool.npy --head head.safetensors --strategy margin,entropy -k 5 --out out --quiet "${keep[@]}"; } ;;
kept_score) mkdir out && run() { "$sluice" score pool.npy --head head.safetensors --score margin --out out/s.npy --quiet "${keep[@]}"; } ;;
score) mkdir out && run() { "$sluice" score pool.npy --head head.safetensors --score margin,logits --out out/s.npy --quiet; } ;;
train) mkdir out && run() { "$sluice" train pool.npy --labels labels.csv --l2 1 --out out/h.safetensors --quiet; } ;;
convert)
    seq 300 >pool.ids.txt
    mkdir out && run() { "$sluice" convert pool.npy --to npy --type i8 --out out/c.npy --quiet; } ;;
simulate)
    "$make" labels all.csv rows=300 every=1
    run() {
        "$sluice" simulate pool.npy --labels all.csv --test pool.npy --test-labels all.csv --start 10 --batch 10 \
            --rounds 1 --seeds 1 --strategy random,margin --l2 1 --out out --quiet >/dev/null
    } ;;
*) echo "fault.sh: no command '$command'" >&2 && exit 2 ;;
esac

# What differs between two runs of the same inputs goes.
content() {
    sed -E 's/"(seconds|[a-z_]*rate|rows_per_second|bytes_per_second)": *[-0-9.e+]+/"\1":0/; s/,[0-9.]+$/,S/; s/[0-9.]+ (s|seconds|minutes)\b/S/g' "$1" |
        { case $1 in *run.json) grep -v xxh3 ;; *report.html) sed -E 's/[0-9]+\.[0-9]+/N/g' ;; *) cat ;; esac; } | cksum
}
files() { [ ! -d out ] || find out -type f ! -name '*.part' | sort; }
fresh() { rm -rf out kept && { [ "$command" = select ] || [ "$command" = kept_select ] || [ "$command" = simulate ] || mkdir out; }; }

wrong() { echo "WRONG: $command, $kind $at${on:+ and on} fails with errno $error: $*"; sed 's/^/    /' err; failed=$((failed + 1)); }

# Files that tell of times, or grow while a simulation runs, are compared after the second run alone.
check_outputs() {
    local f
    for f in $(files); do
        case $f in *.tmp.*) wrong "'$f' is left" && continue ;; esac
        [ "$command" = simulate ] && [ "$1" = after-fault ] && continue
        [ -n "${want[$f]:-}" ] || { wrong "'$f' is no output ($1)" && continue; }
        [ "${want[$f]}" = "$(content "$f")" ] || wrong "'$f' is not whole ($1)"
    done
    [ "$1" = after-fault ] && return
    [ ! -e kept ] || wrong "the checkpoint is still there"
    for f in "${!want[@]}"; do [ -e "$f" ] || wrong "'$f' is missing ($1)"; done
}

# faulty KIND AT ERRNO: with $on, all calls from the AT-th on fail.
faulty() {
    (
        [ -z "$on" ] || export FAULT_ON=1
        export LD_PRELOAD=$shim FAULT_CALL=$1 FAULT_AT=$2 FAULT_ERRNO=$3 FAULT_COUNT=count
        run
    ) 2>err
}

# one KIND AT ERRNO CODES
one() {
    kind=$1 at=$2 error=$3
    fresh
    faulty "$kind" "$at" "$error"
    local code=$?
    runs=$((runs + 1))
    case " $4 " in *" $code "*) ;; *) wrong "exit code $code, not one of $4" ;; esac
    if [ $code = 0 ]; then check_outputs complete; else check_outputs after-fault; fi
    if [ $code != 0 ]; then
        case $kind in
        alloc) grep -qi memory err || wrong "the message does not speak of memory" ;;
        *) grep -Eq "'[^']+'" err || wrong "the message names no file"
           grep -q "$(cause "$error")" err || wrong "the message does not name the cause" ;;
        esac
    fi
    run 2>err || wrong "the next run ends with $?"
    check_outputs complete
}
cause() { case $1 in 5) echo "Input/output error" ;; 28) echo "No space left on device" ;; 13) echo "Permission denied" ;; esac; }

# How many calls of a kind an undisturbed run makes.
count() {
    fresh
    faulty "$1" 0 0 || { echo "WRONG: the run alone fails"; cat err; exit 1; }
    cat count
}

declare -A want
on=
count write >/dev/null
for f in $(files); do want[$f]=$(content "$f"); done
[ ${#want[@]} -gt 0 ] || { echo "WRONG: no output"; exit 1; }

for kind in write fsync rename open read alloc; do
    most=$(count $kind)
    [ "$most" -gt 0 ] || { echo "WRONG: $command makes no call of $kind"; failed=$((failed + 1)); }
    echo "$command: $most x $kind"
    for ((n = 1; n <= most; n += kind_step)); do
        kind_step=1
        case $kind in
        write) one write $n 28 "${also}73"; on=1 one write $n 5 "${also}74" ;;
        fsync) one fsync $n 5 "${also}74" ;;
        rename) one rename $n 5 "${also}74"; on=1 one rename $n 13 "${also}73" ;;
        open) one open $n 5 "0 66 73 74"; on=1 one open $n 5 "${also}66 73 74" ;;
        read) one read $n 5 "0 74"; on=1 one read $n 5 "${also}74" ;;
        alloc) one alloc $n 12 "${also}1"; kind_step=$((1 + n / (${#want[@]} > 5 ? 4 : 10))) ;;
        esac
    done
done
echo "$command: $runs runs, $failed failures"
[ $failed = 0 ]
