/* pool_scan.c - see pool_scan.h.
 *
 *     reader ─▶ block ─▶ lane ─▶ columns ─▶ strategies' fill ─▶ candidates, take()
 *                       (GPU)   [column][rows]   [strategy][rows]
 *                         └─▶ tops of the scores that are a column, on the device ─▶ candidates
 *
 * A lane (lane.h) is where blocks are scored: the CPU, or one of two streams of a GPU, so that one copies while the other
 * computes.  A block goes to whichever lane is free, into the next of a ring of tasks, and leaves the ring in row order:
 * a device that is ahead of the others may run on until the ring is full.  On a CPU there is one lane and one task.
 *
 * What a lane on a device can order itself (tops.h) does not come to the host: of such a score only the first blocks do,
 * until it is seen to vary.  A lane without room for tops leaves all to the host.
 *
 * Blocks hold at most BLOCK_ROWS rows, so that the columns stay small beside the features, and every value is
 * row-local: how the pool was cut, and who scored a piece of it, decides nothing. */
#include "pool_scan.h"
#include "lane.h"
#include "reader.h"
#include "resident.h"
#include "scorer.h"

#include <stdio.h>
#include <string.h>

enum { TASKS_EACH = 2, MAX_LANES = LANES_EACH * MAX_DEVICES };
/* A device holds a lane's rows, once more with rows as ops like them, and what else an op needs, of each of its lanes. */
enum { DEVICE_SHARE = 4 * LANES_EACH };
enum { TOPS_SHARE = 4 };     /* of a device's memory that tops may take, where there are any */
enum { PIN_UNIT = 2 << 20 }; /* from here on memory begins and ends with a page of its own, and can be pinned */

typedef struct task {
    block in;             /* owner NULL: not the reader's */
    source_out out;       /* what is read of it */
    sluice_scores column; /* memory for the columns of out */
    float **facts;        /* out.facts */
    lane *lane;           /* at work on it; NULL: done */
    bool topped;          /* the lane has added it to its tops */
} task;

typedef struct scanner {
    pool_scan *scan;
    span gap;               /* rows to read; its first ones are done */
    int64_t known, settled; /* rows before these were taken, are in the state */
    int64_t before;         /* rows of earlier gaps */
    double noted;           /* bytes that are in the state */
    double kept;            /* when the state was last kept */
    reader *reader;         /* NULL: the pool is resident */
    bool end;               /* all blocks were taken */
    lane lane[MAX_LANES];
    task *work[MAX_LANES]; /* what the lane is at; NULL: nothing */
    int lanes;
    task *task; /* [tasks] a ring: taken % tasks is the next */
    int64_t tasks, taken, delivered;
    char *memory; /* outputs of all tasks */
    size_t memory_bytes;
    bool pinned;
    unsigned reads;  /* READS() of all columns */
    unsigned wanted; /* by the host, in every block */
    top_plan plan;   /* what lanes on devices keep */
    float **score;   /* [strategies][rows of a block] */
    float **fitted;  /* [scorers][rows of a block] */
    bool logits;
    progress progress;
} scanner;

/* ---- tops on devices ---- */

/* Whether lanes may keep the i-th strategy's top. */
static bool plannable(const scanner *z, int i, column *from)
{
    const pool_scan *scan = z->scan;
    return z->lane[0].device && scan->src->kind == SOURCE_HEAD && scan->state->tops && scan->state->tops[i].top.k > 0 &&
           candidates_are_top(&scan->state->tops[i]) && strategy_is_column(&scan->strategies[i], from);
}

static sluice_status plan_tops(sluice *s, scanner *z)
{
    sluice_status st = SLUICE_OK;
    pool_scan *scan = z->scan;
    top_plan *p = &z->plan;
    *p = (top_plan){ .ids = scan->pool->ids, .skip = scan->skip };
    TRY_NEW(p->to, NEW(s, scan->count, candidates *));
    TRY_NEW(p->from, NEW(s, scan->count, column));
    z->wanted = scan->columns;
    for (int i = 0; i < scan->count; i++) {
        unsigned reads = strategy_reads(&scan->strategies[i]);
        z->reads |= reads;
        if (plannable(z, i, &p->from[p->count])) p->to[p->count++] = &scan->state->tops[i];
        else z->wanted |= reads;
    }
    z->reads |= z->wanted;
out:
    return st;
}

