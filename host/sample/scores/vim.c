/* vim.c - virtual-logit matching: what a row has outside the space of the labelled ones, against the evidence of its logits
 * (Wang, Li, Feng & Zhang, CVPR 2022).
 *
 *     alpha |R'(h - u)| - log sum exp(z)        alpha = mean max z / mean |R'(h - u)| over labelled rows
 *
 * h is what the head's last layer gets, z = W h + b its logits, u = -W^+ b the point of no evidence, and R is what is left of
 * the space without the principal directions of the labelled rows around u.  These are the fewest that hold 90% of the sum of
 * squares, at most half as many as labels and never all; with 1 label or equal rows there is none.
 *
 * Singular values of W below 1e-5 of the largest count as 0: softmax leaves the rows of W without a mean, which single
 * precision tells only so far.  Where labelled rows leave no residue, or their largest logits are below 0 on average, alpha is
 * 0.  |R' v| = |(I - P P') v| is a product of the width squared. */
#include "device.h"
#include "exact.h"
#include "linalg.h"
#include "scorer.h"

#include <math.h>
#include <string.h>

static const double share = 0.9, nothing = 1e-10; /* of the largest square of a singular value */

typedef struct vim {
    const sluice_head *h;
    int64_t d;
    double alpha;
    float *packed, *bias; /* of the residue */
    landmarks zero;
} vim;

/* The host's arrays while it is fitted. */
typedef struct fitting {
    const layer *last;
    int64_t m, d, c, principal;
    double *x;            /* [m, d] h - u */
    double *gram, *value; /* [n, n] and its eigenvalues */
    double *u, *p;        /* [d]; [principal, d] */
    double *rest;         /* [d, d] I - P P' */
} fitting;

static void fitting_release(fitting *f)
{
    mem_free(f->x), mem_free(f->gram), mem_free(f->value), mem_free(f->u), mem_free(f->p), mem_free(f->rest);
}

/* out [n, n] = v v' of v [n, d], or with turned v' v of v [d, n]; sums ascend. */
static void products(const sluice *s, const double *v, int64_t n, int64_t d, bool turned, double *out)
{
#pragma omp parallel for num_threads(s->threads) schedule(dynamic, 8)
    for (int64_t i = 0; i < n; i++) {
        fp_state fp = fp_enter();
        memset(out + i * n, 0, (size_t)n * sizeof *out);
        for (int64_t k = 0; k < d && turned; k++)
            for (int64_t j = 0; j < n; j++) out[i * n + j] += v[k * n + i] * v[k * n + j];
        for (int64_t j = 0; j < n && !turned; j++)
            for (int64_t k = 0; k < d; k++) out[i * n + j] += v[i * d + k] * v[j * d + k];
        fp_leave(fp);
    }
}

/* The smaller of v v' and v' v of v [rows, d], as eigenvectors. */
static sluice_status decompose(sluice *s, fitting *f, const double *v, int64_t rows, int64_t d, int64_t *out_n)
{
    sluice_status st = SLUICE_OK;
    int64_t n = *out_n = rows <= d ? rows : d;
    mem_free(f->gram), mem_free(f->value);
    f->value = NULL;
    TRY_NEW(f->gram, mem_raw(s, n, (size_t)n * sizeof *f->gram));
    TRY_NEW(f->value, RAW(s, n, double));
    products(s, v, n, rows <= d ? d : rows, rows > d, f->gram);
    TRY(eigen(s, f->gram, n, f->value));
out:
    return st;
}

/* The k-th direction of v's rows, of length 1, from the k-th eigenvector q. */
static void direction(const double *v, int64_t rows, int64_t d, const double *q, double value, double *out)
{
    if (rows > d) {
        memcpy(out, q, (size_t)d * sizeof *out);
        return;
    }
    memset(out, 0, (size_t)d * sizeof *out);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < d; j++) out[j] += q[i] / sqrt(value) * v[i * d + j];
}

