/* round_robin.c - Cluster-Margin: the candidates of smallest margin, shared out over the cells they lie in.  Citovsky et
 * al., "Batch active learning at scale", NeurIPS 2021.
 *
 * The paper's clusters, average linkage over the whole pool, cost its square; here they are k-means cells of the reference
 * sample, one for every 40 of its rows.  A candidate belongs to the nearest centroid, the lower number among equals.  Cells
 * take turns, those with fewer candidates first, then the lower number; each gives its first open candidate in the order
 * of their hashes (the paper: one at random), until k are picked.  A pick's score is the filter's. */
#include "batch.h"
#include "exact.h"
#include "kmeans.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_PER_CELL = 40 };

typedef struct cell {
    int64_t number, first, end; /* candidates list[first .. end) */
} cell;

static sluice_status find_cells(sluice *s, const batch *b, const kmeans *q, int32_t *out_cell)
{
    float *distance = RAW(s, b->n, float);
    if (!distance) return SLUICE_E_MEMORY;
    sluice_status st = nearest_rows(s, b->x, b->n, q->centroid, q->cells, b->d, 1, distance, out_cell);
    mem_free(distance);
    return st;
}

/* Candidates by their cells, each cell's in ascending order. */
static void list_cells(const int32_t *of, int64_t n, cell *cells, int64_t count, int64_t *list)
{
    for (int64_t i = 0; i < n; i++) cells[of[i]].end++;
    for (int64_t c = 0, at = 0; c < count; c++) {
        int64_t size = cells[c].end;
        cells[c] = (cell){ .number = c, .first = at, .end = at };
        at += size;
    }
    for (int64_t i = 0; i < n; i++) list[cells[of[i]].end++] = i;
}

static int by_size(const void *x, const void *y)
{
    const cell *a = x, *b = y;
    int64_t p = a->end - a->first, q = b->end - b->first;
    if (p != q) return p < q ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

/* A row that is closed for good is never looked at again; one that waits for its class is. */
static int64_t next_of(const batch *b, cell *c, const int64_t *list)
{
    while (c->first < c->end && b->open[list[c->first]] == 0) c->first++;
    for (int64_t j = c->first; j < c->end; j++)
        if (b->open[list[j]] == 1) return list[j];
    return -1;
}

static void share_out(batch *b, cell *cells, int64_t count, const int64_t *list)
{
    for (bool any = true; any && !batch_full(b);) {
        any = false;
        for (int64_t c = 0; c < count && !batch_full(b); c++) {
            int64_t i = next_of(b, &cells[c], list);
            if (i < 0) continue;
            batch_take(b, i, ex_order_score(b->entry[i].key));
            any = true;
        }
    }
}

sluice_status rule_round_robin(sluice *s, batch *b)
{
    sluice_status st = SLUICE_OK;
    int64_t count = b->r / ROWS_PER_CELL > 1 ? b->r / ROWS_PER_CELL : 1, *list = NULL;
    kmeans q = {
        .x = b->sample, .n = b->r, .d = b->d, .entry = b->drawn, .cells = count, .seed = b->seed, .labelled = b->round
    };
    int32_t *of = NULL;
    cell *cells = NULL;
    if (b->k == 0) return SLUICE_OK;
    TRY_NEW(of, NEW(s, b->n, int32_t));
    TRY_NEW(list, RAW(s, b->n, int64_t));
    TRY_NEW(cells, NEW(s, count, cell));
    if (b->r) TRY(kmeans_run(s, &q));
    if (b->r) TRY(find_cells(s, b, &q, of));
    list_cells(of, b->n, cells, count, list);
    qsort(cells, (size_t)count, sizeof *cells, by_size);
    share_out(b, cells, count, list);
out:
    kmeans_release(&q), mem_free(of), mem_free(list), mem_free(cells);
    return st;
}