static bool planned(const scanner *z, int i)
{
    for (int j = 0; j < z->plan.count; j++)
        if (z->plan.to[j] == &z->scan->state->tops[i]) return true;
    return false;
}

static void open_tops(sluice *s, scanner *z, int64_t rows)
{
    z->plan.rows = rows;
    size_t bytes = z->plan.count ? tops_bytes(&z->plan, z->reads) : 0;
    for (int i = 0; i < z->lanes && bytes; i++) {
        lane *l = &z->lane[i];
        place was = place_go(s, &l->place);
        bool fits = bytes <= s->backend->memory(l->place.exec.device) / (TOPS_SHARE * LANES_EACH);
        if (!fits || tops_init(s, &l->tops, &z->plan, z->reads)) {
            log_line(s, SLUICE_DEBUG, "cuda:%d has no room for %zu bytes of tops, so that scores come back",
                     l->place.exec.device, bytes);
            s->error[0] = 0;
        }
        place_back(s, was);
    }
}

static sluice_status bring_tops_home(sluice *s, scanner *z)
{
    sluice_status st = SLUICE_OK;
    for (int i = 0; i < z->lanes && !st; i++) {
        place was = place_go(s, &z->lane[i].place);
        if (z->lane[i].tops.plan) st = tops_bring_home(s, &z->lane[i].tops, &z->scan->bytes_back);
        place_back(s, was);
    }
    return st;
}

/* The columns of a block that come to the host. */
static unsigned columns_back(const scanner *z, const lane *l)
{
    unsigned back = z->wanted;
    if (!l->tops.plan) return z->reads;
    for (int i = 0; i < z->scan->count; i++)
        if (!z->scan->state->seen[i].varies) back |= strategy_reads(&z->scan->strategies[i]);
    return back;
}

/* ---- outputs ---- */

/* The next bytes of a block; without one it only counts. */
static void *carve(char *memory, size_t *used, int64_t count, size_t size)
{
    size_t bytes, at = *used;
    if (mul_overflows((size_t)count, size, &bytes) || bytes > SIZE_MAX / 2 - at) {
        *used = SIZE_MAX / 2;
        return NULL;
    }
    *used = at + ((bytes + 63) & ~(size_t)63);
    return memory ? memory + at : NULL;
}

static size_t lay_out(scanner *z, int64_t rows)
{
    size_t used = 0;
    for (int64_t i = 0; i < z->tasks; i++) {
        source_out *o = &z->task[i].out;
        for (int j = 0; j < COLUMN_COUNT; j++)
            if (z->reads >> j & 1)
                *scores_column(&z->task[i].column, (column)j) = carve(z->memory, &used, rows, sizeof(float));
        for (int j = 0; j < z->scan->src->scorer_count * SCORER_FACTS; j++) {
            int64_t width = z->scan->src->scorers[j / SCORER_FACTS].facts[j % SCORER_FACTS];
            z->task[i].facts[j] = width ? carve(z->memory, &used, rows, (size_t)width * sizeof(float)) : NULL;
        }
        if (z->logits) o->logits = carve(z->memory, &used, rows, (size_t)z->scan->src->classes * sizeof(float));
        o->bad = carve(z->memory, &used, rows, 1);
    }
    return used;
}

/* Where a device writes while the host goes on; a limit on locked memory may refuse it, then copies wait. */
static void pin_outputs(sluice *s, scanner *z)
{
    if (!z->lane[0].device) return;
    z->pinned = s->backend->pin(&s->exec, z->memory, z->memory_bytes) == SLUICE_OK;
    s->error[0] = 0;
}

