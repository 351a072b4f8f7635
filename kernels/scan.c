/* scan.c - forward and score in one go: logits stay in registers (few classes) or in a thread's scratch.  The bits
 * are those of forward.c followed by score.c: the parts are the same.  Contract: sluice_backend.h. */
#include "few.h"
#include "many.h"
#include "stats.h"

typedef struct job {
    const sluice_op_scan_args *a;
    scorer scores;
    int64_t rows;         /* per piece */
    size_t logits_stride; /* of scratch rows */
    char *scratch;        /* per thread: MANY_SCRATCH floats, then `rows` rows of logits unless the caller takes them */
    size_t scratch_bytes;
} job;

static void few_classes(void *arg, int64_t first, int64_t last, int thread)
{
    const job *w = arg;
    const sluice_op_scan_args *a = w->a;
    (void)thread;
    for (int64_t i = first; i < last; i += 16) {
        v16 z[16];
        int64_t n = cpu_min(16, last - i);
        TIER_FN(few_logits)
        (&a->x, a->packed, a->bias, a->c, i, n, z);
        scorer_write(&w->scores, i, n, stats_few(z, (int)a->c, a->temperature));
        if (a->logits.data)
            few_write(z, a->c, n, (char *)a->logits.data + (size_t)i * a->logits.stride, a->logits.stride);
    }
}

static void many_classes(void *arg, int64_t first, int64_t last, int thread)
{
    const job *w = arg;
    const sluice_op_scan_args *a = w->a;
    product p = { &a->x, a->packed, a->bias, a->c, 0 };
    char *scratch = w->scratch + (size_t)thread * w->scratch_bytes;
    char *z = scratch + MANY_SCRATCH * sizeof(float);
    size_t stride = w->logits_stride;
    if (a->logits.data) stride = a->logits.stride, z = (char *)a->logits.data + (size_t)first * stride;
    product_rows(&p, first, last, z, stride, (float *)(void *)scratch);
    for (int64_t i = first; i < last; i += 16) {
        int64_t n = cpu_min(16, last - i);
        logit_rows l = logit_rows_at(z + (size_t)(i - first) * stride, stride, n, a->c, a->temperature);
        scorer_write(&w->scores, i, n, stats_many(&l));
    }
}

/* Rows per piece: a whole block, or fewer so that a thread's logits stay below 64 MiB. */
static int64_t piece_rows(const sluice_exec *x, const sluice_op_scan_args *a, size_t stride)
{
    int64_t fit = (int64_t)(((size_t)64 << 20) / stride) / TILE_ROWS * TILE_ROWS;
    int64_t most = cpu_min(MANY_BLOCK, fit > 0 ? fit : TILE_ROWS);
    return cpu_grain(x, a->x.rows, TILE_ROWS, most);
}

sluice_status TIER_FN(op_scan)(sluice_exec *x, const sluice_op_scan_args *a)
{
    job w = { .a = a, .scores = scorer_new(&a->out, a->c, a->temperature) };
    if (a->c <= 16) {
        cpu_parallel(x, a->x.rows, cpu_grain(x, a->x.rows, 16, FEW_GRAIN), few_classes, &w);
        return SLUICE_OK;
    }
    w.logits_stride = cpu_lines((size_t)a->c * sizeof(float));
    if (w.logits_stride % 1024 == 0) w.logits_stride += 64; /* rows must not share their cache sets */
    w.rows = piece_rows(x, a, w.logits_stride);
    w.scratch_bytes = MANY_SCRATCH * sizeof(float) + (a->logits.data ? 0 : (size_t)w.rows * w.logits_stride);
    w.scratch = x->scratch(x, (size_t)x->threads * w.scratch_bytes);
    if (!w.scratch) return SLUICE_E_MEMORY;
    cpu_parallel(x, a->x.rows, w.rows, many_classes, &w);
    return SLUICE_OK;
}
