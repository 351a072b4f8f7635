/* op_convert.c - every pair of types by the definition of its values, standardised and normalised rows against
 * double, i8 within half a step; every tier and thread count gives the same bytes. */
#include "typed.h"

typedef struct shape {
    sluice_type from, to;
    int64_t n, d;
    size_t gap, off;
    int scaled, mean, normalise, spoil;
    float divisor;
} shape;

/* What row i should hold, in double. */
static void want_row(const shape *p, const typed *x, const float *mean, int64_t i, double *out)
{
    double sum = 0;
    for (int64_t k = 0; k < p->d; k++) {
        double v = x->value[i * p->d + k];
        if (p->mean) v -= (double)mean[k];
        if (p->divisor != 0) v /= (double)p->divisor;
        out[k] = v, sum += v * v;
    }
    for (int64_t k = 0; p->normalise && k < p->d; k++) out[k] = sum < 1e-60 ? 0 : out[k] / sqrt(sum); /* in float: 0 */
}

/* Half an ulp of the type, and the floats' own rounding on the way: a few ulp of the value, and of what a mean
 * cancels. */
static double tolerance(const shape *p, double want, double scale, double mean)
{
    double chain = p->normalise ? (double)(p->d + 8) * 0x1p-24 * fabs(want) : 4 * 0x1p-24 * fabs(want);
    chain += p->mean ? 4 * 0x1p-24 * (fabs(mean) + fabs(want)) * (p->divisor != 0 ? 1 / fabs((double)p->divisor) : 1) *
                           (p->normalise ? 0.5 : 1)
                     : 0;
    switch (p->to) {
    case SLUICE_F16: return chain + fabs(want) * 0x1p-11 + 0x1p-25;
    case SLUICE_BF16: return chain + fabs(want) * 0x1p-8 + 1e-40;
    case SLUICE_I8: return chain + scale * 0.5001;
    default: return chain + 1e-44;
    }
}

typedef struct result {
    guarded rows;
    float scale[512];
    size_t stride;
} result;

static result run(sluice *s, const shape *p, const typed *x, const float *mean)
{
    result r = { .stride = (size_t)p->d * sluice_type_bytes(p->to) + p->gap };
    r.rows = guarded_new(p->n ? (size_t)p->n * r.stride - p->gap : 0, p->off);
    memset(r.rows.p, 0x11, r.rows.bytes);
    sluice_op_convert_args a = { x->view,
                                 { r.rows.p, p->n, p->d, r.stride, p->to, NULL },
                                 p->mean ? mean : NULL,
                                 p->divisor,
                                 p->normalise,
                                 p->to == SLUICE_I8 ? r.scale : NULL };
    CHECK_OK(s, sluice_op_convert(s, &a));
    CHECK(guarded_ok(&r.rows), "wrote past the end of out");
    return r;
}

/* Every NaN is written the same, whatever its bits were and whoever computed it. */
static int one_nan(const void *at, sluice_type type)
{
    static const uint32_t nan32 = 0x7fc00000u;
    static const uint16_t f16 = 0x7e00, bf16 = 0x7fc0;
    if (type == SLUICE_F32) return memcmp(at, &nan32, 4) == 0;
    return memcmp(at, type == SLUICE_F16 ? &f16 : &bf16, 2) == 0;
}

