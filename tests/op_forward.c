/* op_forward.c - every sum is the chain acc = fma(x[k], w[k], acc), k ascending, checked bit for bit with libm's fmaf
 * and within the chain's error bound against double; every tier and thread count gives the same bytes. */
#include "typed.h"

#include <xmmintrin.h>

/* The contract, word for word. */
static float chain(const typed *x, const weights *m, const float *bias, int64_t i, int64_t j, int relu)
{
    int integer = x->view.type == SLUICE_I8 || x->view.type == SLUICE_U8;
    float acc = bias && !integer ? bias[j] : 0.0f;
    for (int64_t k = 0; k < m->d; k++) acc = fmaf((float)x->raw[i * m->d + k], m->w[j * m->d + k], acc);
    if (integer) acc = fmaf(x->scale ? x->scale[i] : 1.0f, acc, bias ? bias[j] : 0.0f);
    acc = acc + 0.0f;
    return relu ? (acc > 0 ? acc : acc == acc ? 0 : acc) : acc;
}

/* Against double: |error| <= (d + 2) u * sum of magnitudes, u = 2^-24; i8 round twice more. */
static void check_value(const typed *x, const weights *m, const float *bias, int64_t i, int64_t j, int relu, double got)
{
    double want = bias ? (double)bias[j] : 0, size = fabs(want);
    for (int64_t k = 0; k < m->d; k++) {
        double term = x->value[i * m->d + k] * (double)m->w[j * m->d + k];
        want += term, size += fabs(term);
    }
    if (!isfinite(want)) {
        CHECK(!isfinite(got) || (relu && got == 0), "row %lld", (long long)i);
        return;
    }
    if (relu && want < 0) want = 0;
    CHECK_NEAR(got, want, (double)(m->d + 4) * 0x1p-24 * size + 1e-44, "row %lld class %lld", (long long)i,
               (long long)j);
}

typedef struct shape {
    sluice_type type;
    int64_t n, d, c;
    size_t gap, off;
    int bias, relu, scaled, spoil;
} shape;

static guarded run(sluice *s, const shape *p, const typed *x, const weights *m, size_t *out_stride)
{
    size_t stride = (size_t)p->c * 4 + p->gap;
    guarded out = guarded_new(p->n ? (size_t)p->n * stride - p->gap : 0, p->off);
    sluice_op_forward_args a = { x->view, m->packed, p->bias ? m->bias : NULL, p->c, p->relu, { 0 } };
    a.out = (sluice_view){ out.p, p->n, p->c, stride, SLUICE_F32, NULL };
    CHECK_OK(s, sluice_op_forward(s, &a));
    CHECK(guarded_ok(&out), "wrote past the end of out");
    *out_stride = stride;
    return out;
}

static void one(shape p)
{
    if (!case_is("%s n=%lld d=%lld c=%lld gap=%zu off=%zu bias=%d relu=%d scaled=%d spoil=%d", sluice_type_name(p.type),
                 (long long)p.n, (long long)p.d, (long long)p.c, p.gap, p.off, p.bias, p.relu, p.scaled, p.spoil))
        return;
    typed x = typed_new(p.n, p.d, p.type, p.gap, p.off, p.scaled, 7);
    weights m = weights_new(p.c, p.d, 11);
    if (p.spoil && p.n > 2 && p.d > 0) {
        typed_spoil(&x, 1, p.d - 1, NAN);
        typed_spoil(&x, p.n - 1, 0, -INFINITY);
    }
    size_t stride = 0;
    sluice *s = tier_open(tier_count() - 1, 1);
    guarded first = run(s, &p, &x, &m, &stride);
    sluice_close(s);
    for (int64_t i = 0; i < p.n; i++)
        for (int64_t j = 0; j < p.c; j++) {
            float got, want = chain(&x, &m, p.bias ? m.bias : NULL, i, j, p.relu);
            memcpy(&got, (char *)first.p + (size_t)i * stride + (size_t)j * 4, 4);
            if (isnan(want)) {
                uint32_t b;
                memcpy(&b, &got, 4);
                CHECK(b == 0x7fc00000u, "row %lld: NaN is %08x", (long long)i, b);
            } else
                CHECK_SAME(&got, &want, 4, "row %lld class %lld: %.9g, the chain gives %.9g", (long long)i,
                           (long long)j, (double)got, (double)want);
            check_value(&x, &m, p.bias ? m.bias : NULL, i, j, p.relu, (double)got);
        }
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 3; threads++) {
            s = tier_open(t, threads);
            for (int again = 0; again < 2; again++) {
                guarded out = run(s, &p, &x, &m, &stride);
                CHECK_SAME(out.p, first.p, first.bytes, "%s, %d threads, call %d", tier_name(t), threads, again);
                guarded_free(&out);
            }
            sluice_close(s);
        }
    CHECK(guarded_ok(&x.bytes), "wrote to x");
    guarded_free(&first), typed_free(&x), weights_free(&m);
}

