/* op_conv.c - convolution against its definition in double.  Values are eighths, so every sum is exact. */
#include "conv_cases.h"

static double wanted(const sluice_conv_shape *q, const double *x, const float *w, const float *bias, int64_t oy,
                     int64_t ox, int64_t co)
{
    double sum = 0;
    for (int64_t ky = 0; ky < q->kernel; ky++)
        for (int64_t kx = 0; kx < q->kernel; kx++) {
            int64_t pixel = conv_pixel(q, oy, ox, ky, kx);
            for (int64_t ci = 0; pixel >= 0 && ci < q->cin; ci++)
                sum += x[pixel * q->cin + ci] * (double)w[((co * q->kernel + ky) * q->kernel + kx) * q->cin + ci];
        }
    return sum + (bias ? (double)bias[co] : 0);
}

/* Rows of a type from values that it holds exactly. */
static void store(const double *v, int64_t count, sluice_type type, void *out)
{
    for (int64_t i = 0; i < count; i++) {
        float f = (float)v[i];
        uint32_t bits;
        memcpy(&bits, &f, 4);
        switch (type) {
        case SLUICE_F32: ((float *)out)[i] = f; break;
        case SLUICE_BF16: ((uint16_t *)out)[i] = (uint16_t)(bits >> 16); break;
        case SLUICE_F16: /* a normal number or 0 */
            ((uint16_t *)out)[i] =
                (uint16_t)(f == 0 ? 0
                                  : (bits >> 16 & 0x8000) | (((bits >> 23 & 0xff) - 112) << 10) | (bits >> 13 & 0x3ff));
            break;
        case SLUICE_I8: ((int8_t *)out)[i] = (int8_t)f; break;
        default: ((uint8_t *)out)[i] = (uint8_t)f;
        }
    }
}

static void one(const struct conv_case *k, sluice_type type, int relu, int with_bias, size_t off)
{
    if (!case_is("n=%d h=%d w=%d cin=%d cout=%d kernel=%d stride=%d pad=%d %s relu=%d bias=%d off=%zu", (int)k->n,
                 (int)k->h, (int)k->w, (int)k->cin, (int)k->cout, (int)k->kernel, (int)k->stride, (int)k->pad,
                 sluice_type_name(type), relu, with_bias, off))
        return;
    sluice_conv_shape q = conv_shape(k);
    int64_t d = q.h * q.w * q.cin, depth = q.kernel * q.kernel * q.cin, wide = q.out_h * q.out_w * q.cout;
    size_t size = sluice_type_bytes(type), stride = (size_t)d * size + (type == SLUICE_F32 ? 12 : size);
    bool whole = type == SLUICE_I8 || type == SLUICE_U8;
    guarded x = guarded_new((size_t)k->n * stride, off), out = guarded_new((size_t)(k->n * wide) * 4, off);
    double *v = calloc((size_t)(k->n * d + 1), sizeof *v);
    float *w = calloc((size_t)(q.cout * depth), 4), *bias = calloc((size_t)q.cout, 4),
          *first = calloc((size_t)(k->n * wide + 1), 4);
    float *packed = aligned_alloc(64, sluice_packed_floats(q.cout, depth) * 4), *scale = calloc((size_t)k->n + 1, 4);
    rng r = { 7 };
    for (int64_t i = 0; i < k->n * d; i++)
        v[i] = ((int)(rng_u64(&r) % 65) - (type == SLUICE_U8 ? 0 : 32)) / (whole ? 1.0 : 8.0);
    for (int64_t i = 0; i < k->n; i++)
        scale[i] = 0.25f * (float)(1 + i % 3), store(v + i * d, d, type, (char *)x.p + (size_t)i * stride);
    fill_eighths(w, q.cout * depth, 8), fill_eighths(bias, q.cout, 9);

    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 3; threads += 2) {
            sluice *s = tier_open(t, threads);
            sluice_op_conv_args a = { .shape = q, .packed = packed, .bias = with_bias ? bias : NULL, .relu = relu };
            a.x = (sluice_view){ x.p, k->n, d, stride, type, whole ? scale : NULL };
            a.out = sluice_rows(out.p, SLUICE_F32, k->n, wide);
            CHECK_OK(s, sluice_op_pack(s, &(sluice_op_pack_args){ .w = sluice_rows(w, SLUICE_F32, q.cout, depth),
                                                                  .out = packed }));
            CHECK_OK(s, sluice_op_conv(s, &a));
            const float *got = out.p;
            for (int64_t i = 0; i < k->n * wide && t == 0 && threads == 1; i++) {
                int64_t image = i / wide, pixel = i % wide / q.cout, co = i % q.cout;
                double z = wanted(&q, v + image * d, w, NULL, pixel / q.out_w, pixel % q.out_w, co);
                z = z * (whole ? (double)scale[image] : 1) + (with_bias ? (double)bias[co] : 0);
                CHECK_NEAR((double)got[i], relu && z < 0 ? 0 : z, 0, "image %d pixel %d channel %d", (int)image,
                           (int)pixel, (int)co);
            }
            if (t == 0 && threads == 1) memcpy(first, got, (size_t)(k->n * wide) * 4);
            CHECK_SAME(first, got, (size_t)(k->n * wide) * 4, "%s, %d threads", tier_name(t), threads);
            CHECK(guarded_ok(&out) && guarded_ok(&x), "wrote outside");
            sluice_close(s);
        }
    guarded_free(&x), guarded_free(&out);
    free(v), free(w), free(bias), free(first), free(packed), free(scale);
}

