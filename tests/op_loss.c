/* op_loss.c - weighted cross-entropy and its gradient against their definitions in double, over adversarial logits. */
#include "harness.h"

/* -log softmax_t and softmax, by long double so that the reference has digits to spare. */
static double reference(const float *z, int64_t c, int64_t t, double *p)
{
    long double most = (long double)z[0], sum = 0;
    for (int64_t j = 1; j < c; j++)
        if ((long double)z[j] > most) most = (long double)z[j];
    for (int64_t j = 0; j < c; j++) sum += expl((long double)z[j] - most);
    for (int64_t j = 0; j < c; j++) p[j] = (double)(expl((long double)z[j] - most) / sum);
    p[t] = p[t] == 1 ? 0 : p[t] - 1;
    if ((long double)z[t] == most) { /* 1 - p_t without cancellation */
        long double rest = 0;
        for (int64_t j = 0; j < c; j++)
            if (j != t) rest += expl((long double)z[j] - most);
        p[t] = -(double)(rest / sum);
        return (double)log1pl(rest);
    }
    return (double)(most - (long double)z[t] + logl(sum));
}

static void fill(float *z, int64_t n, int64_t c, const char *data)
{
    fill_normal(z, n * c, 4);
    for (int64_t i = 0; i < n * c; i++) {
        if (!strcmp(data, "equal")) z[i] = 3;
        if (!strcmp(data, "wide")) z[i] *= 30;
        if (!strcmp(data, "huge")) z[i] *= 1e30f;
        if (!strcmp(data, "confident")) z[i] = i % c == i / c % c ? 40.0f + (float)(i % 7) : z[i];
    }
}

static void one(int64_t n, int64_t c, const char *data, int weighted, size_t pad)
{
    if (!case_is("n=%d c=%d %s weighted=%d pad=%zu", (int)n, (int)c, data, weighted, pad)) return;
    size_t stride = (size_t)c * 4 + pad;
    guarded z = guarded_new((size_t)n * stride, pad % 64), grad = guarded_new((size_t)n * stride, pad % 64);
    float *flat = calloc((size_t)(n * c) + 1, 4), *weight = calloc((size_t)c, 4),
          *first = calloc((size_t)n + 1, stride);
    int32_t *target = calloc((size_t)n + 1, sizeof *target);
    double *p = calloc((size_t)c, sizeof *p), first_sum = 0;
    fill(flat, n, c, data);
    for (int64_t j = 0; j < c; j++) weight[j] = 0.5f + (float)(j % 3);
    for (int64_t i = 0; i < n; i++) {
        memcpy((char *)z.p + (size_t)i * stride, flat + i * c, (size_t)c * 4);
        target[i] = (int32_t)(i * 7 % c);
    }
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 3; threads += 2) {
            sluice *s = tier_open(t, threads);
            double sum = -1, want = 0;
            int64_t correct = -1, want_correct = 0;
            memset(grad.p, 0, (size_t)n * stride);
            sluice_op_loss_args a = { .target = target,
                                      .weight = weighted ? weight : NULL,
                                      .grad_scale = 0.25f,
                                      .out_sum = &sum,
                                      .out_correct = &correct };
            a.logits = (sluice_view){ z.p, n, c, stride, SLUICE_F32, NULL },
            a.grad = (sluice_view){ grad.p, n, c, stride, SLUICE_F32, NULL };
            CHECK_OK(s, sluice_op_loss(s, &a));
            for (int64_t i = 0; i < n && t == 0 && threads == 1; i++) {
                const float *g = (const float *)((const char *)grad.p + (size_t)i * stride), *row = flat + i * c;
                double w = weighted ? (double)weight[target[i]] : 1;
                int64_t best = 0;
                for (int64_t j = 1; j < c; j++)
                    if (row[j] > row[best]) best = j;
                want += w * reference(row, c, target[i], p), want_correct += best == target[i];
                for (int64_t j = 0; j < c; j++) /* below 2^-126 an exp is 0 */
                    CHECK_NEAR((double)g[j], w * 0.25 * p[j], 2e-6 * w * fabs(p[j]) + 2e-38, "row %d, class %d", (int)i,
                               (int)j);
            }
            if (t == 0 && threads == 1) {
                CHECK_NEAR(sum, want, 2e-6 * fabs(want) + 1e-37 * (double)n, "sum of losses");
                CHECK(correct == want_correct, "%d of %d right, wanted %d", (int)correct, (int)n, (int)want_correct);
                first_sum = sum;
                memcpy(first, grad.p, (size_t)n * stride);
            }
            CHECK_SAME(&first_sum, &sum, sizeof sum, "%s, %d threads: %.17g and %.17g", tier_name(t), threads,
                       first_sum, sum);
            CHECK_SAME(first, grad.p, (size_t)n * stride, "%s, %d threads", tier_name(t), threads);
            CHECK(guarded_ok(&z) && guarded_ok(&grad), "wrote outside");
            a.grad.data = NULL, a.out_correct = NULL, sum = -1; /* the loss alone */
            CHECK_OK(s, sluice_op_loss(s, &a));
            CHECK_SAME(&first_sum, &sum, sizeof sum, "without a gradient");
            a.grad = a.logits; /* in place */
            CHECK_OK(s, sluice_op_loss(s, &a));
            for (int64_t i = 0; i < n; i++) {
                char *row = (char *)z.p + (size_t)i * stride;
                CHECK_SAME((char *)first + (size_t)i * stride, row, (size_t)c * 4, "%s: in place, row %d", tier_name(t),
                           (int)i);
                memcpy(row, flat + i * c, (size_t)c * 4);
            }
            sluice_close(s);
        }
    guarded_free(&z), guarded_free(&grad);
    free(flat), free(weight), free(first), free(target), free(p);
}

