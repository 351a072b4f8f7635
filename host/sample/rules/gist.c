/* gist.c - GIST: useful rows, no two of them near each other.  Fahrbach, Ramalingam, Zadimoghaddam, Ahmadian, Citovsky &
 * DeSalvo, "GIST: greedy independent set thresholding for max-min diversification with submodular utility", NeurIPS 2025
 * (arXiv:2405.18754).
 *
 *     maximise  f(S) = g(S) + lambda div(S),  div(S) = min over pairs of S of their distance,  |S| = k
 *     g(S) = mean of the weights of S: linear, so that its greedy order is the order of the weights
 *
 * For a threshold t the greedy independent set takes candidates by weight descending, the lower index among equals, that
 * are at least t from all taken before.  Of the sets of threshold 0 and of a geometric series the one of largest f is
 * picked; among equals that of threshold 0, then the larger threshold.  The series, ratio 1.1, begins at twice the distance from the first candidate
 * to the farthest, which no two exceed, and ends below 1/40 of its first, the paper's epsilon = 0.05 of the diameter.
 *
 * Unlike the paper, sets that stay below what threshold 0 reaches are not considered, for a batch must be full; so the
 * pair of the diameter, which it also tries, is not.  A row without a weight (no finite logits) counts as one of 0.  A
 * pick's score is its weight. */
#include "batch.h"
#include "device.h"
#include "exact.h"

#include <math.h> /* sqrt of doubles: correctly rounded */
#include <stdlib.h>
#include <string.h>

enum { LAMBDA };     /* parameter */
enum { WALK = 256 }; /* candidates whose distances to the set are measured at a time */
static const double ratio = 1.1, range = 40;

typedef struct ranked {
    float weight;
    int64_t index;
} ranked;

typedef struct work {
    const batch *b;
    ranked *order;        /* [n] by weight */
    float *x;             /* [n, d] in that order */
    float distance[WALK]; /* squared, of the next candidates to the nearest of the set */
    float *set;           /* [k, d] rows taken, where ops compute */
} work;

typedef struct solution {
    batch b;     /* its own picks */
    float apart; /* smallest squared distance of a pair, infinity of fewer than two */
} solution;

