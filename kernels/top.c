/* top.c - the first k rows in the total order (score descending, hash ascending, id ascending), running over blocks.
 * Contract: sluice_backend.h.
 *
 * Rows are filtered by the worst of the k best so far; who passes is appended.  A full buffer is cut back to its k
 * best by quickselect, which gives the next threshold.  The outcome is the k first of all rows seen, whatever the
 * blocks were. */
#include "cpu.h"
#include "top_state.h"

enum { FILTER = 64 };

static int skipped(const uint64_t *skip, int64_t row) { return skip && (skip[row / 64] >> (row % 64) & 1); }

static void offer(const sluice_op_top_args *a, sluice_top_state *t, int64_t i, uint32_t key)
{
    int64_t row = a->first_row + i;
    if (skipped(a->skip, row)) return;
    top_add(t, top_entry(t->seed, a->ids ? a->ids[i] : (uint64_t)row, row, key));
}

/* Whether one of n scores is at least low; false for NaN.  Vectorises. */
static int any_from(const float *score, int64_t n, float low)
{
    int any = 0;
    for (int64_t i = 0; i < n; i++) any |= score[i] >= low;
    return any;
}

static void offer_all(const sluice_op_top_args *a, const float *score, sluice_top_state *t, int64_t first, int64_t last)
{
    for (int64_t i = first; i < last; i++) {
        uint32_t key = ex_order_key(score[i]);
        if (key && (!t->full || key >= t->worst.key)) offer(a, t, i, key);
    }
}

static void add(const sluice_op_top_args *a, const float *score, sluice_top_state *t)
{
    for (int64_t i = 0; i < a->n; i += FILTER) {
        int64_t last = cpu_min(a->n, i + FILTER);
        float low = t->full ? ex_order_score(t->worst.key) : -ex_inf();
        if (any_from(score + i, last - i, low)) offer_all(a, score, t, i, last);
    }
    if (a->finish) top_finish(t);
}

sluice_status TIER_FN(op_top)(sluice_exec *x, const sluice_op_top_args *a)
{
    (void)x;
    for (int j = 0; j < a->count; j++) add(a, a->n ? a->score[j] : NULL, &a->state[j]);
    return SLUICE_OK;
}
