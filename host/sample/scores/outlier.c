/* outlier.c - far from what has labels, and without evidence for any class: the mean of two quantiles within the reference
 * sample, that of the energy (Liu et al., NeurIPS 2020) and that of the distance to the k-th nearest labelled row
 * (outlier_knn.c).  Each sees outliers that the other misses: of the scores here it is the best on planted ones.
 *
 * A quantile is the mid-rank among the sample's rows, so neither scale decides.  In pools larger than the sample the rows beyond
 * both its largest values tie at 1, and fall to the order of the hash. */
#include "scorer.h"
#include "exact.h"
#include "lane.h"

#include <stdlib.h>
#include <string.h>

typedef struct quantiles {
    scorer knn;
    float *energy, *distance; /* of the sample, ascending */
    int64_t n;
} quantiles;

typedef struct sampling {
    const scorer *knn;
    lane lane;
    float *energy, *facts;
    uint8_t *bad;
} sampling;

static sluice_status visit(sluice *s, void *user, int64_t at, sluice_view x)
{
    sampling *v = user;
    float *facts[SCORER_FACTS] = { v->facts };
    source_out out = { .scores = { .energy = v->energy + at }, .bad = v->bad + at, .facts = facts, .facts_from = at };
    return lane_score(s, &v->lane, x, &out);
}

static int by_number(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

/* Energy and distance of the sample's rows, those without either left out. */
static sluice_status measure(sluice *s, quantiles *z, const scorer_inputs *in, const row_set *set)
{
    sluice_status st = SLUICE_OK;
    source src = *in->src;
    sampling v = { .knn = &z->knn };
    int64_t *row = NULL;
    src.scorers = &z->knn, src.scorer_count = 1;
    TRY_NEW(row, RAW(s, set->n, int64_t));
    TRY_NEW(v.facts, mem_raw(s, set->n, (size_t)z->knn.facts[0] * sizeof *v.facts));
    TRY_NEW(v.bad, RAW(s, set->n, uint8_t));
    TRY_NEW(z->energy, RAW(s, set->n, float));
    TRY_NEW(z->distance, RAW(s, set->n, float));
    v.energy = z->energy;
    for (int64_t i = 0; i < set->n; i++) row[i] = set->entry[i].row;
    qsort(row, (size_t)set->n, sizeof *row, by_number);
    TRY(lane_open(s, &v.lane, &src, 0));
    TRY(rows_read(s, src.pool, row, set->n, visit, &v, &in->refs->bytes));
    scorer_end(s, &z->knn, &(scorer_rows){ .n = set->n, .facts = { v.facts }, .bad = v.bad }, z->distance);
    for (int64_t i = 0; i < set->n; i++)
        if (z->energy[i] == z->energy[i] && z->distance[i] == z->distance[i])
            z->energy[z->n] = z->energy[i], z->distance[z->n++] = z->distance[i];
    sort_floats(z->energy, z->n), sort_floats(z->distance, z->n);
out:
    lane_close(s, &v.lane);
    mem_free(row), mem_free(v.facts), mem_free(v.bad);
    return st;
}

static sluice_status fit(sluice *s, scorer *q, const scorer_inputs *in)
{
    sluice_status st = SLUICE_OK;
    row_set set = { 0 };
    quantiles *z;
    TRY_NEW(z, NEW(s, 1, quantiles));
    q->state = z;
    z->knn = (scorer){ .kind = &scorer_knn, .name = q->name };
    memcpy(z->knn.value, q->value, sizeof q->value);
    TRY(scorer_fit(s, &z->knn, in));
    TRY(references_draw(s, in->refs, &set));
    TRY(measure(s, z, in, &set));
    if (z->n == 0) FAIL(E_USAGE, "'%s' takes quantiles of rows that may be picked: there are none", q->name);
    memcpy(q->facts, z->knn.facts, sizeof q->facts);
    q->scratch = z->knn.scratch;
out:
    row_set_release(&set);
    return st;
}

static sluice_status begin(sluice *s, const scorer *q, const scorer_piece *p)
{
    const quantiles *z = q->state;
    return scorer_knn.begin(s, &z->knn, p);
}

static void end(const scorer *q, const scorer_rows *r, int64_t first, int64_t last, float *out)
{
    const quantiles *z = q->state;
    scorer_knn.end(&z->knn, r, first, last, out);
    for (int64_t i = first; i < last; i++) {
        float energy = r->column[COLUMN_ENERGY][i];
        double sum = mid_rank(z->energy, z->n, energy) + mid_rank(z->distance, z->n, out[i]);
        out[i] = energy == energy ? (float)(sum / 2) : ex_nan();
    }
}

static void release(scorer *q)
{
    quantiles *z = q->state;
    scorer_release(&z->knn);
    mem_free(z->energy), mem_free(z->distance);
}

const scorer_kind scorer_outlier = { WANTS_UNIT | WANTS_LABELLED, true, fit, begin, end, release };
