#!/usr/bin/env bash
# gpu.sh [SECONDS] - the CUDA plug-in on a real card, self-contained, within SECONDS (600): prints the card, builds for it,
# runs every op test bit for bit against the CPU, compares picks end to end, and runs the op tests under
# compute-sanitizer's four tools.  Without a GPU or nvcc it says so and ends well: nothing was tested.
#
# What no longer fits into the time is listed as not run; a tool that is cut off after its share of the time found no error
# until then, and is listed as cut.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
limit=${1:-600}
build=build/gpu
export SLUICE_PLUGIN_DIR=$PWD/$build/cuda OMP_WAIT_POLICY=passive
PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin
passed=0 failed=0 cut=() missed=()

left() { echo $((limit - SECONDS)); }
skip() { echo "gpu-test: skipped: $*"; exit 0; }

# judge NAME CODE LOG: counts it; shows the end of the log of a failure.
judge() {
    case $2 in
    0) passed=$((passed + 1)) ;;
    124 | 137) cut+=("$1") ;;
    *) failed=$((failed + 1)); echo "FAIL $1 (exit code $2)"; tail -n 8 "$3" ;;
    esac
}

# bounded SECONDS NAME COMMAND...: runs it within that time, or what is left of ours.
bounded() {
    local share=$1 name=$2 log=$work/log
    shift 2
    [ "$share" -le "$(left)" ] || share=$(left)
    if [ "$share" -lt 2 ]; then missed+=("$name"); return; fi
    timeout -k 5 "$share" "$@" >"$log" 2>&1
    judge "$name" $? "$log"
}

nvidia-smi -L 2>/dev/null | grep -q GPU || skip "nvidia-smi shows no GPU on this machine"
command -v nvcc >/dev/null || skip "there is a GPU, but no nvcc to build the plug-in"
cmake/deps.sh build test || echo "not every package could be installed: going on with what is here"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

echo "== the card"
nvidia-smi --query-gpu=index,name,memory.total,driver_version,compute_cap,clocks.max.sm,clocks.max.mem --format=csv
nvcc --version | tail -n 2
echo "commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"

echo "== build for this card"
if ! { cmake --preset cuda -B $build -DSLUICE_CUDA_ARCHITECTURES=native &&
       cmake --build $build -j "$(nproc)" --target gpu_tests; } >"$work/log" 2>&1; then
    tail -n 40 "$work/log"
    exit 1
fi
echo "built after $SECONDS s"
$build/sluice devices
$build/tests/tool_plugin "$SLUICE_PLUGIN_DIR/libsluice_cuda.so" | tee "$work/log"
grep -q '^devices:' "$work/log" || { echo "FAIL: the plug-in finds no device"; exit 1; }

echo "== every op on the card against its definition and the CPU's bits"
tests=$(find $build/tests -maxdepth 1 '(' -name 'op_*' -o -name unit_math_fast ')' -type f -executable | sort)
for test in $tests; do
    SLUICE_TEST_CUDA=1 bounded 60 "$(basename "$test")" "$test"
done
SLUICE_TEST_CUDA=1 bounded 60 unit_libraries $build/tests/unit_libraries
echo "$passed passed, $failed failed after $SECONDS s"

echo "== picks end to end, CPU and GPU"
sluice() { "$build/sluice" "$@"; }
# The head, the scores and every list of picks, on the CPU, on one GPU and on all of them.
end_to_end() {
    local pool=$work/pool.npy devices file
    $build/tests/tool_make npy "$pool" rows=20000 width=64 classes=12 type="$1" &&
        $build/tests/tool_make labels "$work/labels.csv" rows=20000 every=40 classes=12 || return 1
    for devices in cpu cuda:0 all; do
        local to=$work/$1-$devices
        mkdir "$to"
        sluice train "$pool" --labels "$work/labels.csv" --devices $devices --out "$to/head" || return 1
        sluice score "$pool" --head "$to/head" --devices $devices --out "$to/scores.npy" || return 1
        sluice select "$pool" --head "$to/head" --strategy margin,entropy,power-margin,kcenter,badge -k 200 \
               --devices $devices --out "$to/picks" || return 1
        for file in head scores.npy picks/margin.csv picks/entropy.csv picks/power-margin.csv picks/kcenter.csv picks/badge.csv; do
            cmp "$work/$1-cpu/$file" "$to/$file" || return 1
        done
    done
}
for type in f32 f16; do
    end_to_end $type >"$work/log" 2>&1
    judge "end to end, $type" $? "$work/log"
done

echo "== compute-sanitizer"
if command -v compute-sanitizer >/dev/null; then
    # The tools slow a kernel down tens of times: what is left of the time is dealt out evenly over the runs still to do.
    tools="memcheck racecheck synccheck initcheck"
    runs=$(($(wc -w <<<"$tools") * $(wc -w <<<"$tests")))
    for tool in $tools; do
        for test in $tests; do
            share=$(($(left) / runs))
            [ $share -ge 5 ] || share=5
            runs=$((runs - 1))
            SLUICE_TEST_CUDA=1 bounded "$share" "$tool $(basename "$test")" \
                compute-sanitizer --tool "$tool" --error-exitcode 99 --kill-on-error yes "$test"
        done
        echo "$tool done after $SECONDS s"
    done
else
    echo "compute-sanitizer is not here: not run"
fi

[ ${#cut[@]} = 0 ] || echo "cut off, without an error until then: ${cut[*]/%/,}"
[ ${#missed[@]} = 0 ] || echo "not run, the time was over: ${missed[*]/%/,}"
echo "$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1), $SECONDS s"
echo "$passed passed, $failed failed, $((${#cut[@]} + ${#missed[@]})) skipped"
[ $failed = 0 ]
