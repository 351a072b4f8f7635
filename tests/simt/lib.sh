# shellcheck shell=bash
# lib.sh - what the runs on emulated GPUs share.  Sourced by SCRIPT SLUICE TOOL_MAKE PLUGIN_DIR [WORD...] with its arguments: sets
# sluice and make, goes to an empty folder; run_parts at the end runs the parts whose name contains a WORD.
[ $# -ge 3 ] || { sed -n '2,4p' "$0"; exit 2; }
sluice=$(realpath -e "$1") && make=$(realpath -e "$2") && SLUICE_PLUGIN_DIR=$(realpath -e "$3") || exit 2
words=("${@:4}")
export sluice make SLUICE_PLUGIN_DIR LC_ALL=C OMP_NUM_THREADS=1
unset SLUICE_CPU SLUICE_READER "${!SLUICE_SIMT_@}"
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failed=0 checks=0

wrong() { echo "WRONG: $*" >&2; failed=$((failed + 1)); }

# What a manifest says but for the run: inputs, hashes, counts, rows not scored.
facts() { sed '/^  "run": {/,/^  }/d' "$1/manifest.json"; }

# run_parts NAME...: functions; the exit code of all.
run_parts() {
    local part word wanted
    for part in "$@"; do
        wanted=$([ ${#words[@]} = 0 ] && echo 1)
        for word in "${words[@]}"; do case $part in *$word*) wanted=1 ;; esac done
        [ "$wanted" = 1 ] && $part
    done
    echo "$checks checks, $failed wrong"
    [ $failed = 0 ] && [ $checks -gt 0 ]
}
