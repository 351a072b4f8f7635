#!/usr/bin/env bash
# select.sh SLUICE TOOL_MAKE PLUGIN_DIR [WORD...] - the program end to end on emulated GPUs: the CPU's picks byte for byte,
# whatever the number of devices, the order in which their streams run, the size of blocks and the memory they find.
# A WORD picks the parts whose name contains it.
# shellcheck disable=SC2154 # lib.sh sets sluice, make, checks, failed
set -u
. "$(dirname "$(realpath "$0")")/lib.sh"

# same WANT GOT WHAT...
same() {
    checks=$((checks + 1))
    cmp "$1" "$2" >&2 || wrong "${*:3}"
}

# picks OUT POOL HEAD OPTIONS...
picks() { "$sluice" select "$2.npy" --head "$3.safetensors" --same-ids --strategy margin,power-entropy -k 300 --seed 5 --labels labels.csv --quiet --force --out "$1" "${@:4}"; }

# equal POOL HEAD WHAT OPTIONS...: the GPUs' picks are the CPU's.
equal() {
    rm -rf got
    picks got "$1" "$2" --devices all "${@:4}" 2>err || { wrong "$1, $2, $3: $(cat err)"; return; }
    for list in margin power-entropy; do same "cpu-$1-$2/$list.csv" got/$list.csv "$1, $2, $3, $list"; done
    cmp <(facts "cpu-$1-$2") <(facts got) >&2 || wrong "$1, $2, $3: the manifest"
}

rows=6000
"$make" npy f32.npy rows=$rows width=36 nan=17,4000
"$make" npy f16.npy rows=$rows width=36 type=f16 nan=17,4000
"$make" npy clean.npy rows=$rows width=36
"$make" labels labels.csv rows=$rows every=60
"$sluice" convert clean.npy --to npy --type i8 --out i8.npy --quiet --devices cpu
"$sluice" train clean.npy --labels labels.csv --out linear.safetensors --quiet --devices cpu
"$sluice" train clean.npy --labels labels.csv --layers mlp:20,relu,linear --epochs 2 --out mlp.safetensors --quiet --devices cpu
for pool in f32 f16 i8; do
    for head in linear mlp; do picks "cpu-$pool-$head" $pool $head --devices cpu 2>/dev/null; done
done

devices() {
    for pool in f32 f16 i8; do
        for head in linear mlp; do
            for n in 1 2 3 8; do SLUICE_SIMT_DEVICES=$n equal $pool $head "$n devices" --mem-mib 1; done
        done
    done
    SLUICE_SIMT_DEVICES=3 equal f32 linear "two of three" --devices cuda:2,cuda:0 --mem-mib 1
    # A GPU that the plug-in has no code for is left out, named it is an error, and alone it leaves the CPU.
    SLUICE_SIMT_DEVICES=2 SLUICE_SIMT_OLD=0 equal f32 linear "an old GPU beside another" --mem-mib 1
    SLUICE_SIMT_OLD=0 equal f32 linear "an old GPU alone" --devices auto
    for list in all cuda:0; do
        checks=$((checks + 1))
        SLUICE_SIMT_OLD=0 "$sluice" devices --devices $list 2>&1 | grep -q "cuda:0.*compute capability 7.0" || wrong "an old GPU, --devices $list"
    done
    shows 1 "cuda:0 .*used, .* MiB to take"
    SLUICE_SIMT_OLD=1 shows 2 "cuda:1 .*not used: .*compute capability 7.0"
    shows 2 "cuda:1 .*not used: --devices cuda:0" --devices cuda:0
}

