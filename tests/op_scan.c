/* op_scan.c - scan gives the bytes of forward followed by score: every type, tier and thread count, with and without
 * the logits, NaN and infinite features included. */
#include "device.h"
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

enum { TURN_ROWS = 140, TURN_WIDTH = 40, TURN_CLASSES = 10, CONTEXTS = 3 };

/* A context whose scans are queued: rows and weights where it computes. */
typedef struct queued {
    sluice *s;
    weights m;
    columns want;
    float *x, *packed, *bias, *got;
} queued;

static queued queued_new(int tier, const typed *x, uint64_t seed)
{
    shape p = { SLUICE_F32, TURN_ROWS, TURN_WIDTH, TURN_CLASSES, 0, 0, 1, 0, 0, 1 };
    size_t bytes = x->bytes.bytes, floats = sluice_packed_floats(TURN_CLASSES, TURN_WIDTH);
    queued q = { tier_open(tier_count() - 1, 1),
                 weights_new(TURN_CLASSES, TURN_WIDTH, seed),
                 columns_new(TURN_ROWS),
                 NULL,
                 NULL,
                 NULL,
                 NULL };
    scan(q.s, &p, x, &q.m, NULL, &q.want);
    sluice_close(q.s);
    q.s = tier_open(tier, 1);
    q.x = dev_new(q.s, (int64_t)bytes, 1), q.packed = DEV(q.s, (int64_t)floats, float);
    q.bias = DEV(q.s, TURN_CLASSES, float), q.got = DEV(q.s, COLUMNS * TURN_ROWS, float);
    CHECK_OK(q.s, dev_copy(q.s, q.x, x->view.data, bytes));
    CHECK_OK(q.s, dev_copy(q.s, q.packed, q.m.packed, floats * sizeof(float)));
    CHECK_OK(q.s, dev_copy(q.s, q.bias, q.m.bias, TURN_CLASSES * sizeof(float)));
    return q;
}

static void queued_start(queued *q)
{
    float *p[COLUMNS];
    for (int k = 0; k < COLUMNS; k++) p[k] = q->got + k * TURN_ROWS;
    sluice_op_scan_args a = { .x = sluice_rows(q->x, SLUICE_F32, TURN_ROWS, TURN_WIDTH),
                              .packed = q->packed,
                              .bias = q->bias,
                              .c = TURN_CLASSES,
                              .temperature = 1,
                              .out = { p[0], p[1], p[2], p[3], p[4], p[5], p[6] } };
    q->s->exec.deferred = 1;
    CHECK_OK(q->s, sluice_op_scan(q->s, &a));
}

static void queued_free(queued *q)
{
    dev_free(q->s, q->x), dev_free(q->s, q->packed), dev_free(q->s, q->bias), dev_free(q->s, q->got);
    guarded_free(&q->want.block), weights_free(&q->m), sluice_close(q->s);
}

/* Contexts with weights of their own at work at the same time: on a GPU they share a bank of constants.  Two have equal
 * weights. */
static void turns(int t)
{
    if (!case_is("contexts take turns, %s", tier_name(t))) return;
    typed x = typed_new(TURN_ROWS, TURN_WIDTH, SLUICE_F32, 0, 0, 0, 3);
    columns got = columns_new(TURN_ROWS);
    queued q[CONTEXTS];
    for (int i = 0; i < CONTEXTS; i++) q[i] = queued_new(t, &x, (uint64_t)(7 + i / 2));
    for (int turn = 0; turn < 4; turn++) {
        for (int i = 0; i < CONTEXTS; i++) queued_start(&q[i]);
        for (int i = CONTEXTS - 1; i >= 0; i--) queued_start(&q[i]);
        for (int i = 0; i < CONTEXTS; i++) {
            CHECK_OK(q[i].s, dev_copy(q[i].s, got.block.p, q[i].got, got.block.bytes));
            CHECK_SAME(got.block.p, q[i].want.block.p, got.block.bytes, "context %d, turn %d", i, turn);
        }
    }
    for (int i = 0; i < CONTEXTS; i++) queued_free(&q[i]);
    guarded_free(&got.block), typed_free(&x);
}

/* Other weights at the same address, in host and in device memory: what was kept of the old ones must not be used. */
static void changed_weights(int t)
{
    enum { N = 70, D = 33, C = 10 };
    if (!case_is("weights change in place, %s", tier_name(t))) return;
    typed x = typed_new(N, D, SLUICE_F32, 0, 0, 0, 3);
    shape p = { SLUICE_F32, N, D, C, 0, 0, 1, 0, 0, 1 };
    sluice *s = tier_open(t, 1), *reference = tier_open(tier_count() - 1, 1);
    weights m = weights_new(C, D, 9), here = m;
    size_t bytes = sluice_packed_floats(C, D) * sizeof(float);
    columns want = columns_new(N), got = columns_new(N);
    here.packed = dev_new(s, (int64_t)bytes, 1);
    for (int change = 0; change < 4; change++) {
        m.packed[3] = (float)change;
        scan(reference, &p, &x, &m, NULL, &want);
        CHECK_OK(s, dev_copy(s, here.packed, m.packed, bytes));
        for (int again = 0; again < 2; again++) {
            scan(s, &p, &x, again ? &here : &m, NULL, &got);
            CHECK_SAME(got.block.p, want.block.p, got.block.bytes, "change %d, place %d", change, again);
        }
        sluice_op_pack_args pack = { sluice_rows(m.w, SLUICE_F32, C, D), 0, here.packed };
        m.w[2] = (float)change;
        CHECK_OK(s, sluice_op_pack(s, &pack));
        CHECK_OK(s, dev_copy(s, m.packed, here.packed, bytes));
        scan(reference, &p, &x, &m, NULL, &want);
        scan(s, &p, &x, &here, NULL, &got);
        CHECK_SAME(got.block.p, want.block.p, got.block.bytes, "packed, change %d", change);
    }
    dev_free(s, here.packed), guarded_free(&want.block), guarded_free(&got.block);
    weights_free(&m), typed_free(&x), sluice_close(reference), sluice_close(s);
}

static void no_rows(void)
{
    if (!case_is("no rows need no weights")) return;
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 1);
        for (int64_t c = 10; c <= 100; c += 30) {
            sluice_op_scan_args a = { .x = sluice_rows(NULL, SLUICE_F32, 0, 8), .c = c, .temperature = 1 };
            CHECK_OK(s, sluice_op_scan(s, &a));
        }
        sluice_close(s);
    }
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
        one((shape){ (sluice_type)type, 300, 650, 9, 0, 0, 1, 1, 1, 1 });
        one((shape){ (sluice_type)type, 300, 37, 200, 4, 4, 1, 1, 1, 1 });
    }
    single();
    no_rows();
    for (int t = 0; t < tier_count(); t++) turns(t), changed_weights(t);
    return test_end();
}