static sluice_status outputs_new(sluice *s, scanner *z, int64_t rows)
{
    sluice_status st = SLUICE_OK;
    int scorers = z->scan->src->scorer_count;
    TRY_NEW(z->task, NEW(s, z->tasks, task));
    for (int64_t i = 0; i < z->tasks; i++) {
        TRY_NEW(z->task[i].facts, NEW(s, scorers * SCORER_FACTS, float *));
        z->task[i].out.facts = z->task[i].facts;
    }
    z->memory_bytes = lay_out(z, rows);
    if (z->lane[0].device) z->memory_bytes = (z->memory_bytes + PIN_UNIT - 1) / PIN_UNIT * PIN_UNIT;
    TRY_NEW(z->memory, RAW(s, (int64_t)z->memory_bytes, char));
    lay_out(z, rows);
    pin_outputs(s, z);
    TRY_NEW(z->score, NEW(s, z->scan->count + 1, float *));
    for (int i = 0; i < z->scan->count; i++) TRY_NEW(z->score[i], RAW(s, rows, float));
    TRY_NEW(z->fitted, NEW(s, scorers, float *));
    for (int i = 0; i < scorers; i++) TRY_NEW(z->fitted[i], RAW(s, rows, float));
out:
    return st;
}

static void outputs_release(sluice *s, scanner *z)
{
    for (int i = 0; z->score && i < z->scan->count; i++) mem_free(z->score[i]);
    for (int i = 0; z->fitted && i < z->scan->src->scorer_count; i++) mem_free(z->fitted[i]);
    for (int64_t i = 0; z->task && i < z->tasks; i++) mem_free(z->task[i].facts);
    if (z->pinned) s->backend->unpin(&s->exec, z->memory);
    mem_free(z->score);
    mem_free(z->fitted);
    mem_free(z->plan.to), mem_free(z->plan.from);
    mem_free(z->memory);
    mem_free(z->task);
}

/* ---- rows that cannot be scored ---- */

sluice_status quarantine_check(sluice *s, const quarantine *q, const sluice_pool *pool, double max_bad)
{
    if ((double)q->count <= max_bad * (double)pool->rows) return SLUICE_OK;
    char first[256] = "", id[64];
    for (int i = 0; i < 5 && i < q->count; i++) {
        sluice_pool_id_text(pool, q->row[i], id, sizeof id);
        snprintf(first + strlen(first), sizeof first - strlen(first), "%s%s", i ? ", " : "", id);
    }
    return sluice_hint(s,
                       sluice_fail(s, SLUICE_E_DATA,
                                   "more than %g%% of %lld rows hold a NaN or an infinity (%lld so far), "
                                   "the first ids: %s",
                                   100 * max_bad, (long long)pool->rows, (long long)q->count, first),
                       "mend the features, or allow more with --max-bad");
}

static void collect_bad(quarantine *q, const block_facts *f)
{
    for (int64_t i = 0; i < f->rows; i++)
        if (f->bad[i]) quarantine_add(q, f->first_row + i);
}

/* ---- a block ---- */

static sluice_status finish(sluice *s, scanner *z, int i)
{
    task *t = z->work[i];
    sluice_status st = lane_finish(s, &z->lane[i]);
    if (t->in.owner) reader_done(z->reader, &t->in);
    t->lane = NULL;
    z->work[i] = NULL;
    return st;
}

/* The next block, to be scored by lane i. */
static sluice_status feed(sluice *s, scanner *z, int i)
{
    sluice_status st = SLUICE_OK;
    lane *l = &z->lane[i];
    task *t = &z->task[z->taken % z->tasks];
    const sluice_pool *pool = z->scan->src->pool;
    if (z->work[i]) TRY(finish(s, z, i));
    if (z->reader) {
        TRY(reader_next(s, z->reader, &t->in, &z->end));
        if (z->end) return SLUICE_OK;
        place was = place_go(s, &l->place);
        st = resident_keep(s, pool, t->in.first_row, &t->in.view);
        place_back(s, was);
        if (st) goto out;
    } else {
        const resident_block *b = resident_at(s, z->taken);
        t->in = (block){ .first_row = b->first_row, .rows = b->view.rows, .view = b->view };
        z->end = !resident_at(s, z->taken + 1);
    }
    z->taken++;
    z->work[i] = t, t->lane = l, t->topped = l->tops.plan != NULL;
    unsigned back = columns_back(z, l);
    for (int j = 0; j < COLUMN_COUNT; j++)
        *scores_column(&t->out.scores, (column)j) = back >> j & 1 ? scores_get(&t->column, (column)j) : NULL;
    TRY(lane_start(s, l, t->in.first_row, t->in.view, &t->out));
out:
    return st;
}

