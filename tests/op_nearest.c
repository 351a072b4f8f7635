/* op_nearest.c - the k nearest rows against all distances by libm's fmaf, sorted: duplicates, ties, far clusters where
 * the filter sees nothing, huge values, NaN, k = m. */
#include "harness.h"

typedef struct found {
    float distance;
    int32_t index;
} found;

static int by_distance(const void *a, const void *b)
{
    const found *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static void reference(const float *x, const float *y, int64_t m, int64_t d, found *out)
{
    for (int64_t j = 0; j < m; j++) {
        float sum = 0;
        for (int64_t k = 0; k < d; k++) {
            float e = x[k] - y[j * d + k];
            sum = fmaf(e, e, sum);
        }
        out[j] = (found){ isnan(sum) ? INFINITY : sum, (int32_t)j };
    }
    qsort(out, (size_t)m, sizeof *out, by_distance);
}

static void one(const char *name, const float *x, const float *y, int64_t n, int64_t m, int64_t d, int64_t k)
{
    if (!case_is("%s n=%d m=%d d=%d k=%d", name, (int)n, (int)m, (int)d, (int)k)) return;
    found *want = malloc((size_t)(n * m + 1) * sizeof *want);
    for (int64_t i = 0; i < n; i++) reference(x + i * d, y, m, d, want + i * m);
    guarded packed = guarded_new(sluice_packed_floats(m, d) * 4, 0);
    guarded distance = guarded_new((size_t)(n * k) * 4, 0), index = guarded_new((size_t)(n * k) * 4, 0);
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 2; threads++) {
            sluice *s = tier_open(t, threads);
            CHECK_OK(s, sluice_op_pack(s, &(sluice_op_pack_args){ sluice_rows(y, SLUICE_F32, m, d), 0, packed.p }));
            memset(distance.p, 0x11, distance.bytes), memset(index.p, 0x11, index.bytes);
            sluice_op_nearest_args a = {
                sluice_rows(x, SLUICE_F32, n, d), sluice_rows(y, SLUICE_F32, m, d), packed.p, k, distance.p, index.p
            };
            CHECK_OK(s, sluice_op_nearest(s, &a));
            for (int64_t i = 0; i < n; i++)
                for (int64_t j = 0; j < k; j++) {
                    const found *w = &want[i * m + j];
                    CHECK(memcmp(&a.distance[i * k + j], &w->distance, 4) == 0 && a.index[i * k + j] == w->index,
                          "%s %d threads: neighbour %d of row %d is %d at %.9g, wanted %d at %.9g", tier_name(t),
                          threads, (int)j, (int)i, (int)a.index[i * k + j], (double)a.distance[i * k + j],
                          (int)w->index, (double)w->distance);
                }
            CHECK(guarded_ok(&distance) && guarded_ok(&index) && guarded_ok(&packed), "wrote outside");
            sluice_close(s);
        }
    guarded_free(&packed), guarded_free(&distance), guarded_free(&index), free(want);
}

/* References around `far`: all products are nearly equal, so the filter excludes nothing below its bound. */
static void planted(const char *name, int64_t n, int64_t m, int64_t d, int64_t k, float far, float spread,
                    int64_t distinct)
{
    float *x = malloc((size_t)(n * d + 1) * 4), *y = malloc((size_t)(m * d + 1) * 4);
    fill_normal(x, n * d, 5), fill_normal(y, m * d, 6);
    for (int64_t i = 0; i < n * d; i++) x[i] = far + spread * x[i];
    for (int64_t i = 0; i < m * d; i++) y[i] = far + spread * y[i];
    for (int64_t j = distinct; distinct && j < m; j++) memcpy(y + j * d, y + (j % distinct) * d, (size_t)d * 4);
    for (int64_t i = 0; i < n && i < m && distinct; i += 3) memcpy(x + i * d, y + i * d, (size_t)d * 4);
    one(name, x, y, n, m, d, k);
    free(x), free(y);
}

static void bad_values(void)
{
    enum { N = 20, M = 70, D = 9 };
    float x[N * D], y[M * D];
    fill_normal(x, N * D, 7), fill_normal(y, M * D, 8);
    x[0] = NAN, x[D] = INFINITY, x[2 * D + 1] = 3e38f;
    one("bad rows", x, y, N, M, D, 5);
    one("bad rows, one neighbour", x, y, N, M, D, 1);
    y[4 * D] = NAN, y[5 * D] = -INFINITY, y[6 * D] = -3e38f;
    one("bad references", x, y, N, M, D, M);
}

static void refusals(void)
{
    if (!case_is("k and widths that do not fit are refused")) return;
    float x[6] = { 0 }, distance[4];
    int32_t index[4];
    _Alignas(64) float packed[48];
    sluice *s = tier_open(0, 1);
    sluice_op_nearest_args a = {
        sluice_rows(x, SLUICE_F32, 2, 3), sluice_rows(x, SLUICE_F32, 2, 3), packed, 3, distance, index
    };
    CHECK(sluice_op_nearest(s, &a) == SLUICE_E_SHAPE, "k above m");
    a.k = 0;
    CHECK(sluice_op_nearest(s, &a) == SLUICE_E_SHAPE, "k = 0");
    a.k = 1, a.y.cols = 2;
    CHECK(sluice_op_nearest(s, &a) == SLUICE_E_SHAPE, "widths differ");
    sluice_close(s);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    planted("normals", 60, 100, 33, 10, 0, 1, 0);
    planted("one row, one reference", 1, 1, 1, 1, 0, 1, 0);
    planted("no rows", 0, 5, 4, 2, 0, 1, 0);
    planted("more than a slice", 57, 2100, 17, 20, 0, 1, 0);
    planted("duplicates", 40, 300, 16, 12, 0, 1, 7);
    planted("k = m", 20, 150, 20, 150, 0, 1, 40);
    planted("far from 0", 40, 500, 48, 10, 1000, 0.001f, 0);
    planted("far and crowded", 10, 5000, 8, 3, 4000, 0.0005f, 60);
    planted("the nearest of duplicates", 70, 150, 20, 1, 0, 1, 40);
    planted("the nearest of many", 5, 9000, 6, 1, 0, 1, 4400);
    planted("tiny", 30, 80, 12, 4, 0, 1e-22f, 0);
    planted("wide", 15, 40, 1500, 5, 0, 1, 0);
    bad_values();
    refusals();
    return test_end();
}
