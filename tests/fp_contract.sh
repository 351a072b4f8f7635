#!/bin/sh
# fp_contract.sh - no compiler may turn a*b + c into one fused operation: it would change bits (docs/numerics.md).
#
#   fp_contract.sh COMPILER FLAG...              compiles a probe with these flags and disassembles it
#   fp_contract.sh --all compile_commands.json   the same for every distinct set of flags of a build
#
# Only the instruction sets' own names count as fused: vfmadd, vfmsub, vfnmadd, vfnmsub (x86), fmadd, fmla ... (Arm).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/probe.c" <<'EOF'
float scalar(float a, float b, float c) { return a * b + c; }
double wide(double a, double b, double c) { return c - a * b; }
void loop(float *__restrict y, const float *__restrict a, const float *__restrict b)
{
    for (int i = 0; i < 4096; i++) y[i] = a[i] * b[i] + y[i];
}
#ifdef __SSE2__
#include <emmintrin.h>
__m128 intrinsics(__m128 a, __m128 b, __m128 c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
#endif
EOF

# The number of fused instructions that a command makes of the probe.
fused() {
    "$@" -w -c "$work/probe.c" -o "$work/probe.o"
    objdump -d "$work/probe.o" | grep -Eci '[[:space:]](vfn?m(add|sub)|fn?m(add|sub|la|ls))' || true
}

probe() {
    found=$(fused "$@")
    [ "$found" = 0 ] || { echo "fp_contract: $found fused operations from: $*"; exit 1; }
    case " $* " in *' -mfma '*)                      # the probe must be able to see one
        if [ "$(fused "$@" -O2 -ffp-contract=fast)" = 0 ]; then
            echo "fp_contract: nothing is ever seen with: $*"
            exit 1
        fi ;;
    esac
}

if [ "$1" = --all ]; then
    sed -n 's/^ *"command": "\(.*\)",*$/\1/p' "$2" |
        sed 's/\\"/"/g; s/ -o [^ ]*//; s/ -c [^ ]*//' | sort -u > "$work/commands"
    [ -s "$work/commands" ] || { echo "fp_contract: no commands in $2"; exit 1; }
    while read -r command; do
        eval "probe $command"
    done < "$work/commands"
    echo "fp_contract: no fused operation from $(wc -l < "$work/commands") sets of flags"
else
    probe "$@"
fi
