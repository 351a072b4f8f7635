/* unit_linear.c - training of linear heads: C out of fold against Newton's method in double, classes without labels, the
 * record of what was trained on, the same bits on every tier and thread count. */
#include "harness.h"
#include "learn.h"
#include "pool.h"
#include "ref_linear.h"

#include <jansson.h>

enum { M = 150, D = 4, C = 3 };
static const double path[] = { 1e-4, 1e-3, 1e-2, 1e-1, 1, 10 };
static char *const names[] = { "a", "b", "c", "d", "e", "f" };

typedef struct rows {
    float *x;
    int32_t *target;
    uint64_t *ids;
    int64_t m, d;
    int c;
} rows;

/* Overlapping clouds far from the origin and not of unit size. */
static rows make_rows(int64_t m, int64_t d, int c, uint64_t seed)
{
    rows r = { calloc((size_t)(m * d), sizeof(float)),
               calloc((size_t)m, sizeof(int32_t)),
               calloc((size_t)m, sizeof(uint64_t)),
               m,
               d,
               c };
    rng g = { seed };
    fill_normal(r.x, m * d, seed + 1);
    for (int64_t i = 0; i < m; i++) {
        r.target[i] = (int32_t)(i < c ? (uint64_t)i : rng_u64(&g) % (uint64_t)c), r.ids[i] = (uint64_t)i * 7 + 1;
        for (int64_t k = 0; k < d; k++) r.x[i * d + k] = 50 + 4 * (r.x[i * d + k] + (k % c == r.target[i] ? 1.5f : 0));
    }
    return r;
}

static void free_rows(rows *r) { free(r->x), free(r->target), free(r->ids); }

static train_set set_of(const rows *r)
{
    return (train_set){ .x = r->x,
                        .target = r->target,
                        .ids = r->ids,
                        .m = r->m,
                        .shape = { r->d },
                        .width = r->d,
                        .classes = r->c,
                        .names = names,
                        .fingerprint = 77 };
}

static const sluice_train_args plain = { .size = sizeof plain };

/* ---- the choice of C ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static int fold_of(uint64_t seed, uint64_t id)
{
    uint64_t s = mix(seed + 0x9e3779b97f4a7c15u);
    return (int)(mix(mix(id ^ s) + s) % 5);
}

static void standardise(const rows *r, double *x, double *out_mean, double *out_scale)
{
    double square = 0;
    for (int64_t k = 0; k < r->d; k++) {
        double sum = 0;
        for (int64_t i = 0; i < r->m; i++) sum += (double)r->x[i * r->d + k];
        out_mean[k] = sum / (double)r->m;
        for (int64_t i = 0; i < r->m; i++) {
            x[i * r->d + k] = (double)r->x[i * r->d + k] - out_mean[k];
            square += x[i * r->d + k] * x[i * r->d + k];
        }
    }
    *out_scale = sqrt(square / (double)(r->m * r->d));
    for (int64_t i = 0; i < r->m * r->d; i++) x[i] /= *out_scale;
}

/* Mean NLL of the rows of each fold by a fit of the others; only for rows whose class the others hold. */
static double out_of_fold(const rows *r, const double *x, double l2, uint64_t seed)
{
    static double part[M * D], theta[REF_PARAMETERS], p[REF_PARAMETERS];
    static int32_t target[M];
    double sum = 0;
    for (int f = 0; f < 5; f++) {
        int m = 0;
        for (int64_t i = 0; i < r->m; i++)
            if (fold_of(seed, r->ids[i]) != f)
                memcpy(part + m * r->d, x + i * r->d, (size_t)r->d * sizeof *x), target[m++] = r->target[i];
        ref_problem fit = { part, target, NULL, m, (int)r->d, r->c, l2 };
        ref_fit(&fit, theta);
        ref_problem all = { x, r->target, NULL, (int)r->m, (int)r->d, r->c, l2 };
        for (int64_t i = 0; i < r->m; i++)
            if (fold_of(seed, r->ids[i]) == f) sum += ref_softmax(&all, theta, (int)i, p);
    }
    return sum / (double)r->m;
}

