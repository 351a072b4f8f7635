/* rule_run.c - see rule_run.h.
 *
 *     candidates, labelled rows, reference sample ─▶ by hash ─▶ features ─▶ the rule's space ─▶ batch ─▶ rule ─▶ picks
 *
 * Everything a rule sees is gathered here, so that rules know no files. */
#include "rule_run.h"
#include "backends.h"
#include "device.h"
#include "exact.h"
#include "lane.h"

#include <stdlib.h>
#include <string.h>

/* What the head says of the rows of a set; NULL: not asked for. */
typedef struct verdicts {
    float *weight, *prediction; /* [n] */
    float *logits;              /* [n, classes] */
} verdicts;

typedef struct run {
    const rule_inputs *in;
    const strategy *st;
    const strategy_rule *rule;
    row_set candidates;
    const row_set *labelled, *sample; /* of the references; NULL: not needed */
    /* where picks stay apart, by features divided by their length */
    row_set unit, taken; /* of candidates, where the rule's space is another one; of rows taken */
    const row_set *near; /* labelled rows */
    verdicts of_candidates, of_sample;
} run;

static void verdicts_release(verdicts *v) { mem_free(v->weight), mem_free(v->prediction), mem_free(v->logits); }

static void run_release(run *r)
{
    row_set_release(&r->candidates), row_set_release(&r->unit), row_set_release(&r->taken);
    verdicts_release(&r->of_candidates), verdicts_release(&r->of_sample);
}

static sluice_status copy_entries(sluice *s, const sluice_entry *from, int64_t n, row_set *out)
{
    sluice_status st = SLUICE_OK;
    TRY_NEW(out->entry, RAW(s, n, sluice_entry));
    if (n) memcpy(out->entry, from, (size_t)n * sizeof *from);
    out->n = n;
out:
    return st;
}

static sluice_status take_candidates(sluice *s, run *r, const candidates *c)
{
    sluice_status st = SLUICE_OK;
    row_set *set = &r->candidates;
    TRY(copy_entries(s, c->top.entries, c->top.count, set));
    entries_sort_by_hash(set->entry, set->n);
    TRY(references_gather(s, r->in->refs, r->rule->space, set));
out:
    return st;
}

/* What picks must stay apart from. */
static sluice_status take_near(sluice *s, run *r)
{
    sluice_status st = SLUICE_OK;
    const rule_inputs *in = r->in;
    TRY(references_labelled(s, in->refs, SPACE_UNIT, &r->near));
    TRY(copy_entries(s, in->taken, in->taken_count, &r->taken));
    TRY(references_gather(s, in->refs, SPACE_UNIT, &r->taken));
    if (r->rule->space == SPACE_UNIT) return SLUICE_OK;
    TRY(copy_entries(s, r->candidates.entry, r->candidates.n, &r->unit));
    TRY(references_gather(s, in->refs, SPACE_UNIT, &r->unit));
out:
    return st;
}

/* ---- what the head says of a set's rows ---- */

typedef struct scoring {
    const run *r;
    verdicts *to;
    lane lane;
    const int64_t *place; /* in the set, of the i-th row in ascending order */
    float *column, *class, *logits;
    uint8_t *bad;
} scoring;

