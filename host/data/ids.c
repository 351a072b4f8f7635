/* ids.c - ids of rows: texts, their 64-bit form, and the way back from an id to its row.
 *
 * All texts of a pool canonical integers (parse_canonical): id64 is the integer, the text is printed from it.  Else
 * id64 is XXH3-64 of the text.  Finding rows hashes the few ids asked for and passes once over the pool's ids: no index
 * over the pool is kept, which at 10^9 rows would cost more memory than a scan. */
#include "ids.h"
#include "formats.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- reading ---- */

/* All texts joined, zero-terminated each. */
typedef struct texts {
    char *text;
    int64_t used, room;
    int64_t *at;  /* [rows] */
    int64_t rows; /* so far */
} texts;

static sluice_status push_text(sluice *s, texts *t, const char *text)
{
    int64_t n = (int64_t)strlen(text) + 1;
    if (t->used + n > t->room) {
        int64_t room = 2 * t->room + n + 4096;
        char *more = mem_grow(s, t->text, room, 1);
        if (!more) return SLUICE_E_MEMORY;
        t->text = more, t->room = room;
    }
    memcpy(t->text + t->used, text, (size_t)n);
    t->at[t->rows++] = t->used;
    t->used += n;
    return SLUICE_OK;
}

static sluice_status check_count(sluice *s, const char *path, int64_t ids, int64_t rows)
{
    if (ids == rows) return SLUICE_OK;
    return sluice_fail(s, SLUICE_E_SHAPE, "'%s' holds %lld ids for %lld rows", path, (long long)ids, (long long)rows);
}

static sluice_status read_lines(sluice *s, const id_part *part, texts *t)
{
    sluice_status st = SLUICE_OK;
    line_list l = { 0 };
    TRY(lines_load(s, part->path, &l));
    TRY(check_count(s, part->path, l.count, part->rows));
    if (!t->used && !t->text)
        t->text = l.text, t->room = t->used = l.bytes + 1, l.text = NULL; /* no copy of the first */
    for (int64_t i = 0; i < l.count; i++) {
        if (!l.text) t->at[t->rows++] = l.at[i];
        else TRY(push_text(s, t, l.text + l.at[i]));
    }
out:
    lines_release(&l);
    return st;
}

static sluice_status read_csv(sluice *s, const id_part *part, texts *t)
{
    sluice_status st = SLUICE_OK;
    csv c = { 0 };
    TRY(csv_load(s, part->path, &c));
    int id = csv_column(&c, "id");
    if (id < 0) FAIL(E_FORMAT, "'%s' has no column 'id'", part->path);
    TRY(check_count(s, part->path, c.rows - 1, part->rows));
    for (int64_t r = 1; r < c.rows; r++) {
        if (!c.cell[r][id][0]) FAIL(E_FORMAT, "'%s' line %lld: the id is empty", part->path, (long long)c.line[r]);
        TRY(push_text(s, t, c.cell[r][id]));
    }
out:
    csv_release(&c);
    return st;
}

static sluice_status read_ints(sluice *s, const id_part *part, texts *t)
{
    sluice_status st = SLUICE_OK;
    int64_t *v = NULL, n = 0;
    bool wide = false;
    char text[24];
    TRY(ints_load(s, part->path, &v, &n, &wide));
    TRY(check_count(s, part->path, n, part->rows));
    for (int64_t i = 0; i < n; i++) {
        if (v[i] < 0 && !wide)
            FAIL(E_DATA, "'%s': the id of row %lld is %lld, ids begin at 0", part->path, (long long)i, (long long)v[i]);
        snprintf(text, sizeof text, "%" PRIu64, (uint64_t)v[i]);
        TRY(push_text(s, t, text));
    }
out:
    mem_free(v);
    return st;
}

static sluice_status read_part(sluice *s, const id_part *part, texts *t)
{
    if (path_ends(part->path, ".npy")) return read_ints(s, part, t);
    if (path_ends(part->path, ".csv")) return read_csv(s, part, t);
    return read_lines(s, part, t);
}

sluice_status ids_load(sluice *s, sluice_pool *pool, const id_part *parts, int count)
{
    sluice_status st = SLUICE_OK;
    texts t = { 0 };
    uint64_t *ids = NULL;
    bool integers = true;
    TRY_NEW(t.at, RAW(s, pool->rows, int64_t));
    TRY_NEW(ids, RAW(s, pool->rows, uint64_t));
    for (int i = 0; i < count; i++) TRY(read_part(s, &parts[i], &t));
    for (int64_t r = 0; r < t.rows && integers; r++) integers = parse_canonical(t.text + t.at[r], &ids[r]);
    for (int64_t r = 0; r < t.rows && !integers; r++) {
        const char *text = t.text + t.at[r];
        ids[r] = hash_bytes(text, strlen(text), 0);
    }
    pool->ids = ids, ids = NULL;
    if (!integers) pool->id_text = t.text, pool->id_at = t.at, t = (texts){ 0 };
    TRY(ids_check(s, pool));
out:
    mem_free(t.text), mem_free(t.at), mem_free(ids);
    return st;
}

/* ---- duplicates ---- */

/* Sorts in place by one bit after another, the highest first: n log n for spread keys, at most 64 passes for any. */
static void sort_u64(uint64_t *a, int64_t n, int bit)
{
    while (n > 24 && bit >= 0) {
        int64_t low = 0, high = n;
        while (low < high) {
            if (a[low] >> bit & 1) {
                uint64_t t = a[low];
                a[low] = a[--high];
                a[high] = t;
            } else low++;
        }
        sort_u64(a, low, --bit);
        a += low, n -= low;
    }
    for (int64_t i = 1; i < n; i++) {
        uint64_t x = a[i];
        int64_t j = i;
        for (; j > 0 && a[j - 1] > x; j--) a[j] = a[j - 1];
        a[j] = x;
    }
}

