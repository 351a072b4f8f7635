/* op_gate.c - gradient through relu: kept where its output is above 0, NaN where that is NaN; and relu itself. */
#include "harness.h"

static double gated(float y, float g) { return isnan(y) ? (double)NAN : y > 0 ? (double)g : 0; }

static void one(int64_t n, int64_t d, size_t off)
{
    if (!case_is("n=%d d=%d off=%zu", (int)n, (int)d, off)) return;
    guarded y = guarded_new((size_t)(n * d) * 4, off), g = guarded_new((size_t)(n * d) * 4, off);
    float *from = calloc((size_t)(n * d) + 1, 4);
    fill_eighths(y.p, n * d, 1), fill_normal(from, n * d, 2);
    if (n * d > 2) ((float *)y.p)[0] = NAN, ((float *)y.p)[1] = -0.0f, ((float *)y.p)[2] = 1e-45f;
    if (n * d > 17) ((float *)y.p)[n * d - 1] = NAN; /* in the rest behind whole vectors, where there is one */
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 3; threads += 2) {
            sluice *s = tier_open(t, threads);
            memcpy(g.p, from, (size_t)(n * d) * 4);
            CHECK_OK(s, sluice_op_gate(s, &(sluice_op_gate_args){ .y = sluice_rows(y.p, SLUICE_F32, n, d),
                                                                  .g = sluice_rows(g.p, SLUICE_F32, n, d) }));
            for (int64_t i = 0; i < n * d; i++)
                CHECK_NEAR((double)((float *)g.p)[i], gated(((float *)y.p)[i], from[i]), 0, "%s, entry %d",
                           tier_name(t), (int)i);
            memcpy(g.p, y.p, (size_t)(n * d) * 4);
            CHECK_OK(s, sluice_op_gate(s, &(sluice_op_gate_args){ .y = sluice_rows(g.p, SLUICE_F32, n, d),
                                                                  .g = sluice_rows(g.p, SLUICE_F32, n, d) }));
            for (int64_t i = 0; i < n * d; i++)
                CHECK_NEAR((double)((float *)g.p)[i], gated(((float *)y.p)[i], ((float *)y.p)[i]), 0,
                           "%s, relu of entry %d", tier_name(t), (int)i);
            CHECK(guarded_ok(&y) && guarded_ok(&g), "wrote outside");
            sluice_close(s);
        }
    guarded_free(&y), guarded_free(&g);
    free(from);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    one(0, 5, 0), one(1, 1, 4), one(3, 16, 0), one(40, 7, 0), one(19, 33, 8), one(2, 100, 12);
    return test_end();
}
