/* team.h - a head trained by several devices: each has all of its weights, and takes a share of every batch.
 *
 * A batch is cut into blocks of rows.  A device computes the gradients of its blocks, all are gathered, and every device
 * takes the same step, by their sum in block order.  The cut depends on head and batch, never on how many devices there
 * are, and so do the weights.  On a CPU, and where a batch is too little work, it is one block. */
#ifndef TEAM_H
#define TEAM_H

#include "network.h"
#include "seated_rows.h"

/* How batches of a head are cut and dealt. */
typedef struct team_cut {
    int64_t batch, rows; /* of a batch, of a block; the last may have fewer */
    int slots, seats;    /* blocks of a seat; devices that take part */
} team_cut;

/* blocks: how many are wanted, 0: by the work that a batch is. */
team_cut team_cut_of(const sluice *s, const sluice_head *h, int64_t batch, int blocks);

typedef struct team_seat {
    network *n;
    double *loss; /* [batches, slots] sums over the rows of the blocks */
} team_seat;

typedef struct team {
    const seated_rows *rows;
    team_cut cut;
    int64_t batches; /* of all rows */
    team_seat seat[MAX_DEVICES];
    double *host_loss; /* [seats, batches, slots] */
} team;

/* One batch. */
typedef struct team_batch {
    int64_t first, rows; /* among the seated rows; first is a multiple of cut.batch */
    uint64_t seed, step; /* of the dropouts' masks */
} team_batch;

/* For rows that have cut.seats seats; the head's weights go to all.  t is zeroed or released. */
sluice_status team_init(team *t, const seated_rows *rows, sluice_head *h, team_cut cut);
void team_release(team *t);
/* Gradients and a step. */
sluice_status team_learn(team *t, const team_batch *b, const optimizer *o);
/* Waits, and adds the losses of the batches that the first rows were, block by block. */
sluice_status team_loss(team *t, int64_t rows, double *inout_sum);

#endif
