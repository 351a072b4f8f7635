/* op_top.c - running tops against a full sort by the total order, over every way to cut the rows into blocks, one score or
 * several at once, in host memory or a device's. */
#include "harness.h"
#include "exact.h"

typedef struct row {
    float score;
    uint64_t hash, id;
    int64_t row;
} row;

static int order(const void *pa, const void *pb)
{
    const row *a = pa, *b = pb;
    if (a->score != b->score) return a->score > b->score ? -1 : 1; /* -0 == +0 */
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int skipped(const uint64_t *skip, int64_t i) { return skip && (skip[i / 64] >> (i % 64) & 1); }

/* All rows that may be picked, in the total order. */
static int64_t sorted(const float *score, const uint64_t *ids, const uint64_t *skip, int64_t n, uint64_t seed, row *out)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(score[i]) || skipped(skip, i)) continue;
        uint64_t id = ids ? ids[i] : (uint64_t)i;
        out[count++] = (row){ score[i], ex_hash64(seed, id), id, i };
    }
    qsort(out, (size_t)count, sizeof *out, order);
    return count;
}

typedef enum shape { RANDOM, EQUAL, FEW, ASCENDING, DESCENDING, MIXED, SHAPES } shape;
static const char *const shape_names[SHAPES] = { "random",    "equal",      "few values",
                                                 "ascending", "descending", "NaN, infinite, zeros" };

static void fill(float *p, int64_t n, shape kind, uint64_t seed)
{
    static const float mixed[] = { NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e-40f, -1e-40f, 1.0f };
    rng r = { seed };
    for (int64_t i = 0; i < n; i++) {
        uint64_t u = rng_u64(&r);
        switch (kind) {
        case RANDOM: p[i] = (float)(u >> 40) * 0x1p-24f; break;
        case EQUAL: p[i] = 0.25f; break;
        case FEW: p[i] = (float)(u % 5); break;
        case ASCENDING: p[i] = (float)i; break;
        case DESCENDING: p[i] = (float)-i; break;
        default: p[i] = mixed[u % 8]; break;
        }
    }
}

enum { MOST_SCORES = 19 }; /* more than a GPU takes in one launch */

/* Of several scores of the same rows; the j-th wants 1/(j+1) of k. */
typedef struct several {
    int count;
    float *score[MOST_SCORES];
    guarded entries[MOST_SCORES];
    sluice_top_state state[MOST_SCORES];
    sluice_entry *far[MOST_SCORES]; /* entries on a device */
    sluice_top_state *far_state;
} several;

static void several_new(several *v, int count, shape kind, int64_t n, int64_t k, int64_t room, uint64_t seed)
{
    *v = (several){ .count = count };
    for (int j = 0; j < count; j++) {
        sluice_top_state *t = &v->state[j];
        v->score[j] = calloc((size_t)n + 1, sizeof(float));
        fill(v->score[j], n, (shape)((kind + j) % SHAPES), (uint64_t)(n + k + j));
        *t = (sluice_top_state){ .k = k / (j + 1) + (k < j + 1), .seed = seed };
        t->capacity = 2 * t->k + room;
        v->entries[j] = guarded_new((size_t)t->capacity * sizeof(sluice_entry), 0);
        t->entries = v->entries[j].p;
    }
}

static void several_free(several *v)
{
    for (int j = 0; j < v->count; j++) free(v->score[j]), guarded_free(&v->entries[j]);
}

/* Tops that stay in a device's memory from call to call. */
static void send_tops(sluice *s, several *v)
{
    sluice_top_state seat[MOST_SCORES];
    for (int j = 0; j < v->count; j++) {
        void *p;
        CHECK_OK(s, s->backend->alloc(&s->exec, (size_t)v->state[j].capacity * sizeof(sluice_entry), &p));
        seat[j] = v->state[j];
        seat[j].entries = v->far[j] = p;
    }
    void *p;
    CHECK_OK(s, s->backend->alloc(&s->exec, sizeof seat, &p));
    v->far_state = p;
    CHECK_OK(s, s->backend->copy(&s->exec, p, seat, (size_t)v->count * sizeof *seat));
}

