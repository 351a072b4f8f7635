/* unit_evaluate.c - each figure against its definition; classes and rows that a head does not know. */
#include "harness.h"
#include "learn.h"

enum { N = 400, C = 4 };

static void draw(float *z, int32_t *target, uint64_t seed)
{
    rng r = { seed };
    fill_normal(z, N * C, seed + 1);
    for (int i = 0; i < N; i++) {
        target[i] = (int32_t)(rng_u64(&r) % C);
        z[i * C + target[i]] += 1.5f;
    }
}

static double softmax(const float *z, double t, int j)
{
    double sum = 0;
    for (int k = 0; k < C; k++) sum += exp(((double)z[k] - (double)z[j]) / t);
    return 1 / sum;
}

static int largest(const float *z)
{
    int best = 0;
    for (int j = 1; j < C; j++) best = z[j] > z[best] ? j : best;
    return best;
}

static void by_definition(sluice *s)
{
    if (!case_is("figures")) return;
    float z[N * C];
    int32_t target[N];
    double nll = 0, bins[15] = { 0 }, f1 = 0, ece = 0, t = 0.75;
    int64_t right = 0, confusion[C][C] = { { 0 } };
    draw(z, target, 3);
    for (int i = 0; i < N; i++) {
        int best = largest(z + i * C);
        double p = softmax(z + i * C, t, best);
        right += best == target[i], confusion[target[i]][best]++;
        nll -= log(softmax(z + i * C, t, target[i])) / N;
        bins[(int)(p * 15)] += ((best == target[i]) - p) / N;
    }
    for (int b = 0; b < 15; b++) ece += fabs(bins[b]);
    sluice_eval_result r;
    CHECK_OK(s, evaluate_logits(s, z, target, N, C, (float)t, &r));
    for (int j = 0; j < C; j++) {
        int64_t n = 0, predicted = 0;
        for (int k = 0; k < C; k++) n += confusion[j][k], predicted += confusion[k][j];
        f1 += 2 * (double)confusion[j][j] / (double)(n + predicted) / C;
        CHECK(r.per_class[j].n == n && r.per_class[j].predicted == predicted &&
                  r.per_class[j].correct == confusion[j][j],
              "class %d: %lld %lld %lld", j, (long long)r.per_class[j].n, (long long)r.per_class[j].predicted,
              (long long)r.per_class[j].correct);
    }
    CHECK(r.n == N && r.correct == right && r.classes == C, "%lld of %lld", (long long)r.correct, (long long)r.n);
    CHECK_NEAR(r.accuracy, (double)right / N, 1e-15, "accuracy");
    CHECK_NEAR(r.nll, nll, 1e-12, "NLL");
    CHECK_NEAR(r.ece, ece, 1e-12, "ECE");
    CHECK_NEAR(r.macro_f1, f1, 1e-12, "macro F1");
    CHECK_SAME(r.confusion, confusion, sizeof confusion, "confusion");
    sluice_eval_result_release(&r);
}

/* 8 of 10: Wilson's interval is 0.4901625 to 0.9433178. */
static void wilson(sluice *s)
{
    if (!case_is("Wilson interval")) return;
    float z[20] = { 0 };
    int32_t target[10] = { 0 };
    for (int i = 0; i < 10; i++) z[2 * i] = 1, target[i] = i < 2;
    sluice_eval_result r;
    CHECK_OK(s, evaluate_logits(s, z, target, 10, 2, 1, &r));
    CHECK_NEAR(r.accuracy_low, 0.4901625, 1e-6, "low");
    CHECK_NEAR(r.accuracy_high, 0.9433178, 1e-6, "high");
    sluice_eval_result_release(&r);
    memset(target, 0, sizeof target);
    CHECK_OK(s, evaluate_logits(s, z, target, 10, 2, 1, &r));
    CHECK(r.accuracy_high == 1 && fabs(r.accuracy_low - 0.7224672) < 1e-6, "all right: %.9g to %g", r.accuracy_low,
          r.accuracy_high);
    sluice_eval_result_release(&r);
    CHECK_OK(s, evaluate_logits(s, z, target, 0, 2, 1, &r));
    CHECK(r.n == 0 && r.accuracy == 0 && r.accuracy_low == 0 && r.accuracy_high == 1 && r.nll == 0, "no rows");
    sluice_eval_result_release(&r);
}

