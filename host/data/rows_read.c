/* rows_read.c - chosen rows of a pool, in the type they are stored in.  Contract in pool.h.
 *
 * Rows come in order of (shard, row).  Neighbours within 64 KiB become one read (a run), several runs, of several shards
 * where that is so, are under way at once, and each row that was asked for is copied, packed, to a stage, which is shown
 * to the caller when it is full or the shard ends. */
#include "reader_io.h"

#include <string.h>

enum { RUNS = 16 };
static const size_t gap_bytes = 64u << 10; /* reading this much too much costs less than one more request */
static const size_t run_bytes = 1u << 20;  /* times RUNS is in flight */
static const size_t stage_bytes = 4u << 20;

typedef struct run {
    int64_t begin, end; /* of the rows asked for */
    const shard *sh;
    shard_file *file;
    uint8_t *buffer;
    read_job job;
} run;

typedef struct rows_reader {
    sluice *s;
    const sluice_pool *pool;
    const int64_t *row;
    int64_t m, planned; /* rows that are in a run already */
    rows_visit *visit;
    void *user;
    run run[RUNS];
    int runs, head, busy; /* a ring */
    size_t buffer_bytes;
    uint8_t *buffers;
    shard_file *file; /* of the newest run */
    read_engine *engine;
    /* the stage */
    const shard *stage_shard;
    uint8_t *stage;
    float *scale; /* [stage_rows] */
    int64_t stage_rows, staged, shown;
} rows_reader;

static size_t row_bytes(const rows_reader *r, const shard *sh)
{
    return (size_t)r->pool->width * sluice_type_bytes(sh->type);
}

/* ---- the stage ---- */

static sluice_status show(rows_reader *r)
{
    const shard *sh = r->stage_shard;
    if (!r->staged) return SLUICE_OK;
    sluice_view x = sluice_rows(r->stage, sh->type, r->staged, r->pool->width);
    x.scale = sh->scale ? r->scale : NULL;
    sluice_status st = r->visit(r->s, r->user, r->shown, x);
    r->shown += r->staged;
    r->staged = 0;
    return st;
}

