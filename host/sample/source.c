/* source.c - see source.h.
 *
 * probs become logits by z = log p, and p = 0 by -1e30, finite so that the row keeps its other classes.  A row that
 * is no distribution (an entry below 0 or above 1, a sum far from 1) scores NaN: it is counted and never picked. */
#include "source.h"
#include "backends.h"
#include "device.h"
#include "exact.h"
#include "scorer.h"

#include <math.h>
#include <stdio.h>
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

source_out source_out_from(const source *src, source_out out, int64_t row)
{
    for (int j = 0; j < COLUMN_COUNT; j++)
        if (scores_get(&out.scores, (column)j)) *scores_column(&out.scores, (column)j) += row;
    if (out.logits) out.logits += row * src->classes;
    out.bad += row;
    out.facts_from += row;
    return out;
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

/* "'a.safetensors'"; a head that was not read from a file is one by its place. */
static void name_member(const source *src, int i, char out[300])
{
    const char *path = i ? src->committee[i - 1]->path : src->head->path;
    if (path) snprintf(out, 300, "'%.290s'", path);
    else snprintf(out, 300, "head %d", i + 1);
}

static sluice_status check_member(sluice *s, const source *src, int i)
{
    const sluice_head *a = src->head, *b = src->committee[i - 1];
    char first[300], other[300];
    name_member(src, 0, first), name_member(src, i, other);
    if (b->in_width != a->in_width)
        return sluice_fail(s, SLUICE_E_SHAPE,
                           "the heads of a committee must take the same rows: %s takes %lld features, %s %lld", first,
                           (long long)a->in_width, other, (long long)b->in_width);
    if (b->classes != a->classes)
        return sluice_fail(s, SLUICE_E_SHAPE, "the heads of a committee must have the same classes: %s has %d, %s %d",
                           first, a->classes, other, b->classes);
    for (int j = 0; j < a->classes; j++)
        if (strcmp(a->names[j], b->names[j]) != 0)
            return sluice_fail(
                s, SLUICE_E_SHAPE,
                "the heads of a committee must have the same classes: class %d of %s is '%s', of %s '%s'", j, first,
                a->names[j], other, b->names[j]);
    return SLUICE_OK;
}

sluice_status source_committee(sluice *s, source *src, const sluice_head *const *heads, int count)
{
    sluice_status st = SLUICE_OK;
    if (count < 0 || (count && !heads)) return sluice_fail(s, SLUICE_E_USAGE, "the committee's heads are missing");
    if (count && !src->head) return sluice_fail(s, SLUICE_E_USAGE, "a committee needs its first head as 'head'");
    if (count >= MOST_PASSES)
        return sluice_fail(s, SLUICE_E_USAGE, "%d heads are too many for a committee, which has at most %d", count + 1,
                           MOST_PASSES);
    src->committee = heads, src->committee_count = count;
    for (int i = 1; i <= count && !st; i++) st = check_member(s, src, i);
    return st;
}

place source_place(const sluice *s, const source *src)
{
    return src->kind == SOURCE_HEAD || src->scorer_count ? place_here(s) : place_cpu(s);
}

void source_release(sluice *s, source *src)
{
    place to = source_place(s, src), was = place_go(s, &to);
    dev_free(s, src->wide);
    *src = (source){ 0 };
    place_back(s, was);
}

/* *x as contiguous f32 in src->wide. */
static sluice_status widen(sluice *s, source *src, sluice_view *x)
{
    size_t floats;
    if (mul_overflows((size_t)x->rows, (size_t)x->cols, &floats) || floats > INT64_MAX)
        return sluice_fail(s, SLUICE_E_MEMORY, "a block of %lld x %lld floats is too large", (long long)x->rows,
                           (long long)x->cols);
    if ((int64_t)floats > src->wide_floats) {
        dev_free(s, src->wide);
        src->wide_floats = 0;
        src->wide = DEV(s, (int64_t)floats, float);
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

static bool far(const sluice *s, const void *p) { return on_device(s) && s->backend->owns(p); }

/* Of a column that the host does not see a byte a row comes back, ROW_BAD for what may be that or ROW_UNSCORED. */
static sluice_status find_unscored(sluice *s, const float *column, int64_t n, uint8_t *bad)
{
    if (far(s, column)) return find_bad(s, sluice_rows((void *)(uintptr_t)column, SLUICE_F32, n, 1), bad);
    return SLUICE_OK;
}

/* Which rows that have no score hold a NaN or an infinity themselves. */
static sluice_status find_bad_among(sluice *s, sluice_view x, uint8_t *bad)
{
    sluice_status st = SLUICE_OK;
    uint8_t *own = NULL;
    TRY_NEW(own, NEW(s, x.rows, uint8_t));
    if (on_device(s)) TRY(exec_wait(s, find_bad(s, x, own)));
    for (int64_t i = 0; i < x.rows; i++) {
        if (!bad[i]) continue;
        if (!on_device(s)) TRY(find_bad(s, sluice_rows_of(x, i, 1), own + i));
        bad[i] = own[i] ? ROW_BAD : ROW_UNSCORED;
    }
out:
    mem_free(own);
    return st;
}

/* Scores of a row whose features hold a NaN or an infinity are NaN (head.h), so only rows that scored NaN are looked at
 * again to tell which of them have finite features.  On a device a call for each would cost more than all rows
 * together. */
static sluice_status find_bad_behind(sluice *s, const source *src, const source_out *out)
{
    const float *probe = some_column(&out->scores);
    size_t n = (size_t)src->x.rows;
    if (!far(s, probe))
        for (size_t i = 0; i < n; i++) out->bad[i] = probe[i] != probe[i] ? ROW_BAD : 0;
    return memchr(out->bad, ROW_BAD, n) ? find_bad_among(s, src->x, out->bad) : SLUICE_OK;
}

/* The rows of a model's outputs as f32 logits. */
static sluice_status begin_outputs(sluice *s, source *src, const source_out *out)
{
    sluice_status st = SLUICE_OK;
    if (src->kind == SOURCE_PROBS) probs_to_logits(s, src->x);
    TRY(sluice_op_score(s, &(sluice_op_score_args){ .logits = src->x, .temperature = 1, .out = out->scores }));
    if (!out->logits) return SLUICE_OK;
    sluice_view copy = sluice_rows(out->logits, SLUICE_F32, src->x.rows, src->x.cols);
    TRY(sluice_op_convert(s, &(sluice_op_convert_args){ .x = src->x, .out = copy }));
out:
    return st;
}

/* A deferred exec goes on with these after the scores' ops. */
static sluice_status begin_facts(sluice *s, const source *src, const source_out *out)
{
    sluice_status st = SLUICE_OK;
    for (int i = 0; i < src->scorer_count && out->facts && !st; i++) {
        const scorer *q = &src->scorers[i];
        float *to[SCORER_FACTS];
        for (int j = 0; j < SCORER_FACTS; j++) {
            float *facts = out->facts[i * SCORER_FACTS + j];
            to[j] = facts ? facts + out->facts_from * q->facts[j] : NULL;
        }
        st = scorer_begin(s, q, src->x, to);
    }
    return st;
}

sluice_status source_begin(sluice *s, source *src, sluice_view x, const source_out *out)
{
    sluice_status st = SLUICE_OK;
    bool outputs = src->kind == SOURCE_LOGITS || src->kind == SOURCE_PROBS;
    src->x = x;
    if (x.rows == 0) return SLUICE_OK;
    /* Ops take no f64; probs are overwritten by their logs, so they are always copied. */
    if (x.type == SLUICE_F64 || src->kind == SOURCE_PROBS || (outputs && x.type != SLUICE_F32))
        TRY(widen(s, src, &src->x));
    if (src->kind != SOURCE_HEAD || !some_column(&out->scores)) TRY(find_bad(s, src->x, out->bad));
    if (src->kind == SOURCE_HEAD) TRY(head_scan(s, src->head, src->x, &out->scores, out->logits));
    if (src->kind == SOURCE_HEAD) TRY(find_unscored(s, some_column(&out->scores), src->x.rows, out->bad));
    if (outputs) TRY(begin_outputs(s, src, out));
    TRY(begin_facts(s, src, out));
out:
    return st;
}

sluice_status source_end(sluice *s, source *src, const source_out *out)
{
    bool head = src->kind == SOURCE_HEAD;
    const float *probe = some_column(&out->scores);
    if (out->logits && (!head || on_device(s))) /* a head on the CPU has done so */
        quarantine_logits(out->logits, src->x.rows, src->classes, NULL);
    if (!probe) return SLUICE_OK;
    if (head) return find_bad_behind(s, src, out);
    for (int64_t i = 0; i < src->x.rows; i++)
        if (!out->bad[i] && probe[i] != probe[i]) out->bad[i] = ROW_UNSCORED;
    return SLUICE_OK;
}
