/* tops.c - see tops.h.
 *
 *     memory   | states | entries of the first | entries of the second | ... | columns |
 *
 * What has come home leaves the device, but the thresholds stay: as many better rows are known.
 *
 * A buffer has room for twice the rows wanted and a block: it is cut back once in so many rows that come before the worst
 * of the best. */
#include "tops.h"
#include "backends.h"
#include "device.h"

enum { LEAST_ROOM = 64 };

static size_t rounded(size_t bytes) { return (bytes + 255) & ~(size_t)255; }

static int64_t capacity(const top_plan *plan, int i)
{
    int64_t room = plan->rows < LEAST_ROOM ? LEAST_ROOM : plan->rows;
    return 2 * plan->to[i]->top.k + room;
}

/* Where each part lies; of memory NULL only their bytes count.  state: what the device's states are to be. */
static size_t lay_out(const top_plan *plan, unsigned reads, char *memory, sluice_top_state *state, tops *out)
{
    size_t used = rounded((size_t)plan->count * sizeof *state);
    for (int i = 0; i < plan->count; i++) {
        const sluice_top_state *top = &plan->to[i]->top;
        int64_t room = capacity(plan, i);
        if (memory)
            state[i] = (sluice_top_state){
                .entries = (void *)(memory + used), .k = top->k, .capacity = room, .seed = top->seed
            };
        used += rounded((size_t)room * sizeof(sluice_entry));
    }
    for (int j = 0; j < COLUMN_COUNT; j++) {
        if (!(reads >> j & 1)) continue;
        if (memory) out->column[j] = (void *)(memory + used);
        used += rounded((size_t)plan->rows * sizeof(float));
    }
    return used;
}

size_t tops_bytes(const top_plan *plan, unsigned reads) { return lay_out(plan, reads, NULL, NULL, NULL); }

sluice_status tops_init(sluice *s, tops *t, const top_plan *plan, unsigned reads)
{
    sluice_status st = SLUICE_OK;
    sluice_top_state *state = NULL;
    *t = (tops){ 0 };
    TRY_NEW(state, NEW(s, plan->count, sluice_top_state));
    TRY_NEW(t->score, NEW(s, plan->count, const float *));
    TRY_NEW(t->memory, dev_new(s, (int64_t)tops_bytes(plan, reads), 1));
    lay_out(plan, reads, t->memory, state, t);
    t->state = t->memory;
    TRY(exec_wait(s, dev_copy(s, t->state, state, (size_t)plan->count * sizeof *state)));
    for (int i = 0; i < plan->count; i++) t->score[i] = t->column[plan->from[i]];
    t->plan = plan;
out:
    mem_free(state);
    if (st) tops_release(s, t);
    return st;
}

void tops_release(sluice *s, tops *t)
{
    dev_free(s, t->memory);
    mem_free(t->score);
    *t = (tops){ 0 };
}

static sluice_status run(sluice *s, const tops *t, int64_t first_row, int64_t n, bool finish)
{
    const top_plan *plan = t->plan;
    return sluice_op_top(s, &(sluice_op_top_args){ .count = plan->count,
                                                   .score = t->score,
                                                   .ids = plan->ids ? plan->ids + first_row : NULL,
                                                   .n = n,
                                                   .first_row = first_row,
                                                   .skip = plan->skip,
                                                   .state = t->state,
                                                   .finish = finish });
}

sluice_status tops_add(sluice *s, const tops *t, int64_t first_row, int64_t n)
{
    return run(s, t, first_row, n, false);
}

static sluice_status bring_one(sluice *s, const sluice_top_state *from, candidates *to)
{
    sluice_status st = SLUICE_OK;
    sluice_entry *e = NULL;
    TRY_NEW(e, RAW(s, from->count, sluice_entry));
    TRY(exec_wait(s, dev_copy(s, e, from->entries, (size_t)from->count * sizeof *e)));
    for (int64_t i = 0; i < from->count; i++) TRY(candidates_offer(s, to, &e[i]));
out:
    mem_free(e);
    return st;
}

sluice_status tops_bring_home(sluice *s, const tops *t, double *out_bytes)
{
    sluice_status st = SLUICE_OK;
    int count = t->plan->count;
    sluice_top_state *state = NULL;
    TRY_NEW(state, RAW(s, count, sluice_top_state));
    TRY(run(s, t, 0, 0, true));
    TRY(exec_wait(s, dev_copy(s, state, t->state, (size_t)count * sizeof *state)));
    for (int i = 0; i < count; i++) {
        TRY(bring_one(s, &state[i], t->plan->to[i]));
        *out_bytes += (double)((size_t)state[i].count * sizeof(sluice_entry));
        state[i].count = 0;
    }
    TRY(exec_wait(s, dev_copy(s, t->state, state, (size_t)count * sizeof *state)));
out:
    mem_free(state);
    return st;
}
