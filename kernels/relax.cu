/* relax.cu - distances to the nearest of some rows, after one or more rows, on a GPU.  A warp takes 32 rows, 32
 * features at a time: loads are whole lines, and a lane adds up its own row in the canonical order.  Twin: relax.c. */
#include "cuda.h"
#include "exact.h"
#include "four.h"

namespace {

enum { WARPS = 4, WARP = gpu::WARP, PITCH = WARP + 1 };

/* What a warp measures with. */
struct tile {
    float rows[WARP * PITCH], other[WARP];
};

/* Features k .. k+31 of 32 rows from `first` on, zeros past the last of each: 8 lanes a row, 16 bytes each. */
__device__ __forceinline__ void load_rows(const sluice_view &x, int64_t first, int64_t k, int lane, float *rows)
{
    int at = lane % 8 * 4;
#pragma unroll
    for (int r = lane / 8; r < WARP; r += 4) {
        four v = {};
        if (first + r < x.rows) v = load_four(view_row<const float>(x, first + r) + k + at, x.cols - k - at);
#pragma unroll
        for (int e = 0; e < 4; e++) rows[r * PITCH + at + e] = v.v[e];
    }
}

/* The lane's row of the warp's 32 from `first` on, measured to y; t is the warp's own. */
__device__ __forceinline__ float distance_to(const sluice_view &x, int64_t first, const float *y, tile *t)
{
    int lane = (int)threadIdx.x % WARP;
    float sum = 0;
    for (int64_t k = 0; k < x.cols; k += WARP) {
        load_rows(x, first, k, lane, t->rows);
        t->other[lane] = k + lane < x.cols ? y[k + lane] : 0.0f;
        __syncwarp(); /* the tile is whole; past the last feature equal zeros add 0 */
#pragma unroll
        for (int f = 0; f < WARP; f++) {
            float e = t->rows[lane * PITCH + f] - t->other[f];
            sum = ex_fma(e, e, sum);
        }
        __syncwarp(); /* nobody reads it any more */
    }
    return sum;
}

/* grid ceil(n / (32 WARPS)), block 32 WARPS, 17 KiB. */
/* sass: kernel=relax registers<=80 local=0 ldg128 */
__global__ void __launch_bounds__(WARPS *WARP, 6)
    relax(sluice_view x, const float *y, int64_t count, const int32_t *from, float *distance, int32_t *nearest,
          int32_t index)
{
    __shared__ tile tiles[WARPS];
    int64_t first = (int64_t)blockIdx.x * WARPS * WARP + (int64_t)threadIdx.x / WARP * WARP,
            i = first + (int)threadIdx.x % WARP;
    for (int64_t j = 0; j < count;
         j++) { /* the warp stays together: rows past n and rows that have seen y count as well */
        float c = distance_to(x, first, y + j * x.cols, &tiles[threadIdx.x / WARP]);
        if (i >= x.rows || (from && j < from[i]) || !(c < distance[i])) continue; /* a NaN never is */
        distance[i] = c;
        if (nearest) nearest[i] = index + (int32_t)j;
    }
}

} // namespace

sluice_status cuda_op_relax(sluice_exec *x, const sluice_op_relax_args *a)
{
    op_run r(x, "relax");
    int64_t n = a->x.rows, count = a->count > 1 ? a->count : 1;
    sluice_view rows = r.in(a->x);
    const float *y = r.in(a->y, count * a->x.cols);
    const int32_t *from = r.in(a->from, n);
    float *distance = r.inout(a->distance, n);
    int32_t *nearest = r.inout(a->nearest, n);
    r.launch(relax, blocks(n, WARPS * WARP), WARPS * WARP, 0, rows, y, count, from, distance, nearest, a->index);
    return r.end();
}
