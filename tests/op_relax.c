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
                sluice_op_relax_args a = {
                    .x = { x.p, n, d, stride, SLUICE_F32, NULL }, .y = row, .distance = got, .nearest = by, .index = r
                };
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
            CHECK_OK(s,
                     sluice_op_relax(s, &(sluice_op_relax_args){
                                            .x = { x.p, n, d, stride, SLUICE_F32, NULL }, .y = y, .distance = got }));
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
    CHECK(sluice_op_relax(s, &(sluice_op_relax_args){ .x = sluice_rows(x, SLUICE_F32, 2, 2), .y = x }) ==
              SLUICE_E_SHAPE,
          "no distances");
    CHECK(sluice_op_relax(s, &(sluice_op_relax_args){ .x = sluice_rows(x, SLUICE_F16, 2, 2), .y = x, .distance = x }) ==
              SLUICE_E_TYPE,
          "f16");
    CHECK(
        sluice_op_relax(
            s, &(sluice_op_relax_args){ .x = sluice_rows(x, SLUICE_F32, 2, 2), .y = x, .distance = x, .count = -1 }) ==
            SLUICE_E_SHAPE,
        "less than no rows");
    sluice_close(s);
}

/* Several rows in one call, each row of x from its own on: what it has not to see would be the nearest of all. */
static void several(int64_t n, int64_t d, int64_t count, int own)
{
    if (!case_is("n=%d d=%d, %d at once%s", (int)n, (int)d, (int)count, own ? ", each from its own on" : "")) return;
    float *x = malloc((size_t)(n * d + 1) * 4), *y = malloc((size_t)(count * d) * 4);
    float *want = malloc((size_t)(n + 1) * 4);
    int32_t *from = malloc((size_t)(n + 1) * 4), *who = malloc((size_t)(n + 1) * 4);
    fill_eighths(x, n * d, 3), fill_eighths(y, count * d, 4);
    if (count > 3) y[3 * d - 1] = NAN, memcpy(y + 3 * d, y, (size_t)d * 4);
    for (int64_t i = 0; i < n; i++) {
        from[i] = (int32_t)(own ? (i * 7 + i / 5) % (count + 1) : 0), who[i] = -1,
        want[i] = i % 3 ? INFINITY : (float)d;
        for (int64_t j = from[i]; j < count; j++) {
            float sum = 0;
            for (int64_t k = 0; k < d; k++) sum = fmaf(x[i * d + k] - y[j * d + k], x[i * d + k] - y[j * d + k], sum);
            if (sum < want[i]) want[i] = sum, who[i] = 100 + (int32_t)j;
        }
    }
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 2; threads++) {
            sluice *s = tier_open(t, threads);
            guarded distance = guarded_new((size_t)n * 4, 4), nearest = guarded_new((size_t)n * 4, 0);
            float *got = distance.p;
            int32_t *by = nearest.p;
            for (int64_t i = 0; i < n; i++) got[i] = i % 3 ? INFINITY : (float)d, by[i] = -1;
            CHECK_OK(s, sluice_op_relax(s, &(sluice_op_relax_args){ .x = sluice_rows(x, SLUICE_F32, n, d),
                                                                    .y = y,
                                                                    .distance = got,
                                                                    .nearest = by,
                                                                    .index = 100,
                                                                    .count = count,
                                                                    .from = own ? from : NULL }));
            CHECK_SAME(got, want, (size_t)n * 4, "%s, %d threads", tier_name(t), threads);
            CHECK_SAME(by, who, (size_t)n * 4, "%s, %d threads: the nearest", tier_name(t), threads);
            CHECK(guarded_ok(&distance) && guarded_ok(&nearest), "wrote outside");
            guarded_free(&distance), guarded_free(&nearest), sluice_close(s);
        }
    free(x), free(y), free(want), free(from), free(who);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    one(0, 5, 0, 1), one(1, 1, 0, 2), one(16, 16, 0, 4), one(17, 33, 4, 4), one(40, 130, 12, 3), one(700, 20, 0, 5);
    several(1, 3, 1, 1), several(17, 20, 6, 0), several(33, 5, 9, 1), several(300, 40, 23, 1), several(9, 130, 3, 1);
    refusals();
    return test_end();
}