/* Stages the rows of a run, whose first row's bytes are at data. */
static sluice_status stage_run(rows_reader *r, const run *x, const uint8_t *data)
{
    sluice_status st = SLUICE_OK;
    if (r->stage_shard != x->sh) TRY(show(r));
    r->stage_shard = x->sh;
    size_t bytes = row_bytes(r, x->sh);
    for (int64_t i = x->begin; i < x->end; i++) {
        if (r->staged == r->stage_rows) TRY(show(r));
        size_t at = (size_t)(r->row[i] - r->row[x->begin]) * x->sh->stride;
        memcpy(r->stage + (size_t)r->staged * bytes, data + at, bytes);
        if (x->sh->scale) r->scale[r->staged] = x->sh->scale[r->row[i] - x->sh->first_row];
        r->staged++;
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

/* The next run: rows of one shard, near enough to be one read that fits a buffer. */
static void plan_run(rows_reader *r, run *x)
{
    const int64_t *row = r->row;
    x->begin = r->planned;
    x->sh = pool_shard_of(r->pool, row[x->begin]);
    int64_t i = x->begin + 1, shard_end = x->sh->first_row + x->sh->rows;
    size_t bytes = row_bytes(r, x->sh);
    for (; i < r->m && row[i] < shard_end; i++) {
        size_t step = (size_t)(row[i] - row[i - 1]), all = (size_t)(row[i] - row[x->begin]);
        if (step > 1 && (step - 1) * x->sh->stride > gap_bytes) break;
        if (!x->sh->memory && all * x->sh->stride + bytes > r->buffer_bytes) break;
    }
    x->end = r->planned = i;
}

static sluice_status start_run(rows_reader *r, run *x)
{
    sluice *s = r->s;
    sluice_status st = SLUICE_OK;
    const shard *sh = x->sh;
    if (!r->file || r->file->sh != sh) {
        shard_file *before = r->file;
        r->file = NULL;
        TRY(leave_file(s, before));
        TRY(shard_file_open(s, sh, &r->file));
    }
    int64_t first = r->row[x->begin], last = r->row[x->end - 1];
    x->job.fd = r->file->fd;
    x->job.direct = -1;
    x->job.to = x->buffer;
    x->job.offset = sh->offset + (uint64_t)(first - sh->first_row) * sh->stride;
    x->job.bytes = (size_t)(last - first) * sh->stride + row_bytes(r, sh);
    x->file = r->file;
    x->file->users++;
    r->engine->start(r->engine, &x->job);
out:
    return st;
}

static sluice_status finish_run(rows_reader *r, run *x)
{
    shard_file *f = x->file;
    x->file = NULL;
    r->engine->wait(r->engine, &x->job);
    sluice_status st = shard_file_result(r->s, f, &x->job);
    if (!st) st = stage_run(r, x, x->buffer);
    if (!st) return leave_file(r->s, f);
    shard_file_drop(f);
    return st;
}

/* Rows in memory take their turn in the ring as well: rows are shown in order. */
static sluice_status finish_oldest(rows_reader *r)
{
    run *x = &r->run[r->head];
    r->head = (r->head + 1) % r->runs;
    r->busy--;
    if (x->file) return finish_run(r, x);
    return stage_run(r, x,
                     x->sh->memory + x->sh->offset + (size_t)(r->row[x->begin] - x->sh->first_row) * x->sh->stride);
}

static sluice_status run_all(rows_reader *r)
{
    sluice *s = r->s;
    sluice_status st = SLUICE_OK;
    while (r->planned < r->m || r->busy) {
        if (__atomic_load_n(&s->cancelled, __ATOMIC_RELAXED)) FAIL(E_CANCELLED, "reading rows stopped before the end");
        if (r->busy == r->runs || r->planned == r->m) {
            TRY(finish_oldest(r));
            continue;
        }
        run *x = &r->run[(r->head + r->busy) % r->runs];
        plan_run(r, x);
        if (!x->sh->memory) TRY(start_run(r, x));
        r->busy++;
    }
    TRY(show(r));
    shard_file *newest = r->file;
    r->file = NULL;
    TRY(leave_file(s, newest));
out:
    return st;
}

/* ---- the call ---- */

static sluice_status check_rows(const rows_reader *r)
{
    for (int64_t i = 0; i < r->m; i++)
        if (r->row[i] < 0 || r->row[i] >= r->pool->rows || (i && r->row[i] <= r->row[i - 1]))
            return sluice_fail(r->s, SLUICE_E_INTERNAL, "row %lld is not in a pool of %lld, or not in order",
                               (long long)r->row[i], (long long)r->pool->rows);
    return SLUICE_OK;
}

static sluice_status prepare(rows_reader *r)
{
    sluice *s = r->s;
    sluice_status st = SLUICE_OK;
    size_t most = 1;
    bool files = false;
    for (int i = 0; i < r->pool->shard_count; i++) {
        const shard *sh = &r->pool->shards[i];
        size_t b = row_bytes(r, sh);
        if (b > most) most = b;
        files = files || !sh->memory;
    }
    TRY(check_rows(r));
    r->stage_rows = most < stage_bytes ? (int64_t)(stage_bytes / most) : 1;
    if (r->stage_rows > r->m) r->stage_rows = r->m;
    TRY_NEW(r->stage, mem_raw(s, r->stage_rows, most));
    TRY_NEW(r->scale, RAW(s, r->stage_rows, float));
    if (!files) return SLUICE_OK;
    r->buffer_bytes = run_bytes > most ? run_bytes : most;
    TRY_NEW(r->buffers, mem_raw(s, r->runs, r->buffer_bytes));
    for (int i = 0; i < r->runs; i++) r->run[i].buffer = r->buffers + (size_t)i * r->buffer_bytes;
    const char *want;
    TRY(read_path_wanted(s, &want));
    TRY(read_engine_open(s, want, &r->engine));
out:
    return st;
}

static void finish_all(rows_reader *r)
{
    for (int i = 0; i < RUNS; i++) {
        if (!r->run[i].file) continue;
        r->engine->wait(r->engine, &r->run[i].job);
        shard_file_drop(r->run[i].file);
    }
    shard_file_drop(r->file);
    if (r->engine) r->engine->close(r->engine);
    mem_free(r->buffers);
    mem_free(r->stage);
    mem_free(r->scale);
}

sluice_status rows_read(sluice *s, const sluice_pool *pool, const int64_t *rows, int64_t m, rows_visit *visit,
                        void *user, double *out_bytes)
{
    if (m == 0) return SLUICE_OK;
    sluice_status st = SLUICE_OK;
    rows_reader *r;
    TRY_NEW(r, NEW(s, 1, rows_reader));
    r->s = s, r->pool = pool, r->row = rows, r->m = m, r->visit = visit, r->user = user;
    r->runs = m < RUNS ? (int)m : RUNS;
    TRY(prepare(r));
    TRY(run_all(r));
    for (int64_t i = 0; out_bytes && i < m;) {
        const shard *sh = pool_shard_of(pool, rows[i]);
        for (; i < m && rows[i] < sh->first_row + sh->rows; i++) *out_bytes += (double)row_bytes(r, sh);
    }
out:
    if (r) finish_all(r);
    mem_free(r);
    return st;
}
