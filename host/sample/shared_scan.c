/* shared_scan.c - the scan of one selection by several ranks.
 *
 *     root:    what a checkpoint knows ─▶ to all
 *     ranks:   runs of chunks, each rank the next one when it is done with one ─▶ states ─▶ root
 *
 * What a rank knows is a scan's state (scan_state.h); the root joins them, in any order with the same outcome.  A
 * checkpoint is the root's state: for it all ranks come together every so often, and when any of them is to stop. */
#include "selection.h"

#include "comm.h"

#include <string.h>

enum { RUNS_EACH = 32 }; /* runs of chunks for each rank: who ends last keeps the others waiting for a part of one */

typedef struct shared {
    selection *e;
    pool_scan *scan;
    span range;  /* rows that are wanted */
    spans known; /* rows that the root had when the turn began, and those scanned here since */
    int64_t before, runs;
    deal deal;
    double began;
    progress progress;
} shared;

static bool is_due(const shared *h)
{
    const checkpoint *c = &h->e->p->kept;
    return c->path && clock_seconds() - h->began >= c->every_s;
}

/* ---- a turn: until all is dealt, or the ranks are to come together ---- */

/* The root answers between blocks. */
static sluice_status take(sluice *s, void *user, const scan_block *b)
{
    shared *h = user;
    (void)b;
    return deal_poll(s, &h->deal);
}

/* A scan that is stopped leaves its state in order if somebody wants to keep it. */
static sluice_status keep_nothing(sluice *s, void *user)
{
    (void)s, (void)user;
    return SLUICE_OK;
}

static sluice_status scan_run(sluice *s, shared *h, int64_t run)
{
    sluice_status st = SLUICE_OK;
    span rows = chunk_share(h->e->pool->rows, run, h->runs);
    if (rows.first < h->range.first) rows.first = h->range.first;
    if (rows.end > h->range.end) rows.end = h->range.end;
    h->scan->before = rows.first > h->before ? rows.first : h->before;
    for (span gap; rows.first < rows.end; rows.first = gap.end) {
        gap = spans_gap(&h->known, rows);
        if (gap.first == gap.end) break;
        h->scan->range = gap;
        TRY(pool_scan_run(s, h->scan));
        TRY(spans_add(s, &h->known, gap));
    }
out:
    return st;
}

static sluice_status scan_turn(sluice *s, shared *h)
{
    sluice_status st = SLUICE_OK;
    deal_begin(s, &h->deal, h->runs, true);
    for (int64_t run;;) {
        if (comm_root(s) && is_due(h)) h->deal.next = h->deal.count;
        TRY(deal_next(s, &h->deal, &run));
        if (run < 0) break;
        TRY(scan_run(s, h, run));
    }
out:
    return deal_end(s, &h->deal, st);
}

/* ---- between turns ---- */

/* The rows that the root knows, to all. */
static sluice_status share_known(sluice *s, shared *h)
{
    sluice_status st = SLUICE_OK;
    void *at = h->e->state.done.at;
    size_t bytes = (size_t)h->e->state.done.count * sizeof(span);
    TRY(comm_broadcast_block(s, &at, &bytes));
    spans_release(&h->known);
    for (size_t i = 0; i < bytes / sizeof(span) && !st; i++) st = spans_add(s, &h->known, ((span *)at)[i]);
    h->before = spans_rows(&h->known);
    if (!comm_root(s)) mem_free(at);
out:
    return st;
}

static sluice_status join_states(sluice *s, shared *h, const char *all, const size_t *at)
{
    selection *e = h->e;
    sluice_status st = SLUICE_OK;
    for (int i = 1; i < comm_size(s) && !st; i++)
        st = scan_state_merge(s, &e->state, e->pool, e->out.bits, all + at[i], at[i + 1] - at[i]);
    return st;
}

/* What all have found becomes the root's; the others begin anew. */
static sluice_status gather_states(sluice *s, shared *h)
{
    sluice_status st = SLUICE_OK;
    void *mine = NULL, *all = NULL;
    size_t bytes = 0, *at;
    TRY_NEW(at, RAW(s, comm_size(s) + 1, size_t));
    if (!comm_root(s)) TRY(scan_state_pack(s, &h->e->state, &mine, &bytes));
    TRY(comm_gather(s, mine, bytes, &all, at));
    if (comm_root(s)) TRY(join_states(s, h, all, at));
    else TRY(selection_start(s, h->e));
out:
    mem_free(mine), mem_free(all), mem_free(at);
    return st;
}

static sluice_status come_together(sluice *s, shared *h, bool stopped, bool *out_left)
{
    sluice_status st = SLUICE_OK;
    selection *e = h->e;
    int64_t facts[2] = { stopped, 0 }; /* how many were told to stop; rows left */
    TRY(comm_sum(s, facts, 1));
    TRY(gather_states(s, h));
    int64_t rows = h->range.end - h->range.first, done = comm_root(s) ? spans_rows(&e->state.done) : rows;
    if (comm_root(s) && e->p->kept.path && (facts[0] || is_due(h))) TRY(selection_keep(s, e));
    facts[1] = rows - done;
    TRY(comm_broadcast(s, &facts[1], sizeof facts[1], 0));
    if (facts[0])
        st = sluice_fail(s, SLUICE_E_CANCELLED, "scan stopped after %lld of %lld rows", (long long)(rows - facts[1]),
                         (long long)rows);
    *out_left = facts[1] > 0;
out:
    return st;
}

sluice_status selection_scan_shared(sluice *s, selection *e, pool_scan *scan)
{
    sluice_status st = SLUICE_OK;
    shared h = { .e = e, .scan = scan, .range = scan->range };
    int64_t chunk = chunk_rows(e->pool->rows), chunks = e->pool->rows / chunk + 1;
    h.runs = chunks < (int64_t)RUNS_EACH * comm_size(s) ? chunks : (int64_t)RUNS_EACH * comm_size(s);
    scan->take = take, scan->user = &h, scan->keep = keep_nothing, scan->keep_s = 1e18;
    progress_begin(&h.progress, scan->task, "rows", h.range.end - h.range.first);
    scan->progress = &h.progress;
    for (bool left = true; left;) {
        h.began = clock_seconds();
        TRY(comm_agree(s, share_known(s, &h)));
        st = scan_turn(s, &h);
        bool stopped = st == SLUICE_E_CANCELLED;
        TRY(comm_agree(s, stopped ? SLUICE_OK : st));
        TRY(come_together(s, &h, stopped, &left));
    }
    progress_end(s, &h.progress);
    e->p->bytes_back = scan->bytes_back; /* this rank's */
out:
    spans_release(&h.known);
    return st;
}
