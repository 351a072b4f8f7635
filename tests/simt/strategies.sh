#!/usr/bin/env bash
# strategies.sh SLUICE TOOL_MAKE PLUGIN_DIR [WORD...] - every strategy of the table on emulated GPUs: the CPU's picks byte for
# byte, whatever the number of devices, their memory, and the order in which their streams run.
# A WORD picks the parts whose name contains it.
# shellcheck disable=SC2154 # lib.sh sets sluice, make, checks, failed
set -u
. "$(dirname "$(realpath "$0")")/lib.sh"

# same_files WANT GOT WHAT: the same files with the same bytes, but for what a manifest says of the run.
same_files() {
    checks=$((checks + 1))
    [ "$(cd "$1" && ls)" = "$(cd "$2" && ls)" ] || wrong "$3: $(ls "$2")"
    for file in "$1"/*.csv; do
        [ "$(wc -l <"$file")" -gt 2 ] || wrong "$3: nothing in $file"
        cmp "$file" "$2/${file##*/}" >&2 || wrong "$3: ${file##*/}"
    done
    cmp <(facts "$1") <(facts "$2") >&2 || wrong "$3: the manifest"
}

# picks OUT HEAD STRATEGIES POOL OPTIONS...
picks() {
    "$sluice" select "$4" --head "$2.safetensors" --same-ids --strategy "$3" --labels labels.csv --like like.txt -k 20 --seed 5 \
        --quiet --force --out "$1" "${@:5}" 2>err || wrong "$1, ${*:4}: $(cat err)"
}

# equal WHAT HEAD STRATEGIES POOL OPTIONS...: GPUs and CPU.  The CPU's are kept in folder $want for the next that asks the same.
equal() {
    want=want.$2.$(printf '%s ' "${@:3}" | cksum | cut -d' ' -f1)
    [ -d "$want" ] || picks "$want" "${@:2}" --devices cpu
    rm -rf got
    picks got "${@:2}" --devices all
    same_files "$want" got "$1, head $2, ${*:4}"
}

# The table's names, joined by commas: all, those without a rule, those with one, and all but the one that a head whose
# training held no rows out cannot serve.
names=$("$sluice" strategies --json | sed -n 's/.*"name": "\([^"]*\)".*/\1/p')
all=$(paste -sd, <<<"${names//power-SCORE/power-margin}")
scores=$(sed '/^kcenter$/,/^auto$/d' <<<"${names//power-SCORE/power-margin}" | paste -sd,)
rules=$(sed -n '/^kcenter$/,/^auto$/p' <<<"$names" | paste -sd,)
plain=${all/outlier-rank,/}
if [ "$(tr -cd , <<<"$all" | wc -c)" -lt 29 ] || [ "$(tr -cd , <<<"$rules" | wc -c)" -lt 13 ]; then wrong "the table: $all"; fi

# Rows of several classes, two of them bad, and in shards of uneven size, each a block of its own.
rows=600
"$make" npy pool.npy rows=$rows width=18 classes=5 nan=17,401
mkdir shards
for cut in 0:7 7:150 157:90 247:200 447:153; do
    "$make" npy "shards/${cut%:*}.npy" first="${cut%:*}" rows="${cut#*:}" width=18 classes=5 nan=17,401
done
"$make" npy clean.npy rows=$rows width=18 classes=5
"$make" labels labels.csv rows=$rows every=20 classes=5
"$make" groups groups.csv rows=$rows
printf '%s\n' 5 150 302 >like.txt
"$sluice" train clean.npy --labels labels.csv --out linear.safetensors --quiet --devices cpu || exit 1
"$sluice" train clean.npy --labels labels.csv --layers mlp:16,relu,drop:0.5,linear --epochs 2 --out mlp.safetensors --quiet --devices cpu || exit 1

one() {
    SLUICE_SIMT_SCHEDULE=host equal "1 device" linear "$all" pool.npy
    SLUICE_SIMT_SCHEDULE=host equal "1 device" mlp "$plain" pool.npy
    # What the table's defaults do not reach.
    equal "parameters" linear auto:switch=1,outlier-knn:k=20,outlier-rank:of=all,probcover:radius=0.6,bald:passes=3:rate=0.2,gist:lambda=0.2 pool.npy
}

# Shards reach the devices in turn, and streams run when they must, or shuffled.
devices() {
    for n in 1 2 8; do
        for schedule in late shuffle:$n; do
            SLUICE_SIMT_DEVICES=$n SLUICE_SIMT_SCHEDULE=$schedule equal "$n devices, $schedule" linear "$all" shards
        done
    done
    local shards=$want
    SLUICE_SIMT_DEVICES=2 SLUICE_SIMT_ORDER=random:3 equal "2 devices, threads in any order" mlp "$plain" shards
    cmp <(cut -d, -f2 "$shards/kcenter.csv") <(picks one.csv linear kcenter pool.npy --devices cpu && cut -d, -f2 one.csv) >&2 || wrong "shards and one file"
}

