/* lbfgs.c - L-BFGS (Nocedal 1980; Liu and Nocedal 1989) for multinomial logistic regression with an L2 penalty.
 *
 * Exact: the logits are a forward op, the gradient a product op (rows ascending), and everything that steers the
 * search is fp64 over fixed blocks of 4,096 values in block order, so that the solution is the same on every tier,
 * thread count, backend and number of devices.  The parameters are one vector, W [c, d] then b [c], kept in f32: what is
 * evaluated is what is stored.  Whatever has a row for each label stays where ops compute (linear_loss.c); the vectors are
 * the host's. */
#include "learn.h"

#include <math.h>
#include <string.h>

enum { HISTORY = 10, BLOCK = 4096, LANES = 8, PARALLEL_BLOCKS = 32, TRIALS = 25, FLAT_STEPS = 3 };

typedef struct search {
    sluice *s;
    const linear_fit *fit;
    int64_t weights, size; /* c * d, c * d + c */
    int64_t blocks;        /* of the vector */
    linear_loss *loss;
    float *x, *grad; /* [size] where we are */
    float *x_new, *grad_new;
    double *direction;                      /* [size] */
    float *step[HISTORY], *change[HISTORY]; /* [size] differences of x and of the gradient, a ring */
    double curvature[HISTORY];              /* step . change */
    double weight_scale, intercept_scale;   /* a first guess of the inverse Hessian's diagonal */
    int held, next;                         /* pairs in the ring, where the next one goes */
    double *partial;                        /* [blocks] */
    double value;
} search;

/* ---- vectors: one pass over blocks, partial sums added in block order ---- */

typedef double block_work(const search *q, int64_t from, int64_t n, const void *arg);

static double over_blocks(search *q, block_work *work, const void *arg)
{
    int threads = q->blocks >= PARALLEL_BLOCKS ? q->s->threads : 1;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t b = 0; b < q->blocks; b++) {
        fp_state fp = fp_enter();
        int64_t from = b * BLOCK, left = q->size - from;
        q->partial[b] = work(q, from, left < BLOCK ? left : BLOCK, arg);
        fp_leave(fp);
    }
    double sum = 0;
    for (int64_t b = 0; b < q->blocks; b++) sum += q->partial[b];
    return sum;
}

static double fold_lanes(const double p[LANES])
{
    return ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]));
}

static double dot_mixed(const double *a, const float *b, int64_t n)
{
    double p[LANES] = { 0 };
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) p[l] += a[i + l] * (double)b[i + l];
    for (int l = 0; i < n; i++, l++) p[l] += a[i] * (double)b[i];
    return fold_lanes(p);
}

static double dot_single(const float *a, const float *b, int64_t n)
{
    double p[LANES] = { 0 };
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) p[l] += (double)a[i + l] * (double)b[i + l];
    for (int l = 0; i < n; i++, l++) p[l] += (double)a[i] * (double)b[i];
    return fold_lanes(p);
}

/* direction += factor * add; the sum is direction . with. */
typedef struct update {
    double factor;
    const float *add, *with;
} update;

static double update_block(const search *q, int64_t from, int64_t n, const void *arg)
{
    const update *u = arg;
    double *d = q->direction + from;
    const float *add = u->add + from;
    for (int64_t i = 0; i < n; i++) d[i] += u->factor * (double)add[i];
    return dot_mixed(d, u->with + from, n);
}

/* direction = -gradient; the sum is direction . arg. */
static double start_block(const search *q, int64_t from, int64_t n, const void *arg)
{
    for (int64_t i = from; i < from + n; i++) q->direction[i] = -(double)q->grad[i];
    return dot_mixed(q->direction + from, (const float *)arg + from, n);
}

/* Of a block's n values from `from` on, how many are weights; intercepts stand behind them. */
static int64_t weights_in(const search *q, int64_t from, int64_t n)
{
    int64_t left = q->weights - from;
    return left < 0 ? 0 : left < n ? left : n;
}

/* direction *= factor * the guess of the diagonal; the sum is direction . with. */
typedef struct rescale {
    double factor;
    const float *with;
} rescale;

static double rescale_block(const search *q, int64_t from, int64_t n, const void *arg)
{
    const rescale *u = arg;
    double *d = q->direction + from, w = u->factor * q->weight_scale, b = u->factor * q->intercept_scale;
    int64_t weights = weights_in(q, from, n);
    for (int64_t i = 0; i < weights; i++) d[i] *= w;
    for (int64_t i = weights; i < n; i++) d[i] *= b;
    return dot_mixed(d, u->with + from, n);
}

