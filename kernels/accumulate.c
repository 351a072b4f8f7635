/* accumulate.c - sums of rows in cells on the CPU.  Contract: sluice_backend.h.
 *
 * A thread owns a span of the columns for all rows, so no sum is shared. */
#include "cpu.h"
#include "exact.h"

enum { SPAN = 64 }; /* columns: 256 bytes of a row, 512 of a sum */

static void add_row(const float *x, double factor, int64_t n, int64_t *sum)
{
    for (int64_t k = 0; k < n; k++) sum[k] += ex_round64((double)x[k] * factor);
}

static void accumulate_span(void *arg, int64_t first, int64_t last, int thread)
{
    const sluice_op_accumulate_args *a = arg;
    int64_t d = a->x.cols;
    (void)thread;
    for (int64_t span = first; span < last; span++)
        for (int64_t i = 0; i < a->x.rows; i++) {
            int64_t k = span * SPAN;
            double factor = (a->weight ? (double)a->weight[i] : 1.0) * 0x1p40;
            const float *row = (const float *)(const void *)((const char *)a->x.data + (size_t)i * a->x.stride);
            if (a->cell[i] >= 0) add_row(row + k, factor, cpu_min(SPAN, d - k), a->sum + a->cell[i] * d + k);
        }
}

sluice_status TIER_FN(op_accumulate)(sluice_exec *x, const sluice_op_accumulate_args *a)
{
    for (int64_t i = 0; i < a->x.rows; i++)
        if (a->cell[i] >= 0) a->mass[a->cell[i]] += ex_round64((a->weight ? (double)a->weight[i] : 1.0) * 0x1p40);
    cpu_parallel(x, (a->x.cols + SPAN - 1) / SPAN, 1, accumulate_span, (void *)(uintptr_t)a);
    return SLUICE_OK;
}
