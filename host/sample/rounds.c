/* rounds.c - what a simulation measures:
 *
 *     for each seed:      start set by hash64(seed, id), the same for every strategy; a head on it (round 0)
 *       for each strategy, for each round:
 *                         the head of the round before picks a batch among rows not labelled yet, the batch gets its
 *                         labels, a head is trained from scratch, the test set judges it
 *     at the end:         a head on all labels, the most that labels can give ("full")
 *
 * A cold start labels nothing at first.  Round 0 is then the first batch: strategies that need no head choose it, the
 * others get what "random" picks.  So do they as long as all labels are of one class, from which no head can be trained:
 * what is judged then is the answer that is always this class.
 *
 * Picks come from sluice_select() with that head and those labels, so they are what the program would pick.  The test
 * set is only looked at for curve.csv. */
#include "exact.h"
#include "learn.h"
#include "resident.h"
#include "simulation.h"

#include <assert.h>
#include <math.h> /* NAN */
#include <string.h>

/* ---- inner calls: their bars and lines would drown ours ---- */

static void hush(sluice *s, simulation *e)
{
    e->heard = s->opt;
    s->opt.log = NULL;
    s->opt.progress = e->deal.open ? rounds_answer : NULL;
    s->opt.user = e;
    e->ranks = comm_leave(s);
}

static void unhush(sluice *s, simulation *e)
{
    s->opt = e->heard;
    comm_rejoin(s, e->ranks);
}

/* Blocks that a device keeps of the pool make way for anything that finds no room beside them. */
static bool make_way(sluice *s, sluice_status st)
{
    if (st != SLUICE_E_MEMORY || !s->resident) return false;
    resident_end(s);
    s->error[0] = 0;
    return true;
}

/* Or none. */
static bool one_class(const sluice_labels *l)
{
    for (int64_t i = 1; i < l->count; i++)
        if (l->target[i] != l->target[0]) return false;
    return true;
}

/* NULL where there is nothing to tell apart.  out_self NULL: no self-training; else *out_self stays where none is asked for. */
static sluice_status train(sluice *s, simulation *e, const sluice_labels *labels, uint64_t seed, sluice_head **out_self,
                           sluice_head **out_head)
{
    *out_head = NULL;
    if (labels->count && one_class(labels)) return SLUICE_OK;
    sluice_train_args a = e->a.train;
    a.size = sizeof a, a.labels = labels, a.seed = seed;
    a.pseudo = out_self && e->curve.self_trained ? e->pool.pool : NULL;
    hush(s, e);
    sluice_status st = train_both(s, e->pool.pool, &a, out_self, out_head);
    if (make_way(s, st)) st = train_both(s, e->pool.pool, &a, out_self, out_head);
    unhush(s, e);
    return st;
}

static double *recall_of(simulation *e, const curve_point *p)
{
    return e->recall + (p - e->curve.points) * e->a.labels->classes;
}

/* A head that knows class `only` alone. */
static sluice_status judge_one_class(sluice *s, simulation *e, int only, curve_point *out)
{
    sluice_status st = SLUICE_OK;
    sluice_eval_result r = { 0 };
    const sluice_labels *l = e->a.labels, *test = e->a.test_labels;
    double *recall = recall_of(e, out);
    float *logits = NULL;
    int32_t *target = NULL;
    TRY_NEW(logits, NEW(s, test->count, float));
    TRY_NEW(target, RAW(s, test->count, int32_t));
    for (int j = 0; j < l->classes; j++) recall[j] = NAN;
    for (int64_t i = 0; i < test->count; i++) {
        const char *name = test->names[test->target[i]];
        target[i] = strcmp(name, l->names[only]) == 0 ? 0 : -1 - test->target[i];
        for (int j = 0; j < l->classes; j++)
            if (strcmp(name, l->names[j]) == 0) recall[j] = j == only;
    }
    TRY(evaluate_logits(s, logits, target, test->count, 1, 1, &r));
    out->accuracy = r.accuracy, out->nll = r.nll, out->macro_f1 = r.macro_f1;
out:
    sluice_eval_result_release(&r);
    mem_free(logits), mem_free(target);
    return st;
}

static sluice_status ask_test_set(sluice *s, simulation *e, const sluice_head *head, sluice_eval_result *out)
{
    hush(s, e);
    sluice_status st = sluice_eval(s, e->test.pool, head, e->a.test_labels, out);
    if (make_way(s, st)) st = sluice_eval(s, e->test.pool, head, e->a.test_labels, out);
    unhush(s, e);
    return st;
}

static sluice_status judge_self(sluice *s, simulation *e, const sluice_head *head, curve_point *out)
{
    sluice_eval_result r;
    sluice_status st = ask_test_set(s, e, head, &r);
    if (st) return st;
    out->self_trained = r.accuracy;
    sluice_eval_result_release(&r);
    return SLUICE_OK;
}

