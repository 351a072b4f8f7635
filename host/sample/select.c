/* select.c - sluice_select(): check, exclude, read the pool once, pick.
 *
 *     prepare   strategies or mix, source, rules, exclusions, what the manifest will say
 *     know      one read feeds the candidates of every strategy: by a scan, or what an earlier call kept and a scan of the
 *               rest, or the partial results of others             (some strategy needs scores)
 *     draw      hashes of ids alone; only the picked rows are read  (random, or power-random, and nothing else)
 *     rules     candidates become picks, where a strategy has a rule for that
 *     collect   picks become lists; the picked rows are read again for prediction and confidence
 *
 * Reading k rows again is cheaper than carrying two columns of n rows through the order, and gives the same bits,
 * because scoring is row-local. */
#include "selection.h"
#include "comm.h"
#include "exact.h"
#include "plan.h"
#include "reader.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DRAW_ROWS = 1 << 16 };

static void release_picked(selection *e)
{
    mem_free(e->row);
    mem_free(e->prediction);
    mem_free(e->confidence);
    mem_free(e->bad);
    e->row = NULL, e->prediction = e->confidence = NULL, e->bad = NULL;
    e->picked = 0;
}

static void release_candidates(selection *e)
{
    for (int i = 0; e->candidates && i < e->count; i++) candidates_release(&e->candidates[i]);
}

static void selection_release(sluice *s, selection *e)
{
    release_candidates(e);
    release_picked(e);
    scan_state_release(&e->state);
    mem_free(e->candidates);
    mem_free(e->strategies);
    mem_free(e->parts);
    source_release(s, &e->src);
    references_release(&e->refs);
    scorer_set_release(&e->scorers);
    exclusions_release(&e->out);
    sluice_picks_free(e->p);
}

/* ---- prepare ---- */

static sluice_status parse_strategies(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    if (e->a.mix && e->a.strategies) FAIL(E_USAGE, "a mix names its own strategies; give one of the two");
    if (e->a.mix && e->a.balance) FAIL(E_USAGE, "balance does not go with a mix: its parts have no order in common");
    if (e->a.mix) {
        TRY(mix_parse(s, e->a.mix, e->a.k, &e->parts, &e->count));
        TRY_NEW(e->strategies, NEW(s, e->count, strategy));
        for (int i = 0; i < e->count; i++) e->strategies[i] = e->parts[i].strategy;
    } else {
        if (!e->a.strategies || !*e->a.strategies) FAIL(E_USAGE, "a strategy is missing, for example margin");
        TRY(strategies_parse(s, e->a.strategies, &e->strategies, &e->count));
    }
out:
    return st;
}

static void resolve_strategies(selection *e)
{
    const sluice_select_args *a = &e->a;
    e->labelled = a->labels ? a->labels->count : a->head ? a->head->train_count : 0;
    int classes = e->src.classes ? e->src.classes : a->labels ? a->labels->classes : 0;
    for (int i = 0; i < e->count; i++) strategy_resolve(&e->strategies[i], e->labelled, classes, e->src.classes > 0);
}

static sluice_status check_source(sluice *s, const selection *e)
{
    for (int i = 0; i < e->count; i++) {
        unsigned reads = strategy_reads(&e->strategies[i]);
        sluice_status st = scorer_check_source(s, &e->strategies[i], &e->src);
        if (st) return st;
        if (strategy_needs_head(&e->strategies[i]) && e->src.kind == SOURCE_FEATURES)
            return sluice_fail(s, SLUICE_E_USAGE, "strategy '%s' needs a head, or logits, or probs",
                               e->strategies[i].text);
        if (reads & READS(COLUMN_ENERGY) && e->src.kind == SOURCE_PROBS)
            return sluice_fail(s, SLUICE_E_USAGE, "'%s' needs logits: probabilities sum to 1 whatever the evidence",
                               e->strategies[i].text);
    }
    if (e->a.balance && e->src.kind == SOURCE_FEATURES)
        return sluice_fail(s, SLUICE_E_USAGE,
                           "balance spreads over predicted classes: it needs a head, or logits, or probs");
    return scorer_check_committee(s, e->strategies, e->count, &e->src);
}

