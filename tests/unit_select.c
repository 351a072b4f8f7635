/* unit_select.c - sluice_select(): the picks are those of a double reference, and the same bits however the pool is
 * stored, cut, read and computed. */
#include "sampling.h"
#include "exact.h" /* half floats, to make the f16 pool */

enum { N = 20000, D = 64, C = 10 };
static const char *const strategies[] = { "least-confidence", "margin", "ratio", "entropy", "energy" };

static float *features(int64_t n, int64_t d, uint64_t seed)
{
    float *x = malloc((size_t)(n * d) * sizeof *x);
    fill_normal(x, n * d, seed);
    return x;
}

/* Rounded to values that f16 holds, so that one pool can be stored both ways. */
static uint16_t *to_f16(float *x, int64_t n)
{
    uint16_t *h = malloc((size_t)n * sizeof *h);
    for (int64_t i = 0; i < n; i++) {
        h[i] = ex_f32_to_f16(x[i]);
        x[i] = ex_f16_to_f32(h[i]);
    }
    return h;
}

/* ---- against double ---- */

typedef struct ranked {
    double score;
    uint64_t hash;
    int64_t row;
} ranked;
static int by_rank(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->hash < y->hash ? -1 : 1;
}

/* A float score may swap rows whose double scores are closer than its error; all else must agree. */
static void against_double(const char *strategy, float temperature)
{
    if (!case_is("double reference %s t=%g", strategy, (double)temperature)) return;
    sluice *s = tier_open(0, 2);
    float *x = features(N, D, 7);
    memcpy(x + 5 * D, x + 3 * D, D * sizeof *x); /* equal rows: the hash decides */
    memcpy(x + 11 * D, x + 3 * D, D * sizeof *x);
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, N, D, NULL);
    sluice_head *h = test_head(s, D, C, temperature, 3);
    int64_t k = 500, skip[100];
    for (int i = 0; i < 100; i++) skip[i] = i * 7 + 20;
    sluice_picks *p =
        pick(s, pool,
             (sluice_select_args){
                 .head = h, .strategies = strategy, .k = k, .seed = 42, .exclude = skip, .exclude_count = 100 });
    ranked *order = malloc(N * sizeof *order);
    int64_t m = 0;
    for (int64_t i = 0; i < N; i++) {
        double z[C];
        int excluded = 0;
        for (int j = 0; j < 100; j++) excluded |= skip[j] == i;
        if (excluded) continue;
        ref_logits(h, x + i * D, z);
        order[m++] = (ranked){ ref_score(strategy, z, C, (double)temperature), ref_hash(42, (uint64_t)i), i };
    }
    qsort(order, (size_t)m, sizeof *order, by_rank);
    const sluice_pick *q = sluice_picks_get(p, 0);
    double tol = 1e-5 * fmax(1, fabs(order[0].score));
    CHECK(sluice_picks_count(p, 0) == k, "%lld", (long long)sluice_picks_count(p, 0));
    for (int64_t i = 0; i < k; i++) {
        double z[C];
        ref_logits(h, x + q[i].row * D, z);
        CHECK_NEAR((double)q[i].score, ref_score(strategy, z, C, (double)temperature), tol, "score of rank %lld",
                   (long long)i);
        CHECK_NEAR((double)q[i].score, order[i].score, tol, "rank %lld", (long long)i);
        int best = 0;
        for (int j = 1; j < C; j++) best = z[j] > z[best] ? j : best;
        CHECK(q[i].prediction == best, "row %lld: class %d, not %d", (long long)q[i].row, q[i].prediction, best);
        CHECK_NEAR((double)q[i].confidence, ref_score("confidence", z, C, (double)temperature), 1e-5, "rank %lld",
                   (long long)i);
        for (int j = 0; j < 100; j++) CHECK(q[i].row != skip[j], "excluded row %lld is picked", (long long)q[i].row);
        if (i && q[i].score == q[i - 1].score)
            CHECK(ref_hash(42, q[i - 1].id64) < ref_hash(42, q[i].id64), "tie at rank %lld", (long long)i);
        CHECK(!i || q[i].score <= q[i - 1].score, "order at rank %lld", (long long)i);
    }
    free(order), free(x);
    sluice_picks_free(p), sluice_head_free(h), sluice_pool_free(pool), sluice_close(s);
}

