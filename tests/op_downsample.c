/* op_downsample.c - max, average and global pooling against their definitions.  Values are eighths, so sums are exact. */
#include "harness.h"

typedef struct shape {
    sluice_pooling kind;
    int64_t n, h, w, c, size;
} shape;

static double wanted(const shape *k, const float *x, int64_t oy, int64_t ox, int64_t ch)
{
    bool global = k->kind == SLUICE_POOL_GLOBAL;
    int64_t sy = global ? k->h : k->size, sx = global ? k->w : k->size;
    double most = -INFINITY, sum = 0;
    for (int64_t y = oy * sy; y < (oy + 1) * sy; y++)
        for (int64_t i = ox * sx; i < (ox + 1) * sx; i++) {
            double v = (double)x[(y * k->w + i) * k->c + ch];
            if (v > most) most = v;
            sum += v;
        }
    return k->kind == SLUICE_POOL_MAX ? most : (double)(float)(sum / (double)(sy * sx));
}

static void one(shape k, size_t off)
{
    if (!case_is("kind=%d n=%d h=%d w=%d c=%d size=%d off=%zu", (int)k.kind, (int)k.n, (int)k.h, (int)k.w, (int)k.c,
                 (int)k.size, off))
        return;
    bool global = k.kind == SLUICE_POOL_GLOBAL;
    int64_t oh = global ? 1 : k.h / k.size, ow = global ? 1 : k.w / k.size, d = k.h * k.w * k.c, wide = oh * ow * k.c;
    guarded x = guarded_new((size_t)(k.n * d) * 4, off), out = guarded_new((size_t)(k.n * wide) * 4, off);
    float *first = calloc((size_t)(k.n * wide) + 1, 4);
    fill_eighths(x.p, k.n * d, 5);
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 3; threads += 2) {
            sluice *s = tier_open(t, threads);
            CHECK_OK(s, sluice_op_downsample(
                            s, &(sluice_op_downsample_args){ .kind = k.kind,
                                                             .h = k.h,
                                                             .w = k.w,
                                                             .c = k.c,
                                                             .size = k.size,
                                                             .x = sluice_rows(x.p, SLUICE_F32, k.n, d),
                                                             .out = sluice_rows(out.p, SLUICE_F32, k.n, wide) }));
            const float *got = out.p;
            for (int64_t i = 0; i < k.n * wide && t == 0 && threads == 1; i++) {
                int64_t pixel = i % wide / k.c;
                CHECK_NEAR((double)got[i],
                           wanted(&k, (const float *)x.p + i / wide * d, pixel / ow, pixel % ow, i % k.c), 0,
                           "entry %d", (int)i);
            }
            if (t == 0 && threads == 1) memcpy(first, got, (size_t)(k.n * wide) * 4);
            CHECK_SAME(first, got, (size_t)(k.n * wide) * 4, "%s, %d threads", tier_name(t), threads);
            CHECK(guarded_ok(&x) && guarded_ok(&out), "wrote outside");
            sluice_close(s);
        }
    guarded_free(&x), guarded_free(&out);
    free(first);
}

/* Rounded sums of a mean: pixels ascending, then one division. */
static void rounded(void)
{
    if (!case_is("mean of rounded sums: pixels ascending, one division")) return;
    enum { H = 7, W = 9, C = 19 };
    static float x[H * W * C], out[C];
    fill_normal(x, H * W * C, 3);
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 1);
        CHECK_OK(s, sluice_op_downsample(s, &(sluice_op_downsample_args){ .kind = SLUICE_POOL_GLOBAL,
                                                                          .h = H,
                                                                          .w = W,
                                                                          .c = C,
                                                                          .x = sluice_rows(x, SLUICE_F32, 1, H * W * C),
                                                                          .out = sluice_rows(out, SLUICE_F32, 1, C) }));
        for (int j = 0; j < C; j++) {
            float sum = x[j];
            for (int i = 1; i < H * W; i++) sum += x[i * C + j];
            CHECK(out[j] == sum / (H * W), "%s, channel %d", tier_name(t), j);
        }
        uint32_t bits[2] = { 0x7fc12345u, 0xff800000u }; /* a NaN with a payload; infinity less infinity */
        float two[4] = { 1, INFINITY, 0, 0 };
        memcpy(&two[2], bits, sizeof bits);
        CHECK_OK(s, sluice_op_downsample(s, &(sluice_op_downsample_args){ .kind = SLUICE_POOL_GLOBAL,
                                                                          .h = 2,
                                                                          .w = 1,
                                                                          .c = 2,
                                                                          .x = sluice_rows(two, SLUICE_F32, 1, 4),
                                                                          .out = sluice_rows(out, SLUICE_F32, 1, 2) }));
        memcpy(bits, out, sizeof bits);
        CHECK(bits[0] == 0x7fc00000u && bits[1] == 0x7fc00000u, "%s: NaN %08x %08x", tier_name(t), bits[0], bits[1]);
        sluice_close(s);
    }
}

int main(int argc, char **argv)
{
    static const shape shapes[] = {
        { SLUICE_POOL_MAX, 1, 2, 2, 1, 2 },     { SLUICE_POOL_MAX, 5, 7, 9, 17, 2 },
        { SLUICE_POOL_MAX, 2, 9, 6, 32, 3 },    { SLUICE_POOL_MAX, 0, 4, 4, 3, 2 },
        { SLUICE_POOL_AVERAGE, 3, 8, 8, 5, 4 }, { SLUICE_POOL_AVERAGE, 2, 5, 6, 18, 2 },
        { SLUICE_POOL_GLOBAL, 1, 1, 1, 1, 0 },  { SLUICE_POOL_GLOBAL, 9, 4, 4, 33, 0 },
        { SLUICE_POOL_GLOBAL, 2, 7, 7, 16, 0 },
    };
    test_begin(argc, argv);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) one(shapes[i], i % 4 * 4);
    rounded();
    return test_end();
}
