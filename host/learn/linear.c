/* linear.c - fits a linear head: standardise, choose C out of fold, fit every label with it.
 *
 * The rows are laid out fold after fold, and the first folds once more behind the last, so that the rows outside any
 * fold are one contiguous stretch and no fold needs a copy of its own:
 *
 *     fold 0 | fold 1 | fold 2 | fold 3 | fold 4 | fold 0 | fold 1 | fold 2
 *                                held = 3, trained on [ ...................]
 *
 * Above MANY_ROWS labels only fold 0 is held out, once, and nothing is repeated. */
#include "backends.h"
#include "device.h"
#include "learn.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum { FOLDS = 5, MANY_ROWS = 20000, FOLD_ITERATIONS = 200 };
static const double PATH[] = { 1e-4, 1e-3, 1e-2, 1e-1, 1, 10 };
enum { PATH_LENGTH = sizeof PATH / sizeof *PATH };
static const double NO_FOLD_C = 1; /* where no fold can judge: a few labels want a large C */
static const double FOLD_TOLERANCE = 1e-5;
static const double WATCHED = 1e8; /* rows * width * classes from which progress is told: about a second */
static const double SHARED_LOGITS = 1 << 24;
enum { SHARED_WIDTH = 1024 };
static const float NEVER = -1e4f; /* the intercept of a class without rows: its probability is 0 */

typedef struct fold {
    int64_t held_first, held_rows, train_first, train_rows; /* in the layout */
    float *w, *b;                                           /* the fit at the last C, where the next one starts */
    bool usable;                                            /* at least two classes to train on and a row to judge */
} fold;

typedef struct linear_run {
    sluice *s;
    const train_set *t;
    float *mean, scale;
    float *class_weight; /* [classes] or NULL */
    int64_t *order;      /* [m] row of each place of the layout's first part */
    float *x;            /* [layout_rows, width] standardised */
    int32_t *target;     /* [layout_rows] */
    seated_rows rows;    /* x, target and class_weight where ops compute */
    int64_t layout_rows;
    int folds;
    fold fold[FOLDS];
    int64_t held_count;
    int32_t *held_target;    /* [held_count] */
    float *held, *held_best; /* [held_count, classes] logits at this C and at the best one */
    float *scratch, *packed; /* logits of one fold; weights of one fold, where ops compute */
    double c, nll;           /* best so far */
    float *w, *b;            /* fit of the first usable fold at the best C, then the final fit */
    json_t *path;            /* [{C, nll, iterations}] */
    progress progress;       /* told where a fit takes long enough to be watched */
    int64_t fits;
} linear_run;

/* ---- standardise ---- */

/* mean: sums over rows ascending; scale: RMS of what is left, rows ascending. */
static sluice_status measure(linear_run *r)
{
    sluice_status st = SLUICE_OK;
    sluice *s = r->s;
    const train_set *t = r->t;
    double *sum = NULL, square = 0;
    TRY_NEW(r->mean, RAW(r->s, t->width, float));
    TRY_NEW(sum, NEW(r->s, t->width, double));
    for (int64_t i = 0; i < t->m; i++)
        for (int64_t k = 0; k < t->width; k++) sum[k] += (double)t->x[i * t->width + k];
    for (int64_t k = 0; k < t->width; k++) r->mean[k] = (float)(sum[k] / (double)t->m), sum[k] = 0;
    for (int64_t i = 0; i < t->m; i++)
        for (int64_t k = 0; k < t->width; k++) {
            double v = (double)t->x[i * t->width + k] - (double)r->mean[k];
            sum[k] += v * v;
        }
    for (int64_t k = 0; k < t->width; k++) square += sum[k];
    r->scale = (float)sqrt(square / ((double)t->m * (double)t->width));
    if (!(r->scale > 0)) r->scale = 1;
    if (r->scale > 1e30f)
        FAIL(E_DATA, "the labelled features are too large to standardise: their spread is %g", (double)r->scale);
out:
    mem_free(sum);
    return st;
}

static void standardise(const linear_run *r, int64_t row, float *out)
{
    const float *x = r->t->x + row * r->t->width;
    for (int64_t k = 0; k < r->t->width; k++) out[k] = (x[k] - r->mean[k]) / r->scale;
}

/* ---- folds ---- */

static void set_order(linear_run *r, const int32_t *of, int64_t start[FOLDS + 1])
{
    int64_t at = 0;
    for (int f = 0; f < FOLDS; f++) {
        start[f] = at;
        for (int64_t i = 0; i < r->t->m; i++)
            if (of[i] == f) r->order[at++] = i;
    }
    start[FOLDS] = at;
}

