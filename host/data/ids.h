/* ids.h - ids of a pool: reading them, and finding rows by them. */
#ifndef IDS_H
#define IDS_H

#include "pool.h"

/* A file of ids for rows first_row .. first_row + rows - 1. */
typedef struct id_part {
    char *path; /* .txt one a line, .csv with a column id, .npy of integers */
    int64_t first_row, rows;
} id_part;

/* Fills pool->ids, id_text and id_at from parts that cover all rows in order.
 * All texts canonical integers: id64 is the integer and no text is kept; else id64 is XXH3-64 of the text.
 * Fails with E_FORMAT, E_SHAPE (another count than rows), E_DATA (the same id or id64 twice). */
sluice_status ids_load(sluice *s, sluice_pool *pool, const id_part *parts, int count);
/* E_DATA when two rows share an id64; names both. */
sluice_status ids_check(sluice *s, const sluice_pool *pool);

#endif