static void check_path(const rows *r, const double *x, const sluice_head *h, uint64_t seed)
{
    json_t *j = json_loads(h->trained, 0, NULL), *steps = json_object_get(j, "path");
    double best = INFINITY, best_c = 0;
    CHECK(json_array_size(steps) >= 4, "%zu steps of the path: %s", json_array_size(steps), h->trained);
    for (size_t i = 0; i < json_array_size(steps); i++) {
        json_t *step = json_array_get(steps, i);
        double nll = json_real_value(json_object_get(step, "nll")), want = out_of_fold(r, x, path[i], seed);
        CHECK_NEAR(json_real_value(json_object_get(step, "C")), path[i], 0, "C");
        CHECK_NEAR(nll, want, 2e-4 * want, "out-of-fold NLL at C=%g", path[i]);
        if (want < best) best = want, best_c = path[i];
    }
    CHECK_NEAR(h->l2, best_c, 0, "the chosen C");
    double held = nll_sum(h->held_logits, h->held_target, h->held_count, h->classes, 1) / (double)h->held_count;
    CHECK_NEAR(held, best, 2e-4 * best, "NLL of the held-out logits");
    json_decref(j);
}

static void choice_of_c(sluice *s)
{
    for (uint64_t seed = 0; seed < 3; seed++) {
        if (!case_is("choice of C, seed %d", (int)seed)) continue;
        rows r = make_rows(M, D, C, 20 + seed);
        train_set t = set_of(&r);
        sluice_train_args a = plain;
        sluice_head *h = NULL;
        double x[M * D], mean[D], scale, theta[REF_PARAMETERS];
        a.seed = seed;
        CHECK_OK(s, train_head(s, &t, &a, &h));
        standardise(&r, x, mean, &scale);
        check_path(&r, x, h, seed);
        for (int k = 0; k < D; k++) CHECK_NEAR((double)h->mean[k], mean[k], 1e-5 * mean[k], "mean %d", k);
        CHECK_NEAR((double)h->scale, scale, 1e-6 * scale, "scale");

        ref_problem all = { x, r.target, NULL, M, D, C, h->l2 };
        ref_fit(&all, theta);
        for (int k = 0; k < C * D; k++)
            CHECK_NEAR((double)h->layers[0].w[k], theta[k], 5e-3, "weight %d of the final fit", k);
        CHECK(h->held_count == M && h->train_count == M && h->pool_fingerprint == 77, "%lld held out",
              (long long)h->held_count);
        CHECK(h->temperature > 0.5f && h->temperature < 2, "T = %g", (double)h->temperature);
        sluice_head_free(h), free_rows(&r);
    }
}

static void fixed_c(sluice *s)
{
    if (!case_is("a given C")) return;
    rows r = make_rows(M, D, C, 3);
    train_set t = set_of(&r);
    sluice_train_args a = plain;
    sluice_head *h = NULL;
    a.l2 = 0.05;
    CHECK_OK(s, train_head(s, &t, &a, &h));
    CHECK(h->l2 == 0.05 && h->held_count == M, "C = %g, %lld held out", h->l2, (long long)h->held_count);
    CHECK(strstr(h->trained, "\"chosen\":false") != NULL, "%s", h->trained);
    sluice_head_free(h), free_rows(&r);
}

/* ---- classes ---- */

/* Classes b and d of five have no labels. */
static void absent_classes(sluice *s)
{
    if (!case_is("classes without labels")) return;
    rows r = make_rows(M, D, C, 4), full = r;
    int32_t spread[M];
    for (int i = 0; i < M; i++) spread[i] = 2 * r.target[i];
    full.target = spread, full.c = 5;
    train_set t = set_of(&r), sparse = set_of(&full);
    sluice_head *h = NULL, *want = NULL;
    CHECK_OK(s, train_head(s, &sparse, &plain, &h));
    CHECK_OK(s, train_head(s, &t, &plain, &want));
    CHECK(h->classes == 3, "%d classes", h->classes);
    CHECK(!strcmp(h->names[0], "a") && !strcmp(h->names[1], "c") && !strcmp(h->names[2], "e"), "%s %s %s", h->names[0],
          h->names[1], h->names[2]);
    CHECK_SAME(h->layers[0].w, want->layers[0].w, C * D * 4, "weights");
    sluice_head_free(h), sluice_head_free(want), free_rows(&r);
}

/* A class of one row is unknown to the fold that holds it out: that row is judged by nobody, the head still knows it. */
static void single_row(sluice *s)
{
    if (!case_is("a class of one row")) return;
    rows r = make_rows(M, D, C, 4);
    for (int i = 0; i < M; i++) r.target[i] = i == 60 ? 2 : r.target[i] % 2;
    for (int k = 0; k < D; k++) r.x[60 * D + k] = 90;
    train_set t = set_of(&r);
    sluice_head *h = NULL;
    float z[3];
    CHECK_OK(s, train_head(s, &t, &plain, &h));
    CHECK(h->held_count == M - 1 && h->classes == 3, "%lld held out", (long long)h->held_count);
    for (int64_t i = 0; i < h->held_count; i++) CHECK(h->held_target[i] != 2, "row %lld", (long long)i);
    CHECK_OK(s, head_logits(s, h, sluice_rows(r.x + 60 * D, SLUICE_F32, 1, D), z));
    CHECK(z[2] > z[0] && z[2] > z[1], "%g %g %g", (double)z[0], (double)z[1], (double)z[2]);
    CHECK(h->temperature == 1, "T = %g with a class under 5 rows", (double)h->temperature);
    sluice_head_free(h), free_rows(&r);
}