static void set_folds(linear_run *r, const int64_t start[FOLDS + 1])
{
    int64_t m = r->t->m;
    r->folds = m > MANY_ROWS ? 1 : FOLDS;
    r->layout_rows = r->folds == 1 ? m : m + start[FOLDS - 2];
    for (int f = 0; f < r->folds; f++) {
        fold *p = &r->fold[f];
        p->held_first = start[f], p->held_rows = start[f + 1] - start[f];
        p->train_first = f == FOLDS - 1 ? 0 : start[f + 1], p->train_rows = m - p->held_rows;
    }
}

/* Which classes a fold trains on. */
static sluice_status seen_classes(const linear_run *r, const fold *f, bool **out_seen, int *out_count)
{
    sluice_status st = SLUICE_OK;
    bool *seen;
    TRY_NEW(seen, NEW(r->s, r->t->classes, bool));
    *out_count = 0;
    for (int64_t i = 0; i < f->train_rows; i++) {
        bool *mark = &seen[r->target[f->train_first + i]];
        *out_count += !*mark;
        *mark = true;
    }
    *out_seen = seen;
out:
    return st;
}

/* A held-out row whose class the fold never saw says nothing about C: it is judged by nobody. */
static sluice_status open_fold(linear_run *r, fold *f)
{
    sluice_status st = SLUICE_OK;
    bool *seen = NULL;
    int count;
    TRY(seen_classes(r, f, &seen, &count));
    if (count < 2) goto out;
    TRY_NEW(f->w, NEW(r->s, r->t->classes * r->t->width, float));
    TRY_NEW(f->b, NEW(r->s, r->t->classes, float));
    for (int j = 0; j < r->t->classes; j++)
        if (!seen[j]) f->b[j] = NEVER;
    for (int64_t i = f->held_first; i < f->held_first + f->held_rows; i++)
        if (seen[r->target[i]]) r->held_target[r->held_count++] = r->target[i], f->usable = true;
out:
    mem_free(seen);
    return st;
}

/* An evaluation on several devices hands m x classes logits around for 4 x width operations each, which pays where both
 * are large; by the rates of links and multipliers, nothing was timed. */
static int seats_for(const sluice *s, int64_t m, int64_t width, int classes)
{
    bool large = width >= SHARED_WIDTH && (double)m * classes >= SHARED_LOGITS;
    return large && on_device(s) ? s->devices : 1;
}

static sluice_status lay_out(linear_run *r, uint64_t seed)
{
    sluice_status st = SLUICE_OK;
    const train_set *t = r->t;
    int64_t start[FOLDS + 1], largest = 0;
    int32_t *of = NULL;
    TRY_NEW(of, RAW(r->s, t->m, int32_t));
    TRY_NEW(r->order, RAW(r->s, t->m, int64_t));
    fold_assign(seed, t->ids, t->m, FOLDS, of);
    set_order(r, of, start);
    set_folds(r, start);
    TRY_NEW(r->x, mem_raw(r->s, r->layout_rows, sizeof(float) * (size_t)t->width));
    TRY_NEW(r->target, RAW(r->s, r->layout_rows, int32_t));
    TRY(seated_rows_init(&r->rows, r->s, seats_for(r->s, t->m, t->width, t->classes), r->x, r->target, r->layout_rows,
                         t->width, r->class_weight, t->classes));
    TRY_NEW(r->held_target, RAW(r->s, t->m, int32_t));
    for (int64_t i = 0; i < r->layout_rows; i++) {
        int64_t row = r->order[i < t->m ? i : i - t->m];
        standardise(r, row, r->x + i * t->width);
        r->target[i] = t->target[row];
    }
    TRY(seated_rows_send(&r->rows, r->layout_rows));
    for (int f = 0; f < r->folds; f++) {
        TRY(open_fold(r, &r->fold[f]));
        if (r->fold[f].held_rows > largest) largest = r->fold[f].held_rows;
    }
    TRY_NEW(r->held, mem_raw(r->s, r->held_count, sizeof(float) * (size_t)t->classes));
    TRY_NEW(r->held_best, mem_raw(r->s, r->held_count, sizeof(float) * (size_t)t->classes));
    TRY_NEW(r->scratch, mem_raw(r->s, largest, sizeof(float) * (size_t)t->classes));
    TRY_NEW(r->packed, DEV(r->s, (int64_t)sluice_packed_floats(t->classes, t->width), float));
out:
    mem_free(of);
    return st;
}

/* ---- the path over C ---- */