/* All scores equal (a head of zeros): hash order, not file order. */
static void all_equal(void)
{
    if (!case_is("all scores equal")) return;
    sluice *s = tier_open(0, 2);
    float *x = features(3000, D, 7);
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, 3000, D, NULL);
    sluice_head *h = test_head(s, D, C, 1, 3);
    memset(h->layers[0].w, 0, C * D * sizeof(float)), memset(h->layers[0].b, 0, C * sizeof(float));
    CHECK_OK(s, head_prepare(s, h));
    sluice_picks *p =
        pick(s, pool, (sluice_select_args){ .head = h, .strategies = "margin,random", .k = 200, .seed = 9 });
    const sluice_pick *q = sluice_picks_get(p, 0), *r = sluice_picks_get(p, 1);
    for (int i = 0; i < 200; i++) {
        CHECK(q[i].score == 1, "%g", (double)q[i].score);
        CHECK(q[i].row == r[i].row, "rank %d: row %lld, by hash %lld", i, (long long)q[i].row, (long long)r[i].row);
        CHECK(!i || ref_hash(9, q[i - 1].id64) < ref_hash(9, q[i].id64), "hash order at rank %d", i);
    }
    free(x);
    sluice_picks_free(p), sluice_head_free(h), sluice_pool_free(pool), sluice_close(s);
}

/* ---- the same bits ---- */

static const char all[] = "random,least-confidence,margin,ratio,entropy,energy,power-margin:beta=2";

/* Picks of the pool at paths by a fresh context. */
static sluice_picks *picks_of(const char *const *paths, int count, int tier, int threads, int64_t mem_mib,
                              sluice_pool **out_pool)
{
    sluice *s = tier_open(tier, threads);
    s->mem_bytes = (size_t)mem_mib << 20;
    sluice_head *h = test_head(s, D, C, 1.5f, 3);
    *out_pool = file_pool(s, paths, count);
    sluice_picks *p = pick(s, *out_pool, (sluice_select_args){ .head = h, .strategies = all, .k = 300, .seed = 5 });
    sluice_head_free(h);
    sluice_close(s);
    return p;
}

static void same_bits(void)
{
    if (!case_is("the same bits for tiers, threads, memory, shards, formats")) return;
    float *x = features(N, D, 11);
    uint16_t *half = to_f16(x, (int64_t)N * D);
    static char name[24][512];
    const char *one[] = { name[0] }, *seven[7], *st[] = { name[8] }, *fbin[] = { name[9] }, *f16[] = { name[10] };
    const char *st16[] = { name[11] };
    for (int i = 0; i < 12; i++) {
        static const char *const file[] = { "one.npy",         "s1.npy",   "s2.npy",   "s3.npy",
                                            "s4.npy",          "s5.npy",   "s6.npy",   "s7.npy",
                                            "one.safetensors", "one.fbin", "half.npy", "half.safetensors" };
        snprintf(name[i], sizeof name[i], "%s", test_path(file[i]));
    }
    static const int64_t cut[8] = { 0, 1, 4000, 4017, 9999, 15000, 19990, N };
    for (int i = 0; i < 7; i++) {
        seven[i] = name[1 + i];
        write_npy(seven[i], "<f4", x + cut[i] * D, cut[i + 1] - cut[i], D, 4);
    }
    write_npy(name[0], "<f4", x, N, D, 4);
    write_safetensors(name[8], "F32", x, N, D, 4);
    write_fbin(name[9], x, N, D);
    write_npy(name[10], "<f2", half, N, D, 2);
    write_safetensors(name[11], "F16", half, N, D, 2);

    sluice_pool *first_pool, *pool;
    sluice_picks *want = picks_of(one, 1, 0, 1, 1024, &first_pool);
    const struct {
        const char *what;
        const char *const *paths;
        int count, threads;
        int64_t mem_mib;
    } way[] = {
        { "2 threads", one, 1, 2, 1024 },    { "3 threads", one, 1, 3, 1024 },     { "1 MiB", one, 1, 2, 1 },
        { "seven shards", seven, 7, 2, 64 }, { "safetensors", st, 1, 2, 64 },      { "fbin", fbin, 1, 2, 64 },
        { "f16 npy", f16, 1, 2, 64 },        { "f16 safetensors", st16, 1, 1, 2 },
    };
    for (size_t i = 0; i < sizeof way / sizeof *way; i++)
        for (int t = 0; t < tier_count(); t++) {
            sluice_picks *got = picks_of(way[i].paths, way[i].count, t, way[i].threads, way[i].mem_mib, &pool);
            CHECK(same_picks(want, got), "%s, %s", way[i].what, tier_name(t));
            sluice_picks_free(got), sluice_pool_free(pool);
        }
    sluice_picks_free(want), sluice_pool_free(first_pool);
    free(x), free(half);
}