static sluice_status judge(sluice *s, simulation *e, const sluice_head *head, curve_point *out)
{
    sluice_eval_result r;
    sluice_status st = ask_test_set(s, e, head, &r);
    if (st) return st;
    out->accuracy = r.accuracy, out->nll = r.nll, out->macro_f1 = r.macro_f1;
    double *recall = recall_of(e, out);
    for (int j = 0; j < e->a.labels->classes; j++) {
        const sluice_class_result *q = j < r.classes ? &r.per_class[j] : NULL;
        recall[j] = q && q->n ? (double)q->correct / (double)q->n : NAN;
    }
    sluice_eval_result_release(&r);
    return SLUICE_OK;
}

static sluice_status choose(sluice *s, simulation *e, const char *strategies, const sluice_head *head,
                            const sluice_labels *labels, uint64_t seed, sluice_picks **out_picks)
{
    sluice_select_args a = { .size = sizeof a,
                             .head = head,
                             .strategies = strategies,
                             .k = e->a.batch,
                             .seed = seed,
                             .labels = labels,
                             .exclude = e->unlabelled,
                             .exclude_count = e->unlabelled_count };
    hush(s, e);
    sluice_status st = sluice_select(s, e->pool.pool, &a, out_picks);
    if (make_way(s, st)) st = sluice_select(s, e->pool.pool, &a, out_picks);
    unhush(s, e);
    if (!st && (*out_picks)->bad.count > e->quarantined) e->quarantined = (*out_picks)->bad.count;
    return st;
}

static sluice_status step(sluice *s, simulation *e) { return progress_step(s, &e->progress, ++e->steps, 0); }

/* ---- labels known so far ---- */

static void labels_release(sluice_labels *l)
{
    mem_free(l->row);
    mem_free(l->target);
    *l = (sluice_labels){ 0 };
}

/* The rows that are known, or all that have a label; class names are borrowed. */
static sluice_status known_labels(sluice *s, const simulation *e, bool all, sluice_labels *out)
{
    sluice_status st = SLUICE_OK;
    const sluice_labels *from = e->a.labels;
    *out = (sluice_labels){ .classes = from->classes, .names = from->names, .fingerprint = from->fingerprint };
    TRY_NEW(out->row, RAW(s, from->count, int64_t));
    TRY_NEW(out->target, RAW(s, from->count, int32_t));
    for (int64_t row = 0; row < e->pool.pool->rows; row++) {
        if (e->row_class[row] < 0 || !(all || e->known[row])) continue;
        out->row[out->count] = row;
        out->target[out->count++] = e->row_class[row];
    }
out:
    if (st) labels_release(out);
    return st;
}

static void count_classes(simulation *e, const sluice_labels *l, curve_point *out)
{
    int64_t *count = e->balance + (out - e->curve.points) * l->classes;
    memset(count, 0, (size_t)l->classes * sizeof *count);
    for (int64_t i = 0; i < l->count; i++) count[l->target[i]]++;
    for (int j = 0; j < l->classes; j++) out->classes_seen += count[j] > 0;
}

void learn_row(simulation *e, int64_t row)
{
    e->known_count += !e->known[row];
    e->known[row] = true;
}

static void learn_picks(simulation *e, const pick_list *list)
{
    for (int64_t i = 0; i < list->count; i++) learn_row(e, list->picks[i].row);
}

/* The start set: the rows of lowest hash64(seed, id), of all rows or of each class. */
static sluice_status draw_start(sluice *s, simulation *e, uint64_t seed)
{
    sluice_status st = SLUICE_OK;
    const sluice_pool *pool = e->pool.pool;
    const sluice_labels *l = e->a.labels;
    sluice_entry *order = NULL;
    int64_t *drawn = NULL;
    TRY_NEW(order, RAW(s, l->count, sluice_entry));
    TRY_NEW(drawn, NEW(s, l->classes, int64_t));
    for (int64_t i = 0; i < l->count; i++) {
        uint64_t id = pool->ids ? pool->ids[l->row[i]] : (uint64_t)l->row[i];
        order[i] =
            (sluice_entry){ .row = l->row[i], .id = id, .hash = ex_hash64(seed, id), .tag = (uint32_t)l->target[i] };
    }
    entries_sort(order, l->count);
    memset(e->known, 0, (size_t)pool->rows * sizeof *e->known);
    e->known_count = 0;
    for (int64_t i = 0; i < l->count; i++) {
        bool take = e->a.start ? i < e->a.start : drawn[order[i].tag]++ < e->a.start_per_class;
        if (take) learn_row(e, order[i].row);
    }
out:
    mem_free(order);
    mem_free(drawn);
    return st;
}

/* ---- rounds ---- */

