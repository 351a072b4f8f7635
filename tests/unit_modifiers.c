/* unit_modifiers.c - group, balance and mix against their definitions, walked over the whole order.  The pools are
 * larger than a buffer of candidates, so that what is dropped on the way shows. */
#include "sampling.h"
#include "candidates.h"

enum { N = 200000, D = 4, C = 5, GROUPS = 3000 };

static sluice *s;
static sluice_pool *pool;
static sluice_head *head;
static int32_t *group;
static float *x;

/* Rows of classes that differ in size, so that turns run out; groups of very different sizes, some rows in none. */
static void set_up(void)
{
    x = malloc((size_t)N * D * sizeof *x);
    group = malloc(N * sizeof *group);
    fill_normal(x, (int64_t)N * D, 1);
    rng r = { 2 };
    for (int64_t i = 0; i < N; i++) {
        double u = rng_uniform(&r);
        group[i] = u < 0.01 ? -1 : (int32_t)(GROUPS * pow(rng_uniform(&r), 6));
        for (int k = 0; k < D; k++) x[i * D + k] = rintf(x[i * D + k] * 8) / 8; /* equal rows: equal scores */
    }
    pool = memory_pool(s, x, SLUICE_F32, N, D, NULL);
    head = test_head(s, D, C, 1, 5);
    head->layers[0].b[0] += 2, head->layers[0].b[1] -= 4;
    CHECK_OK(s, head_prepare(s, head));
}

static sluice_pick *whole_order(const char *strategy, int64_t *out_n)
{
    sluice_picks *p = pick(s, pool, (sluice_select_args){ .head = head, .strategies = strategy, .k = N, .seed = 3 });
    sluice_pick *copy = malloc((size_t)N * sizeof *copy);
    *out_n = sluice_picks_count(p, 0);
    memcpy(copy, sluice_picks_get(p, 0), (size_t)*out_n * sizeof *copy);
    sluice_picks_free(p);
    return copy;
}

/* The definition: walk the order, skip a row whose group is full. */
static int64_t walk_groups(sluice_pick *p, int64_t n, int64_t per_group)
{
    int64_t *taken = calloc(GROUPS, sizeof *taken), kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (group[p[i].row] < 0 || taken[group[p[i].row]]++ < per_group) p[kept++] = p[i];
    free(taken);
    return kept;
}