/* v . v under the guess of the diagonal. */
static double scaled_square_block(const search *q, int64_t from, int64_t n, const void *arg)
{
    const float *v = (const float *)arg + from;
    int64_t weights = weights_in(q, from, n);
    return q->weight_scale * dot_single(v, v, weights) +
           q->intercept_scale * dot_single(v + weights, v + weights, n - weights);
}

static double move_block(const search *q, int64_t from, int64_t n, const void *arg)
{
    double t = *(const double *)arg;
    for (int64_t i = from; i < from + n; i++) q->x_new[i] = (float)((double)q->x[i] + t * q->direction[i]);
    return 0;
}

/* |W|^2 of the new point; the intercepts have no penalty. */
static double penalty_block(const search *q, int64_t from, int64_t n, const void *arg)
{
    (void)arg;
    return dot_single(q->x_new + from, q->x_new + from, weights_in(q, from, n));
}

static double decay_block(const search *q, int64_t from, int64_t n, const void *arg)
{
    double inverse = *(const double *)arg;
    for (int64_t i = from; i < from + n && i < q->weights; i++)
        q->grad_new[i] = (float)((double)q->grad_new[i] + (double)q->x_new[i] * inverse);
    return 0;
}

static double square_block(const search *q, int64_t from, int64_t n, const void *arg)
{
    (void)q;
    const float *v = (const float *)arg + from;
    return dot_single(v, v, n);
}

/* The differences of the last step into the next place of the ring; returns their product. */
static double pair_block(const search *q, int64_t from, int64_t n, const void *arg)
{
    (void)arg;
    float *s = q->step[q->next] + from, *y = q->change[q->next] + from;
    for (int64_t i = 0; i < n; i++) {
        s[i] = q->x_new[from + i] - q->x[from + i];
        y[i] = q->grad_new[from + i] - q->grad[from + i];
    }
    return dot_single(s, y, n);
}

static double largest(const float *v, int64_t n)
{
    float top = 0;
    for (int64_t i = 0; i < n; i++) {
        float a = v[i] < 0 ? -v[i] : v[i];
        top = a > top ? a : top;
    }
    return (double)top;
}

/* ---- objective ---- */

static sluice_status value_at(search *q, double *out)
{
    double sum;
    sluice_status st = linear_loss_value(q->loss, q->x_new, q->x_new + q->weights, &sum);
    if (st) return st;
    *out = sum + over_blocks(q, penalty_block, NULL) / (2 * q->fit->l2);
    return SLUICE_OK;
}

/* At the point of the last value_at(). */
static sluice_status gradient_at(search *q)
{
    sluice_status st = linear_loss_gradient(q->loss, q->grad_new, q->grad_new + q->weights);
    double inverse = 1 / q->fit->l2;
    if (!st) over_blocks(q, decay_block, &inverse);
    return st;
}

/* ---- search ---- */

/* Sets direction to -H g by the two loops over the pairs; returns its product with the gradient.  H starts as the
 * diagonal guess times the factor that suits the newest pair. */
static double set_direction(search *q)
{
    double alpha[HISTORY] = { 0 };
    int at[HISTORY] = { 0 }, last = q->held - 1;
    for (int i = 0; i < q->held; i++) at[i] = (q->next + HISTORY - 1 - i) % HISTORY; /* newest first */

    double product = over_blocks(q, start_block, q->held ? q->step[at[0]] : q->grad), factor = 1;
    for (int i = 0; i < q->held; i++) {
        alpha[i] = product / q->curvature[at[i]];
        const float *with = i < last ? q->step[at[i + 1]] : q->change[at[last]];
        product = over_blocks(q, update_block, &(update){ -alpha[i], q->change[at[i]], with });
    }
    if (q->held) factor = q->curvature[at[0]] / over_blocks(q, scaled_square_block, q->change[at[0]]);
    product = over_blocks(q, rescale_block, &(rescale){ factor, q->held ? q->change[at[last]] : q->grad });
    for (int i = last; i >= 0; i--) {
        double beta = product / q->curvature[at[i]];
        const float *with = i > 0 ? q->change[at[i - 1]] : q->grad;
        product = over_blocks(q, update_block, &(update){ alpha[i] - beta, q->step[at[i]], with });
    }
    return product;
}

/* Backtracking from a step of 1 by quadratic interpolation (Armijo); the objective is convex, so the curvature of an
 * accepted step is positive.  *out_moved is false when rounding hides every further decrease. */
static sluice_status line_search(search *q, double slope, double *out_value, bool *out_moved)
{
    sluice_status st = SLUICE_OK;
    double t = 1;
    *out_moved = false;
    for (int trial = 0; trial < TRIALS && slope < 0; trial++) {
        double value;
        over_blocks(q, move_block, &t);
        TRY(value_at(q, &value));
        if (value <= q->value + 1e-4 * t * slope) {
            *out_value = value, *out_moved = true;
            break;
        }
        double quadratic = -0.5 * t * t * slope / (value - q->value - t * slope);
        t = quadratic > 0.1 * t ? (quadratic < 0.5 * t ? quadratic : 0.5 * t) : 0.1 * t;
    }
out:
    return st;
}