/* u = -W^+ b = - sum over singular directions t of W of t (W t)' b / |W t|^2. */
static sluice_status find_origin(sluice *s, fitting *f)
{
    sluice_status st = SLUICE_OK;
    int64_t n, d = f->d, c = f->c;
    double *w = NULL, *t = NULL;
    TRY_NEW(w, mem_raw(s, c, (size_t)d * sizeof *w));
    TRY_NEW(t, RAW(s, d, double));
    TRY_NEW(f->u, NEW(s, d, double));
    for (int64_t i = 0; i < c * d; i++) w[i] = (double)f->last->w[i];
    TRY(decompose(s, f, w, c, d, &n));
    for (int64_t k = 0; k < n && f->value[k] > nothing * f->value[0]; k++) {
        double along = 0;
        direction(w, c, d, f->gram + k * n, f->value[k], t);
        for (int64_t j = 0; j < c; j++) {
            double wt = 0;
            for (int64_t i = 0; i < d; i++) wt += w[j * d + i] * t[i];
            along += wt * (double)f->last->b[j];
        }
        for (int64_t i = 0; i < d; i++) f->u[i] -= t[i] * along / f->value[k];
    }
out:
    mem_free(w), mem_free(t);
    return st;
}

static int64_t count_principal(const fitting *f, int64_t n)
{
    double all = 0, held = 0;
    int64_t most = f->m / 2 < f->d - 1 ? f->m / 2 : f->d - 1, k = 0;
    for (int64_t i = 0; i < n; i++) all += f->value[i] > 0 ? f->value[i] : 0;
    while (k < most && k < n && held < share * all && f->value[k] > nothing * f->value[0]) held += f->value[k++];
    return k;
}

static sluice_status find_rest(sluice *s, fitting *f, const float *rows)
{
    sluice_status st = SLUICE_OK;
    int64_t n, d = f->d;
    TRY_NEW(f->x, mem_raw(s, f->m, (size_t)d * sizeof *f->x));
    TRY_NEW(f->rest, mem_new(s, d, (size_t)d * sizeof *f->rest));
    for (int64_t i = 0; i < f->m * d; i++) f->x[i] = (double)rows[i] - f->u[i % d];
    TRY(decompose(s, f, f->x, f->m, d, &n));
    f->principal = count_principal(f, n);
    TRY_NEW(f->p, mem_raw(s, f->principal + 1, (size_t)d * sizeof *f->p));
    for (int64_t k = 0; k < f->principal; k++) direction(f->x, f->m, d, f->gram + k * n, f->value[k], f->p + k * d);
    for (int64_t i = 0; i < d; i++) {
        f->rest[i * d + i] = 1;
        for (int64_t k = 0; k < f->principal; k++)
            for (int64_t j = 0; j < d; j++) f->rest[i * d + j] -= f->p[k * d + i] * f->p[k * d + j];
    }
out:
    return st;
}

/* |R' x|: what x [d] has beside the principal directions; x is overwritten. */
static double residue(const fitting *f, double *x)
{
    double square = 0;
    for (int64_t k = 0; k < f->principal; k++) {
        double along = 0;
        for (int64_t j = 0; j < f->d; j++) along += x[j] * f->p[k * f->d + j];
        for (int64_t j = 0; j < f->d; j++) x[j] -= along * f->p[k * f->d + j];
    }
    for (int64_t j = 0; j < f->d; j++) square += x[j] * x[j];
    return sqrt(square);
}

static double find_alpha(const fitting *f, const float *rows)
{
    double logits = 0, residues = 0;
    for (int64_t i = 0; i < f->m; i++) {
        double most = -INFINITY;
        for (int64_t j = 0; j < f->c; j++) {
            double z = (double)f->last->b[j];
            for (int64_t k = 0; k < f->d; k++) z += (double)f->last->w[j * f->d + k] * (double)rows[i * f->d + k];
            most = z > most ? z : most;
        }
        logits += most, residues += residue(f, f->x + i * f->d);
    }
    return residues > 0 && logits > 0 ? logits / residues : 0;
}

