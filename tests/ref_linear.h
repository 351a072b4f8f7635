/* ref_linear.h - multinomial logistic regression by Newton's method in double, plain loops: the reference of lbfgs.c and
 * linear.c.  For a handful of parameters only. */
#ifndef REF_LINEAR_H
#define REF_LINEAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { REF_PARAMETERS = 40 };

typedef struct ref_problem {
    const double *x; /* [m, d] */
    const int32_t *target;
    const double *weight; /* [c] or NULL */
    int m, d, c;
    double l2; /* C of sum w CE + |W|^2/(2C) */
} ref_problem;

/* Class probabilities of a row; theta is W [c, d] then b [c].  Returns -log p[target]. */
static inline double ref_softmax(const ref_problem *r, const double *theta, int i, double *p)
{
    double top = -INFINITY, sum = 0;
    for (int j = 0; j < r->c; j++) {
        p[j] = theta[r->c * r->d + j];
        for (int k = 0; k < r->d; k++) p[j] += theta[j * r->d + k] * r->x[i * r->d + k];
        top = p[j] > top ? p[j] : top;
    }
    double z = p[r->target[i]] - top;
    for (int j = 0; j < r->c; j++) sum += p[j] = exp(p[j] - top);
    for (int j = 0; j < r->c; j++) p[j] /= sum;
    return log(sum) - z;
}

static inline double ref_objective(const ref_problem *r, const double *theta)
{
    double f = 0, p[REF_PARAMETERS];
    for (int i = 0; i < r->m; i++) f += (r->weight ? r->weight[r->target[i]] : 1) * ref_softmax(r, theta, i, p);
    for (int k = 0; k < r->c * r->d; k++) f += theta[k] * theta[k] / (2 * r->l2);
    return f;
}

/* Gradient and Hessian; parameter q belongs to class q / d (weights) or q - cd, its factor is x[k] or 1. */
static inline void ref_derivatives(const ref_problem *r, const double *theta, double *g, double h[][REF_PARAMETERS])
{
    int weights = r->c * r->d, size = weights + r->c;
    for (int a = 0; a < size; a++) {
        g[a] = a < weights ? theta[a] / r->l2 : 0;
        for (int b = 0; b < size; b++) h[a][b] = a == b ? (a < weights ? 1 / r->l2 : 1e-9) : 0;
    }
    for (int i = 0; i < r->m; i++) {
        double p[REF_PARAMETERS], w = r->weight ? r->weight[r->target[i]] : 1;
        ref_softmax(r, theta, i, p);
        for (int a = 0; a < size; a++) {
            int ja = a < weights ? a / r->d : a - weights;
            double xa = a < weights ? r->x[i * r->d + a % r->d] : 1;
            g[a] += w * (p[ja] - (ja == r->target[i])) * xa;
            for (int b = 0; b < size; b++) {
                int jb = b < weights ? b / r->d : b - weights;
                double xb = b < weights ? r->x[i * r->d + b % r->d] : 1;
                h[a][b] += w * p[ja] * ((ja == jb) - p[jb]) * xa * xb;
            }
        }
    }
}

/* Gaussian elimination with pivots; the solution replaces v. */
static inline void ref_solve(double h[][REF_PARAMETERS], double *v, int n)
{
    for (int k = 0; k < n; k++) {
        int best = k;
        for (int i = k + 1; i < n; i++)
            if (fabs(h[i][k]) > fabs(h[best][k])) best = i;
        for (int j = 0; j < n; j++) {
            double t = h[k][j];
            h[k][j] = h[best][j], h[best][j] = t;
        }
        double t = v[k];
        v[k] = v[best], v[best] = t;
        for (int i = 0; i < n; i++) {
            if (i == k) continue;
            double f = h[i][k] / h[k][k];
            for (int j = k; j < n; j++) h[i][j] -= f * h[k][j];
            v[i] -= f * v[k];
        }
    }
    for (int k = 0; k < n; k++) v[k] /= h[k][k];
}

/* theta [c d + c] from 0; intercepts are fixed by theta only up to a common constant. */
static inline void ref_fit(const ref_problem *r, double *theta)
{
    static double h[REF_PARAMETERS][REF_PARAMETERS];
    int size = r->c * r->d + r->c;
    double g[REF_PARAMETERS], next[REF_PARAMETERS];
    memset(theta, 0, (size_t)size * sizeof *theta);
    for (int iteration = 0; iteration < 200; iteration++) {
        double f = ref_objective(r, theta), t = 1;
        ref_derivatives(r, theta, g, h);
        ref_solve(h, g, size);
        for (int trial = 0; trial < 40; trial++, t /= 2) {
            for (int a = 0; a < size; a++) next[a] = theta[a] - t * g[a];
            if (ref_objective(r, next) <= f) break;
        }
        double moved = 0;
        for (int a = 0; a < size; a++) moved = fmax(moved, fabs(next[a] - theta[a]));
        memcpy(theta, next, (size_t)size * sizeof *theta);
        if (moved < 1e-12) break;
    }
}

#endif
