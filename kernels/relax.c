/* relax.c - distances to the nearest of some rows, after one more row.  Contract: sluice_backend.h.
 *
 * Lanes are 16 rows, transposed 16 features at a time; bound by reading x.  The next rows are prefetched in the order of
 * their addresses, as in few.c. */
#include "rows.h"

enum { GRAIN = 256 };

/* Asks for 64 of the bytes that follow 16 rows at p, for each 64 of a row. */
V16_FN void prefetch_next(const char *p, size_t stride, int64_t k)
{
    const char *next = p + 16 * stride + 16 * (size_t)k * sizeof(float);
    for (int i = 0; i < 16; i++) v16_prefetch(next + 64 * i);
}

/* Distances of n <= 16 rows from i on. */
V16_FN v16 distances(const sluice_op_relax_args *a, int64_t i, int64_t n)
{
    int64_t d = a->x.cols;
    v16 sum = v16_zero();
    for (int64_t k = 0; k < d; k += 16) {
        int64_t depth = cpu_min(16, d - k);
        v16 x[16];
        for (int64_t r = 0; r < 16; r++) {
            const char *row = view_row(&a->x, i + cpu_min(r, n - 1));
            x[r] = depth == 16 ? row_load(row, SLUICE_F32, k) : row_load_n(row, SLUICE_F32, k, depth);
        }
        v16_transpose(x);
        prefetch_next(view_row(&a->x, i), a->x.stride, k);
        for (int64_t f = 0; f < depth; f++) {
            v16 e = v16_sub(x[f], v16_set1(a->y[k + f]));
            sum = v16_fma(e, e, sum);
        }
    }
    return sum;
}

static void relax_rows(void *arg, int64_t first, int64_t last, int thread)
{
    const sluice_op_relax_args *a = arg;
    (void)thread;
    for (int64_t i = first; i < last; i += 16) {
        int64_t n = cpu_min(16, last - i);
        float c[16];
        v16_store(c, distances(a, i, n));
        for (int64_t r = 0; r < n; r++) {
            if (!(c[r] < a->distance[i + r])) continue; /* a NaN never is */
            a->distance[i + r] = c[r];
            if (a->nearest) a->nearest[i + r] = a->index;
        }
    }
}

sluice_status TIER_FN(op_relax)(sluice_exec *x, const sluice_op_relax_args *a)
{
    cpu_parallel(x, a->x.rows, cpu_grain(x, a->x.rows, 16, GRAIN), relax_rows, (void *)(uintptr_t)a);
    return SLUICE_OK;
}
