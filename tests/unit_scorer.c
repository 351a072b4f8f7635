/* unit_scorer.c - scores with something fitted: each against its formula in double with plain loops, through
 * sluice_select(), on ties, duplicates, zero vectors, one class, few labels, more features than labels; the same bits for
 * tiers, threads, memory and shards; what is missing is said; a constant column is a warning. */
#include "linalg.h"
#include "philox_ref.h"
#include "sampling.h"

enum { N = 240, D = 12, C = 3, M = 60 };

static float x[N * D];
static int32_t target[N];

/* ---- what the library says ---- */

/* Every row's score: all rows but labelled and bad ones are picked. */
static void scores_of(sluice *s, const sluice_select_args *args, int64_t n, int64_t d, float *out)
{
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, n, d, NULL);
    sluice_labels *l = NULL;
    CHECK_OK(s, sluice_labels_from_array(s, pool, target, C, &l));
    sluice_select_args a = *args;
    a.k = n, a.labels = l, a.max_bad = 1;
    sluice_picks *p = pick(s, pool, a);
    for (int64_t i = 0; i < n; i++) out[i] = NAN;
    for (int64_t i = 0; p && i < sluice_picks_count(p, 0); i++)
        out[sluice_picks_get(p, 0)[i].row] = sluice_picks_get(p, 0)[i].score;
    sluice_picks_free(p), sluice_labels_free(l), sluice_pool_free(pool);
}

static void label_first(int64_t m, int classes)
{
    for (int i = 0; i < N; i++) target[i] = i < m ? i % classes : -1;
}

static void unit_row(int64_t i, int64_t d, double *u)
{
    double sum = 0;
    for (int64_t k = 0; k < d; k++) sum += (double)x[i * d + k] * (double)x[i * d + k];
    for (int64_t k = 0; k < d; k++) u[k] = sum > 0 ? (double)x[i * d + k] / sqrt(sum) : 0;
}

static int up(const void *a, const void *b)
{
    double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

/* ---- outlier-knn ---- */

static double ref_knn(int64_t i, int64_t m, int64_t k)
{
    double u[D], v[D], distance[N];
    unit_row(i, D, u);
    for (int64_t j = 0; j < m; j++) {
        unit_row(j, D, v);
        distance[j] = 0;
        for (int c = 0; c < D; c++) distance[j] += (u[c] - v[c]) * (u[c] - v[c]);
    }
    qsort(distance, (size_t)m, sizeof *distance, up);
    return sqrt(distance[k - 1]);
}

static void knn(const char *strategy, int64_t m, int classes, int64_t k)
{
    if (!case_is("%s, %d labels in %d classes: k = %d", strategy, (int)m, classes, (int)k)) return;
    float score[N];
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 2);
        label_first(m, classes);
        scores_of(s, &(sluice_select_args){ .strategies = strategy }, N, D, score);
        for (int64_t i = m; i < N; i++)
            if (i != 100)
                CHECK_NEAR((double)score[i], ref_knn(i, m, k), 1e-3 * (ref_knn(i, m, k) < 1e-2) + 2e-6, "row %d",
                           (int)i);
        CHECK(isnan(score[100]), "a bad row scores %g", (double)score[100]);
        sluice_close(s);
    }
}

/* ---- outlier-rank ---- */

static int most(const float *z)
{
    int best = 0;
    for (int j = 1; j < C; j++) best = z[j] > z[best] ? j : best;
    return best;
}

static double ref_rank(const sluice_head *h, const float *z, int j, int all)
{
    double below = 0, n = 0;
    for (int pass = 0; pass == 0 || (pass == 1 && n < 10); pass++) {
        below = n = 0;
        for (int64_t i = 0; i < h->held_count; i++) {
            const float *y = h->held_logits + i * C;
            if (isnan(y[0]) || (!all && pass == 0 && most(y) != j)) continue;
            below += y[j] < z[j] ? 1 : y[j] == z[j] ? 0.5 : 0;
            n++;
        }
    }
    return below / n;
}

/* Logits of a pool are a head of the identity. */
static void rank(int held, const char *strategy)
{
    if (!case_is("%s, %d rows held out", strategy, held)) return;
    static float z[N * C];
    float score[N];
    sluice *s = tier_open(0, 2);
    sluice_head *h = test_head(s, C, C, 1, 4);
    int all = strstr(strategy, "all") != NULL;
    memset(h->layers[0].w, 0, C * C * sizeof(float)), memset(h->layers[0].b, 0, C * sizeof(float));
    for (int j = 0; j < C; j++) h->layers[0].w[j * C + j] = 1;
    CHECK_OK(s, head_prepare(s, h));
    h->held_count = held;
    h->held_logits = NEW(s, held * C, float);
    h->held_target = NEW(s, held, int32_t);
    fill_eighths(h->held_logits, held * C, 6);
    if (held > 3)
        for (int j = 0; j < C; j++) h->held_logits[2 * C + j] = NAN;
    fill_eighths(z, N * C, 7);
    float *kept = malloc(sizeof x);
    memcpy(kept, x, sizeof x), memcpy(x, z, sizeof z);
    label_first(0, C);
    scores_of(s, &(sluice_select_args){ .strategies = strategy, .head = h }, N, C, score);
    memcpy(x, kept, sizeof x), free(kept);
    for (int i = 0; i < N; i++) {
        double want = 0;
        if (all)
            for (int j = 0; j < C; j++) want += ref_rank(h, z + i * C, j, 1) / C;
        else want = ref_rank(h, z + i * C, most(z + i * C), 0);
        CHECK_NEAR((double)score[i], 1 - want, 1e-6, "row %d", i);
    }
    sluice_head_free(h), sluice_close(s);
}