static sluice_status set_rules(sluice *s, selection *e)
{
    pick_rules *r = &e->rules;
    *r = (pick_rules){ .k = e->a.k, .seed = e->a.seed, .classes = e->a.balance ? e->src.classes : 0 };
    if (r->k > e->pool->rows - e->out.count) r->k = e->pool->rows - e->out.count;
    if (!e->a.group != (e->a.per_group <= 0))
        return sluice_fail(s, SLUICE_E_USAGE, "groups and the number of picks of a group (1 or more) go together");
    r->group = e->a.group, r->per_group = e->a.per_group;
    for (int64_t i = 0; r->group && i < e->pool->rows; i++) {
        if (r->group[i] < -1 || r->group[i] == INT32_MAX)
            return sluice_fail(s, SLUICE_E_USAGE, "row %lld is in group %d: groups count from 0, -1 is none",
                               (long long)i, r->group[i]);
        if (r->group[i] >= r->group_count) r->group_count = r->group[i] + 1;
    }
    return SLUICE_OK;
}

/* All that decides the picks. */
static json_t *describe_inputs(const sluice *s, const selection *e)
{
    const sluice_select_args *a = &e->a;
    json_t *names = json_array(), *in = json_object();
    for (int i = 0; i < e->count; i++) json_array_append_new(names, json_string(e->strategies[i].text));
    json_object_set_new(in, "pool", manifest_pool(e->pool));
    if (a->head) json_object_set_new(in, "head", manifest_head(a->head));
    if (a->committee_count) json_object_set_new(in, "committee", manifest_heads(a->committee, a->committee_count));
    if (a->logits) json_object_set_new(in, "logits", manifest_pool(a->logits));
    if (a->probs) json_object_set_new(in, "probs", manifest_pool(a->probs));
    if (a->labels) json_object_set_new(in, "labels", manifest_labels(a->labels));
    json_object_set_new(in, "excluded", manifest_array(e->out.bits, e->out.words, sizeof *e->out.bits));
    json_object_set_new(json_object_get(in, "excluded"), "count", json_integer((json_int_t)e->out.count));
    if (a->like_count) {
        json_object_set_new(in, "like", manifest_array(a->like, a->like_count, sizeof *a->like));
        json_object_set_new(json_object_get(in, "like"), "count", json_integer((json_int_t)a->like_count));
    }
    json_object_set_new(in, "strategies", names);
    if (a->mix) json_object_set_new(in, "mix", json_string(a->mix));
    json_object_set_new(in, "k", json_integer((json_int_t)a->k));
    json_object_set_new(in, "seed", manifest_seed(a->seed));
    json_object_set_new(in, "labelled", json_integer((json_int_t)e->labelled));
    if (a->group) {
        json_object_set_new(in, "group", manifest_array(a->group, e->pool->rows, sizeof *a->group));
        json_object_set_new(in, "per_group", json_integer((json_int_t)a->per_group));
    }
    if (a->balance) json_object_set_new(in, "balance", json_true());
    if (a->dedupe > 0) json_object_set_new(in, "dedupe", json_real(a->dedupe));
    json_object_set_new(in, "max_bad", json_real(a->max_bad));
    json_object_set_new(in, "math", json_string(manifest_math(s)));
    return in;
}

static sluice_status fill_picks(sluice *s, const selection *e, sluice_picks *p)
{
    sluice_status st = SLUICE_OK;
    p->pool = e->pool;
    p->mix = e->a.mix != NULL;
    p->scored = e->src.classes > 0;
    p->count = p->mix ? 1 : e->count;
    TRY_NEW(p->list, NEW(s, p->count, pick_list));
    TRY_NEW(p->parts, NEW(s, e->count, strategy));
    memcpy(p->parts, e->strategies, (size_t)e->count * sizeof *p->parts);
    for (int i = 0; i < p->count; i++) {
        if (!p->mix) p->list[i].strategy = e->strategies[i];
        else snprintf(p->list[i].strategy.text, sizeof p->list[i].strategy.text, "mix");
    }
    p->info =
        (sluice_picks_info){ .rows = e->pool->rows, .excluded = e->out.count, .excluded_trained = e->out.trained };
    if (e->a.head && e->a.head->names) {
        TRY_NEW(p->classes, NEW(s, e->a.head->classes, char *));
        p->class_count = e->a.head->classes;
        for (int j = 0; j < p->class_count; j++) TRY_NEW(p->classes[j], mem_text(s, e->a.head->names[j]));
    }
    p->inputs = describe_inputs(s, e);
    TRY(manifest_digest(s, p->inputs, p->inputs_hash));
    json_object_set_new(p->inputs, "hash", json_string(p->inputs_hash));
out:
    return st;
}