/* select (fused scan) against forward, score and top called one after the other. */
static void fused_and_composed(void)
{
    if (!case_is("fused against composed")) return;
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 2);
        float *x = features(N, D, 13), *z = malloc((size_t)N * C * sizeof *z), *score = malloc(N * sizeof *score);
        sluice_pool *pool = memory_pool(s, x, SLUICE_F32, N, D, NULL);
        sluice_head *h = test_head(s, D, C, 0.7f, 3);
        sluice_entry *entries = malloc((2 * 100 + 64) * sizeof *entries);
        sluice_picks *p =
            pick(s, pool, (sluice_select_args){ .head = h, .strategies = "entropy", .k = 100, .seed = 1 });
        sluice_view logits = sluice_rows(z, SLUICE_F32, N, C);
        CHECK_OK(s, sluice_op_forward(s, &(sluice_op_forward_args){ .x = sluice_rows(x, SLUICE_F32, N, D),
                                                                    .packed = h->scan_packed,
                                                                    .bias = h->scan_bias,
                                                                    .c = C,
                                                                    .out = logits }));
        CHECK_OK(s, sluice_op_score(
                        s, &(sluice_op_score_args){ .logits = logits, .temperature = 0.7f, .out.entropy = score }));
        sluice_top_state top = { .entries = entries, .k = 100, .capacity = 2 * 100 + 64, .seed = 1 };
        CHECK_OK(s, sluice_op_top(
                        s, &(sluice_op_top_args){
                               .count = 1, .score = (const float *[]){ score }, .n = N, .state = &top, .finish = 1 }));
        const sluice_pick *q = sluice_picks_get(p, 0);
        for (int i = 0; i < 100; i++) {
            CHECK(q[i].row == entries[i].row, "rank %d on %s", i, tier_name(t));
            CHECK(float_bits(q[i].score) == float_bits(score[entries[i].row]), "score of rank %d on %s", i,
                  tier_name(t));
        }
        free(x), free(z), free(score), free(entries);
        sluice_picks_free(p), sluice_head_free(h), sluice_pool_free(pool), sluice_close(s);
    }
}

/* One strategy alone picks what it picks among others, and k = 100 is the beginning of k = 200. */
static void alone_and_prefix(void)
{
    if (!case_is("alone, together, prefix")) return;
    sluice *s = tier_open(0, 2);
    float *x = features(N, D, 17);
    for (int i = 0; i < 150; i++) x[(int64_t)i * 131 * D + i % D] = i % 2 ? NAN : -INFINITY; /* 0.75% */
    uint64_t *ids = malloc(N * sizeof *ids);
    for (int i = 0; i < N; i++) ids[i] = ref_mix((uint64_t)i + 1);
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, N, D, ids);
    sluice_head *h = test_head(s, D, C, 1, 3);
    sluice_picks *both = pick(s, pool, (sluice_select_args){ .head = h, .strategies = all, .k = 4000, .seed = 8 });
    const char *name[] = {
        "random", "least-confidence", "margin", "ratio", "entropy", "energy", "power-margin:beta=2"
    };
    for (int i = 0; i < 7; i++) {
        sluice_picks *one =
            pick(s, pool, (sluice_select_args){ .head = h, .strategies = name[i], .k = 2000, .seed = 8 });
        const sluice_pick *p = sluice_picks_get(both, i), *q = sluice_picks_get(one, 0);
        int same = sluice_picks_count(one, 0) == 2000 && strcmp(sluice_picks_strategy(both, i), name[i]) == 0;
        for (int j = 0; same && j < 2000; j++)
            same = p[j].row == q[j].row && float_bits(p[j].score) == float_bits(q[j].score) &&
                   p[j].prediction == q[j].prediction && float_bits(p[j].confidence) == float_bits(q[j].confidence);
        CHECK(same, "%s", name[i]);
        for (int j = 0; j < 2000; j++)
            CHECK(q[j].row % 131 || q[j].row / 131 >= 150, "bad row %lld", (long long)q[j].row);
        sluice_picks_info info;
        sluice_picks_get_info(one, &info);
        CHECK(i ? info.quarantined == 150 : info.quarantined > 0 && info.scanned < 2100, "%s: %lld bad of %lld read",
              name[i], (long long)info.quarantined, (long long)info.scanned);
        sluice_picks_free(one);
    }
    free(x), free(ids);
    sluice_picks_free(both), sluice_head_free(h), sluice_pool_free(pool), sluice_close(s);
}