/* Inliers of a softmax head stand at a half in every class; foreign rows, between all classes, above them. */
static void munro_is_inverted(void)
{
    if (!case_is("of=all puts foreign rows last, the predicted class first")) return;
    enum { HELD = 90 };
    float score[2][N];
    sluice *s = tier_open(0, 1);
    sluice_head *h = test_head(s, C, C, 1, 4);
    memset(h->layers[0].w, 0, C * C * sizeof(float)), memset(h->layers[0].b, 0, C * sizeof(float));
    for (int j = 0; j < C; j++) h->layers[0].w[j * C + j] = 1;
    CHECK_OK(s, head_prepare(s, h));
    h->held_count = HELD, h->held_logits = NEW(s, HELD * C, float), h->held_target = NEW(s, HELD, int32_t);
    float noise[N * C];
    fill_normal(noise, N * C, 8);
    for (int i = 0; i < HELD * C; i++) h->held_logits[i] = (i % C == i / C % C ? 4.0f : -2.0f) + noise[i];
    float *kept = malloc(sizeof x);
    memcpy(kept, x, sizeof x);
    fill_normal(noise, N * C, 9);
    for (int i = 0; i < N * C; i++) x[i] = (i / C < 20 ? 0.4f : i % C == i / C % C ? 4.0f : -2.0f) + noise[i] / 4;
    label_first(0, C);
    scores_of(s, &(sluice_select_args){ .strategies = "outlier-rank", .head = h }, N, C, score[0]);
    scores_of(s, &(sluice_select_args){ .strategies = "outlier-rank:of=all", .head = h }, N, C, score[1]);
    memcpy(x, kept, sizeof x), free(kept);
    double mean[2][2] = { { 0 } };
    for (int w = 0; w < 2; w++)
        for (int i = 0; i < N; i++) mean[w][i < 20] += (double)score[w][i] / (i < 20 ? 20 : N - 20);
    CHECK(mean[0][1] > 0.9 && mean[0][1] > mean[0][0] + 0.3, "foreign %g, own %g", mean[0][1], mean[0][0]);
    CHECK(mean[1][1] < mean[1][0], "of=all: foreign %g, own %g", mean[1][1], mean[1][0]);
    sluice_head_free(h), sluice_close(s);
}

/* ---- outlier-mahalanobis, outlier-relative ---- */

/* v' a^-1 v by elimination with pivots. */
static double quadratic(const double *a, const double *v)
{
    double m[D][D + 1], sum = 0;
    for (int i = 0; i < D; i++) {
        memcpy(m[i], a + i * D, D * sizeof(double));
        m[i][D] = v[i];
    }
    for (int p = 0; p < D; p++) {
        int best = p;
        for (int i = p; i < D; i++) best = fabs(m[i][p]) > fabs(m[best][p]) ? i : best;
        for (int k = 0; k <= D; k++) {
            double t = m[p][k];
            m[p][k] = m[best][k], m[best][k] = t;
        }
        for (int i = 0; i < D; i++)
            for (int k = D; i != p && k >= p; k--) m[i][k] -= m[i][p] / m[p][p] * m[p][k];
    }
    for (int i = 0; i < D; i++) sum += v[i] * m[i][D] / m[i][i];
    return sum;
}

typedef struct gaussian {
    double tied[D * D], total[D * D], mean[C][D], all[D];
    int count[C];
} gaussian;

/* Ledoit & Wolf 2004, lemma 3.2 to 3.5: a^2 = |S - m I|^2, b^2 = mean |r r' - S|^2 / n, with |A|^2 = trace(A A')/d. */
static void ref_fit(int64_t m, gaussian *g)
{
    static double u[N][D];
    double scale = 0, a2 = 0, b2 = 0;
    memset(g, 0, sizeof *g);
    for (int64_t i = 0; i < m; i++) {
        unit_row(i, D, u[i]);
        g->count[target[i]]++;
        for (int k = 0; k < D; k++) g->mean[target[i]][k] += u[i][k], g->all[k] += u[i][k] / (double)m;
    }
    for (int c = 0; c < C; c++)
        for (int k = 0; k < D && g->count[c]; k++) g->mean[c][k] /= g->count[c];
    for (int64_t i = 0; i < m; i++)
        for (int j = 0; j < D; j++)
            for (int k = 0; k < D; k++) {
                const double *mu = g->mean[target[i]];
                g->tied[j * D + k] += (u[i][j] - mu[j]) * (u[i][k] - mu[k]) / (double)m;
                g->total[j * D + k] += (u[i][j] - g->all[j]) * (u[i][k] - g->all[k]) / (double)m;
            }
    for (int j = 0; j < D; j++) scale += g->tied[j * D + j] / D;
    for (int64_t i = -1; i < m; i++)
        for (int j = 0; j < D; j++)
            for (int k = 0; k < D; k++) {
                const double *mu = g->mean[i < 0 ? 0 : target[i]];
                double e = g->tied[j * D + k] - (i >= 0 ? (u[i][j] - mu[j]) * (u[i][k] - mu[k]) : j == k ? scale : 0);
                if (i < 0) a2 += e * e / D;
                else b2 += e * e / D / (double)(m * m);
            }
    double weight = b2 >= a2 ? 1 : b2 / a2;
    if (weight < 1e-6) weight = 1e-6;
    if (scale < 1e-12) weight = scale = 1;
    for (int j = 0; j < D; j++)
        for (int k = 0; k < D; k++) {
            double ridge = j == k ? weight * scale : 0;
            g->tied[j * D + k] = (1 - weight) * g->tied[j * D + k] + ridge;
            g->total[j * D + k] = (1 - weight) * g->total[j * D + k] + ridge;
        }
}

