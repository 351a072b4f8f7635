/* tops.h - the running tops of a pool scan that stay where its blocks are scored, on a GPU: of every strategy whose score
 * is a column of the scan, the first rows in the order, of the blocks that one lane has scored.  All scores of a block are
 * one call of op top, and they come home when the scan is done or its state is kept. */
#ifndef TOPS_H
#define TOPS_H

#include "candidates.h"
#include "source.h"

/* What the lanes of a scan keep.  Zeroed: nothing. */
typedef struct top_plan {
    int count;
    candidates **to;            /* [count] whose tops they are */
    column *from;               /* [count] their scores */
    int64_t rows;               /* the most that a block has */
    const uint64_t *ids, *skip; /* of the pool's rows, as op top takes them */
} top_plan;

/* One lane's, on s->exec's device.  Zeroed is released. */
typedef struct tops {
    const top_plan *plan; /* NULL: none are kept */
    void *memory;
    sluice_top_state *state;     /* [plan->count] */
    const float **score;         /* [plan->count] its column */
    float *column[COLUMN_COUNT]; /* [plan->rows] each of those there is room for */
} tops;

/* Room for the columns in reads too. */
sluice_status tops_init(sluice *s, tops *t, const top_plan *plan, unsigned reads);
void tops_release(sluice *s, tops *t);
size_t tops_bytes(const top_plan *plan, unsigned reads);
/* Rows first_row...: their scores are in the columns.  Queued; or fails and changes nothing. */
sluice_status tops_add(sluice *s, const tops *t, int64_t first_row, int64_t n);
/* What was kept goes to the candidates, its bytes are added to *out_bytes; waits.  More may be added. */
sluice_status tops_bring_home(sluice *s, const tops *t, double *out_bytes);

#endif
