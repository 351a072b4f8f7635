/* unit_typical.c - TypiClust against its definition with plain loops, given k-means' clusters (unit_kmeans): ties,
 * duplicates, zero vectors, fewer distinct rows than picks, k = n, nothing labelled, groups; distances are not squared. */
#include "kmeans.h"
#include "rule_case.h"

enum { LOOKED_AT = 4096 };
static int64_t differ; /* picks that squared distances would have changed */

/* The mean over the k nearest of `others` to row i, by `power` 1 or 2 of the distance. */
static double mean_nearest(const batch *b, int64_t i, const int64_t *others, int64_t n, int64_t k, int power)
{
    static float near[LOOKED_AT];
    int64_t held = 0;
    double sum = 0;
    for (int64_t j = 0; j < n; j++) {
        if (others[j] == i) continue;
        float e = apart(b->x + i * b->d, b->x + others[j] * b->d, b->d);
        int64_t at = held < k ? held++ : k;
        if (at == k && (k == 0 || !(e < near[k - 1]))) continue;
        for (at = at == k ? k - 1 : at; at > 0 && e < near[at - 1]; at--) near[at] = near[at - 1];
        near[at] = e;
    }
    for (int64_t j = 0; j < held; j++) sum += power == 1 ? (double)sqrtf(near[j]) : (double)near[j];
    return held ? sum / (double)held : 0;
}

/* The unpicked of a cluster, at most LOOKED_AT; whether the j-th pick may be one of them. */
static bool unpicked(const batch *b, const int32_t *cell, int32_t c, int64_t j, int64_t *list, int64_t *out_n)
{
    bool open = false;
    *out_n = 0;
    for (int64_t i = 0; i < b->n && *out_n < LOOKED_AT; i++) {
        bool taken = false;
        for (int64_t q = 0; q < j; q++) taken |= b->pick[q] == i;
        if (taken || cell[i] != c) continue;
        open |= may_pick(b, i, j);
        list[(*out_n)++] = i;
    }
    return open;
}

static int64_t typical_of(const batch *b, int64_t j, const int64_t *list, int64_t n, int power, double *out_mean)
{
    int64_t best = -1, k = n / 2 < 20 ? n / 2 : 20;
    for (int64_t q = 0; q < n; q++) {
        double mean = mean_nearest(b, list[q], list, n, k, power);
        if (may_pick(b, list[q], j) && (best < 0 || mean < *out_mean)) best = list[q], *out_mean = mean;
    }
    return best;
}

/* The cluster whose turn comes after those in `done`: fewest labels, then largest, then first.  -1: none. */
static int32_t next_cluster(const kmeans *q, const int64_t *labelled, const bool *done, int64_t least)
{
    int32_t best = -1;
    for (int32_t c = 0; c < (int32_t)q->cells; c++) {
        if (done[c] || q->size[c] < least) continue;
        if (best < 0 || labelled[c] < labelled[best] || (labelled[c] == labelled[best] && q->size[c] > q->size[best]))
            best = c;
    }
    return best;
}

static void check_turns(const batch *b, const kmeans *q, const int64_t *labelled, const char *where)
{
    static int64_t list[LOOKED_AT];
    bool done[500] = { 0 }, large = true;
    int64_t j = 0, n, in_round = 0;
    while (j < b->picked) {
        int32_t c = next_cluster(q, labelled, done, large ? 6 : 1);
        if (c < 0) {
            if (in_round == 0) CHECK(large, "%s: pick %d has no cluster", where, (int)j);
            if (in_round == 0 && !large) return;
            large &= in_round > 0;
            in_round = 0, memset(done, 0, sizeof done);
            continue;
        }
        done[c] = true;
        if (!unpicked(b, q->cell + b->m, c, j, list, &n)) continue;
        double mean = 0, squared;
        int64_t want = typical_of(b, j, list, n, 1, &mean);
        differ += large && typical_of(b, j, list, n, 2, &squared) != want;
        for (int64_t i = 0; i < n && !large; i++)
            if (may_pick(b, list[i], j)) {
                want = list[i];
                break;
            }
        CHECK(b->pick[j] == want, "%s: pick %d is %d, wanted %d", where, (int)j, (int)b->pick[j], (int)want);
        double score = large ? 1 / (mean + 1e-5) : 0;
        CHECK_NEAR((double)b->score[j], score, 1e-6 * score, "%s: pick %d", where, (int)j);
        j++, in_round++;
    }
}