/* The residue as one product: of the rows themselves where the head is linear, of what its last layer gets elsewhere. */
static sluice_status pack_rest(sluice *s, vim *v, const fitting *f)
{
    sluice_status st = SLUICE_OK;
    int64_t d = f->d;
    const sluice_head *h = v->h;
    bool fold = head_is_linear(h);
    float *w = NULL, *zero = NULL;
    TRY_NEW(w, mem_raw(s, d, (size_t)d * sizeof *w));
    TRY_NEW(v->packed, RAW(s, (int64_t)sluice_packed_floats(d, d), float));
    TRY_NEW(v->bias, RAW(s, d, float));
    for (int64_t i = 0; i < d; i++) {
        double bias = 0;
        for (int64_t j = 0; j < d; j++) {
            double scale = fold ? (double)h->scale : 1, mean = fold && h->mean ? (double)h->mean[j] : 0;
            w[i * d + j] = (float)(f->rest[i * d + j] / scale);
            bias -= mean * (double)w[i * d + j] + f->rest[i * d + j] * f->u[j];
        }
        v->bias[i] = (float)bias;
    }
    TRY(sluice_op_pack(s, &(sluice_op_pack_args){ .w = sluice_rows(w, SLUICE_F32, d, d), .out = v->packed }));
    TRY_NEW(zero, NEW(s, d, float));
    TRY(landmarks_init(s, &v->zero, zero, 1, d));
out:
    mem_free(w), mem_free(zero);
    return st;
}

static sluice_status fit(sluice *s, scorer *q, const scorer_inputs *in)
{
    sluice_status st = SLUICE_OK;
    const sluice_head *h = in->src->head;
    const row_set *set;
    fitting f = { 0 };
    vim *v;
    if (!h) FAIL(E_USAGE, "'%s' measures by the last layer of a head: give --head", q->name);
    TRY(scorer_labelled(s, q, in, SPACE_HEAD, false, &set));
    TRY_NEW(v, NEW(s, 1, vim));
    q->state = v;
    v->h = h, v->d = head_feature_width(h);
    f.last = &h->layers[h->layer_count - 1], f.m = set->n, f.d = v->d, f.c = h->classes;
    TRY(find_origin(s, &f));
    TRY(find_rest(s, &f, set->x));
    TRY(pack_rest(s, v, &f));
    v->alpha = find_alpha(&f, set->x);
    q->facts[0] = 1;
    q->scratch = v->d + 1 + (head_is_linear(h) ? 0 : v->d);
out:
    fitting_release(&f);
    return st;
}

static sluice_status begin(sluice *s, const scorer *q, const scorer_piece *p)
{
    sluice_status st = SLUICE_OK;
    const vim *v = q->state;
    int64_t n = p->x.rows, d = v->d;
    sluice_view x = p->x;
    float *packed, *bias, *y = p->scratch, *rest = y + n * d;
    TRY_NEW(packed, dev_keep(s, q->serial, 8, v->packed, sluice_packed_floats(d, d) * sizeof *packed));
    TRY_NEW(bias, dev_keep(s, q->serial, 9, v->bias, (size_t)d * sizeof *bias));
    if (!head_is_linear(v->h)) {
        TRY(head_features(s, v->h, x, rest + n));
        x = sluice_rows(rest + n, SLUICE_F32, n, d);
    }
    TRY(sluice_op_forward(
        s, &(sluice_op_forward_args){
               .x = x, .packed = packed, .bias = bias, .c = d, .out = sluice_rows(y, SLUICE_F32, n, d) }));
    TRY(landmarks_nearest(s, q, 0, &v->zero, y, n, 1, p->facts[0], (int32_t *)(void *)rest));
out:
    return st;
}

/* NaN where a logit is not finite. */
static double log_sum(const float *z, int c)
{
    float most = z[0];
    double sum = 0;
    for (int j = 0; j < c; j++) {
        if (!ex_finite(z[j])) return NAN;
        most = z[j] > most ? z[j] : most;
    }
    for (int j = 0; j < c; j++) sum += (double)ex_exp(z[j] - most);
    return (double)most + (double)ex_log((float)sum);
}

static void end(const scorer *q, const scorer_rows *r, int64_t first, int64_t last, float *out)
{
    const vim *v = q->state;
    for (int64_t i = first; i < last; i++) {
        float score =
            (float)(v->alpha * sqrt((double)r->facts[0][i]) - log_sum(r->logits + i * r->classes, r->classes));
        out[i] = ex_finite(score) ? score : ex_nan();
    }
}

static void release(scorer *q)
{
    vim *v = q->state;
    mem_free(v->packed), mem_free(v->bias);
    landmarks_release(&v->zero);
}

const scorer_kind scorer_vim = { WANTS_LOGITS | WANTS_LABELLED, true, fit, begin, end, release };