static void end_scorers(sluice *s, scanner *z, const task *t)
{
    const source *src = z->scan->src;
    scorer_rows r = { .n = t->in.rows, .logits = t->out.logits, .classes = src->classes, .bad = t->out.bad };
    for (int j = 0; j < COLUMN_COUNT; j++) r.column[j] = scores_get(&t->out.scores, (column)j);
    for (int i = 0; i < src->scorer_count; i++) {
        for (int j = 0; j < SCORER_FACTS; j++) r.facts[j] = t->facts[i * SCORER_FACTS + j];
        scorer_end(s, &src->scorers[i], &r, z->fitted[i]);
    }
}

void warn_of_constants(sluice *s, const scan_state *v, const strategy *strategies)
{
    for (int i = 0; i < v->count; i++)
        if (v->seen[i].rows > 1)
            log_line(s, SLUICE_WARNING, "%s: every row scores %g, so their order is that of the hash",
                     strategies[i].text, (double)v->seen[i].first);
}

/* The i-th strategy's score of a block. */
static sluice_status use_score(sluice *s, scanner *z, const task *t, int i, const block_facts *f)
{
    pool_scan *scan = z->scan;
    const strategy *st = &scan->strategies[i];
    column from;
    bool kept = t->topped && planned(z, i);
    if (kept && strategy_is_column(st, &from) && !f->column[from]) return SLUICE_OK;
    st->kind->fill(st, f, z->score[i]);
    seen_add(&scan->state->seen[i], z->score[i], f->rows);
    if (kept || !scan->state->tops) return SLUICE_OK;
    return candidates_add(s, &scan->state->tops[i], z->score[i], f->column[COLUMN_PREDICTION], f->ids, f->rows,
                          f->first_row, scan->skip);
}

/* What came of a block from a device. */
static double bytes_back(const scanner *z, const task *t)
{
    const source *src = z->scan->src;
    int64_t floats = t->out.logits ? src->classes : 0;
    for (int j = 0; j < COLUMN_COUNT; j++) floats += scores_get(&t->out.scores, (column)j) != NULL;
    for (int j = 0; j < src->scorer_count * SCORER_FACTS; j++)
        floats += src->scorers[j / SCORER_FACTS].facts[j % SCORER_FACTS];
    return (double)t->in.rows * (double)(1 + (size_t)floats * sizeof(float));
}

static sluice_status use(sluice *s, scanner *z, const task *t)
{
    sluice_status st = SLUICE_OK;
    pool_scan *scan = z->scan;
    end_scorers(s, z, t);
    block_facts f = { .first_row = t->in.first_row,
                      .rows = t->in.rows,
                      .bad = t->out.bad,
                      .fitted = (const float *const *)z->fitted,
                      .seed = scan->seed,
                      .labelled = scan->labelled,
                      .threads = s->threads,
                      .ids = scan->pool->ids ? scan->pool->ids + t->in.first_row : NULL };
    for (int j = 0; j < COLUMN_COUNT; j++) f.column[j] = scores_get(&t->out.scores, (column)j);
    if (z->lane[0].device) scan->bytes_back += bytes_back(z, t);
    collect_bad(&scan->state->bad, &f);
    TRY(quarantine_check(s, &scan->state->bad, scan->pool, scan->max_bad));
    for (int i = 0; i < scan->count; i++) TRY(use_score(s, z, t, i, &f));
    if (scan->take) TRY(scan->take(s, scan->user, &(scan_block){ f, z->score, t->out.logits }));
out:
    return st;
}

/* The oldest task leaves the ring. */
static sluice_status deliver(sluice *s, scanner *z)
{
    sluice_status st = SLUICE_OK;
    task *t = &z->task[z->delivered % z->tasks];
    if (t->lane) TRY(finish(s, z, (int)(t->lane - z->lane)));
    TRY(use(s, z, t));
    z->delivered++;
    z->known = t->in.first_row + t->in.rows;
out:
    return st;
}

static double bytes_read(const scanner *z) { return z->reader ? reader_bytes(z->reader) : 0; }