/* Where a strategy of a seed stands. */
typedef struct runner {
    int strategy, run;
    uint64_t seed;
    bool learned;         /* the two below are of what is known */
    sluice_labels labels; /* all that is known */
    sluice_head *head;    /* trained on them; NULL: they are of one class */
} runner;

/* The first batches, which all strategies of a seed pick from the same labels in one scan. */
typedef struct opening {
    int round;
    int only; /* of one strategy; -1: of all */
    sluice_picks *picks;
    int *list; /* [strategies] of picks; -1: the round is finished */
    double seconds;
} opening;

static void runner_clear(runner *r)
{
    sluice_head_free(r->head);
    labels_release(&r->labels);
    r->head = NULL, r->learned = false;
}

/* A round that was finished before left no head.  all: every label there is; out_self as for train(). */
static sluice_status runner_learn(sluice *s, simulation *e, runner *r, bool all, sluice_head **out_self)
{
    sluice_status st = SLUICE_OK;
    if (r->learned) return SLUICE_OK;
    runner_clear(r);
    TRY(known_labels(s, e, all, &r->labels));
    TRY(train(s, e, &r->labels, r->seed, out_self, &r->head));
    r->learned = true;
out:
    return st;
}

/* p: a point of the curve, which says what and where it is; batch: what its round labelled, or NULL. */
static sluice_status measure(sluice *s, simulation *e, bool all, runner *r, const pick_list *batch, curve_point *p)
{
    sluice_status st = SLUICE_OK;
    double began = clock_seconds(), trained;
    sluice_head *self = NULL;
    runner_clear(r);
    TRY(runner_learn(s, e, r, all, &self));
    trained = clock_seconds();
    TRY(r->head ? judge(s, e, r->head, p) : judge_one_class(s, e, r->labels.target[0], p));
    if (self) TRY(judge_self(s, e, self, p));
    else p->self_trained = p->accuracy;
    count_classes(e, &r->labels, p);
    p->labels = r->labels.count;
    p->stage[1] = trained - began, p->stage[2] = clock_seconds() - trained;
    p->seconds = p->stage[0] + p->stage[1] + p->stage[2];
    TRY(round_keep(s, e, p, batch));
    TRY(step(s, e));
out:
    sluice_head_free(self);
    return st;
}

static sluice_status write_picks(sluice *s, simulation *e, const sluice_picks *picks, int list, const curve_point *p)
{
    char *path =
        mem_format(s, "%s/%s-%llu-%d.csv", e->folder_picks, p->strategy, (unsigned long long)p->seed, p->round);
    if (!path) return SLUICE_E_MEMORY;
    sluice_status st = picks_write_csv(s, picks, list, path, NULL);
    mem_free(path);
    return st;
}

static sluice_status run_round(sluice *s, simulation *e, runner *r, const opening *o, curve_point *p)
{
    sluice_status st = SLUICE_OK;
    bool first = p->round == o->round;
    const sluice_picks *from = o->picks;
    sluice_picks *own = NULL;
    if (first) {
        p->stage[0] = o->seconds;
    } else {
        TRY(runner_learn(s, e, r, false, NULL));
        bool lost = !r->head && strategy_needs_head(&e->strategies[r->strategy]);
        double began = clock_seconds();
        TRY(choose(s, e, lost ? "random" : p->strategy, r->head, &r->labels, r->seed, &own));
        p->stage[0] = clock_seconds() - began;
        from = own;
    }
    assert(!first || o->list);
    int list = first ? o->list[r->strategy] : 0;
    learn_picks(e, &from->list[list]);
    TRY(write_picks(s, e, from, list, p));
    TRY(measure(s, e, false, r, &from->list[list], p));
out:
    sluice_picks_free(own);
    return st;
}

/* All rounds from the opening on; what is known is the start set. */
static sluice_status run_strategy(sluice *s, simulation *e, int i, int run, const opening *o)
{
    sluice_status st = SLUICE_OK;
    runner r = { .strategy = i, .run = run, .seed = e->a.seed + (uint64_t)run };
    const curve_point *last = curve_at(&e->curve, i, run, e->a.rounds);
    for (int round = o->round; round <= e->a.rounds; round++) {
        curve_point *p = curve_at(&e->curve, i, run, round);
        bool found;
        *p = (curve_point){ .strategy = e->names[i], .seed = r.seed, .round = round };
        TRY(round_restore(s, e, p, &found));
        if (found) {
            runner_clear(&r);
            TRY(step(s, e));
        } else {
            TRY(run_round(s, e, &r, o, p));
        }
    }
    if (!e->deal.open) /* else the last pass over all rounds says so */
        log_line(s, SLUICE_INFO, "seed %llu, %s: accuracy %.4f with %lld labels", (unsigned long long)r.seed,
                 e->names[i], last->accuracy, (long long)last->labels);
out:
    runner_clear(&r);
    return st;
}

