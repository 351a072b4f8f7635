/* scan_state.c - see scan_state.h.
 *
 *     rows of the pool, bytes read
 *     ranges of rows that are done: count, then first and end of each
 *     rows without a score: count, how many are listed, these
 *     strategies: count; of each  first score, whether scores vary, rows with a score
 *     tops: 0 or count; of each  entries: count, then key, tag, id, row of each, in the total order
 *
 * Integers of 64 bits, but key, tag, first score and the flag, of 32, little endian.  Hashes are not kept: they follow
 * from seed and id. */
#include "scan_state.h"
#include "exact.h"
#include "pack.h"

#include <string.h>

enum { ENTRY_BYTES = 4 + 4 + 8 + 8, SEEN_BYTES = 4 + 4 + 8 };

sluice_status scan_state_init(sluice *s, scan_state *v, int64_t rows, int count, candidates *tops)
{
    *v = (scan_state){ .rows = rows, .count = count, .tops = tops, .seen = NEW(s, count, seen) };
    return v->seen ? SLUICE_OK : SLUICE_E_MEMORY;
}

void scan_state_release(scan_state *v)
{
    spans_release(&v->done);
    mem_free(v->seen);
    *v = (scan_state){ 0 };
}

/* ---- what single rows add ---- */

/* Mostly the row is behind all others. */
void quarantine_add(quarantine *q, int64_t row)
{
    int64_t n = q->count < QUARANTINE_LISTED ? q->count : QUARANTINE_LISTED, at = n;
    q->count++;
    while (at > 0 && q->row[at - 1] > row) at--;
    if (at == QUARANTINE_LISTED) return;
    if (n == QUARANTINE_LISTED) n--;
    memmove(q->row + at + 1, q->row + at, (size_t)(n - at) * sizeof *q->row);
    q->row[at] = row;
}

/* Once it varies nothing else matters, and equal states shall have equal bytes. */
static void vary(seen *v) { *v = (seen){ .varies = true }; }

void seen_add(seen *v, const float *score, int64_t n)
{
    for (int64_t i = 0; i < n && !v->varies; i++) {
        if (score[i] != score[i]) continue;
        if (v->rows++ == 0) v->first = score[i] + 0.0f; /* -0 equals 0 */
        if (score[i] != v->first) vary(v);
    }
}

/* ---- bytes ---- */

static size_t packed_bytes(const scan_state *v)
{
    size_t listed = (size_t)(v->bad.count < QUARANTINE_LISTED ? v->bad.count : QUARANTINE_LISTED);
    size_t bytes = 8 * (7 + 2 * (size_t)v->done.count + listed) + (size_t)v->count * SEEN_BYTES;
    for (int i = 0; v->tops && i < v->count; i++) bytes += 8 + (size_t)v->tops[i].top.count * ENTRY_BYTES;
    return bytes;
}

static void put_rows(packer *p, const scan_state *v)
{
    int64_t listed = v->bad.count < QUARANTINE_LISTED ? v->bad.count : QUARANTINE_LISTED;
    put_i64(p, v->rows), put_i64(p, v->bytes);
    put_i64(p, v->done.count);
    for (int64_t i = 0; i < v->done.count; i++) put_i64(p, v->done.at[i].first), put_i64(p, v->done.at[i].end);
    put_i64(p, v->bad.count), put_i64(p, listed);
    for (int64_t i = 0; i < listed; i++) put_i64(p, v->bad.row[i]);
}

static void put_top(packer *p, const sluice_entry *e, int64_t n)
{
    put_i64(p, n);
    for (int64_t i = 0; i < n; i++)
        put_u32(p, e[i].key), put_u32(p, e[i].tag), put_i64(p, (int64_t)e[i].id), put_i64(p, e[i].row);
}

/* With balance entries stand by turns; a copy is sorted. */
static sluice_status put_tops(sluice *s, packer *p, const scan_state *v)
{
    put_i64(p, v->tops ? v->count : 0);
    for (int i = 0; v->tops && i < v->count; i++) {
        const sluice_top_state *top = &v->tops[i].top;
        sluice_entry *e = RAW(s, top->count, sluice_entry);
        if (!e) return SLUICE_E_MEMORY;
        if (top->count) memcpy(e, top->entries, (size_t)top->count * sizeof *e);
        entries_sort(e, top->count);
        put_top(p, e, top->count);
        mem_free(e);
    }
    return SLUICE_OK;
}

sluice_status scan_state_pack(sluice *s, scan_state *v, void **out_bytes, size_t *out_size)
{
    sluice_status st = SLUICE_OK;
    packer p = { 0 };
    for (int i = 0; v->tops && i < v->count; i++) TRY(candidates_settle(s, &v->tops[i]));
    p.size = packed_bytes(v);
    TRY_NEW(p.data, RAW(s, (int64_t)p.size, uint8_t));
    put_rows(&p, v);
    put_i64(&p, v->count);
    for (int i = 0; i < v->count; i++)
        put_u32(&p, ex_bits(v->seen[i].first)), put_u32(&p, v->seen[i].varies), put_i64(&p, v->seen[i].rows);
    TRY(put_tops(s, &p, v));
    *out_bytes = p.data, *out_size = p.used;
    p.data = NULL;
out:
    mem_free(p.data);
    return st;
}

/* ---- and back ---- */

static sluice_status malformed(sluice *s, const char *what)
{
    return sluice_fail(s, SLUICE_E_FORMAT, "the state of the scan is damaged: %s", what);
}

