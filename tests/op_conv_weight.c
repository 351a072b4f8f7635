/* op_conv_weight.c - the gradient of a convolution's weights and bias against its definition in double.  Values are
 * eighths, so every sum is exact. */
#include "conv_cases.h"

enum { BLOCK_IMAGES = 8 }; /* of the contract: one chain of fma per block of images, blocks added in order */

static double wanted(const sluice_conv_shape *q, const float *g, const float *x, int64_t n, int64_t co, int64_t k)
{
    int64_t wide = q->out_h * q->out_w * q->cout, d = q->h * q->w * q->cin, tap = k / q->cin;
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t o = 0; o < q->out_h * q->out_w; o++) {
            int64_t pixel = conv_pixel(q, o / q->out_w, o % q->out_w, tap / q->kernel, tap % q->kernel);
            if (pixel >= 0)
                sum += (double)g[i * wide + o * q->cout + co] * (double)x[i * d + pixel * q->cin + k % q->cin];
        }
    return sum;
}

static void one(const struct conv_case *k, int with_bias, size_t off)
{
    if (!case_is("n=%d h=%d w=%d cin=%d cout=%d kernel=%d stride=%d pad=%d bias=%d off=%zu", (int)k->n, (int)k->h,
                 (int)k->w, (int)k->cin, (int)k->cout, (int)k->kernel, (int)k->stride, (int)k->pad, with_bias, off))
        return;
    sluice_conv_shape q = conv_shape(k);
    int64_t d = q.h * q.w * q.cin, wide = q.out_h * q.out_w * q.cout, depth = q.kernel * q.kernel * q.cin,
            weights = q.cout * depth;
    guarded g = guarded_new((size_t)(k->n * wide) * 4, off), x = guarded_new((size_t)(k->n * d) * 4, off);
    guarded out = guarded_new((size_t)weights * 4, off), bias = guarded_new((size_t)q.cout * 4, off);
    float *first = calloc((size_t)(weights + q.cout), 4);
    fill_eighths(g.p, k->n * wide, 1), fill_eighths(x.p, k->n * d, 2);
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 3; threads += 2) {
            sluice *s = tier_open(t, threads);
            sluice_op_conv_weight_args a = { .shape = q,
                                             .g = sluice_rows(g.p, SLUICE_F32, k->n, wide),
                                             .out = out.p,
                                             .x = sluice_rows(x.p, SLUICE_F32, k->n, d),
                                             .bias = with_bias ? bias.p : NULL };
            CHECK_OK(s, sluice_op_conv_weight(s, &a));
            const float *got = out.p, *b = bias.p;
            for (int64_t j = 0; j < weights && t == 0 && threads == 1; j++)
                CHECK_NEAR((double)got[j], wanted(&q, g.p, x.p, k->n, j / depth, j % depth), 0, "channel %d, weight %d",
                           (int)(j / depth), (int)(j % depth));
            for (int64_t j = 0; j < q.cout && with_bias && t == 0 && threads == 1; j++) {
                double sum = 0;
                for (int64_t i = j; i < k->n * wide; i += q.cout) sum += (double)((const float *)g.p)[i];
                CHECK_NEAR((double)b[j], sum, 0, "bias %d", (int)j);
            }
            if (t == 0 && threads == 1) memcpy(first, got, (size_t)weights * 4);
            CHECK_SAME(first, got, (size_t)weights * 4, "%s, %d threads", tier_name(t), threads);
            CHECK(guarded_ok(&g) && guarded_ok(&x) && guarded_ok(&out) && guarded_ok(&bias), "wrote outside");
            sluice_close(s);
        }
    guarded_free(&g), guarded_free(&x), guarded_free(&out), guarded_free(&bias);
    free(first);
}

/* Rounded sums: blocks of 8 images, images and pixels ascending within, blocks ascending. */
static void rounded(int64_t n)
{
    if (!case_is("rounded sums, n=%d: blocks of 8 images", (int)n)) return;
    sluice_conv_shape q = conv_shape(&(struct conv_case){ n, 6, 5, 3, 21, 3, 1, 1 });
    int64_t d = q.h * q.w * q.cin, wide = q.out_h * q.out_w * q.cout, depth = 9 * q.cin;
    float *g = calloc((size_t)(n * wide), 4), *x = calloc((size_t)(n * d), 4),
          *out = calloc((size_t)(q.cout * depth), 4);
    float *bias = calloc((size_t)q.cout, 4), *want = calloc((size_t)(q.cout * (depth + 1)), 4);
    fill_normal(g, n * wide, 1), fill_normal(x, n * d, 2);
    for (int64_t from = 0; from < n; from += BLOCK_IMAGES)
        for (int64_t j = 0; j < q.cout * (depth + 1); j++) {
            float sum = 0;
            int64_t co = j / (depth + 1), k = j % (depth + 1);
            for (int64_t i = from; i < n && i < from + BLOCK_IMAGES; i++)
                for (int64_t o = 0; o < q.out_h * q.out_w; o++) {
                    int64_t at = k < depth ? conv_pixel(&q, o / q.out_w, o % q.out_w, k / q.cin / 3, k / q.cin % 3) : 0;
                    float v = k == depth ? 1 : at < 0 ? 0 : x[i * d + at * q.cin + k % q.cin];
                    sum = fmaf(g[i * wide + o * q.cout + co], v, sum);
                }
            want[j] += sum;
        }
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 2);
        CHECK_OK(s, sluice_op_conv_weight(s, &(sluice_op_conv_weight_args){ .shape = q,
                                                                            .g = sluice_rows(g, SLUICE_F32, n, wide),
                                                                            .x = sluice_rows(x, SLUICE_F32, n, d),
                                                                            .out = out,
                                                                            .bias = bias }));
        for (int64_t co = 0; co < q.cout; co++) {
            CHECK_SAME(out + co * depth, want + co * (depth + 1), (size_t)depth * 4, "%s, channel %d", tier_name(t),
                       (int)co);
            CHECK(bias[co] == want[co * (depth + 1) + depth], "%s, bias %d", tier_name(t), (int)co);
        }
        sluice_close(s);
    }
    free(g), free(x), free(out), free(bias), free(want);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    for (int i = 0; i < CONV_CASES; i++) one(&conv_cases[i], i % 3 != 0, (size_t)(i % 4) * 4);
    rounded(11);
    rounded(530); /* more blocks than are held at a time, on a GPU too */
    return test_end();
}
