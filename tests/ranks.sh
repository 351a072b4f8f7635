#!/usr/bin/env bash
# ranks.sh PLUGIN_DIR SLUICE TOOL_MAKE - the program under mpirun: one process, 2 and 4 ranks give the same files, and all end
# with one code.
# shellcheck disable=SC2154 # folder is mpi_env.sh's
set -u
export SLUICE_PLUGIN_DIR=$1 OMP_NUM_THREADS=1
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

"$make" npy pool.npy rows=600 width=8
"$make" labels labels.csv rows=600
"$make" npy test.npy rows=200 first=1000 width=8
"$make" labels test-labels.npy rows=200 first=1000 form=npy
sim() { "$sluice" simulate pool.npy --labels labels.csv --test test.npy --test-labels test-labels.npy --strategy random,margin,kcenter \
    --start-per-class 2 --batch 10 --rounds 2 --seeds 2 --quiet "$@"; }
export -f sim
export sluice
bare() { # a simulation without its times
    mkdir -p "$2"
    cut -d, -f1-8 "$1/curve.csv" >"$2/curve.csv"
    cp -r "$1/picks" "$1/classes.csv" "$1/table.md" "$2/"
    (cd "$1" && find . | sort) >"$2/names"
}
code 0 "simulate" sim --out one
bare one one.bare
for n in 2 4; do
    code 0 "simulate, $n ranks" ranks $n bash -c "sim --out by$n"
    same "table of $n ranks" one/table.md out
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
