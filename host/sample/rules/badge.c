/* badge.c - BADGE: rows whose gradients at the last layer are large and different.  Ash, Zhang, Krishnamurthy, Langford &
 * Agarwal, "Deep batch active learning by diverse, uncertain gradient lower bounds", ICLR 2020.
 *
 * The gradient of the loss with the prediction as label is g = q (x) [h; 1]: q = softmax(z) - onehot(prediction) of the
 * head's logits z as they are (the loss that it was trained by knows no temperature), h what its last layer gets, 1 for
 * the layer's bias.  The first pick has the largest |g|; the next are k-means++ draws, chance ~ D^2, the squared distance
 * to the nearest pick, as the largest log D^2 + Gumbel key of (seed, labelled rows, id, turn).
 *
 * g is never formed, and D^2 is no difference of products, which is wrong many times over on near duplicates.  With
 * q-, h- the means of two rows and dq, dh their differences
 *
 *     D^2 = |dq|^2 |h-|^2 + |q-|^2 |dh|^2 + (|qi|^2 - |qj|^2) (|hi|^2 - |hj|^2) / 2,  |q-|^2 = (2|qi|^2 + 2|qj|^2 - |dq|^2) / 4
 *
 * which is exactly 0 on duplicates; below 2^-64 |q| is inexact, its square being a float.  Rows of D^2 = 0 come last, in
 * the order of their hashes; so do all rows where every gradient is 0.  A row without finite logits counts as one of
 * gradient 0.  A pick's score is |g|, then D. */
#include "batch.h"
#include "device.h"
#include "draw.h"
#include "philox.h"

#include <math.h> /* sqrt of doubles: correctly rounded */

typedef struct work {
    const batch *b;
    float *q;                /* [n, classes] */
    double *q_norm, *h_norm; /* [n] squared; h with its 1 */
    float *dq, *dh;          /* [n] squared distances to the last pick */
    double *least;           /* [n] D^2 to the nearest pick */
    float *chance;           /* [n] of the next pick: D^2, of the first |g| */
} work;

static void work_release(work *w)
{
    mem_free(w->q), mem_free(w->q_norm), mem_free(w->h_norm), mem_free(w->dq), mem_free(w->dh), mem_free(w->least);
    mem_free(w->chance);
}

static sluice_status work_init(sluice *s, work *w)
{
    sluice_status st = SLUICE_OK;
    int64_t n = w->b->n;
    TRY_NEW(w->q, mem_raw(s, n, (size_t)w->b->classes * sizeof *w->q));
    TRY_NEW(w->q_norm, RAW(s, n, double));
    TRY_NEW(w->h_norm, RAW(s, n, double));
    TRY_NEW(w->dq, RAW(s, n, float));
    TRY_NEW(w->dh, RAW(s, n, float));
    TRY_NEW(w->least, RAW(s, n, double));
    TRY_NEW(w->chance, RAW(s, n, float));
out:
    return st;
}

/* q of logits z; that of the prediction, p - 1, without cancellation. */
static void softmax_gradient(const float *z, int classes, float *q)
{
    int top = 0;
    bool finite = true;
    double rest = 0;
    for (int j = 0; j < classes; j++) {
        finite &= ex_finite(z[j]) != 0;
        if (z[j] > z[top]) top = j;
    }
    for (int j = 0; j < classes; j++) {
        q[j] = finite && j != top ? ex_exp(z[j] - z[top]) : 0.0f;
        rest += (double)q[j];
    }
    for (int j = 0; j < classes; j++) q[j] = (float)((double)q[j] / (1 + rest));
    q[top] = (float)(-rest / (1 + rest));
}

static double square(const float *x, int64_t d, double sum)
{
    for (int64_t k = 0; k < d; k++) sum += (double)x[k] * (double)x[k];
    return sum;
}

static void start(sluice *s, work *w)
{
    const batch *b = w->b;
#pragma omp parallel num_threads(s->threads)
    {
        fp_state fp = fp_enter();
#pragma omp for schedule(static)
        for (int64_t i = 0; i < b->n; i++) {
            softmax_gradient(b->logits + i * b->classes, b->classes, w->q + i * b->classes);
            w->q_norm[i] = square(w->q + i * b->classes, b->classes, 0);
            w->h_norm[i] = square(b->x + i * b->d, b->d, 1);
            w->least[i] = INFINITY;
            w->chance[i] = (float)sqrt(w->q_norm[i] * w->h_norm[i]);
        }
        fp_leave(fp);
    }
}

static double gradient_distance(const work *w, int64_t i, int64_t j)
{
    double dq = (double)w->dq[i], dh = (double)w->dh[i];
    double q = (2 * w->q_norm[i] + 2 * w->q_norm[j] - dq) / 4, h = (2 * w->h_norm[i] + 2 * w->h_norm[j] - dh) / 4;
    double sum = dq * h + q * dh + (w->q_norm[i] - w->q_norm[j]) * (w->h_norm[i] - w->h_norm[j]) / 2;
    return sum > 0 ? sum : 0;
}

/* The first pick is the largest |g|, the others are drawn. */
static int64_t next_pick(sluice *s, const work *w)
{
    const batch *b = w->b;
    if (b->picked == 0) return batch_best(b, w->chance);
    return draw_row(s, &(draw){ .n = b->n,
                                .open = b->open,
                                .entry = b->entry,
                                .square = w->chance,
                                .seed = b->seed,
                                .purpose = EX_BADGE ^ (uint32_t)b->round,
                                .turn = (uint32_t)b->picked });
}

/* D^2 after candidate j became the last pick. */
static sluice_status move_on(sluice *s, work *w, int64_t j)
{
    const batch *b = w->b;
    sluice_status st = SLUICE_OK;
    TRY(row_distances(s, w->q, b->n, w->q + j * b->classes, b->classes, w->dq));
    TRY(row_distances(s, b->x, b->n, b->x + j * b->d, b->d, w->dh));
#pragma omp parallel num_threads(s->threads)
    {
        fp_state fp = fp_enter();
#pragma omp for schedule(static)
        for (int64_t i = 0; i < b->n; i++) {
            double d = gradient_distance(w, i, j);
            w->least[i] = d < w->least[i] ? d : w->least[i];
            w->chance[i] = (float)w->least[i];
        }
        fp_leave(fp);
    }
out:
    return st;
}

sluice_status rule_badge(sluice *s, batch *b)
{
    sluice_status st = SLUICE_OK;
    work w = { .b = b };
    TRY(work_init(s, &w));
    start(s, &w);
    TRY(dev_hold(s, w.q, b->n, b->classes));
    for (int64_t i; !batch_full(b) && (i = next_pick(s, &w)) >= 0;) {
        batch_take(b, i, b->picked ? (float)sqrt(w.least[i]) : w.chance[i]);
        TRY(move_on(s, &w, i));
    }
out:
    dev_drop(s, w.q);
    work_release(&w);
    return st;
}
