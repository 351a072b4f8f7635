/* lane.h - where blocks of a pool scan are scored: the CPU, or one stream of one GPU.
 *
 *     start    rows cross to the device, ops are queued
 *     idle     the device is done with them
 *     finish   waits; outputs are in host memory */
#ifndef LANE_H
#define LANE_H

#include "source.h"

typedef struct lane {
    place place;
    bool device;
    int unit; /* which of the devices, for sluice_usage */
    source src;
    int64_t piece; /* rows scored at once: halved where the device has no room for more */
    char *rows;    /* a piece's rows and scales on the device, grown */
    size_t rows_bytes;
    /* the block under way */
    sluice_view x;
    source_out out;
    int64_t first; /* of the piece under way */
} lane;

/* The i-th lane for src, counted round the devices; where the source needs no device, the CPU's. */
sluice_status lane_open(sluice *s, lane *l, const source *src, int i);
void lane_close(sluice *s, lane *l); /* waits; zeroed is closed */
/* x: host rows, or rows on the lane's device.  x and out stay as they are until lane_finish(). */
sluice_status lane_start(sluice *s, lane *l, sluice_view x, const source_out *out);
bool lane_idle(lane *l);
/* A device without room for the block scores it in pieces: of half as many rows, until one row does not fit. */
sluice_status lane_finish(sluice *s, lane *l);
sluice_status lane_score(sluice *s, lane *l, sluice_view x, const source_out *out); /* both */

/* Bytes of x and its scales on a device; and x brought there, to a place of that size. */
size_t lane_bytes(sluice_view x);
sluice_status lane_bring(sluice *s, sluice_view x, char *to, sluice_view *out_x);

#endif