static double ref_gaussian(const gaussian *g, int64_t i, int relative)
{
    double u[D], v[D], least = INFINITY;
    unit_row(i, D, u);
    for (int c = 0; c < C; c++) {
        for (int k = 0; k < D; k++) v[k] = u[k] - g->mean[c][k];
        double q = g->count[c] ? quadratic(g->tied, v) : INFINITY;
        least = q < least ? q : least;
    }
    for (int k = 0; k < D; k++) v[k] = u[k] - g->all[k];
    return least - (relative ? quadratic(g->total, v) : 0);
}

static void gaussians(const char *strategy, int64_t m, int classes)
{
    if (!case_is("%s, %d labels in %d classes", strategy, (int)m, classes)) return;
    static gaussian g;
    float score[N];
    int relative = strstr(strategy, "relative") != NULL;
    label_first(m, classes);
    ref_fit(m, &g);
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 2);
        scores_of(s, &(sluice_select_args){ .strategies = strategy }, N, D, score);
        for (int64_t i = m; i < N; i++) {
            double want = ref_gaussian(&g, i, relative), size = ref_gaussian(&g, i, 0);
            if (i != 100) CHECK_NEAR((double)score[i], want, 1e-4 * (1 + size), "row %d", (int)i);
        }
        sluice_close(s);
    }
}

/* ---- eigenvectors ---- */

/* Of rank `rank`: equal eigenvalues, and 0 many times where rank < n. */
static void eigenvectors(int n, int rank)
{
    if (!case_is("eigenvectors of %d x %d, rank %d", n, n, rank)) return;
    float *factor = malloc((size_t)(n * rank + 1) * sizeof *factor);
    double *a = calloc((size_t)(n * n), sizeof *a), *v[2], *value = malloc((size_t)n * sizeof *value);
    fill_normal(factor, n * rank, 3);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            for (int k = 0; k < rank; k++) a[i * n + j] += (double)factor[i * rank + k] * (double)factor[j * rank + k];
    if (rank == 0)
        for (int i = 0; i < n; i++) a[i * n + i] = 2;
    for (int way = 0; way < 2; way++) {
        sluice *s = tier_open(0, 1 + 2 * way);
        v[way] = malloc((size_t)(n * n) * sizeof *a);
        memcpy(v[way], a, (size_t)(n * n) * sizeof *a);
        CHECK_OK(s, eigen(s, v[way], n, value));
        sluice_close(s);
    }
    CHECK(memcmp(v[0], v[1], (size_t)(n * n) * sizeof *a) == 0, "threads");
    for (int k = 0; k < n; k++) {
        CHECK(k == 0 || value[k] <= value[k - 1], "value %d", k);
        for (int i = 0; i < n; i++) {
            double product = 0, along = 0;
            for (int j = 0; j < n; j++)
                product += a[i * n + j] * v[0][k * n + j], along += v[0][k * n + j] * v[0][i * n + j];
            CHECK_NEAR(product, value[k] * v[0][k * n + i], 1e-11 * (value[0] + 1), "vector %d", k);
            CHECK_NEAR(along, i == k, 1e-12, "vectors %d and %d", k, i);
        }
    }
    free(factor), free(a), free(value), free(v[0]), free(v[1]);
}

/* ---- outlier-vim ---- */

/* Jacobi's rotations until nothing is left beside the diagonal: v's columns are a's eigenvectors. */
static void jacobi(double a[D][D], double v[D][D])
{
    for (int i = 0; i < D; i++)
        for (int j = 0; j < D; j++) v[i][j] = i == j;
    for (int sweep = 0; sweep < 60; sweep++)
        for (int p = 0; p < D; p++)
            for (int q = p + 1; q < D; q++) {
                if (a[p][q] == 0) continue;
                double angle = 0.5 * atan2(2 * a[p][q], a[q][q] - a[p][p]), c = cos(angle), s = sin(angle);
                for (int k = 0; k < D; k++) {
                    double f = a[k][p], g = a[k][q];
                    a[k][p] = c * f - s * g, a[k][q] = s * f + c * g;
                    f = v[k][p], g = v[k][q];
                    v[k][p] = c * f - s * g, v[k][q] = s * f + c * g;
                }
                for (int k = 0; k < D; k++) {
                    double f = a[p][k], g = a[q][k];
                    a[p][k] = c * f - s * g, a[q][k] = s * f + c * g;
                }
            }
}

typedef struct ref_vim {
    double u[D], principal[D][D], alpha;
    int count;
} ref_vim;

static void ref_input(const sluice_head *h, int64_t i, double *out)
{
    for (int k = 0; k < D; k++) out[k] = ((double)x[i * D + k] - (h->mean ? (double)h->mean[k] : 0)) / (double)h->scale;
}

