#!/usr/bin/env bash
# run.sh PLUGIN_DIR SLUICE TOOL_MAKE - sluice under a real Slurm: the batch files of examples/, steps of 1, 2 and 4 tasks, signals,
# the time limit, requeues, tasks that die.  The Slurm is our own, on this machine, by slurm_up.sh; where it cannot start the
# test is skipped (77).
set -u
here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../../examples
plugins=$(realpath "$1") program=$(realpath "$2") make=$(realpath "$3")
passed=0 failed=0
began=$SECONDS
pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "FAIL ($((SECONDS - began)) s): $*"; }
# ok WHAT COMMAND...
ok() {
    local what=$1
    shift
    if "$@" >check.txt 2>&1; then pass; else fail "$what: $(head -n 5 check.txt)"; fi
}

cluster=$(mktemp -d /tmp/sluice-slurm.XXXXXX) || exit 1
trap '"$here/slurm_up.sh" stop "$cluster"; rm -rf "$cluster"' EXIT
why=$("$here/slurm_up.sh" start "$cluster" 2 4 2 2>&1) || { echo "SKIP: Slurm does not start here: $why"; exit 77; }
eval "$("$here/slurm_up.sh" env "$cluster")"
unset "${!PMI_@}" "${!PMIX_@}" "${!OMPI_COMM_@}"
srun -N2 -n2 true || { echo "SKIP: Slurm runs no step here"; exit 77; }

work=$cluster/work
mkdir -p "$work/bin" && cd "$work" || exit 1
ln -s "$program" bin/sluice
export PATH=$work/bin:$PATH SLUICE_PLUGIN_DIR=$plugins OMP_NUM_THREADS=1
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0

# ---- helpers ----
field() { scontrol show job -o "$1" | grep -oE "\b$2=[^ ]+" | head -n 1 | cut -d= -f2; }
state_is() { [ "$(field "$1" JobState)" = "$2" ]; }
ended() { case $(field "$1" JobState) in COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL) return 0 ;; esac; return 1; }
# within SECONDS COMMAND...: until it is true.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}
submit() { sbatch --parsable --export=ALL "$@"; }
# The manifest without the part "run": times, rates, threads.
facts() { sed '/^  "run": {/,/^  }/d' "$1"; }
same_picks() { cmp "$1.csv" "$2.csv" && diff <(facts "$1.manifest.json" | sed "s/$1.csv/X/") <(facts "$2.manifest.json" | sed "s/$2.csv/X/"); }

# ---- data ----
mkdir features
"$make" npy features/a.npy rows=5000 width=8
"$make" npy features/b.npy rows=7000 first=5000 width=8
"$make" labels labels.csv rows=12000 every=30
export POOL=features LABELS=labels.csv HEAD=head.safetensors K=50
sluice train features --labels labels.csv --out head.safetensors --quiet || fail "train"
sluice select features --head head.safetensors --labels labels.csv --strategy margin -k 50 --out one.csv --quiet || fail "select"
# Rows that take long: a wide hidden layer over a file without blocks.  heavy ROWS FILE
heavy() {
    printf '\x93NUMPY\x01\x00v\x00%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': ($1, 64), }" >"$2"
    truncate -s $((128 + $1 * 256)) "$2"
}
"$make" npy small.npy rows=120 width=64
"$make" labels small.csv rows=120
sluice train small.npy --labels small.csv --layers mlp:2048,relu,linear --epochs 2 --out deep.safetensors --quiet || fail "train"
heavy 20000000 endless.npy
heavy 800000 long.npy
: >none.csv && echo id >none.csv
deep=(--head deep.safetensors --strategy margin -k 10)

# ---- the time limit: Slurm looks every 30 s, so this job runs beside the others ----
cat >limit.sh <<'B'
#!/bin/bash
exec srun sluice select endless.npy --head deep.safetensors --strategy margin -k 10 --out limit.csv
B
limit=$(submit -n1 -o limit.log --time=1 --signal=USR1@60 limit.sh)

# ---- steps ----
for n in 1 2 4; do
    nodes=$((n > 1 ? 2 : 1))
    ok "srun -n$n" timeout 60 srun --mpi=pmix -N$nodes -n$n sluice select features --head head.safetensors --labels labels.csv --strategy margin -k 50 --out "step$n.csv" --quiet
    ok "picks of $n tasks" same_picks one "step$n"
