/* op_finite.c - a NaN or an infinity at any place of a row is seen, the largest finite and subnormal values are not
 * taken for one. */
#include "typed.h"

static int row_is_bad(const typed *x, int64_t i)
{
    if (x->scale && !isfinite(x->scale[i])) return 1;
    for (int64_t k = 0; k < x->view.cols; k++)
        if (!isfinite(x->raw[i * x->view.cols + k])) return 1;
    return 0;
}

static void one(sluice_type type, int64_t n, int64_t d, size_t gap, size_t off)
{
    if (!case_is("%s n=%lld d=%lld gap=%zu off=%zu", sluice_type_name(type), (long long)n, (long long)d, gap, off))
        return;
    typed x = typed_new(n, d, type, gap, off, 1, (uint64_t)(n + d));
    rng r = { 3 };
    for (int64_t i = 0; i < n; i++) {
        int64_t k = (int64_t)(rng_u64(&r) % (uint64_t)d);
        if (i % 3 == 0) typed_spoil(&x, i, k, i % 2 ? NAN : i % 4 ? INFINITY : -INFINITY);
    }
    static const uint32_t largest = 0x7f7fffffu;
    static const uint16_t largest_f16 = 0x7bff, largest_bf16 = 0xff7f;
    if (n > 1 && type == SLUICE_F32) memcpy(typed_at(&x, 1, 0), &largest, 4);
    if (n > 1 && type == SLUICE_F16) memcpy(typed_at(&x, 1, 0), &largest_f16, 2);
    if (n > 1 && type == SLUICE_BF16) memcpy(typed_at(&x, 1, 0), &largest_bf16, 2);
    typed_read(&x);
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 2; threads++) {
            sluice *s = tier_open(t, threads);
            guarded bad = guarded_new((size_t)n, 0);
            sluice_op_finite_args a = { x.view, bad.p };
            CHECK_OK(s, sluice_op_finite(s, &a));
            for (int64_t i = 0; i < n; i++)
                CHECK_NEAR(((uint8_t *)bad.p)[i], row_is_bad(&x, i), 0, "row %lld, %s, %d threads", (long long)i,
                           tier_name(t), threads);
            CHECK(guarded_ok(&bad), "wrote past the end of bad");
            guarded_free(&bad), sluice_close(s);
        }
    typed_free(&x);
}

int main(int argc, char **argv)
{
    static const int64_t ds[] = { 1, 15, 16, 17, 100 };
    test_begin(argc, argv);
    for (int type = 0; type <= SLUICE_U8; type++)
        for (int i = 0; i < 5; i++) {
            one((sluice_type)type, 40, ds[i], (size_t)(i % 3), (size_t)(i % 2));
            one((sluice_type)type, i % 2, ds[i], 0, 0);
        }
    one(SLUICE_F32, 2500, 3, 0, 0);
    return test_end();
}