/* Rows named by like are known already. */
static sluice_status exclude_like(sluice *s, selection *e)
{
    for (int64_t i = 0; i < e->a.like_count; i++) {
        int64_t row = e->a.like[i];
        if (row < 0 || row >= e->pool->rows)
            return sluice_fail(s, SLUICE_E_USAGE, "row %lld to be like is not one of the pool's %lld", (long long)row,
                               (long long)e->pool->rows);
        exclusions_add(&e->out, row);
    }
    return SLUICE_OK;
}

static sluice_status prepare(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    const sluice_select_args *a = &e->a;
    if (a->k < 0) FAIL(E_USAGE, "the number of picks cannot be %lld", (long long)a->k);
    if (!(a->max_bad >= 0 && a->max_bad <= 1))
        FAIL(E_USAGE, "the share of bad rows is between 0 and 1, not %g", a->max_bad);
    if (a->dedupe != 0 && !(a->dedupe >= 1e-6 && a->dedupe <= 2))
        FAIL(E_USAGE, "dedupe is 0 (off) or a distance of rows of length 1, from 1e-6 to 2, not %g", a->dedupe);
    if (a->exclude_count < 0 || (a->exclude_count && !a->exclude))
        FAIL(E_USAGE, "the list of excluded rows is missing");
    if (a->shards < 0 || a->shard < 0 || a->shard >= (a->shards ? a->shards : 1))
        FAIL(E_USAGE, "there is no part %d of %d: parts count from 0", a->shard, a->shards);
    if (a->shards && !a->out) FAIL(E_USAGE, "a part of the pool needs a file for its partial result");
    if (e->a.max_bad == 0) e->a.max_bad = 0.01;
    TRY(parse_strategies(s, e));
    TRY(source_init(s, &e->src, e->pool, a->head, a->logits, a->probs));
    TRY(source_committee(s, &e->src, a->committee, a->committee_count));
    resolve_strategies(e);
    TRY(check_source(s, e));
    TRY(exclusions_init(s, &e->out, e->pool, a->labels, a->exclude, a->exclude_count, a->head));
    for (int i = 0; i < a->committee_count; i++) TRY(exclusions_add_trained(s, &e->out, e->pool, a->committee[i]));
    if (e->out.trained)
        log_line(s, SLUICE_INFO, "excluded %lld rows that the head was trained on", (long long)e->out.trained);
    if (a->like_count < 0 || (a->like_count && !a->like)) FAIL(E_USAGE, "the list of rows to be like is missing");
    TRY(exclude_like(s, e));
    TRY(set_rules(s, e));
    e->refs = (references){ .pool = e->pool, .head = a->head, .labels = a->labels, .out = &e->out, .seed = a->seed };
    TRY(fill_picks(s, e, e->p));
    TRY_NEW(e->candidates, NEW(s, e->count, candidates));
out:
    return st;
}

/* Where picks stay apart, the order itself is a rule. */
static bool has_rule(const selection *e, const strategy *st) { return st->kind->rule.run || e->a.dedupe > 0; }

/* Group and balance are the rule's affair.  Where a score leaves few candidates, they limit these too, in proportion:
 * else no row of some group or class might be among them. */
static pick_rules candidate_rules(const selection *e, const strategy *st)
{
    const strategy_rule *rule = &st->kind->rule;
    pick_rules r = e->rules;
    if (!has_rule(e, st) || r.k == 0) return r;
    r.k = strategy_candidates(st, e->rules.k, e->pool->rows - e->out.count, e->a.dedupe > 0);
    if (rule->least) r.group = NULL, r.group_count = 0, r.classes = 0, r.per_group = 0;
    double most = ceil(strategy_times(st, e->rules.k, e->a.dedupe > 0) * (double)r.per_group);
    r.per_group = most < (double)e->pool->rows ? (int64_t)most : e->pool->rows;
    return r;
}