/* Without a head random needs no features but those it picks. */
static void random_alone(void)
{
    if (!case_is("random alone")) return;
    sluice *s = tier_open(0, 2);
    float *x = features(500, D, 19);
    x[3 * D] = NAN;
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, 500, D, NULL);
    sluice_picks *p = pick(s, pool, (sluice_select_args){ .strategies = "random", .k = 500, .seed = 4 });
    const sluice_pick *q = sluice_picks_get(p, 0);
    CHECK(sluice_picks_count(p, 0) == 499, "%lld", (long long)sluice_picks_count(p, 0));
    for (int i = 0; i < 499; i++) {
        uint64_t hash = ref_hash(4, q[i].id64);
        CHECK(q[i].row != 3, "the bad row is picked");
        CHECK(!i || ref_hash(4, q[i - 1].id64) < hash, "rank %d", i);
        CHECK((double)q[i].score == 1 - (double)(hash >> 40) / 16777216, "score %.9g", (double)q[i].score);
        CHECK(q[i].prediction == -1 && isnan(q[i].confidence), "prediction %d without a head", q[i].prediction);
    }
    free(x);
    sluice_picks_free(p), sluice_pool_free(pool), sluice_close(s);
}

/* ---- edges and failures ---- */

static void edges(void)
{
    if (!case_is("edges")) return;
    sluice *s = tier_open(0, 1);
    float *x = features(100, D, 23);
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, 100, D, NULL), *empty = memory_pool(s, x, SLUICE_F32, 0, D, NULL);
    sluice_head *h = test_head(s, D, C, 1, 3), *narrow = test_head(s, D / 2, C, 1, 3);
    sluice_picks *p = pick(s, pool, (sluice_select_args){ .head = h, .strategies = "margin,random", .k = 0 });
    CHECK(sluice_picks_lists(p) == 2 && sluice_picks_count(p, 0) == 0, "k = 0");
    sluice_picks_free(p);
    p = pick(s, empty, (sluice_select_args){ .head = h, .strategies = "margin", .k = 5 });
    CHECK(sluice_picks_count(p, 0) == 0, "empty pool");
    sluice_picks_free(p);
    p = pick(s, pool, (sluice_select_args){ .head = h, .strategies = "margin", .k = 1000 });
    CHECK(sluice_picks_count(p, 0) == 100, "k above n: %lld", (long long)sluice_picks_count(p, 0));
    sluice_picks_free(p);
    p = pick(s, pool, (sluice_select_args){ .head = h, .strategies = "margin", .k = 10, .dry_run = 1 });
    CHECK(sluice_picks_count(p, 0) == 0, "dry run");
    sluice_picks_free(p);
    expect_fail(s, pool, (sluice_select_args){ .head = h, .strategies = "margin", .k = -1 }, SLUICE_E_USAGE, "-1");
    expect_fail(s, pool, (sluice_select_args){ .strategies = "margin", .k = 1 }, SLUICE_E_USAGE,
                "'margin' needs a head");
    expect_fail(s, pool, (sluice_select_args){ .head = h, .strategies = "margni", .k = 1 }, SLUICE_E_USAGE,
                "'margni'|entropy");
    expect_fail(s, pool, (sluice_select_args){ .head = h, .strategies = "margin,margin", .k = 1 }, SLUICE_E_USAGE,
                "twice");
    expect_fail(s, pool, (sluice_select_args){ .head = h, .k = 1 }, SLUICE_E_USAGE, "strategy is missing");
    expect_fail(s, pool, (sluice_select_args){ .head = narrow, .strategies = "margin", .k = 1 }, SLUICE_E_SHAPE,
                "32|64");
    expect_fail(s, pool, (sluice_select_args){ .head = h, .logits = pool, .strategies = "margin", .k = 1 },
                SLUICE_E_USAGE, "one of");
    expect_fail(s, pool, (sluice_select_args){ .logits = empty, .strategies = "margin", .k = 1 }, SLUICE_E_SHAPE,
                "0 rows|100");
    expect_fail(s, pool,
                (sluice_select_args){
                    .head = h, .strategies = "margin", .k = 1, .exclude = (int64_t[]){ 100 }, .exclude_count = 1 },
                SLUICE_E_USAGE, "row 100");
    expect_fail(s, pool, (sluice_select_args){ .head = h, .strategies = "margin", .k = 1, .max_bad = 2 },
                SLUICE_E_USAGE, "2");
    free(x);
    sluice_head_free(h), sluice_head_free(narrow), sluice_pool_free(pool), sluice_pool_free(empty), sluice_close(s);
}