static void check_rows(const shape *p, const typed *x, const float *mean, const result *r)
{
    double *want = calloc((size_t)p->d + 1, sizeof *want);
    for (int64_t i = 0; i < p->n; i++) {
        double scale = p->to == SLUICE_I8 ? (double)r->scale[i] : 1;
        int bad = 0;
        want_row(p, x, mean, i, want);
        for (int64_t k = 0; k < p->d; k++) bad |= !isfinite(want[k]);
        if (bad && p->to == SLUICE_I8) {
            CHECK(isnan(scale), "scale of bad row %lld is %g", (long long)i, scale);
            continue;
        }
        for (int64_t k = 0; k < p->d; k++) {
            const char *at = (char *)r->rows.p + (size_t)i * r->stride + (size_t)k * sluice_type_bytes(p->to);
            double got = typed_get(at, p->to);
            if (isnan(got)) CHECK(one_nan(at, p->to), "another NaN in row %lld", (long long)i);
            if (p->to == SLUICE_I8) got *= scale;
            if (bad && p->normalise) {
                CHECK(!isfinite(want[k]) ? isnan(got) : isnan(got) || got == 0, "row %lld is bad", (long long)i);
                continue;
            }
            CHECK_NEAR(got, want[k], tolerance(p, want[k], scale, p->mean ? (double)mean[k] : 0),
                       "row %lld column %lld", (long long)i, (long long)k);
        }
    }
    free(want);
}

static void one(shape p)
{
    if (!case_is("%s to %s n=%lld d=%lld gap=%zu off=%zu scaled=%d mean=%d divisor=%g normalise=%d spoil=%d",
                 sluice_type_name(p.from), sluice_type_name(p.to), (long long)p.n, (long long)p.d, p.gap, p.off,
                 p.scaled, p.mean, (double)p.divisor, p.normalise, p.spoil))
        return;
    typed x = typed_new(p.n, p.d, p.from, p.gap, p.off, p.scaled, 31);
    float *mean = calloc((size_t)p.d + 1, sizeof *mean);
    fill_normal(mean, p.d, 8);
    for (int64_t k = 0; p.n > 3 && k < p.d; k++)
        memset(typed_at(&x, 2, k), 0, sluice_type_bytes(p.from)); /* a row of zeros */
    typed_read(&x);
    if (p.spoil && p.n > 3) typed_spoil(&x, 1, p.d / 2, NAN), typed_spoil(&x, 3, p.d - 1, INFINITY);
    sluice *s = tier_open(tier_count() - 1, 1);
    result first = run(s, &p, &x, mean);
    sluice_close(s);
    check_rows(&p, &x, mean, &first);
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 2; threads++) {
            s = tier_open(t, threads);
            result r = run(s, &p, &x, mean);
            CHECK_SAME(r.rows.p, first.rows.p, first.rows.bytes, "%s, %d threads", tier_name(t), threads);
            if (p.to == SLUICE_I8) CHECK_SAME(r.scale, first.scale, (size_t)p.n * 4, "scales of %s", tier_name(t));
            guarded_free(&r.rows), sluice_close(s);
        }
    guarded_free(&first.rows), typed_free(&x), free(mean);
}

/* Rounding to half floats by definition: the nearest of all 65,536, ties to the even one. */
static void rounding(sluice_type to)
{
    if (!case_is("rounding to %s", sluice_type_name(to))) return;
    enum { N = 4000 };
    static float x[N];
    static uint16_t out[N];
    rng r = { 4 };
    int exponent_bits = to == SLUICE_F16 ? 5 : 8;
    uint16_t infinity = to == SLUICE_F16 ? 0x7c00 : 0x7f80;
    for (int i = 0; i < N; i++) {
        uint16_t h = (uint16_t)(rng_u64(&r) % infinity), next = (uint16_t)(h + 1);
        double a = half_value(h, exponent_bits), b = next == infinity ? a * 1.01 : half_value(next, exponent_bits);
        x[i] = (float)(i % 4 == 0 ? (a + b) / 2 : a + (b - a) * rng_uniform(&r));
    }
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 1);
        sluice_op_convert_args a = { .x = sluice_rows(x, SLUICE_F32, N / 8, 8), .out = sluice_rows(out, to, N / 8, 8) };
        CHECK_OK(s, sluice_op_convert(s, &a));
        for (int i = 0; i < N; i++) {
            double got = fabs(half_value(out[i], exponent_bits) - (double)x[i]);
            if (out[i] >= infinity) continue;
            double below = out[i] ? fabs(half_value((uint16_t)(out[i] - 1), exponent_bits) - (double)x[i]) : INFINITY;
            double above = out[i] + 1 < infinity
                               ? fabs(half_value((uint16_t)(out[i] + 1), exponent_bits) - (double)x[i])
                               : INFINITY;
            CHECK(got <= below && got <= above, "%a became %04x", (double)x[i], out[i]);
            CHECK((got != below && got != above) || out[i] % 2 == 0, "%a, a tie, became odd %04x", (double)x[i],
                  out[i]);
        }
        sluice_close(s);
    }
}