static void shapes(void)
{
    static const int64_t cs[] = { 1, 2, 7, 10, 15, 16, 17, 32, 33, 50 }, ds[] = { 0, 1, 15, 16, 17, 40 };
    static const int64_t ns[] = { 0, 1, 13, 14, 15, 16, 17, 47 };
    int turn = 0;
    for (int type = 0; type <= SLUICE_U8; type++) {
        if (type == SLUICE_F64) continue;
        for (int c = 0; c < 10; c++)
            for (int d = 0; d < 6; d++, turn++)
                one((shape){ (sluice_type)type, ns[turn % 8], ds[d], cs[c], (size_t)(turn % 5), (size_t)(turn % 3),
                             turn % 2, turn / 2 % 2, turn / 3 % 2, turn % 7 == 0 });
        one((shape){ (sluice_type)type, 64, 2600, 35, 0, 0, 1, 0, 1, 0 }); /* more than a block, three slices */
        one((shape){ (sluice_type)type, 33, 515, 10, 4, 4, 1, 0, 1, 1 });
        one((shape){ (sluice_type)type, 131, 1700, 10, 0, 0, 1, 1, 1,
                     0 });                                                 /* more weights than a GPU's constant bank */
        one((shape){ (sluice_type)type, 131, 53, 150, 4, 4, 1, 1, 1, 1 }); /* more than a GPU's tile, both ways */
    }
}

/* Another library may have switched subnormals off on this thread, or rounding: nothing changes, and its own setting
 * is back afterwards. */
static void foreign_environment(void)
{
    if (!case_is("flush-to-zero and rounding of the caller do not matter")) return;
    static float x[40], out[2][20 * 2];
    for (int i = 0; i < 40; i++) x[i] = 1e-38f * (float)(i - 20) / 64;
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 2; threads++) {
            sluice *s = tier_open(t, threads);
            weights m = weights_new(1, 2, 3);
            m.packed[0] = m.packed[16] = 0.37f;
            for (int foreign = 0; foreign < 2; foreign++) {
                unsigned before = _mm_getcsr(), strange = 0x1F80 | 0x8040 | 0x4000; /* FTZ, DAZ, round up */
                if (foreign) _mm_setcsr(strange);
                sluice_op_forward_args a = { sluice_rows(x, SLUICE_F32, 20, 2),           m.packed, NULL, 1, 0,
                                             sluice_rows(out[foreign], SLUICE_F32, 20, 1) };
                sluice_status st = sluice_op_forward(s, &a);
                unsigned after = _mm_getcsr();
                _mm_setcsr(before);
                CHECK(st == SLUICE_OK, "%s", sluice_error(s));
                CHECK(!foreign || (after & ~0x3fu) == strange, "MXCSR is %x, was %x", after, strange);
            }
            CHECK_SAME(out[0], out[1], 20 * 4, "%s, %d threads", tier_name(t), threads);
            CHECK(out[0][0] != 0, "the data is subnormal, not zero");
            weights_free(&m), sluice_close(s);
        }
}

/* A sum of -0 is stored as +0, whichever way it arose. */
static void no_negative_zero(void)
{
    if (!case_is("-0 is never stored")) return;
    static float x[3], out[3 * 20], zero[3 * 20];
    for (int64_t c = 2; c <= 20; c += 18) {
        weights m = weights_new(c, 1, 3);
        for (int64_t j = 0; j < c; j++) m.packed[j / 16 * 16 + j % 16] = -1.0f, m.bias[j] = -0.0f;
        for (int t = 0; t < tier_count(); t++) {
            sluice *s = tier_open(t, 1);
            sluice_op_forward_args a = { sluice_rows(x, SLUICE_F32, 3, 1),  m.packed, m.bias, c, 0,
                                         sluice_rows(out, SLUICE_F32, 3, c) };
            CHECK_OK(s, sluice_op_forward(s, &a));
            CHECK_SAME(out, zero, (size_t)c * 12, "%s, c=%lld", tier_name(t), (long long)c);
            sluice_close(s);
        }
        weights_free(&m);
    }
}

static void refusals(void)
{
    if (!case_is("refusals")) return;
    sluice *s = tier_open(0, 1);
    float x[8] = { 1 }, out[8] = { 5 };
    weights m = weights_new(2, 4, 3);
    sluice_op_forward_args good = { sluice_rows(x, SLUICE_F32, 2, 4),  m.packed, NULL, 2, 0,
                                    sluice_rows(out, SLUICE_F32, 2, 2) },
                           a = good;
    a.out.cols = 3, a.out.stride = 12;
    CHECK(sluice_op_forward(s, &a) == SLUICE_E_SHAPE && strstr(sluice_error(s), "[2, 3]"), "%s", sluice_error(s));
    a = good, a.c = 0;
    CHECK(sluice_op_forward(s, &a) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    a = good, a.x.type = SLUICE_F64, a.x.stride = 32;
    CHECK(sluice_op_forward(s, &a) == SLUICE_E_TYPE, "%s", sluice_error(s));
    a = good, a.x.stride = 8;
    CHECK(sluice_op_forward(s, &a) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    a = good, a.out.data = x + 1;
    CHECK(sluice_op_forward(s, &a) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    a = good, a.x.rows = INT64_MAX / 2, a.out.rows = a.x.rows;
    CHECK(sluice_op_forward(s, &a) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    CHECK(out[0] == 5, "out was touched");
    CHECK(sluice_op_forward(s, &good) == SLUICE_OK, "%s", sluice_error(s));
    weights_free(&m), sluice_close(s);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    shapes();
    foreign_environment();
    no_negative_zero();
    refusals();
    return test_end();
}