static void quarantine_share(void)
{
    if (!case_is("more bad rows than allowed")) return;
    sluice *s = tier_open(0, 2);
    float *x = features(1000, D, 29);
    for (int i = 0; i < 11; i++) x[(10 + i) * D + i] = i % 2 ? INFINITY : NAN;
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, 1000, D, NULL);
    sluice_head *h = test_head(s, D, C, 1, 3);
    expect_fail(s, pool, (sluice_select_args){ .head = h, .strategies = "margin", .k = 5 }, SLUICE_E_DATA,
                "1%|1000|10, 11, 12|--max-bad");
    expect_fail(s, pool, (sluice_select_args){ .strategies = "random", .k = 1000 }, SLUICE_E_DATA, "10, 11, 12");
    sluice_picks *p =
        pick(s, pool, (sluice_select_args){ .head = h, .strategies = "margin", .k = 1000, .max_bad = 0.02 });
    CHECK(sluice_picks_count(p, 0) == 989, "%lld", (long long)sluice_picks_count(p, 0));
    free(x);
    sluice_picks_free(p), sluice_head_free(h), sluice_pool_free(pool), sluice_close(s);
}

/* A head trained on rows of this very pool excludes them, by row number and by id. */
static void trained_rows(void)
{
    if (!case_is("rows the head was trained on")) return;
    sluice *s = tier_open(0, 1);
    float *x = features(100, D, 31);
    uint64_t ids[100];
    for (int i = 0; i < 100; i++) ids[i] = 1000 - 7 * (uint64_t)i;
    for (int with_ids = 0; with_ids < 2; with_ids++) {
        sluice_pool *pool = memory_pool(s, x, SLUICE_F32, 100, D, with_ids ? ids : NULL);
        sluice_head *h = test_head(s, D, C, 1, 3);
        h->train_count = 40;
        h->train_ids = mem_new(s, 40, sizeof *h->train_ids);
        for (int i = 0; i < 40; i++) h->train_ids[i] = sluice_pool_id64(pool, 2 * i);
        for (int same_pool = 0; same_pool < 2; same_pool++) {
            sluice_picks_info info;
            h->pool_fingerprint = pool->fingerprint + !same_pool;
            sluice_picks *p = pick(
                s, pool,
                (sluice_select_args){
                    .head = h, .strategies = "margin", .k = 100, .exclude = (int64_t[]){ 0, 99 }, .exclude_count = 2 });
            sluice_picks_get_info(p, &info);
            CHECK(info.excluded == (same_pool ? 41 : 2) && info.excluded_trained == (same_pool ? 39 : 0), "%lld, %lld",
                  (long long)info.excluded, (long long)info.excluded_trained);
            CHECK(sluice_picks_count(p, 0) == 100 - info.excluded, "%lld", (long long)sluice_picks_count(p, 0));
            for (int64_t i = 0; same_pool && i < sluice_picks_count(p, 0); i++)
                CHECK(sluice_picks_get(p, 0)[i].row % 2 || sluice_picks_get(p, 0)[i].row >= 80,
                      "a training row is picked");
            sluice_picks_free(p);
        }
        sluice_head_free(h), sluice_pool_free(pool);
    }
    free(x);
    sluice_close(s);
}

/* ---- logits and probabilities instead of a head ---- */

