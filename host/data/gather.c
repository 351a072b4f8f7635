/* gather.c - rows of a pool as f32, in any order.  Contract: pool_gather in pool.h.
 *
 * The rows are sorted; neighbours within 64 KiB become one read (a run), several runs are read at once, and each row that
 * was asked for goes through a small stage of rows of one type, which is widened as a block and copied to its places. */
#include "reader_io.h"

#include <stdlib.h>
#include <string.h>

enum { RUNS = 16 };
static const size_t gap_bytes = 64u << 10; /* reading this much too much costs less than one more request */
static const size_t run_bytes = 1u << 20;  /* times RUNS is in flight */
static const size_t stage_bytes = 1u << 20;

typedef struct want {
    int64_t row, place;
} want; /* row of the pool, row of out */

typedef struct run {
    int64_t begin, end; /* of the sorted wants */
    const shard *sh;
    shard_file *file;
    uint8_t *buffer;
    read_job job;
} run;

typedef struct gather {
    sluice *s;
    const sluice_pool *pool;
    want *wants;
    int64_t m, planned; /* wants that are in a run already */
    float *out;
    run run[RUNS];
    int runs, head, busy; /* a ring */
    size_t buffer_bytes;
    uint8_t *buffers;
    shard_file *file; /* of the newest run */
    read_engine *engine;
    /* the stage */
    const shard *stage_shard;
    uint8_t *stage;
    float *wide, *scale; /* [stage_rows, width], [stage_rows] */
    int64_t *first;      /* [stage_rows] first want of each staged row */
    int64_t stage_rows, staged;
} gather;

