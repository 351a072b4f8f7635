/* linalg.h - the little dense algebra that fitted scores need: fp64 on the host, one code for every tier, each sum in one
 * fixed order whatever the number of threads. */
#ifndef LINALG_H
#define LINALG_H

#include "core.h"

/* out[g] [d] = mean of the rows of x [m, d] whose group is g; count [groups] rows of each.  group NULL: all in group 0.  The
 * mean of no rows is 0. */
void group_means(const float *x, const int32_t *group, int64_t m, int64_t d, int64_t groups, double *out,
                 int64_t *count);

/* The scatter of rows around means: lower triangle of out [d, d] = sum over i of r r', r = x_i - mean[group[i]]; and the sum
 * of |r|^4, for the shrinkage. */
sluice_status scatter(sluice *s, const float *x, const int32_t *group, int64_t m, int64_t d, const double *mean,
                      double *out, double *out_fourth);

/* Ledoit & Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", J. Multivariate Analysis 2004: the
 * weight in [0, 1] of the identity times trace / d, from the covariance (lower, scatter / m) of m rows. */
double ledoit_wolf(const double *covariance, int64_t d, int64_t m, double fourth);

/* a [d, d] lower becomes the inverse of its Cholesky factor, lower: |inverse v|^2 = v' a^-1 v.  E_DATA: not positive. */
sluice_status whiten(sluice *s, double *a, int64_t d);

/* a [n, n] symmetric becomes its eigenvectors, one a row, of values [n] descending.  E_DATA: not finite. */
sluice_status eigen(sluice *s, double *a, int64_t n, double *values);

#endif
