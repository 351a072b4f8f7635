/* farthest.c - see farthest.h.
 *
 * The largest of all distances as they stand is looked for.  Where it is up to date it is the answer; else it and the others
 * not far below it see the picks that they have missed, and so on.  Candidates stand in blocks with a bound each, so that
 * most are passed over. */
#include "farthest.h"

#include "exact.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 256, CHUNK_FLOATS = 1 << 17 /* half a megabyte: they stay in cache while picks pass over them */ };
static const float near_largest = 1 - 0x1p-9f; /* of the largest: what is measured along with it */

/* A row that has missed some picks. */
typedef struct waiting {
    int64_t row;
    int32_t seen;
} waiting;

static int64_t blocks_of(const farthest *f) { return (f->b->n + BLOCK - 1) / BLOCK; }

static int64_t end_of(const farthest *f, int64_t block)
{
    int64_t end = (block + 1) * BLOCK;
    return end < f->b->n ? end : f->b->n;
}

/* ---- measuring ---- */

/* Rows x [n, d] see the picks from `first` on, or from first + from[i] on. */
static sluice_status relax(sluice *s, const farthest *f, const float *x, int64_t n, int64_t first, const int32_t *from,
                           float *distance)
{
    int64_t d = f->b->d, count = f->b->picked - first;
    if (count < 1) return SLUICE_OK;
    return sluice_op_relax(s, &(sluice_op_relax_args){ .x = sluice_rows(x, SLUICE_F32, n, d),
                                                       .y = f->pick + first * d,
                                                       .count = count,
                                                       .from = from,
                                                       .distance = distance });
}

static int by_seen(const void *x, const void *y)
{
    const waiting *a = x, *b = y;
    if (a->seen != b->seen) return a->seen < b->seen ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

/* Side by side, those that have missed most first. */
static sluice_status measure_apart(sluice *s, farthest *f, int64_t n)
{
    const batch *b = f->b;
    qsort(f->list, (size_t)n, sizeof *f->list, by_seen);
    int32_t first = f->list[0].seen;
    for (int64_t j = 0; j < n; j++) {
        memcpy(f->x + j * b->d, b->x + f->list[j].row * b->d, (size_t)b->d * sizeof *f->x);
        f->near[j] = f->distance[f->list[j].row], f->from[j] = f->list[j].seen - first;
    }
    sluice_status st = relax(s, f, f->x, n, first, f->from, f->near);
    for (int64_t j = 0; j < n && !st; j++) f->distance[f->list[j].row] = f->near[j];
    return st;
}

/* Whether the n rows follow each other and have missed the same picks. */
static bool in_place(const waiting *list, int64_t n)
{
    if (list[n - 1].row - list[0].row != n - 1) return false;
    for (int64_t j = 1; j < n; j++)
        if (list[j].seen != list[0].seen) return false;
    return true;
}

/* The n listed rows, ascending, see all picks. */
static sluice_status catch_up(sluice *s, farthest *f, int64_t n)
{
    int64_t first = f->list[0].row, had = f->list[0].seen;
    for (int64_t j = 0; j < n; j++) f->seen[f->list[j].row] = (int32_t)f->b->picked;
    if (!in_place(f->list, n)) return measure_apart(s, f, n);
    return relax(s, f, f->b->x + first * f->b->d, n, had, NULL, f->distance + first);
}

/* ---- choosing ---- */

static void find_bound(farthest *f, int64_t block)
{
    float bound = -1;
    for (int64_t i = block * BLOCK; i < end_of(f, block); i++)
        if (f->b->open[i] && f->distance[i] > bound) bound = f->distance[i];
    f->bound[block] = bound;
}

/* All that are not below least. */
static sluice_status catch_up_from(sluice *s, farthest *f, float least)
{
    sluice_status st = SLUICE_OK;
    int64_t n = 0;
    for (int64_t block = 0; block < blocks_of(f); block++) {
        if (f->bound[block] < least) continue;
        for (int64_t i = block * BLOCK; i < end_of(f, block); i++) {
            if (f->distance[i] < least || f->seen[i] == f->b->picked || !f->b->open[i]) continue;
            f->list[n++] = (waiting){ i, f->seen[i] };
            if (n < f->chunk) continue;
            TRY(catch_up(s, f, n));
            n = 0;
        }
    }
    if (n) TRY(catch_up(s, f, n));
    for (int64_t block = 0; block < blocks_of(f); block++)
        if (f->bound[block] >= least) find_bound(f, block);
out:
    return st;
}

static int64_t largest(const farthest *f)
{
    const batch *b = f->b;
    int64_t best = -1;
    for (int64_t block = 0; block < blocks_of(f); block++) {
        if (best >= 0 && f->bound[block] <= f->distance[best]) continue;
        for (int64_t i = block * BLOCK; i < end_of(f, block); i++)
            if (b->open[i] == 1 && (best < 0 || f->distance[i] > f->distance[best])) best = i;
    }
    return best;
}

/* Rows of picks made since the last time. */
static void copy_picks(farthest *f)
{
    const batch *b = f->b;
    for (; f->picked < b->picked; f->picked++)
        memcpy(f->pick + f->picked * b->d, b->x + b->pick[f->picked] * b->d, (size_t)b->d * sizeof *f->pick);
}

sluice_status farthest_find(sluice *s, farthest *f, int64_t *out_row)
{
    sluice_status st = SLUICE_OK;
    int64_t had = f->picked;
    copy_picks(f);
    if (f->whole) {
        TRY(relax(s, f, f->b->x, f->b->n, had, NULL, f->distance));
        *out_row = batch_best(f->b, f->distance);
        return SLUICE_OK;
    }
    while ((*out_row = largest(f)) >= 0 && f->seen[*out_row] < f->b->picked)
        TRY(catch_up_from(s, f, f->distance[*out_row] * near_largest));
out:
    return st;
}

/* ---- life ---- */

sluice_status farthest_open(sluice *s, farthest *f, const batch *b)
{
    sluice_status st = SLUICE_OK;
    size_t row = (size_t)(b->d ? b->d : 1);
    *f = (farthest){ .b = b, .chunk = CHUNK_FLOATS / (int64_t)row + 1, .whole = s->backend->alloc != NULL };
    TRY_NEW(f->distance, RAW(s, b->n, float));
    TRY_NEW(f->seen, NEW(s, b->n, int32_t));
    TRY_NEW(f->bound, RAW(s, blocks_of(f), float));
    TRY_NEW(f->list, RAW(s, f->chunk, waiting));
    TRY_NEW(f->x, mem_raw(s, f->chunk, row * sizeof *f->x));
    TRY_NEW(f->near, RAW(s, f->chunk, float));
    TRY_NEW(f->from, RAW(s, f->chunk, int32_t));
    TRY_NEW(f->pick, mem_raw(s, b->k, row * sizeof *f->pick));
    TRY(nearest_distances(s, b->x, b->n, b->labelled, b->m, b->d, f->distance));
    for (int64_t block = 0; block < blocks_of(f); block++) find_bound(f, block);
out:
    return st;
}

void farthest_close(farthest *f)
{
    mem_free(f->distance), mem_free(f->seen), mem_free(f->bound), mem_free(f->list), mem_free(f->x), mem_free(f->near),
        mem_free(f->from), mem_free(f->pick);
}
