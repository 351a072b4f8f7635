/* widen.cuh - feature rows of any type in pieces of 16 bytes, widened exactly to float.  Twin of rows.h. */
#ifndef WIDEN_CUH
#define WIDEN_CUH

#include "cuda.h"
#include "exact.h"

#include <type_traits>

/* A piece holds piece<T> values. */
template <class T> constexpr int piece = 16 / (int)sizeof(T);

/* Whether sums begin at 0 and meet scale and bias at the end. */
template <class T> constexpr bool is_integer = sizeof(T) == 1;

/* A byte b as float: 2^23 + b has b in its low bits.  One permutation and one addition, where a conversion would
 * take the slow pipe. */
__device__ __forceinline__ float byte_of(uint32_t word, int i, float base)
{
    return ex_float(__byte_perm(word, 0x4b000000u, 0x7650u + (unsigned)i)) - base;
}

__device__ __forceinline__ void widen_word(float, uint32_t u, float *out) { out[0] = ex_float(u); }
__device__ __forceinline__ void widen_word(__half, uint32_t u, float *out)
{
    __half2 h;
    memcpy((void *)&h, &u, sizeof h);
    float2 f = __half22float2(h);
    out[0] = f.x, out[1] = f.y;
}
__device__ __forceinline__ void widen_word(__nv_bfloat16, uint32_t u, float *out)
{
    out[0] = ex_float(u << 16), out[1] = ex_float(u & 0xffff0000u);
}
__device__ __forceinline__ void widen_word(int8_t, uint32_t u, float *out)
{
#pragma unroll
    for (int i = 0; i < 4; i++) out[i] = byte_of(u ^ 0x80808080u, i, 8388736.0f); /* 2^23 + 128 */
}
__device__ __forceinline__ void widen_word(uint8_t, uint32_t u, float *out)
{
#pragma unroll
    for (int i = 0; i < 4; i++) out[i] = byte_of(u, i, 8388608.0f);
}

/* 16-byte aligned, in shared or global memory. */
template <class T> __device__ __forceinline__ void widen(const void *p, float (&out)[piece<T>])
{
    const uint4 u = *(const uint4 *)p;
    const uint32_t word[4] = { u.x, u.y, u.z, u.w };
#pragma unroll
    for (int i = 0; i < 4; i++) widen_word(T(), word[i], out + i * (piece<T> / 4));
}

__device__ __forceinline__ float widen_one(const float *p) { return *p; }
__device__ __forceinline__ float widen_one(const __half *p) { return __half2float(*p); }
__device__ __forceinline__ float widen_one(const __nv_bfloat16 *p) { return __bfloat162float(*p); }
__device__ __forceinline__ float widen_one(const int8_t *p) { return (float)*p; }
__device__ __forceinline__ float widen_one(const uint8_t *p) { return (float)*p; }

/* Calls f with a value of the rows' type. */
template <class F> inline void with_type(sluice_type type, const F &f)
{
    switch (type) {
    case SLUICE_F16: return f(__half());
    case SLUICE_BF16: return f(__nv_bfloat16());
    case SLUICE_I8: return f(int8_t());
    case SLUICE_U8: return f(uint8_t());
    default: return f(float());
    }
}

#endif
