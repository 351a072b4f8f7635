/* relax.cu - distances to the nearest of some rows, after one more row, on a GPU.  A warp takes 32 rows, 32 features at a
 * time: loads are whole lines, and a lane adds up its own row in the canonical order.  Twin: relax.c. */
#include "cuda.h"
#include "exact.h"

namespace {

enum { WARPS = 4, PITCH = gpu::WARP + 1 };

/* grid ceil(n / (32 WARPS)), block 32 WARPS. */
__global__ void __launch_bounds__(WARPS *gpu::WARP)
    relax(sluice_view x, const float *y, float *distance, int32_t *nearest, int32_t index)
{
    __shared__ float tiles[WARPS][gpu::WARP * PITCH];
    int lane = (int)threadIdx.x % gpu::WARP;
    float *tile = tiles[threadIdx.x / gpu::WARP], sum = 0;
    int64_t first = (int64_t)blockIdx.x * WARPS * gpu::WARP + (int64_t)threadIdx.x / gpu::WARP * gpu::WARP,
            i = first + lane;
    for (int64_t k = 0; k < x.cols; k += gpu::WARP) {
        for (int r = 0; r < gpu::WARP; r++)
            if (first + r < x.rows && k + lane < x.cols)
                tile[r * PITCH + lane] = view_row<const float>(x, first + r)[k + lane];
        __syncwarp(); /* the tile is whole */
        for (int f = 0; f < gpu::WARP && k + f < x.cols && i < x.rows; f++) {
            float e = tile[lane * PITCH + f] - y[k + f];
            sum = ex_fma(e, e, sum);
        }
        __syncwarp(); /* nobody reads it any more */
    }
    if (i < x.rows && sum < distance[i]) { /* a NaN never is */
        distance[i] = sum;
        if (nearest) nearest[i] = index;
    }
}

} // namespace

sluice_status cuda_op_relax(sluice_exec *x, const sluice_op_relax_args *a)
{
    op_run r(x, "relax");
    int64_t n = a->x.rows;
    sluice_view rows = r.in(a->x);
    const float *y = r.in(a->y, a->x.cols);
    float *distance = r.inout(a->distance, n);
    int32_t *nearest = r.inout(a->nearest, n);
    r.launch(relax, blocks(n, WARPS * gpu::WARP), WARPS * gpu::WARP, 0, rows, y, distance, nearest, a->index);
    return r.end();
}