static double ref_residue(const ref_vim *r, const double *in)
{
    double sum = 0, v[D];
    for (int k = 0; k < D; k++) v[k] = in[k] - r->u[k];
    for (int j = 0; j < r->count; j++) {
        double along = 0;
        for (int k = 0; k < D; k++) along += r->principal[j][k] * (in[k] - r->u[k]);
        for (int k = 0; k < D; k++) v[k] -= along * r->principal[j][k];
    }
    for (int k = 0; k < D; k++) sum += v[k] * v[k];
    return sqrt(sum);
}

/* Logits: their largest, and the logarithm of the sum of their exponentials. */
static double ref_evidence(const sluice_head *h, const double *in, double *out_most)
{
    double z[C], sum = 0;
    *out_most = -INFINITY;
    for (int j = 0; j < C; j++) {
        z[j] = (double)h->layers[0].b[j];
        for (int k = 0; k < D; k++) z[j] += (double)h->layers[0].w[j * D + k] * in[k];
        *out_most = z[j] > *out_most ? z[j] : *out_most;
    }
    for (int j = 0; j < C; j++) sum += exp(z[j] - *out_most);
    return *out_most + log(sum);
}

/* Wang et al. 2022, section 4: u = -pinv(W) b, the space beside the principal one, alpha of equation 7. */
static void ref_vim_fit(const sluice_head *h, int m, ref_vim *r)
{
    double a[D][D] = { { 0 } }, v[D][D], in[D], all = 0, held = 0, logits = 0, residues = 0;
    const float *w = h->layers[0].w, *b = h->layers[0].b;
    memset(r, 0, sizeof *r);
    for (int i = 0; i < D; i++)
        for (int j = 0; j < D; j++)
            for (int c = 0; c < C; c++) a[i][j] += (double)w[c * D + i] * (double)w[c * D + j];
    jacobi(a, v);
    double largest = 0;
    for (int k = 0; k < D; k++) largest = a[k][k] > largest ? a[k][k] : largest;
    for (int k = 0; k < D; k++) {
        double along = 0;
        if (a[k][k] < 1e-8 * largest) continue;
        for (int c = 0; c < C; c++)
            for (int i = 0; i < D; i++) along += v[i][k] * (double)w[c * D + i] * (double)b[c];
        for (int i = 0; i < D; i++) r->u[i] -= v[i][k] * along / a[k][k];
    }
    memset(a, 0, sizeof a);
    for (int n = 0; n < m; n++) {
        ref_input(h, n, in);
        for (int i = 0; i < D; i++)
            for (int j = 0; j < D; j++) a[i][j] += (in[i] - r->u[i]) * (in[j] - r->u[j]);
    }
    jacobi(a, v);
    for (int k = 0; k < D; k++) all += a[k][k];
    while (r->count < m / 2 && r->count < D - 1 && held < 0.9 * all) {
        int best = 0;
        for (int k = 1; k < D; k++) best = a[k][k] > a[best][best] ? k : best;
        for (int i = 0; i < D; i++) r->principal[r->count][i] = v[i][best];
        r->count++;
        held += a[best][best], a[best][best] = -1;
    }
    for (int n = 0; n < m; n++) {
        double most;
        ref_input(h, n, in);
        ref_evidence(h, in, &most);
        logits += most, residues += ref_residue(r, in);
    }
    r->alpha = residues > 1e-6 && logits > 0 ? logits / residues : 0;
}

static sluice_head *head_of(sluice *s, const char *line, uint64_t seed, float temperature);

static void vim(int m, int bias)
{
    if (!case_is("outlier-vim, %d labels%s", m, bias < 0 ? ", logits below 0" : "")) return;
    float score[N];
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 2);
        sluice_head *h = head_of(s, "linear", 30, 1.5f);
        ref_vim r;
        for (int j = 0; j < C; j++) h->layers[0].b[j] = (float)(bias + j) / 4;
        for (int k = 0; k < D; k++)
            h->layers[0].w[2 * D + k] = -h->layers[0].w[k] - h->layers[0].w[D + k]; /* of softmax */
        CHECK_OK(s, head_prepare(s, h));
        ref_vim_fit(h, m, &r);
        CHECK((r.alpha > 0) == (bias > 0) && r.count <= m / 2, "alpha %g, %d directions", r.alpha, r.count);
        label_first(m, C);
        scores_of(s, &(sluice_select_args){ .strategies = "outlier-vim", .head = h }, N, D, score);
        for (int i = m; i < N; i++) {
            double in[D], most;
            if (i == 100) continue;
            ref_input(h, i, in);
            double evidence = ref_evidence(h, in, &most), want = r.alpha * ref_residue(&r, in) - evidence;
            CHECK_NEAR((double)score[i], want, 1e-4 * (1 + fabs(want) + fabs(evidence)), "row %d", i);
        }
        CHECK(isnan(score[100]), "a bad row scores %g", (double)score[100]);
        sluice_head_free(h), sluice_close(s);
    }
}

/* Labelled rows that do not differ, more features than labels, layers before the last: a score for every row all the same. */
static void vim_edges(void)
{
    if (!case_is("outlier-vim: equal labelled rows, a line of layers")) return;
    float score[N], kept[20 * D];
    sluice *s = tier_open(0, 2);
    memcpy(kept, x, sizeof kept);
    for (int way = 0; way < 2; way++) {
        sluice_head *h = head_of(s, way ? "mlp:16,relu,linear" : "linear", 30, 1);
        for (int i = 0; i < 20 && !way; i++) memcpy(x + i * D, kept, D * sizeof *x);
        label_first(20, C);
        scores_of(s, &(sluice_select_args){ .strategies = "outlier-vim", .head = h }, N, D, score);
        for (int i = 20; i < N; i++)
            CHECK(isfinite(score[i]) == (i != 100), "way %d: row %d scores %g", way, i, (double)score[i]);
        memcpy(x, kept, sizeof kept);
        sluice_head_free(h);
    }
    sluice_close(s);
}

