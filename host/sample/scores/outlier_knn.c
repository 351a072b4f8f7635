/* outlier_knn.c - how far a row is from what has labels.  Sun, Ming, Zhu & Li, "Out-of-distribution detection with deep
 * nearest neighbors", ICML 2022: the distance to the k-th nearest labelled row, both divided by their lengths.
 *
 * k = max(1, min(10, m / (2 c))) of m labelled rows in c classes: with few labels the neighbour must be of the own class (of
 * 100 rows in ten classes k = 10 costs a tenth of the area under the curve, k = 50 a third).  k=N sets it, at most m.
 * A row of zeros stays zeros: its distance to any other row is 1. */
#include "scorer.h"
#include "exact.h"

enum { MOST_NEIGHBOURS = 10, MOST_ASKED = 1000 };

static int64_t neighbours(const scorer *q, const scorer_inputs *in, int64_t m)
{
    int classes = scorer_classes(in);
    int64_t k = m / (2 * (classes ? classes : 1));
    if (k > MOST_NEIGHBOURS) k = MOST_NEIGHBOURS;
    if (q->value[0] > 0) k = (int64_t)q->value[0];
    return k < 1 ? 1 : k < m ? k : m;
}

static sluice_status fit(sluice *s, scorer *q, const scorer_inputs *in)
{
    sluice_status st = SLUICE_OK;
    const row_set *set;
    if (q->value[0] > MOST_ASKED || q->value[0] != (double)(int64_t)q->value[0])
        FAIL(E_USAGE, "'%s': k is a whole number up to %d", q->name, MOST_ASKED);
    TRY(scorer_labelled(s, q, in, SPACE_UNIT, false, &set));
    TRY_NEW(q->state, NEW(s, 1, landmarks));
    TRY(landmarks_init(s, q->state, set->x, set->n, set->d));
    q->facts[0] = q->scratch = neighbours(q, in, set->n);
out:
    return st;
}

static sluice_status begin(sluice *s, const scorer *q, const scorer_piece *p)
{
    return landmarks_nearest(s, q, 0, q->state, p->unit, p->x.rows, q->facts[0], p->facts[0],
                             (int32_t *)(void *)p->scratch);
}

static void end(const scorer *q, const scorer_rows *r, int64_t first, int64_t last, float *out)
{
    for (int64_t i = first; i < last; i++) out[i] = ex_sqrt(r->facts[0][(i + 1) * q->facts[0] - 1]);
}

static void release(scorer *q) { landmarks_release(q->state); }

const scorer_kind scorer_knn = { WANTS_UNIT | WANTS_LABELLED, true, fit, begin, end, release };