static void fetch_tops(sluice *s, several *v)
{
    for (int j = 0; j < v->count; j++) {
        sluice_top_state *t = &v->state[j];
        sluice_entry *entries = t->entries;
        CHECK_OK(s, s->backend->copy(&s->exec, t, v->far_state + j, sizeof *t));
        CHECK(t->count <= t->k, "%lld of %lld entries remain", (long long)t->count, (long long)t->k);
        t->entries = entries;
        CHECK_OK(s, s->backend->copy(&s->exec, entries, v->far[j], (size_t)t->count * sizeof *entries));
        s->backend->release(&s->exec, v->far[j]);
    }
    s->backend->release(&s->exec, v->far_state);
}

static int by_place(const void *pa, const void *pb)
{
    const sluice_entry *x = pa, *y = pb;
    row a = { ex_order_score(x->key), x->hash, x->id, x->row }, b = { ex_order_score(y->key), y->hash, y->id, y->row };
    return order(&a, &b);
}

static void check_top(const sluice_top_state *t, const row *want, int64_t total)
{
    CHECK_NEAR((double)t->count, (double)(total < t->k ? total : t->k), 0, "count");
    for (int64_t i = 0; i < t->count && i < total; i++) {
        const sluice_entry *e = &t->entries[i];
        CHECK(e->row == want[i].row && e->id == want[i].id && e->hash == want[i].hash,
              "rank %lld is row %lld, wanted %lld", (long long)i, (long long)e->row, (long long)want[i].row);
        CHECK(e->key == ex_order_key(want[i].score), "key of rank %lld", (long long)i);
    }
}

typedef struct sizes {
    int64_t n, k, block, room;
} sizes;

static void one(int t, shape kind, sizes z, int scores, int with_ids, int with_skip, int far)
{
    if (!case_is("%s %s n=%lld k=%lld block=%lld room=%lld scores=%d ids=%d skip=%d far=%d", tier_name(t),
                 shape_names[kind], (long long)z.n, (long long)z.k, (long long)z.block, (long long)z.room, scores,
                 with_ids, with_skip, far))
        return;
    const uint64_t seed = 99;
    int64_t n = z.n;
    uint64_t *ids = calloc((size_t)n + 1, sizeof *ids), *skip = calloc((size_t)n / 64 + 1, sizeof *skip);
    row *want = calloc((size_t)n + 1, sizeof *want);
    several v;
    rng r = { 5 };
    for (int64_t i = 0; i < n; i++) {
        ids[i] = rng_u64(&r);
        if (rng_u64(&r) % 3 == 0) skip[i / 64] |= 1ull << (i % 64);
    }
    several_new(&v, scores, kind, n, z.k, z.room, seed);
    sluice *s = tier_open(t, 1);
    if (far) send_tops(s, &v);
    for (int64_t i = 0; i < n || i == 0; i += z.block) {
        const float *score[MOST_SCORES];
        for (int j = 0; j < scores; j++) score[j] = v.score[j] + i;
        sluice_op_top_args a = { .count = scores,
                                 .score = score,
                                 .ids = with_ids ? ids + i : NULL,
                                 .n = n - i < z.block ? n - i : z.block,
                                 .first_row = i,
                                 .skip = with_skip ? skip : NULL,
                                 .state = far ? v.far_state : v.state,
                                 .finish = n - i <= z.block };
        CHECK_OK(s, sluice_op_top(s, &a));
    }
    if (far) fetch_tops(s, &v);
    for (int j = 0; j < scores; j++) {
        int64_t total = sorted(v.score[j], with_ids ? ids : NULL, with_skip ? skip : NULL, n, seed, want);
        if (far) qsort(v.state[j].entries, (size_t)v.state[j].count, sizeof(sluice_entry), by_place);
        check_top(&v.state[j], want, total);
        CHECK(guarded_ok(&v.entries[j]), "wrote past the entries of score %d", j);
    }
    sluice_close(s);
    several_free(&v), free(ids), free(skip), free(want);
}

static sluice_status top_of(sluice *s, const float *score, int64_t n, int64_t first_row, sluice_top_state *t,
                            int finish)
{
    return sluice_op_top(
        s, &(sluice_op_top_args){
               .count = 1, .score = &score, .n = n, .first_row = first_row, .state = t, .finish = finish });
}

