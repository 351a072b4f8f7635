/* op_conv_input.c - the gradient of a convolution's input against its definition in double: what the forward pass
 * multiplied with w goes back along w.  Values are eighths, so every sum is exact. */
#include "conv_cases.h"

static void reference(const sluice_conv_shape *q, const float *g, const float *w, double *dx)
{
    for (int64_t i = 0; i < q->h * q->w * q->cin; i++) dx[i] = 0;
    for (int64_t o = 0; o < q->out_h * q->out_w; o++)
        for (int64_t tap = 0; tap < q->kernel * q->kernel; tap++) {
            int64_t pixel = conv_pixel(q, o / q->out_w, o % q->out_w, tap / q->kernel, tap % q->kernel);
            for (int64_t j = 0; pixel >= 0 && j < q->cout * q->cin; j++) {
                int64_t co = j / q->cin, ci = j % q->cin;
                dx[pixel * q->cin + ci] +=
                    (double)g[o * q->cout + co] * (double)w[(co * q->kernel * q->kernel + tap) * q->cin + ci];
            }
        }
}

static void one(const struct conv_case *k, size_t off)
{
    if (!case_is("n=%d h=%d w=%d cin=%d cout=%d kernel=%d stride=%d pad=%d off=%zu", (int)k->n, (int)k->h, (int)k->w,
                 (int)k->cin, (int)k->cout, (int)k->kernel, (int)k->stride, (int)k->pad, off))
        return;
    sluice_conv_shape q = conv_shape(k);
    int64_t d = q.h * q.w * q.cin, wide = q.out_h * q.out_w * q.cout, weights = q.cout * q.kernel * q.kernel * q.cin;
    guarded g = guarded_new((size_t)(k->n * wide) * 4, off), w = guarded_new((size_t)weights * 4, off);
    guarded out = guarded_new((size_t)(k->n * d) * 4, off);
    double *want = calloc((size_t)d, sizeof *want);
    float *first = calloc((size_t)(k->n * d + 1), 4);
    fill_eighths(g.p, k->n * wide, 1), fill_eighths(w.p, weights, 2);
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 3; threads += 2) {
            sluice *s = tier_open(t, threads);
            CHECK_OK(s, sluice_op_conv_input(
                            s, &(sluice_op_conv_input_args){ .shape = q,
                                                             .g = sluice_rows(g.p, SLUICE_F32, k->n, wide),
                                                             .w = w.p,
                                                             .out = sluice_rows(out.p, SLUICE_F32, k->n, d) }));
            const float *got = out.p;
            for (int64_t i = 0; i < k->n && t == 0 && threads == 1; i++) {
                reference(&q, (const float *)g.p + i * wide, w.p, want);
                for (int64_t j = 0; j < d; j++)
                    CHECK_NEAR((double)got[i * d + j], want[j], 0, "image %d, entry %d", (int)i, (int)j);
            }
            if (t == 0 && threads == 1) memcpy(first, got, (size_t)(k->n * d) * 4);
            CHECK_SAME(first, got, (size_t)(k->n * d) * 4, "%s, %d threads", tier_name(t), threads);
            CHECK(guarded_ok(&g) && guarded_ok(&w) && guarded_ok(&out), "wrote outside");
            sluice_close(s);
        }
    guarded_free(&g), guarded_free(&w), guarded_free(&out);
    free(want), free(first);
}

/* Rounded sums: output pixels ascending, then output channels, one chain of libm's fmaf; stride 2 leaves gaps. */
static void rounded(int64_t stride)
{
    if (!case_is("rounded sums, stride %d: one chain, output pixels ascending", (int)stride)) return;
    sluice_conv_shape q = conv_shape(&(struct conv_case){ 1, 9, 11, 19, 7, 3, stride, 1 });
    int64_t d = q.h * q.w * q.cin, wide = q.out_h * q.out_w * q.cout, weights = q.cout * 9 * q.cin;
    float *g = calloc((size_t)wide, 4), *w = calloc((size_t)weights, 4), *out = calloc((size_t)d, 4),
          *want = calloc((size_t)d, 4);
    fill_normal(g, wide, 1), fill_normal(w, weights, 2);
    for (int64_t o = 0; o < q.out_h * q.out_w; o++)
        for (int64_t tap = 0; tap < 9; tap++) {
            int64_t pixel = conv_pixel(&q, o / q.out_w, o % q.out_w, tap / 3, tap % 3);
            for (int64_t j = 0; pixel >= 0 && j < q.cout * q.cin; j++) {
                float *to = want + pixel * q.cin + j % q.cin;
                *to = fmaf(g[o * q.cout + j / q.cin], w[(j / q.cin * 9 + tap) * q.cin + j % q.cin], *to);
            }
        }
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 2);
        CHECK_OK(s, sluice_op_conv_input(s, &(sluice_op_conv_input_args){ .shape = q,
                                                                          .g = sluice_rows(g, SLUICE_F32, 1, wide),
                                                                          .w = w,
                                                                          .out = sluice_rows(out, SLUICE_F32, 1, d) }));
        CHECK_SAME(out, want, (size_t)d * 4, "%s", tier_name(t));
        sluice_close(s);
    }
    free(g), free(w), free(out), free(want);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    for (int i = 0; i < CONV_CASES; i++) one(&conv_cases[i], (size_t)(i % 4) * 4);
    rounded(1);
    rounded(2);
    return test_end();
}
