/* four.h - four neighbouring floats a thread of a GPU: one 16-byte access, or one by one where the address is not a
 * multiple of 16 or fewer are left. */
#ifndef FOUR_H
#define FOUR_H

#include "gpu.h"

struct four {
    float v[4];
};

__device__ __forceinline__ bool whole_four(const float *p, int64_t left) { return left >= 4 && (size_t)p % 16 == 0; }

/* The values past the `left` first are 0. */
__device__ __forceinline__ four load_four(const float *p, int64_t left)
{
    four r = { { 0, 0, 0, 0 } };
    if (whole_four(p, left)) {
        float4 q = *(const float4 *)p;
        r.v[0] = q.x, r.v[1] = q.y, r.v[2] = q.z, r.v[3] = q.w;
        return r;
    }
#pragma unroll
    for (int e = 0; e < 4; e++)
        if (e < left) r.v[e] = p[e];
    return r;
}

__device__ __forceinline__ void store_four(float *p, const four &r, int64_t left)
{
    if (whole_four(p, left)) {
        *(float4 *)p = make_float4(r.v[0], r.v[1], r.v[2], r.v[3]);
        return;
    }
#pragma unroll
    for (int e = 0; e < 4; e++)
        if (e < left) p[e] = r.v[e];
}

#endif
