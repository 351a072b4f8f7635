#!/usr/bin/env bash
# ranks.sh PLUGIN_DIR SLUICE TOOL_MAKE - the program under mpirun: one process, 2 and 4 ranks give the same files, and all end
# with one code.
# shellcheck disable=SC2154 # folder is mpi_env.sh's
set -u
export SLUICE_PLUGIN_DIR=$1 OMP_NUM_THREADS=1
simt=$(realpath -m "$1/../simt/libsluice_cuda.so")
sluice=$2 make=$3
. "$(dirname "$0")/mpi_env.sh"
cd "$folder" || exit 1

# same WHAT A B: files or folders, but for times, which only lie in the curve's last columns and the manifest's run.
same() {
    if diff -r "$2" "$3" >differ.txt; then pass; else fail "$1: $(head -n 5 differ.txt)"; fi
}
# code WANT WHAT COMMAND...
code() {
    local want=$1 what=$2 got
    shift 2
    "$@" >out 2>err
    got=$?
    if [ $got = "$want" ]; then pass; else fail "$what: exit $got: $(cat out; grep "^sluice\|^hint" err)"; fi
}

# ---- select ----
mkdir rows
"$make" npy rows/a.npy rows=7000 width=8 nan=5,600
"$make" npy rows/b.npy rows=9000 first=7000 width=8
"$make" ids rows/a.ids.txt rows=7000 names=1
"$make" ids rows/b.ids.txt rows=9000 first=7000 names=1
"$make" labels labelled.csv rows=16000 every=40 names=1
"$make" groups groups.csv rows=16000 every=50 names=1
"$sluice" train rows --labels labelled.csv --out head.safetensors --quiet 2>err || fail "train"
pick() { "$sluice" select rows --head head.safetensors --labels labelled.csv -k 40 --seed 5 --quiet "$@"; }
export -f pick
export sluice
# The manifest without the part "run": times, rates, threads.
facts() { sed '/^  "run": {/,/^  }/d' "$1"; }
picks_same() { # WHAT FOLDER FOLDER: lists and manifests
    local f
    for f in "$2"/*; do
        case $f in
        *manifest.json) diff <(facts "$f") <(facts "$3/${f##*/}") ;;
        *) cmp "$f" "$3/${f##*/}" ;;
        esac >differ.txt 2>&1 || { fail "$1: ${f##*/}: $(head -n 5 differ.txt)"; return; }
    done
    pass
}
all=(--strategy 'margin,power-entropy,outlier-rank,kcenter,margin-kmeans,random')
some=(--strategy entropy --balance --group groups.csv --per-group 2)
code 0 select pick "${all[@]}" --out one
mkdir some1
code 0 "select, groups" pick "${some[@]}" --out some1/picks.csv
for n in 2 4; do
    code 0 "select, $n ranks" ranks $n bash -c "pick ${all[*]} --out by$n"
    picks_same "select, $n ranks" one by$n
    mkdir some$n
    code 0 "select, groups, $n ranks" ranks $n bash -c "pick ${some[*]} --out some$n/picks.csv"
    picks_same "select, groups, $n ranks" some1 some$n
done
rm -r by2 by4
# A part of a job array may have ranks of its own.
mkdir merged
for i in 0 1 2; do code 0 "part $i" ranks 2 bash -c "pick --strategy margin --shard $i/3 --out part$i"; done
code 0 "merge" "$sluice" merge rows --head head.safetensors --labels labelled.csv part0 part1 part2 --out merged/margin.csv --quiet
cmp merged/margin.csv one/margin.csv >/dev/null && pass || fail "merged parts of ranks"
code 73 "select, another output" ranks 2 bash -c "pick --strategy entropy --out merged/margin.csv"
code 66 "select, no head" ranks 3 "$sluice" select rows --head none -k 3
grep -q '^sluice: ' err && [ "$(grep -c '^sluice: ' err)" = 1 ] && pass || fail "one rank speaks: $(cat err)"

