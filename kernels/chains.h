/* chains.h - the register tile under the exact products of a GPU: product.cu, conv.cu.
 *
 * A thread owns M x N whole sums, each one chain of fma over k ascending, so that the shape of the tile never shows in
 * the bits.  The operands of a k lie in shared memory side by side: M of one, N of the other, each at a multiple of its
 * own size, so that they come in one load (of 4, 8 or 16 bytes) each. */
#ifndef CHAINS_H
#define CHAINS_H

#include "exact.h"
#include "gpu.h"

template <int N> __device__ __forceinline__ void load_together(const float *p, float *out)
{
    static_assert(N == 1 || N == 2 || N == 4, "one load");
    if (N == 1) out[0] = p[0];
    if (N == 2) {
        float2 v = *(const float2 *)p;
        out[0] = v.x, out[1 % N] = v.y;
    }
    if (N == 4) {
        float4 v = *(const float4 *)p;
        out[0] = v.x, out[1 % N] = v.y, out[2 % N] = v.z, out[3 % N] = v.w;
    }
}

template <int M, int N> struct chains {
    float sum[M][N];

    /* Terms of k = 0 .. CHUNK-1 or count-1: k's operands at a + k * a_pitch and b + k * b_pitch. */
    template <int CHUNK> __device__ __forceinline__ void add(const float *a, int a_pitch, const float *b, int b_pitch)
    {
#pragma unroll
        for (int k = 0; k < CHUNK; k++) add_one(a + k * a_pitch, b + k * b_pitch);
    }
    __device__ __forceinline__ void add(const float *a, int a_pitch, const float *b, int b_pitch, int count)
    {
#pragma unroll 1
        for (int k = 0; k < count; k++) add_one(a + k * a_pitch, b + k * b_pitch);
    }

  private:
    __device__ __forceinline__ void add_one(const float *a, const float *b)
    {
        float p[M], q[N];
        load_together<M>(a, p), load_together<N>(b, q);
#pragma unroll
        for (int i = 0; i < M; i++)
#pragma unroll
            for (int j = 0; j < N; j++) sum[i][j] = ex_fma(p[i], q[j], sum[i][j]);
    }
};

#endif