static sluice_status merge_done(sluice *s, scan_state *v, unpacker *u, spans *theirs)
{
    sluice_status st = SLUICE_OK;
    int64_t n = take_count(u, 16), last = -1;
    for (int64_t i = 0; i < n; i++) {
        span x = { take_i64(u), take_i64(u) };
        if (x.first <= last || x.end <= x.first || x.end > v->rows)
            return malformed(s, "ranges of rows are out of order or outside the pool");
        if (spans_meet(&v->done, x))
            return sluice_fail(s, SLUICE_E_DATA, "rows %lld to %lld are there twice", (long long)x.first,
                               (long long)x.end - 1);
        TRY(spans_add(s, theirs, x));
        TRY(spans_add(s, &v->done, x));
        last = x.end;
    }
out:
    return st;
}

static sluice_status merge_bad(sluice *s, scan_state *v, unpacker *u, const spans *theirs)
{
    int64_t count = take_i64(u), listed = take_count(u, 8), last = -1;
    if (count < 0 || count > spans_rows(theirs) || listed != (count < QUARANTINE_LISTED ? count : QUARANTINE_LISTED))
        return malformed(s, "its count of rows without a score");
    for (int64_t i = 0; i < listed; i++) {
        int64_t row = take_i64(u);
        if (row <= last || !spans_hold(theirs, row)) return malformed(s, "its rows without a score");
        quarantine_add(&v->bad, row);
        last = row;
    }
    v->bad.count += count - listed;
    return SLUICE_OK;
}

static sluice_status merge_seen(sluice *s, scan_state *v, unpacker *u, const spans *theirs)
{
    if (take_i64(u) != v->count) return malformed(s, "its number of strategies");
    for (int i = 0; i < v->count; i++) {
        seen x = { .first = ex_float(take_u32(u)) }, *mine = &v->seen[i];
        x.varies = take_u32(u) != 0;
        x.rows = take_i64(u);
        if (x.rows < 0 || x.rows > spans_rows(theirs) || (x.varies && x.rows)) return malformed(s, "its scored rows");
        if (x.varies || (x.rows && mine->rows && x.first != mine->first)) vary(mine);
        if (mine->varies || !x.rows) continue;
        mine->first = x.first;
        mine->rows += x.rows;
    }
    return SLUICE_OK;
}

/* An entry that the scan could have put there. */
static bool possible(const candidates *c, const sluice_pool *pool, const uint64_t *skip, const spans *theirs,
                     const sluice_entry *e)
{
    bool tagged = c->rules.classes ? e->tag >= 1 && e->tag <= (uint32_t)c->rules.classes : e->tag == 0;
    return tagged && e->key != 0 && spans_hold(theirs, e->row) && e->id == sluice_pool_id64(pool, e->row) &&
           !(skip && skip[e->row / 64] >> (e->row % 64) & 1);
}

static sluice_status merge_top(sluice *s, candidates *c, const sluice_pool *pool, const uint64_t *skip,
                               const spans *theirs, unpacker *u)
{
    int64_t n = take_count(u, ENTRY_BYTES);
    sluice_entry last = { 0 };
    for (int64_t i = 0; i < n; i++) {
        sluice_entry e = { .key = take_u32(u) };
        e.tag = take_u32(u), e.id = (uint64_t)take_i64(u), e.row = take_i64(u);
        if (!possible(c, pool, skip, theirs, &e)) return malformed(s, "a candidate that is no row of its own");
        e.hash = ex_hash64(c->rules.seed, e.id);
        if (i > 0 && !entry_before(&last, &e)) return malformed(s, "its candidates are out of order");
        sluice_status st = candidates_offer(s, c, &e);
        if (st) return st;
        last = e;
    }
    return SLUICE_OK;
}

sluice_status scan_state_merge(sluice *s, scan_state *v, const sluice_pool *pool, const uint64_t *skip,
                               const void *bytes, size_t size)
{
    sluice_status st = SLUICE_OK;
    unpacker u = { .data = bytes, .size = size };
    spans theirs = { 0 };
    if (take_i64(&u) != v->rows) FAIL(E_FORMAT, "the state is of a pool of another number of rows");
    int64_t read = take_i64(&u), sum;
    if (read < 0 || __builtin_add_overflow(v->bytes, read, &sum)) return malformed(s, "its bytes read");
    v->bytes = sum;
    TRY(merge_done(s, v, &u, &theirs));
    TRY(merge_bad(s, v, &u, &theirs));
    TRY(merge_seen(s, v, &u, &theirs));
    int64_t tops = take_i64(&u);
    if (tops != (v->tops ? v->count : 0)) TRY(malformed(s, "its number of tops"));
    for (int i = 0; i < tops; i++) TRY(merge_top(s, &v->tops[i], pool, skip, &theirs, &u));
    if (u.broken || u.used != u.size) st = malformed(s, "it ends too early or too late");
out:
    spans_release(&theirs);
    return st;
}

/* ---- checkpoints ---- */

sluice_status scan_state_keep(sluice *s, scan_state *v, const checkpoint *c)
{
    void *bytes;
    size_t size;
    sluice_status st = scan_state_pack(s, v, &bytes, &size);
    if (st) return st;
    st = checkpoint_write(s, c, bytes, size);
    mem_free(bytes);
    return st;
}

sluice_status scan_state_go_on(sluice *s, scan_state *v, const checkpoint *c, bool fresh, const sluice_pool *pool,
                               const uint64_t *skip)
{
    sealed f = { 0 };
    bool found;
    if (fresh) checkpoint_remove(c);
    sluice_status st = checkpoint_load(s, c, &f, &found);
    if (st || !found) return st;
    st = scan_state_merge(s, v, pool, skip, f.body, f.bytes);
    if (st) st = sluice_hint(s, sluice_note(s, st, "'%s'", c->path), "--fresh starts over");
    else
        log_line(s, SLUICE_INFO, "'%s' knows %lld of %lld rows: going on from there", c->path,
                 (long long)spans_rows(&v->done), (long long)v->rows);
    sealed_release(&f);
    return st;
}
