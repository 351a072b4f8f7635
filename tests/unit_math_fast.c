/* unit_math_fast.c - scan with --math fast against its definition in double, within the bound of kernels/scan_fast.cu;
 * the scores once more from the logits that were returned, where only the sums over classes are rounded. */
#include "core.h"
#include "ref.h"
#include "typed.h"

enum { COLUMNS = 7 };
static const char *const column_name[COLUMNS - 1] = { "least-confidence", "margin", "ratio",
                                                      "entropy",          "energy", "confidence" };
/* How far a score moves when every logit over temperature moves by 1. */
static const double column_slope[COLUMNS - 1] = { 0.5, 1, 2, 2, 1, 0.5 };

typedef struct shape {
    sluice_type type;
    int64_t n, d, c;
    size_t gap, off;
    int bias, scaled, spoil;
    double spread; /* weights of class j are 2^(spread (j % 5 - 2)) times those of a head of unit size */
    float temperature;
    int64_t distinct; /* class j is class j % distinct once more; 0: all differ */
} shape;

typedef struct result {
    guarded columns, logits;
} result;

static result result_new(const shape *p)
{
    result r = { guarded_new((size_t)(p->n * COLUMNS) * 4, 4), guarded_new((size_t)(p->n * p->c) * 4, 4) };
    memset(r.columns.p, 0x11, r.columns.bytes), memset(r.logits.p, 0x11, r.logits.bytes);
    return r;
}

static void result_free(result *r) { guarded_free(&r->columns), guarded_free(&r->logits); }

/* Rows [first, first + n) of the case into the same rows of r. */
static void scan(sluice *s, const shape *p, const typed *x, const weights *m, int logits, int64_t first, int64_t n,
                 const result *r)
{
    float *o[COLUMNS], *z = (float *)r->logits.p + first * p->c;
    for (int k = 0; k < COLUMNS; k++) o[k] = (float *)r->columns.p + k * p->n + first;
    sluice_op_scan_args a = { .x = x->view,
                              .packed = m->packed,
                              .bias = p->bias ? m->bias : NULL,
                              .c = p->c,
                              .temperature = p->temperature,
                              .out = { o[0], o[1], o[2], o[3], o[4], o[5], o[6] } };
    a.x.data = typed_at(x, first, 0), a.x.rows = n;
    if (a.x.scale) a.x.scale += first;
    if (logits) a.logits = sluice_rows(z, SLUICE_F32, n, p->c);
    CHECK_OK(s, sluice_op_scan(s, &a));
    CHECK(guarded_ok(&r->columns) && guarded_ok(&r->logits), "wrote outside");
}

/* A logit in double, and how far the fast one may be from it. */
static double logit(const shape *p, const typed *x, const weights *m, int64_t i, int64_t j, double *bound)
{
    int half = p->type == SLUICE_F16 || p->type == SLUICE_I8 || p->type == SLUICE_U8;
    double u = half ? 0x1p-11 : p->type == SLUICE_BF16 ? 0x1p-8 : 0x1p-10;
    double b = p->bias ? (double)m->bias[j] : 0, sum = 0, a = 0, size = 0, most = 0, tiny = 0;
    for (int64_t k = 0; k < p->d; k++) {
        double v = x->value[i * p->d + k], w = (double)m->w[j * p->d + k];
        sum += v * w, a += fabs(v * w), size += fabs(v), tiny += 1 + fabs(v) + fabs(w);
        most = fabs(w) > most ? fabs(w) : most;
    }
    double z = sum + b;
    *bound = 1.01 * (u + (double)(p->d + 16) * 0x1p-22) * a + (half ? 0x1p-38 * size * most : 0) +
             0x1p-22 * (fabs(z) + fabs(b)) + 0x1p-126 * tiny;
    return z;
}

/* Scores of row i within `moved`, the distance of the logits over temperature, of those of z. */
static void check_scores(const shape *p, const result *r, int64_t i, const double *z, double moved, const char *whose)
{
    double rounding = (double)p->c * 0x1p-22;
    for (int k = 0; k < COLUMNS - 1; k++) {
        double got = (double)((float *)r->columns.p)[k * p->n + i];
        double want = ref_score(column_name[k], z, p->c, (double)p->temperature);
        double unit = k == 4 ? (double)p->temperature : 1;
        CHECK_NEAR(got, want, unit * (column_slope[k] * moved + rounding) + 0x1p-22 * fabs(want), "%s of row %lld, %s",
                   column_name[k], (long long)i, whose);
    }
}

static void check_row(const shape *p, const typed *x, const weights *m, const result *r, int64_t i)
{
    double *z = calloc((size_t)p->c, sizeof *z), *got = calloc((size_t)p->c, sizeof *got), moved = 0, most = 0;
    const float *row = (float *)r->logits.p + i * p->c;
    int64_t best = 0;
    for (int64_t j = 0; j < p->c; j++) {
        double bound;
        z[j] = logit(p, x, m, i, j, &bound), got[j] = (double)row[j];
        CHECK_NEAR(got[j], z[j], bound, "logit %lld of row %lld", (long long)j, (long long)i);
        moved = bound > moved ? bound : moved, most = fabs(got[j]) > most ? fabs(got[j]) : most;
        best = got[j] > got[best] ? j : best;
    }
    double t = (double)p->temperature, rounded = 0x1p-22 * most / t;
    check_scores(p, r, i, z, moved / t + rounded, "by the definition");
    check_scores(p, r, i, got, rounded, "from its logits");
    float predicted = ((float *)r->columns.p)[(COLUMNS - 1) * p->n + i];
    if (p->temperature == 1) CHECK_NEAR((double)predicted, (double)best, 0, "prediction of row %lld", (long long)i);
    else CHECK_NEAR(got[(int64_t)predicted], got[best], rounded * t, "prediction of row %lld", (long long)i);
    free(z), free(got);
}

