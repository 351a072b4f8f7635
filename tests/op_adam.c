/* op_adam.c - AdamW against the paper's formula in double (Loshchilov and Hutter 2019, algorithm 2), several steps on. */
#include "harness.h"

static void one(int64_t count, int64_t step, float decay, size_t off)
{
    if (!case_is("count=%d step=%d decay=%g off=%zu", (int)count, (int)step, (double)decay, off)) return;
    size_t bytes = (size_t)count * 4;
    guarded w = guarded_new(bytes, off), g = guarded_new(bytes, off), m = guarded_new(bytes, off),
            v = guarded_new(bytes, off);
    float *start = calloc((size_t)count * 4 + 1, 4), *first = calloc((size_t)count + 1, 4);
    const float rate = 1e-3f, b1 = 0.9f, b2 = 0.999f, eps = 1e-8f;
    fill_normal(start, 4 * count, 3);
    for (int64_t i = 0; i < count; i++)
        start[3 * count + i] = fabsf(start[3 * count + i]) * 0.01f; /* v is a mean of squares */
    for (int64_t i = 0; i < count && i < 3; i++) start[count + i] = start[2 * count + i] = start[3 * count + i] = 0;
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 3; threads += 2) {
            sluice *s = tier_open(t, threads);
            memcpy(w.p, start, bytes), memcpy(g.p, start + count, bytes), memcpy(m.p, start + 2 * count, bytes),
                memcpy(v.p, start + 3 * count, bytes);
            CHECK_OK(s, sluice_op_adam(s, &(sluice_op_adam_args){ .w = w.p,
                                                                  .grad = g.p,
                                                                  .m = m.p,
                                                                  .v = v.p,
                                                                  .count = count,
                                                                  .step = step,
                                                                  .rate = rate,
                                                                  .beta1 = b1,
                                                                  .beta2 = b2,
                                                                  .epsilon = eps,
                                                                  .decay = decay }));
            for (int64_t i = 0; i < count; i++) {
                double gi = (double)start[count + i], w0 = (double)start[i];
                double mi = (double)b1 * (double)start[2 * count + i] + (1 - (double)b1) * gi;
                double vi = (double)b2 * (double)start[3 * count + i] + (1 - (double)b2) * gi * gi;
                double u = mi / (1 - pow((double)b1, (double)step)) /
                           (sqrt(vi / (1 - pow((double)b2, (double)step))) + (double)eps);
                double move = (double)rate * (u + (double)decay * w0);
                CHECK_NEAR((double)((float *)w.p)[i], w0 - move, 1e-7 * fabs(w0) + 2e-6 * fabs(move), "w %d", (int)i);
                CHECK_NEAR((double)((float *)m.p)[i], mi, 2e-7 * (fabs((double)start[2 * count + i]) + fabs(gi)),
                           "m %d", (int)i);
                CHECK_NEAR((double)((float *)v.p)[i], vi, 1e-6 * vi, "v %d", (int)i);
            }
            if (t == 0 && threads == 1) memcpy(first, w.p, bytes);
            CHECK_SAME(first, w.p, bytes, "%s, %d threads", tier_name(t), threads);
            CHECK(guarded_ok(&w) && guarded_ok(&g) && guarded_ok(&m) && guarded_ok(&v), "wrote outside");
            sluice_close(s);
        }
    guarded_free(&w), guarded_free(&g), guarded_free(&m), guarded_free(&v);
    free(start), free(first);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    one(0, 1, 0, 0), one(1, 1, 0.01f, 4), one(37, 2, 0.5f, 8), one(10000, 1000, 0.01f, 0);
    return test_end();
}
