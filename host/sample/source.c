/* source.c - see source.h.
 *
 * probs become logits by z = log p, and p = 0 by -1e30, finite so that the row keeps its other classes.  A row that
 * is no distribution (an entry below 0 or above 1, a sum far from 1) scores NaN: it is counted and never picked. */
#include "source.h"
#include "exact.h"

#include <math.h>
#include <string.h>

static const float no_chance = -1e30f;  /* log 0 */
static const float entry_slack = 1e-3f; /* f16 probabilities may pass 1 */
static const double sum_slack = 1e-2;   /* and sum to 1 only about */

static const size_t column_offset[COLUMN_COUNT] = {
    [COLUMN_LEAST_CONFIDENCE] = offsetof(sluice_scores, least_confidence),
    [COLUMN_MARGIN] = offsetof(sluice_scores, margin),
    [COLUMN_RATIO] = offsetof(sluice_scores, ratio),
    [COLUMN_ENTROPY] = offsetof(sluice_scores, entropy),
    [COLUMN_ENERGY] = offsetof(sluice_scores, energy),
    [COLUMN_CONFIDENCE] = offsetof(sluice_scores, confidence),
    [COLUMN_PREDICTION] = offsetof(sluice_scores, prediction),
};
float **scores_column(sluice_scores *scores, column j) { return (float **)((char *)scores + column_offset[j]); }
float *scores_get(const sluice_scores *scores, column j)
{
    return *(float *const *)((const char *)scores + column_offset[j]);
}

static sluice_status check_outputs(sluice *s, const sluice_pool *pool, const sluice_pool *outputs, const char *what)
{
    if (outputs->rows != pool->rows)
        return sluice_fail(s, SLUICE_E_SHAPE, "the %s have %lld rows, the pool has %lld", what,
                           (long long)outputs->rows, (long long)pool->rows);
    if (outputs->width > INT32_MAX)
        return sluice_fail(s, SLUICE_E_SHAPE, "%s of %lld classes are too wide", what, (long long)outputs->width);
    return SLUICE_OK;
}

sluice_status source_init(sluice *s, source *src, const sluice_pool *pool, const sluice_head *head,
                          const sluice_pool *logits, const sluice_pool *probs)
{
    *src = (source){ .kind = SOURCE_FEATURES, .pool = pool };
    if ((head != NULL) + (logits != NULL) + (probs != NULL) > 1)
        return sluice_fail(s, SLUICE_E_USAGE, "scores come from one of head, logits and probs, not from several");
    if (head) {
        if (pool->rows && head->in_width != pool->width)
            return sluice_fail(s, SLUICE_E_SHAPE, "the head takes rows of width %lld, the pool has %lld",
                               (long long)head->in_width, (long long)pool->width);
        src->kind = SOURCE_HEAD, src->head = head, src->classes = head->classes;
    } else if (logits) {
        src->kind = SOURCE_LOGITS, src->pool = logits, src->classes = (int)logits->width;
        return check_outputs(s, pool, logits, "logits");
    } else if (probs) {
        src->kind = SOURCE_PROBS, src->pool = probs, src->classes = (int)probs->width;
        return check_outputs(s, pool, probs, "probabilities");
    }
    return SLUICE_OK;
}

void source_release(source *src)
{
    mem_free(src->wide);
    *src = (source){ 0 };
}

/* *x as contiguous f32 in src->wide. */
static sluice_status widen(sluice *s, source *src, sluice_view *x)
{
    size_t floats;
    if (mul_overflows((size_t)x->rows, (size_t)x->cols, &floats) || floats > INT64_MAX)
        return sluice_fail(s, SLUICE_E_MEMORY, "a block of %lld x %lld floats is too large", (long long)x->rows,
                           (long long)x->cols);
    if ((int64_t)floats > src->wide_floats) {
        mem_free(src->wide);
        src->wide_floats = 0;
        src->wide = RAW(s, (int64_t)floats, float);
        if (!src->wide) return SLUICE_E_MEMORY;
        src->wide_floats = (int64_t)floats;
    }
    sluice_view wide = sluice_rows(src->wide, SLUICE_F32, x->rows, x->cols);
    sluice_op_convert_args a = { .x = *x, .out = wide };
    sluice_status st = sluice_op_convert(s, &a);
    *x = wide;
    return st;
}

