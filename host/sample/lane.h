/* lane.h - where blocks of a pool scan are scored: the CPU, or one stream of one GPU.
 *
 *     start    rows cross to the device, ops are queued
 *     idle     the device is done with them
 *     finish   waits; outputs are in host memory
 *
 * A lane that keeps tops (tops.h) adds a block's rows to them when it is finished, and only the columns that somebody else
 * wants cross to the host. */
#ifndef LANE_H
#define LANE_H

#include "tops.h"

typedef struct lane {
    place place;
    bool device;
    int unit; /* which of the devices, for sluice_usage */
    source src;
    tops tops;     /* may be kept; between blocks the owner's */
    int64_t piece; /* rows scored at once: halved where the device has no room for more */
    char *rows;    /* a piece's rows and scales on the device, grown */
    size_t rows_bytes;
    /* the block under way */
    sluice_view x;
    source_out out;
    int64_t first_row;    /* of the block in the pool, where tops are kept */
    int64_t first, count; /* of the piece under way; what lies before it is done */
} lane;

/* The i-th lane for src, counted round the devices; where the source needs no device, the CPU's. */
sluice_status lane_open(sluice *s, lane *l, const source *src, int i);
void lane_close(sluice *s, lane *l); /* waits; zeroed is closed */
/* x: host rows, or rows on the lane's device, where tops are kept from first_row.  x and out stay as they are until lane_finish(). */
sluice_status lane_start(sluice *s, lane *l, int64_t first_row, sluice_view x, const source_out *out);
bool lane_idle(lane *l);
/* A device without room for the block scores it in pieces: of half as many rows, until one row does not fit. */
sluice_status lane_finish(sluice *s, lane *l);
sluice_status lane_score(sluice *s, lane *l, sluice_view x, const source_out *out); /* both, without tops */

/* Bytes of x and its scales on a device; and x brought there, to a place of that size. */
size_t lane_bytes(sluice_view x);
sluice_status lane_bring(sluice *s, sluice_view x, char *to, sluice_view *out_x);

#endif
