/* gate.c - gradient through relu on the CPU.  Contract in sluice_backend.h. */
#include "cpu.h"
#include "lanes.h"

static void gate_rows(void *arg, int64_t first, int64_t last, int thread)
{
    const sluice_op_gate_args *a = arg;
    (void)thread;
    for (int64_t i = first; i < last; i++) {
        const float *y = (const float *)((const char *)a->y.data + (size_t)i * a->y.stride);
        float *g = (float *)((char *)a->g.data + (size_t)i * a->g.stride);
        int64_t j = 0;
        for (; j + 16 <= a->g.cols; j += 16) {
            v16 o = v16_load(y + j), closed = v16_gt_select(v16_set1(1.0f), o, v16_zero(), o); /* 0 or o's NaN */
            v16_store(g + j, v16_gt_select(o, v16_zero(), v16_load(g + j), closed));
        }
        for (; j < a->g.cols; j++) g[j] = y[j] > 0.0f ? g[j] : y[j] == y[j] ? 0.0f : y[j];
    }
}

sluice_status TIER_FN(op_gate)(sluice_exec *x, const sluice_op_gate_args *a)
{
    cpu_parallel(x, a->g.rows, 8, gate_rows, (void *)(uintptr_t)a);
    return SLUICE_OK;
}
