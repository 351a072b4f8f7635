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

/* ---- eigenvectors: Householder's tridiagonal form, then implicit QL (Bowdler, Martin, Reinsch & Wilkinson 1968) ---- */

enum { LANES = 8, QL_ROUNDS = 60 };
static const double NIL = 0x1p-54; /* beside entries of at most 1 */

static double dot(const double *a, const double *b, int64_t n)
{
    double p[LANES] = { 0 };
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) p[l] += a[i + l] * b[i + l];
    for (int l = 0; i < n; i++, l++) p[l] += a[i] * b[i];
    return ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]));
}

/* Reflects what is behind row k of a: row k keeps v, which does it, *out_beta = 2 / v'v, and the entry beside the diagonal
 * is returned.  Up to NIL it counts as 0: what rounding leaves of a low rank has squares that vanish.  w [n] scratch. */
static double reflect(double *a, int64_t n, int64_t k, double *w, double *out_beta)
{
    int64_t m = n - k - 1;
    double *v = a + k * n + k + 1, norm = sqrt(dot(v, v, m)), side = v[0] > 0 ? -norm : norm;
    *out_beta = 0;
    if (!(norm > NIL)) return 0;
    v[0] -= side;
    double beta = *out_beta = 2 / dot(v, v, m);
    memset(w, 0, (size_t)m * sizeof *w);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < m; j++) w[j] += v[i] * a[(k + 1 + i) * n + k + 1 + j];
    double half = beta * beta / 2 * dot(v, w, m);
    for (int64_t j = 0; j < m; j++) w[j] = beta * w[j] - half * v[j];
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < m; j++) a[(k + 1 + i) * n + k + 1 + j] -= v[i] * w[j] + w[i] * v[j];
    return side;
}

static void rotate(double *restrict a, double *restrict b, int64_t n, double c, double s)
{
    for (int64_t k = 0; k < n; k++) {
        double f = b[k];
        b[k] = s * a[k] + c * f;
        a[k] = c * a[k] - s * f;
    }
}

/* One implicit shift on rows first .. last of the tridiagonal matrix of diagonal d and side e; z's rows turn along. */
static void ql_step(double *d, double *e, double *z, int64_t n, int64_t first, int64_t last)
{
    double g = (d[first + 1] - d[first]) / (2 * e[first]), r = sqrt(g * g + 1), s = 1, c = 1, p = 0;
    g = d[last] - d[first] + e[first] / (g + (g >= 0 ? r : -r));
    for (int64_t i = last - 1; i >= first; i--) {
        double f = s * e[i], b = c * e[i];
        e[i + 1] = r = sqrt(f * f + g * g);
        if (!(r > 0)) {
            d[i + 1] -= p, e[last] = 0;
            return;
        }
        s = f / r, c = g / r, g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r, d[i + 1] = g + p, g = c * r - b;
        rotate(z + i * n, z + (i + 1) * n, n, c, s);
    }
    d[first] -= p, e[first] = g, e[last] = 0;
}

/* d, e [n]; e[i] is beside d[i] and d[i + 1]. */
static bool ql(double *d, double *e, double *z, int64_t n)
{
    for (int64_t first = 0; first < n; first++)
        for (int round = 0;; round++) {
            int64_t last = first;
            while (last < n - 1 && fabs(e[last]) > NIL) last++;
            if (last == first) break;
            if (round == QL_ROUNDS) return false;
            ql_step(d, e, z, n, first, last);
        }
    return true;
}

/* The rows of z, eigenvectors of the tridiagonal form, go back through the reflections that a keeps. */
static void reflect_back(const sluice *s, const double *a, const double *beta, double *z, int64_t n)
{
#pragma omp parallel for num_threads(s->threads) schedule(static) if (n > 64)
    for (int64_t i = 0; i < n; i++) {
        fp_state fp = fp_enter();
        for (int64_t k = n - 3; k >= 0; k--) {
            const double *v = a + k * n + k + 1;
            double *x = z + i * n + k + 1, factor = beta[k] * dot(v, x, n - k - 1);
            for (int64_t j = 0; j < n - k - 1; j++) x[j] -= factor * v[j];
        }
        fp_leave(fp);
    }
}

/* Rows of z by values descending into out; equal ones keep their order. */
static void sort_rows(const double *z, double *values, int64_t n, double *scratch, double *out)
{
    memcpy(scratch, values, (size_t)n * sizeof *scratch);
    for (int64_t i = 0; i < n; i++) {
        int64_t best = 0;
        for (int64_t j = 1; j < n; j++)
            if (scratch[j] > scratch[best]) best = j;
        values[i] = scratch[best];
        scratch[best] = -INFINITY;
        memcpy(out + i * n, z + best * n, (size_t)n * sizeof *out);
    }
}

/* 1 where all are 0. */
static double largest(const double *a, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fabs(a[i]) > most ? fabs(a[i]) : most;
    return most > 0 ? most : 1;
}

sluice_status eigen(sluice *s, double *a, int64_t n, double *values)
{
    sluice_status st = SLUICE_OK;
    double *z = NULL, *side = NULL, *beta = NULL, *w = NULL;
    TRY_NEW(z, mem_new(s, n, (size_t)n * sizeof *z));
    TRY_NEW(side, NEW(s, n, double));
    TRY_NEW(beta, NEW(s, n, double));
    TRY_NEW(w, NEW(s, n, double));
    double size = largest(a, n * n);
    for (int64_t i = 0; i < n * n; i++) a[i] /= size;
    for (int64_t k = 0; k < n - 2; k++) side[k] = reflect(a, n, k, w, &beta[k]);
    if (n > 1) side[n - 2] = a[(n - 2) * n + n - 1];
    for (int64_t i = 0; i < n; i++) values[i] = a[i * n + i], z[i * n + i] = 1;
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(values[i]) || !isfinite(side[i]))
            FAIL(E_DATA, "a covariance of %lld rows is not finite", (long long)n);
    if (!ql(values, side, z, n)) FAIL(E_DATA, "a covariance of %lld rows has no eigenvectors", (long long)n);
    reflect_back(s, a, beta, z, n);
    for (int64_t i = 0; i < n; i++) values[i] *= size;
    sort_rows(z, values, n, w, a);
out:
    mem_free(z), mem_free(side), mem_free(beta), mem_free(w);
    return st;
}
