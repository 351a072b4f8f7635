/* unit_traps.c - mistakes seen in other implementations of these strategies, each as a case that would show it here:
 * scores rounded before they are sorted, rows that can never be picked, rows picked twice, NaN that ranks first, far
 * taken for representative.  The tests of each score and rule hold the rest: squared distances (unit_typical), dropped
 * rows without scaling, inverted outlier ranks (unit_scorer), ghost origins (unit_badge), partitions (unit_rules). */
#include "sampling.h"

enum { N = 777, D = 3, C = 3 }; /* rows are no multiple of a block, and fewer columns than picks */

static sluice *s;
static sluice_head *head;

static sluice_picks *picks_of(const float *x, int64_t n, int64_t d, const char *strategies, int64_t k)
{
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, n, d, NULL);
    sluice_picks *p = pick(
        s, pool, (sluice_select_args){ .head = d == D ? head : NULL, .strategies = strategies, .k = k, .seed = 2 });
    sluice_pool_free(pool);
    return p;
}

/* "%.4f" before sorting leaves 10,001 scores: here 2,000 rows whose margins differ by some 2e-7 each. */
static void close_scores(void)
{
    if (!case_is("scores that differ in the seventh digit are in order")) return;
    enum { ROWS = 2000 };
    static float z[ROWS * 2];
    int64_t place[ROWS];
    for (int i = 0; i < ROWS; i++) z[2 * i] = 0.5f + (float)(i * 1103 % ROWS) * 0x1p-21f, place[i * 1103 % ROWS] = i;
    sluice_pool *pool = memory_pool(s, z, SLUICE_F32, ROWS, 2, NULL);
    sluice_picks *p = pick(s, pool, (sluice_select_args){ .logits = pool, .strategies = "margin", .k = ROWS });
    const sluice_pick *q = sluice_picks_get(p, 0);
    int64_t level = 0;
    for (int64_t i = 0; i < ROWS; i++) {
        level += !i || q[i].score != q[i - 1].score;
        CHECK(!i || q[i].score <= q[i - 1].score, "order at rank %d", (int)i);
        CHECK(llabs(q[i].row * 1103 % ROWS - i) <= 4, "rank %d is row %d, not %d", (int)i, (int)q[i].row,
              (int)place[i]);
    }
    CHECK(level > ROWS / 4, "%d scores of %d rows", (int)level, ROWS);
    sluice_picks_free(p), sluice_pool_free(pool);
}

static void check_all(const sluice_picks *p, int64_t n)
{
    for (int l = 0; l < sluice_picks_lists(p); l++) {
        static char seen[N];
        memset(seen, 0, sizeof seen);
        CHECK(sluice_picks_count(p, l) == n, "%s: %d picks", sluice_picks_strategy(p, l),
              (int)sluice_picks_count(p, l));
        for (int64_t i = 0; i < sluice_picks_count(p, l); i++) {
            int64_t row = sluice_picks_get(p, l)[i].row;
            CHECK(!seen[row], "%s picks row %d twice", sluice_picks_strategy(p, l), (int)row);
            seen[row] = 1;
        }
    }
}

static const char rules[] = "kcenter,kmeans,margin-kmeans,cluster-based,cluster-margin,badge,gist,maxherding,"
                            "uncertainty-herding,probcover,typiclust,representative,dropquery";

/* The last N mod 500 rows are rows like others; when everything is covered, row 0 is not picked again. */
static void every_row(void)
{
    if (!case_is("every row can be picked, and once")) return;
    float x[N * D];
    fill_normal(x, N * D, 4);
    sluice_picks *p = picks_of(x, N, D, rules, N);
    check_all(p, N);
    sluice_picks_free(p);
}

static void equal_rows(void)
{
    if (!case_is("rows that are all equal, and all zero")) return;
    float x[N * D] = { 0 };
    for (int zero = 1; zero >= 0; zero--) {
        for (int i = 0; i < N * D && !zero; i++) x[i] = (float)(i % D) + 1;
        sluice_picks *p = picks_of(x, N, D, rules, 50);
        check_all(p, 50);
        sluice_picks_free(p);
    }
}