static sluice_status tell(sluice *s, scanner *z)
{
    return progress_step(s, &z->progress, z->before + z->known - z->gap.first, z->scan->bytes + bytes_read(z));
}

/* The state's rows become those that were taken: what is under way comes to its end first. */
static sluice_status settle(sluice *s, scanner *z)
{
    sluice_status st = SLUICE_OK;
    while (z->delivered < z->taken) TRY(deliver(s, z));
    TRY(bring_tops_home(s, z));
    TRY(spans_add(s, &z->scan->state->done, (span){ z->settled, z->known }));
    z->settled = z->known;
    z->scan->state->bytes += (int64_t)(bytes_read(z) - z->noted);
    z->noted = bytes_read(z);
out:
    return st;
}

static sluice_status keep(sluice *s, scanner *z)
{
    sluice_status st = settle(s, z);
    if (!st) st = z->scan->keep(s, z->scan->user);
    z->kept = clock_seconds();
    return st;
}

static bool is_due(const scanner *z) { return z->scan->keep && clock_seconds() - z->kept >= z->scan->keep_s; }

/* After E_CANCELLED, whose message stays. */
static sluice_status keep_at_end(sluice *s, scanner *z)
{
    char why[sizeof s->error];
    memcpy(why, s->error, sizeof why);
    sluice_status st = keep(s, z);
    if (st) return st;
    memcpy(s->error, why, sizeof why);
    return SLUICE_E_CANCELLED;
}

/* A lane that can take the next block now; -1: none.  Lanes take turns, and so do the devices. */
static int free_lane(sluice *s, scanner *z)
{
    if (z->end || z->taken - z->delivered == z->tasks) return -1;
    for (int j = 0; j < z->lanes; j++) {
        int i = (int)((z->taken + j) % z->lanes);
        if (!z->reader && z->lane[i].place.exec.device != resident_at(s, z->taken)->device) continue;
        if (!z->work[i] || lane_idle(&z->lane[i])) return i;
    }
    return -1;
}

static sluice_status run(sluice *s, scanner *z)
{
    sluice_status st = SLUICE_OK;
    for (;;) {
        int i = free_lane(s, z);
        if (i >= 0) {
            TRY(feed(s, z, i));
        } else if (z->delivered < z->taken) {
            TRY(deliver(s, z));
            TRY(tell(s, z));
            if (is_due(z)) TRY(keep(s, z));
        } else if (z->end) {
            break;
        }
    }
    TRY(settle(s, z));
out:
    return st == SLUICE_E_CANCELLED && z->scan->keep ? keep_at_end(s, z) : st;
}

/* ---- opening ---- */

static sluice_status open_lanes(sluice *s, scanner *z)
{
    bool device = source_place(s, z->scan->src).backend->alloc != NULL;
    int count = device ? LANES_EACH * s->devices : 1;
    while (z->lanes < count) {
        int i = z->lanes++;
        sluice_status st = lane_open(s, &z->lane[i], z->scan->src, i);
        if (st) return st;
    }
    z->tasks = device ? (int64_t)TASKS_EACH * count : 1;
    return SLUICE_OK;
}

/* A row's logits and facts may be longer than the row. */
static int64_t most_rows(const sluice *s, const scanner *z)
{
    int64_t all = z->gap.end - z->gap.first, rows = all < BLOCK_ROWS ? all : BLOCK_ROWS;
    const source *src = z->scan->src;
    int64_t floats = z->logits ? src->classes : 0;
    for (int i = 0; i < src->scorer_count; i++)
        for (int j = 0; j < SCORER_FACTS; j++) floats += src->scorers[i].facts[j];
    if (floats == 0) return rows;
    int64_t fit = (int64_t)(s->mem_bytes / 8 / sizeof(float)) / floats / z->tasks;
    return fit < 1 ? 1 : fit < rows ? fit : rows;
}

