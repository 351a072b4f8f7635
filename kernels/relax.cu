/* relax.cu - distances to the nearest of some rows, after one or more rows, on a GPU.  A warp takes 32 rows, 32
 * features at a time: loads are whole lines, and a lane adds up its own row in the canonical order.  Twin: relax.c. */
#include "cuda.h"
#include "exact.h"

namespace {

enum { WARPS = 4, PITCH = gpu::WARP + 1 };

/* The lane's row of the warp's 32 from `first` on, measured to y; `tile` is the warp's own. */
__device__ __forceinline__ float distance_to(const sluice_view &x, int64_t first, const float *y, float *tile)
{
    int lane = (int)threadIdx.x % gpu::WARP;
    float sum = 0;
    for (int64_t k = 0; k < x.cols; k += gpu::WARP) {
        for (int r = 0; r < gpu::WARP; r++)
            if (first + r < x.rows && k + lane < x.cols)
                tile[r * PITCH + lane] = view_row<const float>(x, first + r)[k + lane];
        __syncwarp(); /* the tile is whole */
        for (int f = 0; f < gpu::WARP && k + f < x.cols && first + lane < x.rows; f++) {
            float e = tile[lane * PITCH + f] - y[k + f];
            sum = ex_fma(e, e, sum);
        }
        __syncwarp(); /* nobody reads it any more */
    }
    return sum;
}

/* grid ceil(n / (32 WARPS)), block 32 WARPS. */
__global__ void __launch_bounds__(WARPS *gpu::WARP)
    relax(sluice_view x, const float *y, int64_t count, const int32_t *from, float *distance, int32_t *nearest,
          int32_t index)
{
    __shared__ float tiles[WARPS][gpu::WARP * PITCH];
    float *tile = tiles[threadIdx.x / gpu::WARP];
    int64_t first = (int64_t)blockIdx.x * WARPS * gpu::WARP + (int64_t)threadIdx.x / gpu::WARP * gpu::WARP,
            i = first + (int)threadIdx.x % gpu::WARP;
    for (int64_t j = 0; j < count;
         j++) { /* the warp stays together: rows past n and rows that have seen y count as well */
        float c = distance_to(x, first, y + j * x.cols, tile);
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
    r.launch(relax, blocks(n, WARPS * gpu::WARP), WARPS * gpu::WARP, 0, rows, y, count, from, distance, nearest,
             a->index);
    return r.end();
}
