#!/bin/sh
# lint.sh BUILD - format, clang-tidy and shellcheck over the tree; what the compilers warn about is an error there already.
set -eu
build=$1
sources=$(git ls-files '*.c' '*.h' '*.cu' '*.cuh' '*.cpp')
# shellcheck disable=SC2086
clang-format --dry-run --Werror $sources
git ls-files 'kernels/*.c' 'host/*.c' | xargs -P "$(nproc)" -n 8 clang-tidy --quiet -p "$build" --warnings-as-errors='*' 2>/dev/null
git ls-files '*.sh' '.ci/run' | xargs shellcheck -S warning
echo "lint: clean"