static int by_place(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The definition: turn by turn; the rows of turn t are the t-th of each class, in order. */
static int64_t walk_turns(sluice_pick *p, int64_t n, int64_t k)
{
    sluice_pick *out = malloc((size_t)n * sizeof *out);
    int64_t *place = malloc((size_t)n * C * sizeof *place), count[C] = { 0 }, m = 0;
    for (int64_t i = 0; i < n; i++) place[p[i].prediction * n + count[p[i].prediction]++] = i;
    for (int64_t turn = 0; m < n && m < k; turn++) {
        int64_t served[C];
        int classes = 0;
        for (int j = 0; j < C; j++)
            if (turn < count[j]) served[classes++] = place[j * n + turn];
        qsort(served, (size_t)classes, sizeof *served, by_place);
        for (int j = 0; j < classes && m < k; j++) out[m++] = p[served[j]];
    }
    memcpy(p, out, (size_t)m * sizeof *p);
    free(out), free(place);
    return m;
}

typedef struct ranked {
    double score;
    uint64_t hash;
    int64_t row;
} ranked;
static int by_rank(const void *a, const void *b)
{
    const ranked *p = a, *q = b;
    if (p->score != q->score) return p->score > q->score ? -1 : 1;
    return p->hash < q->hash ? -1 : 1;
}

static void compare(const sluice_picks *got, const sluice_pick *want, int64_t n)
{
    const sluice_pick *q = sluice_picks_get(got, 0);
    CHECK(sluice_picks_count(got, 0) == n, "%lld picks, by definition %lld", (long long)sluice_picks_count(got, 0),
          (long long)n);
    for (int64_t i = 0; i < n && i < sluice_picks_count(got, 0); i++)
        CHECK(q[i].row == want[i].row && float_bits(q[i].score) == float_bits(want[i].score),
              "rank %lld: row %lld, by definition %lld", (long long)i, (long long)q[i].row, (long long)want[i].row);
}

static void modified(const char *strategy, int64_t k, int64_t per_group, int balance)
{
    if (!case_is("%s k=%lld per-group=%lld balance=%d", strategy, (long long)k, (long long)per_group, balance)) return;
    int64_t n;
    sluice_pick *want = whole_order(strategy, &n);
    if (per_group) n = walk_groups(want, n, per_group);
    if (balance) n = walk_turns(want, n, k);
    if (n > k) n = k;
    sluice_picks *got = pick(s, pool,
                             (sluice_select_args){ .head = head,
                                                   .strategies = strategy,
                                                   .k = k,
                                                   .seed = 3,
                                                   .group = per_group ? group : NULL,
                                                   .per_group = per_group,
                                                   .balance = balance });
    compare(got, want, n);
    sluice_picks_free(got);
    free(want);
}

/* The definition: parts take their quota in order, no row twice and no group beyond its number; the first part fills
 * up. */
static void mixed(int64_t k, int64_t per_group)
{
    if (!case_is("mix k=%lld per-group=%lld", (long long)k, (long long)per_group)) return;
    static const char *const part[] = { "margin", "random", "entropy" };
    const double weight[] = { 70, 20, 10 };
    int64_t quota[3], left = k, m = 0, *taken = calloc(GROUPS, sizeof *taken);
    for (int i = 0; i < 3; i++) quota[i] = (int64_t)floor((double)k * weight[i] / 100), left -= quota[i];
    for (; left > 0; left--) {
        int best = 0;
        for (int i = 1; i < 3; i++)
            if ((double)k * weight[i] / 100 - (double)quota[i] > (double)k * weight[best] / 100 - (double)quota[best])
                best = i;
        quota[best]++;
    }
    sluice_pick *want = malloc((size_t)k * sizeof *want);
    char *used = calloc(N, 1);
    for (int i = 0; i < 4; i++) {
        int64_t n, need = i < 3 ? quota[i] : k - m;
        sluice_pick *order = whole_order(part[i % 3], &n);
        for (int64_t j = 0; j < n && need > 0; j++) {
            int32_t g = group[order[j].row];
            if (used[order[j].row] || (per_group && g >= 0 && taken[g] >= per_group)) continue;
            if (g >= 0) taken[g]++;
            used[order[j].row] = 1;
            want[m] = order[j];
            want[m++].strategy = part[i % 3];
            need--;
        }
        free(order);
    }
    sluice_picks *got = pick(s, pool,
                             (sluice_select_args){ .head = head,
                                                   .mix = "margin:70,random:20,entropy:10",
                                                   .k = k,
                                                   .seed = 3,
                                                   .group = per_group ? group : NULL,
                                                   .per_group = per_group });
    compare(got, want, m);
    for (int64_t i = 0; i < m; i++)
        CHECK(strcmp(sluice_picks_get(got, 0)[i].strategy, want[i].strategy) == 0, "rank %lld is of '%s'", (long long)i,
              sluice_picks_get(got, 0)[i].strategy);
    sluice_picks_free(got);
    free(want), free(used), free(taken);
}

/* Small streams, reduced at every few rows: what is dropped on the way must not be missed at the end. */
static void stream(int grouped, int balanced, int room)
{
    if (!case_is("streams grouped=%d balanced=%d room=%d", grouped, balanced, room)) return;
    enum { ROWS = 120 };
    static int32_t small_group[ROWS];
    rng r = { (uint64_t)(room * 4 + grouped * 2 + balanced) };
    int32_t *big = group;
    group = small_group;
    for (int trial = 0; trial < 3000; trial++) {
        float score[ROWS], class_of[ROWS];
        sluice_pick want[ROWS];
        ranked order[ROWS];
        int64_t n = 0, k = 1 + (int64_t)(rng_u64(&r) % 40), per_group = 1 + (int64_t)(rng_u64(&r) % 4);
        int levels = 1 + (int)(rng_u64(&r) % 60);
        for (int i = 0; i < ROWS; i++) {
            score[i] = rng_u64(&r) % 20 ? (float)(rng_u64(&r) % (uint64_t)levels) : NAN;
            class_of[i] = (float)(int)(C * pow(rng_uniform(&r), 3));
            small_group[i] = (int32_t)(rng_u64(&r) % 12) - 1;
            if (score[i] == score[i]) order[n++] = (ranked){ (double)score[i], ref_hash(9, (uint64_t)i), i };
        }
        qsort(order, (size_t)n, sizeof *order, by_rank);
        for (int64_t i = 0; i < n; i++)
            want[i] = (sluice_pick){ .row = order[i].row, .prediction = (int32_t)class_of[order[i].row] };
        if (grouped) n = walk_groups(want, n, per_group);
        if (balanced) n = walk_turns(want, n, k);
        if (n > k) n = k;

        candidates c;
        pick_rules rules = { .k = k,
                             .seed = 9,
                             .room = room,
                             .group = grouped ? small_group : NULL,
                             .group_count = 11,
                             .per_group = per_group,
                             .classes = balanced ? C : 0 };
        CHECK_OK(s, candidates_init(s, &c, &rules));
        for (int i = 0; i < ROWS; i += 10)
            CHECK_OK(s, candidates_add(s, &c, score + i, class_of + i, NULL, 10, i, NULL));
        CHECK_OK(s, candidates_finish(s, &c));
        int same = c.top.count == n;
        for (int64_t i = 0; same && i < n; i++) same = c.top.entries[i].row == want[i].row;
        CHECK(same, "trial %d, k = %lld, %lld per group", trial, (long long)k, (long long)per_group);
        candidates_release(&c);
    }
    group = big;
}

static void failures(void)
{
    if (!case_is("failures")) return;
    sluice_select_args a = { .head = head, .k = 10 };
    a.mix = "margin:70,random";
    expect_fail(s, pool, a, SLUICE_E_USAGE, "'random'|weight");
    a.mix = "margin:0,random:0";
    expect_fail(s, pool, a, SLUICE_E_USAGE, "sum to nothing");
    a.mix = "margin:-1,random:2";
    expect_fail(s, pool, a, SLUICE_E_USAGE, "margin:-1");
    a.mix = "margin:1,margin:2";
    expect_fail(s, pool, a, SLUICE_E_USAGE, "twice");
    a.mix = "power-margin:beta=2";
    expect_fail(s, pool, a, SLUICE_E_USAGE, "weight");
    a.mix = "margin:1", a.balance = 1;
    expect_fail(s, pool, a, SLUICE_E_USAGE, "balance");
    a.strategies = "margin", a.balance = 0;
    expect_fail(s, pool, a, SLUICE_E_USAGE, "one of the two");
    a.mix = NULL, a.group = group;
    expect_fail(s, pool, a, SLUICE_E_USAGE, "go together");
    a.group = NULL, a.per_group = 1;
    expect_fail(s, pool, a, SLUICE_E_USAGE, "go together");
    expect_fail(s, pool, (sluice_select_args){ .strategies = "random", .balance = 1, .k = 1 }, SLUICE_E_USAGE,
                "predicted classes");
}

/* A class that owns nearly all rows must not keep the others waiting, nor fill the buffer for nothing. */
static void rare_classes(void)
{
    if (!case_is("balance shares")) return;
    sluice_picks *p =
        pick(s, pool, (sluice_select_args){ .head = head, .strategies = "margin", .k = 50, .seed = 3, .balance = 1 });
    int per_class[C] = { 0 };
    for (int i = 0; i < 50; i++) per_class[sluice_picks_get(p, 0)[i].prediction]++;
    for (int j = 0; j < C; j++) CHECK(per_class[j] == 10, "class %d has %d of 50", j, per_class[j]);
    sluice_picks_free(p);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    s = tier_open(0, 2);
    set_up();
    modified("margin", 1000, 1, 0);
    modified("margin", 50000, 3, 0);
    modified("random", 2000, 2, 0);
    modified("margin", 1003, 0, 1);
    modified("entropy", 40000, 0, 1);
    modified("random", 500, 0, 1);
    modified("margin", 3001, 2, 1);
    mixed(1003, 0);
    mixed(300, 1);
    mixed(7, 0);
    for (int room = 1; room <= 30; room += 7)
        for (int what = 0; what < 4; what++) stream(what & 1, what >> 1, room);
    failures();
    rare_classes();
    sluice_head_free(head), sluice_pool_free(pool), sluice_close(s);
    free(group), free(x);
    return test_end();
}
