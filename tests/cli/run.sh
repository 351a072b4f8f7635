#!/usr/bin/env bash
# The command-line tests: run.sh [--accept] SLUICE TOOL_MAKE [WORD...]
#
# A case is tests/cli/<command>/<case>.sh, run by bash in an empty folder of its own with lib.sh loaded; beside it lie the
# expected standard output (.out), standard error (.err) and exit code (.exit); a missing file means nothing, or 0.
# Seconds are masked on standard error.  A WORD picks the cases whose name contains it.  --accept writes what came out,
# and the help texts into docs/cli.md: look at the difference before you commit it.
set -u
accept=0
[ "${1:-}" = --accept ] && accept=1 && shift
[ $# -ge 2 ] || { sed -n '2,7p' "$0"; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
SLUICE=$(realpath -e "$1") && TOOL_MAKE=$(realpath -e "$2") || exit 2
shift 2
export SLUICE TOOL_MAKE LC_ALL=C TZ=UTC NO_COLOR=1 TERM=dumb
export OMP_NUM_THREADS=1      # small jobs are faster so, and cases that test threads say --threads
unset SLUICE_CPU SLUICE_PLUGIN_DIR SLUICE_READER SLUICE_HEARTBEAT_S SLUICE_NO_LIBRARIES "${!SLURM_@}" "${!PMI_@}" "${!PMIX_@}" "${!OMPI_COMM_@}"
folder=$(mktemp -d) || exit 1
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
passed=0 failed=0 skipped=0

# A slow machine may show progress.
mask() { sed -E '/^[a-z]+ +[0-9]+%  /d; s/[0-9]+\.[0-9]+ seconds/S seconds/; s/"(ts)":"[^"]*"/"\1":"T"/; s/"seconds":[0-9.]+/"seconds":S/'; }

# same KIND EXPECTED GOT: compares, or accepts.
same() {
    if [ $accept = 1 ]; then
        if [ -s "$3" ]; then cp "$3" "$2"; else rm -f "$2"; fi
    elif [ -e "$2" ]; then
        diff -u "$2" "$3" >&2
    elif [ -s "$3" ]; then
        echo "unexpected $1:" >&2
        head -n 20 "$3" >&2
        return 1
    fi
}

run_case() {
    local case=$1 at=$folder/case base=${1%.sh} code ok=0
    mkdir "$at"
    (cd "$at" && exec bash -c '. "$0"; . "$1"' "$here/lib.sh" "$case") >"$folder/out" 2>"$folder/raw" </dev/null
    code=$?
    mask <"$folder/raw" >"$folder/err"
    printf '%s\n' "$code" >"$folder/exit"
    [ $code = 0 ] && : >"$folder/exit"
    same output "$base.out" "$folder/out" || ok=1
    same "standard error" "$base.err" "$folder/err" || ok=1
    same "exit code" "$base.exit" "$folder/exit" || ok=1
    if grep -n '^WRONG' "$folder/out" >&2; then ok=1; fi
    if find "$at" -name '*.tmp.*' | grep . >&2; then echo "a temporary file was left" >&2; ok=1; fi
    chmod -R u+w "$at"
    rm -rf "$at"
    return $ok
}

for case in "$here"/*/*.sh; do
    name=${case#"$here"/}
    name=${name%.sh}
    wanted=$([ $# = 0 ] && echo 1)
    for word in "$@"; do case $name in *$word*) wanted=1 ;; esac done
    [ "$wanted" = 1 ] || continue
    # The thread sanitizer's own memory lies in files, which a limit on file sizes breaks.
    if [ -n "${SLUICE_NO_LIMITS:-}" ] && grep -q 'limit=' "$case"; then echo "SKIP $name: file size limits" && skipped=$((skipped + 1)) && continue; fi
    if run_case "$case"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $name" >&2; fi
done
if [ $# = 0 ] && [ $accept = 1 ]; then "$here/docs.sh" --accept "$SLUICE"; fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ] && [ $((passed + skipped)) -gt 0 ]
