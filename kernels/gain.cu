/* gain.cu - what each row would add to how well some rows are covered, on a GPU.  Distances as in
 * distances.cuh; sums are integers, so atomic adds leave no trace of their order.  Twin: gain.c. */
#include "distances.cuh"

namespace {

using distances::EACH;
using distances::THREADS;
using distances::TILE;

__device__ float kernel_of(sluice_kernel kernel, float scale, float c)
{
    return kernel == SLUICE_HAT ? (c < scale ? 1.0f : 0.0f) : ex_exp(-(c / scale));
}

/* grid (ceil(n / TILE), ceil(p / TILE)), block THREADS, 16 KiB. */
/* sass: kernel=gain registers<=64 fp32>=85% local=0 ldg128 */
__global__ void __launch_bounds__(THREADS, 4) gain(sluice_view x, sluice_view y, sluice_kernel kernel, float scale,
                                                   const float *kept, const float *weight, int64_t *out)
{
    int64_t first = (int64_t)blockIdx.x * TILE, other = (int64_t)blockIdx.y * TILE;
    float sum[EACH][EACH];
    distances::measure(x, y, first, other, sum);
#pragma unroll
    for (int a = 0; a < EACH; a++) {
        int64_t i = distances::row_of(first, a), total = 0;
#pragma unroll
        for (int b = 0; b < EACH; b++) {
            int64_t j = distances::other_of(other, b);
            if (j >= y.rows) continue;
            float more = kernel_of(kernel, scale, sum[a][b]) - kept[j];
            if (more > 0) total += (int64_t)rint((weight ? (double)weight[j] : 1.0) * (double)more * 0x1p40);
        }
        if (i < x.rows && total) atomicAdd((unsigned long long *)&out[i], (unsigned long long)total);
    }
}

} // namespace

sluice_status cuda_op_gain(sluice_exec *x, const sluice_op_gain_args *a)
{
    op_run r(x, "gain");
    sluice_view rows = r.in(a->x), covered = r.in(a->y);
    const float *kept = r.in(a->kept, a->y.rows), *weight = r.in(a->weight, a->y.rows);
    int64_t *out = r.inout(a->gain, a->x.rows);
    dim3 grid = blocks(a->x.rows, TILE);
    grid.y = blocks(a->y.rows, TILE).x; /* p <= 2^21: at most 32,768 */
    r.launch(gain, grid, THREADS, 0, rows, covered, a->kernel, a->scale, kept, weight, out);
    return r.end();
}