static bool watched(const linear_run *r) { return (double)r->t->m * (double)r->t->width * r->t->classes >= WATCHED; }

/* Logits of a fold's held-out rows by its own fit, those of unseen classes left out; *at counts the rows. */
static sluice_status judge_fold(linear_run *r, const fold *f, int64_t *at)
{
    sluice_status st = SLUICE_OK;
    const train_set *t = r->t;
    int64_t c = t->classes;
    sluice_view x = sluice_rows(r->rows.seat[0].x + f->held_first * t->width, SLUICE_F32, f->held_rows, t->width);
    sluice_view w = sluice_rows(f->w, SLUICE_F32, c, t->width),
                z = sluice_rows(r->scratch, SLUICE_F32, f->held_rows, c);
    TRY(sluice_op_pack(r->s, &(sluice_op_pack_args){ .w = w, .out = r->packed }));
    TRY(sluice_op_forward(r->s,
                          &(sluice_op_forward_args){ .x = x, .packed = r->packed, .bias = f->b, .c = c, .out = z }));
    for (int64_t i = 0; i < f->held_rows; i++)
        if (f->b[r->target[f->held_first + i]] != NEVER)
            memcpy(r->held + (*at)++ * c, r->scratch + i * c, (size_t)c * sizeof(float));
out:
    return st;
}

static sluice_status try_c(linear_run *r, double c, double *out_nll, json_t **out_note)
{
    sluice_status st = SLUICE_OK;
    const train_set *t = r->t;
    int64_t at = 0;
    int iterations = 0;
    for (fold *f = r->fold; f < r->fold + r->folds; f++) {
        if (!f->usable) continue;
        linear_fit fit = { .rows = &r->rows,
                           .first = f->train_first,
                           .m = f->train_rows,
                           .l2 = c,
                           .w = f->w,
                           .b = f->b,
                           .max_iterations = FOLD_ITERATIONS,
                           .tolerance = FOLD_TOLERANCE };
        TRY(lbfgs_fit(r->s, &fit));
        TRY(judge_fold(r, f, &at));
        r->fits++;
        if (watched(r)) TRY(progress_step(r->s, &r->progress, r->fits, 0));
        iterations += fit.iterations;
    }
    *out_nll = nll_sum(r->held, r->held_target, r->held_count, t->classes, 1) / (double)r->held_count;
    *out_note = json_pack("{s:f, s:f, s:i}", "C", c, "nll", *out_nll, "iterations", iterations);
out:
    return st;
}

static const fold *first_usable(const linear_run *r)
{
    for (int f = 0; f < r->folds; f++)
        if (r->fold[f].usable) return &r->fold[f];
    return NULL;
}

static void keep_best(linear_run *r, double c, double nll)
{
    const fold *f = first_usable(r);
    float *swap = r->held;
    r->c = c, r->nll = nll;
    r->held = r->held_best, r->held_best = swap;
    memcpy(r->w, f->w, sizeof(float) * (size_t)(r->t->classes * r->t->width));
    for (int j = 0; j < r->t->classes; j++) r->b[j] = f->b[j] == NEVER ? 0 : f->b[j];
}

/* The C of the lowest out-of-fold NLL, the smaller of equals.  The NLL has one valley along the path: two rises in a
 * row end the search, which spares the slowest fits. */
static sluice_status choose_c(linear_run *r, const double *path, int count)
{
    sluice_status st = SLUICE_OK;
    sluice *s = r->s;
    double last = INFINITY;
    int rises = 0;
    r->nll = INFINITY;
    progress_begin(&r->progress, "train", "fits", count * r->folds);
    for (int i = 0; i < count && rises < 2; i++) {
        double nll = INFINITY;
        json_t *note = NULL;
        TRY(try_c(r, path[i], &nll, &note));
        json_array_append_new(r->path, note);
        if (nll < r->nll) keep_best(r, path[i], nll);
        rises = nll > last ? rises + 1 : 0;
        last = nll;
    }
    if (watched(r)) progress_end(s, &r->progress);
    if (!(r->nll < INFINITY)) FAIL(E_DATA, "training fails: the features are too large or too small to fit");
out:
    return st;
}

/* ---- the head ---- */

/* Every label, in the order of the rows, from where the first fold ended. */
static sluice_status fit_all(linear_run *r, linear_fit *fit)
{
    const train_set *t = r->t;
    for (int64_t i = 0; i < t->m; i++) {
        standardise(r, i, r->x + i * t->width);
        r->target[i] = t->target[i];
    }
    sluice_status st = seated_rows_send(&r->rows, t->m);
    if (st) return st;
    *fit = (linear_fit){ .rows = &r->rows, .m = t->m, .l2 = r->c, .w = r->w, .b = r->b };
    return lbfgs_fit(r->s, fit);
}

