/* op_dropout.c - masks against a Philox of the tests' own, and their statistics. */
#include "harness.h"
#include "philox_ref.h"

static void one(int64_t n, int64_t d, float rate, uint64_t seed, uint64_t step, int64_t first, size_t off)
{
    if (!case_is("n=%d d=%d rate=%g seed=%llu step=%llu first=%lld off=%zu", (int)n, (int)d, (double)rate,
                 (unsigned long long)seed, (unsigned long long)step, (long long)first, off))
        return;
    guarded x = guarded_new((size_t)(n * d) * 4, off);
    float *from = calloc((size_t)(n * d) + 1, 4), scale = (float)(1.0 / (double)(1.0f - rate));
    fill_normal(from, n * d, 2);
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 3; threads += 2) {
            sluice *s = tier_open(t, threads);
            memcpy(x.p, from, (size_t)(n * d) * 4);
            CHECK_OK(s, sluice_op_dropout(s, &(sluice_op_dropout_args){ .x = sluice_rows(x.p, SLUICE_F32, n, d),
                                                                        .rate = rate,
                                                                        .seed = seed,
                                                                        .step = step,
                                                                        .first = first }));
            for (int64_t i = 0; i < n * d; i++) {
                int kept = ref_kept(seed, step, first + i / d, i % d, rate);
                CHECK_NEAR((double)((float *)x.p)[i], kept ? (double)(from[i] * scale) : 0, 0, "%s, entry %d",
                           tier_name(t), (int)i);
            }
            CHECK(guarded_ok(&x), "wrote outside");
            sluice_close(s);
        }
    guarded_free(&x);
    free(from);
}

/* About rate of the entries go, and another step or seed draws another mask. */
static void statistics(void)
{
    if (!case_is("share of zeros, and masks that differ")) return;
    enum { N = 200, D = 500 };
    static float a[N * D], b[N * D];
    sluice *s = tier_open(0, 1);
    int zeros = 0, same = 0;
    for (int i = 0; i < N * D; i++) a[i] = b[i] = 1;
    CHECK_OK(s, sluice_op_dropout(s, &(sluice_op_dropout_args){
                                         .x = sluice_rows(a, SLUICE_F32, N, D), .rate = 0.3f, .seed = 1, .step = 1 }));
    CHECK_OK(s, sluice_op_dropout(s, &(sluice_op_dropout_args){
                                         .x = sluice_rows(b, SLUICE_F32, N, D), .rate = 0.3f, .seed = 1, .step = 2 }));
    for (int i = 0; i < N * D; i++) zeros += a[i] == 0, same += (a[i] == 0) == (b[i] == 0);
    CHECK_NEAR(zeros / (double)(N * D), 0.3, 0.007, "5 standard deviations");
    CHECK_NEAR(same / (double)(N * D), 0.58, 0.008, "0.3^2 + 0.7^2 of independent masks agree");
    CHECK(sluice_op_dropout(s, &(sluice_op_dropout_args){ .x = sluice_rows(a, SLUICE_F32, N, D), .rate = 1 }) ==
              SLUICE_E_SHAPE,
          "rate 1");
    sluice_close(s);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    one(0, 4, 0.5f, 1, 1, 0, 0), one(1, 1, 0.5f, 1, 1, 0, 4), one(9, 33, 0.5f, 7, 3, 0, 0),
        one(20, 6, 0.1f, ~0ull, 1ull << 31, 0, 8), one(3, 64, 0, 5, 9, 0, 0), one(9, 33, 0.5f, 7, 3, 5, 0),
        one(4, 7, 0.5f, 7, 3, (1ll << 32) - 4, 0);
    statistics();
    return test_end();
}
