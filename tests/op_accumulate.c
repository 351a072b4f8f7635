/* op_accumulate.c - integer sums of rows in cells against their definition by libm's rint. */
#include "harness.h"

static void one(int64_t n, int64_t d, int64_t cells, size_t pad, int weighted)
{
    if (!case_is("n=%d d=%d cells=%d pad=%zu weighted=%d", (int)n, (int)d, (int)cells, pad, weighted)) return;
    size_t stride = (size_t)d * 4 + pad;
    guarded x = guarded_new((size_t)n * stride + 4, pad % 64), sum = guarded_new((size_t)(cells * d) * 8, 0);
    guarded mass = guarded_new((size_t)cells * 8, 0);
    int64_t *want = calloc((size_t)(cells * (d + 1)) + 1, 8);
    int32_t *cell = malloc((size_t)(n + 1) * 4);
    float *weight = malloc((size_t)(n + 1) * 4);
    rng r = { 11 };
    for (size_t i = 0; i < x.bytes / 4; i++) ((float *)x.p)[i] = (float)(2 * rng_uniform(&r) - 1);
    for (int64_t i = 0; i < n; i++) {
        cell[i] = (int32_t)(rng_u64(&r) % (uint64_t)(cells + 1)) - 1;
        weight[i] = i % 5 ? (float)rng_uniform(&r) : (float)(i % 2);
        const float *row = (const float *)((const char *)x.p + (size_t)i * stride);
        double w = weighted ? (double)weight[i] : 1;
        if (cell[i] < 0) continue;
        for (int64_t k = 0; k < d; k++) want[cell[i] * d + k] += (int64_t)rint((double)row[k] * w * 0x1p40);
        want[cells * d + cell[i]] += (int64_t)rint(w * 0x1p40);
    }
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 2; threads++) {
            sluice *s = tier_open(t, threads);
            int64_t *got = sum.p, *m = mass.p;
            for (int64_t i = 0; i < cells * d; i++) got[i] = i;
            for (int64_t i = 0; i < cells; i++) m[i] = -i;
            CHECK_OK(
                s,
                sluice_op_accumulate(
                    s, &(sluice_op_accumulate_args){
                           { x.p, n, d, stride, SLUICE_F32, NULL }, cell, weighted ? weight : NULL, cells, got, m }));
            for (int64_t i = 0; i < cells * d; i++)
                CHECK(got[i] - i == want[i], "%s, %d threads: sum %d is %lld, wanted %lld", tier_name(t), threads,
                      (int)i, (long long)(got[i] - i), (long long)want[i]);
            for (int64_t i = 0; i < cells; i++)
                CHECK(m[i] + i == want[cells * d + i], "%s: mass of cell %d", tier_name(t), (int)i);
            CHECK(guarded_ok(&x) && guarded_ok(&sum) && guarded_ok(&mass), "wrote outside");
            sluice_close(s);
        }
    guarded_free(&x), guarded_free(&sum), guarded_free(&mass), free(want), free(cell), free(weight);
}

static void refusals(void)
{
    if (!case_is("too many rows and missing arrays are refused")) return;
    float x[4] = { 0 };
    int32_t cell[2] = { 0 };
    int64_t sum[2] = { 0 };
    sluice *s = tier_open(0, 1);
    sluice_op_accumulate_args a = { sluice_rows(x, SLUICE_F32, 2, 2), cell, NULL, 1, sum, NULL };
    CHECK(sluice_op_accumulate(s, &a) == SLUICE_E_SHAPE, "no mass");
    a.mass = sum, a.x.rows = ((int64_t)1 << 22) + 1;
    CHECK(sluice_op_accumulate(s, &a) == SLUICE_E_SHAPE && strstr(sluice_error(s), "4194304"), "%s", sluice_error(s));
    sluice_close(s);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    one(0, 3, 2, 0, 0), one(1, 1, 1, 0, 1), one(50, 17, 4, 4, 0), one(300, 70, 9, 0, 1), one(200, 130, 3, 12, 1);
    refusals();
    return test_end();
}
