/* unit_kmeans.c - clouds far apart get a cell each; at the end every row is in the cell of its nearest centroid and, where
 * the iterations came to rest, every centroid is the weighted mean of its cell, both in double; duplicates, zeros, fewer
 * distinct rows than cells, cells = n, weights of 0; the same bits for tiers and threads. */
#include "harness.h"
#include "kmeans.h"

enum { D = 6 };

static double apart(const float *a, const float *b)
{
    double sum = 0;
    for (int k = 0; k < D; k++) sum += ((double)a[k] - (double)b[k]) * ((double)a[k] - (double)b[k]);
    return sum;
}

static kmeans run(int tier, int threads, const float *x, const float *weight, const sluice_entry *entry, int64_t n,
                  int64_t cells)
{
    sluice *s = tier_open(tier, threads);
    kmeans q = { .x = x, .n = n, .d = D, .entry = entry, .weight = weight, .cells = cells, .seed = 3 };
    CHECK_OK(s, kmeans_run(s, &q));
    sluice_close(s);
    return q;
}

static void check_nearest(const kmeans *q)
{
    for (int64_t i = 0; i < q->n; i++) {
        double own = apart(q->x + i * D, q->centroid + q->cell[i] * D);
        CHECK_NEAR((double)q->distance[i], own, 1e-6, "row %d", (int)i);
        for (int64_t c = 0; c < q->cells; c++) {
            double other = apart(q->x + i * D, q->centroid + c * D);
            CHECK(own <= other + 1e-6, "row %d is in cell %d at %g, cell %d is at %g", (int)i, (int)q->cell[i], own,
                  (int)c, other);
        }
    }
}

static void check_means(const kmeans *q)
{
    for (int64_t c = 0; c < q->cells; c++) {
        double sum[D] = { 0 }, mass = 0;
        for (int64_t i = 0; i < q->n; i++) {
            double w = q->weight ? (double)q->weight[i] : 1;
            for (int k = 0; k < D && q->cell[i] == c; k++) sum[k] += w * (double)q->x[i * D + k];
            mass += q->cell[i] == c ? w : 0;
        }
        for (int k = 0; k < D && mass > 0; k++)
            CHECK_NEAR((double)q->centroid[c * D + k], sum[k] / mass, 1e-6, "cell %d", (int)c);
    }
}

static void one(const char *name, const float *x, const float *weight, int64_t n, int64_t cells, int rests)
{
    if (!case_is("%s n=%d cells=%d", name, (int)n, (int)cells)) return;
    sluice_entry *entry = calloc((size_t)n, sizeof *entry);
    for (int64_t i = 0; i < n; i++) entry[i].id = (uint64_t)i * 7;
    kmeans want = run(0, 1, x, weight, entry, n, cells);
    int64_t rows = 0;
    for (int64_t c = 0; c < cells; c++) rows += want.size[c];
    CHECK(rows == n, "sizes of cells come to %d", (int)rows);
    check_nearest(&want);
    if (rests) check_means(&want);
    for (int t = 0; t < tier_count(); t++) {
        kmeans q = run(t, 2, x, weight, entry, n, cells);
        CHECK_SAME(q.centroid, want.centroid, (size_t)(cells * D) * 4, "%s", tier_name(t));
        CHECK_SAME(q.cell, want.cell, (size_t)n * 4, "%s", tier_name(t));
        kmeans_release(&q);
    }
    kmeans_release(&want), free(entry);
}

/* Clouds around the unit vectors: a k-means++ start hits each of them. */
static void clouds(void)
{
    enum { N = 240 };
    float *x = malloc(N * D * sizeof *x);
    fill_normal(x, N * D, 5);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < D; k++) x[i * D + k] = x[i * D + k] * 0.004f + (k == i % D ? 0.9f : 0.0f);
    one("clouds", x, NULL, N, D, 1);
    if (case_is("a cell for each cloud")) {
        sluice_entry *entry = calloc(N, sizeof *entry);
        for (int i = 0; i < N; i++) entry[i].id = (uint64_t)i;
        kmeans q = run(0, 1, x, NULL, entry, N, D);
        for (int i = 0; i < N; i++)
            CHECK(q.cell[i] == q.cell[i % D], "row %d is in cell %d, its cloud in %d", i, q.cell[i], q.cell[i % D]);
        for (int c = 0; c < D; c++) CHECK(q.size[c] == N / D, "cell %d has %d rows", c, (int)q.size[c]);
        kmeans_release(&q), free(entry);
    }
    free(x);
}

static void cancelled(void)
{
    if (!case_is("cancelled")) return;
    static float x[100 * D];
    sluice *s = tier_open(0, 1);
    fill_normal(x, 100 * D, 1);
    kmeans q = { .x = x, .n = 100, .d = D, .cells = 5 };
    sluice_cancel(s);
    CHECK(kmeans_run(s, &q) == SLUICE_E_CANCELLED, "%s", sluice_error(s));
    CHECK(!q.centroid, "something is left");
    sluice_close(s);
}

int main(int argc, char **argv)
{
    enum { N = 700 };
    float *x = malloc(N * D * sizeof *x), *weight = malloc(N * sizeof *weight);
    rng r = { 9 };
    test_begin(argc, argv);
    clouds();
    for (int i = 0; i < N * D; i++) x[i] = (float)(2 * rng_uniform(&r) - 1) / 3;
    for (int i = 0; i < N; i++) weight[i] = i % 3 ? (float)rng_uniform(&r) : 0.0f;
    one("uniform", x, NULL, N, 2, 0);
    one("weights, some of them 0", x, weight, N, 9, 0);
    one("one cell", x, NULL, 200, 1, 1);
    one("cells = n", x, NULL, 40, 40, 1);
    one("more rows than the iterations look at", x, NULL, N, 2, 0);
    for (int i = 0; i < N; i++) memcpy(x + i * D, x + i % 5 * D, D * sizeof *x);
    one("fewer distinct rows than cells", x, NULL, 100, 12, 0);
    memset(x, 0, N * D * sizeof *x);
    one("zeros", x, NULL, 50, 4, 0);
    memset(weight, 0, N * sizeof *weight);
    one("no weight at all", x, weight, 50, 4, 0);
    free(x), free(weight);
    cancelled();
    return test_end();
}
