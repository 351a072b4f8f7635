/* gaussian.c - how improbable a row is under Gaussians fitted to labelled rows, all divided by their lengths.
 *
 *     mahalanobis  min over classes c of (x - mu_c)' S^-1 (x - mu_c)       Lee, Lee, Lee & Shin, NeurIPS 2018
 *     relative     that minus (x - mu)' S_0^-1 (x - mu)                    Ren et al., arXiv:2106.09022, 2021
 *
 * S is the scatter around the means of the classes (tied), shrunk by Ledoit and Wolf to (1 - w) S + w trace(S)/d I; mu and S_0
 * are of all rows together, whatever their class.  S_0 gets the weight and the ridge of S: shrunk by itself, as its larger
 * trace would have it, the background is the smoother of the two and the difference inverted (0.04 of the area under the
 * curve, where one ridge has 0.96).
 *
 * Both are distances in spaces that a product makes: y = inverse Cholesky factor times (x - mu), then the nearest mean.
 * A class without labels has no mean; one with a single label shares S.  Where labelled rows of a class do not differ at all
 * (each alone, or duplicates) S is 0 and the identity takes its place: plain squared distances.  The weight is at least 1e-6,
 * more of a range of variances than that single precision does not carry. */
#include "linalg.h"
#include "scorer.h"
#include "device.h"

#include <string.h>

static const double least_weight = 1e-6;

/* One Gaussian, or several of one covariance: y = packed x + bias, distances to means. */
typedef struct whitened {
    int64_t d;
    float *packed, *bias;
    landmarks means;
} whitened;

typedef struct gaussians {
    whitened classes, all;
} gaussians;

typedef struct ridge {
    double weight, add; /* a covariance becomes (1 - weight) a + add I */
} ridge;

static void whitened_release(whitened *w)
{
    mem_free(w->packed), mem_free(w->bias);
    landmarks_release(&w->means);
}

/* out [rows, d] = inverse [d, d] lower times (v [rows, d] - centre). */
static void into_space(const double *inverse, const double *centre, const double *v, int64_t rows, int64_t d,
                       float *out)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < d; j++) {
            double sum = 0;
            for (int64_t k = 0; k <= j; k++) sum += inverse[j * d + k] * (v[i * d + k] - centre[k]);
            out[i * d + j] = (float)sum;
        }
}

static sluice_status pack_product(sluice *s, whitened *w, const double *inverse, const double *centre)
{
    sluice_status st = SLUICE_OK;
    int64_t d = w->d;
    float *rows;
    TRY_NEW(rows, mem_new(s, d, (size_t)d * sizeof *rows));
    TRY_NEW(w->packed, RAW(s, (int64_t)sluice_packed_floats(d, d), float));
    TRY_NEW(w->bias, RAW(s, d, float));
    for (int64_t j = 0; j < d; j++) {
        double sum = 0;
        for (int64_t k = 0; k <= j; k++) {
            rows[j * d + k] = (float)inverse[j * d + k];
            sum -= inverse[j * d + k] * centre[k];
        }
        w->bias[j] = (float)sum;
    }
    TRY(sluice_op_pack(s, &(sluice_op_pack_args){ .w = sluice_rows(rows, SLUICE_F32, d, d), .out = w->packed }));
out:
    mem_free(rows);
    return st;
}

/* covariance becomes its whitening; means [groups, d]. */
static sluice_status whitened_init(sluice *s, whitened *w, double *covariance, ridge r, const double *means,
                                   int64_t groups, const double *centre, int64_t d)
{
    sluice_status st = SLUICE_OK;
    float *y = NULL;
    w->d = d;
    for (int64_t j = 0; j < d; j++) {
        for (int64_t k = 0; k <= j; k++) covariance[j * d + k] *= 1 - r.weight;
        covariance[j * d + j] += r.add;
    }
    TRY(whiten(s, covariance, d));
    TRY(pack_product(s, w, covariance, centre));
    TRY_NEW(y, mem_raw(s, groups, (size_t)d * sizeof *y));
    into_space(covariance, centre, means, groups, d, y);
    TRY(landmarks_init(s, &w->means, y, groups, d));
out:
    mem_free(y);
    return st;
}

static sluice_status covariance_of(sluice *s, const row_set *set, const int32_t *group, const double *mean, double *out,
                                   double *out_fourth)
{
    int64_t d = set->d;
    sluice_status st = scatter(s, set->x, group, set->n, d, mean, out, out_fourth);
    for (int64_t j = 0; j < d && !st; j++)
        for (int64_t k = 0; k <= j; k++) out[j * d + k] /= (double)set->n;
    return st;
}

static ridge ridge_of(const double *covariance, int64_t d, int64_t m, double fourth)
{
    double trace = 0, weight = ledoit_wolf(covariance, d, m, fourth);
    for (int64_t j = 0; j < d; j++) trace += covariance[j * d + j];
    if (!(trace > 0)) return (ridge){ 1, 1 };
    if (weight < least_weight) weight = least_weight;
    return (ridge){ weight, weight * trace / (double)d };
}