static sluice_status start_candidates(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    release_candidates(e);
    for (int i = 0; i < e->count; i++) {
        pick_rules rules = candidate_rules(e, &e->strategies[i]);
        TRY(candidates_init(s, &e->candidates[i], &rules));
    }
out:
    return st;
}

static sluice_status finish_candidates(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    for (int i = 0; i < e->count; i++) TRY(candidates_finish(s, &e->candidates[i]));
out:
    return st;
}

/* ---- scan ---- */

static bool needs_scan(const selection *e)
{
    for (int i = 0; i < e->count; i++)
        if (strategy_needs_head(&e->strategies[i]) || strategy_scores_by(&e->strategies[i])->scorer) return true;
    return e->a.balance != 0;
}

bool selection_scans(const selection *e) { return e->rules.k > 0 && needs_scan(e); }

static sluice_status fit_scorers(sluice *s, selection *e)
{
    scorer_inputs in = {
        .refs = &e->refs, .src = &e->src, .like = e->a.like, .like_count = e->a.like_count, .labelled = e->labelled
    };
    sluice_status st = scorer_set_fit(s, &e->scorers, e->strategies, e->count, &in);
    e->src.scorers = e->scorers.list, e->src.scorer_count = e->scorers.count;
    return st;
}

sluice_status selection_start(sluice *s, selection *e)
{
    scan_state_release(&e->state);
    bool scans = selection_scans(e);
    sluice_status st = scans ? start_candidates(s, e) : SLUICE_OK;
    return st ? st : scan_state_init(s, &e->state, e->pool->rows, scans ? e->count : 0, scans ? e->candidates : NULL);
}

sluice_status selection_keep(sluice *s, void *user)
{
    selection *e = user;
    sluice_status st = scan_state_keep(s, &e->state, &e->p->kept);
    if (!st || s->cancelled) return st;
    log_line(s, SLUICE_WARNING, "the checkpoint stays as it was: %s", s->error);
    s->error[0] = 0;
    return SLUICE_OK;
}

/* What an earlier call kept, the root knows. */
static sluice_status go_on(sluice *s, selection *e)
{
    if (!comm_root(s)) return SLUICE_OK;
    return scan_state_go_on(s, &e->state, &e->p->kept, e->a.fresh, e->pool, e->out.bits);
}

/* The rows that are asked for. */
static span range_of(const selection *e)
{
    return chunk_share(e->pool->rows, e->a.shard, e->a.shards ? e->a.shards : 1);
}

static sluice_status scan(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    pool_scan scan = { .pool = e->pool,
                       .src = &e->src,
                       .strategies = e->strategies,
                       .count = e->count,
                       .seed = e->a.seed,
                       .columns = e->rules.classes ? READS(COLUMN_PREDICTION) : 0,
                       .labelled = e->labelled,
                       .max_bad = e->a.max_bad,
                       .range = range_of(e),
                       .skip = e->out.bits,
                       .keep = e->p->kept.path ? selection_keep : NULL,
                       .keep_s = e->p->kept.every_s,
                       .user = e,
                       .task = "scan",
                       .state = &e->state };
    span left = spans_gap(&e->state.done, scan.range);
    if (comm_size(s) == 1 && left.first == left.end) return SLUICE_OK;
    TRY(comm_agree(s, fit_scorers(s, e)));
    if (comm_size(s) > 1) return selection_scan_shared(s, e, &scan);
    TRY(pool_scan_run(s, &scan));
    e->p->bytes_back = scan.bytes_back;
    if (scan.keep && scan.seconds >= scan.keep_s) TRY(selection_keep(s, e)); /* what follows takes its time too */
out:
    return st;
}

