/* draw.h - drawing one row with a chance of its own, as the largest of log(chance) + Gumbel keys of (seed, purpose, id,
 * turn): the row is a function of these alone, whatever the order and the threads that look at them. */
#ifndef DRAW_H
#define DRAW_H

#include "core.h"

typedef struct draw {
    int64_t n;
    const uint8_t *open;       /* [n] 1: may be drawn */
    const sluice_entry *entry; /* [n] ids */
    const float *weight;       /* [n] or NULL: all 1 */
    const float *square;       /* [n] or NULL: all 1; the chance is weight * square */
    uint64_t seed;
    uint32_t purpose, turn;
} draw;

/* The row drawn, the lower index among equal keys.  Where no open row has a chance above 0: the first one; none is open:
 * -1. */
int64_t draw_row(const sluice *s, const draw *q);

#endif
