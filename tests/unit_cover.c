/* unit_cover.c - ProbCover against its definition with plain loops, given k-means' cells (unit_kmeans): the radius by all
 * balls, degrees by all pairs, counted anew for each pick.  Ties, duplicates, zero vectors, fewer distinct rows than
 * picks, k = n, nothing labelled, one class; where all is covered; rows at the end of the candidates. */
#include "kmeans.h"
#include "rule_case.h"

/* The largest delta^2 among the distances of covered rows at which 95% of the balls are pure. */
static float reference_radius(const batch *b)
{
    int64_t classes = b->value[0] > 0 ? (int64_t)b->value[0] : b->classes;
    kmeans q = { .x = b->sample, .n = b->r, .d = b->d, .entry = b->drawn, .seed = b->seed, .labelled = b->round };
    q.cells = classes < b->r ? classes : b->r;
    if (b->value[1] > 0) return (float)b->value[1] * (float)b->value[1];
    if (b->r == 0) return 0;
    sluice *s = tier_open(0, 1);
    float best = 0, *between = calloc((size_t)(b->r * b->r), sizeof *between);
    bool one = true;
    CHECK_OK(s, kmeans_run(s, &q));
    for (int64_t u = 1; u < b->r; u++) one &= q.cell[u] == q.cell[0];
    if (one) best = INFINITY;
    for (int64_t i = 0; i < b->r * b->r; i++)
        between[i] = apart(b->sample + i / b->r * b->d, b->sample + i % b->r * b->d, b->d);
    for (int64_t i = 0; i < b->r * b->r; i++) {
        float delta = between[i];
        int64_t pure = 0;
        if (!(delta > best)) continue;
        for (int64_t u = 0; u < b->r; u++) {
            bool is = true;
            for (int64_t v = 0; v < b->r && is; v++) is = q.cell[u] == q.cell[v] || !(between[u * b->r + v] < delta);
            pure += is;
        }
        if ((double)pure >= 0.95 * (double)b->r) best = delta;
    }
    free(between), kmeans_release(&q), sluice_close(s);
    return best;
}

/* The k-th row that covers: labelled ones, then picks. */
static const float *center(const batch *b, int64_t k)
{
    return k < b->m ? b->labelled + k * b->d : b->x + b->pick[k - b->m] * b->d;
}

static int64_t degree(const batch *b, int64_t i, int64_t j, float square)
{
    int64_t count = 0;
    for (int64_t p = 0; p < b->r; p++) {
        bool covered = !(apart(b->x + i * b->d, b->sample + p * b->d, b->d) < square);
        for (int64_t k = 0; k < b->m + j && !covered; k++)
            covered = apart(center(b, k), b->sample + p * b->d, b->d) < square;
        count += !covered;
    }
    return count;
}

static float reach(const batch *b, int64_t i, int64_t j)
{
    float near = INFINITY;
    for (int64_t k = 0; k < b->m + j; k++) {
        float e = apart(b->x + i * b->d, center(b, k), b->d);
        near = e < near ? e : near;
    }
    return near;
}

static int64_t degrees_zero; /* picks that k-center made */

static void check_picks(const batch *b, const char *where)
{
    float square = reference_radius(b);
    bool spread = false;
    for (int64_t j = 0; j < b->picked; j++) {
        int64_t want = -1, most = 0;
        for (int64_t i = 0; i < b->n && !spread; i++) {
            int64_t n = may_pick(b, i, j) ? degree(b, i, j, square) : 0;
            if (n > most) most = n, want = i;
        }
        spread |= want < 0, degrees_zero += spread;
        for (int64_t i = 0; i < b->n && spread; i++)
            if (may_pick(b, i, j) && (want < 0 || reach(b, i, j) > reach(b, want, j))) want = i;
        CHECK(b->pick[j] == want, "%s: pick %d is %d, wanted %d", where, (int)j, (int)b->pick[j], (int)want);
        double score = spread ? (double)sqrtf(reach(b, want, j)) : (double)most;
        CHECK((double)b->score[j] == score, "%s: pick %d has score %g, wanted %g", where, (int)j, (double)b->score[j],
              score);
    }
}

static void one(const char *name, batch b, double classes, double radius, int64_t expected)
{
    double value[] = { classes, radius };
    if (!case_is("%s n=%d m=%d r=%d d=%d k=%d", name, (int)b.n, (int)b.m, (int)b.r, (int)b.d, (int)b.k)) return;
    b.value = value;
    run_rule(rule_cover, b, expected, check_picks);
}

