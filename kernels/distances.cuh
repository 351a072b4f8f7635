/* distances.cuh - canonical squared distances between a tile of rows and a tile of others: what nearest.cu and gain.cu
 * begin with.
 *
 * A block has TILE x TILE pairs, a thread EACH x EACH of them, each one chain over ascending features: a difference and a
 * multiply-add.  Both sides lie in shared memory feature after feature, so that a thread reads its four rows and its four
 * others at once; two stages, the next features wait in registers while these are added. */
#ifndef DISTANCES_CUH
#define DISTANCES_CUH

#include "cuda.h"
#include "exact.h"

namespace distances {

enum {
    TILE = 64,
    EACH = 4,
    SIDE = TILE / EACH, /* threads side by side, who share their rows */
    THREADS = SIDE * SIDE,
    DEPTH = 16,              /* features of a stage */
    PIECES = DEPTH / 4,      /* of a row in it; a thread brings one */
    STAGE = 2 * DEPTH * TILE /* floats: rows, then others */
};
static_assert(THREADS == TILE * PIECES, "a stage is one piece of each side a thread");

/* Feature f of row i.  Rows change places in eights from piece to piece: a warp stores four pieces of eight rows, whose
 * banks differ then, and four neighbouring rows stay neighbours. */
__device__ __forceinline__ int place(int f, int i) { return f * TILE + (i ^ f / 4 % 4 * 8); }

/* A thread's piece of one side. */
struct side {
    const float *from; /* next features; the last row stands for those past it, whose distances nobody looks at */
    int to;
    float4 held;

    __device__ __forceinline__ side(const sluice_view &v, int64_t first)
    {
        int piece = (int)threadIdx.x % PIECES, row = (int)threadIdx.x / PIECES;
        int64_t i = first + row < v.rows ? first + row : v.rows - 1;
        from = view_row<const float>(v, i) + 4 * piece;
        to = place(4 * piece, row);
    }
    /* A whole stage.  Rows of op_run::in() begin at multiples of 16 bytes. */
    __device__ __forceinline__ void fetch() { held = *(const float4 *)from, from += DEPTH; }
    /* The last features; those past them are zeros on both sides, which add 0 to a sum of squares. */
    __device__ __forceinline__ void fetch_rest(int64_t left)
    {
        left -= (int)threadIdx.x % PIECES * 4;
        held = make_float4(0, 0, 0, 0);
        if (left > 0) held.x = from[0];
        if (left > 1) held.y = from[1];
        if (left > 2) held.z = from[2];
        if (left > 3) held.w = from[3];
    }
    __device__ __forceinline__ void store(float *stage) const
    {
        float *p = stage + to;
        p[0] = held.x, p[TILE] = held.y, p[2 * TILE] = held.z, p[3 * TILE] = held.w;
    }
};

/* Adds the four features of a piece. */
__device__ __forceinline__ void add_piece(const float *stage, int piece, float sum[EACH][EACH])
{
    int row = (int)threadIdx.x / SIDE * EACH, other = (int)threadIdx.x % SIDE * EACH;
#pragma unroll
    for (int f = 4 * piece; f < 4 * piece + 4; f++) {
        float4 a = *(const float4 *)(stage + place(f, row)),
               b = *(const float4 *)(stage + DEPTH * TILE + place(f, other));
        const float x[EACH] = { a.x, a.y, a.z, a.w }, y[EACH] = { b.x, b.y, b.z, b.w };
#pragma unroll
        for (int i = 0; i < EACH; i++)
#pragma unroll
            for (int j = 0; j < EACH; j++) {
                float e = x[i] - y[j];
                sum[i][j] = ex_fma(e, e, sum[i][j]);
            }
    }
}

__device__ __forceinline__ void add_stage(const float *stage, float sum[EACH][EACH])
{
#pragma unroll
    for (int p = 0; p < PIECES; p++) add_piece(stage, p, sum);
}

/* The thread's distances: of rows row_of(row, i) of x to rows other_of(other, j) of y; NaN where a chain is.  All threads
 * of the block come here, 16 KiB of shared memory. */
__device__ __forceinline__ int64_t row_of(int64_t row, int i) { return row + (int)threadIdx.x / SIDE * EACH + i; }
__device__ __forceinline__ int64_t other_of(int64_t other, int j) { return other + (int)threadIdx.x % SIDE * EACH + j; }

__device__ __forceinline__ void measure(const sluice_view &x, const sluice_view &y, int64_t row, int64_t other,
                                        float sum[EACH][EACH])
{
    __shared__ __align__(16) float stages[2 * STAGE];
    side rows(x, row), others(y, other);
    float *now = stages, *next = stages + STAGE;
#pragma unroll
    for (int i = 0; i < EACH * EACH; i++) sum[i / EACH][i % EACH] = 0;
    int64_t whole = x.cols / DEPTH;
    int rest = (int)(x.cols % DEPTH);
    if (whole) rows.fetch(), others.fetch();
    else rows.fetch_rest(rest), others.fetch_rest(rest);
    rows.store(now), others.store(now + DEPTH * TILE);
    __syncthreads(); /* the first stage is whole */
    for (; whole > 1; whole--) {
        rows.fetch(), others.fetch();
        add_stage(now, sum);
        rows.store(next), others.store(next + DEPTH * TILE);
        __syncthreads(); /* the next stage is whole, and nobody reads this one any more */
        float *t = now;
        now = next, next = t;
    }
#pragma unroll 1
    for (int p = 0; p < PIECES; p++) add_piece(now, p, sum);
    if (whole && rest) { /* the same for the whole block */
        rows.fetch_rest(rest), others.fetch_rest(rest);
        rows.store(next), others.store(next + DEPTH * TILE);
        __syncthreads(); /* the last stage is whole */
#pragma unroll 1
        for (int p = 0; p < PIECES; p++) add_piece(next, p, sum);
    }
    __syncthreads(); /* nobody reads the stages any more: they may be filled anew */
}

} // namespace distances

#endif