# Rows that find no room on a device: blocks are scored in pieces, and the CPU runs the rule.
memory() {
    SLUICE_SIMT_DEVICES=2 equal "1 MiB to take" linear "$all" shards --device-mem-mib 1
    "$make" npy wide.npy rows=$rows width=600 classes=5
    "$sluice" train wide.npy --labels labels.csv --out wide.safetensors --quiet --devices cpu
    equal "rows of 1.4 MiB, 1 to take" wide kcenter,badge,kmeans,representative,margin-kmeans wide.npy --device-mem-mib 1
    SLUICE_SIMT_MEM_MIB=1 equal "rows of 1.4 MiB, a GPU of 1" wide kcenter,badge,kmeans,representative,margin-kmeans wide.npy
    local n
    for n in 4 6 8 10 12 15 20 25 30 40; do # the first three are the head's
        SLUICE_SIMT_FAIL_MALLOC=$n equal "allocation $n fails" linear cluster-margin,gist pool.npy
    done
}

modifiers() {
    for schedule in host late; do
        export SLUICE_SIMT_SCHEDULE=$schedule
        equal dedupe linear "$rules,margin" pool.npy --dedupe 0.4
        equal balance linear "$rules,margin" pool.npy --balance
        equal groups linear "$rules,margin" pool.npy --group groups.csv --per-group 1
    done
    unset SLUICE_SIMT_SCHEDULE
    for device in cpu all; do
        "$sluice" select pool.npy --head linear.safetensors --labels labels.csv --mix margin:10,kcenter:8,outlier:6,typiclust:6 --dedupe 0.3 \
            -k 30 --seed 5 --quiet --devices $device >mix.$device || wrong "mix: exit code $?"
    done
    checks=$((checks + 1))
    cmp mix.cpu mix.all >&2 || wrong "mix"
}

# The candidates of a rule go to the device once, not once a pick: of 50 picks, less than 20 times the pool in all.
copies() {
    "$make" npy broad.npy rows=300 width=256 classes=5
    "$make" labels broad.csv rows=300 every=20 classes=5
    "$sluice" train broad.npy --labels broad.csv --out broad.safetensors --quiet --devices cpu
    for strategy in kcenter badge representative maxherding gist kmeans typiclust cluster-margin; do
        checks=$((checks + 1))
        SLUICE_SIMT_COPIES=bytes "$sluice" select broad.npy --head broad.safetensors --labels broad.csv --strategy $strategy -k 50 --quiet --devices all >out || wrong "$strategy: exit code $?"
        read -r to from <bytes
        if [ "$to" -lt $((300 * 256 * 4)) ] || [ "$((to + from))" -ge $((20 * 300 * 256 * 4)) ]; then wrong "$strategy copies $to bytes to devices, $from back"; fi
    done
}

# score: whole columns, the bits of every row; simulate: rounds that read the pool again.
programs() {
    for device in cpu all; do
        SLUICE_SIMT_DEVICES=2 "$sluice" score shards --head mlp.safetensors --same-ids --labels labels.csv --like like.txt --score "${scores/outlier-rank,/},prediction,confidence,logits" \
            --out $device.npy --quiet --devices $device 2>/dev/null || wrong "score: exit code $?"
    done
    checks=$((checks + 1))
    cmp cpu.npy all.npy >&2 || wrong "score"
    "$make" labels some.csv rows=$rows every=2 classes=5
    "$make" npy test.npy rows=100 width=18 classes=5 first=$rows
    "$make" labels test.lab.npy rows=100 first=$rows classes=5 form=npy
    for device in cpu all; do
        SLUICE_SIMT_DEVICES=2 "$sluice" simulate clean.npy --labels some.csv --test test.npy --test-labels test.lab.npy --strategy auto,badge,maxherding,outlier \
            --start 0 --batch 10 --rounds 3 --seeds 1 --l2 1 --quiet --devices $device --out rounds.$device >/dev/null || wrong "simulate: exit code $?"
    done
    cmp <(cut -d, -f1-8 rounds.cpu/curve.csv) <(cut -d, -f1-8 rounds.all/curve.csv) >&2 || wrong "simulate: curve.csv"
    for file in rounds.cpu/picks/*; do
        checks=$((checks + 1))
        cmp "$file" "rounds.all/${file#*/}" >&2 || wrong "simulate: $file"
    done
}

run_parts one devices memory modifiers copies programs
