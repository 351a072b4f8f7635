/* linalg.c - see linalg.h.  Loops run over columns inside, which compilers turn into vectors, while the sum of each entry
 * keeps its order: rows, or the index summed over, ascending. */
#include "linalg.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 64 }; /* rows whose residuals are kept at a time */

static int64_t group_of(const int32_t *group, int64_t i) { return group ? group[i] : 0; }

void group_means(const float *x, const int32_t *group, int64_t m, int64_t d, int64_t groups, double *out,
                 int64_t *count)
{
    memset(out, 0, (size_t)(groups * d) * sizeof *out);
    memset(count, 0, (size_t)groups * sizeof *count);
    for (int64_t i = 0; i < m; i++) {
        int64_t g = group_of(group, i);
        for (int64_t k = 0; k < d; k++) out[g * d + k] += (double)x[i * d + k];
        count[g]++;
    }
    for (int64_t g = 0; g < groups; g++)
        for (int64_t k = 0; k < d && count[g]; k++) out[g * d + k] /= (double)count[g];
}

/* Row j of the triangle takes the products of a block's residuals r [rows, d]. */
static void add_row(const double *r, int64_t rows, int64_t d, int64_t j, double *restrict out)
{
    for (int64_t i = 0; i < rows; i++) {
        double factor = r[i * d + j];
        for (int64_t k = 0; k <= j; k++) out[k] += factor * r[i * d + k];
    }
}

static double residuals(const float *x, const double *mean, int64_t d, double *r)
{
    double square = 0;
    for (int64_t k = 0; k < d; k++) {
        r[k] = (double)x[k] - mean[k];
        square += r[k] * r[k];
    }
    return square * square;
}

sluice_status scatter(sluice *s, const float *x, const int32_t *group, int64_t m, int64_t d, const double *mean,
                      double *out, double *out_fourth)
{
    double *r = mem_raw(s, BLOCK, (size_t)d * sizeof *r);
    if (!r) return SLUICE_E_MEMORY;
    memset(out, 0, (size_t)(d * d) * sizeof *out);
    *out_fourth = 0;
    for (int64_t first = 0; first < m; first += BLOCK) {
        int64_t rows = m - first < BLOCK ? m - first : BLOCK;
        for (int64_t i = 0; i < rows; i++)
            *out_fourth += residuals(x + (first + i) * d, mean + group_of(group, first + i) * d, d, r + i * d);
#pragma omp parallel num_threads(s->threads)
        {
            fp_state fp = fp_enter();
#pragma omp for schedule(dynamic, 16)
            for (int64_t j = 0; j < d; j++) add_row(r, rows, d, j, out + j * d);
            fp_leave(fp);
        }
    }
    mem_free(r);
    return SLUICE_OK;
}

double ledoit_wolf(const double *covariance, int64_t d, int64_t m, double fourth)
{
    double trace = 0, square = 0;
    for (int64_t j = 0; j < d; j++) {
        trace += covariance[j * d + j];
        square += covariance[j * d + j] * covariance[j * d + j];
        for (int64_t k = 0; k < j; k++) square += 2 * covariance[j * d + k] * covariance[j * d + k];
    }
    double distance = square - trace * trace / (double)d;     /* |S - trace/d I|^2 */
    double noise = (fourth / (double)m - square) / (double)m; /* of S around its expectation */
    if (!(distance > 0) || noise >= distance) return 1;
    return noise > 0 ? noise / distance : 0;
}

/* Entry (i, j) below the diagonal of the factor, row j being done up to there. */
static double eliminated(const double *a, int64_t d, int64_t i, int64_t j)
{
    double sum = a[i * d + j];
    for (int64_t k = 0; k < j; k++) sum -= a[i * d + k] * a[j * d + k];
    return sum;
}

static sluice_status factor(sluice *s, double *a, int64_t d)
{
    for (int64_t j = 0; j < d; j++) {
        double pivot = eliminated(a, d, j, j);
        if (!(pivot > 0))
            return sluice_fail(s, SLUICE_E_DATA, "a covariance of %lld features is singular", (long long)d);
        double root = sqrt(pivot);
        a[j * d + j] = root;
#pragma omp parallel num_threads(s->threads) if (d - j > 64)
        {
            fp_state fp = fp_enter();
#pragma omp for schedule(static)
            for (int64_t i = j + 1; i < d; i++) a[i * d + j] = eliminated(a, d, i, j) / root;
            fp_leave(fp);
        }
    }
    return SLUICE_OK;
}

/* In place, row by row: row i of the inverse is -1/a[i][i] times the sum over k ascending of a[i][k] times its row k. */
static sluice_status invert(sluice *s, double *a, int64_t d)
{
    double *row = RAW(s, d, double);
    if (!row) return SLUICE_E_MEMORY;
    for (int64_t i = 0; i < d; i++) {
        memset(row, 0, (size_t)d * sizeof *row);
        for (int64_t k = 0; k < i; k++)
            for (int64_t j = 0; j <= k; j++) row[j] += a[i * d + k] * a[k * d + j];
        for (int64_t j = 0; j < i; j++) a[i * d + j] = -row[j] / a[i * d + i];
        a[i * d + i] = 1 / a[i * d + i];
    }
    mem_free(row);
    return SLUICE_OK;
}

sluice_status whiten(sluice *s, double *a, int64_t d)
{
    sluice_status st = factor(s, a, d);
    return st ? st : invert(s, a, d);
}