/* Squared distances by the Gram trick are 1e-7 off, negative ones included: a duplicate would look new. */
static void duplicates_last(void)
{
    if (!case_is("k-center takes no duplicate while another row is left")) return;
    float x[60 * D];
    fill_normal(x, 20 * D, 5);
    for (int i = 0; i < 20 * D; i++) x[i] += 100; /* crowded: most of a length is common */
    memcpy(x + 20 * D, x, 20 * D * sizeof *x), memcpy(x + 40 * D, x, 20 * D * sizeof *x);
    sluice_picks *p = picks_of(x, 60, D, "kcenter", 60);
    const sluice_pick *q = sluice_picks_get(p, 0);
    check_all(p, 60);
    for (int i = 0; i < 20; i++)
        for (int j = 0; j < i; j++) CHECK(q[i].row % 20 != q[j].row % 20, "picks %d and %d are equal rows", j, i);
    for (int i = 20; i < 60; i++) CHECK(q[i].score == 0, "pick %d is %g from its like", i, (double)q[i].score);
    sluice_picks_free(p);
}

/* log of a score of zero or below is NaN in one tool, and NaN sorts first in another. */
static void powers(void)
{
    if (!case_is("power- of scores of zero and below: last, not first")) return;
    float z[40 * 2];
    for (int i = 0; i < 40; i++) z[2 * i] = i < 20 ? 1 : 400, z[2 * i + 1] = 0; /* margin 0 in the last 20 */
    sluice_pool *pool = memory_pool(s, z, SLUICE_F32, 40, 2, NULL);
    sluice_picks *p =
        pick(s, pool, (sluice_select_args){ .logits = pool, .strategies = "power-margin,power-energy", .k = 40 });
    const sluice_pick *q = sluice_picks_get(p, 0);
    for (int i = 0; i < 40; i++) CHECK((q[i].row < 20) == (i < 20), "rank %d is row %d", i, (int)q[i].row);
    CHECK(sluice_picks_count(p, 1) == 40, "%d picks", (int)sluice_picks_count(p, 1));
    for (int i = 0; i < 40; i++) {
        float score = sluice_picks_get(p, 1)[i].score;
        CHECK(score == -INFINITY, "rank %d: %g of an energy below 0", i, (double)score);
    }
    sluice_picks_free(p), sluice_pool_free(pool);
}

/* Representative is near the pool's middle: of a cloud and a few strays no stray comes first. */
static void middle_first(void)
{
    if (!case_is("representative is near, not far")) return;
    float x[N * D];
    fill_normal(x, N * D, 6);
    for (int i = 0; i < N; i++) /* the strays, every 50th row, lie on the other side and far apart */
        for (int k = 0; k < D; k++) x[i * D + k] = i % 50 ? x[i * D + k] / 8 + 2 : x[i * D + k] - 2;
    sluice_picks *p = picks_of(x, N, D, "representative,typiclust,maxherding,probcover:classes=3", 1);
    for (int l = 0; l < sluice_picks_lists(p); l++)
        CHECK(sluice_picks_get(p, l)->row % 50, "%s picks a stray", sluice_picks_strategy(p, l));
    sluice_picks_free(p);
}

/* Values above 65504 are infinite in f16: such a row is counted and left out. */
static void half_overflow(void)
{
    if (!case_is("f16 rows that overflowed are not picked")) return;
    static uint16_t x[N * D];
    for (int i = 0; i < N * D; i++) x[i] = (uint16_t)(0x3c00 + i % 512);
    x[5 * D] = 0x7c00, x[7 * D + 1] = 0xfc00; /* infinities */
    sluice_pool *pool = memory_pool(s, x, SLUICE_F16, N, D, NULL);
    sluice_picks *p =
        pick(s, pool, (sluice_select_args){ .head = head, .strategies = "margin,kcenter,random", .k = N });
    sluice_picks_info info;
    sluice_picks_get_info(p, &info);
    CHECK(info.quarantined == 2, "%d rows", (int)info.quarantined);
    check_all(p, N - 2);
    sluice_picks_free(p), sluice_pool_free(pool);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    s = tier_open(0, 2);
    head = test_head(s, D, C, 1, 7);
    close_scores();
    every_row();
    equal_rows();
    duplicates_last();
    powers();
    middle_first();
    half_overflow();
    sluice_head_free(head), sluice_close(s);
    return test_end();
}
