/* unit_adaptive.c - representative sampling against its definition: all cosines for each pick, in double.  Ties,
 * duplicates, zero vectors, fewer distinct rows than picks, k = n, nothing labelled, rows that cancel. */
#include "rule_case.h"

enum { D = 6 };

/* cos of x with the sum of rows, 0 where either has no length. */
static double cosine(const float *x, const double *sum)
{
    double dot = 0, a = 0, b = 0;
    for (int k = 0; k < D; k++) {
        dot += (double)x[k] * sum[k];
        a += (double)x[k] * (double)x[k], b += sum[k] * sum[k];
    }
    return a > 0 && b > 1e-16 ? dot / sqrt(a * b) : 0;
}

static void add(double *sum, const float *x)
{
    for (int k = 0; k < D; k++) sum[k] += (double)x[k];
}

static void check_picks(const batch *b, const char *where)
{
    double pool[D] = { 0 }, labelled[D] = { 0 };
    for (int64_t i = 0; i < b->r; i++) add(pool, b->sample + i * D);
    for (int64_t i = 0; i < b->m; i++) add(labelled, b->labelled + i * D);
    for (int64_t j = 0; j < b->picked; j++) {
        const float *got = b->x + b->pick[j] * D;
        double own = cosine(got, pool) - cosine(got, labelled);
        CHECK_NEAR((double)b->score[j], own, 2e-6, "%s: pick %d", where, (int)j);
        for (int64_t i = 0; i < b->n; i++) {
            const float *x = b->x + i * D;
            if (!may_pick(b, i, j)) continue;
            double other = cosine(x, pool) - cosine(x, labelled);
            CHECK(other <= own + 4e-6, "%s: pick %d is worth %g, row %d %g", where, (int)j, own, (int)i, other);
            CHECK(i >= b->pick[j] || memcmp(x, got, D * sizeof *x) != 0, "%s: pick %d is %d, not its double %d", where,
                  (int)j, (int)b->pick[j], (int)i);
        }
        add(labelled, got);
    }
}

static void unit(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double square = 0;
        for (int k = 0; k < D; k++) square += (double)x[i * D + k] * (double)x[i * D + k];
        for (int k = 0; k < D && square > 0; k++) x[i * D + k] = (float)((double)x[i * D + k] / sqrt(square));
    }
}

static void one(const char *name, batch b, int64_t expected)
{
    if (!case_is("%s n=%d m=%d r=%d k=%d", name, (int)b.n, (int)b.m, (int)b.r, (int)b.k)) return;
    run_rule(rule_adaptive, b, expected, check_picks);
}

int main(int argc, char **argv)
{
    enum { N = 150, M = 12, R = 80 };
    static float x[N * D], y[M * D], z[R * D];
    int32_t group[N];
    test_begin(argc, argv);
    fill_normal(x, N * D, 1), fill_normal(y, M * D, 2), fill_normal(z, R * D, 3);
    for (int i = 0; i < R; i++) z[i * D] += 1;
    unit(x, N), unit(y, M), unit(z, R);
    batch b = { .k = 25, .n = N, .d = D, .x = x, .m = M, .labelled = y, .r = R, .sample = z };
    one("normals", b, 25);
    b.m = 0;
    one("nothing labelled", b, 25);
    b.k = N;
    one("k = n", b, N);
    b.r = 0, b.m = M, b.k = 25;
    one("no sample", b, 25);
    for (int i = 0; i < M; i++) /* in pairs that cancel */
        for (int k = 0; k < D; k++) y[i * D + k] = i % 2 ? -y[(i - 1) * D + k] : y[i * D + k];
    b.r = R;
    one("labelled rows that cancel", b, 25);
    for (int i = 0; i < N; i++) group[i] = i % 5 ? i % 5 : -1;
    pick_rules limits = { .group = group, .group_count = 5, .per_group = 2 };
    b.limits = &limits, b.k = N;
    one("two of a group", b, N / 5 + 8);
    b.limits = NULL, b.k = 40;
    for (int i = 0; i < N * D; i++) x[i] = x[i] > 0;
    unit(x, N);
    one("corners of a cube: ties", b, 40);
    for (int i = 0; i < N; i++) memcpy(x + i * D, x + i % 4 * D, D * sizeof *x);
    one("fewer distinct rows than picks", b, 40);
    memset(x, 0, sizeof x), memset(y, 0, sizeof y), memset(z, 0, sizeof z);
    one("zero vectors", b, 40);
    b.n = b.k = 1;
    one("one candidate", b, 1);
    b.n = N, b.k = 0;
    one("no picks", b, 0);
    return test_end();
}
