/* spread.c - k-center greedy: again and again the candidate that is farthest from all labelled rows and picks so far.  Sener
 * & Savarese, "Active learning for convolutional neural networks: a core-set approach", ICLR 2018; within twice the best
 * radius (Gonzalez 1985).
 *
 * Nothing labelled: the first pick is the first candidate, and it is kept.  Candidates that lie on a pick have distance 0
 * and come last, each once.  Picks that the batch has already are kept and count as such: other rules end with this one.
 * A pick's score is its distance when it was picked; the first of nothing gets infinity. */
#include "batch.h"
#include "exact.h"

static sluice_status relax(sluice *s, const batch *b, int64_t i, float *distance)
{
    return sluice_op_relax(s, &(sluice_op_relax_args){ .x = sluice_rows(b->x, SLUICE_F32, b->n, b->d),
                                                       .y = b->x + i * b->d,
                                                       .distance = distance });
}

sluice_status rule_spread(sluice *s, batch *b)
{
    sluice_status st = SLUICE_OK;
    float *distance = NULL; /* squared, to the nearest row that is labelled or picked */
    if (batch_full(b)) return SLUICE_OK;
    TRY_NEW(distance, RAW(s, b->n, float));
    TRY(nearest_distances(s, b->x, b->n, b->labelled, b->m, b->d, distance));
    for (int64_t j = 0; j < b->picked; j++) TRY(relax(s, b, b->pick[j], distance));
    for (int64_t i; !batch_full(b) && (i = batch_best(b, distance)) >= 0;) {
        batch_take(b, i, ex_sqrt(distance[i]));
        TRY(relax(s, b, i, distance));
    }
out:
    mem_free(distance);
    return st;
}