/* The sum of many rows is that of the rows' own losses in double: blocks of 4,096 rows, then the blocks. */
static void block_order(void)
{
    if (!case_is("sum over blocks of 4,096 rows")) return;
    enum { N = 13000, C = 3, BLOCK = 4096 };
    static float z[N * C];
    static int32_t target[N];
    const float weight[C] = { 0.3f, 0.7f, 1.1f }; /* without them the sums of float losses are exact in any order */
    fill_normal(z, N * C, 8);
    for (int i = 0; i < N; i++) target[i] = i % C;
    sluice *s = tier_open(0, 2);
    double all = 0, got = 0;
    for (int from = 0; from < N; from += BLOCK) {
        double block = 0, row;
        for (int i = from; i < N && i < from + BLOCK; i++) {
            sluice_view one_row = sluice_rows(z + i * C, SLUICE_F32, 1, C);
            CHECK_OK(
                s, sluice_op_loss(s, &(sluice_op_loss_args){
                                         .logits = one_row, .target = target + i, .weight = weight, .out_sum = &row }));
            block += row;
        }
        all += block;
    }
    CHECK_OK(s, sluice_op_loss(s, &(sluice_op_loss_args){ .logits = sluice_rows(z, SLUICE_F32, N, C),
                                                          .target = target,
                                                          .weight = weight,
                                                          .out_sum = &got }));
    CHECK_SAME(&all, &got, sizeof all, "%.17g, wanted %.17g", got, all);
    sluice_close(s);
}

static void not_finite(void)
{
    if (!case_is("a logit that is not finite: NaN loss, NaN gradient, counted as wrong")) return;
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 1);
        float z[6] = { 1, 2, INFINITY, 0, 1, 5 }, g[6] = { 0 };
        int32_t target[2] = { 2, 2 };
        double sum;
        int64_t correct;
        CHECK_OK(s, sluice_op_loss(s, &(sluice_op_loss_args){ .logits = sluice_rows(z, SLUICE_F32, 2, 3),
                                                              .target = target,
                                                              .grad_scale = 1,
                                                              .grad = sluice_rows(g, SLUICE_F32, 2, 3),
                                                              .out_sum = &sum,
                                                              .out_correct = &correct }));
        CHECK(isnan(sum) && isnan(g[0]) && isnan(g[2]) && isfinite(g[3]), "%s: %g", tier_name(t), sum);
        CHECK(correct == 1, "%d right", (int)correct);
        target[1] = 3;
        CHECK(sluice_op_loss(s, &(sluice_op_loss_args){ .logits = sluice_rows(z, SLUICE_F32, 2, 3),
                                                        .target = target,
                                                        .out_sum = &sum }) == SLUICE_E_DATA,
              "class 3 of 3");
        sluice_close(s);
    }
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    static const char *const data[] = { "normal", "equal", "wide", "huge", "confident" };
    for (int i = 0; i < 5; i++) {
        one(33, 10, data[i], i % 2, 0), one(5, 2, data[i], !(i % 2), 4);
        one(3, 1000, data[i], 1, 0), one(2, 2500, data[i], 0, 12);
    }
    one(0, 3, "normal", 0, 0), one(4, 1, "normal", 1, 0), one(9000, 3, "normal", 1, 0);
    block_order();
    not_finite();
    return test_end();
}