static void copy_point(simulation *e, const curve_point *from, curve_point *to, const char *strategy)
{
    int64_t classes = e->a.labels->classes, a = from - e->curve.points, b = to - e->curve.points;
    *to = *from;
    to->strategy = strategy;
    memcpy(e->balance + b * classes, e->balance + a * classes, (size_t)classes * sizeof *e->balance);
    memcpy(e->recall + b * classes, e->recall + a * classes, (size_t)classes * sizeof *e->recall);
}

/* Round 0 of a start set is the same for all strategies. */
static sluice_status run_start(sluice *s, simulation *e, runner *r)
{
    sluice_status st = SLUICE_OK;
    bool found;
    curve_point *p = curve_at(&e->curve, 0, r->run, 0);
    *p = (curve_point){ .strategy = e->names[0], .seed = r->seed };
    TRY(round_restore(s, e, p, &found));
    TRY(found ? step(s, e) : measure(s, e, false, r, NULL, p));
    for (int i = 1; i < e->strategy_count; i++) copy_point(e, p, curve_at(&e->curve, i, r->run, 0), e->names[i]);
out:
    return st;
}

/* The strategies whose opening is not finished, joined by commas; o->list says which is whose. */
static sluice_status opening_names(sluice *s, const simulation *e, const runner *r, opening *o, char **out_text)
{
    sluice_status st = SLUICE_OK;
    int count = 0, random = -1;
    char *text = NULL;
    TRY_NEW(o->list, RAW(s, e->strategy_count, int));
    for (int i = 0; i < e->strategy_count; i++) {
        bool lost = one_class(&r->labels) && strategy_needs_head(&e->strategies[i]);
        const char *name = lost ? "random" : e->names[i];
        bool is_random = strcmp(name, "random") == 0;
        curve_point p = { .strategy = e->names[i], .seed = r->seed, .round = o->round };
        o->list[i] = -1;
        if ((o->only >= 0 && i != o->only) || round_is_kept(s, e, &p)) continue;
        o->list[i] = is_random && random >= 0 ? random : count;
        if (is_random && random >= 0) continue;
        if (is_random) random = count;
        char *longer;
        TRY_NEW(longer, mem_format(s, "%s%s%s", text ? text : "", text ? "," : "", name));
        mem_free(text);
        text = longer;
        count++;
    }
    *out_text = text, text = NULL;
out:
    mem_free(text);
    return st;
}

static sluice_status choose_opening(sluice *s, simulation *e, runner *r, opening *o)
{
    sluice_status st = SLUICE_OK;
    char *names = NULL;
    if (o->round > e->a.rounds) return SLUICE_OK;
    if (!r->learned) TRY(known_labels(s, e, false, &r->labels));
    TRY(opening_names(s, e, r, o, &names));
    if (!names) goto out;
    if (!e->cold) TRY(runner_learn(s, e, r, false, NULL));
    double began = clock_seconds();
    TRY(choose(s, e, names, r->head, &r->labels, r->seed, &o->picks));
    o->seconds = (clock_seconds() - began) / o->picks->count;
out:
    mem_free(names);
    return st;
}

sluice_status rounds_of_seed(sluice *s, simulation *e, int run, int only)
{
    sluice_status st = SLUICE_OK;
    runner start = { .run = run, .seed = e->a.seed + (uint64_t)run };
    opening o = { .round = e->cold ? 0 : 1, .only = only };
    TRY(draw_start(s, e, start.seed));
    if (!e->cold) TRY(run_start(s, e, &start));
    TRY(choose_opening(s, e, &start, &o));
    for (int i = 0; i < e->strategy_count; i++) {
        if (only >= 0 && i != only) continue;
        TRY(draw_start(s, e, start.seed));
        TRY(run_strategy(s, e, i, run, &o));
    }
    if (only < 0) TRY(curve_write(s, &e->curve, e->path[OUT_CURVE]));
out:
    runner_clear(&start);
    sluice_picks_free(o.picks);
    mem_free(o.list);
    return st;
}

sluice_status round_of_start(sluice *s, simulation *e, int run)
{
    runner start = { .run = run, .seed = e->a.seed + (uint64_t)run };
    sluice_status st = draw_start(s, e, start.seed);
    if (!st) st = run_start(s, e, &start);
    runner_clear(&start);
    return st;
}

sluice_status round_of_all_labels(sluice *s, simulation *e)
{
    runner r = { .seed = e->a.seed };
    bool found;
    curve_point *p = curve_full(&e->curve);
    *p = (curve_point){ .strategy = "full", .seed = e->a.seed };
    sluice_status st = round_restore(s, e, p, &found);
    if (!st && !found) st = measure(s, e, true, &r, NULL, p);
    runner_clear(&r);
    return st;
}
