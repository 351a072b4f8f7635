/* unit_herd.c - MaxHerding and uncertainty herding against their definition: all gains of all candidates for each pick, in
 * double.  Ties, duplicates, zero vectors, fewer distinct rows than picks, k = n, few labels and none, weights. */
#include "rule_case.h"

static double kernel(const float *x, const float *y, int64_t d, double scale)
{
    double c = 0;
    for (int64_t k = 0; k < d; k++) c += ((double)x[k] - (double)y[k]) * ((double)x[k] - (double)y[k]);
    return exp(-c / scale);
}

static int by_value(const void *x, const void *y)
{
    float a = *(const float *)x, b = *(const float *)y;
    return (a > b) - (a < b);
}

/* The square of the 5th percentile of pair distances that are not 0. */
static double reference_scale(const batch *b)
{
    const float *x = b->m >= 10 ? b->labelled : b->sample;
    int64_t n = b->m >= 10 ? b->m : b->r, count = 0;
    n = n < 1024 ? n : 1024;
    float *c = malloc((size_t)(n * n + 1) * sizeof *c);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++) {
            float e = apart(x + i * b->d, x + j * b->d, b->d);
            if (e > 0) c[count++] = e;
        }
    qsort(c, (size_t)count, sizeof *c, by_value);
    double scale = count ? (double)c[count / 20] : 1;
    free(c);
    return scale;
}

static double gain_of(const batch *b, int64_t i, const double *kept, double scale)
{
    double sum = 0;
    for (int64_t p = 0; p < b->r; p++) {
        double more = kernel(b->x + i * b->d, b->sample + p * b->d, b->d, scale) - kept[p];
        double weight = b->sample_weight ? (double)b->sample_weight[p] : 1;
        if (more > 0 && weight > 0) sum += weight * more;
    }
    return sum;
}

/* Distance of candidate i to the nearest row that is labelled or among the first j picks. */
static float reach(const batch *b, int64_t i, int64_t j)
{
    float near = INFINITY;
    for (int64_t q = 0; q < b->m + j; q++) {
        float e = apart(b->x + i * b->d, q < b->m ? b->labelled + q * b->d : b->x + b->pick[q - b->m] * b->d, b->d);
        near = e < near ? e : near;
    }
    return near;
}

static void check_spread(const batch *b, int64_t j, const char *where)
{
    int64_t best = -1;
    for (int64_t i = 0; i < b->n; i++)
        if (may_pick(b, i, j) && (best < 0 || reach(b, i, j) > reach(b, best, j))) best = i;
    CHECK(b->pick[j] == best, "%s: nothing is gained, pick %d is %d, the farthest is %d", where, (int)j,
          (int)b->pick[j], (int)best);
    CHECK(b->score[j] == sqrtf(reach(b, best, j)), "%s: pick %d has score %g", where, (int)j, (double)b->score[j]);
}

static bool same_row(const batch *b, int64_t i, int64_t j)
{
    return memcmp(b->x + i * b->d, b->x + j * b->d, (size_t)b->d * sizeof *b->x) == 0;
}

static void check_picks(const batch *b, const char *where)
{
    double scale = reference_scale(b), *kept = calloc((size_t)b->r + 1, sizeof *kept);
    double rounding = 1e-6 * (double)(b->r + 1);
    for (int64_t q = 0; q < b->m; q++)
        for (int64_t p = 0; p < b->r; p++) {
            double k = kernel(b->labelled + q * b->d, b->sample + p * b->d, b->d, scale);
            kept[p] = k > kept[p] ? k : kept[p];
        }
    for (int64_t j = 0; j < b->picked; j++) {
        int64_t got = b->pick[j];
        double own = gain_of(b, got, kept, scale), best = 0;
        for (int64_t i = 0; i < b->n; i++) {
            double gain = may_pick(b, i, j) ? gain_of(b, i, kept, scale) : 0;
            best = gain > best ? gain : best;
            CHECK(!(i < got && may_pick(b, i, j) && same_row(b, i, got)), "%s: pick %d is %d, not its double %d", where,
                  (int)j, (int)got, (int)i);
        }
        if (best > rounding) {
            CHECK(own >= best - rounding, "%s: pick %d gains %g, another %g", where, (int)j, own, best);
            CHECK_NEAR((double)b->score[j], own, rounding, "%s: pick %d", where, (int)j);
        } else if (best == 0) {
            check_spread(b, j, where);
        }
        for (int64_t p = 0; p < b->r; p++) {
            double k = kernel(b->x + got * b->d, b->sample + p * b->d, b->d, scale);
            kept[p] = k > kept[p] ? k : kept[p];
        }
    }
    free(kept);
}