/* ---- similarity ---- */

static void similarity(void)
{
    if (!case_is("similarity")) return;
    static const int64_t like[] = { 4, 150, 40, 100 }; /* 40 is zeros, 100 is bad */
    float score[N];
    sluice *s = tier_open(0, 2);
    label_first(0, C);
    scores_of(s, &(sluice_select_args){ .strategies = "similarity", .like = like, .like_count = 4 }, N, D, score);
    for (int64_t i = 0; i < N; i++) {
        double u[D], v[D], best = -1;
        unit_row(i, D, u);
        for (int j = 0; j < 2; j++) {
            double sum = 0;
            unit_row(like[j], D, v);
            for (int k = 0; k < D; k++) sum += u[k] * v[k];
            best = sum > best ? sum : best;
        }
        for (int j = 0; j < 4; j++)
            if (i == like[j]) best = NAN; /* never picked */
        CHECK_NEAR((double)score[i], best, 1e-6, "row %d", (int)i);
    }
    CHECK(score[41] == 0, "zeros are %g like others", (double)score[41]);
    sluice_close(s);
}

/* ---- outlier ---- */

static void outlier(void)
{
    if (!case_is("outlier: the mean of two quantiles of the rows that may be picked")) return;
    float score[N], energy[N], distance[N];
    sluice *s = tier_open(0, 2);
    sluice_head *h = test_head(s, D, C, 1.5f, 3);
    label_first(M, C);
    scores_of(s, &(sluice_select_args){ .strategies = "energy", .head = h }, N, D, energy);
    scores_of(s, &(sluice_select_args){ .strategies = "outlier-knn", .head = h }, N, D, distance);
    scores_of(s, &(sluice_select_args){ .strategies = "outlier", .head = h }, N, D, score);
    for (int i = M; i < N; i++) {
        double rank = 0, n = 0;
        for (int j = M; j < N; j++) {
            if (isnan(energy[j])) continue;
            rank += energy[j] < energy[i] ? 1 : energy[j] == energy[i] ? 0.5 : 0;
            rank += distance[j] < distance[i] ? 1 : distance[j] == distance[i] ? 0.5 : 0;
            n += 2;
        }
        CHECK_NEAR((double)score[i], i == 100 ? NAN : rank / n, 1e-6, "row %d", i);
    }
    sluice_head_free(h), sluice_close(s);
}

/* ---- passes ---- */

static int pass_keeps(int pass, int layer, int feature, double rate, uint64_t seed, int64_t labelled)
{
    uint64_t id = (uint64_t)pass << 32 | (uint64_t)(layer + 1);
    uint32_t word = ref_philox(seed, (12u << 27) ^ (uint32_t)labelled, id, (uint32_t)(feature / 4), feature % 4);
    return (double)(word >> 8) / 16777216 >= rate;
}

/* Logits of a pass: h a linear head, or mlp with a drop layer that is layer `at` (-1: the input). */
static void ref_pass(const sluice_head *h, const float *row, int pass, int at, double rate, int64_t labelled, double *z)
{
    double in[64], out[64];
    for (int64_t k = 0; k < h->in_width; k++)
        in[k] = ((double)row[k] - (h->mean ? (double)h->mean[k] : 0)) / (double)h->scale;
    for (int i = -1; i < h->layer_count; i++) {
        const layer *l = i < 0 ? NULL : &h->layers[i];
        int64_t width = l ? l->in_width : h->in_width;
        if (i == at)
            for (int64_t k = 0; k < width; k++)
                in[k] = pass_keeps(pass, i, (int)k, rate, 5, labelled) ? in[k] / (1 - rate) : 0;
        if (!l) continue;
        if (l->kind == LAYER_RELU)
            for (int64_t k = 0; k < width; k++) in[k] = in[k] > 0 ? in[k] : 0;
        if (l->kind != LAYER_DENSE) continue;
        for (int64_t j = 0; j < l->out_width; j++) {
            out[j] = (double)l->b[j];
            for (int64_t k = 0; k < width; k++) out[j] += in[k] * (double)l->w[j * width + k];
        }
        memcpy(in, out, sizeof in);
    }
    for (int j = 0; j < C; j++) z[j] = in[j] / (double)h->temperature;
}

static sluice_head *head_of(sluice *s, const char *line, uint64_t seed, float temperature)
{
    char *names[] = { "a", "b", "c" };
    sluice_head *h = NULL;
    CHECK_OK(s, head_new(s, line, (int64_t[3]){ D, 0, 0 }, C, names, &h));
    CHECK_OK(s, head_tensors(s, h));
    for (int i = 0; i < h->layer_count; i++)
        if (h->layers[i].w)
            fill_normal(h->layers[i].w, h->layers[i].in_width * h->layers[i].out_width, seed + (uint64_t)i);
    h->mean = NEW(s, D, float);
    fill_normal(h->mean, D, seed + 14);
    h->scale = 2, h->temperature = temperature;
    CHECK_OK(s, head_prepare(s, h));
    return h;
}

static int argmax(const double *z)
{
    int best = 0;
    for (int j = 1; j < C; j++) best = z[j] > z[best] ? j : best;
    return best;
}

