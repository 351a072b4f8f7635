/* unit_pseudo.c - self-training: which rows become labels and the fit to them, each by its definition in double; what true
 * labels alone say stays; labelled and bad rows are no pseudo-labels; too many are cut by their hash; the same bits for
 * tiers, threads and shards. */
#include "learn.h"
#include "ref_linear.h"
#include "sampling.h"

#include <jansson.h>

enum { N = 500, M = 60, D = 4, C = 3 };

static float x[N * D];
static int32_t truth[N], target[N];
static int warned;

/* Overlapping clouds, so that some rows are sure and some are not; row 70 is bad. */
static void make_rows(void)
{
    rng g = { 5 };
    fill_normal(x, N * D, 2);
    for (int i = 0; i < N; i++) {
        truth[i] = (int32_t)(rng_u64(&g) % C);
        target[i] = i < M ? truth[i] : -1;
        for (int k = 0; k < D; k++) x[i * D + k] = 20 + 3 * (x[i * D + k] + (k % C == truth[i] ? 2.0f : 0));
    }
    x[70 * D + 1] = NAN;
}

static sluice_train_args args_of(const sluice_labels *l, const sluice_pool *pseudo, double threshold)
{
    return (sluice_train_args){
        .size = sizeof(sluice_train_args), .labels = l, .seed = 3, .pseudo = pseudo, .pseudo_threshold = threshold
    };
}

/* ---- by definition ---- */

typedef struct reference {
    double x[2 * N * D]; /* standardised as h says */
    int32_t target[2 * N];
    int m, confident;
} reference;

static void add_row(reference *r, const sluice_head *h, const float *row, int32_t j)
{
    for (int k = 0; k < D; k++) r->x[r->m * D + k] = ((double)row[k] - (double)h->mean[k]) / (double)h->scale;
    r->target[r->m++] = j;
}

/* The class of a row and its confidence at h's temperature. */
static int answer(const sluice_head *h, const float *row, double *out_confidence)
{
    double z[C], sum = 0;
    int best = 0;
    for (int j = 0; j < C; j++) {
        z[j] = (double)h->layers[0].b[j];
        for (int k = 0; k < D; k++)
            z[j] += (double)h->layers[0].w[j * D + k] * ((double)row[k] - (double)h->mean[k]) / (double)h->scale;
        best = z[j] > z[best] ? j : best;
    }
    for (int j = 0; j < C; j++) sum += exp((z[j] - z[best]) / (double)h->temperature);
    *out_confidence = 1 / sum;
    return best;
}

/* Labels and sure rows; false: a row is so near the threshold that rounding decides. */
static int refer(reference *r, const sluice_head *h, double threshold, int labelled_too)
{
    int clear = 1;
    r->m = r->confident = 0;
    for (int i = 0; i < M; i++) add_row(r, h, x + i * D, truth[i]);
    for (int i = labelled_too ? 0 : M; i < N; i++) {
        double confidence = 0;
        int j = i == 70 ? 0 : answer(h, x + i * D, &confidence);
        clear &= fabs(confidence - threshold) > 1e-5;
        if (confidence < threshold) continue;
        add_row(r, h, x + i * D, j);
        r->confident++;
    }
    return clear;
}

static void check_record(const sluice_head *h, const sluice_pool *pool, int rows, int confident, double threshold)
{
    json_t *j = json_loads(h->trained, 0, NULL), *own = json_object_get(j, "pseudo");
    char fingerprint[17];
    snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)pool->fingerprint);
    CHECK(json_integer_value(json_object_get(own, "rows")) == rows, "%d rows: %s", rows, h->trained);
    CHECK(json_integer_value(json_object_get(own, "confident")) == confident, "%d confident: %s", confident,
          h->trained);
    CHECK_NEAR(json_real_value(json_object_get(own, "threshold")), threshold, 0, "threshold");
    CHECK_NEAR(json_real_value(json_object_get(own, "C")), h->l2 / 100, 1e-12, "C");
    CHECK(strcmp(json_string_value(json_object_get(own, "pool")), fingerprint) == 0, "%s", h->trained);
    CHECK(json_integer_value(json_object_get(j, "rows")) == h->train_count, "labels: %s", h->trained);
    json_decref(j);
}

static void same_truth(const sluice_head *a, const sluice_head *b)
{
    CHECK(a->train_count == M && b->train_count == M && a->held_count == b->held_count, "counts");
    CHECK(memcmp(a->train_ids, b->train_ids, M * sizeof *a->train_ids) == 0, "rows trained on");
    CHECK(memcmp(a->held_logits, b->held_logits, (size_t)(a->held_count * C) * sizeof(float)) == 0, "held-out logits");
    CHECK(memcmp(a->held_target, b->held_target, (size_t)a->held_count * sizeof(int32_t)) == 0, "held-out targets");
    CHECK(a->temperature == b->temperature && a->l2 == b->l2, "temperature %g, %g", (double)a->temperature,
          (double)b->temperature);
}