/* Takes the new point; remembers the pair unless rounding has eaten its curvature. */
static void accept(search *q, double value)
{
    double product = over_blocks(q, pair_block, NULL);
    double norms = over_blocks(q, square_block, q->step[q->next]) * over_blocks(q, square_block, q->change[q->next]);
    if (product > 1e-8 * sqrt(norms)) {
        q->curvature[q->next] = product;
        q->next = (q->next + 1) % HISTORY;
        if (q->held < HISTORY) q->held++;
    }
    float *swap = q->x;
    q->x = q->x_new, q->x_new = swap;
    swap = q->grad;
    q->grad = q->grad_new, q->grad_new = swap;
    q->value = value;
}

static sluice_status minimise(search *q, int *out_iterations)
{
    sluice_status st = SLUICE_OK;
    sluice *s = q->s;
    const linear_fit *f = q->fit;
    int most = f->max_iterations ? f->max_iterations : 500, flat = 0, i = 0;
    double small = (f->tolerance > 0 ? f->tolerance : 1e-6) * (double)f->m;
    memcpy(q->x_new, q->x, (size_t)q->size * sizeof(float));
    TRY(value_at(q, &q->value));
    TRY(gradient_at(q));
    float *swap = q->grad;
    q->grad = q->grad_new, q->grad_new = swap;
    while (i < most && flat < FLAT_STEPS && largest(q->grad, q->size) > small) {
        double value;
        bool moved;
        if (s->cancelled) FAIL(E_CANCELLED, "training stopped after %d iterations", i);
        TRY(line_search(q, set_direction(q), &value, &moved));
        if (!moved && q->held == 0) break;
        if (!moved) {
            q->held = 0; /* once more along the gradient itself */
            continue;
        }
        flat = q->value - value <= 1e-8 * value ? flat + 1 : 0;
        TRY(gradient_at(q));
        accept(q, value);
        i++;
    }
out:
    *out_iterations = i;
    return st;
}

static sluice_status search_new(search *q)
{
    sluice_status st = SLUICE_OK;
    const linear_fit *f = q->fit;
    sluice *s = q->s;
    int64_t d = f->rows->width, c = f->rows->classes;
    q->weights = c * d, q->size = q->weights + c;
    q->blocks = (q->size + BLOCK - 1) / BLOCK;
    /* Rows of RMS 1 and even probabilities: each class curves by m (1/c) (1 - 1/c); the penalty adds 1/C to weights. */
    double curve = (double)f->m * (double)(c - 1) / ((double)c * (double)c);
    q->weight_scale = 1 / (1 / f->l2 + curve), q->intercept_scale = 1 / curve;
    TRY(linear_loss_new(f->rows, f->first, f->m, &q->loss));
    float **const vectors[] = { &q->x, &q->grad, &q->x_new, &q->grad_new };
    for (int i = 0; i < 4; i++) TRY_NEW(*vectors[i], RAW(s, q->size, float));
    for (int i = 0; i < HISTORY; i++) {
        TRY_NEW(q->step[i], RAW(s, q->size, float));
        TRY_NEW(q->change[i], RAW(s, q->size, float));
    }
    TRY_NEW(q->direction, RAW(s, q->size, double));
    TRY_NEW(q->partial, RAW(s, q->blocks, double));
out:
    return st;
}

static void search_release(search *q)
{
    linear_loss_free(q->loss);
    mem_free(q->x), mem_free(q->grad), mem_free(q->x_new), mem_free(q->grad_new);
    mem_free(q->direction), mem_free(q->partial);
    for (int i = 0; i < HISTORY; i++) mem_free(q->step[i]), mem_free(q->change[i]);
}

sluice_status lbfgs_fit(sluice *s, linear_fit *f)
{
    sluice_status st = SLUICE_OK;
    search q = { .s = s, .fit = f };
    TRY(search_new(&q));
    memcpy(q.x, f->w, (size_t)q.weights * sizeof(float));
    memcpy(q.x + q.weights, f->b, (size_t)(q.size - q.weights) * sizeof(float));
    TRY(minimise(&q, &f->iterations));
    memcpy(f->w, q.x, (size_t)q.weights * sizeof(float));
    memcpy(f->b, q.x + q.weights, (size_t)(q.size - q.weights) * sizeof(float));
    f->objective = q.value;
out:
    search_release(&q);
    return st;
}
