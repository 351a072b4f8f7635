/* score.cu - how unsure the model is of each row, from logits, on a GPU.  Few classes: a thread per row.  More: 16
 * lanes per row, a lane per partial sum, so that a turn reads 64 neighbouring bytes.  Twin: score.c. */
#include "score.cuh"

enum { THREADS = 128, LANES = 16, ROWS = THREADS / LANES };

/* grid ceil(n / THREADS), block THREADS.  z [n, c], c is C or C - 1. */
/* sass: kernel=score_few local=0 */
template <int C> __global__ static void score_few(sluice_view z, scorer w, int64_t first_row)
{
    int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= z.rows) return; /* nobody waits for this thread */
    const float *row = view_row<const float>(z, i);
    float y[C];
#pragma unroll
    for (int j = 0; j < C; j++) y[j] = j < C - 1 || z.cols == C ? row[j] : 0.0f;
    scorer_write(w, first_row + i, reduce::few<C>(y, (int)z.cols, w.temperature));
}

/* grid ceil(n / ROWS), block THREADS.  z [n, c]; a row is read twice, the second time from cache. */
/* sass: kernel=score_many registers<=40 local=0 */
__global__ static void __launch_bounds__(THREADS, 8) score_many(sluice_view z, scorer w, int64_t first_row)
{
    int64_t i = (int64_t)blockIdx.x * ROWS + threadIdx.x / LANES;
    /* Lanes without a row work on the last one, so that the shuffles stay full. */
    const float *row = view_row<const float>(z, i < z.rows ? i : z.rows - 1);
    ex_stat st = reduce::row<LANES>([row](int j) { return row[j]; }, (int)z.cols, w.temperature);
    if (i < z.rows && threadIdx.x % LANES == 0) scorer_write(w, first_row + i, st);
}

void score_rows(op_run &r, const sluice_view &z, const scorer &w, int64_t first_row)
{
    if (z.cols > 16) return r.launch(score_many, blocks(z.rows, ROWS), THREADS, 0, z, w, first_row);
    with_classes(z.cols, [&](auto classes) {
        r.launch(score_few<decltype(classes)::value>, blocks(z.rows, THREADS), THREADS, 0, z, w, first_row);
    });
}

sluice_status cuda_op_score(sluice_exec *x, const sluice_op_score_args *a)
{
    op_run r(x, "score");
    sluice_view z = r.in(a->logits);
    scorer w = scorer_new(r, a->out, z.rows, z.cols, a->temperature);
    score_rows(r, z, w, 0);
    return r.end();
}
