/* plan.c - see plan.h.
 *
 * Two short reads of other rows: one that only reads gives the storage's rate, one that scores what it reads gives the
 * scan's.  Each is a window in every third of the pool, and is over after PROBE_S seconds. */
#include "plan.h"
#include "lane.h"
#include "pool_scan.h"
#include "reader.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

enum { WINDOWS = 3, PROBE_BYTES = 192 << 20 };
static const double probe_s = 0.5;

typedef struct probe {
    lane *lane;   /* NULL: only read */
    float *score; /* [rows of a block] */
    uint8_t *bad; /* [rows of a block] */
    int64_t rows; /* done */
    double bytes, seconds;
    double buffers; /* bytes of the reader's */
} probe;

static sluice_status score_block(sluice *s, probe *p, sluice_view x)
{
    source_out out = { .bad = p->bad };
    if (!p->lane) return SLUICE_OK;
    if (p->lane->src.classes) out.scores.margin = p->score;
    return lane_score(s, p->lane, x, &out);
}

static sluice_status run_window(sluice *s, const sluice_pool *pool, probe *p, int64_t first, int64_t rows)
{
    sluice_status st = SLUICE_OK;
    reader *r = NULL;
    double began = clock_seconds();
    reader_plan plan = { .first_row = first, .rows = rows, .mem_bytes = reader_share(s), .max_rows = BLOCK_ROWS };
    if (rows == 0) return SLUICE_OK;
    TRY(reader_open(s, pool, &plan, &r));
    p->buffers = (double)reader_memory(r);
    if (p->lane && !p->bad) {
        TRY_NEW(p->score, RAW(s, reader_block_rows(r), float));
        TRY_NEW(p->bad, RAW(s, reader_block_rows(r), uint8_t));
    }
    for (bool end = false; clock_seconds() - began < probe_s / WINDOWS;) {
        block b;
        TRY(reader_next(s, r, &b, &end));
        if (end) break;
        st = score_block(s, p, b.view);
        p->rows += b.rows;
        reader_done(r, &b);
        if (st) goto out;
    }
    p->bytes += reader_bytes(r);
    p->seconds += clock_seconds() - began;
out:
    reader_close(r);
    return st;
}

/* The first or the second half of every window. */
static sluice_status run_probe(sluice *s, const sluice_pool *pool, probe *p, int half)
{
    sluice_status st = SLUICE_OK;
    int64_t row = pool->width * (int64_t)sluice_type_bytes(pool->shard_count ? pool->shards[0].type : SLUICE_F32);
    int64_t third = pool->rows / WINDOWS, rows = PROBE_BYTES / WINDOWS / (row ? row : 1) / 2;
    if (rows < 1) rows = 1;
    if (rows > third / 2) rows = third / 2;
    for (int i = 0; i < WINDOWS; i++) TRY(run_window(s, pool, p, i * third + half * rows, rows));
out:
    return st;
}

static sluice_status measure(sluice *s, const plan_facts *f, sluice_plan *out)
{
    sluice_status st = SLUICE_OK;
    lane l = { 0 };
    probe reads = { 0 }, scores = { .lane = &l };
    TRY(run_probe(s, f->src->pool, &reads, 0));
    TRY(lane_open(s, &l, f->src, 0));
    TRY(run_probe(s, f->src->pool, &scores, 1));
    if (reads.seconds > 0) out->read_rate = reads.bytes / reads.seconds;
    if (scores.seconds > 0) out->scan_rate = (double)scores.rows / scores.seconds;
    out->memory += reads.buffers;
    if (l.device) out->devices = s->devices, out->device_memory = 2 * LANES_EACH * reads.buffers;
out:
    lane_close(s, &l);
    mem_free(scores.score);
    mem_free(scores.bad);
    return st;
}

sluice_status sluice_pool_rate(sluice *s, const sluice_pool *pool, double *out_bytes_per_s)
{
    probe p = { 0 };
    bool files = false;
    for (int i = 0; i < pool->shard_count; i++) files = files || !pool->shards[i].memory;
    *out_bytes_per_s = 0;
    if (!files) return SLUICE_OK;
    sluice_status st = run_probe(s, pool, &p, 0);
    if (!st && p.seconds > 0) *out_bytes_per_s = p.bytes / p.seconds;
    return st;
}

/* ---- what there is ---- */

static double disk_free(const char *out)
{
    char folder[4096];
    const char *base = path_base(out);
    struct statvfs v;
    snprintf(folder, sizeof folder, "%.*s.", (int)(base - out), out);
    return statvfs(folder, &v) ? -1 : (double)v.f_bavail * (double)v.f_frsize;
}

static sluice_status check(sluice *s, const plan_facts *f, const sluice_plan *p)
{
    if (p->memory > p->memory_free)
        return sluice_fail(s, SLUICE_E_MEMORY, "this needs %.0f bytes of memory, %.0f can be had", p->memory,
                           p->memory_free);
    if (p->disk_free >= 0 && p->written > p->disk_free)
        return sluice_fail(s, SLUICE_E_WRITE, "'%s' needs %.0f bytes, its disk has %.0f left", f->out, p->written,
                           p->disk_free);
    return SLUICE_OK;
}

double plan_ids_bytes(const sluice_pool *pool)
{
    double bytes = pool->ids ? (double)pool->rows * sizeof *pool->ids : 0;
    if (pool->id_at && pool->rows)
        bytes += (double)pool->rows * sizeof *pool->id_at + (double)pool->id_at[pool->rows - 1];
    return bytes;
}

sluice_status plan_make(sluice *s, const plan_facts *f, sluice_plan *out)
{
    sluice_status st = SLUICE_OK;
    sluice_plan p = { .rows = f->scanned, .gathered = f->gathered, .passes = f->scanned > 0, .written = f->written };
    sluice_pool_info info;
    sluice_pool_get_info(f->src->pool, &info);
    double row = info.rows ? info.bytes / (double)info.rows : 0;
    p.bytes = row * (double)f->scanned, p.gathered_bytes = row * (double)f->gathered;
    p.memory = f->memory + plan_ids_bytes(f->pool);
    p.memory_free = (double)memory_available();
    p.disk_free = f->out ? disk_free(f->out) : -1;
    TRY(check(s, f, &p)); /* before anything is read */
    TRY(measure(s, f, &p));
    TRY(check(s, f, &p));
    if (p.scan_rate > 0) p.seconds += (double)f->scanned / p.scan_rate;
    if (p.read_rate > 0) p.seconds += p.gathered_bytes / p.read_rate;
    *out = p;
out:
    return st;
}