static int by_row(const void *a, const void *b)
{
    const want *x = a, *y = b;
    if (x->row != y->row) return x->row < y->row ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static sluice_status sort_wants(gather *g, const int64_t *rows)
{
    sluice *s = g->s;
    sluice_status st = SLUICE_OK;
    TRY_NEW(g->wants, RAW(s, g->m, want));
    bool sorted = true;
    for (int64_t i = 0; i < g->m; i++) {
        if (rows[i] < 0 || rows[i] >= g->pool->rows)
            FAIL(E_INTERNAL, "row %lld is not in a pool of %lld", (long long)rows[i], (long long)g->pool->rows);
        g->wants[i] = (want){ rows[i], i };
        sorted = sorted && (i == 0 || rows[i - 1] <= rows[i]);
    }
    if (!sorted) qsort(g->wants, (size_t)g->m, sizeof *g->wants, by_row);
out:
    return st;
}

/* ---- the stage ---- */

static size_t row_bytes(const gather *g, const shard *sh)
{
    return (size_t)g->pool->width * sluice_type_bytes(sh->type);
}

/* Widens the staged rows and copies each to every place that wants it. */
static sluice_status flush(gather *g)
{
    sluice *s = g->s;
    sluice_status st = SLUICE_OK;
    const shard *sh = g->stage_shard;
    size_t width = (size_t)g->pool->width;
    if (!g->staged) return SLUICE_OK;
    sluice_op_convert_args a = { .x = sluice_rows(g->stage, sh->type, g->staged, g->pool->width),
                                 .out = sluice_rows(g->wide, SLUICE_F32, g->staged, g->pool->width) };
    a.x.scale = sh->scale ? g->scale : NULL;
    TRY(sluice_op_convert(s, &a));
    for (int64_t i = 0; i < g->staged; i++) {
        int64_t row = g->wants[g->first[i]].row;
        for (int64_t j = g->first[i]; j < g->m && g->wants[j].row == row; j++)
            memcpy(g->out + (size_t)g->wants[j].place * width, g->wide + (size_t)i * width, width * sizeof *g->wide);
    }
    g->staged = 0;
out:
    return st;
}

/* Stages the rows of a run, whose first row's bytes are at data. */
static sluice_status stage_run(gather *g, const run *x, const uint8_t *data)
{
    sluice_status st = SLUICE_OK;
    if (g->stage_shard != x->sh) TRY(flush(g));
    g->stage_shard = x->sh;
    size_t bytes = row_bytes(g, x->sh);
    int64_t base = g->wants[x->begin].row, last = -1;
    for (int64_t i = x->begin; i < x->end; i++) {
        int64_t row = g->wants[i].row;
        if (row == last) continue;
        last = row;
        if (g->staged == g->stage_rows) TRY(flush(g));
        memcpy(g->stage + (size_t)g->staged * bytes, data + (size_t)(row - base) * x->sh->stride, bytes);
        if (x->sh->scale) g->scale[g->staged] = x->sh->scale[row - x->sh->first_row];
        g->first[g->staged++] = i;
    }
out:
    return st;
}

/* ---- runs ---- */

/* The last user of a file makes sure that it is still what the pool was opened with. */
static sluice_status leave_file(sluice *s, shard_file *f)
{
    sluice_status st = f && f->users == 1 ? shard_file_check(s, f) : SLUICE_OK;
    shard_file_drop(f);
    return st;
}

/* The next run: wants of one shard, near enough to be one read that fits a buffer. */
static void plan_run(gather *g, run *x)
{
    const want *w = g->wants;
    x->begin = g->planned;
    x->sh = pool_shard_of(g->pool, w[x->begin].row);
    int64_t i = x->begin + 1, shard_end = x->sh->first_row + x->sh->rows;
    size_t row = row_bytes(g, x->sh);
    for (; i < g->m && w[i].row < shard_end; i++) {
        size_t step = (size_t)(w[i].row - w[i - 1].row), all = (size_t)(w[i].row - w[x->begin].row);
        if (step > 1 && (step - 1) * x->sh->stride > gap_bytes) break;
        if (!x->sh->memory && all * x->sh->stride + row > g->buffer_bytes) break;
    }
    x->end = g->planned = i;
}

static sluice_status start_run(gather *g, run *x)
{
    sluice *s = g->s;
    sluice_status st = SLUICE_OK;
    const shard *sh = x->sh;
    if (!g->file || g->file->sh != sh) {
        shard_file *before = g->file;
        g->file = NULL;
        TRY(leave_file(s, before));
        TRY(shard_file_open(s, sh, &g->file));
    }
    int64_t first = g->wants[x->begin].row, last = g->wants[x->end - 1].row;
    x->job.fd = g->file->fd;
    x->job.to = x->buffer;
    x->job.offset = sh->offset + (uint64_t)(first - sh->first_row) * sh->stride;
    x->job.bytes = (size_t)(last - first) * sh->stride + row_bytes(g, sh);
    x->file = g->file;
    x->file->users++;
    g->engine->start(g->engine, &x->job);
out:
    return st;
}

static sluice_status finish_run(gather *g, run *x)
{
    shard_file *f = x->file;
    x->file = NULL;
    g->engine->wait(g->engine, &x->job);
    sluice_status st = shard_file_result(g->s, f, &x->job);
    if (!st) st = stage_run(g, x, x->buffer);
    if (!st) return leave_file(g->s, f);
    shard_file_drop(f);
    return st;
}

static sluice_status run_all(gather *g)
{
    sluice *s = g->s;
    sluice_status st = SLUICE_OK;
    while (g->planned < g->m || g->busy) {
        if (__atomic_load_n(&s->cancelled, __ATOMIC_RELAXED)) FAIL(E_CANCELLED, "reading rows stopped before the end");
        if (g->busy == g->runs || g->planned == g->m) {
            run *oldest = &g->run[g->head];
            g->head = (g->head + 1) % g->runs;
            g->busy--;
            TRY(finish_run(g, oldest));
            continue;
        }
        run *x = &g->run[(g->head + g->busy) % g->runs];
        plan_run(g, x);
        if (x->sh->memory) {
            TRY(stage_run(g, x,
                          x->sh->memory + x->sh->offset +
                              (size_t)(g->wants[x->begin].row - x->sh->first_row) * x->sh->stride));
        } else {
            TRY(start_run(g, x));
            g->busy++;
        }
    }
    TRY(flush(g));
    shard_file *newest = g->file;
    g->file = NULL;
    TRY(leave_file(s, newest));
out:
    return st;
}

/* ---- the call ---- */

static sluice_status prepare(gather *g)
{
    sluice *s = g->s;
    sluice_status st = SLUICE_OK;
    size_t row = 1;
    bool files = false;
    for (int i = 0; i < g->pool->shard_count; i++) {
        const shard *sh = &g->pool->shards[i];
        size_t b = row_bytes(g, sh);
        if (b > row) row = b;
        files = files || !sh->memory;
    }
    g->stage_rows = row < stage_bytes ? (int64_t)(stage_bytes / row) : 1;
    if (g->stage_rows > g->m) g->stage_rows = g->m;
    TRY_NEW(g->stage, mem_raw(s, g->stage_rows, row));
    TRY_NEW(g->first, RAW(s, g->stage_rows, int64_t));
    TRY_NEW(g->scale, RAW(s, g->stage_rows, float));
    size_t wide_row;
    if (mul_overflows((size_t)g->pool->width, sizeof *g->wide, &wide_row)) FAIL(E_MEMORY, "a row is too wide");
    TRY_NEW(g->wide, mem_raw(s, g->stage_rows, wide_row));
    if (!files) return SLUICE_OK;
    g->buffer_bytes = run_bytes > row ? run_bytes : row;
    TRY_NEW(g->buffers, mem_raw(s, g->runs, g->buffer_bytes));
    for (int i = 0; i < g->runs; i++) g->run[i].buffer = g->buffers + (size_t)i * g->buffer_bytes;
    const char *want;
    TRY(read_path_wanted(s, &want));
    TRY(read_engine_open(s, want, &g->engine));
out:
    return st;
}

static void finish_all(gather *g)
{
    for (int i = 0; i < RUNS; i++) {
        if (!g->run[i].file) continue;
        g->engine->wait(g->engine, &g->run[i].job);
        shard_file_drop(g->run[i].file);
    }
    shard_file_drop(g->file);
    if (g->engine) g->engine->close(g->engine);
    mem_free(g->buffers);
    mem_free(g->stage);
    mem_free(g->wide);
    mem_free(g->scale);
    mem_free(g->first);
    mem_free(g->wants);
}

sluice_status pool_gather(sluice *s, const sluice_pool *pool, const int64_t *rows, int64_t m, float *out)
{
    if (m == 0) return SLUICE_OK;
    sluice_status st = SLUICE_OK;
    gather *g;
    TRY_NEW(g, NEW(s, 1, gather));
    g->s = s, g->pool = pool, g->m = m, g->out = out;
    g->runs = m < RUNS ? (int)m : RUNS;
    TRY(sort_wants(g, rows));
    TRY(prepare(g));
    TRY(run_all(g));
out:
    if (g) finish_all(g);
    mem_free(g);
    return st;
}
