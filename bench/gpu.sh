#!/usr/bin/env bash
# gpu.sh [SECONDS] - the benches on a real card, self-contained, within SECONDS (600): prints the card, builds for it, and
# measures the scan with the pool in device memory beside the card's own limits (copy bandwidth, FMA rate, cuBLAS's product
# alone), `sluice_select` end to end, and torch's ways where torch is.  Without a GPU or nvcc it says so and ends well.
#
# Aims: few classes at least 85% of the limit, which is ratio 1.18; many-f32 at least 75% of the FMA rate, ratio 1.33, and
# at most 1.11 of cuBLAS's time; fast at most 1.3 of it.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
limit=${1:-600}
build=build/gpu
export SLUICE_PLUGIN_DIR=$PWD/$build/cuda
PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin
failed=0

skip() { echo "gpu-bench: skipped: $*"; exit 0; }

# timed COMMAND...: runs it within what is left of the time.
timed() {
    local left=$((limit - SECONDS)) code
    if [ "$left" -lt 5 ]; then echo "not run, the time was over: $*"; return; fi
    timeout -k 5 "$left" "$@"
    code=$?
    [ $code = 0 ] || { echo "FAIL (exit code $code): $*"; failed=1; }
}

nvidia-smi -L 2>/dev/null | grep -q GPU || skip "nvidia-smi shows no GPU on this machine"
command -v nvcc >/dev/null || skip "there is a GPU, but no nvcc to build the plug-in"
cmake/deps.sh build test || echo "not every package could be installed: going on with what is here"

echo "== the card"
nvidia-smi --query-gpu=index,name,memory.total,driver_version,compute_cap,clocks.max.sm,clocks.max.mem,power.limit --format=csv
nvcc --version | tail -n 2
echo "commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"

log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
if ! { cmake --preset cuda -B $build -DSLUICE_CUDA_ARCHITECTURES=native -DSLUICE_BENCH=ON &&
       cmake --build $build -j "$(nproc)" --target bench_scan bench_top bench_forward bench_select gpu_limits sluice_cuda sluice_program; } >"$log" 2>&1; then
    tail -n 40 "$log"
    exit 1
fi
echo "built after $SECONDS s"
$build/sluice devices

echo "== scan: all scores and the top 1000, the pool in device memory"
timed $build/bench/bench_scan --devices cuda:0 --runs 9

echo "== top and forward alone"
timed $build/bench/bench_top --devices cuda:0 --runs 5
timed $build/bench/bench_forward --devices cuda:0 --runs 9

echo "== sluice_select end to end: pool in host memory, page cache, disk"
timed $build/bench/bench_select --devices cuda:0 --runs 5

echo "== torch on the same card"
python=build/peers/bin/python
[ -x $python ] || python=python3
if [ -e bench/peers/torch_gpu.py ] && $python -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    timed $python bench/peers/torch_gpu.py
else
    echo "no torch with CUDA here (bench/peers/setup.sh installs it into build/peers)"
fi
nvidia-smi --query-gpu=name,clocks.sm,clocks.mem,temperature.gpu,power.draw --format=csv,noheader
echo "$SECONDS s"
exit $failed
