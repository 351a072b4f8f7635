/* op_score.c - the scores against their textbook formulas in double over ordinary and adversarial logits, and bit for
 * bit against ex_reduce() row by row; every tier and thread count gives the same bytes. */
#include "harness.h"
#include "ref.h"
#include "uncertainty.h"

enum { COLUMNS = 7 };
static const char *const names[COLUMNS] = { "least-confidence", "margin",     "ratio",     "entropy",
                                            "energy",           "confidence", "prediction" };

/* All columns [COLUMNS][n], each guarded. */
typedef struct columns {
    guarded g[COLUMNS];
    int64_t n;
} columns;

static columns columns_new(int64_t n)
{
    columns c = { .n = n };
    for (int i = 0; i < COLUMNS; i++) c.g[i] = guarded_new((size_t)n * 4, 0);
    return c;
}

static void columns_free(columns *c)
{
    for (int i = 0; i < COLUMNS; i++)
        CHECK(guarded_ok(&c->g[i]), "wrote past the end of %s", names[i]), guarded_free(&c->g[i]);
}

static sluice_scores columns_out(columns *c)
{
    return (sluice_scores){ c->g[0].p, c->g[1].p, c->g[2].p, c->g[3].p, c->g[4].p, c->g[5].p, c->g[6].p };
}

static float column(const columns *c, int i, int64_t row) { return ((const float *)c->g[i].p)[row]; }

/* The seven columns of one row by the definition every kernel shares. */
static void by_row(const float *z, int64_t c, float t, float out[COLUMNS])
{
    ex_stat st = ex_reduce(z, c, t);
    out[0] = ex_least_confidence(st), out[1] = ex_margin(st), out[2] = ex_ratio(st),
    out[3] = ex_entropy(st, ex_log((float)c));
    out[4] = ex_energy(st, t), out[5] = ex_confidence(st), out[6] = st.best < 0 ? ex_nan() : (float)st.best;
}

static int64_t first_largest(const float *z, int64_t c)
{
    int64_t best = 0;
    for (int64_t j = 1; j < c; j++)
        if (z[j] > z[best]) best = j;
    return best;
}

static void check_row(const columns *got, int64_t i, const float *z, int64_t c, float t)
{
    float want[COLUMNS];
    by_row(z, c, t, want);
    double wide[32768]; /* z / t is rounded once, by the contract; all else is exact here */
    int finite = 1;
    for (int64_t j = 0; j < c; j++) wide[j] = (double)(z[j] / t), finite &= isfinite(z[j] / t);
    for (int k = 0; k < COLUMNS; k++) {
        float x = column(got, k, i);
        CHECK_SAME(&x, &want[k], 4, "%s of row %lld: %.9g, ex_reduce gives %.9g", names[k], (long long)i, (double)x,
                   (double)want[k]);
        if (!finite) {
            CHECK(ex_bits(x) == 0x7fc00000u, "%s of bad row %lld is %08x", names[k], (long long)i, ex_bits(x));
            continue;
        }
        if (k == 6) {
            CHECK_NEAR(x, (double)first_largest(z, c), 0, "prediction of row %lld", (long long)i);
            continue;
        }
        double exact = ref_score(names[k], wide, c, 1) * (k == 4 ? (double)t : 1);
        CHECK_NEAR(x, exact, k == 4 ? 2e-6 * (1 + fabs(exact)) : 2e-6, "%s of row %lld", names[k], (long long)i);
    }
}

/* Row i of one of several kinds, ordinary ones first. */
static void fill_row(float *z, int64_t c, int64_t i, rng *r)
{
    int kind = (int)(i % 12);
    for (int64_t j = 0; j < c; j++) {
        double g = rng_normal(r);
        switch (kind) {
        case 1: z[j] = 0; break;                           /* equal */
        case 2: z[j] = j == (i * 7) % c ? 30 : -30; break; /* one-hot, confident */
        case 3: z[j] = (float)(g * 1e30); break;           /* gaps of 1e30 */
        case 4: z[j] = (float)(g * 1e-40); break;          /* subnormal */
        case 5: z[j] = j % 2 ? 3e38f : -3e38f; break;      /* differences overflow */
        case 6: z[j] = (float)(floor(g * 4) / 4); break;   /* ties */
        case 7: z[j] = (float)(g * 20); break;
        case 8: z[j] = j % 3 ? -0.0f : 0.0f; break;
        case 9: z[j] = (float)(100 + g); break;
        case 10: z[j] = j == c - 1 ? 5 : (float)g; break; /* the last class wins */
        default: z[j] = (float)(g * 2); break;
        }
    }
}

