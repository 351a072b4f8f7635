/* spans.h - a set of rows as ranges: ascending, no two of which touch. */
#ifndef SPANS_H
#define SPANS_H

#include "core.h"

typedef struct span {
    int64_t first, end; /* rows first .. end - 1 */
} span;

/* Zeroed is empty and released. */
typedef struct spans {
    span *at;
    int64_t count, room;
} spans;

void spans_release(spans *v);
bool spans_meet(const spans *v, span x); /* some row is in both */
/* x in addition; it may touch what is there, but not meet it.  E_MEMORY. */
sluice_status spans_add(sluice *s, spans *v, span x);
bool spans_hold(const spans *v, int64_t row);
int64_t spans_rows(const spans *v);
/* The first rows of `within` that are not in v; empty: all are. */
span spans_gap(const spans *v, span within);

/* A pool is dealt out in chunks: blocks of so many rows, a function of the pool's rows alone. */
int64_t chunk_rows(int64_t rows);
/* The rows of the i-th of n parts of a pool: whole chunks, no part more than one above another; may be empty. */
span chunk_share(int64_t rows, int64_t i, int64_t n);

#endif