static void one(const char *name, batch b, int64_t expected)
{
    if (!case_is("%s n=%d m=%d r=%d d=%d k=%d", name, (int)b.n, (int)b.m, (int)b.r, (int)b.d, (int)b.k)) return;
    run_rule(rule_herd, b, expected, check_picks);
}

/* Of a sample of more than 8,192 rows the first count: the others lie on candidate 1. */
static void prefix(void)
{
    enum { R = 8192 + 6000 };
    if (!case_is("no more than 8,192 rows are covered")) return;
    static float sample[R], x[] = { 0, 1 };
    for (int i = 0; i < R; i++) sample[i] = i < 8192 && i % 2 ? 0 : 1;
    for (int i = 0; i < 8192; i += 4) sample[i] = 0;
    sluice *s = tier_open(0, 1);
    sluice_entry *entry = numbered(2, 0);
    batch b = { .k = 1, .n = 2, .d = 1, .x = x, .entry = entry, .r = R, .sample = sample };
    CHECK_OK(s, batch_begin(s, &b));
    CHECK_OK(s, rule_herd(s, &b));
    CHECK(b.pick[0] == 0, "pick %d", (int)b.pick[0]);
    batch_release(&b), sluice_close(s), free(entry);
}

int main(int argc, char **argv)
{
    enum { N = 150, M = 14, R = 90, D = 6 };
    static float x[N * D], y[M * D], z[R * D], weight[R];
    int32_t group[N];
    test_begin(argc, argv);
    fill_normal(x, N * D, 1), fill_normal(y, M * D, 2), fill_normal(z, R * D, 3);
    batch b = { .k = 20, .n = N, .d = D, .x = x, .m = M, .labelled = y, .r = R, .sample = z };
    one("normals", b, 20);
    b.m = 9;
    one("too few labels for sigma", b, 20);
    b.m = 0;
    one("nothing labelled", b, 20);
    b.k = N;
    one("k = n", b, N);
    b.k = 20, b.r = 0;
    one("no sample: k-center", b, 20);
    b.r = R, b.m = M;
    for (int i = 0; i < R; i++) weight[i] = i % 4 ? (float)(i % 7) / 8 : NAN;
    b.sample_weight = weight;
    one("weights, some not known", b, 20);
    memset(weight, 0, sizeof weight);
    one("no weight at all: k-center", b, 20);
    b.sample_weight = NULL;
    for (int i = 0; i < N; i++) group[i] = i % 5 ? i % 5 : -1;
    pick_rules limits = { .group = group, .group_count = 5, .per_group = 2 };
    b.limits = &limits, b.k = N;
    one("two of a group", b, N / 5 + 8);
    b.limits = NULL, b.k = 40;
    for (int i = 0; i < N * D; i++) x[i] = x[i] > 0;
    for (int i = 0; i < M * D; i++) y[i] = y[i] > 0;
    for (int i = 0; i < R * D; i++) z[i] = z[i] > 0;
    one("corners of a cube: ties", b, 40);
    b.m = 0;
    one("corners of a cube, nothing labelled", b, 40);
    for (int i = 0; i < N; i++) memcpy(x + i * D, x + i % 4 * D, D * sizeof *x);
    one("fewer distinct rows than picks", b, 40);
    memset(x, 0, sizeof x), memset(y, 0, sizeof y), memset(z, 0, sizeof z);
    b.m = M;
    one("zero vectors", b, 40);
    b.n = b.k = 1;
    one("one candidate", b, 1);
    b.n = N, b.k = 0;
    one("no picks", b, 0);
    prefix();
    return test_end();
}
