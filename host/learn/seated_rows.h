/* seated_rows.h - labelled rows where ops compute: on the CPU, or a copy on each device that takes part in training. */
#ifndef SEATED_ROWS_H
#define SEATED_ROWS_H

#include "core.h"

/* One device with all rows. */
typedef struct row_seat {
    sluice_exec exec;
    float *x; /* [rows, width] */
    int32_t *target;
    float *class_weight; /* [classes] or NULL */
} row_seat;

typedef struct seated_rows {
    sluice *s;
    float *x; /* the host's, borrowed, as the next two */
    int32_t *target;
    float *class_weight;
    int64_t rows, width;
    int classes, seats;
    row_seat *seat; /* [seats]; the first is s->exec itself */
} seated_rows;

/* Seats for arrays of the host that seated_rows_send() copies from; class_weight is copied now.  r is zeroed or released. */
sluice_status seated_rows_init(seated_rows *r, sluice *s, int seats, float *x, int32_t *target, int64_t rows,
                               int64_t width, float *class_weight, int classes);
void seated_rows_release(seated_rows *r);

/* The first rows, after the host changed them: to the first seat, from there to the others, or both. */
sluice_status seated_rows_load(seated_rows *r, int64_t rows);
sluice_status seated_rows_share(seated_rows *r, int64_t rows);
sluice_status seated_rows_send(seated_rows *r, int64_t rows);

/* Ops run on a seat's device until s->exec is put back. */
sluice_exec row_seat_take(sluice *s, const row_seat *p);

/* What lies at from[i] on each seat, bytes of it, one after another, to to[i] of every seat. */
sluice_status seated_rows_gather(const seated_rows *r, const void *const *from, void *const *to, size_t bytes);

/* All seats are done.  After a failure st too: what was begun may still use memory of the host. */
sluice_status seated_rows_wait(const seated_rows *r, sluice_status st);

#endif
