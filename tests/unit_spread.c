/* unit_spread.c - k-center greedy against its definition with plain loops: ties, duplicates, zero vectors, fewer distinct
 * rows than picks, k = n, nothing labelled, groups. */
#include "batch.h"
#include "harness.h"

static float apart(const float *a, const float *b, int64_t d)
{
    float sum = 0;
    for (int64_t k = 0; k < d; k++) sum = fmaf(a[k] - b[k], a[k] - b[k], sum);
    return sum;
}

/* All pairs, nothing remembered. */
static void check_picks(const batch *b, const char *where)
{
    int64_t used[64] = { 0 };
    for (int64_t j = 0; j < b->picked; j++) {
        int64_t best = -1;
        float farthest = -1;
        for (int64_t i = 0; i < b->n; i++) {
            float near = INFINITY;
            int32_t group = b->limits ? b->limits->group[b->entry[i].row] : -1;
            int taken = group >= 0 && used[group] >= b->limits->per_group;
            for (int64_t q = 0; q < j; q++) {
                float e = apart(b->x + i * b->d, b->x + b->pick[q] * b->d, b->d);
                near = e < near ? e : near;
                taken |= b->pick[q] == i;
            }
            for (int64_t q = 0; q < b->m; q++) {
                float e = apart(b->x + i * b->d, b->labelled + q * b->d, b->d);
                near = e < near ? e : near;
            }
            if (!taken && near > farthest) farthest = near, best = i;
        }
        CHECK(b->pick[j] == best, "%s: pick %d is %d, wanted %d", where, (int)j, (int)b->pick[j], (int)best);
        CHECK_NEAR(b->score[j], sqrt((double)farthest), 1e-6 * (1 + sqrt((double)farthest)), "%s: pick %d", where,
                   (int)j);
        if (b->limits && b->limits->group[b->entry[b->pick[j]].row] >= 0)
            used[b->limits->group[b->entry[b->pick[j]].row]]++;
    }
}

static void one(const char *name, const float *x, const float *labelled, int64_t n, int64_t m, int64_t d, int64_t k,
                const pick_rules *limits, int64_t expected)
{
    if (!case_is("%s n=%d m=%d d=%d k=%d", name, (int)n, (int)m, (int)d, (int)k)) return;
    sluice_entry *entry = calloc((size_t)n + 1, sizeof *entry);
    for (int64_t i = 0; i < n; i++) entry[i] = (sluice_entry){ .row = i, .id = (uint64_t)i };
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 2);
        batch b = { .k = k, .n = n, .d = d, .x = x, .entry = entry, .m = m, .labelled = labelled, .limits = limits };
        CHECK_OK(s, batch_begin(s, &b));
        CHECK_OK(s, rule_spread(s, &b));
        CHECK(b.picked == expected, "%s: %d picks, wanted %d", tier_name(t), (int)b.picked, (int)expected);
        check_picks(&b, tier_name(t));
        batch_release(&b), sluice_close(s);
    }
    free(entry);
}

static void cancelled(void)
{
    if (!case_is("cancelled: one pick, and a status")) return;
    enum { ROWS = 50, WIDTH = 4 };
    static float rows[ROWS * WIDTH];
    static sluice_entry entry[ROWS];
    sluice *s = tier_open(0, 1);
    fill_normal(rows, ROWS * WIDTH, 1);
    for (int i = 0; i < ROWS; i++) entry[i] = (sluice_entry){ .row = i, .id = (uint64_t)i };
    batch b = { .k = 20, .n = ROWS, .d = WIDTH, .x = rows, .entry = entry };
    CHECK_OK(s, batch_begin(s, &b));
    sluice_cancel(s);
    CHECK_OK(s, rule_spread(s, &b));
    CHECK(b.picked == 1 && b.failed == SLUICE_E_CANCELLED, "%d picks, %s", (int)b.picked, sluice_error(s));
    batch_release(&b), sluice_close(s);
}

int main(int argc, char **argv)
{
    enum { N = 60, M = 12, D = 7 };
    float x[N * D], y[M * D];
    int32_t group[N];
    test_begin(argc, argv);
    fill_normal(x, N * D, 1), fill_normal(y, M * D, 2);
    one("normals", x, y, N, M, D, 20, NULL, 20);
    cancelled();
    one("nothing labelled: the first candidate first", x, y, N, 0, D, 15, NULL, 15);
    one("k = n", x, y, N, M, D, N, NULL, N);
    for (int i = 0; i < N; i++) group[i] = i % 5 ? i % 5 : -1;
    pick_rules limits = { .group = group, .group_count = 5, .per_group = 2 };
    one("two of a group", x, y, N, M, D, N, &limits, N / 5 + 8);
    fill_eighths(x, N * D, 3), fill_eighths(y, M * D, 4);
    for (int i = 0; i < N * D; i++) x[i] = x[i] > 0;
    for (int i = 0; i < M * D; i++) y[i] = y[i] > 0;
    one("corners of a cube: ties", x, y, N, M, D, 40, NULL, 40);
    for (int i = 0; i < N; i++) memcpy(x + i * D, x + i % 4 * D, D * sizeof *x);
    one("fewer distinct rows than picks", x, y, N, 0, D, 30, NULL, 30);
    enum { MANY = 1500 };
    float *many = malloc(sizeof(float) * MANY * D);
    fill_normal(many, MANY * D, 5);
    one("many: some wait for their turn", many, y, MANY, M, D, 60, NULL, 60);
    one("many, nothing labelled", many, y, MANY, 0, D, 60, NULL, 60);
    for (int i = 0; i < MANY; i++) many[i * D] += i % 3 * 100.0f;
    one("three far heaps", many, y, MANY, 0, D, 60, NULL, 60);
    fill_eighths(many, MANY * D, 6);
    one("many ties", many, y, MANY, 0, D, 60, NULL, 60);
    free(many);
    memset(x, 0, sizeof x), memset(y, 0, sizeof y);
    one("zero vectors", x, y, N, M, D, N, NULL, N);
    one("one candidate", x, y, 1, 0, D, 1, NULL, 1);
    one("no picks", x, y, N, M, D, 0, NULL, 0);
    return test_end();
}
