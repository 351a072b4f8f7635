/* score.c - how unsure the model is of each row, from logits.  Contract: sluice_backend.h; formulas: uncertainty.h. */
#include "stats.h"

typedef struct job {
    const sluice_op_score_args *a;
    scorer scores;
} job;

static void score_rows(void *arg, int64_t first, int64_t last, int thread)
{
    const job *w = arg;
    const sluice_view *z = &w->a->logits;
    (void)thread;
    for (int64_t i = first; i < last; i += 16) {
        int64_t n = cpu_min(16, last - i);
        logit_rows l = logit_rows_at(view_row(z, i), z->stride, n, z->cols, w->a->temperature);
        scorer_write(&w->scores, i, n, stats_many(&l));
    }
}

sluice_status TIER_FN(op_score)(sluice_exec *x, const sluice_op_score_args *a)
{
    job w = { a, scorer_new(&a->out, a->logits.cols, a->temperature) };
    cpu_parallel(x, a->logits.rows, cpu_grain(x, a->logits.rows, 16, 256), score_rows, &w);
    return SLUICE_OK;
}
