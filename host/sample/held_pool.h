/* held_pool.h - a pool read into memory once, for those who scan it many times. */
#ifndef HELD_POOL_H
#define HELD_POOL_H

#include "pool.h"

/* Zeroed is released.  pool is the copy, or the original where that is in memory already or is larger than limit bytes.
 * The copy keeps the original's types, ids and fingerprint, so scores and picks from it are the same; it borrows the
 * original's names and ids. */
typedef struct held_pool {
    const sluice_pool *pool;
    sluice_pool copy;
} held_pool;

sluice_status held_pool_init(sluice *s, held_pool *h, const sluice_pool *pool, size_t limit);
void held_pool_release(held_pool *h);

#endif
