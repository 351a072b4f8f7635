/* unit_lbfgs.c - the solution against Newton's method in double, and the same bits on every tier, thread count and number
 * of devices. */
#include "harness.h"
#include "learn.h"
#include "ref_linear.h"

enum { M = 60, D = 4, C = 3, WEIGHTS = C * D };

/* Overlapping clouds: class j is shifted by j along every other axis. */
static void make_rows(float *x, int32_t *target, int64_t m, int64_t d, int c, uint64_t seed)
{
    rng r = { seed };
    fill_normal(x, m * d, seed + 1);
    for (int64_t i = 0; i < m; i++) {
        target[i] = (int32_t)(rng_u64(&r) % (uint64_t)c);
        for (int64_t k = target[i] % 2; k < d; k += 2) x[i * d + k] += (float)target[i];
    }
}

/* On all devices of s. */
static sluice_status fit_rows(sluice *s, linear_fit *f, float *x, int32_t *target, int64_t d, float *weight, int c)
{
    seated_rows rows = { 0 };
    sluice_status st = seated_rows_init(&rows, s, s->devices, x, target, f->m, d, weight, c);
    if (!st) st = seated_rows_send(&rows, f->m);
    f->rows = &rows;
    if (!st) st = lbfgs_fit(s, f);
    seated_rows_release(&rows);
    return st;
}

static void against_newton(sluice *s, double l2, float *class_weight)
{
    if (!case_is("C=%g weights=%d", l2, class_weight != NULL)) return;
    float x[M * D], w[WEIGHTS] = { 0 }, b[C] = { 0 };
    int32_t target[M];
    make_rows(x, target, M, D, C, 5);
    linear_fit fit = { .m = M, .l2 = l2, .w = w, .b = b, .tolerance = 1e-7 };
    CHECK_OK(s, fit_rows(s, &fit, x, target, D, class_weight, C));

    double rows[M * D], weight[C], theta[WEIGHTS + C];
    for (int i = 0; i < M * D; i++) rows[i] = (double)x[i];
    for (int j = 0; class_weight && j < C; j++) weight[j] = (double)class_weight[j];
    ref_problem r = { rows, target, class_weight ? weight : NULL, M, D, C, l2 };
    ref_fit(&r, theta);
    double size = 0;
    for (int k = 0; k < WEIGHTS; k++) size = fmax(size, fabs(theta[k]));
    for (int k = 0; k < WEIGHTS; k++) CHECK_NEAR((double)w[k], theta[k], 1e-3 * size, "weight %d", k);
    for (int j = 1; j < C; j++)
        CHECK_NEAR((double)b[j] - (double)b[0], theta[WEIGHTS + j] - theta[WEIGHTS], 2e-3, "intercept %d", j);
    double best = ref_objective(&r, theta);
    CHECK_NEAR(fit.objective, best, 1e-6 * best, "objective after %d iterations", fit.iterations);
    CHECK(fit.iterations > 0 && fit.iterations < 200, "%d iterations", fit.iterations);
}

static void newton_cases(sluice *s)
{
    static float weights[C] = { 0.5f, 2, 1 };
    for (double l2 = 1e-4; l2 < 20; l2 *= 10) against_newton(s, l2, NULL);
    against_newton(s, 0.1, weights);
}

/* Weights (c d values, so 1 to 36 blocks of the vector) of a short fit. */
static uint64_t solution(sluice *s, int64_t m, int64_t d, int c)
{
    float *x = calloc((size_t)(m * d), sizeof *x), *w = calloc((size_t)(c * d), sizeof *w),
          *b = calloc((size_t)c, sizeof *b);
    int32_t *target = calloc((size_t)m, sizeof *target);
    make_rows(x, target, m, d, c, 7);
    linear_fit fit = { .m = m, .l2 = 1, .w = w, .b = b, .max_iterations = 15 };
    CHECK_OK(s, fit_rows(s, &fit, x, target, d, NULL, c));
    uint64_t h =
        hash_bytes(w, (size_t)(c * d) * sizeof *w, hash_bytes(b, (size_t)c * sizeof *b, (uint64_t)fit.iterations));
    CHECK(fit.iterations > 2, "%d iterations", fit.iterations);
    free(x), free(w), free(b), free(target);
    return h;
}

static void same_bits(int64_t m, int64_t d, int c)
{
    if (!case_is("bits m=%lld d=%lld c=%d", (long long)m, (long long)d, c)) return;
    uint64_t want = 0;
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 3; threads += 2) {
            sluice *s = tier_open(t, threads);
            uint64_t got = solution(s, m, d, c);
            if (t == 0 && threads == 1) want = got;
            CHECK(got == want, "%s with %d threads: %016llx, not %016llx", tier_name(t), threads,
                  (unsigned long long)got, (unsigned long long)want);
            sluice_close(s);
        }
    if (!getenv("SLUICE_TEST_CUDA")) return;
    sluice *s = NULL;
    CHECK(sluice_open(&(sluice_options){ .size = sizeof(sluice_options), .devices = "all" }, &s) == SLUICE_OK, "%s",
          sluice_error(s));
    uint64_t got = solution(s, m, d, c);
    CHECK(got == want, "%d devices: %016llx, not %016llx", s->devices, (unsigned long long)got,
          (unsigned long long)want);
    sluice_close(s);
}

/* Rows without information: the intercepts are the logs of the class shares, the weights stay 0. */
static void blank_rows(sluice *s)
{
    if (!case_is("blank rows")) return;
    float x[8 * 2] = { 0 }, w[4] = { 0 }, b[2] = { 0 };
    int32_t target[8] = { 0, 0, 0, 0, 0, 0, 1, 1 };
    linear_fit fit = { .m = 8, .l2 = 1, .w = w, .b = b };
    CHECK_OK(s, fit_rows(s, &fit, x, target, 2, NULL, 2));
    CHECK_NEAR((double)b[0] - (double)b[1], log(3), 1e-4, "intercepts");
    for (int k = 0; k < 4; k++) CHECK_NEAR((double)w[k], 0, 0, "weight %d", k);
}

static void stops(sluice *s)
{
    float x[M * D], w[WEIGHTS] = { 0 }, b[C] = { 0 };
    int32_t target[M];
    make_rows(x, target, M, D, C, 5);
    linear_fit fit = { .m = M, .l2 = 1, .w = w, .b = b, .max_iterations = 2 };
    if (case_is("max_iterations")) {
        CHECK_OK(s, fit_rows(s, &fit, x, target, D, NULL, C));
        CHECK(fit.iterations == 2, "%d iterations", fit.iterations);
    }
    if (case_is("a warm start is near its end")) {
        fit.max_iterations = 0;
        CHECK_OK(s, fit_rows(s, &fit, x, target, D, NULL, C));
        int cold = fit.iterations;
        CHECK_OK(s, fit_rows(s, &fit, x, target, D, NULL, C));
        CHECK(fit.iterations * 4 < cold, "%d iterations after %d", fit.iterations, cold);
    }
    if (case_is("cancel")) {
        memset(w, 0, sizeof w);
        sluice_cancel(s);
        CHECK(fit_rows(s, &fit, x, target, D, NULL, C) == SLUICE_E_CANCELLED, "%s", sluice_error(s));
        s->cancelled = 0;
    }
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice *s = tier_open(0, 2);
    newton_cases(s);
    blank_rows(s);
    stops(s);
    sluice_close(s);
    same_bits(40, 37, 3);
    same_bits(1, 5, 2);
    same_bits(33, 7001, 21);
    same_bits(30, 19, 66); /* of 16 a device's share has, one of eight gets two and three get none */
    return test_end();
}