/* What is to be known before anything is picked. */
static sluice_status know_rows(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    TRY(selection_start(s, e));
    if (e->part_files) return parts_join(s, e);
    if (!selection_scans(e)) return spans_add(s, &e->state.done, range_of(e));
    TRY(comm_agree(s, go_on(s, e)));
    TRY(scan(s, e));
out:
    return st;
}

static sluice_status end_scan(sluice *s, selection *e)
{
    warn_of_constants(s, &e->state, e->strategies);
    e->p->bad = e->state.bad;
    e->p->info.scanned = e->pool->rows;
    e->p->info.bytes = (double)e->state.bytes;
    sluice_status st = quarantine_check(s, &e->p->bad, e->pool, e->a.max_bad);
    return st ? st : finish_candidates(s, e);
}

/* ---- the picked rows ---- */

static int by_row(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

/* Rows of any list, ascending, each once. */
static sluice_status gather_rows(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    int64_t all = 0, n = 0;
    release_picked(e);
    for (int i = 0; i < e->count; i++) all += e->candidates[i].top.count;
    TRY_NEW(e->row, RAW(s, all, int64_t));
    for (int i = 0; i < e->count; i++)
        for (int64_t j = 0; j < e->candidates[i].top.count; j++) e->row[n++] = e->candidates[i].top.entries[j].row;
    qsort(e->row, (size_t)all, sizeof *e->row, by_row);
    for (int64_t i = 0; i < all; i++)
        if (!e->picked || e->row[i] != e->row[e->picked - 1]) e->row[e->picked++] = e->row[i];
    TRY_NEW(e->prediction, RAW(s, e->picked, float));
    TRY_NEW(e->confidence, RAW(s, e->picked, float));
    TRY_NEW(e->bad, NEW(s, e->picked, uint8_t));
out:
    return st;
}

static sluice_status visit_picked(sluice *s, void *user, int64_t at, sluice_view x)
{
    selection *e = user;
    source_out out = { .bad = e->bad + at };
    if (e->src.classes) out.scores.prediction = e->prediction + at, out.scores.confidence = e->confidence + at;
    return lane_score(s, &e->lane, x, &out);
}

static sluice_status read_picked(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    TRY(gather_rows(s, e));
    TRY(lane_open(s, &e->lane, &e->src, 0));
    TRY(rows_read(s, e->src.pool, e->row, e->picked, visit_picked, e, &e->p->info.bytes));
out:
    lane_close(s, &e->lane);
    return st;
}

/* ---- draw ---- */

static sluice_status draw_once(sluice *s, selection *e, float *score)
{
    sluice_status st = start_candidates(s, e);
    for (int64_t first = 0; first < e->pool->rows && !st; first += DRAW_ROWS) {
        int64_t n = e->pool->rows - first < DRAW_ROWS ? e->pool->rows - first : DRAW_ROWS;
        block_facts f = { .first_row = first,
                          .rows = n,
                          .seed = e->a.seed,
                          .labelled = e->labelled,
                          .threads = s->threads,
                          .ids = e->pool->ids ? e->pool->ids + first : NULL };
        for (int i = 0; i < e->count && !st; i++) {
            e->strategies[i].kind->fill(&e->strategies[i], &f, score);
            st = candidates_add(s, &e->candidates[i], score, NULL, f.ids, n, first, e->out.bits);
        }
    }
    return st ? st : finish_candidates(s, e);
}

/* Draws again without the bad rows among the picked until there are none: the picks a scan would make, which knows all
 * bad rows beforehand. */
static sluice_status draw(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    float *score = NULL;
    exclusions bad = { .words = e->out.words };
    TRY_NEW(score, RAW(s, DRAW_ROWS, float));
    TRY_NEW(bad.bits, NEW(s, bad.words, uint64_t));
    for (bool again = true; again;) {
        again = false;
        TRY(draw_once(s, e, score));
        TRY(read_picked(s, e));
        e->p->info.scanned = e->picked + bad.count;
        for (int64_t i = 0; i < e->picked; i++) {
            if (e->bad[i] != ROW_BAD) continue;
            again = true;
            exclusions_add(&bad, e->row[i]);
            e->out.bits[e->row[i] / 64] |= (uint64_t)1 << (e->row[i] % 64);
        }
    }
    for (int64_t row = 0; bad.count && row < e->pool->rows; row++)
        if (bad.bits[row / 64] >> (row % 64) & 1) quarantine_add(&e->p->bad, row);
    TRY(quarantine_check(s, &e->p->bad, e->pool, e->a.max_bad));
out:
    mem_free(score);
    exclusions_release(&bad);
    return st;
}

/* ---- rules ---- */

static bool has_rules(const selection *e)
{
    for (int i = 0; i < e->count; i++)
        if (has_rule(e, &e->strategies[i])) return true;
    return false;
}

/* Candidates become picks, where the strategy has a rule for that. */
static sluice_status run_lists(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    rule_inputs in = { &e->refs, &e->src, &e->rules, e->labelled, e->a.dedupe, NULL, 0 };
    for (int i = 0; i < e->count; i++) {
        sluice_top_state *top = &e->candidates[i].top;
        if (has_rule(e, &e->strategies[i]))
            TRY(rule_run(s, &in, &e->strategies[i], &e->candidates[i], top->entries, &top->count));
    }
out:
    return st;
}

/* The parts of a mix whose picks stay apart: each has its share and sees what the parts before have taken, and the first
 * comes again for what is lacking.  Their candidates become what they took, which is then what mix_take() takes. */
static sluice_status run_parts(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    int count = e->count;
    sluice_entry *taken = NULL;
    int64_t *start = NULL; /* [count + 2] where each one's rows start in taken */
    pick_rules share = e->rules;
    TRY_NEW(taken, RAW(s, e->rules.k, sluice_entry));
    TRY_NEW(start, NEW(s, e->count + 2, int64_t));
    assert(count > 0);
    for (int i = 0; i <= count; i++) {
        int part = i % count;
        int64_t left = e->rules.k - start[i], got = 0;
        share.k = i == count || e->parts[part].quota > left ? left : e->parts[part].quota;
        rule_inputs in = { &e->refs, &e->src, &share, e->labelled, e->a.dedupe, taken, start[i] };
        if (share.k) TRY(rule_run(s, &in, &e->strategies[part], &e->candidates[part], taken + start[i], &got));
        start[i + 1] = start[i] + got;
    }
    for (int i = 0; i < count; i++) e->candidates[i].top.count = 0;
    for (int i = 0; i <= count; i++) {
        sluice_top_state *top = &e->candidates[i % count].top;
        int64_t n = start[i + 1] - start[i];
        memcpy(top->entries + top->count, taken + start[i], (size_t)n * sizeof *taken);
        top->count += n;
    }
out:
    mem_free(taken), mem_free(start);
    return st;
}

static sluice_status run_rules(sluice *s, selection *e)
{
    sluice_status st = e->parts && e->a.dedupe > 0 ? run_parts(s, e) : run_lists(s, e);
    e->p->info.bytes += e->refs.bytes;
    return st;
}

/* ---- collect ---- */

static void fill_pick(const selection *e, const sluice_entry *from, const char *strategy, sluice_pick *out)
{
    *out = (sluice_pick){ .row = from->row,
                          .id64 = from->id,
                          .score = ex_order_score(from->key),
                          .prediction = -1,
                          .confidence = NAN,
                          .strategy = strategy };
    if (!e->src.classes) return;
    const int64_t *at = bsearch(&from->row, e->row, (size_t)e->picked, sizeof *e->row, by_row);
    float prediction = e->prediction[at - e->row];
    if (prediction >= 0) out->prediction = (int32_t)prediction;
    out->confidence = e->confidence[at - e->row];
}

static sluice_status collect_lists(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    for (int i = 0; i < e->count; i++) {
        const sluice_top_state *top = &e->candidates[i].top;
        pick_list *list = &e->p->list[i];
        TRY_NEW(list->picks, NEW(s, top->count, sluice_pick));
        list->count = top->count;
        for (int64_t j = 0; j < top->count; j++) fill_pick(e, &top->entries[j], e->p->parts[i].text, &list->picks[j]);
    }
out:
    return st;
}

static sluice_status collect_mix(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    pick_list *list = &e->p->list[0];
    sluice_entry *entry = NULL;
    int *which = NULL;
    TRY_NEW(entry, RAW(s, e->rules.k, sluice_entry));
    TRY_NEW(which, RAW(s, e->rules.k, int));
    TRY(mix_take(s, e->parts, e->count, e->candidates, &e->rules, entry, which, &list->count));
    TRY_NEW(list->picks, NEW(s, list->count, sluice_pick));
    for (int64_t j = 0; j < list->count; j++) fill_pick(e, &entry[j], e->p->parts[which[j]].text, &list->picks[j]);
out:
    mem_free(entry);
    mem_free(which);
    return st;
}

static sluice_status collect(sluice *s, selection *e)
{
    sluice_status st = e->parts ? collect_mix(s, e) : collect_lists(s, e);
    for (int i = 0; i < e->p->count && !st; i++)
        if (e->p->list[i].count < e->a.k && e->a.dedupe > 0)
            log_line(s, SLUICE_WARNING, "%s: %lld picks were asked for, %lld of the candidates are %g apart",
                     e->p->list[i].strategy.text, (long long)e->a.k, (long long)e->p->list[i].count, e->a.dedupe);
        else if (e->p->list[i].count < e->a.k)
            log_line(s, SLUICE_WARNING, "%s: %lld picks were asked for, %lld rows could be picked",
                     e->p->list[i].strategy.text, (long long)e->a.k, (long long)e->p->list[i].count);
    e->p->info.quarantined = e->p->bad.count;
    if (e->p->bad.count && !st)
        log_line(s, SLUICE_WARNING, "%lld rows hold a NaN or an infinity and were not picked",
                 (long long)e->p->bad.count);
    return st;
}

static json_t *describe_run(sluice *s, const sluice_picks *p)
{
    double seconds = p->info.seconds > 0 ? p->info.seconds : 1e-9;
    json_t *run = json_pack("{s:f, s:f, s:f, s:f, s:i, s:s}", "seconds", p->info.seconds, "bytes_read", p->info.bytes,
                            "rows_per_second", (double)p->info.scanned / seconds, "bytes_per_second",
                            p->info.bytes / seconds, "threads", s->threads, "reader", reader_backend());
    if (run) manifest_place(s, run);
    if (run && on_device(s)) json_object_set_new(run, "bytes_back", json_real(p->bytes_back));
    return run;
}

static sluice_status choose(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    if (e->rules.k == 0) return SLUICE_OK;
    TRY(needs_scan(e) ? end_scan(s, e) : draw(s, e));
    if (has_rules(e)) TRY(run_rules(s, e));
    if (e->src.classes && (needs_scan(e) || has_rules(e))) TRY(read_picked(s, e));
    TRY(collect(s, e));
out:
    return st;
}

static sluice_status start_checkpoint(sluice *s, selection *e)
{
    const sluice_select_args *a = &e->a;
    if (!a->checkpoint) return SLUICE_OK;
    json_t *identity = selection_identity(e, true);
    const char *name = a->out && *path_base(a->out) ? path_base(a->out) : "picks";
    sluice_status st = checkpoint_init(s, &e->p->kept, a->checkpoint, name, identity, a->checkpoint_s);
    json_decref(identity);
    return st;
}

/* Whether the output is there already; of several ranks one looks. */
static sluice_status look_at_output(sluice *s, selection *e, bool *out_done)
{
    sluice_status st = SLUICE_OK;
    bool done = false;
    if (comm_root(s) && e->a.shards) st = part_check(s, e, &done);
    else if (comm_root(s) && e->a.out) st = picks_check(s, e->p, e->a.out, e->a.force, &done);
    TRY(comm_agree(s, st));
    TRY(comm_broadcast(s, &done, sizeof done, 0));
    e->p->info.done = done;
    *out_done = done;
    if (!done || !comm_root(s)) return SLUICE_OK;
    log_line(s, SLUICE_INFO, "'%s' is there already, made from the same inputs", e->a.out);
    if (!e->a.dry_run) checkpoint_clear(s, &e->p->kept);
out:
    return st;
}

/* What the root does when all is known, while the others wait. */
static sluice_status conclude(sluice *s, selection *e)
{
    comm *ranks = comm_leave(s);
    sluice_status st = e->a.shards ? part_write(s, e) : choose(s, e);
    comm_rejoin(s, ranks);
    return st;
}

/* ---- dry run ---- */

/* Rows that a strategy's rule has in memory, and those of them that are read once more, to be scored. */
static int64_t rule_rows(const selection *e, const strategy *st, int64_t *scored)
{
    const strategy_rule *rule = &st->kind->rule;
    int64_t candidates = candidate_rules(e, st).k;
    int64_t sample = rule->needs & NEEDS_SAMPLE ? SAMPLE_ROWS : 0;
    bool judges = rule->weight || rule->needs & NEEDS_LOGITS || e->rules.classes;
    if (sample > e->pool->rows) sample = e->pool->rows;
    *scored = rule->needs & NEEDS_SAMPLE_WEIGHT ? sample : judges ? candidates : 0;
    return candidates + sample + e->labelled;
}

static sluice_status plan(sluice *s, const selection *e)
{
    int64_t scanned = range_of(e).end - range_of(e).first, most = 0, k = e->rules.k > 0 ? e->rules.k : 0;
    plan_facts f = { .pool = e->pool, .src = &e->src, .out = e->a.out };
    double pick = sizeof(sluice_pick) + sizeof(sluice_entry), entry = sizeof(sluice_entry);
    f.scanned = selection_scans(e) ? scanned : 0;
    f.memory = (double)e->out.words * 8 + (e->a.group ? (double)e->pool->rows * sizeof *e->a.group : 0);
    for (int i = 0; i < e->count && k; i++) {
        const strategy *st = &e->strategies[i];
        int64_t scored = 0, rows = has_rule(e, st) ? rule_rows(e, st, &scored) : 0;
        f.gathered += rows + scored + (e->src.classes || !needs_scan(e) ? k : 0);
        f.memory += 2 * (double)candidate_rules(e, st).k * entry + (double)k * pick;
        f.written += (double)k * (64 + plan_ids_bytes(e->pool) / (double)(e->pool->rows + 1));
        if (rows > most) most = rows;
    }
    f.memory += (double)most * ((double)e->pool->width * sizeof(float) + entry);
    return plan_make(s, &f, e->a.plan);
}

static sluice_status run(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    bool done = false;
    double began = clock_seconds();
    TRY_NEW(e->p, NEW(s, 1, sluice_picks));
    TRY(prepare(s, e));
    TRY(start_checkpoint(s, e));
    TRY(look_at_output(s, e, &done));
    if (e->a.dry_run && e->a.plan && comm_root(s)) TRY(plan(s, e));
    if (done || e->a.dry_run) return SLUICE_OK;
    if (e->a.k > 0 && e->rules.k == 0)
        log_line(s, SLUICE_WARNING, "no row of %lld is left to pick", (long long)e->pool->rows);
    TRY(know_rows(s, e));
    if (comm_root(s)) TRY(conclude(s, e));
    e->p->info.seconds = clock_seconds() - began;
    e->p->run = describe_run(s, e->p);
out:
    if (st == SLUICE_E_CANCELLED && e->p->kept.path && access(e->p->kept.path, F_OK) == 0)
        sluice_hint(s, st, "the same call goes on from '%s'", e->p->kept.path);
    return st;
}

sluice_status selection_run(sluice *s, selection *e, sluice_picks **out_picks)
{
    fp_state fp = fp_enter();
    s->error[0] = 0;
    sluice_status st = comm_agree(s, run(s, e));
    if (!st) *out_picks = comm_root(s) ? e->p : NULL;
    if (!st && comm_root(s)) e->p = NULL;
    selection_release(s, e);
    fp_leave(fp);
    return st;
}

sluice_status sluice_select(sluice *s, const sluice_pool *pool, const sluice_select_args *a, sluice_picks **out_picks)
{
    selection e = { .pool = pool };
    memcpy(&e.a, a, a->size < sizeof e.a ? a->size : sizeof e.a);
    s->error[0] = 0;
    sluice_status st = selection_run(s, &e, out_picks);
    return st ? sluice_note(s, st, "cannot select") : SLUICE_OK;
}
