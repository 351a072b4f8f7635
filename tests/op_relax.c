/* op_relax.c - running minima of distances, one reference row after another, against libm's fmaf: ties keep the first
 * index, a NaN or an infinite row is never nearest. */
#include "harness.h"

static void one(int64_t n, int64_t d, size_t pad, int references)
{
    if (!case_is("n=%d d=%d pad=%zu references=%d", (int)n, (int)d, pad, references)) return;
    size_t stride = (size_t)d * 4 + pad;
    guarded x = guarded_new((size_t)n * stride + 4, pad % 64), distance = guarded_new((size_t)n * 4, 4);
    guarded nearest = guarded_new((size_t)n * 4, 0);
    float *y = malloc((size_t)(references * d + 1) * 4), *want = malloc((size_t)(n + 1) * 4);
    int32_t *who = malloc((size_t)(n + 1) * 4);
    fill_eighths(x.p, (int64_t)(x.bytes / 4), 3), fill_normal(y, references * d, 4);
    if (references > 2) memcpy(y + 2 * d, y, (size_t)d * 4), y[d] = NAN;
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 2; threads++) {
            sluice *s = tier_open(t, threads);
            float *got = distance.p;
            int32_t *by = nearest.p;
            for (int64_t i = 0; i < n; i++) got[i] = want[i] = INFINITY, by[i] = who[i] = -1;
            for (int r = 0; r < references; r++) {
                const float *row = y + r * d;
                sluice_op_relax_args a = { { x.p, n, d, stride, SLUICE_F32, NULL }, row, got, by, r };
                CHECK_OK(s, sluice_op_relax(s, &a));
                for (int64_t i = 0; i < n; i++) {
                    const float *xi = (const float *)((const char *)x.p + (size_t)i * stride);
                    float sum = 0;
                    for (int64_t k = 0; k < d; k++) sum = fmaf(xi[k] - row[k], xi[k] - row[k], sum);
                    if (sum < want[i]) want[i] = sum, who[i] = r;
                }
                CHECK_SAME(got, want, (size_t)n * 4, "%s, %d threads, after reference %d", tier_name(t), threads, r);
                CHECK_SAME(by, who, (size_t)n * 4, "%s, %d threads: the nearest after %d", tier_name(t), threads, r);
            }
            CHECK_OK(s, sluice_op_relax(
                            s, &(sluice_op_relax_args){ { x.p, n, d, stride, SLUICE_F32, NULL }, y, got, NULL, 0 }));
            CHECK_SAME(got, want, (size_t)n * 4, "%s: a reference once more", tier_name(t));
            CHECK(guarded_ok(&x) && guarded_ok(&distance) && guarded_ok(&nearest), "wrote outside");
            sluice_close(s);
        }
    guarded_free(&x), guarded_free(&distance), guarded_free(&nearest), free(y), free(want), free(who);
}

static void refusals(void)
{
    if (!case_is("missing arrays are refused")) return;
    float x[4] = { 0 };
    sluice *s = tier_open(0, 1);
    CHECK(sluice_op_relax(s, &(sluice_op_relax_args){ sluice_rows(x, SLUICE_F32, 2, 2), x, NULL, NULL, 0 }) ==
              SLUICE_E_SHAPE,
          "no distances");
    CHECK(sluice_op_relax(s, &(sluice_op_relax_args){ sluice_rows(x, SLUICE_F16, 2, 2), x, x, NULL, 0 }) ==
              SLUICE_E_TYPE,
          "f16");
    sluice_close(s);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    one(0, 5, 0, 1), one(1, 1, 0, 2), one(16, 16, 0, 4), one(17, 33, 4, 4), one(40, 130, 12, 3), one(700, 20, 0, 5);
    refusals();
    return test_end();
}