static void check_picks(const batch *b, const char *where)
{
    int64_t rows = b->m + b->n, cells = b->m + b->k < 500 ? b->m + b->k : 500, labelled[500] = { 0 };
    if (b->k == 0) return;
    float *x = malloc((size_t)(rows * b->d) * sizeof *x);
    sluice_entry *entry = malloc((size_t)rows * sizeof *entry);
    memcpy(x, b->labelled, (size_t)(b->m * b->d) * sizeof *x);
    memcpy(x + b->m * b->d, b->x, (size_t)(b->n * b->d) * sizeof *x);
    memcpy(entry, b->labelled_entry, (size_t)b->m * sizeof *entry);
    memcpy(entry + b->m, b->entry, (size_t)b->n * sizeof *entry);
    kmeans q = { .x = x, .n = rows, .d = b->d, .entry = entry, .cells = cells, .seed = b->seed, .labelled = b->round };
    sluice *s = tier_open(0, 1);
    CHECK_OK(s, kmeans_run(s, &q));
    for (int64_t i = 0; i < b->m; i++) labelled[q.cell[i]]++;
    check_turns(b, &q, labelled, where);
    kmeans_release(&q), sluice_close(s), free(x), free(entry);
}

static void one(const char *name, const float *x, const float *labelled, int64_t n, int64_t m, int64_t d, int64_t k,
                const pick_rules *limits, int64_t expected)
{
    if (!case_is("%s n=%d m=%d d=%d k=%d", name, (int)n, (int)m, (int)d, (int)k)) return;
    batch b = {
        .k = k, .seed = 11, .round = 9, .n = n, .d = d, .x = x, .m = m, .labelled = labelled, .limits = limits
    };
    run_rule(rule_typical, b, expected, check_picks);
}

int main(int argc, char **argv)
{
    enum { N = 240, M = 12, D = 7, MANY = 4500 };
    float *x = malloc(2 * MANY * sizeof *x), y[M * D];
    int32_t group[N];
    test_begin(argc, argv);
    fill_normal(x, N * D, 1), fill_normal(y, M * D, 2);
    for (int i = 0; i < N * D; i++) x[i] *= 0.2f;
    for (int i = 0; i < M * D; i++) y[i] *= 0.2f;
    one("normals", x, y, N, M, D, 6, NULL, 6);
    one("more picks than clusters have rows", x, y, N, M, D, 60, NULL, 60);
    one("nothing labelled", x, y, N, 0, D, 5, NULL, 5);
    one("k = n", x, y, 60, M, D, 60, NULL, 60);
    one("k = n, one cluster", x, y, 9, 0, D, 9, NULL, 9);
    for (int i = 0; i < N; i++) group[i] = i % 5 ? i % 5 : -1;
    pick_rules limits = { .group = group, .group_count = 5, .per_group = 2 };
    one("two of a group", x, y, N, M, D, N, &limits, N / 5 + 8);
    one("two of a group, few picks", x, y, N, M, D, 20, &limits, 20);
    for (int i = 0; i < N * D; i++) x[i] = x[i] > 0 ? 0.3f : 0;
    for (int i = 0; i < M * D; i++) y[i] = y[i] > 0 ? 0.3f : 0;
    one("corners of a cube: ties", x, y, N, M, D, 40, NULL, 40);
    for (int i = 0; i < N; i++) memcpy(x + i * D, x + i % 4 * D, D * sizeof *x);
    one("fewer distinct rows than picks", x, y, N, 0, D, 30, NULL, 30);
    memset(x, 0, N * D * sizeof *x), memset(y, 0, sizeof y);
    one("zero vectors", x, y, 60, M, D, 60, NULL, 60);
    one("one candidate", x, y, 1, 0, D, 1, NULL, 1);
    one("no picks", x, y, N, M, D, 0, NULL, 0);
    fill_normal(x, 2 * MANY, 5);
    for (int i = 0; i < 2 * MANY; i++) x[i] *= 0.1f;
    one("a cluster too large to look at whole", x, y, MANY, 0, 2, 1, NULL, 1);
    if (case_is("squared distances pick others")) CHECK(differ > 0, "none of the picks would differ");
    free(x);
    return test_end();
}