static void check_bad_row(const shape *p, const result *r, int64_t i)
{
    for (int k = 0; k < COLUMNS; k++) {
        uint32_t bits;
        memcpy(&bits, (float *)r->columns.p + k * p->n + i, 4);
        CHECK(bits == 0x7fc00000u, "column %d of row %lld, which is not finite: %08x", k, (long long)i, bits);
    }
}

static void spread_weights(weights *m, double spread)
{
    for (int64_t j = 0; j < m->c; j++) {
        float by = (float)(exp2(rint(spread * (double)(j % 5 - 2))) / sqrt((double)m->d));
        for (int64_t k = 0; k < m->d; k++) m->w[j * m->d + k] *= by, m->packed[(j / 16 * m->d + k) * 16 + j % 16] *= by;
    }
}

static void repeat_classes(weights *m, int64_t distinct)
{
    for (int64_t j = distinct; distinct && j < m->c; j++) {
        int64_t from = j % distinct;
        m->bias[j] = m->bias[from];
        for (int64_t k = 0; k < m->d; k++)
            m->packed[(j / 16 * m->d + k) * 16 + j % 16] = m->w[j * m->d + k] = m->w[from * m->d + k];
    }
}

static void one(shape p)
{
    if (!case_is(
            "%s n=%lld d=%lld c=%lld gap=%zu off=%zu bias=%d scaled=%d spoil=%d spread=%g temperature=%g distinct=%d",
            sluice_type_name(p.type), (long long)p.n, (long long)p.d, (long long)p.c, p.gap, p.off, p.bias, p.scaled,
            p.spoil, p.spread, (double)p.temperature, (int)p.distinct))
        return;
    typed x = typed_new(p.n, p.d, p.type, p.gap, p.off, p.scaled, 17);
    weights m = weights_new(p.c, p.d, 23);
    spread_weights(&m, p.spread), repeat_classes(&m, p.distinct);
    int can_spoil = p.type != SLUICE_I8 && p.type != SLUICE_U8 ? 1 : x.scale != NULL;
    p.spoil &= can_spoil && p.n > 2;
    if (p.spoil) typed_spoil(&x, 1, p.d / 2, INFINITY), typed_spoil(&x, p.n - 1, p.d - 1, NAN);

    sluice *s = tier_open(0, 1);
    s->exec.math = SLUICE_MATH_FAST;
    result all = result_new(&p), again = result_new(&p), parts = result_new(&p);
    int64_t cut = p.n / 3 + 1 < p.n ? p.n / 3 + 1 : p.n;
    scan(s, &p, &x, &m, 1, 0, p.n, &all);
    scan(s, &p, &x, &m, 0, 0, p.n, &again);
    scan(s, &p, &x, &m, 1, cut, p.n - cut, &parts), scan(s, &p, &x, &m, 1, 0, cut, &parts);
    for (int64_t i = 0; i < p.n; i++)
        if (p.spoil && (i == 1 || i == p.n - 1)) check_bad_row(&p, &all, i);
        else if (i < 40 || i > p.n - 40) check_row(&p, &x, &m, &all, i);
    CHECK_SAME(again.columns.p, all.columns.p, all.columns.bytes, "a second time, without the logits");
    CHECK_SAME(parts.columns.p, all.columns.p, all.columns.bytes, "in two blocks of rows");
    CHECK_SAME(parts.logits.p, all.logits.p, all.logits.bytes, "logits in two blocks of rows");
    CHECK(guarded_ok(&x.bytes), "wrote to x");
    result_free(&all), result_free(&again), result_free(&parts);
    sluice_close(s), typed_free(&x), weights_free(&m);
}

int main(int argc, char **argv)
{
    static const int64_t cs[] = { 1, 2, 10, 17, 128, 130, 300 }, ns[] = { 1, 40, 128, 129 },
                         ds[] = { 1, 7, 33, 64, 100 };
    test_begin(argc, argv);
    if (!tier_count() || strcmp(tier_name(0), "cuda") != 0) {
        skip("--math fast is of GPUs: SLUICE_TEST_CUDA=1 with a plug-in in SLUICE_PLUGIN_DIR runs it");
        return test_end();
    }
    int turn = 0;
    for (int type = 0; type <= SLUICE_U8; type++) {
        if (type == SLUICE_F64) continue;
        for (int c = 0; c < 7; c++)
            for (int k = 0; k < 2; k++, turn++)
                one((shape){ (sluice_type)type, ns[turn % 4], ds[turn % 5], cs[c], (size_t)(turn % 7),
                             (size_t)(turn % 3), turn % 2, turn / 2 % 2, turn % 3 == 0, 0, turn % 4 ? 1.0f : 1.7f, 0 });
        one((shape){ (sluice_type)type, 3, 300, 1000, 0, 0, 1, 1, 1, 0, 1, 0 });
        one((shape){ (sluice_type)type, 5, 70, 12, 0, 0, 1, 1, 0, 12, 1, 0 });  /* beyond f16's range both ways */
        one((shape){ (sluice_type)type, 20, 40, 290, 0, 0, 1, 1, 0, 0, 1, 3 }); /* ties: the lowest index */
    }
    return test_end();
}
