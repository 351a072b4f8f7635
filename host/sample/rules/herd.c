/* herd.c - greedy coverage under a Gaussian kernel.  MaxHerding: Bae, Noh & Sutherland, "Generalized coverage for more
 * robust low-budget active learning", ECCV 2024.  Uncertainty herding, where an uncovered row counts by its uncertainty:
 * Bae, Sutherland & Oliveira, "Uncertainty herding: one active learning method for all label budgets", ICLR 2025.
 *
 *     again and again argmax over candidates x of the mean over covered rows y of  u(y) max(0, k(x, y) - max over x' k(x', y))
 *     k(x, y) = exp(-|x - y|^2 / sigma^2),  x' labelled or picked;  u = 1, or 1 - (p1 - p2)
 *
 * the lower index among equals.  Covered rows are at most 8,192 of the reference sample, those of lowest hash.  sigma is the
 * 5th percentile of the distances of labelled pairs where 10 rows or more are labelled, else of the sample's pairs; of
 * either at most 1,024 rows, and pairs of distance 0 do not count (no other pair: sigma = 1).  Where nothing is gained any
 * more, k-center goes on (spread.c).  A pick's score is its sum of gains, then its distance. */
#include "coverage.h"
#include "exact.h"

#include <stdlib.h>

enum { PAIRED_ROWS = 1024, ENOUGH_LABELS = 10 };

static int ascending(const void *x, const void *y)
{
    float a = *(const float *)x, b = *(const float *)y;
    return (a > b) - (a < b);
}

/* sigma^2: the 5th percentile of the squared distances of pairs of rows x [n, d]. */
static sluice_status find_scale(sluice *s, const float *x, int64_t n, int64_t d, float *out_scale)
{
    sluice_status st = SLUICE_OK;
    float *pair = NULL;
    int64_t pairs = 0;
    n = n < PAIRED_ROWS ? n : PAIRED_ROWS;
    TRY_NEW(pair, RAW(s, n * (n + 1) / 2, float));
    for (int64_t i = 1; i < n; i++) {
        float *to = pair + pairs; /* kept distances grow no faster than pairs are visited */
        TRY(row_distances(s, x, i, x + i * d, d, to));
        for (int64_t j = 0; j < i; j++)
            if (to[j] > 0 && ex_finite(to[j])) pair[pairs++] = to[j];
    }
    qsort(pair, (size_t)pairs, sizeof *pair, ascending);
    *out_scale = pairs ? pair[pairs / 20] : 1;
out:
    mem_free(pair);
    return st;
}

/* Weights of rows without finite logits are 0. */
static sluice_status find_weights(sluice *s, const batch *b, float **out_weight)
{
    if (!b->sample_weight) return SLUICE_OK;
    int64_t n = covered_rows(b);
    float *weight = RAW(s, n, float);
    if (!weight) return SLUICE_E_MEMORY;
    for (int64_t j = 0; j < n; j++) weight[j] = b->sample_weight[j] > 0 ? b->sample_weight[j] : 0;
    *out_weight = weight;
    return SLUICE_OK;
}

sluice_status rule_herd(sluice *s, batch *b)
{
    sluice_status st = SLUICE_OK;
    float scale, *weight = NULL;
    bool labels = b->m >= ENOUGH_LABELS;
    if (b->k == 0) return SLUICE_OK;
    TRY(find_scale(s, labels ? b->labelled : b->sample, labels ? b->m : b->r, b->d, &scale));
    TRY(find_weights(s, b, &weight));
    TRY(cover_greedily(s, b, SLUICE_GAUSS, scale, weight));
    TRY(rule_spread(s, b));
out:
    mem_free(weight);
    return st;
}
