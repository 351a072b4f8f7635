/* gain.cu - what each row would add to how well some rows are covered, on a GPU.  A block takes TILE rows of x and TILE of
 * y, a thread 4 x 4 pairs of them, each a chain over ascending features; sums are integers, so atomic adds leave no trace
 * of their order.  Twin: gain.c. */
#include "cuda.h"
#include "exact.h"

namespace {

enum { TILE = 64, DEPTH = 16, SIDE = 16, OWN = TILE / SIDE, THREADS = SIDE * SIDE, PITCH = TILE + 1 };

/* Features k .. k+DEPTH-1 of rows first .. first+TILE-1; what lies outside is 0 and is not stored later. */
__device__ void load_tile(const sluice_view &v, int64_t first, int64_t k, float *tile)
{
    for (int t = (int)threadIdx.x; t < TILE * DEPTH; t += THREADS) {
        int row = t / DEPTH, f = t % DEPTH;
        bool inside = first + row < v.rows && k + f < v.cols;
        tile[f * PITCH + row] = inside ? view_row<const float>(v, first + row)[k + f] : 0.0f;
    }
}

__device__ float kernel_of(sluice_kernel kernel, float scale, float c)
{
    return kernel == SLUICE_HAT ? (c < scale ? 1.0f : 0.0f) : ex_exp(-(c / scale));
}

/* grid (ceil(n / TILE), ceil(p / TILE)), block THREADS, shared 2 DEPTH PITCH floats. */
__global__ void __launch_bounds__(THREADS) gain(sluice_view x, sluice_view y, sluice_kernel kernel, float scale,
                                                const float *kept, const float *weight, int64_t *out)
{
    __shared__ float xs[DEPTH * PITCH], ys[DEPTH * PITCH];
    int row = (int)threadIdx.x / SIDE, col = (int)threadIdx.x % SIDE;
    int64_t first = (int64_t)blockIdx.x * TILE, other = (int64_t)blockIdx.y * TILE;
    float sum[OWN][OWN] = {};
    for (int64_t k = 0; k < x.cols; k += DEPTH) {
        load_tile(x, first, k, xs), load_tile(y, other, k, ys);
        __syncthreads(); /* the tiles are whole */
        for (int f = 0; f < DEPTH && k + f < x.cols; f++)
            for (int a = 0; a < OWN; a++)
                for (int b = 0; b < OWN; b++) {
                    float e = xs[f * PITCH + row + SIDE * a] - ys[f * PITCH + col + SIDE * b];
                    sum[a][b] = ex_fma(e, e, sum[a][b]);
                }
        __syncthreads(); /* nobody reads them any more */
    }
    for (int a = 0; a < OWN; a++) {
        int64_t i = first + row + SIDE * a, total = 0;
        for (int b = 0; b < OWN; b++) {
            int64_t j = other + col + SIDE * b;
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
    grid.y = blocks(a->y.rows, TILE).x; /* p <= 2^22: at most 65,536 */
    r.launch(gain, grid, THREADS, 0, rows, covered, a->kernel, a->scale, kept, weight, out);
    return r.end();
}
