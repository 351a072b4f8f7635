/* op_sgd.c - SGD with momentum against its formula in double: m = momentum m + g + decay w, w -= rate m. */
#include "harness.h"

static void one(int64_t count, float momentum, float decay, size_t off)
{
    if (!case_is("count=%d momentum=%g decay=%g off=%zu", (int)count, (double)momentum, (double)decay, off)) return;
    size_t bytes = (size_t)count * 4;
    guarded w = guarded_new(bytes, off), g = guarded_new(bytes, off), m = guarded_new(bytes, off);
    float *start = calloc((size_t)count * 3 + 1, 4), *first = calloc((size_t)count + 1, 4);
    const float rate = 0.05f;
    fill_normal(start, 3 * count, 3);
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 3; threads += 2) {
            sluice *s = tier_open(t, threads);
            memcpy(w.p, start, bytes), memcpy(g.p, start + count, bytes), memcpy(m.p, start + 2 * count, bytes);
            CHECK_OK(s, sluice_op_sgd(s, &(sluice_op_sgd_args){ .w = w.p,
                                                                .grad = g.p,
                                                                .m = m.p,
                                                                .count = count,
                                                                .rate = rate,
                                                                .momentum = momentum,
                                                                .decay = decay }));
            for (int64_t i = 0; i < count; i++) {
                double w0 = (double)start[i], gi = (double)start[count + i], m0 = (double)start[2 * count + i];
                double mi = (double)momentum * m0 + gi + (double)decay * w0, size = fabs(w0) + fabs(gi) + fabs(m0);
                CHECK_NEAR((double)((float *)m.p)[i], mi, 2e-7 * size, "m %d", (int)i);
                CHECK_NEAR((double)((float *)w.p)[i], w0 - (double)rate * mi, 1e-7 * size, "w %d", (int)i);
            }
            if (t == 0 && threads == 1) memcpy(first, w.p, bytes);
            CHECK_SAME(first, w.p, bytes, "%s, %d threads", tier_name(t), threads);
            CHECK(guarded_ok(&w) && guarded_ok(&g) && guarded_ok(&m), "wrote outside");
            sluice_close(s);
        }
    guarded_free(&w), guarded_free(&g), guarded_free(&m);
    free(start), free(first);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    one(0, 0.9f, 0, 0), one(1, 0.9f, 0.01f, 4), one(37, 0, 0.5f, 8), one(10000, 0.9f, 5e-4f, 0);
    return test_end();
}
