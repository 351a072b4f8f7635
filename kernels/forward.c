/* forward.c - rows times weights plus bias, optional relu.  Contract: sluice_backend.h; the order of every sum:
 * docs/numerics.md.  Few classes: few.c, lanes are rows.  More: many.h, lanes are classes. */
#include "few.h"
#include "many.h"

typedef struct job {
    const sluice_op_forward_args *a;
    float *scratch; /* MANY_SCRATCH floats a thread */
} job;

static void few_classes(void *arg, int64_t first, int64_t last, int thread)
{
    const sluice_op_forward_args *a = ((const job *)arg)->a;
    (void)thread;
    for (int64_t i = first; i < last; i += 16) {
        v16 z[16];
        int64_t n = cpu_min(16, last - i);
        TIER_FN(few_logits)
        (&a->x, a->packed, a->bias, a->c, i, n, z);
        if (a->relu)
            for (int j = 0; j < 16; j++) z[j] = v16_relu(z[j]);
        few_write(z, a->c, n, (char *)a->out.data + (size_t)i * a->out.stride, a->out.stride);
    }
}

static void many_classes(void *arg, int64_t first, int64_t last, int thread)
{
    const job *w = arg;
    const sluice_op_forward_args *a = w->a;
    product p = { &a->x, a->packed, a->bias, a->c, a->relu };
    product_rows(&p, first, last, (char *)a->out.data + (size_t)first * a->out.stride, a->out.stride,
                 w->scratch + (size_t)thread * MANY_SCRATCH);
}

sluice_status TIER_FN(op_forward)(sluice_exec *x, const sluice_op_forward_args *a)
{
    job w = { a, NULL };
    if (a->c <= 16) {
        cpu_parallel(x, a->x.rows, cpu_grain(x, a->x.rows, 16, FEW_GRAIN), few_classes, &w);
        return SLUICE_OK;
    }
    w.scratch = x->scratch(x, (size_t)x->threads * MANY_SCRATCH * sizeof *w.scratch);
    if (!w.scratch) return SLUICE_E_MEMORY;
    cpu_parallel(x, a->x.rows, cpu_grain(x, a->x.rows, TILE_ROWS, MANY_BLOCK), many_classes, &w);
    return SLUICE_OK;
}