/* Where the step itself is subnormal, largest / step may pass 127: it saturates and never wraps. */
static void subnormal_step(void)
{
    if (!case_is("i8 of subnormal rows")) return;
    static const uint32_t bits[4] = { 190, 0x80000000u | 190, 60, 0 }; /* step: 190 / 127 units, rounded to 1 */
    float x[4], scale;
    int8_t out[4];
    memcpy(x, bits, sizeof x);
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 1);
        sluice_op_convert_args a = { .x = sluice_rows(x, SLUICE_F32, 1, 4),
                                     .out = sluice_rows(out, SLUICE_I8, 1, 4),
                                     .out_scale = &scale };
        CHECK_OK(s, sluice_op_convert(s, &a));
        CHECK(out[0] == 127 && out[1] == -127 && out[2] == 60 && out[3] == 0, "%s: %d %d %d %d", tier_name(t), out[0],
              out[1], out[2], out[3]);
        sluice_close(s);
    }
}

static void in_place(void)
{
    if (!case_is("in place, and overlap refused")) return;
    enum { N = 40, D = 33 };
    static float x[N * D + 1], want[N * D];
    fill_normal(x, N * D, 6);
    sluice *s = tier_open(0, 2);
    sluice_op_convert_args a = { .x = sluice_rows(x, SLUICE_F32, N, D),
                                 .out = sluice_rows(want, SLUICE_F32, N, D),
                                 .normalise = 1 };
    CHECK_OK(s, sluice_op_convert(s, &a));
    a.out.data = x + 1;
    CHECK(sluice_op_convert(s, &a) == SLUICE_E_SHAPE && strstr(sluice_error(s), "overlap"), "%s", sluice_error(s));
    a.out.data = x;
    CHECK_OK(s, sluice_op_convert(s, &a));
    CHECK_SAME(x, want, sizeof want, "normalised in place");
    a.out.type = SLUICE_F64;
    CHECK(sluice_op_convert(s, &a) != SLUICE_OK, "f64 is no output type");
    sluice_close(s);
}

int main(int argc, char **argv)
{
    static const sluice_type tos[] = { SLUICE_F32, SLUICE_F16, SLUICE_BF16, SLUICE_I8 };
    static const int64_t ns[] = { 0, 1, 15, 16, 17, 40 }, ds[] = { 1, 15, 16, 17, 70 };
    test_begin(argc, argv);
    int turn = 0;
    for (int from = 0; from <= SLUICE_U8; from++)
        for (int to = 0; to < 4; to++)
            for (int i = 0; i < 6; i++, turn++)
                one((shape){ (sluice_type)from, tos[to], ns[i], ds[turn % 5], (size_t)(turn % 4), (size_t)(turn % 3),
                             turn % 2, turn / 2 % 2, turn / 4 % 2, turn % 3 == 0, turn % 3 ? 0.0f : 2.5f });
    one((shape){ SLUICE_F32, SLUICE_F32, 300, 40, 0, 0, 0, 0, 1, 0, 0 });
    one((shape){ SLUICE_F16, SLUICE_I8, 37, 300, 2, 0, 0, 1, 1, 0, 0 });
    rounding(SLUICE_F16), rounding(SLUICE_BF16);
    subnormal_step();
    in_place();
    return test_end();
}