static void by_definition(double threshold, bool other, bool balanced)
{
    if (!case_is("sure at %g, %s pool%s", threshold, other ? "another" : "the same", balanced ? ", balanced" : ""))
        return;
    static reference r;
    uint64_t ids[N];
    double theta[REF_PARAMETERS], weight[C] = { 0 };
    for (int i = 0; i < N; i++) ids[i] = 1000 + (uint64_t)i;
    sluice *s = tier_open(0, 2);
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, N, D, NULL), *pseudo = memory_pool(s, x, SLUICE_F32, N, D, ids);
    pseudo->fingerprint ^= 1;
    if (!other) sluice_pool_free(pseudo), pseudo = pool;
    sluice_labels *l = NULL;
    sluice_head *plain = NULL, *self = NULL, *alone = NULL, *none = NULL;
    CHECK_OK(s, sluice_labels_from_array(s, pool, target, C, &l));
    sluice_train_args a = args_of(l, pseudo, threshold);
    a.class_weights = balanced ? "balanced" : NULL;
    CHECK_OK(s, train_both(s, pool, &a, &self, &plain));
    CHECK_OK(s, sluice_train(s, pool, &a, &alone));
    a.pseudo = NULL;
    CHECK_OK(s, sluice_train(s, pool, &a, &none));
    threshold = threshold > 0 ? threshold : 0.8;
    CHECK(refer(&r, plain, threshold, other), "the rows of this test leave it to rounding");
    CHECK(r.confident > 100 && r.confident < N - M - 20 + other * M, "%d rows are sure", r.confident);
    for (int i = 0; i < r.m; i++) weight[r.target[i]] += 1;
    for (int j = 0; j < C; j++) weight[j] = r.m / (C * weight[j]);
    ref_problem problem = { r.x, r.target, balanced ? weight : NULL, r.m, D, C, plain->l2 / 100 };
    ref_fit(&problem, theta);
    for (int k = 0; k < C * D; k++) {
        CHECK_NEAR((double)alone->layers[0].w[k], theta[k], 5e-4, "weight %d", k);
        CHECK(alone->layers[0].w[k] == self->layers[0].w[k], "weight %d of both", k);
        CHECK(none->layers[0].w[k] == plain->layers[0].w[k], "weight %d without", k);
    }
    for (int j = 1; j < C; j++)
        CHECK_NEAR((double)alone->layers[0].b[j] - (double)alone->layers[0].b[0], theta[C * D + j] - theta[C * D], 5e-3,
                   "intercept %d", j);
    same_truth(plain, alone);
    check_record(alone, pseudo, r.confident, r.confident, threshold);
    CHECK(!strstr(plain->trained, "pseudo"), "%s", plain->trained);
    sluice_head_free(plain), sluice_head_free(self), sluice_head_free(alone), sluice_head_free(none);
    if (other) sluice_pool_free(pseudo);
    sluice_labels_free(l), sluice_pool_free(pool), sluice_close(s);
}

/* ---- too many, none ---- */

typedef struct hashed {
    uint64_t hash;
    int row;
} hashed;

static int by_hash(const void *a, const void *b)
{
    uint64_t p = ((const hashed *)a)->hash, q = ((const hashed *)b)->hash;
    return (p > q) - (p < q);
}

/* All rows are sure; those of lowest hash are kept, which the value of the fit tells. */
static void too_many(void)
{
    if (!case_is("more sure rows than 2^18")) return;
    enum { MANY = (1 << 18) + 9000, W = 2 };
    sluice *s = tier_open(0, 2);
    float *rows = malloc(MANY * W * sizeof *rows);
    int32_t *labels = malloc(MANY * sizeof *labels);
    hashed *order = malloc(MANY * sizeof *order);
    fill_normal(rows, MANY * W, 4);
    for (int i = 0; i < MANY; i++) {
        rows[i * W] += i % 2 ? 9.0f : -9.0f;
        labels[i] = i < 20 ? i % 2 : -1;
        order[i] = (hashed){ ref_hash(3, (uint64_t)i), i };
    }
    sluice_pool *pool = memory_pool(s, rows, SLUICE_F32, MANY, W, NULL);
    sluice_labels *l = NULL;
    sluice_head *h = NULL;
    CHECK_OK(s, sluice_labels_from_array(s, pool, labels, 2, &l));
    sluice_train_args a = args_of(l, pool, 0.6);
    CHECK_OK(s, sluice_train(s, pool, &a, &h));
    check_record(h, pool, 1 << 18, MANY - 20, 0.6);
    qsort(order, MANY, sizeof *order, by_hash);
    double objective = 0;
    for (int i = 0, kept = 0; i < MANY; i++) {
        bool mine = order[i].row < 20;
        if (!mine && kept == 1 << 18) continue;
        kept += !mine;
        double z[2];
        for (int j = 0; j < 2; j++) {
            z[j] = (double)h->layers[0].b[j];
            for (int k = 0; k < W; k++)
                z[j] += (double)h->layers[0].w[j * W + k] * ((double)rows[order[i].row * W + k] - (double)h->mean[k]) /
                        (double)h->scale;
        }
        objective += log1p(exp(z[!(order[i].row % 2)] - z[order[i].row % 2]));
    }
    for (int k = 0; k < 2 * W; k++)
        objective += (double)h->layers[0].w[k] * (double)h->layers[0].w[k] / (2 * h->l2 / 100);
    json_t *j = json_loads(h->trained, 0, NULL);
    CHECK_NEAR(json_real_value(json_object_get(json_object_get(j, "pseudo"), "objective")), objective, 1e-6 * objective,
               "the rows of lowest hash");
    json_decref(j);
    free(rows), free(labels), free(order);
    sluice_head_free(h), sluice_labels_free(l), sluice_pool_free(pool), sluice_close(s);
}

