/* unit_calibrate.c - exp and log of dmath.h against long double, NLL by its definition, temperatures. */
#include "harness.h"
#include "dmath.h"
#include "learn.h"

static void elementary(void)
{
    if (!case_is("exp and log")) return;
    rng r = { 11 };
    double worst_exp = 0, worst_log = 0;
    for (int i = 0; i < 300000; i++) {
        double x = (rng_uniform(&r) - 0.5) * (i % 2 ? 1400 : 4), y = exp((rng_uniform(&r) - 0.5) * (i % 3 ? 1400 : 1));
        worst_exp = fmax(worst_exp, (double)fabsl(dm_exp(x) / expl(x) - 1));
        worst_log = fmax(worst_log, (double)fabsl((dm_log(y) - logl(y)) / logl(y)));
    }
    CHECK(worst_exp < 1e-15, "relative error of exp %g", worst_exp);
    CHECK(worst_log < 1e-15, "relative error of log %g", worst_log);
    CHECK(dm_exp(0) == 1 && dm_exp(-1e9) == 0 && dm_exp(-INFINITY) == 0 && dm_exp(1e9) == INFINITY, "ends of exp");
    CHECK(dm_exp(NAN) != dm_exp(NAN) && dm_log(-1) != dm_log(-1), "NaN");
    CHECK(dm_log(1) == 0 && dm_log(0) == -INFINITY && dm_log(INFINITY) == INFINITY, "ends of log");
    CHECK_NEAR(dm_log(0x1p-1074), (double)logl(0x1p-1074L), 1e-12, "the smallest subnormal");
}

static double nll_by_definition(const float *z, const int32_t *target, int64_t m, int c, double t)
{
    long double all = 0;
    for (int64_t i = 0; i < m; i++) {
        long double sum = 0, top = -INFINITY;
        for (int j = 0; j < c; j++) top = fmaxl(top, z[i * c + j] / (long double)t);
        for (int j = 0; j < c; j++) sum += expl(z[i * c + j] / (long double)t - top);
        all += logl(sum) + top - z[i * c + target[i]] / (long double)t;
    }
    return (double)all;
}

enum { M = 9000, C = 4 };

/* Labels drawn from softmax(z); the logits are then blown up by t. */
static void draw(float *z, int32_t *target, double t, uint64_t seed)
{
    rng r = { seed };
    fill_normal(z, M * C, seed + 1);
    for (int i = 0; i < M; i++) {
        double p[C], sum = 0, u = rng_uniform(&r);
        for (int j = 0; j < C; j++) sum += p[j] = exp(2 * (double)z[i * C + j]);
        target[i] = C - 1;
        for (int j = C - 1; j >= 0; j--)
            if (u < 0) break;
            else if ((u -= p[j] / sum) < 0) target[i] = j;
        for (int j = 0; j < C; j++) z[i * C + j] = (float)(2 * t * (double)z[i * C + j]);
    }
}

static void temperatures(void)
{
    static float z[M * C];
    static int32_t target[M];
    for (double t = 0.3; t < 6; t *= 2) {
        if (!case_is("temperature %g", t)) continue;
        draw(z, target, t, 3);
        double got = (double)calibrate_temperature(z, target, M, C), at = nll_by_definition(z, target, M, C, got);
        CHECK_NEAR(got, t, 0.1 * t, "T");
        CHECK(at <= nll_by_definition(z, target, M, C, got * 1.0001), "a larger T is better");
        CHECK(at <= nll_by_definition(z, target, M, C, got / 1.0001), "a smaller T is better");
        CHECK_NEAR(nll_sum(z, target, M, C, (float)got), at, 1e-9 * at, "NLL");
    }
}

static void too_little(void)
{
    if (!case_is("too little to go by")) return;
    static float z[M * C];
    static int32_t target[M];
    draw(z, target, 3, 5);
    CHECK(calibrate_temperature(z, target, 49, C) == 1, "49 rows");
    CHECK(calibrate_temperature(z, target, 50, C) != 1, "50 rows");
    int seen = 0;
    for (int i = 0; i < M; i++)
        if (target[i] == 2 && ++seen > 4) target[i] = 1;
    CHECK(calibrate_temperature(z, target, M, C) == 1, "4 rows of a class");
    CHECK(calibrate_temperature(z, target, 0, C) == 1, "no rows");
}

static void limits(void)
{
    if (!case_is("every row right, every row wrong")) return;
    float z[200];
    int32_t target[100];
    for (int i = 0; i < 100; i++) target[i] = i % 2, z[2 * i + i % 2] = 1, z[2 * i + 1 - i % 2] = 0;
    CHECK(calibrate_temperature(z, target, 100, 2) == 0.0625f, "right: the smallest T");
    for (int i = 0; i < 100; i++) target[i] = 1 - target[i];
    CHECK(calibrate_temperature(z, target, 100, 2) == 16, "wrong: the largest T");
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    elementary();
    temperatures();
    too_little();
    limits();
    return test_end();
}
