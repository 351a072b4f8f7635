/* exclusions.h - which rows may not be picked. */
#ifndef EXCLUSIONS_H
#define EXCLUSIONS_H

#include "head.h"

/* Zeroed is released. */
typedef struct exclusions {
    uint64_t *bits; /* row % 64 of word row / 64 */
    int64_t words;
    int64_t count;   /* rows excluded */
    int64_t trained; /* of them: known only from the head */
} exclusions;

/* Rows of labels (NULL: none), rows [count], and the training rows of a head that was trained on this very pool.
 * Fails with E_DATA (labels of another pool) or E_USAGE (a row outside the pool). */
sluice_status exclusions_init(sluice *s, exclusions *x, const sluice_pool *pool, const sluice_labels *labels,
                              const int64_t *rows, int64_t count, const sluice_head *head);
void exclusions_release(exclusions *x);
/* Those of another head; NULL: none. */
sluice_status exclusions_add_trained(sluice *s, exclusions *x, const sluice_pool *pool, const sluice_head *head);
bool exclusions_add(exclusions *x, int64_t row); /* false: it was excluded before */

#endif
