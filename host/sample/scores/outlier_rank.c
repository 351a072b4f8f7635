/* outlier_rank.c - how low a row's logit is among logits of rows the head was not fitted to.  After Munro, Human-in-the-Loop
 * Machine Learning, 2021, ch. 4 (model-based outliers):
 *
 *     1 - mid-rank of z_j, j the predicted class, among the held-out rows predicted j
 *
 * (share below, equal ones counted half); among all held-out rows where fewer than 10 were predicted j.
 *
 * of=all is Munro's own rule, 1 - mean over all classes j of the mid-rank of z_j among all held-out rows.  It is inverted for
 * heads trained by softmax: rows of the pool's kind have a mean rank of a half by construction, while a foreign row stands in
 * the middle of every class, above most of their rows; its order is kept for comparison only.
 *
 * Ranks of h held-out rows take 2h + 1 values: ties fall to the order of the hash. */
#include "scorer.h"
#include "exact.h"

enum { FEWEST = 10, OF_ALL = 1 };

typedef struct ranks {
    int classes;
    int64_t *start; /* [classes + 1] where a class's values begin */
    float *value;   /* ascending in each class */
} ranks;

static int prediction_of(const float *z, int classes)
{
    int best = 0;
    for (int j = 1; j < classes; j++)
        if (z[j] > z[best]) best = j;
    return best;
}

static bool finite_row(const float *z, int classes)
{
    for (int j = 0; j < classes; j++)
        if (!ex_finite(z[j])) return false;
    return true;
}

/* Values of class j among held-out rows predicted j, or all of them. */
static int64_t collect(const sluice_head *h, int j, bool all, float *out)
{
    int64_t n = 0;
    for (int64_t i = 0; i < h->held_count; i++) {
        const float *z = h->held_logits + i * h->classes;
        if (finite_row(z, h->classes) && (all || prediction_of(z, h->classes) == j)) out[n++] = z[j];
    }
    return n;
}

static sluice_status fit(sluice *s, scorer *q, const scorer_inputs *in)
{
    sluice_status st = SLUICE_OK;
    const sluice_head *h = in->src->head;
    ranks *r;
    bool of_all = q->value[0] == OF_ALL;
    if (!h) FAIL(E_USAGE, "'%s' compares with held-out logits of a head: give --head", q->name);
    if (h->held_count == 0)
        return sluice_hint(
            s, sluice_fail(s, SLUICE_E_USAGE, "'%s' compares with held-out logits, and this head has none", q->name),
            "sluice train keeps them, where every class has labels enough to hold some out");
    TRY_NEW(r, NEW(s, 1, ranks));
    q->state = r;
    r->classes = h->classes;
    TRY_NEW(r->start, NEW(s, h->classes + 1, int64_t));
    TRY_NEW(r->value, mem_raw(s, h->held_count, (size_t)h->classes * sizeof(float)));
    for (int j = 0; j < h->classes; j++) {
        float *value = r->value + r->start[j];
        int64_t n = collect(h, j, of_all, value);
        if (n < FEWEST) n = collect(h, j, true, value);
        if (n == 0) FAIL(E_DATA, "'%s': no held-out row of the head has finite logits", q->name);
        sort_floats(value, n);
        r->start[j + 1] = r->start[j] + n;
    }
out:
    return st;
}

static double rank_of(const ranks *r, int j, float z)
{
    return mid_rank(r->value + r->start[j], r->start[j + 1] - r->start[j], z);
}

static void end(const scorer *q, const scorer_rows *rows, int64_t first, int64_t last, float *out)
{
    const ranks *r = q->state;
    for (int64_t i = first; i < last; i++) {
        const float *z = rows->logits + i * r->classes;
        double rank = 0;
        if (!finite_row(z, r->classes)) {
            out[i] = ex_nan();
            continue;
        }
        if (q->value[0] == OF_ALL) {
            for (int j = 0; j < r->classes; j++) rank += rank_of(r, j, z[j]);
            rank /= r->classes;
        } else {
            int j = prediction_of(z, r->classes);
            rank = rank_of(r, j, z[j]);
        }
        out[i] = (float)(1 - rank);
    }
}

static void release(scorer *q)
{
    ranks *r = q->state;
    mem_free(r->start), mem_free(r->value);
}

const scorer_kind scorer_rank = { WANTS_LOGITS | WANTS_HELD_OUT, false, fit, NULL, end, release };
