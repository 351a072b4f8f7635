/* linear_loss.h - cross-entropy of a linear head on labelled rows and its gradient, where ops compute.
 *
 * Several devices hold a copy of the rows each and share the classes.  They cannot share the rows: a gradient is one chain
 * over all of them, which no device can begin in the middle. */
#ifndef LINEAR_LOSS_H
#define LINEAR_LOSS_H

#include "core.h"

/* One device with all rows. */
typedef struct row_seat {
    sluice_exec exec;
    float *x; /* [rows, width] standardised */
    int32_t *target;
    float *class_weight; /* [classes] or NULL */
} row_seat;

typedef struct linear_rows {
    sluice *s;
    float *x; /* the host's, borrowed, as the next two */
    int32_t *target;
    float *class_weight;
    int64_t rows, width;
    int classes, seats;
    row_seat *seat; /* [seats]; the first is s->exec itself */
} linear_rows;

/* Seats for arrays of the host that linear_rows_send() copies from; class_weight is copied now.  r is zeroed or released. */
sluice_status linear_rows_init(linear_rows *r, sluice *s, int seats, float *x, int32_t *target, int64_t rows,
                               int64_t width, float *class_weight, int classes);
void linear_rows_release(linear_rows *r);
/* The first rows, after the host changed them. */
sluice_status linear_rows_send(linear_rows *r, int64_t rows);

/* For rows first .. first + m - 1. */
typedef struct linear_loss linear_loss;
sluice_status linear_loss_new(const linear_rows *rows, int64_t first, int64_t m, linear_loss **out_l);
void linear_loss_free(linear_loss *l);
/* Sum over the rows at w [classes, width], b [classes]. */
sluice_status linear_loss_value(linear_loss *l, const float *w, const float *b, double *out_sum);
/* Where it was last evaluated. */
sluice_status linear_loss_gradient(linear_loss *l, float *out_w, float *out_b);

#endif