static sluice_status visit(sluice *s, void *user, int64_t at, sluice_view x)
{
    scoring *v = user;
    const run *r = v->r;
    verdicts *to = v->to;
    int classes = r->in->src->classes;
    source_out out = { .scores = { .prediction = v->class }, .logits = v->logits, .bad = v->bad };
    for (int j = 0; j < COLUMN_COUNT; j++)
        if (to->weight && r->rule->weight >> j & 1 && j != COLUMN_PREDICTION)
            *scores_column(&out.scores, (column)j) = v->column;
    sluice_status st = lane_score(s, &v->lane, x, &out);
    for (int64_t i = 0; i < x.rows && !st; i++) {
        int64_t j = v->place[at + i];
        if (to->weight) to->weight[j] = v->column[i];
        if (to->prediction) to->prediction[j] = v->class[i];
        if (to->logits) memcpy(to->logits + j * classes, v->logits + i * classes, (size_t)classes * sizeof(float));
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
static sluice_status score_rows(sluice *s, const run *r, const row_set *set, verdicts *to)
{
    sluice_status st = SLUICE_OK;
    int64_t n = set->n, *row = NULL, *place = NULL;
    ordered *order = NULL;
    scoring v = { .r = r, .to = to };
    TRY_NEW(order, RAW(s, n, ordered));
    TRY_NEW(row, RAW(s, n, int64_t));
    TRY_NEW(place, RAW(s, n, int64_t));
    TRY_NEW(v.column, RAW(s, n, float));
    TRY_NEW(v.class, RAW(s, n, float));
    TRY_NEW(v.bad, RAW(s, n, uint8_t));
    if (to->logits) TRY_NEW(v.logits, mem_raw(s, n, (size_t)r->in->src->classes * sizeof(float)));
    for (int64_t i = 0; i < n; i++) order[i] = (ordered){ set->entry[i].row, i };
    qsort(order, (size_t)n, sizeof *order, by_row);
    for (int64_t i = 0; i < n; i++) row[i] = order[i].row, place[i] = order[i].place;
    v.place = place;
    TRY(lane_open(s, &v.lane, r->in->src, 0));
    TRY(rows_read(s, r->in->src->pool, row, n, visit, &v, &r->in->refs->bytes));
out:
    lane_close(s, &v.lane);
    mem_free(order), mem_free(row), mem_free(place), mem_free(v.column), mem_free(v.class), mem_free(v.bad),
        mem_free(v.logits);
    return st;
}

static sluice_status judge(sluice *s, run *r)
{
    sluice_status st = SLUICE_OK;
    bool weighs_sample = r->rule->needs & NEEDS_SAMPLE_WEIGHT;
    verdicts *v = &r->of_candidates;
    int64_t n = r->candidates.n;
    if (r->rule->weight && !weighs_sample) TRY_NEW(v->weight, RAW(s, n, float));
    if (r->in->rules->classes) TRY_NEW(v->prediction, RAW(s, n, float));
    if (r->rule->needs & NEEDS_LOGITS)
        TRY_NEW(v->logits, mem_raw(s, n, (size_t)r->in->src->classes * sizeof *v->logits));
    if (v->weight || v->prediction || v->logits) TRY(score_rows(s, r, &r->candidates, v));
    if (weighs_sample) {
        TRY_NEW(r->of_sample.weight, RAW(s, r->sample->n, float));
        TRY(score_rows(s, r, r->sample, &r->of_sample));
    }
out:
    return st;
}

/* ---- the rule ---- */

static sluice_status prepare(sluice *s, run *r, const candidates *c)
{
    sluice_status st = SLUICE_OK;
    references *refs = r->in->refs;
    if (r->rule->space == SPACE_HEAD && !refs->head)
        FAIL(E_USAGE, "strategy '%s' works in a head's space: it needs one", r->st->text);
    if (r->rule->needs & NEEDS_TARGETS && !refs->labels)
        FAIL(E_USAGE, "strategy '%s' needs the labels of labelled rows", r->st->text);
    TRY(take_candidates(s, r, c));
    TRY(references_labelled(s, refs, r->rule->space, &r->labelled));
    if (r->rule->needs & NEEDS_SAMPLE) TRY(references_sample(s, refs, r->rule->space, &r->sample));
    TRY(judge(s, r));
    if (r->in->apart > 0) TRY(take_near(s, r));
out:
    return st;
}

static batch batch_of(const run *r)
{
    const pick_rules *rules = r->in->rules;
    const sluice_labels *labels = r->in->refs->labels;
    static const row_set none;
    const row_set *sample = r->sample ? r->sample : &none, *labelled = r->labelled ? r->labelled : &none;
    const row_set *unit = r->unit.x ? &r->unit : &r->candidates;
    return (batch){ .k = rules->k < r->candidates.n ? rules->k : r->candidates.n,
                    .seed = rules->seed,
                    .round = r->in->labelled,
                    .value = r->st->value,
                    .classes = r->in->src->classes ? r->in->src->classes
                               : labels            ? labels->classes
                                                   : 0,
                    .limits = rules,
                    .apart = r->in->apart,
                    .n = r->candidates.n,
                    .d = r->candidates.d,
                    .x = r->candidates.x,
                    .entry = r->candidates.entry,
                    .weight = r->of_candidates.weight,
                    .logits = r->of_candidates.logits,
                    .prediction = r->of_candidates.prediction,
                    .unit = unit->x,
                    .width = unit->d,
                    .m = labelled->n,
                    .labelled = labelled->x,
                    .labelled_entry = labelled->entry,
                    .target = labelled->target,
                    .r = sample->n,
                    .sample = sample->x,
                    .drawn = sample->entry,
                    .sample_weight = r->of_sample.weight };
}

/* Rows that are labelled or taken keep others away, and fill groups. */
static void close_known(const run *r, batch *b)
{
    for (int64_t i = 0; i < r->taken.n; i++) batch_count(b, &r->taken.entry[i]);
    if (r->in->apart <= 0) return;
    batch_close_near(b, r->near->x, r->near->n);
    batch_close_near(b, r->taken.x, r->taken.n);
}

/* Ops read these rows again and again. */
static sluice_status hold_rows(sluice *s, const batch *b)
{
    sluice_status st = SLUICE_OK;
    TRY(dev_hold(s, b->x, b->n, b->d));
    TRY(dev_hold(s, b->labelled, b->m, b->d));
    TRY(dev_hold(s, b->sample, b->r, b->d));
    if (b->apart > 0) TRY(dev_hold(s, b->unit, b->n, b->width));
out:
    return st;
}

static void drop_rows(sluice *s, const batch *b)
{
    dev_drop(s, b->x), dev_drop(s, b->labelled), dev_drop(s, b->sample), dev_drop(s, b->unit);
}

typedef struct attempt {
    const run *r;
    batch b;
} attempt;

static sluice_status run_rule(sluice *s, void *user)
{
    sluice_status st = SLUICE_OK;
    attempt *a = user;
    batch *b = &a->b;
    batch_release(b); /* of an attempt before */
    *b = batch_of(a->r);
    TRY(hold_rows(s, b));
    TRY(batch_begin(s, b));
    close_known(a->r, b);
    TRY(b->failed);
    TRY(a->r->rule->run(s, b));
    st = b->failed;
out:
    drop_rows(s, b);
    return st;
}

sluice_status rule_run(sluice *s, const rule_inputs *in, const strategy *st, const candidates *c, sluice_entry *out,
                       int64_t *out_count)
{
    static const strategy_rule order = { .run = rule_top, .space = SPACE_UNIT };
    run r = { .in = in, .st = st, .rule = st->kind->rule.run ? &st->kind->rule : &order };
    attempt a = { .r = &r };
    const batch *b = &a.b;
    sluice_status status = prepare(s, &r, c);
    if (!status) status = place_with_room(s, run_rule, &a);
    for (int64_t i = 0; i < b->picked && !status; i++) {
        out[i] = b->entry[b->pick[i]];
        out[i].key = ex_order_key(b->score[i]);
    }
    if (!status) *out_count = b->picked;
    batch_release(&a.b);
    run_release(&r);
    return status;
}
