/* unit_gist.c - GIST against its definition: the greedy independent set of every threshold by plain loops, and the best of
 * them.  Ties, duplicates, zero vectors, fewer distinct rows than picks, k = n, equal weights, groups. */
#include "rule_case.h"

enum { MOST = 700 };

typedef struct set {
    int64_t count, row[MOST];
    float apart;
} set;

static float weight_of(const batch *b, int64_t i)
{
    return b->weight && !isnan(b->weight[i]) ? b->weight[i] : b->weight ? 0 : 1;
}

static bool fits(const batch *b, const set *v, int64_t i, float threshold, float *near)
{
    int64_t of_group = 0;
    *near = INFINITY;
    for (int64_t j = 0; j < v->count; j++) {
        float e = apart(b->x + i * b->d, b->x + v->row[j] * b->d, b->d);
        *near = e < *near ? e : *near;
        if (v->row[j] == i || e < threshold) return false;
        of_group += group_of(b, i) >= 0 && group_of(b, v->row[j]) == group_of(b, i);
    }
    return group_of(b, i) < 0 || of_group < b->limits->per_group;
}

/* Again and again the heaviest row that fits. */
static set independent(const batch *b, float threshold)
{
    set v = { .apart = INFINITY };
    while (v.count < b->k) {
        int64_t best = -1;
        float near, apart_best = 0;
        for (int64_t i = 0; i < b->n; i++)
            if ((best < 0 || weight_of(b, i) > weight_of(b, best)) && fits(b, &v, i, threshold, &near))
                best = i, apart_best = near;
        if (best < 0) break;
        v.apart = apart_best < v.apart ? apart_best : v.apart;
        v.row[v.count++] = best;
    }
    return v;
}

static double value_of(const batch *b, const set *v)
{
    double sum = 0;
    for (int64_t j = 0; j < v->count; j++) sum += (double)weight_of(b, v->row[j]);
    return sum / (double)v->count + (v->count > 1 ? b->value[0] * sqrt((double)v->apart) : 0);
}

static int64_t spread_sets; /* cases where a threshold above 0 won */

static void check_picks(const batch *b, const char *where)
{
    float farthest = 0;
    if (b->k == 0) return;
    for (int64_t i = 0; i < b->n; i++) {
        float e = apart(b->x, b->x + i * b->d, b->d);
        farthest = e > farthest ? e : farthest;
    }
    double diameter = 2 * sqrt((double)farthest);
    set best = independent(b, 0);
    int64_t full = best.count, won = 0;
    for (double t = diameter; t > diameter / 40 && t > 0; t /= 1.1) {
        set v = independent(b, (float)(t * t));
        if (v.count == full && value_of(b, &v) > value_of(b, &best)) best = v, won = 1;
    }
    spread_sets += won;
    for (int64_t j = 0; j < b->picked; j++) {
        CHECK(b->pick[j] == best.row[j], "%s: pick %d is %d, wanted %d", where, (int)j, (int)b->pick[j],
              (int)best.row[j]);
        CHECK(b->score[j] == weight_of(b, b->pick[j]), "%s: pick %d has score %g", where, (int)j, (double)b->score[j]);
    }
}

static void one(const char *name, batch b, double lambda, int64_t expected)
{
    if (!case_is("%s n=%d d=%d k=%d lambda=%g", name, (int)b.n, (int)b.d, (int)b.k, lambda)) return;
    b.value = &lambda;
    run_rule(rule_gist, b, expected, check_picks);
}

int main(int argc, char **argv)
{
    enum { N = 600, D = 4 };
    static float x[N * D], weight[N];
    int32_t group[N];
    test_begin(argc, argv);
    fill_normal(x, N * D, 1), fill_normal(weight, N, 2);
    for (int i = 0; i < N; i++) weight[i] = 1 / (1 + weight[i] * weight[i]);
    weight[7] = NAN;
    batch b = { .k = 12, .n = N, .d = D, .x = x, .weight = weight };
    one("normals", b, 1, 12);
    one("distance does not count", b, 0, 12);
    one("distance counts most", b, 100, 12);
    b.k = 1;
    one("one pick", b, 1, 1);
    b.n = b.k = 40;
    one("k = n", b, 1, 40);
    b.n = N, b.k = 30;
    for (int i = 0; i < N; i++) group[i] = i % 9 ? i % 9 : i == 0 ? -1 : 0;
    pick_rules limits = { .group = group, .group_count = 9, .per_group = 1 };
    b.limits = &limits;
    one("one of a group", b, 1, 10);
    b.limits = NULL, b.k = 10, b.weight = NULL;
    one("equal weights", b, 1, 10);
    for (int i = 0; i < N * D; i++) x[i] = x[i] > 0;
    one("corners of a cube: ties", b, 1, 10);
    b.weight = weight, b.k = 30;
    one("fewer distinct rows than picks", b, 1, 30);
    memset(x, 0, sizeof x);
    one("zero vectors", b, 1, 30);
    b.n = b.k = 1;
    one("one candidate", b, 1, 1);
    b.n = N, b.k = 0;
    one("no picks", b, 1, 0);
    if (case_is("thresholds win")) CHECK(spread_sets > 0, "no case in which the heaviest rows were not best");
    return test_end();
}
