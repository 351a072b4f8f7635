/* op_adam.c - AdamW against the paper's formula in double (Loshchilov and Hutter 2019, algorithm 2), several steps on. */
#include "harness.h"
#include "parts.h"

/* The gradient is the sum of more + 1 parts that lie apart. */
static void one(int64_t count, int64_t step, float decay, int64_t more, int64_t apart, size_t off)
{
    if (!case_is("count=%d step=%d decay=%g more=%d apart=%d off=%zu", (int)count, (int)step, (double)decay, (int)more,
                 (int)apart, off))
        return;
    size_t bytes = (size_t)count * 4, grad_bytes = (size_t)(more * apart) * 4 + bytes;
    guarded w = guarded_new(bytes, off), g = guarded_new(grad_bytes, off), m = guarded_new(bytes, off),
            v = guarded_new(bytes, off);
    float *start = calloc((size_t)count * 4 + 1, 4), *grad = calloc(grad_bytes + 4, 1),
          *first = calloc((size_t)count + 1, 4);
    const float rate = 1e-3f, b1 = 0.9f, b2 = 0.999f, eps = 1e-8f;
    fill_normal(start, 4 * count, 3), fill_normal(grad, (int64_t)grad_bytes / 4, 4);
    for (int64_t i = 0; i < count; i++)
        start[3 * count + i] = fabsf(start[3 * count + i]) * 0.01f; /* v is a mean of squares */
    for (int64_t i = 0; i < count && i < 3; i++) {
        start[2 * count + i] = start[3 * count + i] = 0;
        for (int64_t p = 0; p <= more; p++) grad[p * apart + i] = 0;
    }
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 3; threads += 2) {
            sluice *s = tier_open(t, threads);
            memcpy(w.p, start, bytes), memcpy(g.p, grad, grad_bytes), memcpy(m.p, start + 2 * count, bytes),
                memcpy(v.p, start + 3 * count, bytes);
            CHECK_OK(s, sluice_op_adam(s, &(sluice_op_adam_args){ .w = w.p,
                                                                  .grad = g.p,
                                                                  .more = more,
                                                                  .apart = apart,
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
                double gi = ref_sum(grad + i, more, apart), w0 = (double)start[i];
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
    free(start), free(grad), free(first);
}

static void refusals(void)
{
    if (!case_is("parts that overlap, and fewer than one")) return;
    sluice *s = tier_open(0, 1);
    float w[4] = { 0 }, g[8] = { 0 }, m[4] = { 0 }, v[4] = { 0 };
    sluice_op_adam_args a = { .w = w, .grad = g, .m = m, .v = v, .count = 4, .step = 1, .more = 1, .apart = 3 };
    CHECK(sluice_op_adam(s, &a) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    a.more = -1, a.apart = 4;
    CHECK(sluice_op_adam(s, &a) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    sluice_close(s);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    one(0, 1, 0, 0, 0, 0), one(1, 1, 0.01f, 0, 0, 4), one(37, 2, 0.5f, 0, 0, 8), one(10000, 1000, 0.01f, 0, 0, 0);
    one(1, 3, 0, 7, 1, 0), one(39, 1, 0.01f, 2, 41, 4), one(5000, 9, 0, 7, 5008, 0);
    refusals();
    return test_end();
}