/* Means of classes that have labels move to the front; how many. */
static int64_t close_up(double *mean, const int64_t *count, int64_t groups, int64_t d)
{
    int64_t kept = 0;
    for (int64_t g = 0; g < groups; g++)
        if (count[g]) memmove(mean + kept++ * d, mean + g * d, (size_t)d * sizeof *mean);
    return kept;
}

static sluice_status fit_both(sluice *s, scorer *q, const scorer_inputs *in, bool background)
{
    sluice_status st = SLUICE_OK;
    const row_set *set;
    double *tied = NULL, *total = NULL, *mean = NULL, *centre = NULL, fourth;
    int64_t *count = NULL, groups = 0, one;
    gaussians *g;
    TRY(scorer_labelled(s, q, in, SPACE_UNIT, true, &set));
    int64_t d = set->d, m = set->n;
    for (int64_t i = 0; i < m; i++)
        if (set->target[i] >= groups) groups = set->target[i] + 1;
    TRY_NEW(g, NEW(s, 1, gaussians));
    q->state = g;
    TRY_NEW(tied, mem_raw(s, d, (size_t)d * sizeof *tied));
    TRY_NEW(mean, mem_raw(s, groups, (size_t)d * sizeof *mean));
    TRY_NEW(count, RAW(s, groups, int64_t));
    TRY_NEW(centre, RAW(s, d, double));
    group_means(set->x, set->target, m, d, groups, mean, count);
    group_means(set->x, NULL, m, d, 1, centre, &one);
    TRY(covariance_of(s, set, set->target, mean, tied, &fourth));
    ridge r = ridge_of(tied, d, m, fourth);
    groups = close_up(mean, count, groups, d);
    TRY(whitened_init(s, &g->classes, tied, r, mean, groups, centre, d));
    q->facts[0] = 1, q->facts[1] = background;
    q->scratch = d + 1;
    if (!background) goto out;
    TRY_NEW(total, mem_raw(s, d, (size_t)d * sizeof *total));
    TRY(covariance_of(s, set, NULL, centre, total, &fourth));
    TRY(whitened_init(s, &g->all, total, r, centre, 1, centre, d));
out:
    mem_free(tied), mem_free(total), mem_free(mean), mem_free(count), mem_free(centre);
    return st;
}

static sluice_status fit_mahalanobis(sluice *s, scorer *q, const scorer_inputs *in)
{
    return fit_both(s, q, in, false);
}
static sluice_status fit_relative(sluice *s, scorer *q, const scorer_inputs *in) { return fit_both(s, q, in, true); }

/* Squared distances of the piece's rows to the nearest mean. */
static sluice_status distances(sluice *s, const scorer *q, int part, const whitened *w, const scorer_piece *p,
                               float *out)
{
    sluice_status st = SLUICE_OK;
    int64_t n = p->x.rows, d = w->d;
    float *packed, *bias;
    TRY_NEW(packed, dev_keep(s, q->serial, 8 + 2 * part, w->packed, sluice_packed_floats(d, d) * sizeof *packed));
    TRY_NEW(bias, dev_keep(s, q->serial, 9 + 2 * part, w->bias, (size_t)d * sizeof *bias));
    TRY(sluice_op_forward(s, &(sluice_op_forward_args){ .x = sluice_rows(p->unit, SLUICE_F32, n, d),
                                                        .packed = packed,
                                                        .bias = bias,
                                                        .c = d,
                                                        .out = sluice_rows(p->scratch, SLUICE_F32, n, d) }));
    TRY(landmarks_nearest(s, q, part, &w->means, p->scratch, n, 1, out, (int32_t *)(void *)(p->scratch + n * d)));
out:
    return st;
}

static sluice_status begin(sluice *s, const scorer *q, const scorer_piece *p)
{
    const gaussians *g = q->state;
    sluice_status st = distances(s, q, 0, &g->classes, p, p->facts[0]);
    return st || !q->facts[1] ? st : distances(s, q, 1, &g->all, p, p->facts[1]);
}

static void end(const scorer *q, const scorer_rows *r, int64_t first, int64_t last, float *out)
{
    for (int64_t i = first; i < last; i++) out[i] = q->facts[1] ? r->facts[0][i] - r->facts[1][i] : r->facts[0][i];
}

static void release(scorer *q)
{
    gaussians *g = q->state;
    whitened_release(&g->classes), whitened_release(&g->all);
}

const scorer_kind scorer_mahalanobis = {
    WANTS_UNIT | WANTS_LABELLED | WANTS_TARGETS, true, fit_mahalanobis, begin, end, release
};
const scorer_kind scorer_relative = {
    WANTS_UNIT | WANTS_LABELLED | WANTS_TARGETS, true, fit_relative, begin, end, release
};
