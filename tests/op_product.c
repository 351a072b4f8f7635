/* op_product.c - out = g^T x against its definition.  Eighths: every sum is exact; normals: one chain of libm's fmaf. */
#include "harness.h"

typedef struct shape {
    int64_t n, c, d;
    size_t pad;
} shape; /* pad: bytes between rows */

static void one(shape k, int accumulate, int with_bias, int eighths)
{
    if (!case_is("n=%d c=%d d=%d pad=%zu accumulate=%d bias=%d %s", (int)k.n, (int)k.c, (int)k.d, k.pad, accumulate,
                 with_bias, eighths ? "eighths" : "normals"))
        return;
    size_t gs = (size_t)k.c * 4 + k.pad, xs = (size_t)k.d * 4 + k.pad;
    guarded g = guarded_new((size_t)k.n * gs, k.pad % 64), x = guarded_new((size_t)k.n * xs, k.pad % 64);
    guarded out = guarded_new((size_t)k.c * xs, k.pad % 64), bias = guarded_new((size_t)k.c * 4, 4);
    float *want = calloc((size_t)(k.c * (k.d + 1)), 4), *start = calloc((size_t)(k.c * (k.d + 1)), 4);
    void (*fill)(float *, int64_t, uint64_t) = eighths ? fill_eighths : fill_normal;
    fill(g.p, k.n * (int64_t)(gs / 4), 1), fill(x.p, k.n * (int64_t)(xs / 4), 2), fill(start, k.c * (k.d + 1), 3);
    for (int64_t j = 0; j < k.c; j++)
        for (int64_t e = 0; e <= k.d; e++) {
            float sum = accumulate ? start[j * (k.d + 1) + e] : 0;
            for (int64_t i = 0; i < k.n; i++) {
                float gij = ((const float *)((const char *)g.p + (size_t)i * gs))[j];
                sum = fmaf(gij, e == k.d ? 1 : ((const float *)((const char *)x.p + (size_t)i * xs))[e], sum);
            }
            want[j * (k.d + 1) + e] = sum;
        }
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 3; threads += 2) {
            sluice *s = tier_open(t, threads);
            float *b = bias.p;
            for (int64_t j = 0; j < k.c; j++) {
                memcpy((char *)out.p + (size_t)j * xs, start + j * (k.d + 1), (size_t)k.d * 4);
                b[j] = start[j * (k.d + 1) + k.d];
            }
            sluice_op_product_args a = { .accumulate = accumulate, .bias = with_bias ? b : NULL };
            a.g = (sluice_view){ g.p, k.n, k.c, gs, SLUICE_F32, NULL },
            a.x = (sluice_view){ x.p, k.n, k.d, xs, SLUICE_F32, NULL };
            a.out = (sluice_view){ out.p, k.c, k.d, xs, SLUICE_F32, NULL };
            CHECK_OK(s, sluice_op_product(s, &a));
            for (int64_t j = 0; j < k.c; j++) {
                const float *row = (const float *)((const char *)out.p + (size_t)j * xs), *w = want + j * (k.d + 1);
                for (int64_t e = 0; e < k.d; e++)
                    CHECK(row[e] == w[e], "%s %d threads: [%d, %d] is %.9g, wanted %.9g", tier_name(t), threads, (int)j,
                          (int)e, (double)row[e], (double)w[e]);
                if (with_bias)
                    CHECK(b[j] == w[k.d], "%s: bias %d is %.9g, wanted %.9g", tier_name(t), (int)j, (double)b[j],
                          (double)w[k.d]);
            }
            CHECK(guarded_ok(&g) && guarded_ok(&x) && guarded_ok(&out) && guarded_ok(&bias), "wrote outside");
            sluice_close(s);
        }
    guarded_free(&g), guarded_free(&x), guarded_free(&out), guarded_free(&bias);
    free(want), free(start);
}

static void refusals(void)
{
    if (!case_is("shapes that do not fit are refused")) return;
    float g[4] = { 0 }, x[4] = { 0 }, out[4] = { 0 };
    sluice *s = tier_open(0, 1);
    sluice_op_product_args a = { .g = sluice_rows(g, SLUICE_F32, 2, 2),
                                 .x = sluice_rows(x, SLUICE_F32, 1, 2),
                                 .out = sluice_rows(out, SLUICE_F32, 2, 2) };
    CHECK(sluice_op_product(s, &a) == SLUICE_E_SHAPE, "2 rows against 1");
    a.x.rows = 2, a.out = a.x;
    CHECK(sluice_op_product(s, &a) == SLUICE_E_SHAPE, "out is x");
    sluice_close(s);
}

int main(int argc, char **argv)
{
    static const shape shapes[] = {
        { 0, 3, 5, 0 },     { 1, 1, 1, 0 },      { 2, 3, 16, 4 },    { 65, 10, 33, 0 },
        { 64, 14, 32, 12 }, { 130, 15, 47, 0 },  { 7, 29, 300, 20 }, { 200, 2, 513, 0 },
        { 300, 17, 9, 8 },  { 69, 727, 725, 4 }, /* a GPU: several chunks of rows; its wide tile, its middle one */
        { 69, 67, 707, 8 },
    };
    test_begin(argc, argv);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        one(shapes[i], i % 2, i % 3 != 0, 0);
        one(shapes[i], (i + 1) % 2, i % 3 == 0, 1);
    }
    refusals();
    return test_end();
}
