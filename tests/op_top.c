/* op_top.c - the running top against a full sort by the total order, over every way to cut the rows into blocks. */
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

static void one(int t, shape kind, int64_t n, int64_t k, int64_t block, int with_ids, int with_skip)
{
    if (!case_is("%s %s n=%lld k=%lld block=%lld ids=%d skip=%d", tier_name(t), shape_names[kind], (long long)n,
                 (long long)k, (long long)block, with_ids, with_skip))
        return;
    const uint64_t seed = 99;
    float *score = calloc((size_t)n + 1, sizeof *score);
    uint64_t *ids = calloc((size_t)n + 1, sizeof *ids), *skip = calloc((size_t)n / 64 + 1, sizeof *skip);
    row *want = calloc((size_t)n + 1, sizeof *want);
    fill(score, n, kind, (uint64_t)(n + k));
    rng r = { 5 };
    for (int64_t i = 0; i < n; i++) {
        ids[i] = rng_u64(&r);
        if (rng_u64(&r) % 3 == 0) skip[i / 64] |= 1ull << (i % 64);
    }
    int64_t total = sorted(score, with_ids ? ids : NULL, with_skip ? skip : NULL, n, seed, want);
    guarded entries = guarded_new((size_t)(2 * k + 64) * sizeof(sluice_entry), 0);
    sluice_top_state state = { .entries = entries.p, .k = k, .capacity = 2 * k + 64, .seed = seed };
    sluice *s = tier_open(t, 1);
    for (int64_t i = 0; i < n || i == 0; i += block) {
        int64_t rows = n - i < block ? n - i : block;
        sluice_op_top_args a = { score + i,    with_ids ? ids + i : NULL, rows, i, with_skip ? skip : NULL, &state,
                                 i + rows >= n };
        CHECK_OK(s, sluice_op_top(s, &a));
    }
    CHECK_NEAR((double)state.count, (double)(total < k ? total : k), 0, "count");
    for (int64_t i = 0; i < state.count && i < total; i++) {
        const sluice_entry *e = &state.entries[i];
        CHECK(e->row == want[i].row && e->id == want[i].id && e->hash == want[i].hash,
              "rank %lld is row %lld, wanted %lld", (long long)i, (long long)e->row, (long long)want[i].row);
        CHECK(e->key == ex_order_key(want[i].score), "key of rank %lld", (long long)i);
    }
    CHECK(guarded_ok(&entries), "wrote past the entries");
    sluice_close(s);
    guarded_free(&entries), free(score), free(ids), free(skip), free(want);
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
    CHECK_OK(s, sluice_op_top(s, &(sluice_op_top_args){ score, NULL, N / 2, 0, NULL, &a, 1 }));
    CHECK_OK(s, sluice_op_top(s, &(sluice_op_top_args){ score + N / 2, NULL, N / 2, N / 2, NULL, &a, 1 }));
    CHECK_OK(s, sluice_op_top(s, &(sluice_op_top_args){ NULL, NULL, 0, N, NULL, &a, 1 }));
    CHECK_OK(s, sluice_op_top(s, &(sluice_op_top_args){ score, NULL, N, 0, NULL, &b, 1 }));
    CHECK_OK(s, sluice_op_top(s, &(sluice_op_top_args){ score, NULL, N, 0, NULL, &c, 1 }));
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
    sluice_top_state state = { .entries = e, .k = 2, .capacity = 66 };
    sluice_op_top_args a = { score, NULL, 1, 0, NULL, &state, 0 };
    CHECK(sluice_op_top(s, &a) == SLUICE_E_SHAPE && strstr(sluice_error(s), "68"), "%s", sluice_error(s));
    state.k = 0;
    CHECK(sluice_op_top(s, &a) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    state.k = 1, a.n = -1;
    CHECK(sluice_op_top(s, &a) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    sluice_close(s);
}

int main(int argc, char **argv)
{
    static const struct {
        int64_t n, k, block;
    } sizes[] = { { 0, 1, 1 },        { 1, 1, 1 },          { 1, 10, 1 },         { 70, 1, 7 },
                  { 500, 3, 500 },    { 500, 100, 1 },      { 3000, 10, 999 }, /* then k near n */
                  { 3000, 3000, 64 }, { 3000, 2999, 1000 }, { 20000, 1000, 4096 } };
    test_begin(argc, argv);
    for (int t = 0; t < tier_count(); t++)
        for (int kind = 0; kind < SHAPES; kind++)
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
                one(t, (shape)kind, sizes[i].n, sizes[i].k, sizes[i].block, i % 2, (int)(i + (size_t)kind) % 2);
    one(0, RANDOM, 300000, 100000, 65536, 1, 1);
    one(0, EQUAL, 300000, 100000, 65536, 0, 0);
    one(0, ASCENDING, (1 << 20) + 3000, 50, 1 << 21, 1, 1); /* more rows than a GPU filters at once */
    prefix_and_again();
    refusals();
    return test_end();
}