/* bald, variation-ratio, flips of a row; false where an answer is too close for float.  One head: passes with parts of it
 * dropped.  Several: each is a pass, the first is the whole. */
static int ref_scores(sluice_head *const *heads, int members, int i, int passes, int at, double rate, double *out)
{
    double p[C] = { 0 }, mean = 0, whole[C];
    int votes[C] = { 0 }, clear = 1, other = 0;
    ref_pass(heads[0], x + i * D, 0, -2, 0, M, whole);
    for (int m = 0; m < passes; m++) {
        double z[C], sum = 0;
        if (members > 1) ref_pass(heads[m], x + i * D, 0, -2, 0, M, z);
        else ref_pass(heads[0], x + i * D, m, at, rate, M, z);
        int best = argmax(z);
        votes[best]++, other += best != argmax(whole);
        for (int j = 0; j < C; j++) {
            sum += exp(z[j]);
            clear &= j == best || z[best] - z[j] > 1e-4;
            clear &= j == argmax(whole) || whole[argmax(whole)] - whole[j] > 1e-4;
        }
        for (int j = 0; j < C; j++) {
            double q = exp(z[j]) / sum;
            p[j] += q / passes;
            mean -= q > 0 ? q * log(q) / passes : 0;
        }
    }
    out[0] = -mean;
    for (int j = 0; j < C; j++) out[0] -= p[j] > 0 ? p[j] * log(p[j]) : 0;
    int most_votes = votes[0];
    for (int j = 1; j < C; j++) most_votes = votes[j] > most_votes ? votes[j] : most_votes;
    out[1] = 1 - (double)most_votes / passes, out[2] = (double)other / passes;
    return clear;
}

static void passes(const char *line, int at, double rate, int count)
{
    if (!case_is("passes of %s", line)) return;
    static const char *const name[] = { "bald", "variation-ratio", "flips" };
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 2);
        sluice_head *h = head_of(s, line, 30, 1.5f);
        label_first(M, C);
        for (int w = 0; w < 3; w++) {
            char text[64];
            float score[N];
            int looked_at = 0;
            snprintf(text, sizeof text, "%s:passes=%d:rate=0.25", name[w], count);
            scores_of(s, &(sluice_select_args){ .strategies = text, .head = h, .seed = 5 }, N, D, score);
            for (int i = M; i < N; i++) {
                double want[3];
                if (i == 100 || !ref_scores(&h, 1, i, count, at, rate, want)) continue;
                looked_at++;
                CHECK_NEAR((double)score[i], want[w], w ? 1e-6 : 2e-5, "%s of row %d", name[w], i);
                CHECK(score[i] >= 0, "%s of row %d is %g", name[w], i, (double)score[i]);
            }
            CHECK(looked_at > 100, "%d rows", looked_at);
            CHECK(isnan(score[100]), "a bad row scores %g", (double)score[100]);
        }
        sluice_head_free(h), sluice_close(s);
    }
}

/* ---- committees ---- */

/* Heads of the lines' layers, each with weights and a temperature of its own. */
static void committee(const char *const *lines, int members)
{
    if (!case_is("a committee of %d: %s, %s, ...", members, lines[0], lines[1])) return;
    static const char *const name[] = { "bald", "variation-ratio", "flips" };
    sluice_head *h[8];
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 2);
        for (int m = 0; m < members; m++) h[m] = head_of(s, lines[m], 50 + 20 * (uint64_t)m, 1 + (float)m / 4);
        label_first(M, C);
        for (int w = 0; w < 3; w++) {
            float score[N];
            int looked_at = 0;
            scores_of(s,
                      &(sluice_select_args){ .strategies = name[w],
                                             .head = h[0],
                                             .committee = (const sluice_head *const *)h + 1,
                                             .committee_count = members - 1 },
                      N, D, score);
            for (int i = M; i < N; i++) {
                double want[3];
                if (i == 100 || !ref_scores(h, members, i, members, -2, 0, want)) continue;
                looked_at++;
                CHECK_NEAR((double)score[i], want[w], w ? 1e-6 : 2e-5, "%s of row %d", name[w], i);
            }
            CHECK(looked_at > 100, "%d rows", looked_at);
            CHECK(isnan(score[100]), "a bad row scores %g", (double)score[100]);
        }
        for (int m = 0; m < members; m++) sluice_head_free(h[m]);
        sluice_close(s);
    }
}

