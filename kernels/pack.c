/* pack.c - weights into the layout every product reads: [ceil(c/16)][d][16], so that one load gives 16 classes of a
 * feature.  Contract: sluice_backend.h. */
#include "cpu.h"

#include <string.h> /* memcpy, memset */

/* The 16 classes of a group. */
static void pack_groups(void *arg, int64_t first, int64_t last, int thread)
{
    const sluice_op_pack_args *a = arg;
    int64_t c = a->transpose ? a->w.cols : a->w.rows, d = a->transpose ? a->w.rows : a->w.cols;
    (void)thread;
    for (int64_t g = first; g < last; g++) {
        int64_t lanes = cpu_min(16, c - 16 * g);
        float *out = a->out + 16 * d * g;
        memset(out, 0, (size_t)d * 16 * sizeof *out);
        for (int64_t k = 0; k < d; k++)
            for (int64_t j = 0; j < lanes; j++) {
                int64_t row = a->transpose ? k : 16 * g + j, col = a->transpose ? 16 * g + j : k;
                memcpy(out + 16 * k + j, (const char *)a->w.data + (size_t)row * a->w.stride + 4 * (size_t)col, 4);
            }
    }
}

sluice_status TIER_FN(op_pack)(sluice_exec *x, const sluice_op_pack_args *a)
{
    int64_t c = a->transpose ? a->w.cols : a->w.rows;
    cpu_parallel(x, (c + 15) / 16, 1, pack_groups, (void *)(uintptr_t)a);
    return SLUICE_OK;
}
