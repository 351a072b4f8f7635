/* compare.h - is one strategy better than another?  Paired over seeds, with what many comparisons cost. */
#ifndef COMPARE_H
#define COMPARE_H

#include "curve.h"

#include <jansson.h>

/* Mean accuracy over labels: the area under a run's curve by trapezoids, over its width; one point: its accuracy. */
double curve_area(const curve *c, int strategy, int seed);

typedef struct comparison {
    int a, b;          /* strategies */
    double difference; /* mean over seeds of area(a) - area(b) */
    double deviation;  /* of these differences */
    double t, p;       /* paired, two-sided (Student 1908); p = 1 with fewer than two seeds or no difference at all */
    double adjusted;   /* p after Holm's correction (1979) over all comparisons made */
} comparison;

/* Every strategy against `baseline`, or all pairs where it is negative; p ascending.  *out_list: mem_free(). */
sluice_status compare_strategies(sluice *s, const curve *c, int baseline, comparison **out_list, int *out_count);
json_t *compare_json(const curve *c, const comparison *list, int count); /* "pairs" of a summary */

/* P(|T| > t) of Student's t with df degrees of freedom. */
double student_two_sided(double t, double df);
/* Holm's step-down: adjusted[i] of p[i] ascending, never decreasing, at most 1. */
void holm_adjust(const double *p, int n, double *adjusted);

/* How many times fewer labels a strategy needs than random for the accuracy that random ends with: the mean over seeds and
 * its 95% interval.  False: some seed does not get there. */
bool compare_savings(const curve *c, int strategy, int random, double *out_ratio, double *out_low, double *out_high);

#endif
