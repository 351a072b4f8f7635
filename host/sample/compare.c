/* compare.c - see compare.h.  Figures for people: nothing here decides a pick, so libm will do. */
#include "compare.h"

#include <math.h>
#include <stdlib.h>

double curve_area(const curve *c, int strategy, int seed)
{
    double area = 0;
    const curve_point *first = curve_at(c, strategy, seed, 0), *last = curve_at(c, strategy, seed, c->rounds);
    if (last->labels <= first->labels) return last->accuracy;
    for (int r = 1; r <= c->rounds; r++) {
        const curve_point *a = curve_at(c, strategy, seed, r - 1), *b = curve_at(c, strategy, seed, r);
        area += (a->accuracy + b->accuracy) / 2 * (double)(b->labels - a->labels);
    }
    return area / (double)(last->labels - first->labels);
}

/* ---- Student's t ---- */

/* The continued fraction of the incomplete beta function (Abramowitz & Stegun 26.5.8), by Lentz's method. */
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double h = d;
    for (int m = 1; m <= 500; m++) {
        double k = m, even = k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k));
        double odd = -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1));
        for (int half = 0; half < 2; half++) {
            double v = half ? odd : even;
            d = 1 + v * d, c = 1 + v / c;
            d = 1 / (fabs(d) < tiny ? tiny : d), c = fabs(c) < tiny ? tiny : c;
            h *= c * d;
        }
        if (fabs(c * d - 1) < 1e-15) break;
    }
    return h;
}

/* I_x(a, b). */
static double incomplete_beta(double a, double b, double x)
{
    if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double student_two_sided(double t, double df) { return incomplete_beta(df / 2, 0.5, df / (df + t * t)); }

/* t with a two-sided tail of 5%, by halving. */
static double student_95(double df)
{
    double low = 0, high = 1000;
    for (int i = 0; i < 100; i++) {
        double t = (low + high) / 2;
        if (student_two_sided(t, df) > 0.05) low = t;
        else high = t;
    }
    return high;
}

void holm_adjust(const double *p, int n, double *adjusted)
{
    double most = 0;
    for (int i = 0; i < n; i++) {
        double q = p[i] * (n - i);
        if (q > most) most = q;
        adjusted[i] = most < 1 ? most : 1;
    }
}

/* ---- comparisons ---- */

static comparison compare_two(const curve *c, int a, int b)
{
    comparison q = { .a = a, .b = b, .p = 1 };
    double sum = 0, squares = 0;
    for (int i = 0; i < c->seeds; i++) sum += curve_area(c, a, i) - curve_area(c, b, i);
    q.difference = sum / c->seeds;
    if (c->seeds < 2) return q;
    for (int i = 0; i < c->seeds; i++) {
        double e = curve_area(c, a, i) - curve_area(c, b, i) - q.difference;
        squares += e * e;
    }
    q.deviation = sqrt(squares / (c->seeds - 1));
    if (q.deviation > 0) {
        q.t = q.difference / (q.deviation / sqrt(c->seeds));
        q.p = student_two_sided(q.t, c->seeds - 1);
    } else if (q.difference != 0) {
        q.p = 0; /* the same difference in every seed */
    }
    return q;
}

static int by_p(const void *x, const void *y)
{
    const comparison *a = x, *b = y;
    if (a->p != b->p) return a->p < b->p ? -1 : 1;
    return a->a != b->a ? (a->a > b->a) - (a->a < b->a) : (a->b > b->b) - (a->b < b->b);
}

sluice_status compare_strategies(sluice *s, const curve *c, int baseline, comparison **out_list, int *out_count)
{
    sluice_status st = SLUICE_OK;
    int n = 0, most = baseline >= 0 ? c->strategy_count : c->strategy_count * (c->strategy_count - 1) / 2;
    comparison *list = NULL;
    double *p = NULL, *adjusted = NULL;
    TRY_NEW(list, NEW(s, most + 1, comparison));
    TRY_NEW(p, NEW(s, most + 1, double));
    TRY_NEW(adjusted, NEW(s, most + 1, double));
    for (int a = 0; a < c->strategy_count; a++)
        for (int b = 0; b < c->strategy_count; b++)
            if (a != b && (baseline >= 0 ? b == baseline : a < b)) list[n++] = compare_two(c, a, b);
    qsort(list, (size_t)n, sizeof *list, by_p);
    for (int i = 0; i < n; i++) p[i] = list[i].p;
    holm_adjust(p, n, adjusted);
    for (int i = 0; i < n; i++) list[i].adjusted = adjusted[i];
    *out_list = list, list = NULL;
    *out_count = n;
out:
    mem_free(list), mem_free(p), mem_free(adjusted);
    return st;
}

json_t *compare_json(const curve *c, const comparison *list, int count)
{
    json_t *pairs = json_array();
    for (const comparison *q = list; q < list + count; q++)
        if (json_array_append_new(pairs, json_pack("{s:s, s:s, s:f, s:f, s:f}", "a", c->strategies[q->a], "b",
                                                   c->strategies[q->b], "difference", q->difference, "p", q->p, "holm",
                                                   q->adjusted)))
            return json_decref(pairs), NULL;
    return pairs;
}

/* Where a run first reaches an accuracy, between points by a line; negative: never. */
static double labels_for(const curve *c, int strategy, int seed, double wanted)
{
    for (int r = 0; r <= c->rounds; r++) {
        const curve_point *p = curve_at(c, strategy, seed, r);
        if (p->accuracy < wanted) continue;
        if (r == 0) return (double)p->labels;
        const curve_point *q = curve_at(c, strategy, seed, r - 1);
        double share = (wanted - q->accuracy) / (p->accuracy - q->accuracy);
        return (double)q->labels + share * (double)(p->labels - q->labels);
    }
    return -1;
}

bool compare_savings(const curve *c, int strategy, int random, double *out_ratio, double *out_low, double *out_high)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < c->seeds; i++) {
        /* as random ends: what it reached with all its labels */
        double needs = labels_for(c, strategy, i, curve_at(c, random, i, c->rounds)->accuracy);
        if (needs <= 0) return false;
        double ratio = (double)curve_at(c, random, i, c->rounds)->labels / needs;
        sum += ratio, squares += ratio * ratio;
    }
    double n = c->seeds, mean = sum / n, half = 0;
    double variance = n > 1 ? (squares - n * mean * mean) / (n - 1) : 0;
    if (n > 1 && variance > 0) half = student_95(n - 1) * sqrt(variance / n);
    *out_ratio = mean, *out_low = mean - half, *out_high = mean + half;
    return true;
}
