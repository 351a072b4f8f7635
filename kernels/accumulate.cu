/* accumulate.cu - sums of rows in cells on a GPU: a thread per element, atomic adds of integers.  Twin: accumulate.c. */
#include "cuda.h"

namespace {

enum { THREADS = 256 };

/* Two's complement: adding as unsigned is adding as signed. */
__device__ void add(int64_t *sum, double v)
{
    atomicAdd((unsigned long long *)sum, (unsigned long long)(long long)rint(v));
}

/* grid ceil(n (d + 1) / THREADS), block THREADS.  The last column of a row is its mass.  An atomic addition of 8 bytes for
 * 4 that are read: wider loads would not be felt. */
/* sass: kernel=accumulate registers<=40 local=0 */
__global__ void accumulate(sluice_view x, const int32_t *cell, const float *weight, int64_t *sum, int64_t *mass)
{
    int64_t t = (int64_t)blockIdx.x * THREADS + threadIdx.x, i = t / (x.cols + 1), k = t % (x.cols + 1);
    if (i >= x.rows || cell[i] < 0) return;
    double factor = (weight ? (double)weight[i] : 1.0) * 0x1p40;
    if (k == x.cols) add(&mass[cell[i]], factor);
    else add(&sum[cell[i] * x.cols + k], (double)view_row<const float>(x, i)[k] * factor);
}

} // namespace

sluice_status cuda_op_accumulate(sluice_exec *x, const sluice_op_accumulate_args *a)
{
    op_run r(x, "accumulate");
    int64_t n = a->x.rows, d = a->x.cols;
    sluice_view rows = r.in(a->x);
    const int32_t *cell = r.in(a->cell, n);
    const float *weight = r.in(a->weight, n);
    int64_t *sum = r.inout(a->sum, a->cells * d), *mass = r.inout(a->mass, a->cells);
    r.launch(accumulate, blocks(n * (d + 1), THREADS), THREADS, 0, rows, cell, weight, sum, mass);
    return r.end();
}
