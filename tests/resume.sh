#!/usr/bin/env bash
# resume.sh SLUICE TOOL_MAKE KILLS [PLUGIN_DIR] - scans that are killed at KILLS random moments and go on with other numbers of
# threads, and with PLUGIN_DIR of emulated GPUs: picks, scores and manifests are those of a run that nobody disturbed.
# SEED picks other moments.
set -u
[ $# -ge 3 ] || { sed -n '2,4p' "$0"; exit 2; }
sluice=$(realpath -e "$1") && make=$(realpath -e "$2") || exit 2
kills=$3
[ $# = 3 ] || { SLUICE_PLUGIN_DIR=$(realpath -e "$4") && export SLUICE_PLUGIN_DIR; } || exit 2
unset SLUICE_CPU SLUICE_READER "${!SLUICE_SIMT_@}" "${!SLURM_@}"
export LC_ALL=C
RANDOM=${SEED:-7}
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failed=0 stopped=0 resumed=0
wrong() { echo "WRONG: $*" >&2; failed=$((failed + 1)); }

"$make" npy pool.npy rows=90000 width=16 nan=11,50000,89999
"$make" labels labels.csv rows=90000 every=900
"$sluice" train pool.npy --labels labels.csv --out head.safetensors --quiet --devices cpu

# What is run: one line of words a command; each writes to OUT.
commands=(
    "select --strategy margin,power-entropy,random -k 400"
    "select --strategy margin-kmeans -k 60 --labels labels.csv"
    "select --strategy entropy -k 300 --balance"
    "select --mix margin:2,random:1 -k 90 --shard 1/2"
    "score --score margin,power-energy,logits"
)
# run COMMAND OUT OPTIONS...: becomes the program.
run() {
    local words
    read -ra words <<<"$1"
    exec "$sluice" "${words[0]}" pool.npy --head head.safetensors "${words[@]:1}" --mem-mib 1 --out "$2" "${@:3}"
}
# Some number of threads and devices.
somewhere() {
    where=(--threads $((1 + RANDOM % 3)) --devices cpu)
    [ -n "${SLUICE_PLUGIN_DIR:-}" ] || return
    export SLUICE_SIMT_DEVICES=$((1 + RANDOM % 8)) SLUICE_SIMT_SCHEDULE=shuffle:$RANDOM
    [ $((RANDOM % 4)) = 0 ] || where=(--threads 2 --devices all)
}
# What a manifest says but for the run, and all other files.
facts() { for f in $(find "$1" -type f | sort); do case $f in *manifest.json) sed '/^  "run"/,/^  }/d' "$f" ;; *) cksum <"$f" ;; esac; done; }

for i in "${!commands[@]}"; do
    mkdir -p "whole$i" "killed$i"
    case ${commands[i]} in score*) out=out.npy ;; *--shard*) out=out.s ;; *random\ -k*) out=out ;; *) out=out.csv ;; esac
    began=$(date +%s%N)
    (run "${commands[i]}" "whole$i/$out" --quiet --devices cpu --checkpoint-s 0.001) || wrong "${commands[i]}: exit $?"
    took=$((($(date +%s%N) - began) / 1000000))
    [ ! -e "whole$i/$out.ckpt" ] || wrong "a checkpoint was left"
    for ((n = 0, share = (kills + 4) / 5, tries = 8 * share; n < share && tries > 0; tries--)); do
        somewhere
        signal=$([ $((RANDOM % 3)) = 0 ] && echo TERM || echo KILL)
        (run "${commands[i]}" "killed$i/$out" --checkpoint-s 0.001 "${where[@]}") 2>err &
        pid=$!
        sleep "$(printf '0.%03d' $((RANDOM % (took + 20) % 1000)))"
        kill -"$signal" $pid 2>/dev/null
        wait $pid 2>/dev/null
        code=$?
        ! grep -q 'going on from there' err || resumed=$((resumed + 1))
        case $signal:$code in
        KILL:137 | TERM:75) n=$((n + 1)) stopped=$((stopped + 1)) ;;
        *:0 | TERM:143) rm -rf "killed$i" && mkdir "killed$i" ;; # before its handler stood, or at its end
        *) wrong "$signal: exit $code: $(cat err)" ;;
        esac
    done
    somewhere
    (run "${commands[i]}" "killed$i/$out" "${where[@]}") 2>err || wrong "${commands[i]}: $(cat err)"
    ! grep -q 'going on from there' err || resumed=$((resumed + 1))
    find "killed$i" -name '*.tmp.*' -delete # of outputs that were being written
    cmp <(facts "whole$i") <(facts "killed$i") >&2 || wrong "${commands[i]}: not the same after kills"
    (cd "whole$i" && find . | sort) | cmp - <(cd "killed$i" && find . | sort) >&2 || wrong "${commands[i]}: other files"
done
echo "$stopped stopped, $resumed went on from a checkpoint, $failed wrong"
[ $failed = 0 ] && [ $stopped -gt $((kills / 2)) ] && [ $resumed -gt $((kills / 5)) ]