static int by_weight(const void *x, const void *y)
{
    const ranked *a = x, *b = y;
    if (a->weight != b->weight) return a->weight > b->weight ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

static float weight_of(const batch *b, int64_t i)
{
    return !b->weight ? 1.0f : b->weight[i] == b->weight[i] ? b->weight[i] : 0.0f;
}

static sluice_status work_init(sluice *s, work *w)
{
    sluice_status st = SLUICE_OK;
    const batch *b = w->b;
    size_t row = (size_t)(b->d ? b->d : 1) * sizeof(float);
    TRY_NEW(w->order, RAW(s, b->n, ranked));
    TRY_NEW(w->x, mem_raw(s, b->n, row));
    TRY_NEW(w->set, dev_new(s, b->k, row));
    for (int64_t i = 0; i < b->n; i++) w->order[i] = (ranked){ weight_of(b, i), i };
    qsort(w->order, (size_t)b->n, sizeof *w->order, by_weight);
    for (int64_t j = 0; j < b->n; j++)
        memcpy(w->x + j * b->d, b->x + w->order[j].index * b->d, (size_t)b->d * sizeof *w->x);
    TRY(dev_hold(s, w->x, b->n, b->d));
out:
    return st;
}

/* Takes those of candidates order[first .. first + n) that are far enough from the set. */
static sluice_status walk(sluice *s, work *w, solution *v, int64_t first, int64_t n, float threshold)
{
    sluice_status st = SLUICE_OK;
    batch *b = &v->b;
    const ranked *list = w->order + first;
    int64_t d = b->d;
    const float *x = w->x + first * d;
    TRY(nearest_distances(s, x, n, w->set, b->picked, d, w->distance));
    for (int64_t j = 0; j < n && !batch_full(b); j++) {
        if (b->open[list[j].index] != 1 || w->distance[j] < threshold) continue;
        TRY(dev_copy(s, w->set + b->picked * d, x + j * d, (size_t)d * sizeof *x));
        v->apart = w->distance[j] < v->apart ? w->distance[j] : v->apart;
        batch_take(b, list[j].index, list[j].weight);
        TRY(sluice_op_relax(s, &(sluice_op_relax_args){
                                   .x = sluice_rows(x, SLUICE_F32, n, d), .y = x + j * d, .distance = w->distance }));
    }
out:
    return st;
}

/* The greedy independent set of a squared threshold.  Rows whose class waits for its turn are met again. */
static sluice_status solve(sluice *s, work *w, float threshold, solution *v)
{
    sluice_status st = SLUICE_OK;
    *v = (solution){ .b = *w->b, .apart = ex_inf() };
    v->b.open = NULL, v->b.pick = NULL, v->b.score = NULL, v->b.taken = NULL, v->b.turns = NULL, v->b.near = NULL;
    TRY(batch_begin(s, &v->b));
    memcpy(v->b.open, w->b->open, (size_t)v->b.n); /* some rows may be closed, some groups begun, before any pick */
    if (v->b.taken) memcpy(v->b.taken, w->b->taken, (size_t)v->b.limits->group_count * sizeof *v->b.taken);
    for (int64_t before = -1; before < v->b.picked && !batch_full(&v->b);) {
        before = v->b.picked;
        for (int64_t i = 0; i < v->b.n && !batch_full(&v->b); i += WALK)
            TRY(walk(s, w, v, i, v->b.n - i < WALK ? v->b.n - i : WALK, threshold));
        if (!v->b.turns) break;
    }
out:
    return st;
}

static double value_of(const solution *v)
{
    double sum = 0;
    for (int64_t j = 0; j < v->b.picked; j++) sum += (double)v->b.score[j];
    double apart = v->b.picked > 1 ? sqrt((double)v->apart) : 0;
    return (v->b.picked ? sum / (double)v->b.picked : 0) + v->b.value[LAMBDA] * apart;
}

/* What no two candidates are farther apart than. */
static sluice_status find_diameter(sluice *s, const batch *b, double *out_diameter)
{
    sluice_status st = SLUICE_OK;
    float farthest = 0, *distance = NULL;
    TRY_NEW(distance, RAW(s, b->n, float));
    TRY(row_distances(s, b->x, b->n, b->x, b->d, distance));
    for (int64_t i = 0; i < b->n; i++) farthest = distance[i] > farthest ? distance[i] : farthest;
    *out_diameter = 2 * sqrt((double)farthest);
out:
    mem_free(distance);
    return st;
}

static sluice_status try_threshold(sluice *s, work *w, double t, solution *best)
{
    solution v;
    sluice_status st = solve(s, w, (float)(t * t), &v);
    if (!st) st = v.b.failed;
    if (!st && v.b.picked == best->b.picked && value_of(&v) > value_of(best)) {
        solution worse = *best;
        *best = v, v = worse;
    }
    batch_release(&v.b);
    return st;
}

sluice_status rule_gist(sluice *s, batch *b)
{
    sluice_status st = SLUICE_OK;
    work w = { .b = b };
    solution best = { .b = { .n = 0 } };
    double diameter;
    if (b->k == 0) return SLUICE_OK;
    TRY(work_init(s, &w));
    TRY(find_diameter(s, b, &diameter));
    TRY(solve(s, &w, 0, &best));
    for (double t = diameter; t > diameter / range && t > 0; t /= ratio) TRY(try_threshold(s, &w, t, &best));
    batch_release(b);
    *b = best.b;
    best.b = (batch){ .n = 0 };
out:
    batch_release(&best.b);
    dev_drop(s, w.x), dev_free(s, w.set);
    mem_free(w.order), mem_free(w.x);
    return st;
}