static sluice_status name_duplicate(sluice *s, const sluice_pool *pool, uint64_t id)
{
    int64_t row[2] = { 0, 0 };
    int seen = 0;
    for (int64_t r = 0; r < pool->rows && seen < 2; r++)
        if (pool->ids[r] == id) row[seen++] = r;
    if (!pool->id_text)
        return sluice_fail(s, SLUICE_E_DATA, "rows %lld and %lld have the same id %" PRIu64, (long long)row[0],
                           (long long)row[1], id);
    const char *a = pool->id_text + pool->id_at[row[0]], *b = pool->id_text + pool->id_at[row[1]];
    if (!strcmp(a, b))
        return sluice_fail(s, SLUICE_E_DATA, "rows %lld and %lld have the same id '%s'", (long long)row[0],
                           (long long)row[1], a);
    return sluice_fail(s, SLUICE_E_DATA, "rows %lld and %lld: ids '%s' and '%s' have the same 64-bit hash, rename one",
                       (long long)row[0], (long long)row[1], a, b);
}

sluice_status ids_check(sluice *s, const sluice_pool *pool)
{
    sluice_status st = SLUICE_OK;
    uint64_t *copy = NULL;
    int64_t n = pool->rows, up = 1;
    while (up < n && pool->ids[up - 1] < pool->ids[up]) up++;
    if (up >= n) return SLUICE_OK; /* ascending, as row-like ids are */
    TRY_NEW(copy, RAW(s, n, uint64_t));
    memcpy(copy, pool->ids, (size_t)n * sizeof *copy);
    sort_u64(copy, n, 63);
    for (int64_t i = 1; i < n && !st; i++)
        if (copy[i - 1] == copy[i]) st = name_duplicate(s, pool, copy[i]);
out:
    mem_free(copy);
    return st;
}

/* ---- finding ---- */

/* Open addressing from id64 to the row it has; row -1 until found. */
typedef struct wanted {
    uint64_t id;
    int64_t row;
    bool used;
} wanted;

static wanted *slot_of(wanted *table, uint64_t mask, uint64_t id)
{
    uint64_t at = (id * 0x9e3779b97f4a7c15u) >> 20;
    while (table[at & mask].used && table[at & mask].id != id) at++;
    return &table[at & mask];
}

sluice_status pool_find_ids(sluice *s, const sluice_pool *pool, const uint64_t *ids, int64_t m, int64_t *out_rows)
{
    if (!pool->ids) {
        for (int64_t i = 0; i < m; i++) out_rows[i] = ids[i] < (uint64_t)pool->rows ? (int64_t)ids[i] : -1;
        return SLUICE_OK;
    }
    int64_t size = 16, left = 0;
    while (size < 2 * m) size *= 2;
    wanted *table = NEW(s, size, wanted);
    if (!table) return SLUICE_E_MEMORY;
    uint64_t mask = (uint64_t)size - 1;
    for (int64_t i = 0; i < m; i++) {
        wanted *w = slot_of(table, mask, ids[i]);
        left += !w->used;
        *w = (wanted){ ids[i], -1, true };
    }
    for (int64_t r = 0; r < pool->rows && left; r++) {
        wanted *w = slot_of(table, mask, pool->ids[r]);
        if (w->used) w->row = r, left--; /* ids are unique */
    }
    for (int64_t i = 0; i < m; i++) out_rows[i] = slot_of(table, mask, ids[i])->row;
    mem_free(table);
    return SLUICE_OK;
}

sluice_status pool_find_texts(sluice *s, const sluice_pool *pool, const char *const *texts, int64_t m,
                              int64_t *out_rows)
{
    sluice_status st = SLUICE_OK;
    uint64_t *ids = NULL;
    TRY_NEW(ids, RAW(s, m, uint64_t));
    for (int64_t i = 0; i < m; i++) {
        ids[i] = UINT64_MAX;
        if (pool->id_text) ids[i] = hash_bytes(texts[i], strlen(texts[i]), 0);
        else parse_canonical(texts[i], &ids[i]);
    }
    TRY(pool_find_ids(s, pool, ids, m, out_rows));
    for (int64_t i = 0; i < m; i++) { /* a foreign text may share the hash, or be no integer at all */
        uint64_t v;
        if (out_rows[i] < 0) continue;
        if (pool->id_text ? strcmp(pool->id_text + pool->id_at[out_rows[i]], texts[i]) != 0
                          : !parse_canonical(texts[i], &v))
            out_rows[i] = -1;
    }
out:
    mem_free(ids);
    return st;
}

int64_t pool_find(sluice *s, const sluice_pool *pool, const char *id)
{
    int64_t row;
    return pool_find_texts(s, pool, &id, 1, &row) ? -1 : row;
}

/* ---- public ---- */

uint64_t sluice_pool_id64(const sluice_pool *pool, int64_t row) { return pool->ids ? pool->ids[row] : (uint64_t)row; }

size_t sluice_pool_id_text(const sluice_pool *pool, int64_t row, char *buf, size_t size)
{
    if (pool->id_text) {
        int n = snprintf(buf, size, "%s", pool->id_text + pool->id_at[row]);
        return n < 0 ? 0 : (size_t)n;
    }
    return (size_t)snprintf(buf, size, "%" PRIu64, sluice_pool_id64(pool, row));
}
