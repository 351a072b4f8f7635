/* candidates.h - the running best of one strategy: the k rows that its order and modifiers pick from all rows seen.
 *
 * Order: score descending, hash64(seed, id) ascending, id ascending; NaN never.
 *   group      walk the order, skip a row whose group already has per_group rows (rows in no group: never)
 *   balance    of each predicted class, the rows in order are its turns 1, 2, 3 ...; all rows of turn t come before
 *              those of turn t + 1, and within a turn the order decides.  With group: classes take turns over what
 *              the groups left.
 *
 * Either alone is greedy on a matroid, so a bad row of a part is a bad row of the whole: keeping the best k of every
 * full buffer loses nothing, and one read is exact.  Together that fails (a row's class may lose rows to a better row
 * of another class in the same group); then the buffer keeps all that the groups leave. */
#ifndef CANDIDATES_H
#define CANDIDATES_H

#include "strategies.h"

typedef struct pick_rules {
    int64_t k;
    uint64_t seed;
    const int32_t *group; /* [rows of the pool], -1: none; NULL: no groups */
    int32_t group_count;
    int64_t per_group;
    int classes;  /* balance over that many predicted classes; 0: no balance */
    int64_t room; /* rows that a buffer takes beyond k before it is reduced; 0: 65,536 */
} pick_rules;

/* Zeroed is released. */
typedef struct candidates {
    pick_rules rules;
    sluice_top_state top; /* entries; without modifiers the top op keeps it, else tag holds class + 1 */
    int64_t *taken;       /* group: rows of each group that passed, [group_count] */
    int64_t *turn;        /* balance: rows of each class, [classes] */
    sluice_entry *floor;  /* balance: the last kept row of each class, [classes] */
    int64_t last_turn;    /* balance, once full: the turn of the k-th row */
    sluice_entry *order;  /* balance: scratch of a sort by turns, as large as top.entries ... */
    int64_t *start;       /* ... and where each turn starts, one more */
} candidates;

sluice_status candidates_init(sluice *s, candidates *c, const pick_rules *rules);
void candidates_release(candidates *c);
/* score [n] of rows first_row...; prediction [n] needed by balance; ids [n] or NULL; skip as in the top op. */
sluice_status candidates_add(sluice *s, candidates *c, const float *score, const float *prediction, const uint64_t *ids,
                             int64_t n, int64_t first_row, const uint64_t *skip);
/* An entry that another candidates of the same rules kept; tag = class + 1 with balance. */
sluice_status candidates_offer(sluice *s, candidates *c, const sluice_entry *e);
/* Cut to what may still be picked: c->top.entries are then a function of the rows seen.  More may be added. */
sluice_status candidates_settle(sluice *s, candidates *c);
bool candidates_are_top(const candidates *c); /* without modifiers: the first k of the order */
/* The picks in order: c->top.entries [c->top.count]. */
sluice_status candidates_finish(sluice *s, candidates *c);

bool entry_before(const sluice_entry *a, const sluice_entry *b); /* in the total order */
void entries_sort(sluice_entry *e, int64_t n);

/* group.c: keeps, in place, those of e [n] in order whose group is not full; at most k (-1: all).  Returns how many. */
int64_t group_filter(const pick_rules *r, int64_t *taken, sluice_entry *e, int64_t n, int64_t k);
/* balance.c: e [n] in order, tag = class + 1, becomes the order by turns, cut after k.  Returns how many; turn
 * [classes] is then the rows kept of each class.  order [n] and start [n + 1] are scratch. */
int64_t balance_order(const pick_rules *r, int64_t *turn, sluice_entry *e, int64_t n, int64_t k, sluice_entry *order,
                      int64_t *start);

#endif
