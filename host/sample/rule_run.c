/* rule_run.c - see rule_run.h.
 *
 *     candidates, labelled rows, reference sample ─▶ by hash ─▶ features ─▶ the rule's space ─▶ batch ─▶ rule ─▶ picks
 *
 * Everything a rule sees is gathered here, so that rules know no files. */
#include "rule_run.h"
#include "exact.h"

#include <stdlib.h>
#include <string.h>

/* Rows with what is known of them, in the order of their hashes. */
typedef struct row_set {
    int64_t n;
    sluice_entry *entry; /* [n] */
    int32_t *target;     /* [n] or NULL */
    float *x;            /* [n, d] */
} row_set;

typedef struct run {
    const rule_inputs *in;
    const strategy *st;
    const strategy_rule *rule;
    row_set candidates, labelled, sample;
    int64_t width; /* of the space */
    float *weight, *prediction, *logits;
    double *bytes;
} run;

static void row_set_release(row_set *r) { mem_free(r->entry), mem_free(r->target), mem_free(r->x); }

static void run_release(run *r)
{
    row_set_release(&r->candidates), row_set_release(&r->labelled), row_set_release(&r->sample);
    mem_free(r->weight), mem_free(r->prediction), mem_free(r->logits);
}

static int by_hash(const void *x, const void *y)
{
    const sluice_entry *a = x, *b = y;
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

static sluice_entry entry_of(const run *r, int64_t row)
{
    uint64_t id = r->in->pool->ids ? r->in->pool->ids[row] : (uint64_t)row;
    return (sluice_entry){ .row = row, .id = id, .hash = ex_hash64(r->in->rules->seed, id) };
}

/* ---- which rows ---- */

static sluice_status take_candidates(sluice *s, run *r, const candidates *c)
{
    sluice_status st = SLUICE_OK;
    row_set *set = &r->candidates;
    set->n = c->top.count;
    TRY_NEW(set->entry, RAW(s, set->n, sluice_entry));
    memcpy(set->entry, c->top.entries, (size_t)set->n * sizeof *set->entry);
    qsort(set->entry, (size_t)set->n, sizeof *set->entry, by_hash);
out:
    return st;
}

/* tag carries a row's place in the labels through the sort. */
static sluice_status take_labels(sluice *s, run *r)
{
    sluice_status st = SLUICE_OK;
    const sluice_labels *l = r->in->labels;
    row_set *set = &r->labelled;
    set->n = l->count;
    TRY_NEW(set->entry, RAW(s, set->n, sluice_entry));
    TRY_NEW(set->target, RAW(s, set->n, int32_t));
    for (int64_t i = 0; i < set->n; i++) {
        set->entry[i] = entry_of(r, l->row[i]);
        set->entry[i].tag = (uint32_t)i;
    }
    qsort(set->entry, (size_t)set->n, sizeof *set->entry, by_hash);
    for (int64_t i = 0; i < set->n; i++) set->target[i] = l->target[set->entry[i].tag];
out:
    return st;
}

static sluice_status take_training_rows(sluice *s, run *r)
{
    sluice_status st = SLUICE_OK;
    const sluice_head *h = r->in->src->head;
    row_set *set = &r->labelled;
    int64_t *row = NULL;
    if (!h || h->pool_fingerprint != r->in->pool->fingerprint) return SLUICE_OK;
    TRY_NEW(row, RAW(s, h->train_count, int64_t));
    TRY_NEW(set->entry, RAW(s, h->train_count, sluice_entry));
    TRY(pool_find_ids(s, r->in->pool, h->train_ids, h->train_count, row));
    for (int64_t i = 0; i < h->train_count; i++)
        if (row[i] >= 0) set->entry[set->n++] = entry_of(r, row[i]);
    qsort(set->entry, (size_t)set->n, sizeof *set->entry, by_hash);
out:
    mem_free(row);
    return st;
}

/* The SAMPLE_ROWS rows of lowest hash: the top op over equal scores. */
static sluice_status draw_sample(sluice *s, run *r)
{
    enum { PIECE = 1 << 16 };
    sluice_status st = SLUICE_OK;
    const sluice_pool *pool = r->in->pool;
    float *zero = NULL;
    sluice_top_state top = { .k = SAMPLE_ROWS, .capacity = 2 * SAMPLE_ROWS + 64, .seed = r->in->rules->seed };
    TRY_NEW(zero, NEW(s, PIECE, float));
    TRY_NEW(top.entries, RAW(s, top.capacity, sluice_entry));
    for (int64_t first = 0; first < pool->rows; first += PIECE) {
        int64_t n = pool->rows - first < PIECE ? pool->rows - first : PIECE;
        TRY(sluice_op_top(s, &(sluice_op_top_args){ .score = zero,
                                                    .ids = pool->ids ? pool->ids + first : NULL,
                                                    .n = n,
                                                    .first_row = first,
                                                    .skip = r->in->out->bits,
                                                    .state = &top }));
    }
    TRY(sluice_op_top(s, &(sluice_op_top_args){ .state = &top, .finish = 1 }));
    r->sample.n = top.count;
    r->sample.entry = top.entries, top.entries = NULL;
out:
    mem_free(zero), mem_free(top.entries);
    return st;
}

/* ---- their vectors ---- */

static sluice_status gather(sluice *s, run *r, row_set *set)
{
    sluice_status st = SLUICE_OK;
    int64_t *row = NULL, width = r->in->pool->width;
    float *x = NULL, *inner = NULL;
    size_t floats;
    if (set->n == 0) return SLUICE_OK;
    if (mul_overflows((size_t)set->n, (size_t)width, &floats) || floats > INT64_MAX / sizeof(float))
        FAIL(E_MEMORY, "%lld rows of %lld features do not fit in memory", (long long)set->n, (long long)width);
    TRY_NEW(row, RAW(s, set->n, int64_t));
    TRY_NEW(x, RAW(s, (int64_t)floats, float));
    for (int64_t i = 0; i < set->n; i++) row[i] = set->entry[i].row;
    TRY(pool_gather(s, r->in->pool, row, set->n, x));
    *r->bytes += (double)floats * sizeof(float);
    sluice_view v = sluice_rows(x, SLUICE_F32, set->n, width);
    const sluice_head *h = r->in->src->head;
    if (r->rule->space == SPACE_UNIT) {
        TRY(sluice_op_convert(s, &(sluice_op_convert_args){ .x = v, .out = v, .normalise = 1 }));
    } else if (head_is_linear(h)) {
        TRY(sluice_op_convert(s, &(sluice_op_convert_args){ .x = v, .out = v, .mean = h->mean, .divisor = h->scale }));
    } else {
        TRY_NEW(inner, mem_raw(s, set->n, (size_t)r->width * sizeof *inner));
        TRY(head_features(s, h, v, inner));
        mem_free(x);
        x = inner, inner = NULL;
    }
    set->x = x, x = NULL;
out:
    mem_free(row), mem_free(x), mem_free(inner);
    return st;
}

/* Rows that hold a NaN or an infinity leave the set: only candidates were looked at before. */
static sluice_status drop_bad(sluice *s, const run *r, row_set *set)
{
    uint8_t *bad = RAW(s, set->n, uint8_t);
    if (!bad) return SLUICE_E_MEMORY;
    sluice_status st = sluice_op_finite(
        s, &(sluice_op_finite_args){ .x = sluice_rows(set->x, SLUICE_F32, set->n, r->width), .bad = bad });
    int64_t kept = 0;
    for (int64_t i = 0; i < set->n && !st; i++) {
        if (bad[i]) continue;
        set->entry[kept] = set->entry[i];
        if (set->target) set->target[kept] = set->target[i];
        memmove(set->x + kept++ * r->width, set->x + i * r->width, (size_t)r->width * sizeof *set->x);
    }
    if (!st) set->n = kept;
    mem_free(bad);
    return st;
}

/* ---- what the head says of the candidates ---- */

typedef struct scoring {
    run *r;
    const int64_t *place; /* candidate of the i-th row in ascending order */
    float *column, *class, *logits;
    uint8_t *bad;
} scoring;

static sluice_status visit(sluice *s, void *user, int64_t at, sluice_view x)
{
    scoring *v = user;
    run *r = v->r;
    int classes = r->in->src->classes;
    sluice_scores out = { .prediction = v->class };
    for (int j = 0; j < COLUMN_COUNT; j++)
        if (r->weight && r->rule->weight >> j & 1 && j != COLUMN_PREDICTION)
            *scores_column(&out, (column)j) = v->column;
    sluice_status st = source_scan(s, r->in->src, x, &out, v->logits, v->bad);
    for (int64_t i = 0; i < x.rows && !st; i++) {
        int64_t to = v->place[at + i];
        if (r->weight) r->weight[to] = v->column[i];
        if (r->prediction) r->prediction[to] = v->class[i];
        if (r->logits) memcpy(r->logits + to * classes, v->logits + i * classes, (size_t)classes * sizeof *r->logits);
    }
    return st;
}

typedef struct ordered {
    int64_t row, place;
} ordered;

static int by_row(const void *x, const void *y)
{
    int64_t a = ((const ordered *)x)->row, b = ((const ordered *)y)->row;
    return (a > b) - (a < b);
}

/* Scored in the type that they are stored in, as the scan does: the same bits. */
static sluice_status score_candidates(sluice *s, run *r)
{
    sluice_status st = SLUICE_OK;
    int64_t n = r->candidates.n, *row = NULL, *place = NULL;
    int classes = r->in->src->classes;
    ordered *order = NULL;
    scoring v = { .r = r };
    TRY_NEW(order, RAW(s, n, ordered));
    TRY_NEW(row, RAW(s, n, int64_t));
    TRY_NEW(place, RAW(s, n, int64_t));
    TRY_NEW(v.column, RAW(s, n, float));
    TRY_NEW(v.class, RAW(s, n, float));
    TRY_NEW(v.bad, RAW(s, n, uint8_t));
    if (r->rule->weight) TRY_NEW(r->weight, RAW(s, n, float));
    if (r->in->rules->classes) TRY_NEW(r->prediction, RAW(s, n, float));
    if (r->rule->needs & NEEDS_LOGITS) {
        TRY_NEW(r->logits, mem_raw(s, n, (size_t)classes * sizeof(float)));
        TRY_NEW(v.logits, mem_raw(s, n, (size_t)classes * sizeof(float)));
    }
    for (int64_t i = 0; i < n; i++) order[i] = (ordered){ r->candidates.entry[i].row, i };
    qsort(order, (size_t)n, sizeof *order, by_row);
    for (int64_t i = 0; i < n; i++) row[i] = order[i].row, place[i] = order[i].place;
    v.place = place;
    TRY(rows_read(s, r->in->src->pool, row, n, visit, &v, r->bytes));
out:
    mem_free(order), mem_free(row), mem_free(place), mem_free(v.column), mem_free(v.class), mem_free(v.bad),
        mem_free(v.logits);
    return st;
}

/* ---- the rule ---- */

static sluice_status prepare(sluice *s, run *r, const candidates *c)
{
    sluice_status st = SLUICE_OK;
    const sluice_head *h = r->in->src->head;
    if (r->rule->space == SPACE_HEAD && !h)
        FAIL(E_USAGE, "strategy '%s' works in a head's space: it needs one", r->st->text);
    if (r->rule->needs & NEEDS_TARGETS && !r->in->labels)
        FAIL(E_USAGE, "strategy '%s' needs the labels of labelled rows", r->st->text);
    r->width = r->rule->space == SPACE_HEAD ? head_feature_width(h) : r->in->pool->width;
    TRY(take_candidates(s, r, c));
    TRY(r->in->labels ? take_labels(s, r) : take_training_rows(s, r));
    if (r->rule->needs & NEEDS_SAMPLE) TRY(draw_sample(s, r));
    TRY(gather(s, r, &r->candidates));
    TRY(gather(s, r, &r->labelled));
    TRY(gather(s, r, &r->sample));
    if (r->labelled.n) TRY(drop_bad(s, r, &r->labelled));
    if (r->sample.n) TRY(drop_bad(s, r, &r->sample));
    if (r->rule->weight || r->rule->needs & NEEDS_LOGITS || r->in->rules->classes) TRY(score_candidates(s, r));
out:
    return st;
}

static batch batch_of(const run *r)
{
    const pick_rules *rules = r->in->rules;
    return (batch){ .k = rules->k < r->candidates.n ? rules->k : r->candidates.n,
                    .seed = rules->seed,
                    .value = r->st->value,
                    .classes = r->in->src->classes ? r->in->src->classes
                               : r->in->labels     ? r->in->labels->classes
                                                   : 0,
                    .limits = rules,
                    .n = r->candidates.n,
                    .d = r->width,
                    .x = r->candidates.x,
                    .entry = r->candidates.entry,
                    .weight = r->weight,
                    .logits = r->logits,
                    .prediction = r->prediction,
                    .m = r->labelled.n,
                    .labelled = r->labelled.x,
                    .target = r->labelled.target,
                    .r = r->sample.n,
                    .sample = r->sample.x,
                    .drawn = r->sample.entry };
}

sluice_status rule_run(sluice *s, const rule_inputs *in, const strategy *st, candidates *c, double *bytes)
{
    run r = { .in = in, .st = st, .rule = &st->kind->rule, .bytes = bytes };
    batch b = { 0 };
    sluice_status status = prepare(s, &r, c);
    if (!status) {
        b = batch_of(&r);
        status = batch_begin(s, &b);
    }
    if (!status) status = r.rule->run(s, &b);
    for (int64_t i = 0; i < b.picked && !status; i++) {
        c->top.entries[i] = b.entry[b.pick[i]];
        c->top.entries[i].key = ex_order_key(b.score[i]);
    }
    if (!status) c->top.count = b.picked;
    batch_release(&b);
    run_release(&r);
    return status;
}