static sluice_status describe(const linear_run *r, const sluice_train_args *a, const linear_fit *fit, sluice_head *h)
{
    sluice_status st = SLUICE_OK;
    sluice *s = r->s;
    json_t *j = json_pack("{s:s, s:I, s:I, s:s, s:f, s:b, s:i, s:I, s:i, s:f, s:O}", "method", "l-bfgs", "rows",
                          (json_int_t)r->t->m, "seed", (json_int_t)a->seed, "class_weights",
                          a->class_weights ? a->class_weights : "none", "C", r->c, "chosen", a->l2 == 0, "folds",
                          r->folds, "held_out", (json_int_t)r->held_count, "iterations", fit->iterations, "objective",
                          fit->objective, "path", r->path);
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    if (!text) FAIL(E_MEMORY, "out of memory");
    TRY_NEW(h->trained, mem_text(r->s, text));
out:
    json_decref(j);
    free(text);
    return st;
}

static sluice_status make_head(linear_run *r, const sluice_train_args *a, const linear_fit *fit, sluice_head **out_head)
{
    sluice_status st = SLUICE_OK;
    const train_set *t = r->t;
    sluice_head *h = NULL;
    TRY(head_new(r->s, "linear", t->shape, t->classes, t->names, &h));
    h->layers[0].w = r->w, h->layers[0].b = r->b, h->mean = r->mean, h->scale = r->scale;
    r->w = r->b = r->mean = NULL;
    h->l2 = r->c;
    h->temperature = calibrate_temperature(r->held_best, r->held_target, r->held_count, t->classes);
    h->held_count = r->held_count, h->held_logits = r->held_best, h->held_target = r->held_target;
    r->held_best = NULL, r->held_target = NULL;
    TRY(describe(r, a, fit, h));
    TRY(head_prepare(r->s, h));
    *out_head = h, h = NULL;
out:
    sluice_head_free(h);
    return st;
}

static void run_release(linear_run *r)
{
    seated_rows_release(&r->rows);
    dev_free(r->s, r->packed);
    mem_free(r->mean), mem_free(r->class_weight), mem_free(r->order), mem_free(r->x), mem_free(r->target);
    mem_free(r->held_target), mem_free(r->held), mem_free(r->held_best), mem_free(r->scratch);
    mem_free(r->w), mem_free(r->b);
    for (int f = 0; f < FOLDS; f++) mem_free(r->fold[f].w), mem_free(r->fold[f].b);
    json_decref(r->path);
}

sluice_status train_linear(sluice *s, const train_set *t, const sluice_train_args *a, sluice_head **out_head)
{
    sluice_status st = SLUICE_OK;
    linear_run r = { .s = s, .t = t, .c = a->l2 > 0 ? a->l2 : NO_FOLD_C, .path = json_array() };
    linear_fit fit;
    TRY(measure(&r));
    TRY(weigh_classes(s, a->class_weights, t->target, NULL, t->m, t->classes, &r.class_weight));
    TRY_NEW(r.w, NEW(s, t->classes * t->width, float));
    TRY_NEW(r.b, NEW(s, t->classes, float));
    TRY(lay_out(&r, a->seed));
    if (r.held_count > 0) TRY(choose_c(&r, a->l2 > 0 ? &a->l2 : PATH, a->l2 > 0 ? 1 : PATH_LENGTH));
    TRY(fit_all(&r, &fit));
    TRY(make_head(&r, a, &fit, out_head));
out:
    run_release(&r);
    return st;
}

sluice_status linear_refit(sluice *s, sluice_head *h, float *x, int32_t *target, int64_t m, const char *class_weights,
                           linear_fit *fit)
{
    sluice_status st = SLUICE_OK;
    seated_rows rows = { 0 };
    float *class_weight = NULL;
    int64_t d = h->in_width;
    TRY(weigh_classes(s, class_weights, target, NULL, m, h->classes, &class_weight));
    TRY(seated_rows_init(&rows, s, seats_for(s, m, d, h->classes), x, target, m, d, class_weight, h->classes));
    TRY(seated_rows_send(&rows, m));
    fit->rows = &rows, fit->m = m, fit->w = h->layers[0].w, fit->b = h->layers[0].b;
    TRY(lbfgs_fit(s, fit));
    TRY(head_prepare(s, h));
out:
    seated_rows_release(&rows);
    mem_free(class_weight);
    return st;
}