static sluice_status open_reader(sluice *s, scanner *z)
{
    reader_plan plan = { .first_row = z->gap.first,
                         .rows = z->gap.end - z->gap.first,
                         .mem_bytes = reader_share(s),
                         .max_rows = most_rows(s, z),
                         .held = z->lanes };
    if (!z->lane[0].device) return reader_open(s, z->scan->src->pool, &plan, &z->reader);
    size_t room = SIZE_MAX;
    for (int i = 0; i < s->devices; i++) {
        size_t bytes = s->backend->memory(s->device[i]);
        if (bytes < room) room = bytes;
    }
    if (z->plan.count) room -= room / TOPS_SHARE;
    plan.pinned = true;
    plan.block_bytes = room / DEVICE_SHARE + 1;
    return reader_open(s, z->scan->src->pool, &plan, &z->reader);
}

/* Rows of the longest block on the devices. */
static int64_t longest(const sluice *s)
{
    int64_t rows = 0;
    const resident_block *b;
    for (int64_t i = 0; s->resident && (b = resident_at(s, i)); i++)
        if (b->view.rows > rows) rows = b->view.rows;
    return rows;
}

static bool is_whole(const scanner *z) { return z->gap.first == 0 && z->gap.end == z->scan->src->pool->rows; }

static sluice_status open_all(sluice *s, scanner *z)
{
    sluice_status st = SLUICE_OK;
    pool_scan *scan = z->scan;
    z->logits = scan->logits;
    for (int i = 0; i < scan->src->scorer_count; i++)
        z->logits |= (scan->src->scorers[i].kind->wants & WANTS_LOGITS) != 0;
    TRY(open_lanes(s, z));
    TRY(plan_tops(s, z));
    int64_t rows = longest(s);
    if (!is_whole(z) || !resident_whole(s, scan->src->pool)) {
        TRY(open_reader(s, z));
        while (z->lanes > reader_slots(z->reader)) lane_close(s, &z->lane[--z->lanes]); /* each holds a block */
        rows = reader_block_rows(z->reader);
    }
    open_tops(s, z, rows);
    TRY(outputs_new(s, z, rows));
out:
    return st;
}

/* Lanes first: what they copy from and to is given back after them. */
static void close_all(sluice *s, scanner *z, bool complete)
{
    for (int i = z->lanes - 1; i >= 0; i--) lane_close(s, &z->lane[i]);
    resident_settle(s, z->scan->src->pool, complete && is_whole(z));
    outputs_release(s, z);
    z->scan->bytes += bytes_read(z);
    reader_close(z->reader);
    mem_free(z);
}

/* ---- the scan ---- */

static sluice_status scan_gap(sluice *s, pool_scan *scan, span gap, int64_t before, double *kept, progress *g)
{
    sluice_status st = SLUICE_OK;
    scanner *z = NEW(s, 1, scanner);
    if (!z) return SLUICE_E_MEMORY;
    z->scan = scan, z->gap = gap, z->known = z->settled = gap.first;
    z->before = before, z->kept = *kept, z->progress = *g;
    TRY(open_all(s, z));
    TRY(run(s, z));
    s->usage.rows += gap.end - gap.first;
out:
    if (z->reader) s->usage.stall_seconds += reader_stall_seconds(z->reader);
    s->usage.bytes += bytes_read(z);
    memset(s->at_work, 0, sizeof s->at_work); /* a scan that failed leaves lanes at work */
    *kept = z->kept, *g = z->progress;
    close_all(s, z, st == SLUICE_OK);
    return st;
}

sluice_status pool_scan_run(sluice *s, pool_scan *scan)
{
    sluice_status st = SLUICE_OK;
    progress own, *g = scan->progress ? scan->progress : &own;
    double began = clock_seconds(), kept = began;
    spans *done = &scan->state->done;
    span range = scan->range.end ? scan->range : (span){ 0, scan->src->pool->rows };
    int64_t before = scan->before, left = 0;
    for (span gap = spans_gap(done, range); gap.first < gap.end; gap = spans_gap(done, (span){ gap.end, range.end }))
        left += gap.end - gap.first;
    if (!scan->progress) progress_begin(g, scan->task, "rows", left);
    for (span gap = spans_gap(done, range); gap.first < gap.end; gap = spans_gap(done, range)) {
        TRY(scan_gap(s, scan, gap, before, &kept, g));
        before += gap.end - gap.first;
    }
    if (!scan->progress) progress_end(s, g);
    scan->seconds = clock_seconds() - began;
    s->usage.seconds += scan->seconds;
out:
    return st;
}
