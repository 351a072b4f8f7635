/* kmeans.h - k-means on rows in memory whose values are at most 1 in size (L2-normalised rows).
 *
 * Lloyd's iterations (Lloyd 1982) from a k-means++ start (Arthur & Vassilvitskii, SODA 2007), both with weights.  The start
 * draws a row with chance ~ weight * D^2 as the largest log(weight D^2) + Gumbel key of (seed, id, turn); centroids are
 * means of integer sums.  So cells are a function of rows, ids, weights and seed: no order, no thread, no device shows. */
#ifndef KMEANS_H
#define KMEANS_H

#include "core.h"

enum { KMEANS_ITERATIONS = 25, KMEANS_SAMPLE = 256 /* rows a cell that the iterations look at */ };

typedef struct kmeans {
    /* in */
    const float *x; /* [n, d]; the first KMEANS_SAMPLE * cells rows make the centroids */
    int64_t n, d;
    const sluice_entry *entry; /* [n] ids */
    const float *weight;       /* [n] in [0, 1] or NULL: all 1 */
    int64_t cells;             /* 1 .. n */
    uint64_t seed;
    int64_t labelled; /* rows so far: a new round begins elsewhere */
    /* out, released by kmeans_release() */
    float *centroid; /* [cells, d] */
    int32_t *cell;   /* [n] nearest centroid, the lower index among equals */
    float *distance; /* [n] squared, to it */
    int64_t *size;   /* [cells] */
} kmeans;

sluice_status kmeans_run(sluice *s, kmeans *q);
void kmeans_release(kmeans *q);

#endif