static void outputs_of_any_model(void)
{
    if (!case_is("logits and probs")) return;
    sluice *s = tier_open(0, 2);
    enum { M = 5000 };
    float *x = features(M, D, 37), *z = malloc(M * C * sizeof *z);
    double *p64 = malloc(M * C * sizeof *p64);
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, M, D, NULL);
    sluice_head *h = test_head(s, D, C, 1, 3);
    CHECK_OK(s, head_logits(s, h, sluice_rows(x, SLUICE_F32, M, D), z));
    for (int i = 0; i < M; i++) {
        double sum = 0;
        for (int j = 0; j < C; j++) sum += exp((double)z[i * C + j]);
        for (int j = 0; j < C; j++) p64[i * C + j] = exp((double)z[i * C + j]) / sum;
    }
    sluice_pool *logits = memory_pool(s, z, SLUICE_F32, M, C, NULL),
                *probs = memory_pool(s, p64, SLUICE_F64, M, C, NULL);
    sluice_picks *a =
        pick(s, pool, (sluice_select_args){ .head = h, .strategies = "margin,random", .k = 100, .seed = 1 });
    sluice_picks *b =
        pick(s, pool, (sluice_select_args){ .logits = logits, .strategies = "margin,random", .k = 100, .seed = 1 });
    CHECK(same_picks(a, b), "logits of the head against the head");
    sluice_picks *c =
        pick(s, pool, (sluice_select_args){ .probs = probs, .strategies = "margin", .k = 100, .seed = 1 });
    for (int i = 0; i < 100; i++)
        CHECK_NEAR((double)sluice_picks_get(c, 0)[i].score, (double)sluice_picks_get(a, 0)[i].score, 1e-5, "rank %d",
                   i);
    expect_fail(s, pool, (sluice_select_args){ .probs = probs, .strategies = "energy", .k = 1 }, SLUICE_E_USAGE,
                "needs logits");

    /* One certain row with exact zeros, and rows that are no distributions. */
    for (int j = 0; j < C; j++) p64[j] = j == 4;
    p64[1 * C + 1] += p64[1 * C] + 0.1, p64[1 * C] = -0.1; /* sums to 1 all the same */
    p64[2 * C] = 1.5, p64[3 * C] += 0.2, p64[4 * C] = NAN;
    sluice_picks *d = pick(s, pool, (sluice_select_args){ .probs = probs, .strategies = "margin", .k = M, .seed = 1 });
    const sluice_pick *q = sluice_picks_get(d, 0);
    CHECK(sluice_picks_count(d, 0) == M - 4, "%lld", (long long)sluice_picks_count(d, 0));
    CHECK(q[M - 5].row == 0 && q[M - 5].score == 0 && q[M - 5].prediction == 4 && q[M - 5].confidence == 1,
          "the certain row: %lld %g %d", (long long)q[M - 5].row, (double)q[M - 5].score, q[M - 5].prediction);
    free(x), free(z), free(p64);
    sluice_picks_free(a), sluice_picks_free(b), sluice_picks_free(c), sluice_picks_free(d);
    sluice_pool_free(pool), sluice_pool_free(logits), sluice_pool_free(probs), sluice_head_free(h), sluice_close(s);
}

/* One class leaves nothing to be unsure of: all 0, so the order is the hash. */
static void one_class(void)
{
    if (!case_is("one class")) return;
    sluice *s = tier_open(0, 1);
    float *x = features(50, D, 41);
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, 50, D, NULL);
    sluice_head *h = test_head(s, D, 1, 1, 3);
    sluice_picks *p = pick(
        s, pool, (sluice_select_args){ .head = h, .strategies = "least-confidence,margin,ratio,entropy", .k = 50 });
    for (int l = 0; l < 4; l++)
        for (int i = 0; i < 50; i++) {
            const sluice_pick *q = sluice_picks_get(p, l);
            CHECK(q[i].score == 0 && q[i].prediction == 0 && q[i].confidence == 1, "%g", (double)q[i].score);
            CHECK(!i || ref_hash(0, q[i - 1].id64) < ref_hash(0, q[i].id64), "rank %d", i);
        }
    free(x);
    sluice_picks_free(p), sluice_head_free(h), sluice_pool_free(pool), sluice_close(s);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    for (size_t i = 0; i < sizeof strategies / sizeof *strategies; i++) {
        against_double(strategies[i], 1);
        against_double(strategies[i], 2.5f);
    }
    all_equal();
    same_bits();
    fused_and_composed();
    alone_and_prefix();
    random_alone();
    edges();
    quarantine_share();
    trained_rows();
    outputs_of_any_model();
    one_class();
    return test_end();
}
