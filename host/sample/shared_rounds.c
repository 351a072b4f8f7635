/* shared_rounds.c - a simulation by several ranks: what can be computed apart is given out, first the head on all labels and the
 * start of each seed, then every strategy of every seed.
 *
 * Each finished round lies in rounds/, as resume.c leaves it for a later start; so the root, which afterwards goes over all
 * rounds as it does alone, finds them and computes only what it does not find.  Nothing that is measured depends on who
 * measured it. */
#include "simulation.h"

typedef sluice_status work_fn(sluice *s, simulation *e, int64_t item);

void rounds_answer(void *user, const sluice_progress *p)
{
    (void)p;
    simulation *e = user;
    comm_rejoin(e->s, e->ranks);
    (void)deal_poll(e->s, &e->deal); /* a failure shows at the next item */
    comm_leave(e->s);
}

static sluice_status give_out(sluice *s, simulation *e, int64_t count, work_fn *work)
{
    sluice_status st = SLUICE_OK;
    deal_begin(s, &e->deal, count, false);
    for (int64_t i;;) {
        TRY(deal_next(s, &e->deal, &i));
        if (i < 0) break;
        TRY(work(s, e, i));
    }
out:
    st = deal_end(s, &e->deal, st);
    return comm_agree(s, st);
}

static sluice_status one_head(sluice *s, simulation *e, int64_t item)
{
    return item ? round_of_start(s, e, (int)item - 1) : round_of_all_labels(s, e);
}

static sluice_status one_strategy(sluice *s, simulation *e, int64_t item)
{
    return rounds_of_seed(s, e, (int)(item / e->strategy_count), (int)(item % e->strategy_count));
}

sluice_status rounds_of_ranks(sluice *s, simulation *e)
{
    sluice_status st = SLUICE_OK;
    e->s = s;
    TRY(give_out(s, e, e->cold ? 1 : 1 + e->a.seeds, one_head));
    TRY(give_out(s, e, (int64_t)e->a.seeds * e->strategy_count, one_strategy));
    e->steps = 0; /* the root goes over all rounds */
out:
    return st;
}