/* Values whose sums are rounded: the order of the terms shows in the bits.  Against one chain of libm's fmaf. */
static void rounded(void)
{
    if (!case_is("rounded sums: one chain, k = (ky, kx, channel)")) return;
    sluice_conv_shape q = conv_shape(&(struct conv_case){ 1, 13, 17, 6, 37, 3, 1, 1 });
    int64_t d = q.h * q.w * q.cin, depth = 9 * q.cin, wide = q.out_h * q.out_w * q.cout;
    float *x = calloc((size_t)d, 4), *w = calloc((size_t)(q.cout * depth), 4), *bias = calloc((size_t)q.cout, 4),
          *out = calloc((size_t)wide, 4);
    float *packed = aligned_alloc(64, sluice_packed_floats(q.cout, depth) * 4);
    fill_normal(x, d, 1), fill_normal(w, q.cout * depth, 2), fill_normal(bias, q.cout, 3);
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 2);
        CHECK_OK(s, sluice_op_pack(
                        s, &(sluice_op_pack_args){ .w = sluice_rows(w, SLUICE_F32, q.cout, depth), .out = packed }));
        CHECK_OK(s, sluice_op_conv(s, &(sluice_op_conv_args){ .shape = q,
                                                              .x = sluice_rows(x, SLUICE_F32, 1, d),
                                                              .packed = packed,
                                                              .bias = bias,
                                                              .out = sluice_rows(out, SLUICE_F32, 1, wide) }));
        for (int64_t i = 0; i < wide; i++) {
            int64_t pixel = i / q.cout, co = i % q.cout;
            float acc = bias[co];
            for (int64_t k = 0; k < depth; k++) {
                int64_t at = conv_pixel(&q, pixel / q.out_w, pixel % q.out_w, k / (3 * q.cin), k / q.cin % 3);
                acc = fmaf(at < 0 ? 0.0f : x[at * q.cin + k % q.cin], w[co * depth + k], acc);
            }
            CHECK(out[i] == acc, "%s: %.9g, wanted %.9g at %d", tier_name(t), (double)out[i], (double)acc, (int)i);
        }
        sluice_close(s);
    }
    free(x), free(w), free(bias), free(out), free(packed);
}

/* relu lets a NaN through and turns -0 and negatives into +0. */
static void special_values(void)
{
    if (!case_is("relu of NaN, -0 and -inf")) return;
    float x[4] = { NAN, -1, -INFINITY, 2 }, out[4], want[4] = { NAN, 0, 0, 2 }, w[1] = { 1 }, bias[1] = { -0.0f };
    float *packed = aligned_alloc(64, 64);
    sluice_conv_shape q = { 1, 4, 1, 1, 1, 1, 0, 1, 4 };
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 1);
        CHECK_OK(s, sluice_op_pack(s, &(sluice_op_pack_args){ .w = sluice_rows(w, SLUICE_F32, 1, 1), .out = packed }));
        sluice_op_conv_args a = { .shape = q,
                                  .x = sluice_rows(x, SLUICE_F32, 1, 4),
                                  .packed = packed,
                                  .bias = bias,
                                  .relu = 1,
                                  .out = sluice_rows(out, SLUICE_F32, 1, 4) };
        CHECK_OK(s, sluice_op_conv(s, &a));
        for (int i = 0; i < 4; i++) CHECK_NEAR((double)out[i], (double)want[i], 0, "%s %d", tier_name(t), i);
        CHECK(!signbit(out[1]) && !signbit(out[2]), "%s: a zero of relu is +0", tier_name(t));
        a.x = sluice_rows(bias, SLUICE_F32, 1, 1), a.relu = 0, a.shape.w = a.shape.out_w = 1, a.out.cols = 1;
        CHECK_OK(s, sluice_op_conv(s, &a));
        CHECK(!signbit(out[0]), "%s: -0 never survives", tier_name(t));
        sluice_close(s);
    }
    free(packed);
}

static void refusals(void)
{
    if (!case_is("shapes that do not fit are refused")) return;
    float x[64] = { 0 }, out[64] = { 0 };
    float *packed = aligned_alloc(64, 64 * 16);
    sluice *s = tier_open(0, 1);
    sluice_op_conv_args a = { .shape = { 4, 4, 1, 1, 3, 1, 1, 4, 4 },
                              .x = sluice_rows(x, SLUICE_F32, 1, 16),
                              .packed = packed,
                              .out = sluice_rows(out, SLUICE_F32, 1, 16) };
    a.shape.out_w = 3;
    CHECK(sluice_op_conv(s, &a) == SLUICE_E_SHAPE, "an output width of 3");
    a.shape.out_w = 4, a.x.cols = 15;
    CHECK(sluice_op_conv(s, &a) == SLUICE_E_SHAPE, "15 columns");
    sluice_close(s);
    free(packed);
}

int main(int argc, char **argv)
{
    static const sluice_type types[] = { SLUICE_F32, SLUICE_F16, SLUICE_BF16, SLUICE_I8, SLUICE_U8 };
    test_begin(argc, argv);
    for (int i = 0; i < CONV_CASES; i++) one(&conv_cases[i], SLUICE_F32, i % 2, i % 3 != 0, (size_t)(i % 4) * 4);
    for (int i = 0; i < 5; i++)
        for (int relu = 0; relu < 2; relu++)
            one(&conv_cases[3], types[i], relu, relu, 0), one(&conv_cases[7], types[i], relu, !relu, 4);
    rounded();
    special_values();
    refusals();
    return test_end();
}
