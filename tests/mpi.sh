#!/usr/bin/env bash
# mpi.sh PLUGIN_DIR TOOL_RANKS TOOL_MAKE - what comm.h promises, between processes of a real mpirun.
# shellcheck disable=SC2154 # folder is mpi_env.sh's
set -u
export SLUICE_PLUGIN_DIR=$1 OMP_NUM_THREADS=1
tool=$2 make=$3
. "$(dirname "$0")/mpi_env.sh"

# expect CODE LINE RANKS CASE...
expect() {
    local want=$1 line=$2 n=$3 got code
    shift 3
    got=$(ranks "$n" "$tool" "$@" 2>&1)
    code=$?
    if [ $code = "$want" ] && printf '%s\n' "$got" | grep -qxF -- "$line"; then pass; else fail "$n ranks, $*: exit $code: $got"; fi
}

export RANKS_POOL=$folder/pool
mkdir "$RANKS_POOL"
for first in 0 300; do
    "$make" npy "$RANKS_POOL/$first.npy" type=i8 rows=300 first=$first
    "$make" ids "$RANKS_POOL/$first.ids.txt" names=1 rows=300 first=$first
    # A scale of each row: any f32 [300].
    { printf '\x93NUMPY\x01\x00v\x00'; printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (300,), }"; head -c 1200 /dev/zero; } >"$RANKS_POOL/$first.scale.npy"
done
for n in 1 2 4; do expect 0 "$n ranks: ok" $n bytes reductions dealing dealing_ahead pools; done
expect 65 "2 ranks: rank 1: rows of rank 1 are bad" 2 failing
expect 65 "4 ranks: rank 3: rows of rank 3 are bad" 4 failing
expect 65 "3 ranks: rank 2: rows of rank 2 are bad" 3 failing_deal
expect 65 "3 ranks: rank 0: rows of rank 0 are bad" 3 failing_root
expect 66 "3 ranks: there is no file 'x'" 3 all_fail
expect 1 "2 ranks: rank 1 is in another call than rank 0" 2 lost
RANKS_POOL=$folder/none expect 66 "2 ranks: rank 0: cannot read '$folder/none': No such file or directory" 2 pools
ranks 3 "$tool" killed >/dev/null 2>&1
case $? in 0) fail "a killed rank: exit 0" ;; 124) fail "a killed rank: the others wait" ;; *) pass ;; esac
finish