static void unknown_classes(void)
{
    if (!case_is("classes not known")) return;
    float x[] = { 0, 1 };
    double value[] = { 0, 0 };
    sluice *s = tier_open(0, 1);
    batch b = { .k = 1, .n = 2, .d = 1, .x = x, .value = value };
    CHECK_OK(s, batch_begin(s, &b));
    CHECK(rule_cover(s, &b) == SLUICE_E_USAGE && strstr(sluice_error(s), "classes"), "%s", sluice_error(s));
    batch_release(&b), sluice_close(s);
}

int main(int argc, char **argv)
{
    enum { N = 150, M = 8, R = 70, D = 4, MANY = 523, CROWD = 2 * R };
    static float x[MANY * D], y[M * D], z[R * D], crowd[CROWD * D];
    int32_t group[N];
    test_begin(argc, argv);
    fill_normal(x, MANY * D, 1), fill_normal(y, M * D, 2), fill_normal(z, R * D, 3);
    for (int i = 0; i < MANY * D; i++) x[i] *= 0.3f;
    for (int i = 0; i < M * D; i++) y[i] *= 0.3f;
    for (int i = 0; i < R * D; i++) z[i] *= 0.3f;
    fill_normal(crowd, CROWD * D, 4);
    for (int i = 0; i < CROWD * D; i++) crowd[i] = 0.01f * crowd[i] + (i < R * D ? 0.0f : 0.5f); /* two clumps */
    batch b = {
        .k = 20, .seed = 2, .round = 9, .classes = 3, .n = N, .d = D, .x = x, .m = M, .labelled = y, .r = R, .sample = z
    };
    one("normals", b, 0, 0, 20);
    one("a radius", b, 0, 0.5, 20);
    one("another number of classes", b, 6, 0, 20);
    one("one class", b, 1, 0, 20);
    one("more classes than rows", b, 1e12, 0, 20);
    b.r = CROWD, b.sample = crowd;
    one("two large cells", b, 2, 0, 20);
    one("a large cell and small ones", b, 4, 0, 20);
    b.r = R, b.sample = z;
    b.k = N;
    one("k = n", b, 0, 0, N);
    b.k = 20, b.m = 0;
    one("nothing labelled", b, 0, 0, 20);
    one("all covered at once, nothing labelled", b, 0, 100, 20);
    b.r = 0;
    one("no sample", b, 0, 0, 20);
    b.r = R;
    for (int i = 500 * D; i < MANY * D; i++) x[i] = z[i % D] + 1e-3f * (float)(i % 5);
    for (int i = 0; i < 500 * D; i++) x[i] += 9;
    b.n = MANY, b.k = 3;
    one("the rows at the end reach most", b, 0, 0.3, 3);
    b.n = N, b.k = N, b.m = M;
    fill_normal(x, MANY * D, 1);
    for (int i = 0; i < N; i++) group[i] = i % 5 ? i % 5 : -1;
    pick_rules limits = { .group = group, .group_count = 5, .per_group = 2 };
    b.limits = &limits;
    one("two of a group", b, 0, 0, N / 5 + 8);
    b.limits = NULL, b.k = 40;
    for (int i = 0; i < N * D; i++) x[i] = x[i] > 0 ? 0.5f : 0;
    for (int i = 0; i < M * D; i++) y[i] = y[i] > 0 ? 0.5f : 0;
    for (int i = 0; i < R * D; i++) z[i] = z[i] > 0 ? 0.5f : 0;
    one("corners of a cube: ties", b, 0, 0, 40);
    b.m = 0;
    one("corners of a cube, nothing labelled", b, 0, 0.6, 40);
    for (int i = 0; i < N; i++) memcpy(x + i * D, x + i % 4 * D, D * sizeof *x);
    one("fewer distinct rows than picks", b, 0, 0, 40);
    memset(x, 0, sizeof x), memset(y, 0, sizeof y), memset(z, 0, sizeof z);
    one("zero vectors", b, 0, 0, 40);
    b.n = b.k = 1;
    one("one candidate", b, 0, 0, 1);
    b.n = N, b.k = 0;
    one("no picks", b, 0, 0, 0);
    unknown_classes();
    if (case_is("k-center goes on")) CHECK(degrees_zero > 0, "no case came to the end of its coverage");
    return test_end();
}
