/* ref.c - see ref.h. */
#include "ref.h"

#include <math.h>
#include <string.h>

void ref_forward(const double *x, const double *w, const double *b, int64_t n, int64_t d, int64_t c, double *z)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < c; j++) {
            double acc = b ? b[j] : 0;
            for (int64_t k = 0; k < d; k++) acc += x[i * d + k] * w[j * d + k];
            z[i * c + j] = acc;
        }
}

/* Textbook formulas, arranged so that double itself does not cancel: everything relative to the largest logit. */
double ref_score(const char *name, const double *z, int64_t c, double temperature)
{
    int64_t best = 0;
    for (int64_t j = 1; j < c; j++)
        if (z[j] > z[best]) best = j;
    long double others = 0, second = -INFINITY, weighted = 0;
    for (int64_t j = 0; j < c; j++) {
        if (j == best) continue;
        long double d = ((long double)z[j] - z[best]) / temperature, e = expl(d);
        others += e;
        if (e > 0) weighted += e * d;
        if (d > second) second = d;
    }
    if (!strcmp(name, "energy")) return (double)(-(long double)z[best] - temperature * log1pl(others));
    if (!strcmp(name, "confidence")) return (double)(1 / (1 + others));
    if (c == 1) return 0;
    if (!strcmp(name, "least-confidence")) return (double)(others / (1 + others));
    if (!strcmp(name, "margin")) return (double)((others + expl(second)) / (1 + others));
    if (!strcmp(name, "ratio")) return (double)expl(second);
    if (!strcmp(name, "entropy")) return (double)((log1pl(others) - weighted / (1 + others)) / logl((long double)c));
    return NAN;
}
