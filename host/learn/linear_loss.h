/* linear_loss.h - cross-entropy of a linear head on labelled rows and its gradient, where ops compute.
 *
 * Several devices hold a copy of the rows each and share the classes.  They cannot share the rows: a gradient is one chain
 * over all of them, which no device can begin in the middle. */
#ifndef LINEAR_LOSS_H
#define LINEAR_LOSS_H

#include "seated_rows.h"

/* For rows first .. first + m - 1. */
typedef struct linear_loss linear_loss;
sluice_status linear_loss_new(const seated_rows *rows, int64_t first, int64_t m, linear_loss **out_l);
void linear_loss_free(linear_loss *l);
/* Sum over the rows at w [classes, width], b [classes]. */
sluice_status linear_loss_value(linear_loss *l, const float *w, const float *b, double *out_sum);
/* Where it was last evaluated. */
sluice_status linear_loss_gradient(linear_loss *l, float *out_w, float *out_b);

#endif
