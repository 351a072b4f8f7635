/* unit_round_robin.c - Cluster-Margin against its definition with plain loops, given k-means' centroids (unit_kmeans):
 * ties, duplicates, zero vectors, fewer distinct rows than picks, k = n, an empty sample, groups. */
#include "exact.h"
#include "kmeans.h"
#include "rule_case.h"

enum { MOST = 300 };

static void assign(const batch *b, int64_t cells, int64_t *cell)
{
    kmeans q = {
        .x = b->sample, .n = b->r, .d = b->d, .entry = b->drawn, .cells = cells, .seed = b->seed, .labelled = b->round
    };
    sluice *s = tier_open(0, 1);
    memset(cell, 0, (size_t)b->n * sizeof *cell);
    if (b->r) CHECK_OK(s, kmeans_run(s, &q));
    for (int64_t i = 0; i < b->n && b->r; i++)
        for (int64_t c = 1; c < cells; c++)
            if (apart(b->x + i * b->d, q.centroid + c * b->d, b->d) <
                apart(b->x + i * b->d, q.centroid + cell[i] * b->d, b->d))
                cell[i] = c;
    kmeans_release(&q), sluice_close(s);
}

/* Turn by turn: the smallest cell that did not have its turn gives its first row that may be picked. */
static void check_picks(const batch *b, const char *where)
{
    int64_t cells = b->r / 40 > 1 ? b->r / 40 : 1, cell[MOST], size[MOST] = { 0 }, j = 0;
    if (b->k == 0) return;
    assign(b, cells, cell);
    for (int64_t i = 0; i < b->n; i++) size[cell[i]]++;
    while (j < b->picked) {
        bool done[MOST] = { 0 };
        int64_t before = j;
        for (int64_t turn = 0; turn < cells && j < b->picked; turn++) {
            int64_t c = -1, want = -1;
            for (int64_t q = 0; q < cells; q++)
                if (!done[q] && (c < 0 || size[q] < size[c])) c = q;
            done[c] = true;
            for (int64_t i = 0; i < b->n && want < 0; i++)
                if (cell[i] == c && may_pick(b, i, j)) want = i;
            if (want < 0) continue;
            CHECK(b->pick[j] == want, "%s: pick %d is %d, wanted %d", where, (int)j, (int)b->pick[j], (int)want);
            CHECK(b->score[j] == ex_order_score(b->entry[want].key), "%s: pick %d has score %g", where, (int)j,
                  (double)b->score[j]);
            j++;
        }
        CHECK(j > before, "%s: pick %d has no cell", where, (int)j);
        if (j == before) return;
    }
}

static void one(const char *name, const float *x, const float *sample, int64_t n, int64_t r, int64_t d, int64_t k,
                const pick_rules *limits, int64_t expected)
{
    if (!case_is("%s n=%d r=%d d=%d k=%d", name, (int)n, (int)r, (int)d, (int)k)) return;
    sluice_entry *entry = numbered(n, 0);
    for (int64_t i = 0; i < n; i++) entry[i].key = ex_order_key((float)(i % 7) / 8);
    batch b = { .k = k,
                .seed = 4,
                .round = 9,
                .n = n,
                .d = d,
                .x = x,
                .entry = entry,
                .r = r,
                .sample = sample,
                .limits = limits };
    run_rule(rule_round_robin, b, expected, check_picks);
    free(entry);
}

int main(int argc, char **argv)
{
    enum { N = 250, R = 500, D = 5 };
    float *x = malloc(R * D * sizeof *x), *z = malloc(R * D * sizeof *z);
    int32_t group[N];
    test_begin(argc, argv);
    fill_normal(x, N * D, 1), fill_normal(z, R * D, 2);
    for (int i = 0; i < N * D; i++) x[i] *= 0.2f;
    for (int i = 0; i < R * D; i++) z[i] *= 0.2f;
    one("normals", x, z, N, R, D, 100, NULL, 100);
    one("fewer picks than cells", x, z, 20, R, D, 8, NULL, 8);
    one("k = n", x, z, N, R, D, N, NULL, N);
    one("one cell", x, z, N, 79, D, 30, NULL, 30);
    one("no sample", x, z, N, 0, D, 30, NULL, 30);
    for (int i = 0; i < N; i++) group[i] = i % 5 ? i % 5 : -1;
    pick_rules limits = { .group = group, .group_count = 5, .per_group = 2 };
    one("two of a group", x, z, N, R, D, N, &limits, N / 5 + 8);
    for (int i = 0; i < N * D; i++) x[i] = x[i] > 0 ? 0.4f : 0;
    for (int i = 0; i < R * D; i++) z[i] = z[i] > 0 ? 0.4f : 0;
    one("corners of a cube: ties", x, z, N, R, D, 60, NULL, 60);
    for (int i = 0; i < N; i++) memcpy(x + i * D, x + i % 4 * D, D * sizeof *x);
    one("fewer distinct rows than picks", x, z, N, R, D, 60, NULL, 60);
    memset(x, 0, N * D * sizeof *x), memset(z, 0, R * D * sizeof *z);
    one("zero vectors", x, z, N, R, D, N, NULL, N);
    one("one candidate", x, z, 1, 1, D, 1, NULL, 1);
    one("no picks", x, z, N, R, D, 0, NULL, 0);
    free(x), free(z);
    return test_end();
}