# Stopped by the signal that schedulers send: 75, and the same command goes on with any number of ranks.
header() { printf '\x93NUMPY\x01\x00v\x00%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (300000, 1024), }"; }
header >big.npy
truncate -s $((128 + 300000 * 4096)) big.npy
"$make" npy small.npy rows=60 width=1024
"$make" labels small.csv rows=60
"$sluice" train small.npy --labels small.csv --out wide.safetensors --quiet || fail "train"
big=(select big.npy --head wide.safetensors -k 10 --mem-mib 16 --strategy bald:passes=20 --checkpoint-s 0.1 --quiet)
known() { # waits until the run that writes $1 has kept something
    for _ in $(seq 600); do [ -e "$1.ckpt/$1.state" ] && return; sleep 0.02; done
    fail "nothing was kept for $1"
}
# A killed rank ends all, and nothing is written.
timeout 120 mpirun -n 3 bash -c 'echo $$ >pid.$OMPI_COMM_WORLD_RANK; exec "$0" "$@"' "$sluice" "${big[@]}" --out killed.csv </dev/null >out 2>err &
known killed.csv
kill -KILL "$(cat pid.2)"
wait $!
got=$?
if [ $got != 0 ] && [ $got != 124 ] && [ ! -e killed.csv ] && [ ! -e killed.manifest.json ]; then pass; else fail "a killed rank: exit $got, $(ls -d killed*)"; fi
mpirun -n 3 "$sluice" "${big[@]}" --out stopped.csv </dev/null >out 2>err &
known stopped.csv
kill -USR1 $!
wait $!
got=$?
if [ $got = 75 ] && [ -e stopped.csv.ckpt/stopped.csv.state ]; then pass; else fail "stopped ranks: exit $got: $(cat out err)"; fi
code 0 "select goes on with 2 ranks" ranks 2 "$sluice" "${big[@]/--quiet/--log=text}" --out stopped.csv
grep -q 'going on from there' err && pass || fail "nothing was known: $(cat err)"
"$sluice" "${big[@]}" --out whole.csv 2>err
cmp stopped.csv whole.csv >/dev/null && [ ! -e stopped.csv.ckpt ] && pass || fail "a stopped and continued selection differs"
rm -f big.npy

# ---- GPUs ----
# Ranks that see the same emulated GPUs share them, to the same picks; the manifest of the first names its own.
if [ -e "$simt" ]; then
    mkdir plugins emulated1 emulated3
    ln -s "$SLUICE_PLUGIN_DIR/libsluice_mpi.so" "$simt" plugins/
    code 0 "select" pick --strategy margin --out emulated1/margin.csv --devices cpu
    export SLUICE_SIMT_DEVICES=4
    SLUICE_PLUGIN_DIR=$folder/plugins code 0 "select, 3 ranks, 4 emulated GPUs" ranks 3 bash -c "pick --strategy margin --out emulated3/margin.csv --devices all"
    picks_same "select, 3 ranks, 4 emulated GPUs" emulated1 emulated3
    used=$(grep -o '"cuda:[0-9]*' emulated3/margin.manifest.json | tr '\n' ' ')
    if [ "$used" = '"cuda:0 "cuda:3 ' ]; then pass; else fail "rank 0 of 3 uses of 4 GPUs: $used"; fi
fi

# ---- simulate ----
"$make" npy pool.npy rows=600 width=8
"$make" labels labels.csv rows=600
"$make" npy test.npy rows=200 first=1000 width=8
"$make" labels test-labels.npy rows=200 first=1000 form=npy
sim() { "$sluice" simulate pool.npy --labels labels.csv --test test.npy --test-labels test-labels.npy --strategy random,margin,kcenter \
    --start-per-class 2 --batch 10 --rounds 2 --seeds 2 --quiet "$@"; }
export -f sim
bare() { # a simulation without its times
    mkdir -p "$2"
    cut -d, -f1-8 "$1/curve.csv" >"$2/curve.csv"
    cp -r "$1/picks" "$1/classes.csv" "$1/table.md" "$2/"
    (cd "$1" && find . | sort) >"$2/names"
}
code 0 "simulate" sim --out sim1
bare sim1 one.bare
for n in 2 4; do
    code 0 "simulate, $n ranks" ranks $n bash -c "sim --out by$n"
    same "table of $n ranks" sim1/table.md out
    bare "by$n" "by$n.bare"
    same "simulate, $n ranks" one.bare "by$n.bare"
done
# A finished one stays; a cold start; a rank that fails.
code 0 "simulate again" ranks 2 bash -c "sim --out by2"
cold() { "$sluice" simulate pool.npy --labels labels.csv --test test.npy --test-labels test-labels.npy --strategy random,typiclust --start 0 --batch 8 \
    --rounds 1 --quiet "$@"; }
export -f cold
code 0 "simulate, cold" cold --out cold1
code 0 "simulate, cold, 3 ranks" ranks 3 bash -c "cold --out cold3"
bare cold1 cold1.bare
bare cold3 cold3.bare
same "simulate, cold" cold1.bare cold3.bare
code 73 "simulate into another's folder" ranks 2 bash -c "cold --out by2"
code 2 "simulate, no such strategy" ranks 2 "$sluice" simulate pool.npy --labels labels.csv --test pool.npy --test-labels labels.csv \
    --strategy nonsense --start 6 --batch 5 --rounds 1 --out none
finish
