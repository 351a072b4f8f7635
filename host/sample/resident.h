/* resident.h - a pool whose blocks stay on the devices from its first scan on, so that later scans read nothing.
 *
 * It holds for one pool between resident_begin() and resident_end(), in the context.  A pool that needs more than half
 * of what the devices have free is read each time, and so is one for which they ran out of room.  Same picks. */
#ifndef RESIDENT_H
#define RESIDENT_H

#include "reader.h"

typedef struct resident_block {
    int64_t first_row;
    sluice_view view; /* on a device */
    int device;
} resident_block;

/* pool must live and keep its rows until the end; on a CPU nothing is kept. */
sluice_status resident_begin(sluice *s, const sluice_pool *pool);
void resident_end(sluice *s);

/* Whether a scan of pool need not read; then the i-th of its blocks in row order, NULL behind the last. */
bool resident_whole(const sluice *s, const sluice_pool *pool);
const resident_block *resident_at(const sluice *s, int64_t i);

/* A scan that reads offers its blocks in row order: *view, host rows, becomes rows on s->exec's device where there is room
 * for them.  It ends by saying whether it came to the end, when no device works on them any more. */
sluice_status resident_keep(sluice *s, const sluice_pool *pool, int64_t first_row, sluice_view *view);
void resident_settle(sluice *s, const sluice_pool *pool, bool complete);
void resident_give_up(sluice *s); /* keeps no more; what there is goes when the scan ends */

#endif