static void row_to_logits(float *p, int64_t c)
{
    double sum = 0;
    bool fits = true;
    for (int64_t j = 0; j < c; j++) {
        fits &= p[j] >= 0 && p[j] <= 1 + entry_slack;
        sum += (double)p[j];
        p[j] = p[j] > 0 ? ex_log(p[j]) : no_chance;
    }
    if (!fits || !(fabs(sum - 1) <= sum_slack)) p[0] = ex_nan();
}

static void probs_to_logits(sluice *s, sluice_view x)
{
#pragma omp parallel num_threads(s->threads)
    {
        fp_state fp = fp_enter();
#pragma omp for schedule(static)
        for (int64_t i = 0; i < x.rows; i++) row_to_logits((float *)((char *)x.data + (size_t)i * x.stride), x.cols);
        fp_leave(fp);
    }
}

static sluice_view one_row(sluice_view x, int64_t i)
{
    x.data = (char *)x.data + (size_t)i * x.stride;
    if (x.scale) x.scale += i;
    x.rows = 1;
    return x;
}

static sluice_status find_bad(sluice *s, sluice_view x, uint8_t *bad)
{
    return sluice_op_finite(s, &(sluice_op_finite_args){ .x = x, .bad = bad });
}

/* Any computed column; NULL: none asked for. */
static const float *some_column(const sluice_scores *out)
{
    for (int j = 0; j < COLUMN_COUNT; j++)
        if (scores_get(out, (column)j)) return scores_get(out, (column)j);
    return NULL;
}

/* Scores of a row whose features hold a NaN or an infinity are NaN (head.h), so only rows that scored NaN are looked at
 * again to tell which of them have finite features. */
static sluice_status scan_head(sluice *s, source *src, sluice_view x, const sluice_scores *out, float *logits,
                               uint8_t *bad)
{
    const float *probe = some_column(out);
    sluice_status st = head_scan(s, src->head, x, out, logits);
    if (!st && !probe) return find_bad(s, x, bad);
    memset(bad, 0, (size_t)x.rows);
    for (int64_t i = 0; i < x.rows && !st; i++)
        if (probe[i] != probe[i]) st = find_bad(s, one_row(x, i), bad + i);
    return st;
}

/* One pattern for a row without finite logits, as head_logits() has it. */
static void copy_logits(sluice_view x, float *logits)
{
    for (int64_t i = 0; i < x.rows; i++) {
        const float *z = (const float *)((const char *)x.data + (size_t)i * x.stride);
        bool finite = true;
        for (int64_t j = 0; j < x.cols; j++) finite &= ex_finite(z[j]) != 0;
        for (int64_t j = 0; j < x.cols; j++) logits[i * x.cols + j] = finite ? z[j] : ex_nan();
    }
}

sluice_status source_scan(sluice *s, source *src, sluice_view x, const sluice_scores *out, float *logits, uint8_t *bad)
{
    sluice_status st = SLUICE_OK;
    bool outputs = src->kind == SOURCE_LOGITS || src->kind == SOURCE_PROBS;
    if (x.rows == 0) return SLUICE_OK;
    /* Ops take no f64; probs are overwritten by their logs, so they are always copied. */
    if (x.type == SLUICE_F64 || src->kind == SOURCE_PROBS || (outputs && x.type != SLUICE_F32)) TRY(widen(s, src, &x));
    if (src->kind == SOURCE_HEAD) return scan_head(s, src, x, out, logits, bad);
    TRY(find_bad(s, x, bad));
    if (src->kind == SOURCE_FEATURES) return SLUICE_OK;
    if (src->kind == SOURCE_PROBS) probs_to_logits(s, x);
    TRY(sluice_op_score(s, &(sluice_op_score_args){ .logits = x, .temperature = 1, .out = *out }));
    if (logits) copy_logits(x, logits);
out:
    return st;
}
