/* keyed.c - a csv of id,VALUE matched to the rows of a pool. */
#include "keyed.h"

#include <stdlib.h>
#include <string.h>

static int by_row(const void *a, const void *b)
{
    const keyed_entry *x = a, *y = b;
    if (x->row != y->row) return x->row < y->row ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

static sluice_status columns(sluice *s, const csv *c, const char *value, int *out_id, int *out_value)
{
    *out_id = csv_column(c, "id"), *out_value = csv_column(c, value);
    if (*out_id >= 0 && *out_value >= 0) return SLUICE_OK;
    sluice_status st = sluice_fail(s, SLUICE_E_FORMAT, "its header has no column '%s'", *out_id < 0 ? "id" : value);
    return sluice_hint(s, st, "the first line names the columns: id,%s", value);
}

/* Rows of all ids; the first id that is not in the pool is named, the others counted. */
static sluice_status find_rows(sluice *s, const sluice_pool *pool, const csv *c, int id, keyed_entry *entry)
{
    sluice_status st = SLUICE_OK;
    int64_t m = c->rows - 1, *row = NULL, unknown = 0, first = -1;
    const char **text = NULL;
    TRY_NEW(text, RAW(s, m, const char *));
    TRY_NEW(row, RAW(s, m, int64_t));
    for (int64_t i = 0; i < m; i++) text[i] = c->cell[i + 1][id];
    TRY(pool_find_texts(s, pool, text, m, row));
    for (int64_t i = 0; i < m; i++) {
        if (row[i] < 0 && !unknown++) first = i;
        entry[i].row = row[i], entry[i].line = c->line[i + 1];
    }
    if (unknown) {
        st = sluice_fail(s, SLUICE_E_DATA, "line %lld: id '%s' is not in the pool, nor are %lld others of %lld",
                         (long long)c->line[first + 1], text[first], (long long)unknown - 1, (long long)m);
        if (!pool->ids)
            sluice_hint(s, st, "the pool has no ids, so row numbers from 0 to %lld are ids: --ids FILE gives it some",
                        (long long)pool->rows - 1);
    }
out:
    mem_free(text), mem_free(row);
    return st;
}

sluice_status keyed_load(sluice *s, const sluice_pool *pool, const char *path, const char *value, keyed *out)
{
    sluice_status st = SLUICE_OK;
    keyed k = { 0 };
    int id, column;
    if ((st = csv_load(s, path, &k.csv)) != SLUICE_OK) return st; /* has named the file */
    TRY(columns(s, &k.csv, value, &id, &column));
    k.count = k.csv.rows - 1;
    TRY_NEW(k.entry, NEW(s, k.count, keyed_entry));
    for (int64_t i = 0; i < k.count; i++) k.entry[i].text = k.csv.cell[i + 1][column];
    TRY(find_rows(s, pool, &k.csv, id, k.entry));
    if (k.count) qsort(k.entry, (size_t)k.count, sizeof *k.entry, by_row);
    for (int64_t i = 1; i < k.count; i++)
        if (k.entry[i].row == k.entry[i - 1].row)
            FAIL(E_DATA, "lines %lld and %lld name the same row %lld of the pool", (long long)k.entry[i - 1].line,
                 (long long)k.entry[i].line, (long long)k.entry[i].row);
    *out = k, k = (keyed){ 0 };
out:
    keyed_release(&k);
    return st ? sluice_note(s, st, "cannot read '%s'", path) : SLUICE_OK;
}

void keyed_release(keyed *k)
{
    csv_release(&k->csv);
    mem_free(k->entry);
    *k = (keyed){ 0 };
}
