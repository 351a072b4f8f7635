/* dropout.c - zero entries by counter-based masks and rescale, on the CPU.  Contract in sluice_backend.h.
 *
 * Entry j of row i is kept iff the top 24 bits of word j % 4 of draw j / 4, as a fraction of 1, reach the rate. */
#include "cpu.h"
#include "philox.h"

static void dropout_row(const sluice_op_dropout_args *a, int64_t i, float scale)
{
    float *x = (float *)((char *)a->x.data + (size_t)i * a->x.stride);
    uint64_t id = a->step << 32 | (uint32_t)i;
    for (int64_t j = 0; j < a->x.cols; j += 4) {
        uint32_t word[4];
        ex_random4(a->seed, EX_DROPOUT, id, (uint32_t)(j / 4), word);
        for (int64_t k = j; k < cpu_min(j + 4, a->x.cols); k++)
            x[k] = (float)(word[k - j] >> 8) * 0x1p-24f >= a->rate ? x[k] * scale : 0.0f;
    }
}

static void dropout_rows(void *arg, int64_t first, int64_t last, int thread)
{
    const sluice_op_dropout_args *a = arg;
    float scale = 1.0f / (1.0f - a->rate);
    (void)thread;
    for (int64_t i = first; i < last; i++) dropout_row(a, i, scale);
}

sluice_status TIER_FN(op_dropout)(sluice_exec *x, const sluice_op_dropout_args *a)
{
    cpu_parallel(x, a->x.rows, 8, dropout_rows, (void *)(uintptr_t)a);
    return SLUICE_OK;
}
