/* unit_rules.c - every strategy of the table that has a rule, through sluice_select(): the same picks for tiers, threads,
 * memory and shards; labelled and bad rows never; groups, balance, k = n; what is missing is said. */
#include "sampling.h"
#include "strategies.h"

enum { N = 1500, D = 24, C = 4, K = 30, M = 40 };

static char names[2048]; /* of all of them, "kcenter,kmeans,..." */

static void list_rules(void)
{
    for (int i = 0; sluice_strategy_at(i); i++) {
        strategy st;
        const char *name = sluice_strategy_at(i)->name;
        sluice *s = tier_open(0, 1);
        if (!strstr(name, "SCORE") && strategy_parse(s, name, strlen(name), &st) == SLUICE_OK && st.kind->rule.run)
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", *names ? "," : "", name);
        sluice_close(s);
    }
}

/* Three clouds, some rows twice, one of zeros, two bad ones. */
static void fill_rows(float *x)
{
    fill_normal(x, N * D, 21);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < D; k++) x[i * D + k] += k % 3 == i % 3 ? 2.0f : 0.0f;
    for (int i = 100; i < 140; i++) memcpy(x + i * D, x + (i - 100) * D, D * sizeof *x);
    memset(x + 200 * D, 0, D * sizeof *x);
    x[300 * D + 3] = NAN, x[301 * D] = INFINITY;
}

static sluice_labels *some_labels(sluice *s, const sluice_pool *pool)
{
    static int32_t target[N];
    sluice_labels *l = NULL;
    for (int i = 0; i < N; i++) target[i] = i % 37 == 0 && i / 37 < M ? i / 37 % C : -1;
    CHECK_OK(s, sluice_labels_from_array(s, pool, target, C, &l));
    return l;
}

static sluice_picks *picks_of(const char *const *paths, int count, int tier, int threads, int64_t mem_mib,
                              sluice_pool **out_pool, sluice_select_args a)
{
    sluice *s = tier_open(tier, threads);
    s->mem_bytes = (size_t)mem_mib << 20;
    sluice_head *h = test_head(s, D, C, 1.5f, 3);
    *out_pool = file_pool(s, paths, count);
    sluice_labels *l = some_labels(s, *out_pool);
    a.head = h, a.labels = l, a.strategies = names, a.seed = 5;
    if (!a.k) a.k = K;
    sluice_picks *p = pick(s, *out_pool, a);
    sluice_labels_free(l), sluice_head_free(h), sluice_close(s);
    return p;
}

static void check_lists(const sluice_picks *p, int64_t k)
{
    for (int l = 0; l < sluice_picks_lists(p); l++) {
        static char seen[N];
        const sluice_pick *q = sluice_picks_get(p, l);
        memset(seen, 0, sizeof seen);
        CHECK(sluice_picks_count(p, l) == k, "%s: %d picks", sluice_picks_strategy(p, l),
              (int)sluice_picks_count(p, l));
        for (int64_t i = 0; i < sluice_picks_count(p, l); i++) {
            CHECK(!(q[i].row % 37 == 0 && q[i].row / 37 < M), "%s picks labelled row %d", sluice_picks_strategy(p, l),
                  (int)q[i].row);
            CHECK(q[i].row != 300 && q[i].row != 301, "%s picks bad row %d", sluice_picks_strategy(p, l),
                  (int)q[i].row);
            CHECK(!seen[q[i].row], "%s picks row %d twice", sluice_picks_strategy(p, l), (int)q[i].row);
            CHECK(q[i].score == q[i].score && q[i].prediction >= 0, "%s: pick %d", sluice_picks_strategy(p, l), (int)i);
            seen[q[i].row] = 1;
        }
    }
}

