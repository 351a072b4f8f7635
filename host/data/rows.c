/* rows.c - lists of rows to leave out, and groups of rows. */
#include "formats.h"
#include "keyed.h"
#include "pool.h"

#include <stdlib.h>
#include <string.h>

/* ---- rows by id ---- */

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Ascending, each once. */
static int64_t unique(int64_t *row, int64_t n)
{
    int64_t kept = 0;
    if (n) qsort(row, (size_t)n, sizeof *row, by_value);
    for (int64_t i = 0; i < n; i++)
        if (!i || row[i] != row[i - 1]) row[kept++] = row[i];
    return kept;
}

/* Rows of texts; line[i] is the line of text i, NULL: i + 1. */
static sluice_status rows_of(sluice *s, const sluice_pool *pool, const char *const *text, const int64_t *line,
                             int64_t m, int64_t *row)
{
    sluice_status st = pool_find_texts(s, pool, text, m, row);
    for (int64_t i = 0; i < m && !st; i++)
        if (row[i] < 0)
            st = sluice_fail(s, SLUICE_E_DATA, "line %lld: id '%s' is not in the pool",
                             (long long)(line ? line[i] : i + 1), text[i]);
    return st;
}

static sluice_status rows_csv(sluice *s, const sluice_pool *pool, const char *path, int64_t **row, int64_t *out_count)
{
    sluice_status st = SLUICE_OK;
    csv c = { 0 };
    const char **text = NULL;
    if ((st = csv_load(s, path, &c)) != SLUICE_OK) return st; /* has named the file */
    int id = csv_column(&c, "id");
    if (id < 0) {
        st = sluice_fail(s, SLUICE_E_FORMAT, "its header has no column 'id'");
        sluice_hint(s, st, "the first line names the columns, a plain list of ids ends in .txt");
        goto out;
    }
    *out_count = c.rows - 1;
    TRY_NEW(*row, RAW(s, *out_count, int64_t));
    TRY_NEW(text, RAW(s, *out_count, const char *));
    for (int64_t i = 0; i < *out_count; i++) text[i] = c.cell[i + 1][id];
    TRY(rows_of(s, pool, text, c.line + 1, *out_count, *row));
out:
    mem_free(text);
    csv_release(&c);
    return st ? sluice_note(s, st, "cannot read '%s'", path) : SLUICE_OK;
}

static sluice_status rows_lines(sluice *s, const sluice_pool *pool, const char *path, int64_t **row, int64_t *out_count)
{
    sluice_status st = SLUICE_OK;
    line_list l = { 0 };
    const char **text = NULL;
    if ((st = lines_load(s, path, &l)) != SLUICE_OK) return st; /* has named the file */
    *out_count = l.count;
    TRY_NEW(*row, RAW(s, l.count, int64_t));
    TRY_NEW(text, RAW(s, l.count, const char *));
    for (int64_t i = 0; i < l.count; i++) text[i] = l.text + l.at[i];
    TRY(rows_of(s, pool, text, NULL, l.count, *row));
out:
    mem_free(text);
    lines_release(&l);
    return st ? sluice_note(s, st, "cannot read '%s'", path) : SLUICE_OK;
}

/* id64 values, as picks.npy holds them. */
static sluice_status rows_ints(sluice *s, const sluice_pool *pool, const char *path, int64_t **row, int64_t *out_count)
{
    sluice_status st = SLUICE_OK;
    int64_t *v = NULL;
    bool wide = false;
    TRY(ints_load(s, path, &v, out_count, &wide));
    TRY_NEW(*row, RAW(s, *out_count, int64_t));
    TRY(pool_find_ids(s, pool, (const uint64_t *)v, *out_count, *row));
    for (int64_t i = 0; i < *out_count; i++) {
        if ((*row)[i] >= 0 && (wide || v[i] >= 0)) continue;
        if (wide)
            FAIL(E_DATA, "cannot read '%s': entry %lld: id %llu is not in the pool", path, (long long)i,
                 (unsigned long long)v[i]);
        FAIL(E_DATA, "cannot read '%s': entry %lld: id %lld is not in the pool", path, (long long)i, (long long)v[i]);
    }
out:
    mem_free(v);
    return st;
}

sluice_status rows_load(sluice *s, const sluice_pool *pool, const char *path, int64_t **out_rows, int64_t *out_count)
{
    int64_t *row = NULL, n = 0;
    sluice_status st = path_ends(path, ".csv")   ? rows_csv(s, pool, path, &row, &n)
                       : path_ends(path, ".npy") ? rows_ints(s, pool, path, &row, &n)
                                                 : rows_lines(s, pool, path, &row, &n);
    if (st) {
        mem_free(row);
        return st;
    }
    *out_count = unique(row, n);
    *out_rows = row;
    return SLUICE_OK;
}

/* ---- groups ---- */

static int by_text(const void *a, const void *b)
{
    const keyed_entry *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : x->row < y->row ? -1 : 1;
}

sluice_status groups_load(sluice *s, const sluice_pool *pool, const char *path, int32_t **out_group)
{
    sluice_status st = SLUICE_OK;
    keyed k = { 0 };
    int32_t *group = NULL, index = -1;
    TRY(keyed_load(s, pool, path, "group", &k));
    TRY_NEW(group, RAW(s, pool->rows, int32_t));
    for (int64_t r = 0; r < pool->rows; r++) group[r] = -1;
    if (k.count) qsort(k.entry, (size_t)k.count, sizeof *k.entry, by_text);
    for (int64_t i = 0; i < k.count; i++) {
        if (!k.entry[i].text[0]) continue; /* an empty cell: in no group */
        if (index < 0 || strcmp(k.entry[i - 1].text, k.entry[i].text)) {
            if (index == INT32_MAX) FAIL(E_DATA, "'%s' names more than %d groups", path, INT32_MAX);
            index++;
        }
        group[k.entry[i].row] = index;
    }
    *out_group = group, group = NULL;
out:
    mem_free(group);
    keyed_release(&k);
    return st;
}
