/* op_gain.c - coverage gains against their definition: integers of exact.h's exp, which unit_exact.c holds to libm's. */
#include "exact.h"
#include "harness.h"

static float kernel(sluice_kernel kind, float scale, const float *x, const float *y, int64_t d)
{
    float c = 0;
    for (int64_t k = 0; k < d; k++) c = fmaf(x[k] - y[k], x[k] - y[k], c);
    return kind == SLUICE_HAT ? (c < scale ? 1.0f : 0.0f) : ex_exp(-(c / scale));
}

static void one(int64_t n, int64_t p, int64_t d, size_t pad, sluice_kernel kind, int weighted)
{
    if (!case_is("n=%d p=%d d=%d pad=%zu kernel=%d weighted=%d", (int)n, (int)p, (int)d, pad, kind, weighted)) return;
    size_t stride = (size_t)d * 4 + pad;
    guarded x = guarded_new((size_t)n * stride + 4, pad % 64), gain = guarded_new((size_t)n * 8, 0);
    float *y = malloc((size_t)(p * d + 1) * 4), *kept = calloc((size_t)p + 1, 4), *weight = malloc((size_t)(p + 1) * 4);
    float *packed = aligned_alloc(64, (size_t)(p + 16) / 16 * 64 * (size_t)d), scale = (float)d / 2;
    int64_t *want = calloc((size_t)n + 1, 8), *got = gain.p;
    rng r = { 5 };
    fill_eighths((float *)x.p, (int64_t)(x.bytes / 4), 1), fill_eighths(y, p * d, 2);
    for (int64_t j = 0; j < p; j++) {
        weight[j] = j % 5 ? (float)rng_uniform(&r) : (float)(j % 2);
        kept[j] = j % 3 ? (float)rng_uniform(&r) / 4 : 0;
    }
    if (n > 2) *(float *)(void *)((char *)x.p + 2 * stride) = NAN;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < p; j++) {
            const float *row = (const float *)((const char *)x.p + (size_t)i * stride);
            float more = kernel(kind, scale, row, y + j * d, d) - kept[j];
            if (more > 0) want[i] += (int64_t)rint((weighted ? (double)weight[j] : 1) * (double)more * 0x1p40);
        }
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 2; threads++) {
            sluice *s = tier_open(t, threads);
            sluice_view rows = sluice_rows(y, SLUICE_F32, p, d);
            for (int64_t i = 0; i < n; i++) got[i] = -i;
            CHECK_OK(s, sluice_op_pack(s, &(sluice_op_pack_args){ .w = rows, .out = packed }));
            CHECK_OK(s, sluice_op_gain(s, &(sluice_op_gain_args){ .x = { x.p, n, d, stride, SLUICE_F32, NULL },
                                                                  .y = rows,
                                                                  .packed = packed,
                                                                  .kernel = kind,
                                                                  .scale = scale,
                                                                  .kept = kept,
                                                                  .weight = weighted ? weight : NULL,
                                                                  .gain = got }));
            for (int64_t i = 0; i < n; i++)
                CHECK(got[i] + i == want[i], "%s, %d threads: gain of row %d is %lld, wanted %lld", tier_name(t),
                      threads, (int)i, (long long)(got[i] + i), (long long)want[i]);
            CHECK(guarded_ok(&x) && guarded_ok(&gain), "wrote outside");
            sluice_close(s);
        }
    guarded_free(&x), guarded_free(&gain), free(y), free(kept), free(weight), free(packed), free(want);
}

/* exp's own error, and the roundings of scale and product: against double. */
static void definition(void)
{
    if (!case_is("in double")) return;
    static const float x[3] = { 0.1f, 0.2f, 0.4f }, y[3] = { 0.4f, 0.0f, 0.1f }, kept[1] = { 0.25f };
    _Alignas(64) float packed[48];
    int64_t gain = 0;
    sluice *s = tier_open(0, 1);
    sluice_view rows = sluice_rows(y, SLUICE_F32, 1, 3);
    CHECK_OK(s, sluice_op_pack(s, &(sluice_op_pack_args){ .w = rows, .out = packed }));
    CHECK_OK(s, sluice_op_gain(s, &(sluice_op_gain_args){ .x = sluice_rows(x, SLUICE_F32, 1, 3),
                                                          .y = rows,
                                                          .packed = packed,
                                                          .scale = 0.5f,
                                                          .kept = kept,
                                                          .gain = &gain }));
    CHECK_NEAR((double)gain * 0x1p-40, exp(-(0.09 + 0.04 + 0.09) / 0.5) - 0.25, 1e-6, "gain");
    sluice_close(s);
}

static void refusals(void)
{
    if (!case_is("widths, scales and missing arrays are refused")) return;
    float x[4] = { 0 };
    int64_t gain[2] = { 0 };
    sluice *s = tier_open(0, 1);
    sluice_view rows = sluice_rows(x, SLUICE_F32, 2, 2);
    sluice_op_gain_args a = { .x = rows, .y = rows, .packed = x, .scale = 1, .kept = x, .gain = NULL };
    CHECK(sluice_op_gain(s, &a) == SLUICE_E_SHAPE, "no gain");
    a.gain = gain, a.scale = 0;
    CHECK(sluice_op_gain(s, &a) == SLUICE_E_USAGE && strstr(sluice_error(s), "scale"), "%s", sluice_error(s));
    a.scale = 1, a.y = sluice_rows(x, SLUICE_F32, 4, 1);
    CHECK(sluice_op_gain(s, &a) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    sluice_close(s);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    for (int kind = SLUICE_GAUSS; kind <= SLUICE_HAT; kind++) {
        one(0, 3, 2, 0, (sluice_kernel)kind, 0), one(3, 0, 2, 0, (sluice_kernel)kind, 0);
        one(1, 1, 1, 0, (sluice_kernel)kind, 1), one(50, 17, 4, 4, (sluice_kernel)kind, 0);
        one(150, 90, 19, 0, (sluice_kernel)kind, 1), one(67, 130, 33, 12, (sluice_kernel)kind, 1);
    }
    definition();
    refusals();
    return test_end();
}