static void few_rows(sluice *s)
{
    if (!case_is("one row of each class")) return;
    rows r = make_rows(2, D, 2, 4);
    train_set t = set_of(&r);
    sluice_head *h = NULL;
    float z[4];
    CHECK_OK(s, train_head(s, &t, &plain, &h));
    CHECK(h->held_count == 0 && h->l2 == 1, "%lld held out, C = %g", (long long)h->held_count, h->l2);
    CHECK_OK(s, head_logits(s, h, sluice_rows(r.x, SLUICE_F32, 2, D), z));
    CHECK(z[0] > z[1] && z[3] > z[2], "the two rows are told apart");
    CHECK_OK(s, sluice_head_save(s, h, test_path("two.safetensors"), 1));
    sluice_head *back = NULL;
    CHECK_OK(s, sluice_head_load(s, test_path("two.safetensors"), &back));
    sluice_head_free(h), sluice_head_free(back), free_rows(&r);
}

/* 90% of the rows are of class 0; balanced weights give the classes equal say, so the intercepts come closer. */
static void balanced(sluice *s)
{
    if (!case_is("balanced weights")) return;
    rows r = make_rows(M, D, 2, 4);
    for (int i = 0; i < M; i++) r.target[i] = i % 10 == 0;
    train_set t = set_of(&r);
    sluice_train_args a = plain;
    sluice_head *h = NULL;
    double x[M * D], mean[D], scale, theta[REF_PARAMETERS], weight[2] = { 150 / (2 * 135.0), 150 / (2 * 15.0) };
    a.l2 = 0.1, a.class_weights = "balanced";
    CHECK_OK(s, train_head(s, &t, &a, &h));
    standardise(&r, x, mean, &scale);
    ref_problem all = { x, r.target, weight, M, D, 2, 0.1 };
    ref_fit(&all, theta);
    for (int k = 0; k < 2 * D; k++) CHECK_NEAR((double)h->layers[0].w[k], theta[k], 2e-3, "weight %d", k);
    CHECK_NEAR((double)(h->layers[0].b[1] - h->layers[0].b[0]), theta[2 * D + 1] - theta[2 * D], 2e-3, "intercepts");
    sluice_head_free(h), free_rows(&r);
}

static void refusals(sluice *s)
{
    rows r = make_rows(20, D, 3, 4);
    sluice_head *h = NULL;
    train_set t = set_of(&r);
    sluice_train_args a = plain;
    if (case_is("unknown class weights")) {
        a.class_weights = "even";
        CHECK(train_head(s, &t, &a, &h) == SLUICE_E_USAGE && strstr(sluice_error(s), "'even'"), "%s", sluice_error(s));
    }
    if (case_is("a negative C")) {
        a = plain, a.l2 = -1;
        CHECK(train_head(s, &t, &a, &h) == SLUICE_E_USAGE, "%s", sluice_error(s));
    }
    if (case_is("a class out of range")) {
        r.target[7] = 3;
        CHECK(train_head(s, &t, &plain, &h) == SLUICE_E_DATA && strstr(sluice_error(s), "class 3 of 3"), "%s",
              sluice_error(s));
    }
    if (case_is("one class")) {
        for (int i = 0; i < 20; i++) r.target[i] = 1;
        CHECK(train_head(s, &t, &plain, &h) == SLUICE_E_DATA && strstr(sluice_error(s), "'b'"), "%s", sluice_error(s));
    }
    if (case_is("no rows")) {
        t.m = 0;
        CHECK(train_head(s, &t, &plain, &h) == SLUICE_E_DATA, "%s", sluice_error(s));
    }
    if (case_is("features beyond f32")) {
        t = set_of(&r);
        for (int i = 0; i < 20; i++) r.target[i] = i % 3, r.x[i * D] = i % 2 ? 3e38f : -3e38f;
        CHECK(train_head(s, &t, &plain, &h) == SLUICE_E_DATA, "%s", sluice_error(s));
    }
    CHECK(h == NULL, "a head came out");
    free_rows(&r);
}

