/* op_scan.c - scan gives the bytes of forward followed by score: every type, tier and thread count, with and without
 * the logits, NaN and infinite features included. */
#include "typed.h"

enum { COLUMNS = 7 };
typedef struct columns {
    float *p[COLUMNS];
    guarded block;
} columns;

static columns columns_new(int64_t n)
{
    columns c;
    c.block = guarded_new((size_t)n * COLUMNS * 4, 0);
    memset(c.block.p, 0x11, (size_t)n * COLUMNS * 4);
    for (int i = 0; i < COLUMNS; i++) c.p[i] = (float *)c.block.p + i * n;
    return c;
}

static sluice_scores wanted(const columns *c)
{
    return (sluice_scores){ c->p[0], c->p[1], c->p[2], c->p[3], c->p[4], c->p[5], c->p[6] };
}

typedef struct shape {
    sluice_type type;
    int64_t n, d, c;
    size_t gap, off;
    int bias, scaled, spoil;
    float temperature;
} shape;

static void scan(sluice *s, const shape *p, const typed *x, const weights *m, float *logits, columns *out)
{
    sluice_op_scan_args a = { .x = x->view,
                              .packed = m->packed,
                              .bias = p->bias ? m->bias : NULL,
                              .c = p->c,
                              .temperature = p->temperature,
                              .out = wanted(out) };
    if (logits) a.logits = sluice_rows(logits, SLUICE_F32, p->n, p->c);
    CHECK_OK(s, sluice_op_scan(s, &a));
    CHECK(guarded_ok(&out->block), "wrote past the columns");
}

static void composed(sluice *s, const shape *p, const typed *x, const weights *m, float *logits, columns *out)
{
    sluice_op_forward_args f = { x->view, m->packed, p->bias ? m->bias : NULL,
                                 p->c,    0,         sluice_rows(logits, SLUICE_F32, p->n, p->c) };
    sluice_op_score_args a = { f.out, p->temperature, wanted(out) };
    CHECK_OK(s, sluice_op_forward(s, &f));
    CHECK_OK(s, sluice_op_score(s, &a));
}

static void check_bad_rows(const shape *p, const columns *out)
{
    for (int k = 0; p->spoil && p->n > 2 && k < COLUMNS; k++) {
        uint32_t second, last;
        memcpy(&second, &out->p[k][1], 4), memcpy(&last, &out->p[k][p->n - 1], 4);
        CHECK(second == 0x7fc00000u && last == 0x7fc00000u, "column %d of rows with a NaN or an infinity: %08x %08x", k,
              second, last);
        CHECK(!isnan(out->p[k][0]), "column %d of row 0", k);
    }
}

static void one(shape p)
{
    if (!case_is("%s n=%lld d=%lld c=%lld gap=%zu off=%zu bias=%d scaled=%d spoil=%d temperature=%g",
                 sluice_type_name(p.type), (long long)p.n, (long long)p.d, (long long)p.c, p.gap, p.off, p.bias,
                 p.scaled, p.spoil, (double)p.temperature))
        return;
    typed x = typed_new(p.n, p.d, p.type, p.gap, p.off, p.scaled, 17);
    weights m = weights_new(p.c, p.d, 23);
    int can_spoil = p.type != SLUICE_I8 && p.type != SLUICE_U8 ? 1 : x.scale != NULL;
    p.spoil &= can_spoil;
    if (p.spoil && p.n > 2) typed_spoil(&x, 1, p.d / 2, INFINITY), typed_spoil(&x, p.n - 1, p.d - 1, NAN);
    columns want = columns_new(p.n);
    size_t bytes = (size_t)(p.n * p.c) * 4;
    float *z = malloc(bytes + 4), *fused = malloc(bytes + 4);
    sluice *s = tier_open(tier_count() - 1, 1);
    composed(s, &p, &x, &m, z, &want);
    sluice_close(s);
    check_bad_rows(&p, &want);
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 2; threads++)
            for (int logits = 0; logits < 2; logits++) {
                s = tier_open(t, threads);
                columns got = columns_new(p.n);
                scan(s, &p, &x, &m, logits ? fused : NULL, &got);
                CHECK_SAME(got.block.p, want.block.p, want.block.bytes, "%s, %d threads, logits %d", tier_name(t),
                           threads, logits);
                if (logits) CHECK_SAME(fused, z, bytes, "logits of %s, %d threads", tier_name(t), threads);
                guarded_free(&got.block), sluice_close(s);
            }
    CHECK(guarded_ok(&x.bytes), "wrote to x");
    free(z), free(fused), guarded_free(&want.block), typed_free(&x), weights_free(&m);
}

/* One score wanted, the others NULL: the same bits. */
static void single(void)
{
    if (!case_is("one column alone")) return;
    typed x = typed_new(70, 33, SLUICE_F32, 0, 0, 0, 3);
    float alone[70];
    for (int64_t c = 10; c <= 40; c += 30) {
        weights m = weights_new(c, 33, 9);
        columns all = columns_new(70);
        shape p = { SLUICE_F32, 70, 33, c, 0, 0, 1, 0, 0, 1 };
        sluice *s = tier_open(0, 2);
        scan(s, &p, &x, &m, NULL, &all);
        sluice_op_scan_args a = {
            .x = x.view, .packed = m.packed, .bias = m.bias, .c = c, .temperature = 1, .out = { .entropy = alone }
        };
        CHECK_OK(s, sluice_op_scan(s, &a));
        CHECK_SAME(alone, all.p[3], sizeof alone, "c=%lld", (long long)c);
        guarded_free(&all.block), weights_free(&m), sluice_close(s);
    }
    typed_free(&x);
}

int main(int argc, char **argv)
{
    static const int64_t cs[] = { 1, 2, 5, 10, 16, 17, 40 }, ns[] = { 0, 1, 16, 17, 31, 50 }, ds[] = { 1, 16, 31, 64 };
    test_begin(argc, argv);
    int turn = 0;
    for (int type = 0; type <= SLUICE_U8; type++) {
        if (type == SLUICE_F64) continue;
        for (int c = 0; c < 7; c++)
            for (int n = 0; n < 6; n++, turn++)
                one((shape){ (sluice_type)type, ns[n], ds[turn % 4], cs[c], (size_t)(turn % 7), (size_t)(turn % 5),
                             turn % 2, turn / 2 % 2, turn % 3 == 0, turn % 4 ? 1.0f : 1.7f });
        one((shape){ (sluice_type)type, 1100, 48, 10, 0, 0, 1, 1, 1, 1 }); /* more than one piece */
        one((shape){ (sluice_type)type, 130, 1300, 50, 0, 0, 1, 1, 1, 1 });
    }
    single();
    return test_end();
}