# shows DEVICES PATTERN OPTIONS...: a line of `sluice devices`, and as many devices in its JSON.
shows() {
    checks=$((checks + 1))
    SLUICE_SIMT_DEVICES=$1 "$sluice" devices "${@:3}" | grep -q "$2" || wrong "sluice devices ${*:3} does not show $2"
    [ "$(SLUICE_SIMT_DEVICES=$1 "$sluice" devices --json "${@:3}" | grep -c '"name": "cuda:')" = "$1" ] || wrong "devices --json"
}

# Device memory makes blocks smaller too, and the rows of a block need not fit it.
blocks() {
    for mem in 1 2 64; do
        SLUICE_SIMT_DEVICES=2 equal f32 mlp "--mem-mib $mem" --mem-mib $mem
        SLUICE_SIMT_DEVICES=2 equal f16 linear "--device-mem-mib $mem" --device-mem-mib $mem
    done
    SLUICE_SIMT_MEM_MIB=1 equal f32 linear "a GPU of 1 MiB"
    for reader in uring pread map; do
        SLUICE_READER=$reader "$sluice" devices >/dev/null 2>&1 || continue
        SLUICE_READER=$reader SLUICE_SIMT_SCHEDULE=late equal f32 linear "reader $reader" --mem-mib 1
    done
}

# Work runs late or shuffled, as far as streams allow: a wait left out shows as another pick.
schedules() {
    for schedule in host late stream shuffle:1 shuffle:2 shuffle:3; do
        for n in 1 3; do
            for head in linear mlp; do
                SLUICE_SIMT_SCHEDULE=$schedule SLUICE_SIMT_DEVICES=$n equal f16 $head "$schedule, $n devices" --mem-mib 1
            done
        done
    done
}

# failing WHAT MUST-NAME OPTIONS...: either the right picks, or an error that names a device, and no file.
failing() {
    rm -rf got
    checks=$((checks + 1))
    if picks got f16 "$head" --devices all --mem-mib 1 "${@:3}" 2>err; then
        for list in margin power-entropy; do same "cpu-f16-$head/$list.csv" got/$list.csv "$1, $list"; done
        return 0
    fi
    grep -q "$2" err || wrong "$1: the message names no device: $(cat err)"
    [ ! -e got ] || wrong "$1: files were left: $(ls got)"
    return 1
}

memory() {
    for head in linear mlp; do
        local whole=0 n
        for n in $(seq 1 60); do
            SLUICE_SIMT_FAIL_MALLOC=$n SLUICE_SIMT_DEVICES=2 failing "allocation $n of $head" "cuda:[01] " && whole=$((whole + 1))
        done
        # Only where the head itself finds no room, nothing helps.
        [ $whole -ge 56 ] || wrong "$head: smaller blocks helped in $whole of 60 cases"
    done
}

faults() {
    head=linear
    for device in 0 1; do
        for n in 1 2 3 5 8; do
            SLUICE_SIMT_FAIL_LAUNCH=$device:$n SLUICE_SIMT_DEVICES=2 failing "launch $n of device $device" "cuda:$device " && [ $n -le 3 ] &&
                wrong "launch $n of device $device failed, the program did not"
        done
    done
}

# Rounds of simulate read the pool again, from the devices where it stays there.
resident() {
    "$make" npy test.npy rows=200 width=36 first=$rows
    "$make" labels some.csv rows=$rows every=20
    "$make" labels test.lab.npy rows=200 first=$rows form=npy
    simulate() {
        rm -rf "$1"
        "$sluice" simulate clean.npy --labels some.csv --test test.npy --test-labels test.lab.npy --strategy margin --start 30 --batch 20 --rounds 3 --seeds 1 --l2 1 --quiet --mem-mib 1 --out "$@" >/dev/null
    }
    simulate want --devices cpu
    for schedule in host late shuffle:4; do
        SLUICE_SIMT_SCHEDULE=$schedule SLUICE_SIMT_DEVICES=2 simulate got --devices all || wrong "simulate: exit code $?"
        cmp <(cut -d, -f1-8 want/curve.csv) <(cut -d, -f1-8 got/curve.csv) >&2 || wrong "simulate, $schedule: curve.csv"
        for file in want/picks/*; do same "$file" "got/${file#want/}" "simulate, $schedule, $file"; done
    done
    for n in 5 40 90; do
        if SLUICE_SIMT_FAIL_MALLOC=$n simulate got --devices all 2>err; then
            for file in want/picks/*; do same "$file" "got/${file#want/}" "simulate, allocation $n fails, $file"; done
        else
            grep -q "cuda:0 " err || wrong "simulate: $(cat err)"
        fi
    done
}

scores() {
    "$sluice" score f32.npy --head mlp.safetensors --score margin,logits,prediction --out want.npy --quiet --devices cpu 2>/dev/null
    for schedule in host late; do
        SLUICE_SIMT_SCHEDULE=$schedule SLUICE_SIMT_DEVICES=2 "$sluice" score f32.npy --head mlp.safetensors --score margin,logits,prediction --out got.npy --quiet --force --mem-mib 1 --devices all 2>/dev/null
        same want.npy got.npy "scores, $schedule"
    done
}

# pick_to FOLDER OPTIONS...: lists become files, a mix one of them.
pick_to() {
    rm -rf "$1" && mkdir "$1" && "${pick[@]}" "${@:2}" --out "$1/${mix:+mix.csv}" && [ -z "$mix" ] || mv "$1/mix.manifest.json" "$1/manifest.json"
}

# tops_like WHAT POOL OPTIONS...: all files as the CPU writes them, for several devices and schedules.
tops_like() {
    local pick=("$sluice" select "$2.npy" --head big.safetensors --same-ids --max-bad 0.1 --seed 3 --quiet --force --mem-mib 1 "${@:3}") n
    pick_to want --devices cpu 2>/dev/null || wrong "$1: the CPU picks nothing"
    for n in 1:late 2:host 3:shuffle:5 8:stream; do
        SLUICE_SIMT_DEVICES=${n%%:*} SLUICE_SIMT_SCHEDULE=${n#*:} pick_to got --devices all 2>err || { wrong "$1, $n: $(cat err)"; continue; }
        for file in want/*; do
            case $file in
            *.json) cmp <(facts want) <(facts got) >&2 || wrong "$1, $n: the manifest" ;;
            *) same "$file" "got/${file#want/}" "$1, $n, ${file#want/}" ;;
            esac
        done
        # Columns come back of the first blocks alone, a byte a row, and the tops.
        checks=$((checks + 1))
        bytes=$(sed -n 's/.*"bytes_back": \([0-9]*\).*/\1/p' got/manifest.json)
        [ "${bytes:-0}" -ge 20000 ] && { [ "$back" = all ] || [ "$bytes" -le $((20000 + ${n%%:*} * back)) ]; } || wrong "$1, $n: ${bytes:-no} bytes came back"
    done
}

# Tops on the devices: many rows, so that buffers are cut back; ties; whatever rows may not be picked or have an id of text.
tops() {
    local rows=20000 back mix=
    "$make" npy big.npy rows=$rows width=36 noise=2 nan=0,17,9000,19999
    "$make" npy ties.npy rows=$rows width=36 noise=0 nan=5,6,7
    "$make" labels big.csv rows=$rows every=100
    "$make" ids big.txt rows=$rows
    "$make" groups big.groups rows=$rows
    "$make" ids out.txt rows=500 first=7000
    "$sluice" train big.npy --labels big.csv --out big.safetensors --quiet --devices cpu 2>/dev/null
    local columns=(--strategy "least-confidence,margin,ratio,entropy,energy")
    back=130000
    tops_like "all scores" big "${columns[@]}" -k 40 --labels big.csv
    tops_like "ids of text" big "${columns[@]}" -k 100 --ids big.txt --exclude out.txt
    back=all
    tops_like "buffers cut back" big "${columns[@]}" -k 1000 --labels big.csv
    tops_like "buffers cut back less" big --strategy margin,entropy,energy -k 3000
    tops_like "as many as there are" big "${columns[@]}" -k 19500 --labels big.csv
    tops_like "ties" ties "${columns[@]}" -k 500 --ids big.txt
    tops_like "ties of rows" ties "${columns[@]}" -k 500
    tops_like "among others" big --strategy margin,power-margin,random,entropy -k 300
    mix=1 tops_like "a mix" big --mix margin:60,random:20,entropy:20 -k 500 --labels big.csv
    tops_like "balance" big --strategy margin,energy --balance -k 300
    tops_like "groups" big --strategy margin,energy --group big.groups --per-group 2 -k 300 --ids big.txt
    tops_like "apart" big --strategy margin,ratio --dedupe 0.3 -k 20
}

run_parts devices blocks schedules memory faults resident scores tops