static void blank_features(sluice *s)
{
    if (!case_is("features that are all alike")) return;
    rows r = make_rows(M, D, C, 4);
    for (int i = 0; i < M * D; i++) r.x[i] = 3;
    train_set t = set_of(&r);
    sluice_head *h = NULL;
    CHECK_OK(s, train_head(s, &t, &plain, &h));
    CHECK(h && h->scale == 1, "scale %g", h ? (double)h->scale : 0);
    sluice_head_free(h), free_rows(&r);
}

static void many_labels(sluice *s)
{
    if (!case_is("one fold above 20,000 labels")) return;
    rows r = make_rows(20001, 2, 2, 4);
    train_set t = set_of(&r);
    sluice_head *h = NULL;
    int64_t held = 0;
    CHECK_OK(s, train_head(s, &t, &plain, &h));
    for (int64_t i = 0; i < r.m; i++) held += fold_of(0, r.ids[i]) == 0;
    CHECK(h->held_count == held, "%lld held out, not %lld", (long long)h->held_count, (long long)held);
    CHECK(strstr(h->trained, "\"folds\":1,") != NULL, "%s", h->trained);
    sluice_head_free(h), free_rows(&r);
}

/* ---- the same bits ---- */

static void same_bits(int64_t m, int64_t d, int c)
{
    if (!case_is("bits m=%lld d=%lld c=%d", (long long)m, (long long)d, c)) return;
    rows r = make_rows(m, d, c, 4);
    train_set t = set_of(&r);
    uint64_t want = 0;
    for (int tier = 0; tier < tier_count(); tier++)
        for (int threads = 1; threads <= 3; threads += 2) {
            sluice *s = tier_open(tier, threads);
            sluice_head *h = NULL;
            char *text = NULL;
            int64_t n = 0;
            CHECK_OK(s, train_head(s, &t, &plain, &h));
            CHECK_OK(s, sluice_head_save(s, h, test_path("bits.safetensors"), 1));
            CHECK_OK(s, file_read(s, test_path("bits.safetensors"), 1 << 24, &text, &n));
            uint64_t got = hash_bytes(text, (size_t)n, 0);
            if (tier == 0 && threads == 1) want = got;
            CHECK(got == want, "%s with %d threads", tier_name(tier), threads);
            mem_free(text), sluice_head_free(h), sluice_close(s);
        }
    free_rows(&r);
}

/* ---- from a pool ---- */

static void from_pool(sluice *s)
{
    if (!case_is("train and eval on a pool")) return;
    rows r = make_rows(M, D, C, 9);
    r.x[5 * D + 2] = NAN;
    int32_t first[M], all[M];
    for (int i = 0; i < M; i++) first[i] = i < 100 ? r.target[i] : -1, all[i] = r.target[i];
    sluice_pool *pool = NULL;
    sluice_labels *labels = NULL, *test = NULL;
    sluice_head *h = NULL;
    sluice_eval_result e = { 0 };
    CHECK_OK(s, sluice_pool_from_rows(s, r.x, SLUICE_F32, M, D, D * 4, r.ids, &pool));
    CHECK_OK(s, sluice_labels_from_array(s, pool, first, C, &labels));
    CHECK_OK(s, sluice_labels_from_array(s, pool, all, C, &test));
    CHECK_OK(s, sluice_train(s, pool, &(sluice_train_args){ .size = sizeof(sluice_train_args), .labels = labels }, &h));
    CHECK(h->train_count == 99, "%lld rows trained on, one of 100 holds a NaN", (long long)h->train_count);
    CHECK(h->train_ids[5] == r.ids[6], "the id behind the bad row");
    CHECK(h->train_row_hash[5] == hash_bytes(r.x + 6 * D, D * 4, 0), "its hash");
    CHECK_OK(s, sluice_eval(s, pool, h, test, &e));
    CHECK(e.n == M && e.train_overlap == 99, "%lld rows, %lld trained on", (long long)e.n, (long long)e.train_overlap);
    CHECK(e.accuracy > 0.7 && e.accuracy_low < e.accuracy && e.accuracy < e.accuracy_high, "accuracy %g", e.accuracy);
    sluice_eval_result_release(&e), sluice_head_free(h);
    sluice_labels_free(labels), sluice_labels_free(test), sluice_pool_free(pool), free_rows(&r);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice *s = tier_open(0, 2);
    choice_of_c(s);
    fixed_c(s);
    absent_classes(s);
    single_row(s);
    few_rows(s);
    balanced(s);
    refusals(s);
    blank_features(s);
    many_labels(s);
    from_pool(s);
    sluice_close(s);
    same_bits(70, 33, 4);
    same_bits(23, 5, 6);
    return test_end();
}
