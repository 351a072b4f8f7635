/* pool_scan.c - see pool_scan.h.
 *
 *     reader ─▶ block ─▶ source_scan ─▶ columns ─▶ strategies' fill ─▶ take()
 *                        (rows bad)     [column][rows]   [strategy][rows]
 *
 * Blocks hold at most BLOCK_ROWS rows, so that the columns stay small beside the features, and every value is
 * row-local: how the pool was cut decides nothing. */
#include "pool_scan.h"
#include "reader.h"

#include <stdio.h>
#include <string.h>

enum { BLOCK_ROWS = 1 << 16 };

typedef struct scan_buffers {
    sluice_scores columns; /* [BLOCK_ROWS] each, NULL: not read */
    float **score;         /* [count][BLOCK_ROWS] */
    float *logits;         /* [rows of a block, classes], grown */
    uint8_t *bad;          /* [BLOCK_ROWS] */
    int64_t rows;
} scan_buffers;

static void buffers_release(scan_buffers *b, int count)
{
    for (int j = 0; j < COLUMN_COUNT; j++) mem_free(scores_get(&b->columns, (column)j));
    for (int i = 0; b->score && i < count; i++) mem_free(b->score[i]);
    mem_free(b->score);
    mem_free(b->logits);
    mem_free(b->bad);
}

static sluice_status buffers_init(sluice *s, scan_buffers *b, const pool_scan *scan, unsigned reads, int64_t rows)
{
    sluice_status st = SLUICE_OK;
    *b = (scan_buffers){ .rows = rows };
    for (int j = 0; j < COLUMN_COUNT; j++)
        if (reads >> j & 1) TRY_NEW(*scores_column(&b->columns, (column)j), RAW(s, rows, float));
    TRY_NEW(b->score, NEW(s, scan->count + 1, float *));
    for (int i = 0; i < scan->count; i++) TRY_NEW(b->score[i], RAW(s, rows, float));
    TRY_NEW(b->bad, RAW(s, rows, uint8_t));
    if (scan->logits) {
        size_t floats;
        if (mul_overflows((size_t)rows, (size_t)scan->src->classes, &floats) || floats > INT64_MAX / sizeof(float))
            FAIL(E_MEMORY, "logits of %d classes do not fit in memory", scan->src->classes);
        TRY_NEW(b->logits, RAW(s, (int64_t)floats, float));
    }
out:
    return st;
}

void quarantine_add(quarantine *q, int64_t row)
{
    if (q->count < QUARANTINE_LISTED) q->row[q->count] = row;
    q->count++;
}

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

/* A row is bad when its own values are, or when they make no finite logits. */
static void collect_bad(quarantine *q, const block_facts *f)
{
    const float *probe = NULL;
    for (int j = 0; j < COLUMN_COUNT && !probe; j++) probe = f->column[j];
    for (int64_t i = 0; i < f->rows; i++)
        if (f->bad[i] || (probe && probe[i] != probe[i])) quarantine_add(q, f->first_row + i);
}

static sluice_status score_block(sluice *s, pool_scan *scan, scan_buffers *b, const block *in)
{
    sluice_status st = source_scan(s, scan->src, in->view, &b->columns, b->logits, b->bad);
    if (st) return st;
    block_facts f = { .first_row = in->first_row,
                      .rows = in->rows,
                      .bad = b->bad,
                      .seed = scan->seed,
                      .labelled = scan->labelled,
                      .threads = s->threads,
                      .ids = scan->pool->ids ? scan->pool->ids + in->first_row : NULL };
    for (int j = 0; j < COLUMN_COUNT; j++) f.column[j] = scores_get(&b->columns, (column)j);
    for (int i = 0; i < scan->count; i++) scan->strategies[i].kind->fill(&scan->strategies[i], &f, b->score[i]);
    collect_bad(&scan->bad, &f);
    st = quarantine_check(s, &scan->bad, scan->pool, scan->max_bad);
    return st ? st : scan->take(s, scan->user, &(scan_block){ f, b->score, b->logits });
}

sluice_status pool_scan_run(sluice *s, pool_scan *scan)
{
    sluice_status st = SLUICE_OK;
    const sluice_pool *read = scan->src->pool;
    scan_buffers buffers = { 0 };
    reader *r = NULL;
    progress g;
    unsigned reads = scan->columns;
    for (int i = 0; i < scan->count; i++) reads |= strategy_reads(&scan->strategies[i]);
    int64_t most = read->rows < BLOCK_ROWS ? read->rows : BLOCK_ROWS;
    double began = clock_seconds();
    bool end = read->rows == 0;

    TRY(buffers_init(s, &buffers, scan, reads, most));
    progress_begin(&g, scan->task, "rows", read->rows);
    if (!end) TRY(reader_open(s, read, &(reader_plan){ .mem_bytes = s->mem_bytes / 8 * 7, .max_rows = most }, &r));
    while (!end) {
        block in;
        TRY(reader_next(s, r, &in, &end));
        if (end) break;
        st = score_block(s, scan, &buffers, &in);
        reader_done(r, &in);
        if (st) goto out;
        TRY(progress_step(s, &g, in.first_row + in.rows, reader_bytes(r)));
    }
    progress_end(s, &g);
    if (r) scan->bytes = reader_bytes(r);
    scan->seconds = clock_seconds() - began;
out:
    reader_close(r);
    buffers_release(&buffers, scan->count);
    return st;
}