static void one(int64_t n, int64_t c, float t, size_t gap, size_t off, int spoil)
{
    if (!case_is("n=%lld c=%lld temperature=%g gap=%zu off=%zu spoil=%d", (long long)n, (long long)c, (double)t, gap,
                 off, spoil))
        return;
    size_t stride = (size_t)c * 4 + gap;
    guarded z = guarded_new(n ? (size_t)n * stride - gap : 0, off);
    float *row = malloc((size_t)c * 4);
    rng r = { (uint64_t)(n * 31 + c) };
    for (int64_t i = 0; i < n; i++) {
        fill_row(row, c, i, &r);
        if (spoil && i % 5 == 3) row[(i * 13) % c] = i % 2 ? NAN : i % 4 ? INFINITY : -INFINITY;
        memcpy((char *)z.p + (size_t)i * stride, row, (size_t)c * 4);
    }
    columns first = columns_new(n);
    for (int tier = tier_count() - 1; tier >= 0; tier--)
        for (int threads = 1; threads <= 2; threads++) {
            sluice *s = tier_open(tier, threads);
            columns out = columns_new(n);
            sluice_op_score_args a = { { z.p, n, c, stride, SLUICE_F32, NULL }, t, columns_out(&out) };
            CHECK_OK(s, sluice_op_score(s, &a));
            if (tier == tier_count() - 1 && threads == 1)
                for (int k = 0; k < COLUMNS; k++) memcpy(first.g[k].p, out.g[k].p, (size_t)n * 4);
            for (int k = 0; k < COLUMNS; k++)
                CHECK_SAME(out.g[k].p, first.g[k].p, (size_t)n * 4, "%s, %s, %d threads", names[k], tier_name(tier),
                           threads);
            columns_free(&out), sluice_close(s);
        }
    for (int64_t i = 0; i < n; i++) {
        memcpy(row, (char *)z.p + (size_t)i * stride, (size_t)c * 4);
        check_row(&first, i, row, c, t);
    }
    columns_free(&first), guarded_free(&z), free(row);
}

/* As the lead of the first class grows, uncertainty falls strictly, long after 1 - p rounds to 0. */
static void confident_tail(void)
{
    if (!case_is("monotone in the confident tail")) return;
    enum { STEPS = 80 };
    static float z[STEPS][10];
    for (int i = 0; i < STEPS; i++) z[i][3] = (float)i + 1;
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 1);
        columns out = columns_new(STEPS);
        sluice_op_score_args a = { sluice_rows(z, SLUICE_F32, STEPS, 10), 1, columns_out(&out) };
        CHECK_OK(s, sluice_op_score(s, &a));
        for (int k = 0; k < 4; k++)
            for (int64_t i = 1; i < STEPS; i++)
                CHECK(column(&out, k, i) < column(&out, k, i - 1) && column(&out, k, i) > 0,
                      "%s at a lead of %lld: %g after %g", names[k], (long long)i + 1, (double)column(&out, k, i),
                      (double)column(&out, k, i - 1));
        columns_free(&out), sluice_close(s);
    }
}

/* Columns that are not wanted are not needed for the others. */
static void subsets(void)
{
    if (!case_is("each column alone")) return;
    enum { N = 33, C = 20 };
    static float z[N * C], alone[N];
    fill_normal(z, N * C, 5);
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 1);
        columns all = columns_new(N);
        sluice_op_score_args a = { sluice_rows(z, SLUICE_F32, N, C), 1.5f, columns_out(&all) };
        CHECK_OK(s, sluice_op_score(s, &a));
        for (int k = 0; k < COLUMNS; k++) {
            float *want[COLUMNS] = { NULL };
            want[k] = alone;
            a.out = (sluice_scores){ want[0], want[1], want[2], want[3], want[4], want[5], want[6] };
            CHECK_OK(s, sluice_op_score(s, &a));
            CHECK_SAME(alone, all.g[k].p, sizeof alone, "%s", names[k]);
        }
        a.temperature = 0;
        CHECK(sluice_op_score(s, &a) == SLUICE_E_SHAPE, "%s", sluice_error(s));
        columns_free(&all), sluice_close(s);
    }
}

int main(int argc, char **argv)
{
    static const int64_t cs[] = { 1, 2, 3, 10, 15, 16, 17, 31, 32, 33, 100 }, ns[] = { 0, 1, 15, 16, 17, 50 };
    test_begin(argc, argv);
    for (int i = 0; i < 11; i++)
        for (int j = 0; j < 6; j++)
            one(ns[j], cs[i], j % 2 ? 1.0f : 0.7f, (size_t)(j % 3 * 3), (size_t)(i % 4), (i + j) % 2);
    one(24, 1000, 1.0f, 0, 0, 1);
    one(13, 1024, 3.0f, 0, 0, 0);
    one(13, 1025, 1.0f, 2, 1, 0);
    one(13, 21843, 1.0f, 0, 0, 1);
    confident_tail();
    subsets();
    return test_end();
}