static void same_bits(void)
{
    if (!case_is("the same picks for tiers, threads, memory, shards")) return;
    float *x = malloc(N * D * sizeof *x);
    fill_rows(x);
    static char name[4][512];
    const char *one[] = { name[0] }, *three[] = { name[1], name[2], name[3] };
    for (int i = 0; i < 4; i++) {
        static const char *const file[] = { "one.npy", "a.npy", "b.npy", "c.npy" };
        static const int from[] = { 0, 0, 13, 900 }, to[] = { N, 13, 900, N };
        snprintf(name[i], sizeof name[i], "%s", test_path(file[i]));
        write_npy(name[i], "<f4", x + from[i] * D, to[i] - from[i], D, 4);
    }
    sluice_pool *first, *pool;
    sluice_picks *want = picks_of(one, 1, 0, 1, 1024, &first, (sluice_select_args){ 0 });
    check_lists(want, K);
    for (int t = 0; t < tier_count(); t++)
        for (int way = 0; way < 3; way++) {
            sluice_picks *got =
                way ? picks_of(three, 3, t, way + 1, way == 1 ? 1 : 64, &pool, (sluice_select_args){ 0 })
                    : picks_of(one, 1, t, 2, 64, &pool, (sluice_select_args){ 0 });
            CHECK(same_picks(want, got), "%s, way %d", tier_name(t), way);
            sluice_picks_free(got), sluice_pool_free(pool);
        }
    sluice_picks_free(want), sluice_pool_free(first), free(x);
}

static void limits(void)
{
    if (!case_is("groups, balance, all that is left")) return;
    float *x = malloc(N * D * sizeof *x);
    static int32_t group[N];
    fill_rows(x);
    const char *path[] = { test_path("limits.npy") };
    write_npy(path[0], "<f4", x, N, D, 4);
    sluice_pool *pool;
    for (int i = 0; i < N; i++) group[i] = i % 20;
    sluice_picks *p = picks_of(path, 1, 0, 2, 64, &pool, (sluice_select_args){ .group = group, .per_group = 1 });
    for (int l = 0; l < sluice_picks_lists(p); l++) {
        int count[20] = { 0 };
        const sluice_pick *q = sluice_picks_get(p, l);
        CHECK(sluice_picks_count(p, l) == 20, "%s: %d picks of 20 groups", sluice_picks_strategy(p, l),
              (int)sluice_picks_count(p, l));
        for (int64_t i = 0; i < sluice_picks_count(p, l); i++) count[q[i].row % 20]++;
        for (int g = 0; g < 20; g++)
            CHECK(count[g] == 1, "%s: %d picks of group %d", sluice_picks_strategy(p, l), count[g], g);
    }
    sluice_picks_free(p), sluice_pool_free(pool);
    p = picks_of(path, 1, 0, 2, 64, &pool, (sluice_select_args){ .balance = 1, .k = 12 });
    for (int l = 0; l < sluice_picks_lists(p); l++) {
        int count[C] = { 0 };
        const sluice_pick *q = sluice_picks_get(p, l);
        for (int64_t i = 0; i < sluice_picks_count(p, l); i++) count[q[i].prediction]++;
        for (int c = 0; c < C; c++)
            CHECK(count[c] == 3, "%s: %d picks of class %d", sluice_picks_strategy(p, l), count[c], c);
    }
    sluice_picks_free(p), sluice_pool_free(pool);
    p = picks_of(path, 1, 0, 2, 64, &pool, (sluice_select_args){ .k = N });
    check_lists(p, N - M - 2);
    sluice_picks_free(p), sluice_pool_free(pool), free(x);
}

static void refusals(void)
{
    if (!case_is("no power-, no score of their own")) return;
    sluice *s = tier_open(0, 1);
    float x[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, 4, 2, NULL);
    expect_fail(s, pool, (sluice_select_args){ .strategies = "power-kcenter", .k = 1 }, SLUICE_E_USAGE,
                "power-kcenter");
    sluice_status st = sluice_score(
        s, pool,
        &(sluice_score_args){ .size = sizeof(sluice_score_args), .scores = "kcenter", .out = test_path("o.npy") });
    CHECK(st == SLUICE_E_USAGE && strstr(sluice_error(s), "'kcenter'"), "%s", sluice_error(s));
    sluice_pool_free(pool), sluice_close(s);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    list_rules();
    same_bits();
    limits();
    refusals();
    return test_end();
}
