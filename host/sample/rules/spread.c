/* spread.c - k-center greedy: again and again the candidate that is farthest from all labelled rows and picks so far.  Sener
 * & Savarese, "Active learning for convolutional neural networks: a core-set approach", ICLR 2018; within twice the best
 * radius (Gonzalez 1985).
 *
 * Nothing labelled: the first pick is the first candidate, and it is kept.  Candidates that lie on a pick have distance 0
 * and come last, each once.  Picks that the batch has already are kept and count as such: other rules end with this one.
 * A pick's score is its distance when it was picked; the first of nothing gets infinity. */
#include "farthest.h"
#include "exact.h"

sluice_status rule_spread(sluice *s, batch *b)
{
    sluice_status st = SLUICE_OK;
    farthest f = { 0 };
    int64_t i;
    if (batch_full(b)) return SLUICE_OK;
    TRY(farthest_open(s, &f, b));
    for (; !batch_full(b); batch_take(b, i, ex_sqrt(f.distance[i]))) {
        TRY(farthest_find(s, &f, &i));
        if (i < 0) break;
    }
out:
    farthest_close(&f);
    return st;
}
