/* farthest.h - the open candidate that is farthest from all labelled rows and picks so far, pick after pick.
 *
 * A distance to the nearest of some of these rows is no less than that to the nearest of all.  So a candidate may wait, its
 * distance measured to the picks up to some time alone, for as long as it is not the largest: lazy evaluation (Minoux 1978),
 * whose largest is the same row as that of measuring all.  Nothing is bounded by arithmetic, so there is no rounding to
 * allow for. */
#ifndef FARTHEST_H
#define FARTHEST_H

#include "batch.h"

typedef struct farthest {
    const batch *b;
    float *distance; /* [n] squared, to the nearest labelled row or of the first seen[i] picks */
    int32_t *seen;   /* [n] */
    float *bound;    /* [blocks] no distance of the block's rows that are not closed is larger */
    float *pick;     /* [k, d] rows of the picks */
    int64_t picked;  /* of them */
    /* [chunk] what is measured: rows, side by side, their distances, the picks that they have seen */
    struct waiting *list;
    float *x, *near;
    int32_t *from;
    int64_t chunk;
    bool whole; /* all rows are measured after each pick: a device reads them faster than they are chosen */
} farthest;

/* Picks that b has already count as such. */
sluice_status farthest_open(sluice *s, farthest *f, const batch *b);
void farthest_close(farthest *f);

/* The open candidate of the largest distance, the lower index among equals; -1: none.  Its distance is f->distance[]. */
sluice_status farthest_find(sluice *s, farthest *f, int64_t *out_row);

#endif
