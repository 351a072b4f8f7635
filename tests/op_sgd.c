/* op_sgd.c - SGD with momentum against its formula in double: m = momentum m + g + decay w, w -= rate m. */
#include "harness.h"
#include "parts.h"

/* The gradient is the sum of more + 1 parts that lie apart. */
static void one(int64_t count, float momentum, float decay, int64_t more, int64_t apart, size_t off)
{
    if (!case_is("count=%d momentum=%g decay=%g more=%d apart=%d off=%zu", (int)count, (double)momentum, (double)decay,
                 (int)more, (int)apart, off))
        return;
    size_t bytes = (size_t)count * 4, grad_bytes = (size_t)(more * apart) * 4 + bytes;
    guarded w = guarded_new(bytes, off), g = guarded_new(grad_bytes, off), m = guarded_new(bytes, off);
    float *start = calloc((size_t)count * 3 + 1, 4), *grad = calloc(grad_bytes + 4, 1),
          *first = calloc((size_t)count + 1, 4);
    const float rate = 0.05f;
    fill_normal(start, 3 * count, 3), fill_normal(grad, (int64_t)grad_bytes / 4, 4);
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 3; threads += 2) {
            sluice *s = tier_open(t, threads);
            memcpy(w.p, start, bytes), memcpy(g.p, grad, grad_bytes), memcpy(m.p, start + 2 * count, bytes);
            CHECK_OK(s, sluice_op_sgd(s, &(sluice_op_sgd_args){ .w = w.p,
                                                                .grad = g.p,
                                                                .more = more,
                                                                .apart = apart,
                                                                .m = m.p,
                                                                .count = count,
                                                                .rate = rate,
                                                                .momentum = momentum,
                                                                .decay = decay }));
            for (int64_t i = 0; i < count; i++) {
                double w0 = (double)start[i], gi = ref_sum(grad + i, more, apart), m0 = (double)start[2 * count + i];
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
    free(start), free(grad), free(first);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    one(0, 0.9f, 0, 0, 0, 0), one(1, 0.9f, 0.01f, 0, 0, 4), one(37, 0, 0.5f, 0, 0, 8);
    one(10000, 0.9f, 5e-4f, 0, 0, 0), one(39, 0.9f, 0, 2, 41, 4), one(5000, 0.5f, 0, 7, 5008, 0);
    return test_end();
}