/* Who is asked for what: predictions are the first's, rows of any member's training are out, and all must agree. */
static void committee_rules(void)
{
    if (!case_is("a committee's first head predicts, no member's rows are picked, all agree on classes and width"))
        return;
    sluice *s = tier_open(0, 2);
    sluice_head *h[] = { test_head(s, D, C, 1, 3), test_head(s, D, C, 1, 4) };
    sluice_head *wide = test_head(s, D + 1, C, 1, 5), *more = test_head(s, D, C + 1, 1, 6),
                *renamed = test_head(s, D, C, 1, 7);
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, N, D, NULL);
    sluice_pool_info info;
    sluice_pool_get_info(pool, &info);
    h[1]->pool_fingerprint = info.fingerprint, h[1]->train_count = 2;
    h[1]->train_ids = NEW(s, 2, uint64_t), h[1]->train_row_hash = NEW(s, 2, uint64_t);
    h[1]->train_ids[0] = 7, h[1]->train_ids[1] = 30;
    const sluice_head *const *second = (const sluice_head *const *)h + 1;
    sluice_select_args a = { .strategies = "bald", .head = h[0], .committee = second, .committee_count = 1, .k = N };
    sluice_picks *both = pick(s, pool, a);
    sluice_picks *alone = pick(s, pool, (sluice_select_args){ .strategies = "margin", .head = h[0], .k = N });
    CHECK(sluice_picks_count(both, 0) == N - 3, "%d picks", (int)sluice_picks_count(both, 0));
    for (int i = 0; i < sluice_picks_count(both, 0); i++) {
        const sluice_pick *p = &sluice_picks_get(both, 0)[i], *q = sluice_picks_get(alone, 0);
        while (q->row != p->row) q++;
        CHECK(p->row != 7 && p->row != 30, "row %d was trained on", (int)p->row);
        CHECK(p->prediction == q->prediction && p->confidence == q->confidence, "row %d", (int)p->row);
    }
    sluice_picks_free(both), sluice_picks_free(alone);
    const struct {
        const sluice_head *other;
        const char *strategy, *want;
        sluice_status st;
    } bad[] = { { wide, "bald", "head 1 takes 12 features, head 2 13", SLUICE_E_SHAPE },
                { more, "bald", "head 1 has 3, head 2 4", SLUICE_E_SHAPE },
                { renamed, "flips", "class 1 of head 1 is", SLUICE_E_SHAPE },
                { h[1], "bald:passes=3", "committee's heads", SLUICE_E_USAGE },
                { h[1], "margin,entropy", "no strategy asks", SLUICE_E_USAGE } };
    mem_free(renamed->names[1]), renamed->names[1] = mem_text(s, "other");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        a.strategies = bad[i].strategy, a.committee = &bad[i].other;
        expect_fail(s, pool, a, bad[i].st, bad[i].want);
    }
    a.head = NULL, a.strategies = "bald", a.committee = second;
    expect_fail(s, pool, a, SLUICE_E_USAGE, "needs its first head");
    sluice_pool_free(pool);
    sluice_head_free(h[0]), sluice_head_free(h[1]), sluice_head_free(wide), sluice_head_free(more),
        sluice_head_free(renamed);
    sluice_close(s);
}

/* ---- all of them ---- */

#define ALL                                                                                                            \
    "outlier,outlier-rank,outlier-rank:of=all,outlier-knn,outlier-mahalanobis,outlier-relative,outlier-vim,"           \
    "similarity,bald,"                                                                                                 \
    "variation-ratio,flips,power-outlier-knn,power-bald"

static sluice_picks *all_of_them(const char *const *paths, int count, int tier, int threads, int64_t mem_mib,
                                 int members, sluice_pool **out_pool)
{
    static const int64_t like[] = { 70, 150 };
    sluice *s = tier_open(tier, threads);
    s->mem_bytes = (size_t)mem_mib << 20;
    sluice_head *h = test_head(s, D, C, 1.5f, 3), *other[2];
    for (int m = 0; m < members; m++) other[m] = test_head(s, D, C, 1, 20 + (uint64_t)m);
    h->held_count = 40, h->held_logits = NEW(s, 40 * C, float), h->held_target = NEW(s, 40, int32_t);
    fill_normal(h->held_logits, 40 * C, 12);
    *out_pool = file_pool(s, paths, count);
    sluice_labels *l = NULL;
    CHECK_OK(s, sluice_labels_from_array(s, *out_pool, target, C, &l));
    sluice_picks *p = pick(s, *out_pool,
                           (sluice_select_args){ .strategies = ALL,
                                                 .head = h,
                                                 .labels = l,
                                                 .k = 120,
                                                 .seed = 9,
                                                 .like = like,
                                                 .like_count = 2,
                                                 .committee = (const sluice_head *const *)other,
                                                 .committee_count = members });
    for (int m = 0; m < members; m++) sluice_head_free(other[m]);
    sluice_labels_free(l), sluice_head_free(h), sluice_close(s);
    return p;
}

static void same_bits(int members)
{
    if (!case_is("the same bits for tiers, threads, memory, shards; %d more heads", members)) return;
    static char name[4][512];
    const char *one[] = { name[0] }, *three[] = { name[1], name[2], name[3] };
    static const int from[] = { 0, 0, 13, 200 }, to[] = { N, 13, 200, N };
    for (int i = 0; i < 4; i++) {
        char file[16];
        snprintf(file, sizeof file, "%d.npy", i);
        snprintf(name[i], sizeof name[i], "%s", test_path(file));
        write_npy(name[i], "<f4", x + from[i] * D, to[i] - from[i], D, 4);
    }
    label_first(M, C);
    sluice_pool *first, *pool;
    sluice_picks *want = all_of_them(one, 1, 0, 1, 1024, members, &first);
    for (int t = 0; t < tier_count(); t++)
        for (int way = 0; way < 2; way++) {
            sluice_picks *got = all_of_them(way ? three : one, way ? 3 : 1, t, way + 2, way ? 1 : 64, members, &pool);
            CHECK(same_picks(want, got), "%s, way %d", tier_name(t), way);
            sluice_picks_free(got), sluice_pool_free(pool);
        }
    sluice_picks_free(want), sluice_pool_free(first);
}

static int warned;
static void hear(void *user, sluice_level level, const char *line)
{
    (void)user;
    warned += level == SLUICE_WARNING && strstr(line, "bald:rate=0: every row scores 0") != NULL;
}

