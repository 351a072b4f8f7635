#!/bin/sh
# headers.sh - kernels/exact.h, philox.h and uncertainty.h compile alone as C17, C++17 and, where nvcc is
# installed, CUDA, without a warning.  Usage: headers.sh KERNELS_FOLDER C_COMPILER
set -eu
kernels=$1
cc=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/use.inc" <<'EOF'
#include "HEADER.h"
#ifdef SLUICE_UNCERTAINTY_H
float use_uncertainty(const float *z, int64_t c);
float use_uncertainty(const float *z, int64_t c)
{
    ex_stat st = ex_reduce(z, c, 1.5f);
    return ex_margin(st) + ex_ratio(st) + ex_entropy(st, ex_log((float)c)) + ex_energy(st, 1.5f) +
           ex_least_confidence(st) + ex_confidence(st);
}
#endif
#ifdef SLUICE_PHILOX_H
float use_philox(uint64_t id);
float use_philox(uint64_t id)
{
    uint32_t r[4];
    ex_random4(id, EX_GUMBEL, id, 0, r);
    return ex_gumbel((uint64_t)r[0] << 32 | r[1]);
}
#endif
float use_exact(float x);
float use_exact(float x)
{
    float p[16] = { x };
    return ex_sqrt(x) + ex_fold16(p) + ex_f16_to_f32(ex_f32_to_f16(x)) + ex_bf16_to_f32(ex_f32_to_bf16(x)) +
           ex_order_score(ex_order_key(x)) + (float)ex_hash64(1, 2) + ex_log1p(x) + ex_fma(x, x, x);
}
#ifdef __CUDACC__
__global__ void kernel(const float *z, float *out)
{
    out[0] = ex_sqrt(z[0]) + ex_exp(z[0]) + ex_log1p(z[1]) + ex_order_score(ex_order_key(z[2]));
#ifdef SLUICE_UNCERTAINTY_H
    out[1] = ex_margin(ex_reduce(z, 10, 1.0f));
#endif
#ifdef SLUICE_PHILOX_H
    out[2] = ex_gumbel((uint64_t)z[0]);
#endif
}
#endif
EOF

warn="-Wall -Wextra -Wpointer-arith -Werror -ffp-contract=off"
case $(basename "$cc") in clang*) cxx=clang++ ;; *) cxx=g++ ;; esac
for header in exact philox uncertainty; do
    for ext in c cc cu; do sed "s/HEADER/$header/" "$work/use.inc" > "$work/$header.$ext"; done
    "$cc" -std=c17 -O2 $warn -I "$kernels" -c "$work/$header.c" -o "$work/o"
    if command -v "$cxx" > "$work/null"; then
        "$cxx" -std=c++17 -O2 $warn -I "$kernels" -c "$work/$header.cc" -o "$work/o"
    else
        echo "headers: no $cxx, the C++ check is skipped"
    fi
    if command -v nvcc > "$work/null"; then
        nvcc -std=c++17 --fmad=false -prec-div=true -prec-sqrt=true -ftz=false -Werror all-warnings \
            -Xcompiler -Wall,-Wextra,-ffp-contract=off -I "$kernels" -c "$work/$header.cu" -o "$work/o"
    else
        echo "headers: no nvcc, the CUDA check is skipped"
    fi
done
