/* op_pack.c - the packed layout [ceil(c/16)][d][16], both orientations, every tier. */
#include "harness.h"

static void one(int t, int64_t c, int64_t d, int transpose, size_t gap, size_t off)
{
    if (!case_is("%s c=%lld d=%lld transpose=%d gap=%zu off=%zu", tier_name(t), (long long)c, (long long)d, transpose,
                 gap, off))
        return;
    int64_t rows = transpose ? d : c, cols = transpose ? c : d;
    size_t stride = (size_t)cols * 4 + gap, floats = sluice_packed_floats(c, d);
    guarded w = guarded_new((size_t)rows * stride, off), out = guarded_new(floats * 4, 0);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            float v = (float)(1 + (transpose ? j * d + i : i * d + j)); /* 1 + class * d + feature */
            memcpy((char *)w.p + (size_t)i * stride + (size_t)j * 4, &v, 4);
        }
    sluice *s = tier_open(t, 2);
    sluice_op_pack_args a = { { w.p, rows, cols, stride, SLUICE_F32, NULL }, transpose, out.p };
    CHECK_OK(s, sluice_op_pack(s, &a));
    const float *p = out.p;
    for (int64_t g = 0; g < (c + 15) / 16; g++)
        for (int64_t k = 0; k < d; k++)
            for (int64_t j = 0; j < 16; j++) {
                int64_t class = 16 * g + j;
                CHECK_NEAR(p[(g * d + k) * 16 + j], class < c ? (double)(1 + class * d + k) : 0.0, 0,
                           "class %lld feature %lld", (long long)class, (long long)k);
            }
    CHECK(guarded_ok(&out) && guarded_ok(&w), "wrote past the end");
    sluice_close(s);
    guarded_free(&w), guarded_free(&out);
}

static void refusals(void)
{
    if (!case_is("refusals")) return;
    sluice *s = tier_open(0, 1);
    static _Alignas(64) float out[64];
    uint16_t half[4] = { 0 };
    float w[4] = { 0 };
    sluice_op_pack_args a = { sluice_rows(half, SLUICE_F16, 2, 2), 0, out };
    CHECK(sluice_op_pack(s, &a) == SLUICE_E_TYPE, "%s", sluice_error(s));
    a = (sluice_op_pack_args){ sluice_rows(w, SLUICE_F32, 2, 2), 0, out + 1 };
    CHECK(sluice_op_pack(s, &a) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    a.w.stride = 4;
    CHECK(sluice_op_pack(s, &a) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    sluice_close(s);
}

int main(int argc, char **argv)
{
    static const int64_t cs[] = { 1, 15, 16, 17, 33 }, ds[] = { 0, 1, 16, 31 };
    test_begin(argc, argv);
    for (int t = 0; t < tier_count(); t++)
        for (int i = 0; i < 5; i++)
            for (int j = 0; j < 4; j++)
                for (int transpose = 0; transpose < 2; transpose++)
                    one(t, cs[i], ds[j], transpose, (size_t)(i % 2 * 7), (size_t)(j % 2 * 3));
    refusals();
    return test_end();
}