static void hear(void *user, sluice_level level, const char *line)
{
    (void)user;
    warned += level == SLUICE_WARNING && strstr(line, "reaches the confidence threshold") != NULL;
}

static void none_sure(void)
{
    if (!case_is("no row is sure, or there is none: the head stays")) return;
    sluice *s = tier_open(0, 1);
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, N, D, NULL), *empty = memory_pool(s, x, SLUICE_F32, 0, D, NULL);
    sluice_labels *l = NULL;
    CHECK_OK(s, sluice_labels_from_array(s, pool, target, C, &l));
    s->opt.log = hear;
    for (int way = 0; way < 2; way++) {
        sluice_head *plain = NULL, *self = NULL;
        sluice_train_args a = args_of(l, way ? empty : pool, 1);
        CHECK_OK(s, train_both(s, pool, &a, &self, &plain));
        CHECK(memcmp(plain->layers[0].w, self->layers[0].w, C * D * sizeof(float)) == 0, "weights moved");
        sluice_head_free(plain), sluice_head_free(self);
    }
    CHECK(warned == 2, "%d warnings", warned);
    sluice_labels_free(l), sluice_pool_free(pool), sluice_pool_free(empty), sluice_close(s);
}

/* ---- the same bits ---- */

static void same_bits(void)
{
    if (!case_is("the same bits for tiers, threads, shards")) return;
    static char name[4][512];
    const char *one[] = { name[0] }, *three[] = { name[1], name[2], name[3] };
    static const int from[] = { 0, 0, 13, 300 }, to[] = { N, 13, 300, N };
    for (int i = 0; i < 4; i++) {
        char file[16];
        snprintf(file, sizeof file, "%d.npy", i);
        snprintf(name[i], sizeof name[i], "%s", test_path(file));
        write_npy(name[i], "<f4", x + from[i] * D, to[i] - from[i], D, 4);
    }
    float w[C * D + C];
    for (int t = 0; t < tier_count(); t++)
        for (int way = 0; way < 2; way++) {
            sluice *s = tier_open(t, 1 + 2 * way);
            sluice_pool *pool = file_pool(s, way ? three : one, way ? 3 : 1);
            sluice_labels *l = NULL;
            sluice_head *h = NULL;
            CHECK_OK(s, sluice_labels_from_array(s, pool, target, C, &l));
            sluice_train_args a = args_of(l, pool, 0.7);
            CHECK_OK(s, sluice_train(s, pool, &a, &h));
            if (t == 0 && way == 0)
                memcpy(w, h->layers[0].w, C * D * sizeof *w), memcpy(w + C * D, h->layers[0].b, C * sizeof *w);
            CHECK(memcmp(w, h->layers[0].w, C * D * sizeof *w) == 0 &&
                      memcmp(w + C * D, h->layers[0].b, C * sizeof *w) == 0,
                  "%s, way %d", tier_name(t), way);
            sluice_head_free(h), sluice_labels_free(l), sluice_pool_free(pool), sluice_close(s);
        }
}

/* ---- what cannot be ---- */

static void refusals(void)
{
    if (!case_is("what cannot be is said")) return;
    sluice *s = tier_open(0, 1);
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, N, D, NULL),
                *wide = memory_pool(s, x, SLUICE_F32, N / 2, D * 2, NULL);
    sluice_labels *l = NULL;
    sluice_head *h = NULL;
    CHECK_OK(s, sluice_labels_from_array(s, pool, target, C, &l));
    sluice_train_args a = args_of(l, wide, 0.8);
    CHECK(sluice_train(s, pool, &a, &h) == SLUICE_E_SHAPE && strstr(sluice_error(s), "width 8"), "%s", sluice_error(s));
    a.pseudo = pool, a.layers = "mlp:8,relu,linear";
    CHECK(sluice_train(s, pool, &a, &h) == SLUICE_E_USAGE && strstr(sluice_error(s), "linear head"), "%s",
          sluice_error(s));
    a.layers = NULL;
    for (int i = 0; i < 3; i++) {
        a.pseudo_threshold = (double[]){ -0.1, 1.5, NAN }[i];
        CHECK(sluice_train(s, pool, &a, &h) == SLUICE_E_USAGE && strstr(sluice_error(s), "between 0 and 1"), "%s",
              sluice_error(s));
    }
    sluice_labels_free(l), sluice_pool_free(pool), sluice_pool_free(wide), sluice_close(s);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    make_rows();
    by_definition(0, false, false), by_definition(0.9, false, true), by_definition(0.7, true, false);
    too_many();
    none_sure();
    same_bits();
    refusals();
    return test_end();
}