static void constants(void)
{
    if (!case_is("a constant column is a warning, its order that of the hash")) return;
    sluice *s = tier_open(0, 1);
    sluice_head *h = test_head(s, D, C, 1, 3);
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, N, D, NULL);
    s->opt.log = hear;
    sluice_picks *p = pick(s, pool, (sluice_select_args){ .strategies = "bald:rate=0", .head = h, .k = 3 });
    CHECK(warned == 1, "%d warnings", warned);
    const sluice_pick *q = sluice_picks_get(p, 0);
    for (int i = 1; i < 3; i++) CHECK(ref_hash(0, q[i - 1].id64) < ref_hash(0, q[i].id64), "pick %d", i);
    sluice_picks_free(p);
    p = pick(s, pool, (sluice_select_args){ .strategies = "power-bald:beta=2", .head = h, .k = N });
    for (int i = 0; i < sluice_picks_count(p, 0); i++)
        CHECK(sluice_picks_get(p, 0)[i].score == sluice_picks_get(p, 0)[i].score, "pick %d is NaN", i);
    CHECK(warned == 1, "%d warnings", warned);
    sluice_picks_free(p), sluice_pool_free(pool), sluice_head_free(h), sluice_close(s);
}

static void refusals(void)
{
    if (!case_is("what is missing is said")) return;
    sluice *s = tier_open(0, 1);
    sluice_head *h = test_head(s, D, C, 1, 3);
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, N, D, NULL);
    static const struct {
        const char *strategy, *want;
        bool head, logits;
    } bad[] = {
        { "outlier-rank", "held-out", true, false },
        { "outlier-rank", "head", false, false },
        { "outlier-rank", "--head", false, true },
        { "outlier-knn", "labelled", true, false },
        { "outlier-knn", "features|logits", false, true },
        { "outlier-mahalanobis", "labelled", true, false },
        { "outlier-relative", "labelled", true, false },
        { "outlier-vim", "head", false, false },
        { "outlier-vim", "labelled", true, false },
        { "similarity", "--like", true, false },
        { "outlier", "head", false, false },
        { "outlier", "labelled", true, false },
        { "bald", "head", false, false },
        { "flips", "features", false, true },
        { "bald:passes=0", "passes", true, false },
        { "bald:passes=2.5", "passes", true, false },
        { "bald:rate=1", "below 1", true, false },
        { "outlier-knn:k=0.5", "whole", true, false },
        { "outlier-rank:of=none", "all", true, false },
        { "dropquery", "head", false, false },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_fail(s, pool,
                    (sluice_select_args){ .strategies = bad[i].strategy,
                                          .k = 1,
                                          .head = bad[i].head ? h : NULL,
                                          .logits = bad[i].logits ? pool : NULL },
                    SLUICE_E_USAGE, bad[i].want);
    static const int64_t none[] = { 40 }, beyond[] = { N };
    expect_fail(s, pool, (sluice_select_args){ .strategies = "similarity", .k = 1, .like = none, .like_count = 1 },
                SLUICE_E_DATA, "zeros");
    expect_fail(s, pool, (sluice_select_args){ .strategies = "similarity", .k = 1, .like = beyond, .like_count = 1 },
                SLUICE_E_USAGE, "240");
    sluice_pool_free(pool), sluice_head_free(h), sluice_close(s);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    fill_normal(x, N * D, 1);
    for (int i = 0; i < N; i++) x[i * D + i % 3] += 3;
    memset(x + 40 * D, 0, D * sizeof *x), memset(x + 41 * D, 0, D * sizeof *x);
    for (int i = 80; i < 95; i++) memcpy(x + i * D, x + (i - 80) * D, D * sizeof *x); /* duplicates of labelled rows */
    x[100 * D + 5] = NAN;
    rank(60, "outlier-rank"), rank(25, "outlier-rank"), rank(1, "outlier-rank"), rank(60, "outlier-rank:of=all");
    munro_is_inverted();
    knn("outlier-knn", 60, C, 10), knn("outlier-knn", 12, C, 2), knn("outlier-knn", 1, 1, 1);
    knn("outlier-knn:k=5", 60, 1, 5), knn("outlier-knn:k=50", 20, C, 20);
    for (int r = 0; r < 2; r++) {
        const char *name = r ? "outlier-relative" : "outlier-mahalanobis";
        gaussians(name, 60, C), gaussians(name, 8, C), gaussians(name, 3, C), gaussians(name, 1, 1);
        gaussians(name, 40, 1), gaussians(name, 4, C);
    }
    eigenvectors(1, 1), eigenvectors(2, 2), eigenvectors(3, 0), eigenvectors(130, 130), eigenvectors(90, 20);
    vim(60, 8), vim(5, 8), vim(3, 8), vim(1, 8), vim(60, -100);
    vim_edges();
    similarity();
    outlier();
    passes("linear", -1, 0.25, 4), passes("mlp:16,relu,drop:0.5,linear", 2, 0.5, 3);
    passes("mlp:16,relu,linear", -1, 0.25, 3), passes("drop:0.5,mlp:16,relu,linear", 0, 0.5, 5);
    committee((const char *const[]){ "linear", "linear", "linear", "linear" }, 4);
    committee((const char *const[]){ "linear", "mlp:16,relu,drop:0.5,linear", "mlp:8,relu,linear" }, 3);
    committee_rules();
    constants();
    same_bits(0), same_bits(2);
    refusals();
    return test_end();
}