done
srun -N2 -n2 sluice select features --head head.safetensors -k 5 --out none/x.csv >out 2>&1
code=$?
if [ $code = 2 ] && grep -q 'needs --mpi=pmix' out && grep -q 'shard \$SLURM_PROCID' out; then pass; else fail "srun without MPI: exit $code: $(cat out)"; fi
# shellcheck disable=SC2016 # the tasks' variables
ok "parts as tasks" srun -N2 -n4 sh -c 'exec sluice select features --head head.safetensors --labels labels.csv --strategy margin -k 50 --quiet \
    --ranks off --shard $SLURM_PROCID/$SLURM_NTASKS --out task-$SLURM_PROCID'
ok "parts of tasks merged" sluice merge features task-* --out tasks.csv --quiet
ok "picks of merged tasks" same_picks one tasks

# ---- the examples ----
job=$(OUT=node.csv submit --gpus-per-node=2 -c1 "$examples/node.sbatch")
nodes=$(OUT=nodes.csv submit -N2 --gpus-per-node=2 -c1 "$examples/nodes.sbatch")
mkdir array
parts=$(POOL=../features LABELS=../labels.csv HEAD=../head.safetensors submit -D array -c1 "$examples/array.sbatch")
merge=$(POOL=../features LABELS=../labels.csv HEAD=../head.safetensors OUT=../array.csv submit -D array -d "afterok:$parts" "$examples/merge.sbatch")
for j in "$job" "$nodes" "$merge"; do within 40 ended "$j"; done
for what in node nodes array; do ok "examples, $what: $(tail -n 3 sluice*.log array/*.log 2>/dev/null | tail -n 3)" same_picks one $what; done

# ---- stopped, requeued, gone on ----
# Slurm lets a requeued job wait until its old credentials have expired, 6 s here.
resume() { within 80 state_is "$1" COMPLETED && [ "$(field "$1" Restarts)" = 1 ]; }
running() { [ -s "$1" ] && sleep 1; }
sluice select long.npy "${deep[@]}" --labels none.csv --out long.csv --quiet 2>/dev/null || fail "select"
export POOL=long.npy HEAD=deep.safetensors LABELS=none.csv K=10
first=$(OUT=early.csv submit -N2 --signal=USR1@60 -o early.log "$examples/preemptible.sbatch")
second=$(OUT=again.csv submit -N2 -o again.log "$examples/preemptible.sbatch")
within 20 running early.log
scancel --signal=USR1 "$first"
within 20 running again.log
scontrol requeue "$second"
for job in "$first early USR1" "$second again requeue"; do
    read -r id name what <<<"$job"
    ok "$what: ended, requeued, done: $(cat "$name.log")" resume "$id"
    ok "$what: went on" grep -q 'going on from there' "$name.log"
    ok "$what: picks" same_picks long "$name"
done

# ---- tasks that die ----
# shellcheck disable=SC2016
timeout 60 srun --mpi=pmix -K -N2 -n3 sh -c 'echo $$ >pid.$SLURM_PROCID; exec "$@"' sh sluice select endless.npy "${deep[@]}" --out killed.csv >out 2>&1 &
step=$!
within 20 test -s pid.2 && sleep 2
kill -KILL "$(cat pid.2)"
wait $step
code=$?
if [ $code != 0 ] && [ $code != 124 ] && [ ! -e killed.csv ]; then pass; else fail "a killed task: exit $code: $(cat out)"; fi
# shellcheck disable=SC2016
timeout 60 srun --mpi=pmix -K -N2 -n3 sh -c '[ $SLURM_PROCID != 1 ] || ulimit -v 400000; exec "$@"' sh \
    sluice select endless.npy --head deep.safetensors --strategy margin -k 3000000 --out large.csv >out 2>&1
code=$?
if [ $code = 1 ] && grep -q '^sluice: .*rank 1: .*memory' out && [ ! -e large.csv ]; then pass; else fail "a task out of memory: exit $code: $(cat out)"; fi

# ---- the time limit, at last ----
within 60 ended "$limit"
if [ "$(field "$limit" ExitCode)" = 75:0 ] && [ -s limit.csv.ckpt/limit.csv.state ] && [ ! -e limit.csv ]; then pass
else fail "the time limit: $(field "$limit" JobState) $(field "$limit" ExitCode) $(cat limit.log)"; fi

echo "$passed passed, $failed failed, $((SECONDS - began)) s"
[ $failed = 0 ]