/* Two right rows, one of an unknown class, one without logits, one of a second unknown class. */
static void unknown(sluice *s)
{
    if (!case_is("unknown classes, rows without logits")) return;
    float z[10] = { 2, 0, 0, 2, 2, 0, NAN, NAN, 1, 0 };
    int32_t target[5] = { 0, 1, -1, 1, -3 };
    sluice_eval_result r;
    CHECK_OK(s, evaluate_logits(s, z, target, 5, 2, 1, &r));
    CHECK(r.n == 5 && r.correct == 2, "%lld of %lld", (long long)r.correct, (long long)r.n);
    CHECK_NEAR(r.nll, log1p(exp(-2)), 1e-12, "NLL over the rows of known classes");
    CHECK_NEAR(r.macro_f1, (2.0 / 4 + 2.0 / 3) / 4, 1e-12, "macro F1: two known classes, two unknown ones");
    CHECK(r.per_class[0].n == 1 && r.per_class[0].predicted == 3 && r.per_class[1].n == 2, "per class");
    sluice_eval_result_release(&r);
    target[0] = 2;
    CHECK(evaluate_logits(s, z, target, 5, 2, 1, &r) == SLUICE_E_DATA, "%s", sluice_error(s));
}

/* A head that knows cat and ant, in that order; labels ant, bee, cat.  Rows are one value, its sign decides. */
static void by_name(sluice *s)
{
    if (!case_is("classes are matched by name")) return;
    char *const head_names[] = { "cat", "ant" };
    float x[6] = { 1, -1, 3, -4, 2, 9 };
    int32_t target[6] = { 2, 0, 2, 2, 1, 2 }; /* cat ant cat cat bee cat: the fourth is wrong */
    char *label_names[] = { "ant", "bee", "cat" };
    sluice_pool *pool = NULL;
    sluice_labels *labels = NULL;
    sluice_head *h = NULL;
    sluice_eval_result r = { 0 };
    CHECK_OK(s, sluice_pool_from_rows(s, x, SLUICE_F32, 6, 1, 4, NULL, &pool));
    CHECK_OK(s, sluice_labels_from_array(s, pool, target, 3, &labels));
    char **own = labels->names;
    labels->names = label_names;
    CHECK_OK(s, head_new(s, "linear", (int64_t[3]){ 1 }, 2, head_names, &h));
    CHECK_OK(s, head_tensors(s, h));
    h->layers[0].w[0] = 1, h->layers[0].w[1] = -1;
    h->train_count = 2; /* row 0 by its bytes, row 4 by pool and id */
    h->train_ids = mem_new(s, 2, 8), h->train_row_hash = mem_new(s, 2, 8);
    h->train_row_hash[0] = hash_bytes(x, 4, 0), h->train_ids[0] = 999, h->train_ids[1] = sluice_pool_id64(pool, 4);
    CHECK_OK(s, head_prepare(s, h));
    CHECK_OK(s, sluice_eval(s, pool, h, labels, &r));
    CHECK(r.n == 6 && r.correct == 4 && r.classes == 2, "%lld of %lld", (long long)r.correct, (long long)r.n);
    CHECK(r.per_class[0].n == 4 && r.per_class[0].correct == 3 && r.per_class[1].n == 1 && r.per_class[1].correct == 1,
          "per class");
    CHECK(r.train_overlap == 1, "%lld rows trained on: the pool is another", (long long)r.train_overlap);
    sluice_eval_result_release(&r);
    h->pool_fingerprint = pool->fingerprint;
    CHECK_OK(s, sluice_eval(s, pool, h, labels, &r));
    CHECK(r.train_overlap == 2, "%lld rows trained on", (long long)r.train_overlap);
    sluice_eval_result_release(&r);

    int64_t rows[3] = { 4, 0, 4 };
    float some[6], all[12];
    CHECK_OK(s, head_logits(s, h, sluice_rows(x, SLUICE_F32, 6, 1), all));
    CHECK_OK(s, head_logits_of(s, h, pool, rows, 3, some));
    for (int i = 0; i < 3; i++) CHECK_SAME(some + 2 * i, all + 2 * rows[i], 8, "row %lld", (long long)rows[i]);
    labels->fingerprint++;
    CHECK(sluice_eval(s, pool, h, labels, &r) == SLUICE_E_DATA, "foreign labels: %s", sluice_error(s));
    labels->names = own;
    sluice_labels_free(labels), sluice_head_free(h), sluice_pool_free(pool);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice *s = tier_open(0, 2);
    by_definition(s);
    wilson(s);
    unknown(s);
    by_name(s);
    sluice_close(s);
    return test_end();
}