/* The first 100 of k = 200 are the picks of k = 100; finishing twice changes nothing; a finished state goes on. */
static void prefix_and_again(void)
{
    if (!case_is("prefix, finish twice, go on")) return;
    enum { N = 5000 };
    static float score[N];
    static sluice_entry small[264], large[464], whole[264];
    fill(score, N, FEW, 3);
    sluice *s = tier_open(0, 1);
    sluice_top_state a = { .entries = small, .k = 100, .capacity = 264, .seed = 1 },
                     b = { .entries = large, .k = 200, .capacity = 464, .seed = 1 };
    sluice_top_state c = { .entries = whole, .k = 100, .capacity = 264, .seed = 1 };
    CHECK_OK(s, top_of(s, score, N / 2, 0, &a, 1));
    CHECK_OK(s, top_of(s, score + N / 2, N / 2, N / 2, &a, 1));
    CHECK_OK(s, top_of(s, NULL, 0, N, &a, 1));
    CHECK_OK(s, top_of(s, score, N, 0, &b, 1));
    CHECK_OK(s, top_of(s, score, N, 0, &c, 1));
    for (int i = 0; i < 100; i++)
        CHECK(small[i].row == large[i].row && small[i].row == whole[i].row, "rank %d: rows %lld %lld %lld", i,
              (long long)small[i].row, (long long)large[i].row, (long long)whole[i].row);
    sluice_close(s);
}

static void refusals(void)
{
    if (!case_is("refusals")) return;
    static sluice_entry e[66];
    float score[1] = { 1 };
    sluice *s = tier_open(0, 1);
    sluice_top_state state[2] = { { .entries = e, .k = 1, .capacity = 66 }, { .entries = e, .k = 2, .capacity = 66 } };
    sluice_op_top_args a = { .count = 2, .score = (const float *[]){ score, score }, .n = 1, .state = state };
    CHECK(sluice_op_top(s, &a) == SLUICE_E_SHAPE && strstr(sluice_error(s), "68"), "%s", sluice_error(s));
    state[1].k = 0;
    CHECK(sluice_op_top(s, &a) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    state[1].k = 1, a.n = -1;
    CHECK(sluice_op_top(s, &a) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    a.n = 1, a.score = (const float *[]){ score, NULL };
    CHECK(sluice_op_top(s, &a) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    a.count = 0;
    CHECK(sluice_op_top(s, &a) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    sluice_close(s);
}

/* Whether tops can stay on a device. */
static int has_memory(int t)
{
    sluice *s = tier_open(t, 1);
    int has = s->backend->alloc != NULL;
    sluice_close(s);
    return has;
}

int main(int argc, char **argv)
{
    static const sizes some[] = { { 0, 1, 1, 64 },          { 1, 1, 1, 64 },
                                  { 1, 10, 1, 64 },         { 70, 1, 7, 64 },
                                  { 500, 3, 500, 64 },      { 500, 100, 1, 64 },
                                  { 3000, 10, 999, 1000 }, /* then k near n */
                                  { 3000, 3000, 64, 64 },   { 3000, 2999, 1000, 1000 },
                                  { 20000, 1000, 4096, 64 } };
    test_begin(argc, argv);
    for (int t = 0; t < tier_count(); t++)
        for (int kind = 0; kind < SHAPES; kind++)
            for (size_t i = 0; i < sizeof some / sizeof *some; i++)
                one(t, (shape)kind, some[i], 1, i % 2, (int)(i + (size_t)kind) % 2, 0);
    for (int t = 0; t < tier_count(); t++)
        for (int far = 0; far <= has_memory(t); far++) {
            for (int kind = 0; kind < SHAPES; kind++)
                one(t, (shape)kind, (sizes){ 6000, 700, 1500, 1500 }, 4, kind % 2, kind / 2 % 2, far);
            one(t, RANDOM, (sizes){ 0, 5, 1, 64 }, 2, 0, 0, far);
            one(t, MIXED, (sizes){ 900, 20, 200, 200 }, MOST_SCORES, 1, 1, far);
        }
    one(0, RANDOM, (sizes){ 300000, 100000, 65536, 64 }, 1, 1, 1, 0);
    one(0, EQUAL, (sizes){ 300000, 100000, 65536, 65536 }, 1, 0, 0, 0);
    one(0, ASCENDING, (sizes){ 200000, 50, 1 << 18, 1 << 14 }, 1, 1, 1, 0); /* cut again and again in one call */
    prefix_and_again();
    refusals();
    return test_end();
}
